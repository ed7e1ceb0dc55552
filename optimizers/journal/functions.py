"""A user's functions, called in the run's own thread, around which each call is recorded.

A compiled solver may call them every few microseconds, so what is usual goes the quickest way here.
"""

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.errors import EvaluationError, InvalidValueError
from optimizers.evaluation.answers import (
    as_gradient,
    as_measure,
    as_value,
    as_values,
    precision_of,
    unpack,
)
from optimizers.journal.recorder import Recorder
from optimizers.journal.records import Kind, Record, encoded, line

_FLOAT64 = np.dtype(np.float64)
_EPS = float(np.finfo(np.float64).eps)


def recorded_fun(recorder: Recorder, fun: Callable[..., Any]) -> Callable[[NDArray[Any]], Any]:
    """Return an objective whose calls are answered from the journal, or recorded.

    Parameters
    ----------
    recorder : Recorder
        The journal.
    fun : callable
        ``fun(x) -> number``.
    """
    pending, put, clock = recorder.pending, recorder.put, perf_counter

    def call(x: NDArray[Any]) -> Any:
        seq = recorder.next
        recorder.next = seq + 1
        if pending:
            known = recorder.lookup(seq, "fun", x)
            if known is not None:
                value = value_of(known)
                return value if known.error is None else (value, known.error)
        if x.dtype is not _FLOAT64:
            return _complex(recorder, seq, fun, x)
        point, began = encoded(x), clock()
        try:
            raw = fun(x)
        except Exception as error:
            _failed(recorder, seq, "fun", point, clock() - began, error)
            raise
        seconds, further = clock() - began, ""
        value = raw
        if type(raw) is not float:
            try:
                value, spread = as_measure(raw, x.size)
            except InvalidValueError as error:  # raised again by who asked, with its words
                _failed(recorder, seq, "fun", point, seconds, error)
                return raw
            if not math.isnan(spread):
                further = f',"se":{spread!r}'
            if precision_of(raw) > _EPS:
                further += f',"eps":{precision_of(raw)!r}'
        put(line(seq, "fun", point, value, None, seconds, further))
        return raw

    return call


def recorded_jac(
    recorder: Recorder, jac: Callable[..., Any], kind: Kind = "jac"
) -> Callable[[NDArray[Any]], Any]:
    """Return a gradient, or with "both" an objective that returns it too; see recorded_fun."""
    pending, put, clock, ndarray = recorder.pending, recorder.put, perf_counter, np.ndarray
    is_joint = kind == "both"

    def call(x: NDArray[Any]) -> Any:
        seq = recorder.next
        recorder.next = seq + 1
        if pending:
            known = recorder.lookup(seq, kind, x)
            if known is not None:
                return answer_of(known)
        n, point, began = x.size, encoded(x), clock()
        try:
            raw = jac(x)
        except Exception as error:
            _failed(recorder, seq, kind, point, clock() - began, error)
            raise
        seconds, value, gradient = clock() - began, None, raw
        try:
            if is_joint:
                value, gradient = raw if type(raw) is tuple and len(raw) == 2 else unpack(raw)
                if type(value) is not float:
                    value = as_value(value)
            if not (
                type(gradient) is ndarray
                and gradient.dtype is _FLOAT64
                and gradient.shape == (n,)
                and gradient.flags.c_contiguous
            ):
                gradient = as_gradient(gradient, n, finite=False)
        except InvalidValueError as error:
            _failed(recorder, seq, kind, point, seconds, error)
            return raw
        put(line(seq, kind, point, value, gradient, seconds))
        return raw

    return call


def recorded_hessian(
    recorder: Recorder, hessian: Callable[..., Any], kind: Kind
) -> Callable[..., Any]:
    """Return a ``hess`` or ``hessp``; what is no array (sparse, an operator) is not recorded."""

    def call(*arrays: NDArray[Any]) -> Any:
        seq = recorder.next
        recorder.next = seq + 1
        x = np.concatenate(arrays) if len(arrays) > 1 else arrays[0].copy()
        known = recorder.lookup(seq, kind, x)
        if known is not None:
            answer = answer_of(known)
            return answer.reshape(x.size, x.size) if kind == "hess" else answer
        began = perf_counter()
        try:
            raw = hessian(*arrays)
        except Exception as error:
            _failed(recorder, seq, kind, encoded(x), perf_counter() - began, error)
            raise
        if isinstance(raw, np.ndarray) and raw.dtype == np.float64:
            flat = np.ascontiguousarray(raw).ravel()
            recorder.put(line(seq, kind, encoded(x), None, flat, perf_counter() - began))
        return raw

    return call


def value_of(record: Record) -> Any:
    """Return a recorded value, of its own precision; raise its failure."""
    _raise_failure(record)
    if record.precision and isinstance(record.fun, float):
        for kind in (np.float32, np.float16):
            if record.precision == float(np.finfo(kind).eps):
                return kind(record.fun)
    return record.fun


def answer_of(record: Record) -> Any:
    """Return a recorded gradient, for "both" with the value; raise its failure."""
    _raise_failure(record)
    return (record.fun, record.jac) if record.kind == "both" else record.jac


def failure_of(record: Record) -> EvaluationError:
    """Return the error that stands for a recorded failure."""
    return EvaluationError(f"{record.failure} (recorded in the journal)")


def _raise_failure(record: Record) -> None:
    if record.failure is not None:
        raise failure_of(record)


def words_of(error: BaseException) -> str:
    """Return a failure as a journal keeps it."""
    return f"{type(error).__name__}: {error}"


def _complex(recorder: Recorder, seq: int, fun: Callable[..., Any], x: NDArray[Any]) -> Any:
    """Record a probe off the real axis."""
    point, began = x.copy(), perf_counter()
    try:
        raw = fun(x)
        value = as_values(raw, 1, np.complex128)[0]
    except Exception as error:
        if not isinstance(error, StopIteration):
            words = words_of(error)
            recorder.put(Record(seq, "fun", point, failure=words).text())
        raise
    seconds = perf_counter() - began
    recorder.put(Record(seq, "fun", point, complex(value), seconds=seconds).text())
    return raw


def _failed(
    recorder: Recorder, seq: int, kind: str, point: str, seconds: float, error: Exception
) -> None:
    """Record a failure; StopIteration is the wish to stop, and none."""
    if not isinstance(error, StopIteration):
        x = Record.from_entry({"seq": seq, "kind": kind, "x": point, "error": words_of(error)})
        recorder.put(x.text()[:-1] + f',"t":{seconds:.3g}}}')
