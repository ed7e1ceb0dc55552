"""Marks: what an objective says of itself, on a callable around it."""

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast

from typing_extensions import override

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "__optimizers_vectorized__"


def vectorized(fun: _F) -> _F:
    """Return an objective, marked as taking a stack of points (k, n) and returning (k,) values.

    Parameters
    ----------
    fun : callable
        The objective, a class of objectives, or its method ``__call__``. It gets a (k, n) array
        of float64, also for a single point (k = 1). With ``jac=True`` it returns (k,) values and
        (k, n) gradients; without, it may return a tuple of (k,) values and (k,) standard errors.
        A gradient function may be marked too, and returns (k, n) gradients then.

    Returns
    -------
    callable
        A callable around the objective, which itself is not changed. It has the objective's
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
    if is_vectorized(fun):
        return fun
    if isinstance(fun, type):  # each object of the class is an objective
        return marked(fun)
    if inspect.isfunction(fun) and _found(fun) is not fun:
        # It is being defined, and will be what its name means, or no name leads to it: a function
        # around it is pickled as it would be, and is a method where it is one.
        @functools.wraps(fun)
        def stacked(*given: Any, **named: Any) -> Any:
            return fun(*given, **named)

        return cast(_F, marked(stacked))
    return cast(_F, Vectorized(fun))


class Vectorized:
    """A callable around another, which stays as it is; what the other has, this has too."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fun, updated=())
        marked(self)

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call the other."""
        return self.__wrapped__(*given, **named)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the other; what protocols ask for is this one's own matter."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Be a method where the other would be one."""
        is_method = instance is not None and inspect.isfunction(self.__wrapped__)
        return types.MethodType(self, instance) if is_method else self

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """Be made anew around the other, which is pickled."""
        return vectorized, (self.__wrapped__,)


def _found(fun: Callable[..., Any]) -> Any:
    """Return what a function's name means in its module; None if nothing."""
    found: Any = sys.modules.get(fun.__module__)
    for name in fun.__qualname__.split("."):
        found = getattr(found, name, None)
    return found


def marked(fun: _F) -> _F:
    """Mark what is the package's own, itself, as taking stacks."""
    setattr(fun, _MARK, True)
    return fun


def is_vectorized(fun: object) -> bool:
    """Return whether an objective is marked by :func:`vectorized`."""
    call = getattr(type(fun), "__call__", None)  # noqa: B004  # for its mark
    return bool(getattr(fun, _MARK, False) or getattr(call, _MARK, False))
