"""Marks: properties that an objective declares, on a callable around it."""

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from typing_extensions import override

from optimizers.errors import InvalidInputError
from optimizers.evaluation.losses import Loss

_F = TypeVar("_F", bound=Callable[..., Any])
_VECTORIZED, _RESIDUALS = "__optimizers_vectorized__", "__optimizers_residuals__"
_ERRORS, _SHOTS = "__optimizers_errors__", "__optimizers_shots__"


def vectorized(fun: _F) -> _F:
    """Mark an objective as taking a stack of points (k, n) and returning (k,) values.

    Parameters
    ----------
    fun : callable
        The objective, a class of objectives, or its method ``__call__``. It gets a (k, n) array
        of float64, also for a single point (k = 1). With ``jac=True`` it returns (k,) values and
        (k, n) gradients; without, it may return a tuple of (k,) values and (k,) standard errors.
        A gradient function may be marked too; it then returns (k, n) gradients.

    Returns
    -------
    callable
        A callable around the objective, which is not changed. It has the objective's
        attributes, and can be pickled if the objective can.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> @vectorized
    ... def sphere(points):
    ...     return (points**2).sum(axis=1)
    >>> LBFGSB().minimize(sphere, [1.0, 2.0]).success
    True
    """
    return fun if is_vectorized(fun) else _marked(fun, _VECTORIZED, True)


def with_errors(fun: _F) -> _F:
    """Mark an objective as returning each value with its standard error.

    An objective of two or more variables may return ``(value, standard error)`` without the mark.
    With it, :func:`minimize` without a method chooses one made for noise. For a single
    variable the mark is required, since two numbers may as well be the value and its derivative.

    Parameters
    ----------
    fun : callable
        The objective, ``fun(x) -> (float, float)``; a class of objectives, or its method
        ``__call__``. If it is also marked by :func:`vectorized`, in any order, it takes (k, n)
        points and returns (k,) values and (k,) errors. An error of NaN is not known.

    Returns
    -------
    callable
        A callable around the objective, which is not changed. It has the objective's
        attributes, and can be pickled if the objective can.

    Examples
    --------
    >>> import numpy as np
    >>> from optimizers import minimize, with_errors
    >>> rng = np.random.default_rng(1)
    >>> @with_errors
    ... def energy(x):
    ...     return 1 - np.cos(x[0]) + rng.normal(0, 0.01), 0.01
    >>> minimize(energy, [1.0], maxfun=100).method
    'NoisyLBFGSB'
    """
    return fun if has_errors(fun) else _marked(fun, _ERRORS, True)


def shots(fun: _F) -> _F:
    """Mark an objective as measured with a chosen number of shots.

    The number for each point is chosen by the algorithm, or else it is the setting ``shots`` of the
    run. All shots are counted, in the result's ``nshots``, and limited by ``maxshots``.

    Parameters
    ----------
    fun : callable
        The objective, ``fun(x, shots) -> (value, standard_error)``, with an int ``shots`` >= 1; a
        class of objectives, or its method ``__call__``. If it is also marked by :func:`vectorized`,
        in any order, it takes points of shape (k, n) and shots of shape (k,), int64, and returns a
        tuple of (k,) values and (k,) standard errors. An error that is not known is NaN.

    Returns
    -------
    callable
        A callable around the objective, which is not changed. It has the objective's
        attributes, and can be pickled if the objective can.

    Examples
    --------
    >>> import numpy as np
    >>> from optimizers import SPSA
    >>> rng = np.random.default_rng(1)
    >>> @shots
    ... def energy(x, shots):
    ...     samples = (x**2).sum() + rng.normal(size=shots)
    ...     return samples.mean(), samples.std(ddof=1) / shots**0.5
    >>> result = SPSA(seed=1).minimize(energy, [1.0, 2.0], shots=100, maxshots=20_000)
    >>> result.stop.name, result.nshots, result.nfev
    ('MAXSHOTS', 20000, 200)
    """
    return fun if takes_shots(fun) else _marked(fun, _SHOTS, True)


@overload
def residuals(fun: _F, loss: str | Callable[..., Any] = "linear", f_scale: float = 1.0) -> _F: ...


@overload
def residuals(
    fun: None = None, loss: str | Callable[..., Any] = "linear", f_scale: float = 1.0
) -> Callable[[_F], _F]: ...


