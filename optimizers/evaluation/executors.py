"""From ``workers=`` to an executor: its kind and width, its state, and who ends it."""

import functools
import inspect
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers.errors import BrokenPoolError, OptionError
from optimizers.evaluation.dask import DaskExecutor, dask_executor, is_dask
from optimizers.evaluation.evaluator import Facts
from optimizers.evaluation.pool_map import executor_behind
from optimizers.evaluation.starts import Starts, file_starts
from optimizers.evaluation.task import Form, Function, begin, withdraw
from optimizers.evaluation.wave import Block

#: How many seconds to wait at most for a process to start, after another one has.
_START = 5.0
_EXPECTED = (
    "None, a number of processes (-1: one a core), 'vectorized', a map-like callable such as "
    "concurrent.futures' executor.map, an executor, a callable that makes one, or a Dask client"
)


class Workers:
    """An executor for the time of a run, made from what the user gave."""

    def __init__(self, given: Any, is_stacked: bool = False) -> None:
        #: Whether the objective takes a stack of points.
        self.is_stacked = is_stacked
        #: Whether there are no workers, only a clock on the caller's own evaluations.
        self.is_alone = given is DaemonExecutor
        behind = executor_behind(given)
        #: Whether it was given as its method ``map``.
        self.is_map = behind is not None
        self._given: Any = given if behind is None else behind
        self._is_own = not isinstance(self._given, Executor) and not is_dask(given)
        self._executor: Executor | None = None

    @property
    def executor(self) -> Executor:
        """The executor; made when first needed."""
        if self._executor is None:
            self._executor = _made(self._given)
        return self._executor

    @functools.cached_property
    def width(self) -> float:
        """How many tasks run at the same time; infinite if the executor does not say."""
        if is_count(self._given):
            return count_of(self._given)
        executor = self.executor
        told = getattr(executor, "_max_workers", None) or getattr(executor, "num_workers", None)
        return float("inf") if told is None else int(told)

    @property
    def is_local(self) -> bool:
        """Whether the executor's workers are threads or coroutines, which need no time to start."""
        return isinstance(self.executor, ThreadPoolExecutor | LocalExecutor)

    def starts(self) -> Starts | None:
        """Return a register of the tasks that have begun, where the executor has none."""
        own = getattr(self.executor, "starts", None)
        if own is not None:
            return own()  # type: ignore[no-any-return]  # duck typed, as executors are
        # Process pools of this machine report some queued tasks as running.
        kept = getattr(self.executor, "_processes", None)
        return file_starts() if isinstance(kept, dict) else None

    @property
    def look(self) -> Callable[[], None] | None:
        """A check for dead workers, where the executor does not report them."""
        return getattr(self._executor, "look", None)

    def take_back(self, futures: list[Future[Any]]) -> set[Future[Any]]:
        """Return the tasks that have not begun, and no longer will."""
        take_back = getattr(self._executor, "take_back", None)
        if take_back is not None:
            return set(take_back(futures))
        return {future for future in futures if not future.running() and future.cancel()}

    def replace(self) -> bool:
        """Replace a broken executor by a new one; return False if it is the user's."""
        if not self._is_own:
            return False
        self._end(is_idle=False)
        return True

    def kill(self) -> tuple[bool, str]:
        """Stop running tasks, if possible; return whether processes were killed, and a sentence."""
        is_killed = self._is_own and bool(_processes(self._executor))
        if self._is_own:
            self._end(is_idle=False)
        if is_killed:
            return True, "its process was killed."
        if getattr(self._executor, "cancels", False):
            return False, "it was canceled."
        return False, (
            "a thread, or a process of the caller's pool, cannot be killed: it was abandoned, and "
            "occupies its worker until it ends."
        )

    def close(self, is_idle: bool = True) -> None:
        """End the executor if it is the run's own; leave nothing of the run on a cluster."""
        if self._is_own:
            self._end(is_idle)
        elif isinstance(self._executor, DaskExecutor):
            self._executor.cancel()

    def _end(self, is_idle: bool) -> None:
        executor, self._executor = self._executor, None
        if executor is None:
            return
        processes = _processes(executor)
        known = inspect.signature(executor.shutdown).parameters
        if "kill_workers" in known:  # loky: its processes cannot be killed one by one
            executor.shutdown(kill_workers=not is_idle)  # type: ignore[call-arg]  # as looked up
            return
        if not is_idle:
            for process in processes:
                process.kill()
        executor.shutdown(wait=is_idle or bool(processes), cancel_futures=True)


def _processes(executor: Executor | None) -> list[Any]:
    return list((getattr(executor, "_processes", None) or {}).values())


