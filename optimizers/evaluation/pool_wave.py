"""One wave on an executor: its tasks are submitted, collected, retried, hedged and abandoned.

The executor gets no more tasks than it has workers, so that a task runs as soon as it is submitted
(unless others use the workers too) and a time limit per task is meaningful.
"""

import asyncio
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from typing import Any

from optimizers.errors import BrokenPoolError, EvaluationTimeoutError, WorkerDiedError, release
from optimizers.evaluation.evaluator import Part
from optimizers.evaluation.executors import Pool
from optimizers.evaluation.pool_task import PoolTask, PoolTasks
from optimizers.evaluation.task import (
    Failure,
    TaskResult,
    Unknown,
    is_worth_a_retry,
    not_loaded,
    perform,
)
from optimizers.evaluation.wave import Wave

#: A task is hedged when it has taken this many times the median of those that are done.
_SLOW = 1.5
_HOPELESS = (
    "the pool is the caller's: pass a callable that makes one, or a number of workers, so that it "
    "can be replaced"
)
#: Seconds that a worker may take to load the objective for the first time, including imports.
_LOADING = 10.0
#: Seconds between checks for overdue tasks.
_TICK = 0.01
#: Seconds between checks for dead workers, and the longest wait without a check.
_LOOK, _LONG = 0.5, 1e6


