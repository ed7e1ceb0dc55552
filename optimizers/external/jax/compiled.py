"""Functions of JAX pytrees as functions of a packed vector, and their compiled forms."""

import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from optimizers.errors import InvalidInputError
from optimizers.external.backend import returned, shape_error
from optimizers.external.jax.tree import Tree


class Traced:
    """A user's function of parameters and further arguments; ``get()`` returns it."""

    #: The compiled methods, each a function of vectors and, at the end, of ``args``.
    methods: ClassVar[tuple[str, ...]] = ()

    def __init__(self, get: Callable[[], Any], tree: Tree) -> None:
        self._get, self._tree, self.jax = get, tree, tree.jax

    def _call(self, params: Any, args: Any, what: str) -> Any:
        try:
            return returned(self._get()(params, *args), what)
        except (TypeError, ValueError, IndexError) as error:
            if args and ("racer" in str(error) or "static" in str(error)):
                error.add_note(
                    "Further arguments are traced, as by jax.jit: close over a value that must be "
                    "a Python number, such as a size or a flag, with a lambda or "
                    "functools.partial."
                )
            raise

    def _product(self, gradient: Callable[[Any], Any], x: Any, p: Any) -> Any:
        """Return the derivative of a gradient along ``p``."""
        point, along = self._tree.traced(x), self._tree.traced(p)
        return self._tree.flat(self.jax.jvp(gradient, (point,), (along,))[1])


class Loss(Traced):
    """A function that returns a loss, with ``has_aux`` (loss, aux)."""

    methods = ("loss_grad", "hessp")
    #: Whether the loss, as last traced, does not depend on the parameters.
    is_unconnected = False

    def __init__(self, get: Callable[[], Any], tree: Tree, has_aux: bool) -> None:
        super().__init__(get, tree)
        self._has_aux = has_aux

    def loss_grad(self, x: Any, args: Any) -> Any:
        """Return the loss, its gradient and aux."""
        tracer = self.jax.core.Tracer

        def noted(params: Any) -> tuple[Any, Any]:
            loss, aux = self._with_aux(params, args)
            # Differentiated values have another kind of tracer.
            leaf = self.jax.tree_util.tree_leaves(params)[0]
            self.is_unconnected = not isinstance(loss, tracer) or type(loss) is not type(leaf)
            return loss, aux

        both = self.jax.value_and_grad(noted, has_aux=True)
        (loss, aux), slopes = both(self._tree.traced(x))
        return loss, self._tree.flat(slopes), aux

    def hessp(self, x: Any, p: Any, args: Any) -> Any:
        """Return the Hessian's product with ``p``."""
        gradient = self.jax.grad(self._with_aux, has_aux=True)
        return self._product(lambda params: gradient(params, args)[0], x, p)

    def _with_aux(self, params: Any, args: Any) -> tuple[Any, Any]:
        found = self._call(params, args, "The loss")
        if self._has_aux and not (isinstance(found, tuple | list) and len(found) == 2):
            raise InvalidInputError(
                f"The function returned {_kind(found)}, expected (loss, aux): remove has_aux=True "
                "if it returns only the loss."
            )
        loss, aux = found if self._has_aux else (found, None)
        if isinstance(returned(loss, "The loss"), tuple | list | dict):
            words = f"The function returned {_kind(loss)}, expected a scalar loss"
            if isinstance(loss, tuple) and not self._has_aux:
                words += (
                    ": has_aux=True, if it returns (loss, aux)? Of jax.value_and_grad(f), pass f "
                    "itself: the gradient is taken here"
                )
            raise InvalidInputError(f"{words}.")
        numpy = self.jax.numpy
        loss = numpy.asarray(loss)
        if loss.size != 1:
            raise shape_error(loss.shape)
        if not numpy.issubdtype(loss.dtype, numpy.floating):
            raise InvalidInputError(
                f"The loss is of type {loss.dtype}, expected a real float, which can be "
                "differentiated: a count, such as jnp.sum(x > 0), has no gradient."
            )
        return numpy.reshape(loss, ()), aux


class Constraint(Traced):
    """A function that returns the values of a constraint, in any structure."""

    methods = ("values", "jacobian", "hessp")

    def values(self, x: Any, args: Any) -> Any:
        """Return the values as a vector."""
        return self._vector(self._tree.traced(x), args)

    def jacobian(self, x: Any, args: Any) -> Any:
        """Return the Jacobian, an (m, n) matrix."""

        def values(params: Any) -> Any:
            return self._vector(params, args)

        params = self._tree.traced(x)
        m = self.jax.eval_shape(values, params).size
        backward = m <= self._tree.packing.size
        differentiate = self.jax.jacrev if backward else self.jax.jacfwd
        return self._tree.flat_rows(differentiate(values)(params), m)

    def hessp(self, x: Any, p: Any, v: Any, args: Any) -> Any:
        """Return the product with ``p`` of the Hessian of the values weighted with ``v``."""

        def weighted(params: Any) -> Any:
            return self.jax.numpy.sum(v * self._vector(params, args))

        return self._product(self.jax.grad(weighted), x, p)

    def _vector(self, params: Any, args: Any) -> Any:
        leaves = self.jax.tree_util.tree_leaves(self._call(params, args, "A constraint"))
        return self.jax.numpy.concatenate([self.jax.numpy.ravel(leaf) for leaf in leaves])


class Compiled:
    """The compiled form of a function; each method is compiled at its first call."""

    def __init__(self, traced: Traced) -> None:
        self.traced: Any = traced
        self._programs = {m: traced.jax.jit(getattr(traced, m)) for m in traced.methods}

    def __call__(self, method: str, *given: Any) -> Any:
        """Return a method's result."""
        return self._programs[method](*given)


#: The compiled forms of functions of ``jax.jit``, while these exist.
_KEPT: weakref.WeakKeyDictionary[Any, dict[Any, Compiled]] = weakref.WeakKeyDictionary()


def compiled(kind: type[Any], fun: Callable[..., Any], tree: Tree, *more: Any) -> Compiled:
    """Return the compiled form of a function, which must exist when it is called."""
    # Compiled each time, since values that it reads may have changed; for `jax.jit` they are
    # constant.
    if not isinstance(fun, tree.jax.stages.Wrapped):
        return Compiled(kind(lambda: fun, tree, *more))
    known, key = _KEPT.setdefault(fun, {}), (kind, tree, *more)
    if key not in known:
        known[key] = Compiled(kind(weakref.ref(fun), tree, *more))
    return known[key]


def _kind(value: Any) -> str:
    """Return a description of a returned value."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else "one value"
