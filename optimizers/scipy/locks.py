"""Locks that SciPy holds while a method runs, which a run driven from outside may block."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import scipy.optimize

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Lock:
    """The lock of a method in SciPy, in versions that have it."""

    module: str
    name: str
    #: Whether compiled code has global state, so that only one run at a time is possible.
    guards_state: bool = False

    @property
    def found(self) -> Any:
        """The lock; None if this SciPy has none."""
        return getattr(getattr(scipy.optimize, self.module, None), self.name, None)

    @property
    def is_exclusive(self) -> bool:
        """Whether only one run of the method at a time is possible."""
        return self.guards_state and self.found is not None

    def released(self, function: _F) -> _F:
        """Return a function that lets other runs of the method continue while it runs."""
        lock = self.found
        if lock is None or self.guards_state:
            return function  # otherwise the method needs the lock, if at all, not the objective

        def call(*given: Any) -> Any:
            lock.release()
            try:
                return function(*given)
            finally:
                lock.acquire()

        return call  # type: ignore[return-value]  # it is called in the same way


COBYLA = Lock("_cobyla_py", "_module_lock", guards_state=True)
# COBYQA is Python, and its state is in objects of the run.
COBYQA = Lock("_cobyqa_py", "COBYQA_LOCK")
