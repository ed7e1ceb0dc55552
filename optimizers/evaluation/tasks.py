"""What runs in a worker: the objective, kept from task to task, on the points of one task.

The objective reaches each worker once: tasks name it by a key, and a worker that does not know the
key says so. In a thread the objective is known at once, since caller and worker share it.
"""

import itertools
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from optimizers.errors import EvaluationError
from optimizers.evaluation.values import as_value, as_values, precision_of

#: How the objective takes points: one by one, several in one flat vector, or as a stack; "raw" is
#: for a function of one point whose answer is handed on as it is.
Form = Literal["points", "flat", "stack", "raw"]

_NUMBERS = itertools.count()
# The objectives that this process knows, by key. A worker forgets the oldest beyond a few.
_KNOWN: dict[str, Callable[..., Any]] = {}
_KEPT = 8


@dataclass
class Outcome:
    """What came of a task.

    Parameters
    ----------
    values : ndarray of float64 or complex128 (object for "raw"), shape (k,)
        The values of the first k points of the task.
    precision : float
        The coarsest machine precision among them.
    error : Exception, optional
        Why the point after those, or with groups all of them, has no value.
    """

    values: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    precision: float = 0.0
    error: Exception | None = None


class Unknown:
    """A worker's answer to a key that it does not know."""


def publish(fun: Callable[..., Any]) -> str:
    """Make an objective known in this process and return its key."""
    key = f"{os.getpid()}-{next(_NUMBERS)}"
    _KNOWN[key] = fun
    return key


def known(key: str) -> Callable[..., Any]:
    """Return the objective of a key that is known in this process."""
    return _KNOWN[key]


def withdraw(key: str) -> None:
    """Forget an objective in this process."""
    _KNOWN.pop(key, None)


def begin(ready: Any) -> None:
    """Start a worker process: say that it is ready, and leave Ctrl-C to the caller's process.

    Parameters
    ----------
    ready : multiprocessing.Semaphore
        Released once.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ready.release()


def perform(key: str, payload: bytes | None, form: Form, points: NDArray[Any]) -> Outcome | Unknown:
    """Evaluate the points of a task.

    Parameters
    ----------
    key : str
        Names the objective.
    payload : bytes, optional
        The pickled objective, for a worker that does not know it.
    form : {"points", "flat", "stack", "raw"}
        How the objective takes points.
    points : ndarray of float64 or complex128, shape (k, n)
        The points.

    Returns
    -------
    Outcome or Unknown
        The values up to the first failure.
    """
    if key not in _KNOWN:
        if payload is None:
            return Unknown()
        while len(_KNOWN) >= _KEPT:
            _KNOWN.pop(next(iter(_KNOWN)))
        _KNOWN[key] = pickle.loads(payload)
    outcome = evaluate(_KNOWN[key], form, points)
    if payload is not None or _is_remote(key):
        outcome.error = _portable(outcome.error)
    return outcome


def evaluate(fun: Callable[..., Any], form: Form, points: NDArray[Any]) -> Outcome:
    """Evaluate points in this thread, up to the first failure; see :func:`perform`."""
    dtype = points.dtype.type
    if form == "raw":
        answer = np.empty(1, dtype=object)
        try:
            answer[0] = fun(points[0].copy())
        except Exception as error:
            return Outcome(error=error)
        return Outcome(answer)
    if form != "points":
        try:
            raw = fun(points.copy() if form == "stack" else points.flatten())
            return Outcome(as_values(raw, len(points), dtype), precision_of(raw))
        except Exception as error:
            return Outcome(error=error)
    values: list[complex] = []
    precision, failure = 0.0, None
    for point in points:
        try:
            raw = fun(point.copy())
            if type(raw) is not float:
                precision = max(precision, precision_of(raw))
            values.append(as_value(raw) if dtype is np.float64 else as_values(raw, 1, dtype)[0])
        except Exception as error:
            failure = error
            break
    return Outcome(np.array(values, dtype=dtype), precision, failure)


def _is_remote(key: str) -> bool:
    return not key.startswith(f"{os.getpid()}-")


def _portable(error: Exception | None) -> Exception | None:
    """Return an error that survives the way home, with the worker's traceback as a note."""
    if error is None:
        return None
    error.add_note("In the worker:\n" + "".join(traceback.format_exception(error)).rstrip())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever an error of the user's does when it is pickled
        return EvaluationError(f"fun raised {type(error).__name__}: {error}")
    return error
