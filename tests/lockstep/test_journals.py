"""Many runs have one journal, and go on from it as a whole."""

import itertools
import math
import types
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import optimizers
from optimizers import (
    COBYLA,
    LBFGSB,
    NELDER_MEAD,
    POWELL,
    QNSPSA,
    SPSA,
    TNC,
    Journal,
    JournalMismatchError,
    OptimizerWarning,
    OptionError,
    StopReason,
    load,
    multistart,
    race,
    vectorized,
)

STARTS = [[0.5, 2.0], [-3.0, 0.1], [1.5, 1.5]]
BOX = [(-2.0, 2.0)] * 2


def kill(path, text, kept):
    """Leave what a process that was killed would have: so many evaluations, and no end."""
    count = itertools.count(1)
    lines = text.splitlines(keepends=True)
    cut = [line for line in lines if '"seq"' not in line[:8] or next(count) <= kept]
    path.write_text("".join(line for line in cut if '{"end"' not in line[:6]))


class Objective:
    """Four minima; it notes at how many points it is called."""

    def __init__(self):
        self.calls = 0

    def value(self, x):
        self.calls += 1
        return float(((x**2 - 1) ** 2 + 0.1 * x).sum())

    def gradient(self, x):
        return 4 * x * (x**2 - 1) + 0.1

    def failing(self, x):
        if np.sin(40 * x[0]) > 0.9 and not any(np.array_equal(x, start) for start in STARTS):
            self.calls += 1
            raise ArithmeticError("No value here.")
        return self.value(x)

    @property
    def stacked(self):
        return vectorized(lambda points: [self.value(x) for x in points])

    def flat(self, points):
        return [self.value(x) for x in points.reshape(-1, 2)]


def threads():
    return ThreadPoolExecutor(2)


def fidelity(xs, ys):
    return float(np.cos(xs - ys).prod() ** 2)


MANY = {
    "values": lambda f, j: LBFGSB(maxfun=30).minimize_many(f.value, STARTS, journal=j),
    "gradient": lambda f, j: TNC().minimize_many(f.value, STARTS, f.gradient, journal=j),
    "stack": lambda f, j: LBFGSB().minimize_many(f.stacked, STARTS, "3-point", journal=j),
    "groups": lambda f, j: LBFGSB(max_evals_grouped=4).minimize_many(f.flat, STARTS, journal=j),
    "threads": lambda f, j: LBFGSB().minimize_many(f.value, STARTS, journal=j, workers=threads),
    "drawn": lambda f, j: SPSA(maxiter=3).minimize_many(f.value, STARTS, journal=j),
    "rejected": lambda f, j: SPSA(maxiter=5).minimize_many(
        f.failing, STARTS, journal=j, on_failure="reject", seed=3
    ),
    "hessp": lambda f, j: QNSPSA(fidelity, maxiter=3).minimize_many(f.value, STARTS, journal=j),
    "race": lambda f, j: list(
        race([LBFGSB(), NELDER_MEAD(), SPSA(maxiter=9)], f.value, STARTS[0], journal=j).values()
    ),
    "multistart": lambda f, j: multistart(f.value, BOX, 150, slots=3, journal=j).runs,
    "multistart agrees": lambda f, j: multistart(f.stacked, BOX, 900, slots=4, journal=j).runs,
}


def assert_same(results, expected):
    for result, known in zip(results, expected, strict=True):
        for name in ("fun", "nfev", "njev", "nhev", "nit", "nrejected", "stop", "rounds"):
            assert result[name] == known[name], name
        np.testing.assert_array_equal(result.x, known.x)


