import copy
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import qmc

from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    InvalidInputError,
    OptionError,
    StopReason,
    multistart,
    vectorized,
)
from optimizers.portfolio.minima import Minima
from tests.making import shown

BOX = [(-2.0, 2.0), (-2.0, 2.0)]


@vectorized
def four(points):
    return ((points**2 - 1) ** 2 + 0.1 * points).sum(axis=1)


def one(x):
    return float(((x**2 - 1) ** 2 + 0.1 * x).sum())


def slope(x):
    return 4 * x * (x**2 - 1) + 0.1


def test_it_finds_the_minima_and_counts_them():
    found = multistart(four, BOX, 20_000, seed=3)
    assert [m.x.round().astype(int).tolist() for m in found.minima[:1]] == [[-1, -1]]
    assert len(found.minima) == 4
    values = [minimum.fun for minimum in found.minima]
    assert values == sorted(values)
    assert found.best.fun == values[0]
    assert found.stop is StopReason.AGREED
    runs = [run for minimum in found.minima for run in minimum.runs]
    assert len(set(runs)) == len(runs) == sum(minimum.count for minimum in found.minima)
    for minimum in found.minima:
        assert any(np.array_equal(found.runs[run].x, minimum.x) for run in minimum.runs)
    cut = [result for result in found.runs if result.stop is StopReason.AGREED]
    assert len(runs) + len(cut) == len(found.runs)
    assert "4" in repr(found)


def test_each_run_is_that_of_its_start_alone():
    starts = -2 + 4 * qmc.Halton(2, scramble=False).random(64)
    found = multistart(four, BOX, 1500, sampler=qmc.Halton(2, scramble=False), agreement=False)
    assert found.stop is StopReason.MAXFUN
    assert len(found.runs) > 20
    for start, result in zip(starts, found.runs, strict=False):
        if result.success:
            solo = LBFGSB().minimize(four, start, bounds=BOX)
            assert np.array_equal(result.x, solo.x)
            assert result.nfev == solo.nfev


@pytest.mark.parametrize("jac", [None, True, slope], ids=shown)
@pytest.mark.parametrize("budget", [1, 5, 47, 300])
def test_the_budget_is_hard_over_all_runs(budget, jac):
    calls = []

    def fun(x):
        calls.append(x)
        return (one(x), slope(x)) if jac is True else one(x)

    found = multistart(fun, BOX, budget, jac=jac, agreement=False, slots=5)
    assert len(calls) == found.nfev <= budget
    assert found.stop is StopReason.MAXFUN
    if budget >= 5:
        assert found.nfev > budget - 5  # less than a value and its probes is left


def test_the_budget_is_hard_with_retries():
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) % 3 == 0:
            raise OSError
        return one(x)

    found = multistart(fun, BOX, 100, agreement=False, slots=3, retries=1)
    assert len(calls) == found.nfev <= 100


def test_a_slot_that_is_free_goes_to_the_next_start():
    sizes = []

    @vectorized
    def fun(points):
        sizes.append(len(points))
        return four(points)

    found = multistart(fun, BOX, 3000, slots=8, agreement=False)
    assert len(found.runs) > 30
    # Each round has a value and two probes of all eight, until the budget's end.
    assert set(sizes[:-10]) == {24}
    assert found.runs.rounds == len(sizes)


@pytest.mark.parametrize("sampler", ["sobol", "halton", "lhs"])
def test_starts_are_inside_and_repeat_with_the_seed(sampler):
    box = [(-1.0, 3.0), (-5.0, 4.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = [
            multistart(four, box, 600, sampler=sampler, seed=5, agreement=False).runs
            for _ in range(2)
        ]
    assert [r.x.tolist() for r in runs[0]] == [r.x.tolist() for r in runs[1]]
    other = multistart(four, box, 600, sampler=sampler, seed=6, agreement=False).runs
    assert [r.x.tolist() for r in other] != [r.x.tolist() for r in runs[0]]


def test_an_engine_of_the_users_is_not_changed():
    engine = qmc.Halton(2, rng=1)
    before = copy.deepcopy(engine).random(3)
    multistart(four, BOX, 200, sampler=engine)
    assert np.array_equal(engine.random(3), before)


def test_a_timeout_ends_it():
    found = multistart(one, BOX, 10**9, timeout=0.2, agreement=False)
    assert found.stop is StopReason.TIMEOUT
    assert found.nfev == sum(result.nfev for result in found.runs)


def test_ctrl_c_has_what_was_found():
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) == 900:
            raise KeyboardInterrupt
        return one(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        multistart(fun, BOX, 10**6, agreement=False)
    assert caught.value.optimizer_results.nfev == 900
    calls.clear()
    found = multistart(fun, BOX, 10**6, agreement=False, on_interrupt="return")
    assert found.stop is StopReason.INTERRUPTED
    assert found.minima


def test_a_run_that_fails_is_no_minimum_and_all_failing_is_a_bug():
    def fun(x):
        if x[0] < -1:
            raise ZeroDivisionError
        return one(x)

    found = multistart(fun, BOX, 2000)
    assert found.runs.failures
    failed = set(found.runs.failures)
    assert not failed & {run for minimum in found.minima for run in minimum.runs}
    calls = []
    with pytest.raises(TypeError) as caught:
        multistart(calls.append, BOX, 10**6)
    assert len(caught.value.optimizer_results) >= 8
    assert len(calls) < 200


def test_any_optimizer_can_run():
    found = multistart(four, BOX, 5000, optimizer=NELDER_MEAD(), slots=4)
    assert found.best.fun == pytest.approx(-0.2, abs=0.05)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (InvalidInputError, {"bounds": [(0, None)]}),
        (InvalidInputError, {"bounds": None}),
        (InvalidInputError, {"bounds": [(0, 1)], "sampler": "random"}),
        (InvalidInputError, {"bounds": [(0, 1)], "sampler": qmc.Sobol(3)}),
        (OptionError, {"bounds": [(0, 1)], "budget": 0}),
        (OptionError, {"bounds": [(0, 1)], "slots": 0}),
        (OptionError, {"bounds": [(0, 1)], "tolerance": -1}),
    ],
)
def test_what_cannot_be_used_is_a_named_error_before_any_evaluation(error, arguments):
    calls = []
    with pytest.raises(error):
        multistart(calls.append, **{"budget": 100, **arguments})
    assert calls == []


@given(st.lists(st.integers(0, 4), max_size=60))
@settings(max_examples=60, deadline=None)
def test_ends_are_counted_once_and_the_rule_is_that_of_boender_and_rinnooy_kan(ends):
    minima = Minima(np.array([0.2]))
    for run, end in enumerate(ends):
        minima.add(np.array([end + 0.01 * (run % 3)]), float(end), run)
    found = minima.sorted()
    assert sum(minimum.count for minimum in found) == len(ends)
    s, w = len(ends), len(set(ends))
    assert len(found) == w
    assert minima.are_all == (s > w + 2 and w * (s - 1) / (s - w - 2) < w + 0.5)