class PoolWave:
    """One wave in progress on a pool."""

    def __init__(self, pool: Pool, wave: Wave) -> None:
        self._pool, self._wave = pool, wave
        self._tasks = PoolTasks(pool, wave)
        self._running: dict[Future[Any], PoolTask] = {}
        # The numbers by which tasks note that they have begun.
        self._numbers: dict[Future[Any], int] = {}

    def answers(self) -> Iterator[Part]:
        """Yield parts as they arrive."""
        while True:
            self._fill()
            if not self._running:
                return
            done, _ = wait(self._running, self._patience(), return_when=FIRST_COMPLETED)
            for future in done:
                task = self._running.pop(future, None)
                if task is not None:
                    yield from self._collect(future, task)
            if self._pool.workers.look is not None:
                self._pool.workers.look()
            yield from self._give_up_overdue()
            if self._wave.is_overdue:
                self._take_back()
            else:
                self._hedge()

    def abandon(self) -> None:
        """Take back what has not started, abandon the rest, and keep what has arrived."""
        for future, task in self._running.items():
            future.add_done_callback(_forget_error)
            if future.done() and not future.cancelled() and future.exception() is None:
                result = future.result()
                is_kept = task.block.kind == "fun" and task.block.is_real
                if is_kept and isinstance(result, TaskResult) and len(result.values):
                    self._wave.late.append((task.points[: len(result.values)], result.values))
            else:
                self._drop(future, task)
        self._running.clear()

    # From points to tasks.

    def _fill(self) -> None:
        while self._idle() > 0 and not self._wave.is_overdue:
            task = self._tasks.take()
            if task is None:
                return
            self._start(task)

    def _idle(self) -> float:
        stale = self._pool.stale
        for future in [future for future in stale if future.done()]:
            stale.discard(future)
        suspects = any(task.deaths > 1 for task in (*self._running.values(), *self._tasks.again))
        # Tasks with which workers died twice run alone, to find the one that kills.
        width = 1 if suspects else max(1, self._pool.workers.width - len(stale))
        return width - len(self._running)

    def _start(self, task: PoolTask) -> None:
        task.began = time.monotonic()
        fun, form = self._pool.way(task.block)
        function = self._pool.function(fun)
        payload = function.payload if task.has_payload else None
        left = self._wave.deadline - task.began
        arguments = function.key, payload, form, task.block.sent(task.part), left
        call: Callable[..., Any] = perform
        starts = self._pool.starts if self._wave.deadline < math.inf else None
        start = None if starts is None else starts.next(self._wave.deadline)
        if start is not None:
            call = functools.partial(perform, start=start)
        # Counted first: Ctrl-C may come after it was submitted and before it is known here.
        self._pool.facts.count(task.block, task.part)
        try:
            try:
                future = self._pool.workers.executor.submit(call, *arguments)
            except BrokenExecutor as error:  # it broke while it was idle
                if not self._pool.workers.replace():
                    raise BrokenPoolError(f"The pool is broken: {_HOPELESS}") from error
                future = self._pool.workers.executor.submit(call, *arguments)
        except (Exception, asyncio.CancelledError):
            self._pool.facts.count(task.block, task.part, -1)
            raise
        if start is not None:
            self._numbers[future] = start.number
        self._running[future] = task
        self._pool.busiest = max(self._pool.busiest, len(self._running))

    def _take_back(self) -> None:
        """Take back what has not begun when the time is up; wait for what is running."""
        waiting = [future for future in self._running if not future.done()]
        back = self._pool.workers.take_back(waiting)
        if self._numbers and self._pool.starts is not None:
            begun = self._pool.starts.noted()
            back.update(future for future in waiting if self._numbers[future] not in begun)
        for future in back:
            task = self._running.pop(future)
            self._pool.facts.count(task.block, task.part, -1)
            self._pool.stale.add(future)

    def _drop(self, future: Future[Any], task: PoolTask) -> None:
        if future.cancel():
            self._pool.facts.count(task.block, task.part, -1)
        elif not future.done():
            self._pool.stale.add(future)

    # From futures to answers.

    def _collect(self, future: Future[Any], task: PoolTask) -> Iterator[Part]:
        try:
            result = future.result()
        except BrokenExecutor as error:
            yield from self._bury(task, error)
            return
        except WorkerDiedError as error:  # from an executor that resends tasks by itself
            died = WorkerDiedError(f"x = {self._shown(task)} {error}.")
            died.__cause__ = error.__cause__
            yield task.block, task.part, died
            return
        except CancelledError:  # by someone else: the owner of the executor ends the run
            self._running[future] = task  # to be abandoned with the others
            raise asyncio.CancelledError from None
        except Exception as error:
            result = TaskResult(error=error)
        if isinstance(result, Unknown):
            self._pool.facts.count(task.block, task.part, -1)
            task.has_payload = True
            self._tasks.again.appendleft(task)
            return
        if not result.is_loaded:
            self._pool.facts.count(task.block, task.part, -1)
            raise not_loaded(self._pool.way(task.block)[0], result.error) from result.error
        self._pool.answered.add(result.worker)
        if task.block.kind != "jac":
            self._tasks.times.append((time.monotonic() - task.began) / task.size)
        for twin in [f for f, other in self._running.items() if other is task]:
            self._running.pop(twin)
            self._drop(twin, task)
        yield from self._answer(task, result)

    def _answer(self, task: PoolTask, result: TaskResult) -> Iterator[Part]:
        pool, start, count = self._pool, task.part.start, len(result.values)
        facts = pool.facts
        facts.precision = max(facts.precision, result.precision)
        facts.seconds, facts.worker = result.seconds, result.worker
        if start == 0 and task.block is self._wave.blocks[0]:
            self._tasks.has_first = True
        # The error keeps frames of the worker, which keep the result.
        error, result.error = result.error, None
        if count:
            yield task.block, slice(start, start + count), result.values
        if error is None:
            late = slice(start + count, task.part.stop)
            if late.start < late.stop:  # the run's time was up before these
                pool.facts.count(task.block, late, -1)
            return
        # In groups the whole call failed; otherwise one point, and those after it never began.
        size = 1 if pool.way(task.block)[1] in ("points", "raw") else task.size
        end = start + count + size
        failed = PoolTask(task.block, slice(start + count, end), failures=task.failures)
        rest = PoolTask(task.block, slice(end, task.part.stop))
        if rest.size:
            pool.facts.count(task.block, rest.part, -1)
            self._tasks.again.append(rest)
        yield from self._fail(failed, error)

    def _fail(self, task: PoolTask, error: Failure) -> Iterator[Part]:
        task.failures += 1
        may = task.failures <= self._pool.retries and is_worth_a_retry(error)
        yield from self._again_or(error, task, may)

    def _again_or(self, error: Failure, task: PoolTask, may: bool = True) -> Iterator[Part]:
        """Evaluate a task again if allowed and within the budget; otherwise it has failed."""
        if may and self._wave.retries.grants(task.block, task.part):
            self._tasks.again.append(task)
        else:
            yield task.block, task.part, error

    def _give_up_overdue(self) -> Iterator[Part]:
        limit = self._pool.eval_timeout
        if limit == math.inf:
            return
        now, loading = time.monotonic(), self._loading()
        overdue = dict.fromkeys(
            task
            for future, task in self._running.items()
            if now > self._end(task, loading) and not future.done()
        )
        if not overdue:
            return
        unfinished = {future for future in self._running if not future.done()}
        is_killed, became = self._pool.workers.kill()
        if is_killed:
            self._pool.answered.clear()
        victims: dict[PoolTask, None] = {}  # died with the one that was killed
        for future, task in list(self._running.items()):
            if task in overdue or (is_killed and future in unfinished):
                self._running.pop(future)
                if not is_killed:
                    self._drop(future, task)
                elif task not in overdue:
                    victims[task] = None
        took = f"fun took more than eval_timeout = {limit} s"
        words = f"{took} at another point, and the budget does not allow another evaluation of"
        for task in victims:
            task.has_payload = False
            late = EvaluationTimeoutError(f"{words} x = {self._shown(task)}.")
            yield from self._again_or(late, task)
        for task in overdue:
            late = EvaluationTimeoutError(f"{took} at x = {self._shown(task)}; {became}")
            yield from self._fail(PoolTask(task.block, task.part, failures=task.failures), late)

    def _bury(self, task: PoolTask, error: BrokenExecutor) -> Iterator[Part]:
        """Send unfinished tasks of a broken pool to a new one, or find the point that breaks it."""
        victims = [task]
        for future, other in list(self._running.items()):
            if future.done() and not isinstance(future.exception(), BrokenExecutor):
                continue
            self._running.pop(future)
            if other not in victims:
                victims.append(other)
        can_go_on = self._pool.workers.replace()
        self._pool.answered.clear()
        for victim in victims:
            victim.deaths += 1
            victim.has_payload = False  # the workers are new
        twice = [victim for victim in victims if victim.deaths > 1]
        kind = WorkerDiedError if can_go_on else BrokenPoolError
        for victim in victims:
            is_guilty = twice == [victim]
            cause = (
                "died twice"
                if is_guilty
                else f"died, and {_HOPELESS}"
                if not can_go_on
                else "died, and the budget does not allow another evaluation"
            )
            died = kind(f"A worker that evaluated x = {self._shown(victim)} {cause}.")
            died.__cause__ = error
            yield from self._again_or(died, victim, can_go_on and not is_guilty)

    def _shown(self, task: PoolTask) -> str:
        points = task.points
        return f"{(points[0] if len(points) == 1 else points).tolist()!s:.500}"

    # Clocks.

    def _patience(self) -> float | None:
        """Return the number of seconds until the next check; None for no check."""
        now, deadline = time.monotonic(), self._wave.deadline
        look = deadline if now <= deadline else now + _LOOK
        if self._pool.workers.look is not None:
            look = min(look, now + _LOOK)
        if self._pool.eval_timeout < math.inf:
            loading = self._loading()
            look = min(look, *(self._end(task, loading) for task in self._running.values()))
        if self._may_hedge():
            look = now
        return None if look == math.inf else min(max(_TICK, look - now), _LONG)

    def _loading(self) -> float:
        """Return the seconds that a task may have to wait for a worker that is loading."""
        is_loading = any(task.has_payload for task in self._running.values())
        return _LOADING if is_loading or not self._pool.is_warm else 0.0

    def _end(self, task: PoolTask, loading: float) -> float:
        """Return the time at which a task is overdue."""
        return task.began + self._pool.eval_timeout * task.size + loading

    def _may_hedge(self) -> bool:
        pool = self._pool
        return (
            pool.hedges
            and not self._tasks.waiting
            and not self._tasks.again
            and len(self._tasks.times) >= len(self._running)
            and self._idle() > 0
            and any(
                task.block.kind != "jac" and not task.is_hedged for task in self._running.values()
            )
        )

    def _may_twin(self, task: PoolTask) -> bool:
        return task.block.kind != "jac" and not task.is_hedged

    def _hedge(self) -> None:
        if not self._may_hedge():
            return
        usual = statistics.median(self._tasks.times)
        for task in list(self._running.values()):
            slow = time.monotonic() - task.began > _SLOW * usual * task.size
            may = slow and self._may_twin(task) and self._idle() > 0
            if may and self._wave.retries.grants(task.block, task.part):
                task.is_hedged = True
                began = task.began
                self._start(task)
                task.began = began


def _forget_error(future: Future[Any]) -> None:
    """Drop an error that nobody waits for: it would keep its frames and the objective alive."""
    if not future.cancelled() and future.exception() is None:
        result = future.result()
        if isinstance(result, TaskResult):
            release(result.error)
            result.error = None
