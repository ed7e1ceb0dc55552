"""NumPy arrays as variables, updated in place: the interfaces without a framework."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import InvalidInputError
from optimizers.external.backend import Backend, check_functions, returned, scalar
from optimizers.external.bounds import Packing
from optimizers.gradients.differences import Differences


class NumpyBackend(Backend):
    """Functions of arrays that they read, with gradients by differences or their own.

    In the latter case a loss returns (value, gradients), a constraint (values, jacobians), by
    array.
    """

    def __init__(
        self,
        loss: Callable[[], Any],
        var_list: Sequence[NDArray[Any]] | None,
        constraints: list[Callable[[], Any]],
        second_order: bool = False,
    ) -> None:
        check_functions((loss, *constraints), "without arguments that reads the arrays of NumPy")
        for i, variable in enumerate(var_list or ()):
            is_array = isinstance(variable, np.ndarray) and variable.dtype.kind == "f"
            if not (is_array and variable.flags.writeable) or np.ma.isMaskedArray(variable):
                raise InvalidInputError(
                    f"var_list[{i}] is {variable!r:.100}, expected a writable array of floats "
                    "without a mask."
                )
        self.variables = list(var_list or ())
        self.packing = Packing([v.shape for v in self.variables], [v.dtype for v in self.variables])
        self._loss, self._constraints = loss, constraints

    @override
    def initial(self) -> NDArray[Any]:
        return self.packing.join(self.variables)

    @override
    def loss_grad(self, x: NDArray[Any]) -> tuple[Any, ...]:
        self.commit(x)
        raw = returned(self._loss(), "The loss")
        fetched = [np.copy(fetch() if callable(fetch) else fetch) for fetch in self._fetches]
        if isinstance(raw, tuple):
            value, gradients = raw
            return scalar(value), self.packing.join(gradients), *fetched
        value = scalar(raw)
        slopes = self._differences(x, self._loss, np.reshape(value, 1))
        return value, slopes[0].astype(self.packing.dtype), *fetched

    @override
    def constraint_values(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        self.commit(x)
        return [_values(constraint()) for constraint in self._constraints]

    @override
    def constraint_jacobians(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        found = []
        for constraint in self._constraints:
            self.commit(x)
            raw = constraint()
            values = _values(raw)
            if isinstance(raw, tuple):
                parts = [np.reshape(part, (values.size, -1)) for part in raw[1]]
                found.append(np.concatenate(parts, axis=1).astype(np.float64))
            else:
                found.append(self._differences(x, lambda c=constraint: _values(c()), values))
        return found

    def _differences(
        self, x: NDArray[Any], function: Callable[..., Any], center: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return the Jacobian by central differences, inside the bounds; shape (m, n)."""
        lower, upper = self.limits or (None, None)
        precision = float(np.finfo(self.packing.dtype).eps)
        plan = Differences("3-point").plan(np.asarray(x, np.float64), lower, upper, precision)
        rows = []
        for point in plan.points:
            self.commit(point)
            rows.append(np.reshape(function(), -1))
        values = np.asarray(rows, dtype=np.float64).reshape(len(plan.points), center.size)
        folded = [plan.fold(float(c), column) for c, column in zip(center, values.T, strict=True)]
        return np.asarray(folded, dtype=np.float64)

    @override
    def commit(self, x: NDArray[Any]) -> None:
        for variable, part in zip(self.variables, self.packing.split(x), strict=True):
            variable[...] = part


def _values(raw: Any) -> NDArray[np.float64]:
    """Return the values in what a constraint returned, as a vector."""
    values = raw[0] if isinstance(returned(raw, "A constraint"), tuple) else raw
    return np.ravel(np.asarray(values, dtype=np.float64))