def _made(given: Any) -> Executor:
    if is_count(given):
        return process_pool(count_of(given))
    made = given if isinstance(given, Executor) or is_dask(given) else given()
    if is_dask(made):
        return dask_executor(made)
    if not callable(getattr(made, "submit", None)):
        raise OptionError(
            f"workers is a callable that returned {made!r}, expected an executor. workers may be "
            f"{_EXPECTED}."
        )
    return made  # type: ignore[no-any-return]  # duck typed: loky's is not a subclass


def process_pool(count: int) -> Executor:
    """Return a pool of ``count`` ready processes that leave Ctrl-C to this one."""
    # Here, since importing multiprocessing takes 5 ms, and most programs start no process.
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_all_start_methods, get_context

    # Not by fork: the caller may run threads, whose locks a forked process would inherit.
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    ready = context.Semaphore(0)
    executor = ProcessPoolExecutor(count, context, initializer=begin, initargs=(ready,))
    # A process takes a second to start, which is not part of an evaluation's time.
    try:
        for future in [executor.submit(os.getpid) for _ in range(count)]:
            future.result()
    except BrokenExecutor as error:
        raise BrokenPoolError(
            "The processes did not start: each imports the main module, which must be a file that "
            'runs its code under if __name__ == "__main__". Or pass threads, or a pool of loky.'
        ) from error
    for _ in range(count):
        ready.acquire(timeout=_START)
    return executor


class LocalExecutor(Executor):
    """Runs tasks in threads or coroutines of this process, which need no time to start."""

    #: Whether running tasks can be canceled.
    cancels = False


class DaemonExecutor(LocalExecutor):
    """A thread for each task, which the interpreter does not wait for at exit."""

    _max_workers = 1

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a thread for a call; see :class:`concurrent.futures.Executor`."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def call() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=call, daemon=True, name="optimizers-evaluation").start()
        return future


def is_count(given: Any) -> bool:
    """Return whether ``workers`` is a number of processes."""
    return isinstance(given, int | np.integer) and not isinstance(given, bool)


def count_of(given: int) -> int:
    """Return the number of processes; -1 is one for each core that this process may use."""
    if given != -1:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_pool(given: Any) -> bool:
    """Return whether ``workers`` needs an executor; raise an error if its kind is not known."""
    if given is None or (isinstance(given, str) and given == "vectorized"):
        return False
    if is_count(given):
        if given == -1 or given >= 1:
            return True
    elif isinstance(given, Executor) or is_dask(given) or executor_behind(given) is not None:
        return True
    elif callable(given):
        return _takes_nothing(given)
    raise OptionError(f"workers is {given!r}, expected {_EXPECTED}.")


def _takes_nothing(given: Callable[..., Any]) -> bool:
    """Return whether a callable makes executors: it has no arguments, or named ones only.

    One that takes any number of arguments is more likely a wrapped map.
    """
    if isinstance(given, type) and issubclass(given, Executor):
        return True
    try:
        signature = inspect.signature(given)
        signature.bind()
    except (TypeError, ValueError):
        return False
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    return inspect.Parameter.VAR_POSITIONAL not in kinds


@dataclass
class Pool:
    """The workers of a run, how they handle failures, and their state."""

    workers: Workers
    #: Returns the function that a block goes to, and how it takes points.
    way: Callable[[Block], tuple[Callable[..., Any], Form]]
    #: How many points one call takes; None for a stack.
    size: int | None
    #: The time limit of one point in seconds.
    eval_timeout: float
    retries: int
    #: Whether the last running tasks of a wave are started a second time on idle workers.
    hedges: bool
    facts: Facts
    #: The workers that have answered, and the maximum number that were busy at a time.
    answered: set[str] = field(default_factory=set)
    busiest: int = 0
    #: Abandoned tasks that still occupy a worker.
    stale: set[Future[Any]] = field(default_factory=set)
    _functions: dict[int, Function] = field(default_factory=dict)

    @functools.cached_property
    def starts(self) -> Starts | None:
        """A register of the tasks that have begun, where the executor has none."""
        return self.workers.starts()

    @property
    def is_warm(self) -> bool:
        """Whether all workers have started and loaded the objective."""
        if self.workers.is_local:
            return True
        width = self.workers.width
        # Abandoned ones will not answer; if the width is not known, one answer is enough.
        expected = min(width, self.busiest) - len(self.stale) if width < math.inf else 1
        return len(self.answered) >= max(1, expected)

    def function(self, fun: Callable[..., Any]) -> Function:
        """Return a function in the form in which it is sent to workers."""
        # Made once only: each publication has a new key, which no worker knows.
        if id(fun) not in self._functions:
            self._functions[id(fun)] = Function(fun)
        return self._functions[id(fun)]

    def close(self) -> None:
        """Forget the functions, and end the executor if it is the run's own."""
        for function in self._functions.values():
            withdraw(function.key)
        if vars(self).get("starts") is not None:
            vars(self)["starts"].close()
        for future in self.stale:
            future.cancel()
        self.workers.close(is_idle=all(future.done() for future in self.stale))
