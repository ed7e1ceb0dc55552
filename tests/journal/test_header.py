"""A journal goes with one run: another is refused, its seed is kept, a divergence is reported."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint, rosen, rosen_der

import optimizers
from optimizers import (
    BFGS,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    TNC,
    Differences,
    JournalMismatchError,
    OptimizerWarning,
    SciPyOptimizer,
    StopReason,
)

START = [-1.2, 1.0, 0.5]
BOX = [(-2, 2)] * 3


def never(x):
    raise AssertionError("Nothing is to be evaluated.")


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


OTHERS = {
    "optimizer is 'LBFGSB' in the journal, but 'TNC' now": (TNC(), {}),
    r"x0\[1\] is 1.0 in the journal, but 1.5 now": (LBFGSB(), {"x0": [-1.2, 1.5, 0.5]}),
    "the number of variables is 3 in the journal, but 2 now": (LBFGSB(), {"x0": [1, 2]}),
    "lower has bounds in the journal, but none now": (LBFGSB(), {"bounds": None}),
    r"upper\[0\] is 2.0 in the journal, but 3.0 now": (LBFGSB(), {"bounds": [(-2, 3), *BOX[1:]]}),
    "jac is None in the journal, but 'function' now": (LBFGSB(), {"jac": rosen_der}),
    "jac is None in the journal, but '3-point' now": (LBFGSB(), {"jac": "3-point"}),
    "ftol is .* in the journal, but 0.1 now": (LBFGSB(ftol=0.1), {}),
    "maxcor is None in the journal, but 3 now": (LBFGSB(options={"maxcor": 3}), {}),
    "seed is 5 in the journal, but 6 now": (LBFGSB(), {"seed": 6}),
    "seed is 5 in the journal, but None now": (LBFGSB(), {"seed": None}),
    "noise is None in the journal, but 0.1 now": (LBFGSB(), {"noise": 0.1}),
}


@pytest.mark.parametrize("words", OTHERS)
def test_another_run_is_refused_with_what_differs(tmp_path, words):
    path = tmp_path / "run.jsonl"
    LBFGSB().minimize(rosen, START, bounds=BOX, seed=5, journal=path)
    text = path.read_text()
    optimizer, changed = OTHERS[words]
    given = {"x0": START, "bounds": BOX, "seed": 5, **changed}
    if len(given["x0"]) == 2:
        given["bounds"] = BOX[:2]
    with pytest.raises(JournalMismatchError, match=words):
        optimizer.minimize(never, journal=path, **given)
    assert path.read_text() == text


def test_constraints_and_differences_are_part_of_the_problem(tmp_path):
    path = tmp_path / "run.jsonl"
    scheme = Differences("3-point", step=[1e-4, 1e-5, 1e-6])
    SLSQP().minimize(rosen, START, scheme, journal=path, journal_check="off")
    ring = NonlinearConstraint(lambda x: x @ x, 0, 9)
    with pytest.raises(JournalMismatchError, match="constraints is 0 in the journal, but 1 now"):
        SLSQP().minimize(never, START, scheme, constraints=ring, journal=path, journal_check="off")
    with pytest.raises(JournalMismatchError, match=r"jac.step is \[.*\] in .* None now"):
        SLSQP().minimize(never, START, Differences("3-point"), journal=path, journal_check="off")
    assert SLSQP().minimize(never, START, scheme, journal=path, journal_check="off").success


def test_many_differences_are_cut_short(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=30).minimize(rosen, np.zeros(20), journal=path)
    with pytest.raises(JournalMismatchError, match="so do 18 more components of x0") as caught:
        LBFGSB(ftol=0.5).minimize(never, np.ones(20), journal=path)
    assert str(caught.value).count("\n") == 5


def test_a_journal_of_another_format_is_refused(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB().minimize(rosen, START, journal=path)
    lines = entries(path)
    lines[0]["journal"] = 99
    write(path, lines)
    with pytest.raises(JournalMismatchError, match="has the format 99, expected 1"):
        LBFGSB().minimize(never, START, journal=path)


def test_what_does_not_change_the_way_may_be_changed(tmp_path):
    path = tmp_path / "run.jsonl"
    short = LBFGSB(maxfun=22).minimize(rosen, START, journal=path, journal_check="off")
    assert short.stop is StopReason.MAXFUN
    seen = []

    def fun(x):
        seen.append(x)
        return rosen(x)

    longer = LBFGSB(maxfun=1000, workers=None, on_failure="reject", timeout=600)
    result = longer.minimize(
        fun, START, callback=print, journal=path, journal_check="off", retries=0
    )
    expected = LBFGSB().minimize(rosen, START)
    assert np.array_equal(result.x, expected.x)
    assert result.nfev == expected.nfev == len(seen) + short.nfev
    # And back: less is answered without evaluating.
    assert (
        LBFGSB(maxfun=22).minimize(never, START, journal=path, journal_check="off").nfev
        == short.nfev
    )
    assert optimizers.load(path).result.nfev == expected.nfev


def test_settings_may_come_from_the_constructor_or_the_call(tmp_path):
    path = tmp_path / "run.jsonl"
    first = SciPyOptimizer(
        "L-BFGS-B", options={"ftol": 1e-3}, journal=str(path), journal_check="off", seed=2
    )
    first.minimize(rosen, START)
    again = SciPyOptimizer("L-BFGS-B", ftol=1e-3)
    assert again.minimize(never, START, journal=path, journal_check="off", seed=2).success
    assert SciPyOptimizer(**first.settings) == first


@pytest.mark.parametrize(
    "seed",
    [
        lambda: None,
        lambda: 7,
        lambda: [1, 2, 3],
        lambda: np.random.default_rng(3),
        lambda: np.random.Generator(np.random.MT19937(3)),
        lambda: np.random.Generator(np.random.Philox(3)),
        lambda: np.random.SeedSequence(8),
        lambda: np.random.PCG64(8),
    ],
)
def test_random_numbers_are_those_of_the_first_time(tmp_path, seed):
    # The table of differences is along a random line.
    def fun(x):
        points.append(x.copy())
        return float(x @ x) + 1e-3

    points = []
    path = tmp_path / "run.jsonl"
    LBFGSB(noise="estimate", seed=seed()).minimize(fun, START, journal=path)
    first, points = points, []
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    LBFGSB(noise="estimate", seed=seed()).minimize(fun, START, journal=path)
    assert np.array_equal(points, first[2:])


def test_a_generator_is_the_users_own(tmp_path):
    mine, twin = np.random.default_rng(3), np.random.default_rng(3)
    LBFGSB(noise=None, seed=mine).minimize(rosen, START, journal=tmp_path / "run.jsonl")
    assert mine.random() == twin.random()


# Divergence.


def shifted(path, seq, by):
    """Move a recorded point, as another BLAS or another SciPy would have done."""
    lines = entries(path)
    for i, entry in enumerate(lines):
        if entry.get("seq") == seq:
            record = optimizers.journal.Record.from_entry(entry)
            moved = dataclasses.replace(record, x=record.x + by)
            lines[i] = json.loads(moved.text())
    write(path, lines)


def test_a_difference_in_the_last_digits_is_reported_and_followed(tmp_path):
    path = tmp_path / "run.jsonl"
    expected = LBFGSB().minimize(rosen, START, journal=path, journal_check="off")
    lines = entries(path)
    lines[0]["versions"]["scipy"] = "1.0"
    write(path, lines)
    shifted(path, 30, 1e-12)
    with pytest.warns(OptimizerWarning, match="Evaluation 30 .* differs by .*e-1[23].*scipy 1.0"):
        result = LBFGSB().minimize(never, START, journal=path, journal_check="off")
    assert np.array_equal(result.x, expected.x)


@pytest.mark.parametrize("cls", [LBFGSB, NELDER_MEAD, BFGS])
def test_another_way_goes_on_from_the_best_point(tmp_path, cls):
    path = tmp_path / "run.jsonl"
    first = cls(maxfun=50).minimize(rosen, START, journal=path, journal_check="off")
    shifted(path, 30, 1e-3)
    points = []

    def fun(x):
        points.append(x.copy())
        return rosen(x)

    with pytest.warns(OptimizerWarning, match="cannot be followed at evaluation 30"):
        result = cls(maxfun=400).minimize(fun, START, journal=path, journal_check="off")
    recorded = len([entry for entry in entries(path) if "seq" in entry]) - len(points)
    assert result.nfev == recorded + len(points)
    assert recorded == first.nfev
    assert np.abs(points[0] - first.best.x).max() < 0.05  # a probe: its value is recorded
    assert result.fun <= first.best.fun
    # And again, without a word.
    text = path.read_text()
    again = cls(maxfun=400).minimize(never, START, journal=path, journal_check="off")
    assert (again.fun, again.nfev, again.nit) == (result.fun, result.nfev, result.nit)
    assert path.read_text() == text
    # What is killed after the fresh start resumes behind it.
    lines = text.splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) - 15]))
    rest = len(points)
    points.clear()
    again = cls(maxfun=400).minimize(fun, START, journal=path, journal_check="off")
    assert (again.fun, again.nfev) == (result.fun, result.nfev)
    assert len(points) < rest


@pytest.mark.parametrize("seq", [0, 16, 30, 33])
@pytest.mark.parametrize("form", ["serial", "threads", "jac", "both", "jac in threads"])
def test_all_that_is_recorded_counts_on_another_way(tmp_path, form, seq):
    path = tmp_path / "run.jsonl"
    jac = {"both": True}.get(form, rosen_der if "jac" in form else None)
    fun = (lambda x: (rosen(x), rosen_der(x))) if form == "both" else rosen
    with ThreadPoolExecutor(4) as pool:
        workers = pool if "threads" in form else None
        LBFGSB(maxfun=60).minimize(fun, START, jac, journal=path, workers=workers)
        before = optimizers.load(path)
        shifted(path, seq, 1e-3)
        kinds = [record.kind for record in before.records]
        with pytest.warns(OptimizerWarning, match=f"at evaluation {seq}"):
            result = LBFGSB().minimize(fun, START, jac, journal=path, workers=workers)
    records = optimizers.load(path).records
    assert len(records) > len(kinds)
    kinds = [record.kind for record in records]
    assert result.nfev == kinds.count("fun") + kinds.count("both")
    assert result.njev == kinds.count("jac") + kinds.count("both")


@pytest.mark.parametrize("seed", [3, np.random.default_rng(3)])
def test_another_way_under_noise_can_be_resumed(tmp_path, seed):
    # Its random numbers begin again with the fresh start, then and later.
    path = tmp_path / "run.jsonl"
    optimizer = LBFGSB(noise="estimate", seed=seed)
    optimizer.minimize(rosen, START, journal=path, journal_check="off")
    shifted(path, 40, 1e-3)
    with pytest.warns(OptimizerWarning, match="at evaluation 40"):
        expected = optimizer.minimize(rosen, START, journal=path, journal_check="off")
    result = optimizer.minimize(never, START, journal=path, journal_check="off")
    assert (result.fun, result.nfev) == (expected.fun, expected.nfev)


def test_another_way_counts_against_the_budget(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=50).minimize(rosen, START, journal=path)
    nfev = optimizers.load(path).result.nfev
    shifted(path, 10, 1e-3)
    with pytest.warns(OptimizerWarning, match="cannot be followed"):
        result = LBFGSB(maxfun=60).minimize(rosen, START, journal=path)
    assert nfev < result.nfev <= 60
    assert result.best.fun <= optimizers.load(path).values.min()


def test_a_run_that_finds_nothing_to_go_on_from_starts_again(tmp_path):
    path = tmp_path / "run.jsonl"

    def fails(x):
        raise ZeroDivisionError("always")

    with pytest.raises(ZeroDivisionError):
        LBFGSB().minimize(fails, START, journal=path, journal_check="off")
    assert LBFGSB().minimize(rosen, START, journal=path, journal_check="off").success


# Failures.


def test_the_failure_that_ended_a_run_is_evaluated_again(tmp_path):
    path = tmp_path / "run.jsonl"

    def broken(x):
        if len(optimizers.load(path).records) == 20:
            raise ZeroDivisionError("a bug")
        return rosen(x)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            LBFGSB().minimize(broken, START, journal=path, journal_check="off")
        recording = optimizers.load(path)
        assert recording.failures[20] == "ZeroDivisionError: a bug"
        assert recording.result.stop is StopReason.FAILED
        assert not recording.is_finished
        path.write_text(path.read_text())
        lines = entries(path)
        write(path, [line for line in lines if line.get("seq") != 20 and "end" not in line])
    result = LBFGSB().minimize(rosen, START, journal=path, journal_check="off")
    expected = LBFGSB().minimize(rosen, START)
    assert np.array_equal(result.x, expected.x)
    assert result.nfev == expected.nfev


@pytest.mark.parametrize("bad", [float("nan"), None, "text", [1.0, 2.0], 1j])
@pytest.mark.parametrize("retries", [0, 1])
def test_a_bad_value_is_recorded_and_evaluated_again(tmp_path, bad, retries):
    path = tmp_path / "run.jsonl"
    calls = []

    def broken(x):
        calls.append(x)
        return bad if len(calls) > 12 else rosen(x)

    with pytest.raises(optimizers.EvaluationError):
        LBFGSB(retries=retries).minimize(broken, START, journal=path, journal_check="off")
    recording = optimizers.load(path)
    assert np.isnan(recording.values[-1])
    assert bool(recording.failures[-1]) == (bad == bad)
    result = LBFGSB(retries=retries).minimize(rosen, START, journal=path, journal_check="off")
    expected = LBFGSB(retries=retries).minimize(rosen, START)
    assert np.array_equal(result.x, expected.x)
    assert result.nfev == expected.nfev
    assert len(optimizers.load(path).records) == result.nfev + 1  # the failure is not forgotten


def test_stopping_from_the_objective_is_no_failure(tmp_path):
    path = tmp_path / "run.jsonl"

    def fun(x):
        if len(optimizers.load(path).records) == 12:
            raise StopIteration
        return rosen(x)

    assert (
        LBFGSB().minimize(fun, START, journal=path, journal_check="off").stop is StopReason.CALLBACK
    )
    assert optimizers.load(path).failures == [None] * 12
    assert LBFGSB().minimize(rosen, START, journal=path, journal_check="off").success
