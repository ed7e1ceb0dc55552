"""A function of JAX pytrees and its constraints, for the interfaces."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import InvalidInputError
from optimizers.external.backend import Backend, Weighted, check_functions
from optimizers.external.bounds import Matched
from optimizers.external.jax.compiled import Constraint, Loss, compiled
from optimizers.external.jax.tree import Tree


class JaxBackend(Backend):
    """A function of a pytree and of further arguments; nothing is updated in place."""

    has_hessp = True

    def __init__(
        self,
        fun: Callable[..., Any],
        params: Any,
        args: tuple[Any, ...],
        has_aux: bool,
        constraints: Sequence[Callable[..., Any]],
    ) -> None:
        check_functions((fun, *constraints), "of the parameters")
        self.tree = Tree.of(params)
        jax = self.tree.jax
        if any(isinstance(x, jax.core.Tracer) for x in jax.tree_util.tree_leaves((params, args))):
            raise InvalidInputError(
                "params or args are traced and have no values, but minimize runs a solver on the "
                "host: call it outside of jax.jit, grad and vmap."
            )
        self.packing = self.tree.packing
        self.variables = list(self.tree.paths)
        self._has_aux = has_aux
        self._args = self.tree.arguments(args)
        self._start = self.tree.pack(params)
        self._functions = fun, *constraints  # keeps them alive while their compiled forms are used
        self._loss = compiled(Loss, fun, self.tree, has_aux)
        self._constraints = [compiled(Constraint, c, self.tree) for c in constraints]
        #: Whether ``loss_callback`` gets `aux`, as its one argument.
        self.passes_aux = False
        # The last and the lowest point, with loss and aux: a result is one of them. Shared with
        # bound copies.
        self._known: dict[str, tuple[NDArray[Any], Any, Any]] = {}

    @override
    def initial(self) -> NDArray[Any]:
        return self._start.copy()

    @override
    def loss_grad(self, x: NDArray[Any]) -> tuple[Any, ...]:
        x = self.packing.vector(x)
        loss, slopes, aux = self._loss("loss_grad", x, self._args)
        self.is_unconnected = self._loss.traced.is_unconnected
        value: Any = np.asarray(loss)[()]
        if value.dtype not in (np.float32, np.float64):  # bfloat16, which is not a NumPy type
            value = np.float32(value)
        if self._has_aux:
            self._known["last"] = x.copy(), value, aux
            if "lowest" not in self._known or value < self._known["lowest"][1]:
                self._known["lowest"] = self._known["last"]
        gradient = np.array(slopes)
        return (value, gradient, aux) if self.passes_aux else (value, gradient)

    def aux_at(self, x: NDArray[Any]) -> Any:
        """Return what the function returns besides the loss at ``x``."""
        x = self.packing.vector(x)
        for known, _, aux in self._known.values():
            if np.array_equal(known, x):
                return aux
        return self._loss("loss_grad", x, self._args)[2]

    @override
    def constraint_values(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        x = self.packing.vector(x)
        return [np.array(c("values", x, self._args), np.float64) for c in self._constraints]

    @override
    def constraint_jacobians(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        x = self.packing.vector(x)
        return [np.array(c("jacobian", x, self._args), np.float64) for c in self._constraints]

    @override
    def hessp(self, x: NDArray[Any], p: NDArray[Any], of: Weighted | None = None) -> NDArray[Any]:
        x, p = self.packing.vector(x), self.packing.vector(p)
        if of is None:
            return np.array(self._loss("hessp", x, p, self._args))
        i, v = of
        return np.array(self._constraints[i]("hessp", x, p, v.astype(p.dtype), self._args))

    @override
    def match(self, bounds: Any) -> Matched:
        """Return the bounds of each leaf, from a pytree with (low, high) or None at the leaves."""
        return self.tree.bounds(bounds)

    @override
    def commit(self, x: NDArray[Any]) -> None:
        """Do nothing: the caller gets a new pytree."""


def refuse(
    loss: Any, var_list: Sequence[Any] | None, constraints: Sequence[Any], second_order: bool
) -> NoReturn:
    """Raise an error that says what to use instead of the interfaces."""
    raise InvalidInputError(
        "A JAX array was given as a variable or a loss, but it cannot be updated: use "
        "optimizers.external.jax.minimize(fun, params), which returns new ones."
    )
