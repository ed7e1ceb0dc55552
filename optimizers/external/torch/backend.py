"""PyTorch tensors as variables: the loss is a function that reads them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.external.backend import Backend, Weighted, check_functions, returned, shape_error
from optimizers.external.bounds import Matched, Packing
from optimizers.external.frameworks import require


class TorchBackend(Backend):
    """Functions of leaf tensors; a point and its answer are one copy each to and from a device."""

    has_hessp = True

    def __init__(
        self,
        loss: Callable[[], Any],
        var_list: Sequence[Any] | None,
        constraints: list[Callable[[], Any]],
        second_order: bool = False,
    ) -> None:
        self._torch: Any = require("torch")
        check_functions(
            (loss, *constraints), "without arguments that computes it from PyTorch's tensors"
        )
        self.variables = self._checked(var_list)
        self._loss, self._constraints = loss, constraints
        double = self._torch.float64
        # NumPy has no bfloat16, and float16 is too imprecise for a solver: float32 holds both.
        self.packing = Packing(
            [tuple(v.shape) for v in self.variables],
            [np.float64 if v.dtype == double else np.float32 for v in self.variables],
            [partial(self._rounded, v.dtype) for v in self.variables],
        )
        devices = {variable.device for variable in self.variables}
        self._device = self.variables[0].device
        self._is_spread = len(devices) > 1
        # Copying to a device: a vector is cast into `staged`, which `source` shares; `vector` is
        # that, or its copy on the device; `parts` are views of it.
        self._staged = np.empty(self.packing.size, self.packing.dtype)
        self._source = self._torch.from_numpy(self._staged)
        self._vector = self._source.to(self._device)
        self._parts = self._views(self._vector)
        #: The point, and the gradients that its Hessian-vector products differentiate: of the loss,
        #: None, and of weighted constraints.
        self._point: NDArray[Any] | None = None
        self._slopes: dict[tuple[int, bytes] | None, list[Any]] = {}

    def _checked(self, var_list: Sequence[Any] | None) -> list[Any]:
        """Return the variables, if autograd and ``copy_`` support them."""
        for i, variable in enumerate(var_list or ()):
            if not self._torch.is_tensor(variable) or not variable.dtype.is_floating_point:
                raise InvalidInputError(
                    f"var_list[{i}] is {variable!r:.100}, expected a tensor of real floats."
                )
            if not (variable.requires_grad and variable.is_leaf):
                raise InvalidInputError(
                    f"var_list[{i}] is {variable!r:.100}, expected a leaf tensor that requires "
                    "gradients: call requires_grad_() on one."
                )
        found = list(var_list or ())
        if not found:
            raise InvalidInputError(
                "No tensors were given: list them in var_list, for instance "
                "list(model.parameters())."
            )
        if len({id(variable) for variable in found}) < len(found):
            raise InvalidInputError("var_list has a tensor twice: list each tensor once.")
        return found

    def _rounded(self, dtype: Any, values: Array, toward: float) -> Array:
        """Return numbers rounded to a type: see `Rounded`."""
        exact = self._torch.from_numpy(values)
        near = exact.to(dtype)
        is_short = near < exact if toward > 0 else near > exact
        beyond = self._torch.nextafter(near, self._torch.full_like(near, toward))
        found: Array = self._torch.where(is_short, beyond, near).double().numpy()
        return found

    @override
    def match(self, bounds: Any) -> Matched:
        """Return the bounds of each variable; for further forms see `as_keyed`."""
        return super().match(as_keyed(self.variables, bounds))

    @override
    def prepare(self, fetches: list[Any]) -> None:
        super().prepare(fetches)
        # The variables' memory, which is writable whether gradients are recorded or not. Determined
        # now, since a model may have moved to other memory.
        self._targets = [variable.detach() for variable in self.variables]
        self._memory: list[NDArray[Any]] | None = None
        known = (self._torch.float32, self._torch.float64)
        if all(
            type(t) is self._torch.Tensor
            and t.device.type == "cpu"
            and t.is_contiguous()
            and t.dtype in known
            for t in self._targets
        ):
            self._memory = [target.numpy().reshape(-1) for target in self._targets]

    @override
    def initial(self) -> NDArray[Any]:
        with self._torch.no_grad():
            return self._packed(self.variables).astype(self.packing.dtype, copy=False)

    @override
    def loss_grad(self, x: NDArray[Any]) -> tuple[Any, ...]:
        self.commit(x)
        with self._torch.enable_grad():
            loss, slopes = self._evaluate()
            fetched = [self._fetched(fetch) for fetch in self._fetches]
        if self._memory is not None:  # all on the host: joining copies gains nothing
            value = (np.float64 if loss.dtype == self._torch.float64 else np.float32)(loss.item())
            return value, self._packed(slopes), *fetched
        packed = self._packed([*slopes, loss.detach()])
        value = packed[-1]
        if packed.dtype != np.float32 and loss.dtype != self._torch.float64:
            value = np.float32(value)  # its own type, which shows solvers its precision
        return value, packed[:-1].astype(self.packing.dtype, copy=False), *fetched

    def _evaluate(self) -> tuple[Any, list[Any]]:
        """Return the loss at the variables' values, and its gradient for each variable."""
        loss = self._scalar(self._loss())
        return loss, self._gradients(loss)

    @override
    def constraint_values(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        self.commit(x)
        with self._torch.enable_grad():
            values = [self._tensor(constraint()).detach() for constraint in self._constraints]
        return [self._packed([value]).astype(np.float64) for value in values]

    @override
    def constraint_jacobians(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        self.commit(x)
        return [self._jacobian(constraint) for constraint in self._constraints]

    def _jacobian(self, constraint: Callable[[], Any]) -> NDArray[Any]:
        with self._torch.enable_grad():
            values = self._tensor(constraint()).reshape(-1)
            rows = [s for value in values for s in self._gradients(value, retain_graph=True)]
        return self._packed(rows).astype(np.float64).reshape(len(values), self.packing.size)

    @override
    def hessp(self, x: NDArray[Any], p: NDArray[Any], of: Weighted | None = None) -> NDArray[Any]:
        if self._point is None or not np.array_equal(self._point, x):
            self.commit(x)
            self._point = np.array(x)
        key = None if of is None else (of[0], of[1].tobytes())
        if key not in self._slopes:
            with self._torch.enable_grad():
                value = self._scalar(self._loss()) if of is None else self._weighted(*of)
                self._slopes[key] = self._gradients(value, create_graph=True)
        along = self._views(self._on_device(self._torch.from_numpy(self.packing.vector(p).copy())))
        # A constant gradient has no graph and no second derivatives.
        chosen = [
            (slope, part.to(slope))
            for slope, part in zip(self._slopes[key], along, strict=True)
            if slope.requires_grad
        ]
        if not chosen:
            return np.zeros(self.packing.size, self.packing.dtype)
        slopes, parts = zip(*chosen, strict=True)
        products = self._gradients(slopes, grad_outputs=parts, retain_graph=True)
        return self._packed(products).astype(self.packing.dtype, copy=False)

    def _weighted(self, i: int, v: NDArray[Any]) -> Any:
        values = self._tensor(self._constraints[i]()).reshape(-1)
        return (values * self._torch.tensor(v).to(values)).sum()

    @override
    def commit(self, x: NDArray[Any]) -> None:
        self._point, self._slopes = None, {}  # their inputs are overwritten
        if self._memory is not None:  # NumPy casts while copying, without a temporary vector
            for memory, part in zip(self._memory, self.packing.slices, strict=True):
                np.copyto(memory, x[part], casting="same_kind")
            # So that autograd notices, as with PyTorch's own copies.
            self._torch.autograd.graph.increment_version(self._targets)
            return
        np.copyto(self._staged, x, casting="same_kind")
        if self._vector is not self._source:
            self._vector.copy_(self._source)
        self._torch._foreach_copy_(self._targets, self._parts)

    def _gradients(self, outputs: Any, **options: Any) -> list[Any]:
        """Return the gradient for each variable: zero if the outputs do not depend on it."""
        if not isinstance(outputs, tuple) and not outputs.requires_grad:
            if not outputs.isfinite().all():  # "not here", as a constant
                return [self._torch.zeros_like(variable) for variable in self.variables]
            raise InvalidInputError(
                f"The loss or a constraint is {outputs!r:.100}, which does not depend on any "
                "parameter: compute it without detach(), item() or numpy()."
            )
        try:
            found = self._torch.autograd.grad(
                outputs, self.variables, allow_unused=True, materialize_grads=True, **options
            )
        except RuntimeError as error:
            if "second time" in str(error):
                error.add_note("The function must return the loss and must not call backward().")
            raise
        return [gradient.to_dense() if gradient.is_sparse else gradient for gradient in found]

    def _scalar(self, loss: Any) -> Any:
        tensor = self._tensor(loss, "The loss")
        if tensor.numel() != 1:
            raise shape_error(tuple(tensor.shape))
        return tensor

    def _tensor(self, value: Any, what: str = "A constraint") -> Any:
        """Return what a function returned as a tensor; a number is a constant."""
        if self._torch.is_tensor(value):
            return value
        return self._torch.as_tensor(returned(value, what))

    def _fetched(self, fetch: Any) -> Any:
        value = fetch() if callable(fetch) and not self._torch.is_tensor(fetch) else fetch
        if not self._torch.is_tensor(value):
            return np.copy(value)
        value = value.detach().cpu()
        return (value.float() if value.dtype == self._torch.bfloat16 else value).numpy().copy()

    def _packed(self, tensors: Sequence[Any]) -> NDArray[Any]:
        """Return tensors as one new vector on the host, float64 if any of them is."""
        if self._is_spread:
            tensors = [self._on_device(tensor) for tensor in tensors]
        flat = self._torch.cat([tensor.reshape(-1) for tensor in tensors])
        if flat.dtype != self._torch.float64:
            flat = flat.float()
        vector: NDArray[Any] = flat.detach().cpu().numpy()
        return vector

    def _on_device(self, tensor: Any) -> Any:
        return tensor if tensor.device == self._device else tensor.to(self._device)

    def _views(self, vector: Any) -> list[Any]:
        shapes = zip(self.packing.slices, self.packing.shapes, strict=True)
        return [vector[part].view(shape) for part, shape in shapes]


def as_keyed(variables: Sequence[Any], bounds: Any) -> Any:
    """Return bounds by variable, if they are in order or one (low, high) of numbers for all."""
    if isinstance(bounds, Mapping) or not isinstance(bounds, Sequence):
        return bounds
    if any(_names(entry, variables) for entry in bounds):
        return bounds
    if len(bounds) == 2 and all(side is None or isinstance(side, Real) for side in bounds):
        return [(variable, tuple(bounds)) for variable in variables]
    if len(bounds) != len(variables):
        raise InvalidInputError(
            f"There are {len(bounds)} bounds for {len(variables)} parameters, expected one "
            "(low, high) or None for each, one (low, high) of numbers for all, or a dict of "
            "parameter to (low, high)."
        )
    return [(v, pair) for v, pair in zip(variables, bounds, strict=True) if pair is not None]


def unfrozen(variables: Sequence[Any], bounds: Any) -> tuple[list[Any], Any]:
    """Return the tensors that require gradients, or all if none does, and bounds for those."""
    free = [v for v in variables if getattr(v, "requires_grad", True)]
    if not free or len(free) == len(variables):
        return list(variables), bounds
    keyed = as_keyed(variables, bounds)
    pairs = list(keyed.items() if isinstance(keyed, Mapping) else keyed or ())
    frozen = [v for v in variables if not getattr(v, "requires_grad", True)]
    return free, [pair for pair in pairs if not _names(pair, frozen)] or None


def _names(entry: Any, variables: Sequence[Any]) -> bool:
    """Return whether an entry is a pair of a variable and its bounds."""
    return (
        isinstance(entry, Sequence)
        and len(entry) == 2
        and any(entry[0] is variable for variable in variables)
    )
