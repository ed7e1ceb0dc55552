"""Pools of multiprocessing behind the interface of an executor."""

import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, InvalidStateError
from typing import Any

from typing_extensions import override

from optimizers.errors import OptionError
from optimizers.evaluation.starts import Starts, file_starts

#: Modules whose ``map`` methods belong to executors, which can do more than a map.
_MAPS = ("concurrent.futures._base", "concurrent.futures.process")
_OTHERS = ("multiprocessing.pool", "multiprocess.pool")


def executor_behind(given: Any) -> Executor | None:
    """Return the executor whose method ``map`` was given; None if it is not known."""
    while isinstance(given, functools.partial):
        given = given.func
    pool, name = getattr(given, "__self__", None), getattr(given, "__name__", None)
    module = getattr(given, "__module__", None)
    if isinstance(pool, Executor) and module in _MAPS and name == "map":
        return pool
    if pool is not None and module in _OTHERS:
        if name in ("map", "imap", "imap_unordered"):
            return MultiprocessingExecutor(pool)
        raise OptionError(
            f"workers is the method {name} of a pool, which does not call a function of one "
            "argument: pass pool.map, or a number of workers."
        )
    return None


class MultiprocessingExecutor(Executor):
    """Passes tasks to a pool, which by itself waits forever for one whose process died."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.num_workers = pool._processes
        self._seen: set[Any] = set()
        self._sent: set[Future[Any]] = set()

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Pass a task to the pool; see :class:`concurrent.futures.Executor`."""
        if not self._sent and self._is_broken():
            raise BrokenExecutor("A process of the pool has died.")
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._sent.add(future)
        future.add_done_callback(self._sent.discard)
        ends = (functools.partial(_put, end) for end in (future.set_result, future.set_exception))
        self._pool.apply_async(fn, args, kwargs, *ends)
        return future

    def starts(self) -> Starts:
        """Return the register of the tasks that have begun."""
        return file_starts()

    def look(self) -> None:
        """Let pending tasks fail if a process has died: it may have had any of them."""
        if self._is_broken():
            for future in list(self._sent):
                _put(future.set_exception, BrokenExecutor("A process of the pool died."))

    def _is_broken(self) -> bool:
        # With maxtasksperchild, processes end by themselves and are replaced.
        normal = {0} if self._pool._maxtasksperchild else set()
        seen = {*self._seen, *self._pool._pool}
        self._seen = {process for process in seen if process.exitcode not in normal}
        return any(process.exitcode is not None for process in self._seen)


def _put(put: Callable[[Any], None], what: Any) -> None:
    with contextlib.suppress(InvalidStateError):  # it was abandoned before
        put(what)