def residuals(
    fun: Any = None, loss: str | Callable[..., Any] = "linear", f_scale: float = 1.0
) -> Any:
    """Mark an objective as returning residuals: a vector whose sum of squares is minimized.

    Every optimizer supports it: it minimizes ``0.5 * sum(fun(x)**2)``, or with a ``loss`` what
    :func:`scipy.optimize.least_squares` minimizes.

    Parameters
    ----------
    fun : callable, optional
        The objective, ``fun(x) -> (m,)``, real, of the same length at each point; a class of
        objectives, or its method ``__call__``. ``jac`` is then the Jacobian, ``jac(x) -> (m, n)``:
        an array, a sparse matrix, or a LinearOperator where the algorithm supports it; with
        ``jac=True``, ``fun`` returns both. If it is also marked by :func:`vectorized`, in any
        order, it takes (k, n) points and returns (k, m).
    loss : {"linear", "soft_l1", "huber", "cauchy", "arctan"} or callable, default "linear"
        The weight of outliers: ``rho(z) -> (3, m)`` is the loss of the scaled squares and its first
        and second derivatives, as in SciPy.
    f_scale : float, default 1.0
        The size beyond which a residual is an outlier. It has no effect with the loss "linear".

    Returns
    -------
    callable
        A callable around the objective, which is not changed. It has the objective's
        attributes, and can be pickled if the objective can. Without ``fun``, a decorator.

    Raises
    ------
    InvalidInputError
        If ``fun``, ``loss`` or ``f_scale`` cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from optimizers import LBFGSB
    >>> t = np.array([0.0, 1.0, 2.0, 3.0])
    >>> data = np.array([2.0, 1.2, 0.8, 0.4])
    >>> def misfit(x):
    ...     return x[0] * np.exp(-x[1] * t) - data
    >>> LBFGSB().minimize(residuals(misfit), [1.0, 1.0]).x.round(3)
    array([2.001, 0.497])

    As a decorator, with or without options:

    >>> @residuals(loss="huber", f_scale=0.1)
    ... def robust(x):
    ...     return misfit(x)
    >>> LBFGSB().minimize(robust, [1.0, 1.0]).success
    True
    """
    mark = functools.partial(_marked, mark=_RESIDUALS, value=Loss(loss, f_scale))
    if fun is None:
        return mark
    if not callable(fun):
        raise InvalidInputError(
            f"residuals got {fun!r:.200}, expected a callable fun(x) -> (m,), or the options of a "
            'decorator by name: @residuals(loss="huber").'
        )
    return mark(fun)


def _marked(fun: _F, mark: str, value: Any) -> _F:
    """Return a callable around another one, or a class itself, with a mark."""
    if isinstance(fun, type):  # each instance is an objective
        setattr(fun, mark, value)
        return fun
    if inspect.isfunction(fun) and _found(fun) is not fun:
        # It is being defined under its name, or has no name: a function around it is pickled and
        # bound as a method in the same way.
        @functools.wraps(fun)
        def around(*given: Any, **named: Any) -> Any:
            return fun(*given, **named)

        setattr(around, mark, value)
        return cast(_F, around)
    return cast(_F, Marked(fun, mark, value))


class Marked:
    """A callable around another one, which is not changed; it has the other's attributes too."""

    def __init__(self, fun: Callable[..., Any], mark: str, value: Any) -> None:
        functools.update_wrapper(self, fun, updated=())
        marked_like(self, fun)
        setattr(self, mark, value)
        self._made_of = fun, mark, value

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call the other."""
        return self.__wrapped__(*given, **named)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the other, except those of protocols."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind as a method if the other would."""
        is_method = instance is not None and inspect.isfunction(self.__wrapped__)
        return types.MethodType(self, instance) if is_method else self

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild around the other, which is pickled."""
        return _marked, self._made_of


def _found(fun: Callable[..., Any]) -> Any:
    """Return the object with a function's name in its module, or None."""
    found: Any = sys.modules.get(fun.__module__)
    for name in fun.__qualname__.split("."):
        found = getattr(found, name, None)
    return found


def marked(fun: _F) -> _F:
    """Mark a function of this package, in place, as taking stacks."""
    setattr(fun, _VECTORIZED, True)
    return fun


def marked_like(fun: _F, other: object) -> _F:
    """Give a function of this package the marks of another objective."""
    for mark in (_VECTORIZED, _RESIDUALS, _ERRORS, _SHOTS):
        found = _mark_of(other, mark)
        if found is not None:
            setattr(fun, mark, found)
    return fun


def is_vectorized(fun: object) -> bool:
    """Return whether an objective is marked by :func:`vectorized`."""
    return _mark_of(fun, _VECTORIZED) is not None


def has_errors(fun: object) -> bool:
    """Return whether an objective is marked by :func:`with_errors` or :func:`shots`."""
    return bool(_mark_of(fun, _ERRORS)) or takes_shots(fun)


def takes_shots(fun: object) -> bool:
    """Return whether an objective is marked by :func:`shots`."""
    return _mark_of(fun, _SHOTS) is not None


def loss_of(fun: object) -> Loss | None:
    """Return the loss of an objective that has the mark itself, as in a problem."""
    found: Loss | None = getattr(fun, _RESIDUALS, None)
    return found


def with_loss(fun: _F, loss: Loss) -> _F:
    """Return an objective that has the mark itself."""
    return fun if loss_of(fun) == loss else _marked(fun, _RESIDUALS, loss)


def with_own_loss(fun: _F, *, is_required: bool = False) -> _F:
    """Return an objective with the mark itself, if one is found on it or if it is required."""
    loss = _mark_of(fun, _RESIDUALS) or (Loss() if is_required else None)
    return fun if loss is None else with_loss(fun, loss)


def with_options(fun: _F, loss: Any = None, f_scale: float | None = None) -> _F:
    """Return an objective of residuals with the loss and scale of the options, if given."""
    known: Loss = _mark_of(fun, _RESIDUALS) or Loss()
    scale = known.f_scale if f_scale is None else f_scale
    return with_loss(fun, Loss(known.rho if loss is None else loss, scale))


def _mark_of(fun: object, mark: str) -> Any:
    found = getattr(fun, mark, None)
    # The method ``__call__`` of an object may have the mark.
    return found or getattr(getattr(type(fun), "__call__", None), mark, None)  # noqa: B004


def at_probes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what is called for probes instead of a function: a recorded one marks them."""
    if getattr(function, "marks_probes", False):
        return functools.partial(function, is_probe=True)
    return function
