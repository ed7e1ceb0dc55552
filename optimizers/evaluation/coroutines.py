"""Objectives that are coroutine functions: awaited on the caller's event loop."""

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent import futures
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import InvalidValueError
from optimizers.evaluation.executors import DaemonExecutor, LocalExecutor
from optimizers.evaluation.marks import marked_like
from optimizers.evaluation.task import FAILURES, Failure, Form, TaskResult, evaluate, known

T = TypeVar("T")


class CoroutineExecutor(LocalExecutor):
    """Awaits the evaluations of a wave together, on an event loop in another thread."""

    cancels = True

    def __init__(self, loop: asyncio.AbstractEventLoop, in_flight: int | None) -> None:
        self._loop = loop
        self._max_workers = in_flight
        self._is_cancelled = False
        self._pending: set[Future[Any]] = set()

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a task on the loop; see :func:`optimizers.evaluation.task.perform`."""
        if self._is_cancelled:
            raise asyncio.CancelledError
        key, _, form, points, seconds = args
        future = _Awaited(lambda: _perform(key, form, points, seconds), self._loop)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        if self._is_cancelled:  # just now, by the loop's thread
            future.cancel()
        return future

    def take_back(self, futures: Iterable["_Awaited"]) -> set["_Awaited"]:
        """Return the evaluations that have not begun, and no longer will."""
        return {future for future in futures if future.drop()}

    def cancel(self) -> None:
        """Cancel what is pending, and reject what comes later."""
        self._is_cancelled = True
        for future in list(self._pending):
            future.cancel()


class _Awaited(Future[Any]):
    """An evaluation that ends when it is canceled, whether it has begun or not."""

    def __init__(
        self,
        evaluate: Callable[[], Coroutine[Any, Any, TaskResult]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._has_begun = self._is_dropped = False
        self.set_running_or_notify_cancel()
        self._inner = asyncio.run_coroutine_threadsafe(self._begin(evaluate), loop)
        self._inner.add_done_callback(self._pass_on)

    async def _begin(self, evaluate: Callable[[], Coroutine[Any, Any, TaskResult]]) -> TaskResult:
        with self._lock:
            if self._is_dropped:
                raise asyncio.CancelledError
            self._has_begun = True
        return await evaluate()

    @override
    def cancel(self) -> bool:
        """End the evaluation; return whether it never begins."""
        is_dropped = self.drop()
        self._inner.cancel()
        return is_dropped

    def drop(self) -> bool:
        """Prevent the evaluation from beginning if it has not; return whether it never does."""
        with self._lock:
            self._is_dropped = not self._has_begun
            return self._is_dropped

    def _pass_on(self, inner: Future[Any]) -> None:
        if inner.cancelled():
            self.set_exception(futures.CancelledError())
        elif inner.exception() is not None:
            self.set_exception(inner.exception())
        else:
            self.set_result(inner.result())


async def awaited(call: Callable[[], T], executor: CoroutineExecutor) -> T:
    """Await a run in its own thread: the loop has only a few, and an objective may need them.

    The result of a canceled run is an attribute of the error, and of the awaiting task.
    """
    # A future and not a task: SystemExit would end the loop before this coroutine has it.
    ended: list[tuple[Any, BaseException | None]] = []
    work = DaemonExecutor().submit(contextvars.copy_context().run, _end, call, ended)
    run = asyncio.wrap_future(work)
    cancelled: Any = None
    while not run.done():
        try:
            await asyncio.wait([run])
        except asyncio.CancelledError as error:
            cancelled = error
            executor.cancel()
    result: T
    result, failure = ended.pop()
    try:
        if isinstance(failure, asyncio.CancelledError):
            cancelled = failure
        elif failure is not None:
            raise failure
        elif cancelled is None:
            return result
        else:
            cancelled.optimizer_result = result  # nothing was evaluated after that
        task: Any = asyncio.current_task()
        with contextlib.suppress(AttributeError):  # another library's task may refuse it
            task.optimizer_result = cancelled.optimizer_result  # gather() creates a new error
        raise cancelled
    finally:
        del failure, cancelled


def _end(call: Callable[[], Any], ended: list[tuple[Any, BaseException | None]]) -> None:
    """Store what a call returns, or raises, where its traceback does not keep it alive.

    A future would; nor can a future hold a StopIteration.
    """
    try:
        ended.append((call(), None))
    except BaseException as error:
        ended.append((None, error))


async def _perform(key: str, form: Form, points: NDArray[Any], seconds: float) -> TaskResult:
    fun = known(key)
    began = time.perf_counter()
    answers: list[tuple[Any, Failure | None]] = []
    whole = {"flat": points.flatten, "stack": points.copy}
    for point in [whole[form]()] if form in whole else np.copy(points):
        if answers and time.perf_counter() - began > seconds:
            points = points[: len(answers)]
            break
        try:
            answer = fun(point)
            if not inspect.isawaitable(answer):
                raise InvalidValueError(
                    f"{fun!r} returned {answer!r:.200}, expected an awaitable: minimize_async is "
                    "for coroutine functions, minimize for all others."
                )
            answers.append((await answer, None))
        except FAILURES as error:
            answers.append((None, error))
            break

    def replay(_: Any) -> Any:
        answer, error = answers.pop(0)
        if error is not None:
            raise error
        return answer

    taken = (time.perf_counter() - began) / max(1, len(answers))
    outcome = evaluate(marked_like(replay, fun), form, points)
    outcome.seconds = taken
    return outcome
