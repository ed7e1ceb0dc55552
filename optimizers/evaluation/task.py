"""The code that runs in a worker: the objective, cached between tasks, on the points of one task.

The objective reaches each worker once: tasks name it by a key, and a worker that does not know the
key says so. In a thread the objective is known at once, since caller and worker share it.
"""

import functools
import itertools
import math
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers.errors import (
    IN_WORKER,
    EvaluationError,
    InvalidInputError,
    InvalidValueError,
    MissingExtraError,
    show_user_first,
    words_of,
)
from optimizers.evaluation.answers import (
    as_answer,
    as_measure,
    as_values,
    check_count,
    joined_answer,
    precision_of,
)
from optimizers.evaluation.marks import has_errors, loss_of
from optimizers.evaluation.starts import Start

#: How the objective takes points: one by one; several in one flat vector; as a stack; as a "batch"
#: of two or more, and a single one alone. "raw" is a function of one point whose answer is passed
#: on unchanged, "rows" one of a stack that returns a row for each, or values and rows.
Form = Literal["points", "flat", "batch", "stack", "raw", "rows"]

#: How a user's call fails: exceptions that end a program must not end the worker instead.
Failure: TypeAlias = Exception | SystemExit
FAILURES = (Exception, SystemExit)

_NUMBERS = itertools.count()
# A process id is not enough: in containers, the same ones recur.
_TOKEN = os.urandom(16).hex()
# The objectives that this process sends, by key.
_PUBLISHED: dict[str, Callable[..., Any]] = {}
# Those that it received as a worker. It forgets the oldest beyond a few.
_RECEIVED: dict[str, Callable[..., Any]] = {}
_KEPT = 8
# A worker process may have several threads; an RLock, since unpickling runs the user's code.
_RECEIVING = threading.RLock()


@dataclass
class TaskResult:
    """The outcome of a task."""

    #: The answer to the first k points.
    values: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    precision: float = 0.0
    #: The failure of the point after those, or of all points of a group.
    error: Failure | None = None
    #: The mean time of a point, and the process or thread that evaluated it.
    seconds: float | None = None
    worker: str = ""
    #: Whether the worker could load the objective: if not, ``error`` says why.
    is_loaded: bool = True


class Unknown:
    """A worker's answer to a key that it does not know."""


def publish(fun: Callable[..., Any]) -> str:
    """Make an objective known in this process and return its key."""
    key = f"{_origin()}-{next(_NUMBERS)}"
    _PUBLISHED[key] = fun
    return key


def known(key: str) -> Callable[..., Any]:
    """Return the objective of a key that was made known in this process."""
    return _PUBLISHED[key]


def withdraw(key: str) -> None:
    """Forget an objective in this process."""
    _PUBLISHED.pop(key, None)