@pytest.mark.parametrize("case", MANY)
def test_many_runs_go_on_as_if_they_were_never_interrupted(tmp_path, case):
    path, objective = tmp_path / "many.jsonl", Objective()
    expected = MANY[case](objective, Journal(path, "never"))
    total, text = objective.calls, path.read_text()
    count = len(load(path).records)
    assert total == sum(result.nfev for result in expected)
    assert {result.nreplayed for result in expected} == {0}
    for kept in [*range(0, count, max(1, count // 6)), count]:
        kill(path, text, kept)
        objective.calls = 0
        results = MANY[case](objective, Journal(path, "never"))
        assert_same(results, expected)
        assert objective.calls == total - sum(result.nreplayed for result in results)
    # What has ended is not evaluated again, nor written to.
    path.write_text(text)
    objective.calls = 0
    results = MANY[case](objective, Journal(path, "never"))
    assert_same(results, expected)
    assert (objective.calls, sum(result.nreplayed for result in results)) == (0, total)
    assert path.read_text() == text


@pytest.mark.parametrize("workers", [None, threads])
def test_retries_count_again(tmp_path, workers):
    path, calls = tmp_path / "many.jsonl", itertools.count(1)

    def fun(x):
        if next(calls) % 4 == 0:
            raise ArithmeticError("Now and then.")
        return float(x @ x)

    settings = {"journal": path, "retries": 2, "workers": workers}
    first = LBFGSB(maxfun=25).minimize_many(fun, STARTS, **settings)
    again = LBFGSB(maxfun=25).minimize_many(fun, STARTS, **settings)
    assert_same(again, first)
    assert [r.nreplayed for r in again] == [r.nfev for r in first]
    assert first.nfev == next(calls) - 1


def test_a_failure_that_ended_one_of_them_is_evaluated_again(tmp_path):
    path, objective = tmp_path / "many.jsonl", Objective()
    cause = types.SimpleNamespace(is_mended=False)

    def fun(x):
        if x[0] < -2.9 and not cause.is_mended:
            raise ArithmeticError("Not there.")
        return objective.value(x)

    first = NELDER_MEAD().minimize_many(fun, STARTS, journal=path)
    assert list(first.failures) == [1]
    cause.is_mended, objective.calls = True, 0
    results = NELDER_MEAD().minimize_many(fun, STARTS, journal=path, journal_check="off")
    assert_same(results, NELDER_MEAD().minimize_many(Objective().value, STARTS))
    assert objective.calls == results[1].nfev


@pytest.mark.parametrize("name", ["many.jsonl", "many.db"])
def test_a_larger_budget_goes_on(tmp_path, name):
    path, objective = tmp_path / name, Objective()
    short = LBFGSB(maxfun=9).minimize_many(objective.value, STARTS, journal=path)
    whole = LBFGSB().minimize_many(objective.value, STARTS, journal=path)
    assert (whole.nreplayed, whole.nfev) == (short.nfev, objective.calls)
    assert_same(whole, LBFGSB().minimize_many(Objective().value, STARTS))
    assert f"({whole[0].nreplayed} of {whole[0].nfev} from the journal)" in repr(whole)
    recording = load(path)
    assert recording.is_finished
    assert (recording.result.fun, recording.result.nfev) == (whole.best.fun, whole.nfev)
    assert len(recording.values) == whole.nfev


def test_a_larger_budget_of_multistart_goes_on(tmp_path):
    path, objective = tmp_path / "many.jsonl", Objective()
    short = multistart(objective.value, BOX, 100, slots=3, journal=path)
    assert short.stop is StopReason.MAXFUN
    found = multistart(objective.value, BOX, 300, slots=3, journal=path)
    assert found.nreplayed == found.runs.nreplayed == short.nfev
    assert found.runs.nreplayed == short.nfev
    words = f"{found.nfev} evaluations ({short.nfev} of {found.nfev} from the journal) in "
    assert words in repr(found)
    assert objective.calls == found.nfev <= 300


def test_another_call_is_refused(tmp_path):
    path, objective = tmp_path / "many.jsonl", Objective()
    LBFGSB().minimize_many(objective.value, STARTS, journal=path)
    text = path.read_text()
    others = {
        r"many.runs is 3 in the journal, but 2 now": lambda: LBFGSB().minimize_many(
            objective.value, STARTS[:2], journal=path
        ),
        r"X0, in one row,\[5\] is 1.5 in the journal, but 1.6 now": lambda: LBFGSB().minimize_many(
            objective.value, [*STARTS[:2], [1.5, 1.6]], journal=path
        ),
        "called function is 'minimize_many' .* but 'minimize' now": lambda: LBFGSB().minimize(
            objective.value, STARTS[0], journal=path
        ),
        "called function is 'minimize_many' .* but 'race' now": lambda: race(
            [LBFGSB()], objective.value, STARTS[0], journal=path
        ),
        "called function is 'minimize_many' .* but 'multistart' now": lambda: multistart(
            objective.value, BOX, 100, journal=path
        ),
        "verify was given": lambda: LBFGSB().minimize_many(
            objective.value, STARTS, journal=Journal(path, verify=1)
        ),
    }
    for words, call in others.items():
        with pytest.raises((JournalMismatchError, OptionError), match=words):
            call()
    assert path.read_text() == text
    with pytest.raises(OptionError, match="was made with journal: pass it to race"):
        race([LBFGSB(journal=path)], objective.value, STARTS[0])


def test_another_objective_is_noticed(tmp_path):
    path, results = tmp_path / "many.jsonl", []
    for shift in (1.0, 5.0):

        def fun(x, shift=shift):
            return float((x - shift) @ (x - shift))

        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            results.append(LBFGSB().minimize_many(fun, STARTS, journal=path))
        assert len(told) == len(results) - 1
    assert "the default of shift changed" in str(told[0].message)
    assert results[1].nreplayed == results[0].nfev


def test_a_run_that_asks_something_else_goes_on_alone(tmp_path):
    path, objective = tmp_path / "many.jsonl", Objective()
    expected = LBFGSB().minimize_many(objective.value, STARTS, journal=path)
    lines = path.read_text().splitlines(keepends=True)
    # The second run's points from its fourth on, as another BLAS may give them.
    record = load(path).records[0]
    for i, line in enumerate(lines):
        if f'"seq":{(1 << 32) + 4},' in line:
            moved = optimizers.journal.Record((1 << 32) + 4, "fun", record.x + 0.5, 1.0)
            lines[i] = moved.text() + "\n"
    path.write_text("".join(lines))
    objective.calls = 0
    with pytest.warns(OptimizerWarning, match="cannot be followed in run 1: the point differs"):
        results = LBFGSB().minimize_many(objective.value, STARTS, journal=path)
    assert_same(results, expected)
    assert objective.calls == expected[1].nfev - 4
    assert [result.nreplayed for result in results] == [expected[0].nfev, 4, expected[2].nfev]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = LBFGSB().minimize_many(objective.value, STARTS, journal=path)
    assert again.nreplayed == again.nfev == expected.nfev


def test_what_interrupts_all_runs_is_gone_on_from(tmp_path):
    path, objective = tmp_path / "many.jsonl", Objective()

    def fun(x):
        if objective.calls == 20:
            objective.calls += 1
            raise KeyboardInterrupt
        return objective.value(x)

    with pytest.raises(KeyboardInterrupt) as error:
        LBFGSB().minimize_many(fun, STARTS, journal=path)
    assert sum(result.nfev for result in error.value.optimizer_results) >= 20
    results = LBFGSB().minimize_many(fun, STARTS, journal=path)
    assert results.nreplayed == 20
    assert_same(results, LBFGSB().minimize_many(Objective().value, STARTS))


ENDED = {
    "many": lambda f, n, j: NELDER_MEAD(maxfun=n).minimize_many(f, STARTS, journal=j),
    "race": lambda f, n, j: race(
        [NELDER_MEAD(), POWELL(), COBYLA()], f, STARTS[0], budget=n, journal=j
    ),
    "multistart": lambda f, n, j: multistart(
        f, BOX, 3 * n, optimizer=NELDER_MEAD(), slots=3, journal=j
    ),
}


@pytest.mark.parametrize("case", ENDED)
def test_runs_that_ended_at_infinity_are_not_evaluated_again(tmp_path, case):
    objective = Objective()

    def fun(x):
        value = objective.value(x)
        return math.inf if objective.calls > 3 * budget - 6 else value

    for budget in (7, 8, 9):
        path, objective.calls = tmp_path / f"{budget}.jsonl", 0
        ENDED[case](fun, budget, path)
        assert load(path).values[-1] == math.inf
        text, objective.calls = path.read_text(), 0
        ENDED[case](fun, budget, path)
        assert objective.calls == 0
        assert path.read_text() == text
