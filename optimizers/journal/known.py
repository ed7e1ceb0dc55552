"""What is known before a run, from a journal, a recording, a history, a result or arrays."""

import os
from collections import defaultdict, deque
from typing import Any

import numpy as np

from optimizers._types import BoundsLike
from optimizers.errors import InvalidInputError, OptionError
from optimizers.journal.functions import answer_of
from optimizers.journal.header import sign_of
from optimizers.journal.history import Recording, load
from optimizers.journal.journal import Journal
from optimizers.problem.known import Known, KnownPoints, KnownRows
from optimizers.result import OptimizerResult
from optimizers.run.observers import History

#: What has been read by the package itself.
_READ = KnownRows, KnownPoints
_KINDS = (str, os.PathLike, Journal, Recording, History, OptimizerResult, Known, *_READ)


def check_known(name: str, value: Any) -> None:
    """Raise an OptionError for what cannot be read as known points, whatever is in it."""
    if not (isinstance(value, _KINDS) or (isinstance(value, tuple) and 2 <= len(value) <= 4)):
        raise OptionError(
            f"{name} is {value!r:.200}, expected a journal, a Recording, a History, the result of "
            "a run that had one of these, a Known, or a tuple of arrays: (X, f), (X, f, gradients) "
            "or (X, f, gradients, errors)."
        )


def start_of(x0: Any, settings: dict[str, Any], bounds: BoundsLike) -> Any:
    """Return the start: as given, or the best of the known points, which settings get as read."""
    if settings.get("known") is None:
        return x0
    settings["known"] = known = known_rows(settings["known"])
    if x0 is None and isinstance(known, KnownRows):
        return known.start(bounds, maximize=bool(settings.get("maximize")))
    return x0


def known_rows(given: Any) -> KnownRows | KnownPoints:
    """Return known points as they were given, read and checked."""
    check_known("known", given)
    if isinstance(given, _READ):
        return given
    if isinstance(given, OptimizerResult):
        if given._record is None:
            raise InvalidInputError(
                "known is a result that does not hold its evaluations: give the run a journal or "
                "callback=History(), or give known as arrays."
            )
        given = given._record
    if isinstance(given, Journal):
        given = given.path
    if isinstance(given, str | os.PathLike):
        given = load(given)
    if isinstance(given, Recording):
        return _of_recording(given)
    if isinstance(given, History):
        return _of_history(given)
    if isinstance(given, Known):
        given = (given.x, given.fun, given.jac, given.errors)
    return KnownRows.of(*given)


def _of_recording(recording: Recording) -> KnownRows:
    """Return the evaluations of a journal that succeeded, each with its gradient if there is one.

    Where a point was evaluated several times, its gradients belong to its values in their order.
    """
    header, sign = recording.header, sign_of(recording.header)
    good = [r for r in recording.records if not r.is_failed and r.x.dtype == np.float64]
    slopes = defaultdict[bytes, deque[Any]](deque)
    for record in good:
        if record.kind == "jac":
            slopes[record.x.tobytes()].append(answer_of(record))
    rows = [record for record in good if record.kind in ("fun", "both")]
    jac: list[Any] = []
    for record in rows:
        waiting = slopes[record.x.tobytes()]
        if record.kind == "both":
            jac.append(answer_of(record)[1])
        else:
            jac.append(waiting.popleft() if waiting else None)
    has_residuals = "residuals" in header["problem"]
    fun = [record.residuals if has_residuals else record.fun for record in rows]
    return KnownRows(
        [record.x for record in rows],
        sign * np.array(fun, dtype=np.float64),
        jac if has_residuals else [None if g is None else sign * g for g in jac],
        np.array([record.error for record in rows], dtype=np.float64),
        "searched",
        header["problem"].get("names"),
        max((record.precision for record in rows), default=0.0),
    )


def _of_history(history: History) -> KnownRows:
    """Return the evaluations of a history that succeeded."""
    good = [e for e in history.evaluations if np.isfinite(e.fun) and e.failure is None]
    good = [e for e in good if e.x.size]  # those of long histories have no point
    fun = np.array([e.fun for e in good], dtype=np.float64)
    none = [None] * len(good)
    return KnownRows([e.x for e in good], fun, none, np.full(len(good), np.nan), "free")
