"""Waves on an executor: tasks are submitted, collected, retried, hedged and given up here.

No more tasks are handed to the executor than it has workers, so that a task runs as soon as it is
submitted: what has not started can be taken back, and a clock per task means something.
"""

import asyncio
import functools
import math
import pickle
import statistics
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import (
    EvaluationTimeoutError,
    InvalidInputError,
    MissingExtraError,
    WorkerDiedError,
)
from optimizers.evaluation.evaluators import Answer, Evaluator, check_group, is_vectorized
from optimizers.evaluation.tasks import (
    Form,
    Outcome,
    Unknown,
    perform,
    publish,
    withdraw,
)
from optimizers.evaluation.workers import DaemonExecutor, Workers, is_pool

#: A task is hedged when it has taken this many times the median of those that are done.
_SLOW = 1.5
#: Seconds between two looks at tasks that may be overdue.
_TICK = 0.01


@dataclass
class _Task:
    """Rows of a wave that are evaluated together."""

    part: slice
    began: float = 0.0
    #: How many evaluations of it failed, and how many workers died of it.
    failures: int = 0
    deaths: int = 0
    is_hedged: bool = False
    has_payload: bool = False

    @property
    def size(self) -> int:
        return int(self.part.stop - self.part.start)


class PoolEvaluator(Evaluator):
    """Evaluates waves of points on an executor.

    Parameters
    ----------
    fun : callable
        The objective.
    group : int
        How many points one task takes, in the way of :class:`Evaluator`; with 1, a wave that has
        more points than there are workers is cut so that they are filled in one round.
    workers : Workers
        The executor, and how it is replaced when it breaks.
    eval_timeout : float, optional
        The most seconds that one point may take.
    retries : int, default 0
        How often a point that failed is tried again.
    hedge : bool, default False
        Whether the last running tasks of a wave are started a second time on idle workers.

    Raises
    ------
    InvalidInputError
        From the first wave, before any evaluation, if the objective cannot be sent to a process.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        group: int | None,
        workers: Workers,
        *,
        eval_timeout: float | None = None,
        retries: int = 0,
        hedge: bool = False,
    ) -> None:
        super().__init__(fun, group, "vectorized" if workers.is_stacked else None, retries=retries)
        self.workers = workers
        self.eval_timeout = math.inf if eval_timeout is None else eval_timeout
        self.hedges = hedge
        self._functions: dict[int, _Function] = {}
        self._late: list[tuple[NDArray[Any], NDArray[Any]]] = []
        #: What was given up and still occupies a worker.
        self.stale: set[Future[Any]] = set()

    @property
    def width(self) -> float:  # type: ignore[override]  # known when the executor is there
        """How many points can be evaluated at the same time."""
        return self.workers.width

    @property
    @override
    def calls_points(self) -> bool:
        return False

    @override
    def close(self) -> None:
        for function in self._functions.values():
            withdraw(function.key)
        for future in self.stale:
            future.cancel()
        self.workers.close(is_idle=all(future.done() for future in self.stale))

    @override
    def value(self, x: NDArray[Any]) -> float:
        return float(self._one(self._fun, x, "stack" if self.is_stacked else "points"))

    @override
    def raw(self, fun: Callable[..., Any], x: NDArray[Any]) -> Any:
        started = self.started
        try:
            return self._one(fun, x, "raw")
        finally:
            self.started = started

    def _one(self, fun: Callable[..., Any], x: NDArray[Any], form: Form) -> Any:
        wave = _Wave(self, self._function(fun), form, x[np.newaxis])
        try:
            for _, answer in wave.answers():
                if isinstance(answer, Exception):
                    raise answer
                return answer[0]
        finally:
            wave.abandon()
        raise AssertionError("A wave of one point has one answer.")

    @override
    def wave(
        self, points: NDArray[Any], spare: float = math.inf, deadline: float = math.inf
    ) -> Generator[tuple[slice, Answer], None, None]:
        form: Form = "stack" if self.is_stacked else "points" if self.size == 1 else "flat"
        wave = _Wave(self, self._function(self._fun), form, points, spare, deadline)
        try:
            yield from wave.answers()
        finally:
            self._late.extend(wave.abandon())

    @override
    def late(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        late, self._late = self._late, []
        return late

    def _function(self, fun: Callable[..., Any]) -> "_Function":
        # Made once only: each is published anew, under a key that no worker knows.
        if id(fun) not in self._functions:
            self._functions[id(fun)] = _Function(fun)
        return self._functions[id(fun)]


def check_workers(group: int | None, workers: Any) -> None:
    """Raise an error if the size of groups, or the workers, cannot be used; see Evaluator.

    Raises
    ------
    OptionError
        If one of them has no value that is known, or they do not go together.
    """
    if is_pool(workers):
        check_group(group)
    else:
        Evaluator(check_workers, group, workers)


def evaluator_for(
    fun: Callable[..., Any],
    group: int | None = 1,
    workers: Any = None,
    *,
    eval_timeout: float | None = None,
    retries: int = 0,
    hedge: bool = False,
) -> Evaluator:
    """Return the evaluator that a run's settings mean.

    Parameters
    ----------
    fun : callable
        The objective.
    group : int, optional
        ``max_evals_grouped``.
    workers, eval_timeout, retries, hedge
        As in :class:`RunSettings`.

    Returns
    -------
    Evaluator
        One that holds no worker before its first wave.
    """
    is_stacked = workers == "vectorized" if isinstance(workers, str) else False
    if is_pool(workers):
        pool = Workers(workers, is_vectorized(fun))
    elif eval_timeout is not None and not callable(workers):
        # What runs in this thread cannot be given up: it runs in another.
        pool = Workers(DaemonExecutor, is_stacked or is_vectorized(fun))
    else:
        return Evaluator(fun, group, workers, retries=retries)
    return PoolEvaluator(fun, group, pool, eval_timeout=eval_timeout, retries=retries, hedge=hedge)


class _Function:
    """A function that workers know by its key, and its bytes for those that do not."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self._fun = fun
        self.key = publish(fun)

    @functools.cached_property
    def payload(self) -> bytes:
        return pickled(self._fun)


