"""Failures in a journal: which of them a run that goes on evaluates again."""

import math
import types
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import optimizers
from optimizers import LBFGSB, SPSA, UMDA, EvaluationError, Journal, JournalError

START = [0.3, -0.2, 0.1]


def kill(path, kept):
    """Leave what a process that was killed would have: so many evaluations, and no end."""
    lines = path.read_text().splitlines(keepends=True)
    records = [number for number, line in enumerate(lines) if '"seq"' in line[:8]]
    path.write_text("".join(lines[: records[kept - 1] + 1]))


def often_failing(bad):
    """Return an objective of which every third point fails, and the points it was called at."""
    calls = []

    def fun(x):
        calls.append(np.array(x))
        if zlib.crc32(x.tobytes()) % 3 == 0:
            if bad is not None:
                return bad
            raise ArithmeticError("No value here.")
        return float(x @ x)

    return fun, calls


@pytest.mark.parametrize(
    ("way", "bad"),
    [
        *((way, bad) for way in ("serial", "threads", "retries") for bad in (None, math.nan)),
        ("vectorized", math.nan),  # a stack in which one fails fails as a whole
    ],
)
@pytest.mark.parametrize("make", [lambda: SPSA(maxiter=4), lambda: UMDA(maxiter=3, size_gen=10)])
def test_a_kill_costs_no_point_that_was_rejected(tmp_path, make, way, bad):
    fun, calls = often_failing(bad)
    path = tmp_path / "run.jsonl"
    objective = fun

    def stacked(points):
        return [fun(x) for x in points]

    settings = {"on_failure": "reject", "seed": 1, "journal": Journal(path, "never")}
    if way == "vectorized":
        objective, settings["workers"] = stacked, "vectorized"
    if way == "retries":
        settings["retries"] = 1
    if way == "threads":
        settings["workers"] = lambda: ThreadPoolExecutor(2)
    expected = make().minimize(objective, START, **settings)
    total, whole = len(calls), path.read_text()
    assert expected.nrejected
    for kept in range(1, len(optimizers.load(path).records), 7):
        path.write_text(whole)
        kill(path, kept)
        calls.clear()
        result = make().minimize(objective, START, **settings)
        assert result.fun == expected.fun
        recorded = optimizers.load(path).records
        failing = sum(record.is_failed for record in recorded[:kept])
        per_failure = 2 if way == "retries" and bad is None else 1
        assert len(calls) == total - (kept - failing) - per_failure * failing, kept


@pytest.mark.parametrize("workers", [None, lambda: ThreadPoolExecutor(2)])
def test_the_failure_that_ended_a_rejecting_run_is_evaluated_again(tmp_path, workers):
    path, calls = tmp_path / "run.jsonl", []
    cause = types.SimpleNamespace(is_mended=False)

    def fun(x):
        calls.append(x)
        if not cause.is_mended and np.array_equal(x, START):
            raise ArithmeticError("The start.")
        return float(x @ x)

    settings = {"on_failure": "reject", "journal": path, "workers": workers}
    settings["journal_check"] = "off"  # what is mended is another function
    with pytest.raises(ArithmeticError):
        LBFGSB().minimize(fun, START, **settings)
    cause.is_mended = True
    known = len({record.seq for record in optimizers.load(path).records if not record.is_failed})
    calls.clear()
    result = LBFGSB().minimize(fun, START, **settings)
    assert result.success
    assert len(calls) == result.nfev - known


def test_an_error_of_another_kind_costs_no_rejected_point(tmp_path):
    fun, calls = often_failing(None)
    path = tmp_path / "run.jsonl"
    settings = {"on_failure": "reject", "seed": 1, "journal": path}
    states = []

    def callback(intermediate_result):
        states.append(intermediate_result.nit)
        if len(states) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        UMDA(maxiter=3, size_gen=10).minimize(fun, START, callback=callback, **settings)
    begun = len(calls)
    result = UMDA(maxiter=3, size_gen=10).minimize(fun, START, **settings)
    assert result.nrejected
    assert (result.nreplayed, len(calls)) == (begun, result.nfev)


def test_a_kill_before_the_end_does_not_keep_the_failure_for_ever(tmp_path):
    path, cause = tmp_path / "run.jsonl", types.SimpleNamespace(is_mended=False)
    settings = {"journal": path, "journal_check": "off", "on_failure": "reject"}

    def fun(x):
        if not cause.is_mended:
            raise ArithmeticError("The start.")
        return float(x @ x)

    with pytest.raises(ArithmeticError):
        LBFGSB().minimize(fun, START, **settings)
    kill(path, 1)
    cause.is_mended = True
    with pytest.raises(EvaluationError, match=r"The start. \(recorded in the journal\)"):
        LBFGSB().minimize(fun, START, **settings)
    assert LBFGSB().minimize(fun, START, **settings).success


def test_what_counts_is_whether_the_last_start_rejected(tmp_path):
    path, cause = tmp_path / "run.jsonl", types.SimpleNamespace(calls=0)
    settings = {"journal": path, "journal_check": "off"}  # the count is set anew

    def fun(x):
        cause.calls += 1
        if cause.calls == 3:
            raise ArithmeticError("Once.")
        return float(x @ x)

    with pytest.raises(ArithmeticError):
        LBFGSB(eps=1e-3).minimize(fun, START, **settings)
    # What ended the run is made again; from here on, nothing is that is rejected.
    cause.calls = 0
    LBFGSB(eps=1e-3).minimize(fun, START, on_failure="reject", **settings)
    kill(path, 6)
    result = LBFGSB(eps=1e-3).minimize(fun, START, on_failure="reject", **settings)
    assert (result.nrejected, result.nreplayed) == (1, 5)


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_an_error_while_records_are_prepared_gives_the_journal_back(tmp_path, name, monkeypatch):
    path = tmp_path / name
    LBFGSB(maxfun=9).minimize(lambda x: float(x @ x) ** 2, START, journal=path)
    with monkeypatch.context() as patch:
        # As for records that say what no run writes.
        patch.setattr("optimizers.journal.recorder.Recorder._prepare", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            LBFGSB().minimize(lambda x: float(x @ x) ** 2, START, journal=path)
    assert LBFGSB().minimize(lambda x: float(x @ x) ** 2, START, journal=path).success
    assert issubclass(optimizers.JournalLockedError, JournalError)
