import copy
import itertools
import warnings

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings, strategies as st
from scipy.stats import qmc

from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    CapabilityError,
    History,
    InvalidInputError,
    OptionError,
    StopReason,
    multistart,
    residuals,
    vectorized,
)
from optimizers.several.minima import Minima
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


def test_each_run_is_that_of_the_best_of_its_points_alone():
    drawn = iter(-2 + 4 * qmc.Halton(2, scramble=False).random(256))
    given = {"sampler": qmc.Halton(2, scramble=False), "agreement": False, "local": LBFGSB}
    found = multistart(four, BOX, 2000, **given)
    assert found.stop is StopReason.MAXFUN
    assert len(found.runs) > 20
    counts = {1: 2, 2: 4, 4: 8, 8: 16, 16: 32, 32: 64}
    for number, result in enumerate(found.runs, 1):
        points = np.array([*itertools.islice(drawn, counts.get(number, 1))])
        if result.success:
            solo = LBFGSB().minimize(four, points[four(points).argmin()], bounds=BOX)
            assert np.array_equal(result.x, solo.x)
            assert result.nfev == solo.nfev + len(points) * (len(points) > 1)


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


@pytest.mark.parametrize("n", [1, 2])
def test_a_budget_of_one_point_is_spent(n):
    # A gradient by differences takes more; a point is better than nothing.
    found = multistart(one, [(-2.0, 2.0)] * n, 1, seed=1)
    assert found.nfev == 1
    assert found.fun == one(found.x)


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
    # Each round has a value and two probes of all eight, until the budget's end; or more, while one
    # of them explores.
    assert min(sizes[:-10]) == 24
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


@pytest.mark.parametrize("width", [2, 6, 16])
def test_runs_fill_the_workers_and_the_best_go_first(width):
    waves = []

    @vectorized
    def fun(points):
        waves.append(len(points))
        return four(points)

    given = {"local": LBFGSB(max_evals_grouped=width), "agreement": False, "seed": 1}
    found = multistart(fun, BOX, 4000, **given)
    assert max(waves) <= width
    # A gradient takes three points with its value: as many runs as fit, and at least one.
    at_once = sum(result.rounds for result in found.runs) / found.runs.rounds
    assert at_once == pytest.approx(max(1, width // 3), rel=0.2)


def test_a_serial_objective_has_one_run_at_a_time():
    calls = []

    def fun(x):
        calls.append(x)
        return one(x)

    history = History()
    multistart(fun, BOX, 500, agreement=False, callback=history)
    runs = [e.run for e in history.evaluations]
    assert runs == sorted(runs)
    assert len(calls) == len(runs) <= 500


def test_more_runs_than_the_budget_can_end_are_not_begun():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(8, 8))

    @vectorized
    def bowl(points):
        return ((points @ matrix) ** 2).sum(axis=1)

    found = multistart(bowl, [(-2, 3)] * 8, 500, seed=1)
    assert found.success
    assert found.fun == pytest.approx(0, abs=1e-6)


def test_the_result_is_that_of_the_best_run():
    found = multistart(one, BOX, 1000, seed=1)
    assert (found.fun, found.success) == (found.best.fun, True)
    assert np.array_equal(found.x, found.minima[0].x)
    cut = multistart(one, BOX, 3, seed=1)
    assert (cut.success, cut.fun) == (False, cut.best.fun)


def test_a_target_ends_all():
    found = multistart(one, BOX, 1000, agreement=False, f_target=-0.19, seed=1)
    assert (found.stop, found.success) == (StopReason.TARGET, True)
    assert found.nfev < 200


def test_x0_may_be_a_vector_whose_values_do_not_matter():
    plain, other = (multistart(one, BOX, 300, x0=x0, seed=1) for x0 in (None, [1.0, -1.0]))
    assert np.array_equal(plain.x, other.x)
    assert plain.nfev == other.nfev


def test_constraints_hold_at_the_minima():
    circle = {"type": "ineq", "fun": lambda x: x @ x - 2.5}
    found = multistart(one, BOX, 4000, constraints=circle, seed=2)
    assert found.success
    assert found.best.maxcv < 1e-6
    # The lowest minimum of the objective is inside of the circle: the constraint is active.
    assert found.x @ found.x == pytest.approx(2.5, abs=1e-5)
    direct = scipy.optimize.minimize(one, [-1.1, -1.1], method="SLSQP", constraints=circle)
    assert found.fun <= direct.fun + 1e-6
    with pytest.raises(CapabilityError, match="constraints"):
        multistart(one, BOX, 100, constraints=circle, local=LBFGSB)


def test_residuals_are_fitted():
    t = np.linspace(0, 3, 12)
    data = 2 * np.exp(-0.7 * t) * np.cos(3 * t)

    @residuals
    def misfit(x):
        return x[0] * np.exp(-x[1] * t) * np.cos(x[2] * t) - data

    found = multistart(misfit, [(0, 5), (0, 2), (0, 6)], 1500, seed=1)
    np.testing.assert_allclose(found.x, [2, 0.7, 3], atol=1e-5)
    assert found.best.chi2 == pytest.approx(0, abs=1e-10)


def test_points_that_fail_are_no_starts():
    def fun(x):
        if x[0] < 1:
            raise ArithmeticError("Not there.")
        return one(x - 1)

    found = multistart(fun, [(-2, 3), (-2, 3)], 1000, seed=1)
    assert found.x[0] == pytest.approx(1.99, abs=0.05)


@pytest.mark.parametrize("local", [NELDER_MEAD, NELDER_MEAD()], ids=["class", "object"])
def test_any_optimizer_can_run_by_its_class(local):
    assert multistart(four, BOX, 3000, local=local, seed=1).fun < -0.15


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
        (InvalidInputError, {"bounds": [(0, 1)], "local": "LBFGSB"}),
        (OptionError, {"bounds": [(0, 1)], "local": LBFGSB, "optimizer": LBFGSB()}),
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
