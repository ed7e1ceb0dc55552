"""A user's functions, called in the run's own thread, with each call recorded.

A compiled solver may call them every few microseconds, so the usual case is fast.
"""

import json
import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from optimizers._types import Array
from optimizers.errors import EvaluationError, InvalidValueError, words_of
from optimizers.evaluation.answers import (
    as_gradient,
    as_jacobian,
    as_measure,
    as_value,
    as_values,
    precision_of,
    unpack,
)
from optimizers.evaluation.evaluator import Facts
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.marks import has_errors, with_errors
from optimizers.gradients.source import EPS
from optimizers.journal.recorder import Recorder
from optimizers.journal.records import PROBE, Kind, Record, encoded, line

_FLOAT64 = np.dtype(np.float64)


def recorded(
    recorder: Recorder, function: Callable[..., Any], kind: Kind, facts: Facts, run: int = 0
) -> Callable[..., Any]:
    """Return a function whose calls in a run are answered from the journal, or recorded."""
    counter = recorder.of(run)
    pending, put, clock = recorder.pending, recorder.put, perf_counter
    is_hessian = kind in ("hess", "hessp")

    def call(*given: NDArray[Any], is_probe: bool = False) -> Any:
        seq = counter.next
        counter.next = seq + 1
        # Probes outside of a wave are those of the latest point.
        if not (is_probe or recorder.is_in_wave):
            recorder.ask = seq
        x = np.concatenate(given) if is_hessian else given[0]
        if pending:
            known = recorder.lookup(seq, kind, x)
            if known is not None:
                facts.replayed += kind in ("fun", "both")
                return answer_of(known)
        further = ',"complex":true' if x.dtype.kind == "c" else ""
        mark = PROBE if is_probe else ""
        if recorder.ask != seq:
            mark = f',"ask":{recorder.ask}{mark}'
        point, began = encoded(x), clock()  # the function may spoil its copy
        try:
            raw = function(*given)
        except StopIteration:  # a request to stop, not a failure
            raise
        except Exception as error:
            further += _failure_field(error)
            put(line(seq, kind, point, None, None, clock() - began, further + mark))
            raise
        seconds = clock() - began
        value: Any = None
        gradient = None
        try:
            if kind == "fun":
                if type(raw) is float and not further:
                    value = raw
                else:
                    value, told = _measured(raw, x, has_errors(function))
                    further += told
            elif not is_hessian:
                value, gradient = gradient_in(kind, raw, x.size)
            elif isinstance(raw, np.ndarray) and raw.dtype == _FLOAT64:
                gradient = np.ascontiguousarray(raw).ravel()
            else:
                return raw  # a sparse matrix or an operator is not recorded
        except InvalidValueError as error:  # the caller raises it again
            further += _failure_field(error)
        put(line(seq, kind, point, value, gradient, seconds, further + mark))
        return raw

    call.marks_probes = True  # type: ignore[attr-defined]  # for at_probes
    return with_errors(call) if has_errors(function) else call


def _measured(raw: Any, x: NDArray[Any], is_marked: bool) -> tuple[float | complex, str]:
    """Return the value that an objective returned, and the other fields to record."""
    if x.dtype.kind == "c":
        return complex(as_values(raw, 1, np.complex128)[0]), ""
    value, error = as_measure(raw, x.size, is_marked)
    precision = precision_of(raw)
    further = "" if math.isnan(error) else f',"se":{error!r}'
    return value, further + (f',"eps":{precision!r}' if precision > EPS else "")


def gradient_in(kind: Kind, raw: Any, n: int) -> tuple[float | None, Array]:
    """Return the gradient that a function returned, and for "both" the value."""
    value = None
    if kind == "both":
        value, raw = unpack(raw)
        value = as_value(value)
    is_plain = type(raw) is np.ndarray and raw.dtype is _FLOAT64 and raw.shape == (n,)
    if is_plain and raw.flags.c_contiguous:
        return value, raw
    return value, as_gradient(raw, n, finite=False)


def fit_in(kind: Kind, raw: Any, n: int, loss: Loss) -> dict[str, Any]:
    """Return the fields of a record for the Jacobian that a function returned; more for "both"."""
    found: dict[str, Any] = {}
    if kind == "both":
        residuals, raw = unpack(raw)
        answer = loss.answer(residuals, 1, np.float64)
        found = {"fun": answer.item(0), "residuals": answer[0, 2:]}
    jacobian = as_jacobian(raw, None, n, finite=False)
    if issparse(jacobian):
        entries = jacobian.tocoo()
        row, column = (np.asarray(each, dtype=np.int64) for each in (entries.row, entries.col))
        found["cells"] = np.array([jacobian.shape[0], *(row * n + column)], dtype=np.int64)
        jacobian = np.asarray(entries.data, dtype=np.float64)
    return {**found, "jac": jacobian.ravel() if isinstance(jacobian, np.ndarray) else jacobian}


def _jacobian_of(record: Record) -> Any:
    """Return the Jacobian in a record; for a single residual it may be stored as a gradient."""
    n, cells = record.x.size, record.cells
    if record.jac is None or cells is None:
        return None if record.jac is None else record.jac.reshape(-1, n)
    where = np.divmod(cells[1:], n)
    return csr_array((record.jac, where), shape=(int(cells[0]), n))


def answer_of(record: Record) -> Any:
    """Return what a function returned, in its precision, or raise its failure."""
    if record.failure is not None:
        raise failure_of(record)
    if record.residuals is not None or record.cells is not None:
        jacobian = _jacobian_of(record)
        return jacobian if record.residuals is None else (record.residuals, jacobian)
    if record.jac is not None and record.kind == "jac" and record.jac.size != record.x.size:
        return _jacobian_of(record)
    if record.kind == "both":
        return record.fun, record.jac
    if record.jac is not None:
        return record.jac.reshape(2 * record.x.shape) if record.kind == "hess" else record.jac
    value: Any = record.fun
    if record.precision and isinstance(value, float):
        for kind in (np.float32, np.float16):
            if record.precision == float(np.finfo(kind).eps):
                value = kind(value)
    return value if record.error is None else (value, record.error)


def failure_of(record: Record) -> EvaluationError:
    """Return the error for a recorded failure."""
    return EvaluationError(f"{record.failure} (recorded in the journal)")


def _failure_field(error: Exception) -> str:
    return f',"error":{json.dumps(words_of(error))}'
