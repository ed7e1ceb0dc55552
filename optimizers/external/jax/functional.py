"""minimize: a function of a pytree."""

from collections.abc import Callable, Sequence
from typing import Any

from optimizers.errors import InvalidInputError
from optimizers.external.frameworks import as_list, require
from optimizers.external.jax.backend import JaxBackend
from optimizers.external.solvers import minimized
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult


def minimize(
    fun: Callable[..., Any],
    params: Any,
    *args: Any,
    has_aux: bool = False,
    bounds: Any = None,
    optimizer: Optimizer | None = None,
    equalities: Sequence[Callable[..., Any]] | None = None,
    inequalities: Sequence[Callable[..., Any]] | None = None,
    step_callback: Callable[..., Any] | None = None,
    loss_callback: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> tuple[Any, OptimizerResult]:
    """Minimize a function of a JAX pytree.

    Each call compiles the function in its current form. A function of ``jax.jit`` stays compiled
    between calls; other values that it reads are constant: pass those that change in `args`.

    Parameters
    ----------
    fun : callable
        ``fun(params, *args) -> loss``.
    params : pytree
        The start: arrays of floats, of any mixture of types. They are not changed.
    *args : pytrees
        Further arguments of the function and of the constraints: arrays and numbers, such as data.
    has_aux : bool, default False
        Whether the function returns ``(loss, aux)``.
    bounds : pytree, optional
        The structure of `params`, with ``(low, high)`` or None instead of each leaf. Either side is
        a number or an array that broadcasts to the leaf's shape; None or an infinity for no bound.
        Two pairs of numbers for a leaf of two are an error, since they might mean one pair for
        each, as in SciPy.
    optimizer : Optimizer, optional
        The algorithm; by default, that of :class:`ScipyOptimizerInterface`.
    equalities, inequalities : sequence of callables, optional
        Functions that must be zero, and ones that must not be negative, each ``constraint(params,
        *args) -> array``.
    step_callback : callable, optional
        ``step_callback(params)``, called at each step.
    loss_callback : callable, optional
        ``loss_callback()``, called after each evaluation; with `has_aux`, ``loss_callback(aux)``.
        StopIteration in either ends the run, and the best point so far is returned.
    **kwargs
        As in :class:`ScipyOptimizerInterface`, or with an optimizer :class:`OptimizerInterface`.

    Returns
    -------
    params : pytree
        The solution, of the same structure and types.
    result : OptimizerResult
        The result, with the packed vector as ``x``; with `has_aux`, `aux` at that point as ``aux``.

    Raises
    ------
    MissingExtraError, OptimizerError
        If JAX is not installed, and as in the interfaces.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> def loss(params, target):
    ...     return jnp.sum((params["w"] - target) ** 2) + params["b"] ** 2
    >>> start = {"w": jnp.zeros(2), "b": 1.0}
    >>> bounds = {"w": (None, [2.0, None]), "b": None}
    >>> found, result = minimize(loss, start, jnp.array([3.0, 4.0]), bounds=bounds)
    >>> found["w"].round(3)
    Array([2., 4.], dtype=float32)
    >>> result.success
    True
    """
    require("jax")
    if "args" in kwargs:
        raise InvalidInputError(
            "args was given by name: pass further arguments after the parameters, minimize(fun, "
            "params, *args)."
        )
    equalities, inequalities = as_list(equalities), as_list(inequalities)
    backend = JaxBackend(fun, params, args, has_aux, [*equalities, *inequalities])
    backend.passes_aux = has_aux and loss_callback is not None
    backend.given = fun
    given = (backend, None, equalities, inequalities, bounds)
    unpack = backend.tree.unpack
    watching = {
        "step_callback": None if step_callback is None else lambda x: step_callback(unpack(x)),
        "loss_callback": loss_callback,
    }
    result = minimized(given, optimizer, kwargs, watching)
    if has_aux:
        result.aux = backend.aux_at(result.x)
    return unpack(result.x), result