def begin(ready: Any) -> None:
    """Start a worker process: say that it is ready, and leave Ctrl-C to the caller's process.

    It ends with the caller's process, even if that is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True, name="optimizers-parent").start()
    ready.release()


def _end_with_parent() -> None:
    from multiprocessing import parent_process  # only a worker process needs it

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def perform(
    key: str,
    payload: bytes | None,
    form: Form,
    points: NDArray[Any],
    seconds: float = math.inf,
    start: Start | None = None,
) -> TaskResult | Unknown:
    """Evaluate a task's points up to the first failure, or those that begin within ``seconds``.

    ``payload`` is the pickled objective, for a worker that does not know its ``key``. A task that
    reaches its ``start`` too late returns no values.
    """
    fun = _PUBLISHED.get(key)
    if fun is None:  # not "or": an objective may be falsy, for instance one that has a length
        try:
            fun = _received(key, payload)
        except Exception as error:
            return TaskResult(error=_portable(error), is_loaded=False)
        if fun is None:
            return Unknown()
    began = time.perf_counter()
    may_begin = start is None or start.note()
    outcome = evaluate(fun, form, points, seconds) if may_begin else TaskResult()
    tried = min(len(outcome.values) + (outcome.error is not None), len(points))
    outcome.seconds = (time.perf_counter() - began) / max(1, tried)
    outcome.worker = f"{os.getpid()}/{threading.current_thread().name}"
    if not key.startswith(_origin()):
        outcome.error = _portable(outcome.error)
    return outcome


def evaluate(
    fun: Callable[..., Any], form: Form, points: NDArray[Any], seconds: float = math.inf
) -> TaskResult:
    """Evaluate points in this thread, up to the first failure; see :func:`perform`."""
    dtype = points.dtype.type
    loss = loss_of(fun)
    if form != "points":
        try:
            if form == "raw":
                answer = np.empty(1, dtype=object)
                answer[0] = fun(points[0].copy())
                return TaskResult(answer)
            if form == "rows":
                return TaskResult(_rows(fun(points.copy()), len(points), loss is not None))
            is_flat = form == "flat" or (form == "batch" and len(points) == 1)
            raw = fun(points.flatten() if is_flat else points.copy())
            if loss is not None:
                answer = loss.answer(raw, len(points), dtype, is_stack=form == "stack")
            else:
                # The gradients of a stack have another shape than standard errors.
                has_pairs = form == "stack" or has_errors(fun)
                answer = as_answer(raw, len(points), points.shape[1], dtype, has_errors=has_pairs)
            return TaskResult(answer, precision_of(raw))
        except FAILURES as error:
            return TaskResult(error=error)
    values: list[Any] = []
    errors: list[float] = []
    precision = 0.0
    failure: Failure | None = None
    end = math.inf if seconds == math.inf else time.perf_counter() + seconds
    for point in points:
        if values and end < math.inf and time.perf_counter() > end:
            break
        try:
            raw = fun(point.copy())
            if type(raw) is float and dtype is np.float64 and loss is None:
                values.append(raw)
                continue
            precision = max(precision, precision_of(raw))
            if loss is not None:
                row = loss.answer(raw, 1, dtype)[0]
                if values:
                    check_count(len(row) - 2, len(values[0]) - 2)
                values.append(row)
            elif dtype is np.float64:
                value, spread = as_measure(raw, len(point), has_errors(fun))
                if not math.isnan(spread):
                    errors += [math.nan] * (len(values) - len(errors)) + [spread]
                values.append(value)
            else:
                values.append(as_values(raw, 1, dtype)[0])
        except FAILURES as error:
            failure = error
            break
    if errors:
        errors += [math.nan] * (len(values) - len(errors))
        return TaskResult(joined_answer(values, errors), precision, failure)
    return TaskResult(np.array(values, dtype=dtype), precision, failure)


def _rows(answer: Any, count: int, has_residuals: bool) -> NDArray[Any]:
    """Return what a function of a stack returned as an array of objects, one for each point."""
    ndim = 2 + has_residuals
    is_pair = isinstance(answer, tuple) and len(answer) == 2 and np.ndim(answer[1]) == ndim
    if is_pair and len(answer[1]) == count and (not has_residuals or len(answer[0]) == count):
        first = answer[0] if has_residuals else as_values(answer[0], count)
        answer = list(zip(first, answer[1], strict=True))
    elif is_pair or not hasattr(answer, "__len__") or len(answer) != count:
        raise InvalidValueError(
            f"A vectorized function returned {answer!r:.200}, expected a row for each of {count} "
            "points."
        )
    rows = np.empty(count, dtype=object)
    for i, row in enumerate(answer):  # one by one: an assigned array would be broadcast
        rows[i] = row
    return rows


def is_worth_a_retry(error: Failure) -> bool:
    """Return whether a failure may be temporary, which a bug or a request to stop is not."""
    return not isinstance(error, InvalidValueError | StopIteration | SystemExit)


class Caught:
    """A function for a map: a failure at a point is an answer, and does not end the others."""

    def __init__(self, fun: Callable[..., Any], form: Form, deadline: float = math.inf) -> None:
        self._fun, self._form, self._home = fun, form, _origin()
        self._deadline = deadline

    def __call__(self, point: NDArray[Any]) -> TaskResult:
        """Evaluate one point, unless it is too late; another machine has another clock."""
        if self._home == _origin() and time.monotonic() > self._deadline:
            return TaskResult()
        outcome = evaluate(self._fun, self._form, point[np.newaxis])
        if self._home != _origin():
            outcome.error = _portable(outcome.error)
        return outcome


def _received(key: str, payload: bytes | None) -> Callable[..., Any] | None:
    """Return the objective that this process received, now or before, or None."""
    with _RECEIVING:
        if key not in _RECEIVED and payload is not None:
            while len(_RECEIVED) >= _KEPT:
                _RECEIVED.pop(next(iter(_RECEIVED)))
            _RECEIVED[key] = pickle.loads(payload)
        return _RECEIVED.get(key)


def _origin() -> str:
    """Return a prefix for the keys of this process that is unique among all machines."""
    return f"{os.getpid()}-{_TOKEN}"


def _portable(error: Failure | None) -> Failure | None:
    """Return an error that can be pickled, with the worker's traceback as a note."""
    if error is None:
        return None
    show_user_first(error)
    note = f"{IN_WORKER}\n" + "".join(traceback.format_exception(error)).rstrip()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a user's error raises when it is pickled
        error = EvaluationError(f"fun raised {words_of(error)}")
    error.add_note(note)
    return error


class Function:
    """A function that workers know by its key, and its pickled form for those that do not."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self.fun = fun
        self.key = publish(fun)

    @functools.cached_property
    def payload(self) -> bytes:
        """The function, pickled when it is first needed."""
        return pickled(self.fun)


def not_loaded(fun: Callable[..., Any], error: BaseException | None) -> InvalidInputError:
    """Return the error for an objective that a worker process could not load."""
    return InvalidInputError(
        f"fun is {fun!r}, which a worker process cannot load ({error}): define it at the top level "
        "of a file, outside of 'if __name__ == \"__main__\":', or pip install cloudpickle."
    )


def pickled(fun: Callable[..., Any]) -> bytes:
    """Return an objective pickled for another process."""
    try:
        import cloudpickle as pickler
    except ImportError:
        pickler = pickle
    try:
        data: bytes = pickler.dumps(fun)
    except Exception as error:  # pickling runs the objective's code
        if pickler is pickle:
            raise MissingExtraError(
                f"fun is {fun!r}, which cannot be sent to another process without cloudpickle "
                f"({error}): pip install cloudpickle, or define it at the top level of a module."
            ) from error
        raise InvalidInputError(
            f"fun is {fun!r}, which cannot be sent to another process ({error}): remove what "
            "cannot be pickled (open files, locks, connections), or use threads."
        ) from error
    return data
