"""Locks that SciPy holds while a method runs, and what to do about a run that stands still then.

A run that is held from outside waits in the middle of its method, for as long as its caller likes.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import scipy.optimize

_F = TypeVar("_F", bound=Callable[..., Any])

# Where SciPy keeps the lock of a method, in those versions that have it.
_LOCKS = {"cobyla": ("_cobyla_py", "_module_lock"), "cobyqa": ("_cobyqa_py", "COBYQA_LOCK")}


def method_lock(method: str) -> Any:
    """Return the lock that SciPy holds while a method runs; None if it has none."""
    module, name = _LOCKS[method]
    return getattr(getattr(scipy.optimize, module, None), name, None)


def is_exclusive(method: object) -> bool:
    """Return whether only one run of a method may be under way, even if it stands still.

    COBYLA before SciPy 1.16 is compiled code with state of its own.
    """
    return method == "cobyla" and method_lock("cobyla") is not None


def holds_lock(method: object) -> bool:
    """Return whether SciPy holds a lock while a method runs.

    To close such a run from the thread of another that has the lock would wait for ever.
    """
    return method in ("cobyla", "cobyqa") and method_lock(str(method)) is not None


def unlocked(method: object, function: _F) -> _F:
    """Return a function that lets other runs of a method go on while it is at work.

    COBYQA is Python and keeps all of a run in that run's objects: its lock is needed by the method,
    if at all, and not by the objective that it calls.

    Parameters
    ----------
    method : str or callable
        The method that calls it.
    function : callable
        The function.
    """
    lock = method_lock("cobyqa") if method == "cobyqa" else None
    if lock is None:
        return function

    def call(*given: Any) -> Any:
        lock.release()
        try:
            return function(*given)
        finally:
            lock.acquire()

    return call  # type: ignore[return-value]  # it is called in the same way
