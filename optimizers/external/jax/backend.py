"""Functions of JAX's pytrees as functions of one vector, compiled once."""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import InvalidInputError
from optimizers.external.backend import Backend, check_functions, returned, shape_error
from optimizers.external.bounds import Matched
from optimizers.external.jax.tree import Tree

#: How many functions of ``jax.jit`` stay compiled between calls, and so in memory.
_KEPT = 32


class Compiled:
    """The functions of a packed vector ``x`` and the further arguments ``args``, compiled."""

    def __init__(
        self,
        fun: Callable[..., Any],
        constraints: tuple[Callable[..., Any], ...],
        has_aux: bool,
        tree: Tree,
    ) -> None:
        self._fun, self._constraints, self._has_aux, self._tree = fun, constraints, has_aux, tree
        self._jax = tree.jax
        #: Whether the loss, as traced last, has no derivative by any parameter.
        self.is_unconnected = False

    @cached_property
    def loss_grad(self) -> Any:
        """``loss_grad(x, args) -> (loss, gradient, aux)``."""
        tracer = self._jax.core.Tracer

        def noted(params: Any, args: Any) -> tuple[Any, Any]:
            loss, aux = self._with_aux(params, args)
            # What is differentiated is traced by another kind of tracer than what is not.
            leaf = self._jax.tree_util.tree_leaves(params)[0]
            self.is_unconnected = not isinstance(loss, tracer) or type(loss) is not type(leaf)
            return loss, aux

        differentiated = self._jax.value_and_grad(noted, has_aux=True)

        def loss_grad(x: Any, args: Any) -> Any:
            (loss, aux), slopes = differentiated(self._tree.traced(x), args)
            return loss, self._tree.flat(slopes), aux

        return self._jax.jit(loss_grad)

    @cached_property
    def hessp(self) -> Any:
        """``hessp(x, p, args)``, the Hessian's product with ``p``."""
        gradient = self._jax.grad(self._with_aux, has_aux=True)

        def hessp(x: Any, p: Any, args: Any) -> Any:
            def slopes(params: Any) -> Any:
                return gradient(params, args)[0]

            point, along = self._tree.traced(x), self._tree.traced(p)
            return self._tree.flat(self._jax.jvp(slopes, (point,), (along,))[1])

        return self._jax.jit(hessp)

    @cached_property
    def constraint_values(self) -> Any:
        """``constraint_values(x, args)``, a vector for each constraint."""

        def values(x: Any, args: Any) -> Any:
            params = self._tree.traced(x)
            return [self._vector(constraint(params, *args)) for constraint in self._constraints]

        return self._jax.jit(values)

    @cached_property
    def constraint_jacobians(self) -> Any:
        """``constraint_jacobians(x, args)``, an (m, n) matrix for each constraint."""

        def jacobian(constraint: Callable[..., Any], params: Any, args: Any) -> Any:
            def values(params: Any) -> Any:
                return self._vector(constraint(params, *args))

            m = self._jax.eval_shape(values, params).size
            backward = m <= self._tree.packing.size
            differentiate = self._jax.jacrev if backward else self._jax.jacfwd
            return self._tree.flat_rows(differentiate(values)(params), m)

        def jacobians(x: Any, args: Any) -> Any:
            params = self._tree.traced(x)
            return [jacobian(constraint, params, args) for constraint in self._constraints]

        return self._jax.jit(jacobians)

    def _with_aux(self, params: Any, args: Any) -> tuple[Any, Any]:
        found = self._fun(params, *args)
        found = returned(found, "The loss")
        if self._has_aux and not (isinstance(found, tuple | list) and len(found) == 2):
            raise InvalidInputError(
                f"The function returned {_kind(found)}, expected (loss, aux): leave out "
                "has_aux=True, if it returns the loss alone."
            )
        loss, aux = found if self._has_aux else (found, None)
        if isinstance(returned(loss, "The loss"), tuple | list | dict):
            words = f"The function returned {_kind(loss)}, expected a loss that is a scalar"
            if isinstance(loss, tuple) and not self._has_aux:
                words += (
                    ": has_aux=True, if it returns (loss, aux)? Of jax.value_and_grad(f), pass f "
                    "itself: the gradient is taken here"
                )
            raise InvalidInputError(f"{words}.")
        numpy = self._jax.numpy
        loss = numpy.asarray(loss)
        if loss.size != 1:
            raise shape_error(loss.shape)
        if not numpy.issubdtype(loss.dtype, numpy.floating):
            raise InvalidInputError(
                f"The loss is of type {loss.dtype}, expected a real float, which it can be "
                "differentiated in: a count, such as jnp.sum(x > 0), has no gradient."
            )
        return numpy.reshape(loss, ()), aux

    def _vector(self, values: Any) -> Any:
        leaves = self._jax.tree_util.tree_leaves(returned(values, "A constraint"))
        return self._jax.numpy.concatenate([self._jax.numpy.ravel(leaf) for leaf in leaves])


def _kind(value: Any) -> str:
    """Return what to call something that a function returned."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else "one value"


#: As Compiled, and kept between calls.
compiled_once = lru_cache(maxsize=_KEPT)(Compiled)


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
                "params or args are traced, and have no values: minimize runs a solver on the "
                "host. Call it outside of jax.jit, grad and vmap."
            )
        self.packing = self.tree.packing
        self.variables = list(self.tree.paths)
        self._has_aux = has_aux
        self._args = jax.device_put(args)
        self._start = self.tree.pack(params)
        # Anew each time: what is read may have changed; to a function of `jax.jit` it is constant.
        is_kept = all(isinstance(f, jax.stages.Wrapped) for f in (fun, *constraints))
        make = compiled_once if is_kept else Compiled
        self._compiled = make(fun, tuple(constraints), has_aux, self.tree)
        #: Whether ``loss_callback`` gets `aux`, as its one argument.
        self.passes_aux = False
        # The last point and the lowest, with loss and aux: a result is one of them. Shared with
        # what is bound.
        self._known: dict[str, tuple[NDArray[Any], Any, Any]] = {}

    @override
    def initial(self) -> NDArray[Any]:
        return self._start.copy()

    @override
    def loss_grad(self, x: NDArray[Any]) -> tuple[Any, ...]:
        x = self.packing.vector(x)
        loss, slopes, aux = self._compiled.loss_grad(x, self._args)
        self.is_unconnected = self._compiled.is_unconnected
        value: Any = np.asarray(loss)[()]
        if value.dtype not in (np.float32, np.float64):  # bfloat16, which is no scalar of NumPy's
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
        return self._compiled.loss_grad(x, self._args)[2]

    @override
    def constraint_values(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        found = self._compiled.constraint_values(self.packing.vector(x), self._args)
        return [np.array(values, np.float64) for values in found]

    @override
    def constraint_jacobians(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        found = self._compiled.constraint_jacobians(self.packing.vector(x), self._args)
        return [np.array(rows, np.float64) for rows in found]

    @override
    def hessp(self, x: NDArray[Any], p: NDArray[Any]) -> NDArray[Any]:
        vector = self.packing.vector
        return np.array(self._compiled.hessp(vector(x), vector(p), self._args))

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
    """Say what to use instead of the interfaces."""
    raise InvalidInputError(
        "An array of JAX's was given as a variable or a loss, but it cannot be updated: use "
        "optimizers.external.jax.minimize(fun, params), which returns new ones."
    )