def pickled(fun: Callable[..., Any]) -> bytes:
    """Return an objective as bytes for another process.

    Raises
    ------
    InvalidInputError
        If it cannot be pickled.
    MissingExtraError
        If it is a lambda or closure and cloudpickle is not installed.
    """
    try:
        import cloudpickle as pickler
    except ImportError:
        pickler = pickle
    try:
        data: bytes = pickler.dumps(fun)
    except Exception as error:  # pickling runs code of the objective's own
        if pickler is pickle:
            raise MissingExtraError(
                f"fun is {fun!r}, which cannot be sent to another process without cloudpickle "
                f"({error}): pip install 'variational-optimizers[workers]', or define it at the "
                "top level of a module."
            ) from error
        raise InvalidInputError(
            f"fun is {fun!r}, which cannot be sent to another process ({error}): keep what cannot "
            "be pickled (open files, locks, connections) out of it, or use threads."
        ) from error
    return data


class _Wave:
    """One wave under way."""

    def __init__(
        self,
        pool: PoolEvaluator,
        function: _Function,
        form: Form,
        points: NDArray[Any],
        spare: float = math.inf,
        deadline: float = math.inf,
    ) -> None:
        self._pool, self._function, self._form, self._points = pool, function, form, points
        self._spare, self._deadline = spare, deadline
        self._next = 0  # the first row that is in no task yet
        self._again: deque[_Task] = deque()
        self._running: dict[Future[Any], _Task] = {}
        self._times: list[float] = []
        self._has_first = False
        self._chunk: int | None = None

    def answers(self) -> Iterator[tuple[slice, Answer]]:
        while True:
            self._fill()
            if not self._running:
                return
            done, _ = wait(self._running, self._patience(), return_when=FIRST_COMPLETED)
            for future in done:
                task = self._running.pop(future, None)
                if task is not None:
                    yield from self._collect(future, task)
            yield from self._give_up_overdue()
            self._hedge()

    def abandon(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Take back what has not started, leave the rest to itself, return what is there."""
        late = []
        for future, task in self._running.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                outcome = future.result()
                if isinstance(outcome, Outcome) and len(outcome.values):
                    late.append((self._points[task.part][: len(outcome.values)], outcome.values))
            else:
                self._drop(future, task)
        self._running.clear()
        return late

    # From points to tasks.

    def _fill(self) -> None:
        while self._idle() > 0 and time.monotonic() <= self._deadline:
            task = self._take()
            if task is None:
                return
            self._start(task)

    def _idle(self) -> float:
        stale = self._pool.stale
        for future in [future for future in stale if future.done()]:
            stale.discard(future)
        suspects = any(task.deaths > 1 for task in (*self._running.values(), *self._again))
        # Those with whom workers died twice run alone, to find the one that kills.
        width = 1 if suspects else max(1, self._pool.width - len(stale))
        return width - len(self._running)

    def _take(self) -> _Task | None:
        if self._again:
            return self._again.popleft()
        count = len(self._points) - self._next
        if count == 0:
            return None
        size = min(self._size(count), count)
        self._next += size
        return _Task(slice(self._next - size, self._next))

    def _size(self, count: int) -> int:
        """Return how many of the ``count`` remaining points the next task takes."""
        pool = self._pool
        if pool.size is not None and pool.size > 1:
            return pool.size
        if pool.size is None:  # a stack: as many as fill the workers
            self._chunk = self._chunk or math.ceil(len(self._points) / min(pool.width, 1e9))
            return self._chunk
        if not self._has_first or pool.width >= len(self._points):
            return 1
        # The value has come and the gradient is wanted: the rest in one round.
        self._chunk = self._chunk or math.ceil(count / pool.width)
        return self._chunk

    def _start(self, task: _Task) -> None:
        task.began = time.monotonic()
        payload = self._function.payload if task.has_payload else None
        arguments = self._function.key, payload, self._form, self._points[task.part]
        # Counted before: Ctrl-C may come when it was submitted and is not yet known here.
        self._pool.started += task.size
        try:
            try:
                future = self._pool.workers.executor.submit(perform, *arguments)
            except BrokenExecutor:  # it broke while it was idle
                if not self._pool.workers.replace():
                    raise
                future = self._pool.workers.executor.submit(perform, *arguments)
        except Exception:
            self._pool.started -= task.size
            raise
        self._running[future] = task

    def _drop(self, future: Future[Any], task: _Task) -> None:
        if future.cancel():
            self._pool.started -= task.size
        elif not future.done():
            self._pool.stale.add(future)

    # From futures to answers.

    def _collect(self, future: Future[Any], task: _Task) -> Iterator[tuple[slice, Answer]]:
        try:
            outcome = future.result()
        except BrokenExecutor as error:
            yield from self._bury(task, error)
            return
        except WorkerDiedError as error:  # of an executor that sends a task again by itself
            died = WorkerDiedError(f"x = {self._shown(task)} {error}.")
            died.__cause__ = error.__cause__
            yield task.part, died
            return
        except CancelledError:  # by somebody else: whoever owns the executor ends the run
            raise asyncio.CancelledError from None
        except Exception as error:
            outcome = Outcome(error=error)
        if isinstance(outcome, Unknown):
            self._pool.started -= task.size
            task.has_payload = True
            self._again.appendleft(task)
            return
        self._times.append((time.monotonic() - task.began) / task.size)
        for twin in [f for f, other in self._running.items() if other is task]:
            self._running.pop(twin)
            self._drop(twin, task)
        yield from self._answer(task, outcome)

    def _answer(self, task: _Task, outcome: Outcome) -> Iterator[tuple[slice, Answer]]:
        pool, start, count = self._pool, task.part.start, len(outcome.values)
        pool.precision = max(pool.precision, outcome.precision)
        if start == 0:
            self._has_first = True
        if count:
            yield slice(start, start + count), outcome.values
        if outcome.error is None:
            return
        # With groups the whole call failed; otherwise one point, and those after it never began.
        size = 1 if pool.size == 1 else task.size
        failed = _Task(slice(start + count, start + count + size), failures=task.failures)
        rest = _Task(slice(failed.part.stop, task.part.stop))
        if rest.size:
            pool.started -= rest.size
            self._again.append(rest)
        yield from self._fail(failed, outcome.error)

    def _fail(self, task: _Task, error: Exception) -> Iterator[tuple[slice, Answer]]:
        task.failures += 1
        if task.failures <= self._pool.retries and self._spare >= task.size:
            self._spare -= task.size
            self._again.append(task)
        else:
            yield task.part, error

    def _give_up_overdue(self) -> Iterator[tuple[slice, Answer]]:
        limit = self._pool.eval_timeout
        if limit == math.inf:
            return
        now = time.monotonic()
        overdue = {
            id(task): (future, task)
            for future, task in self._running.items()
            if now - task.began > limit * task.size and not future.done()
        }
        if not overdue:
            return
        what = self._pool.workers.kill()
        for future, task in list(self._running.items()):
            if id(task) in overdue or (what.kills and not future.done()):
                self._running.pop(future)
                if not what.kills:
                    self._drop(future, task)
                elif id(task) not in overdue:
                    self._again.append(task)  # it died with the one that was killed
        for _, task in overdue.values():
            yield from self._fail(
                _Task(task.part, failures=task.failures),
                EvaluationTimeoutError(
                    f"fun took more than eval_timeout = {limit} s at "
                    f"x = {self._shown(task)}; {what.words}"
                ),
            )

    def _bury(self, task: _Task, error: BrokenExecutor) -> Iterator[tuple[slice, Answer]]:
        """Send what a broken pool left undone to a new one, or say which point breaks it."""
        victims = [task]
        for future, other in list(self._running.items()):
            if future.done() and not isinstance(future.exception(), BrokenExecutor):
                continue
            self._running.pop(future)
            if all(other is not victim for victim in victims):
                victims.append(other)
        can_go_on = self._pool.workers.replace()
        for victim in victims:
            victim.deaths += 1
        twice = [victim for victim in victims if victim.deaths > 1]
        for victim in victims:
            is_guilty = len(twice) == 1 and victim is twice[0]
            if can_go_on and not is_guilty and self._spare >= victim.size:
                self._spare -= victim.size
                self._again.append(victim)
                continue
            cause = (
                "died twice"
                if is_guilty
                else "died, and the pool is the caller's own: pass a factory that makes one, or a "
                "number of workers, to go on with a new one"
                if not can_go_on
                else "died, and the budget does not allow to evaluate again"
            )
            died = WorkerDiedError(f"A worker that evaluated x = {self._shown(victim)} {cause}.")
            died.__cause__ = error
            yield victim.part, died

    def _shown(self, task: _Task) -> str:
        points = self._points[task.part]
        return f"{(points[0] if len(points) == 1 else points).tolist()!s:.500}"

    # Clocks.

    def _patience(self) -> float | None:
        if self._pool.eval_timeout < math.inf:
            ends = [t.began + self._pool.eval_timeout * t.size for t in self._running.values()]
            return max(_TICK, min(ends) - time.monotonic())
        return _TICK if self._may_hedge() else None

    def _may_hedge(self) -> bool:
        pool = self._pool
        return (
            pool.hedges
            and self._next == len(self._points)
            and not self._again
            and len(self._times) >= len(self._running)
            and self._idle() > 0
            and any(not task.is_hedged for task in self._running.values())
        )

    def _hedge(self) -> None:
        if not self._may_hedge():
            return
        usual = statistics.median(self._times)
        for task in list(self._running.values()):
            slow = time.monotonic() - task.began > _SLOW * usual * task.size
            if slow and not task.is_hedged and self._idle() > 0 and self._spare >= task.size:
                self._spare -= task.size
                task.is_hedged = True
                began = task.began
                self._start(task)
                task.began = began
