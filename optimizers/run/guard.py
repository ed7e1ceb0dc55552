"""Guard: carries an exception past a library that swallows it."""

from collections.abc import Callable
from types import TracebackType
from typing import Generic, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: The first error and its traceback, once there is one; shared by the guards of a run.
Kept: TypeAlias = list[tuple[BaseException, TracebackType | None]]


class Guard(Generic[P, T]):
    """Hands a guarded callable to a ``with`` block; see :meth:`Run.guard`."""

    def __init__(self, call: Callable[P, T], kept: Kept) -> None:
        self._call = call
        self._kept = kept

    def __enter__(self) -> Callable[P, T]:
        return self._guarded

    def _guarded(self, *args: P.args, **kwargs: P.kwargs) -> T:
        self._raise_kept()
        try:
            return self._call(*args, **kwargs)
        except BaseException as error:
            self._kept.append((error, error.__traceback__))
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._kept and error is not self._kept[0][0]:
                self._raise_kept()
        finally:
            self._kept.clear()

    def _raise_kept(self) -> None:
        """Raise the first error unchanged, without the library's exception as its context."""
        for error, traceback in self._kept:
            context = error.__context__
            try:
                raise error.with_traceback(traceback)
            finally:
                error.__context__ = context


def is_interrupt(error: BaseException) -> bool:
    """Return whether an exception is Ctrl-C, or the cancellation of an asyncio task."""
    from asyncio import CancelledError  # takes 15 ms, and is rarely needed

    return isinstance(error, KeyboardInterrupt | CancelledError)
