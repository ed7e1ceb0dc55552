import dataclasses
import itertools
import math
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize
from hypothesis import example, given, settings, strategies as st

from optimizers import (
    EvaluationError,
    InvalidValueError,
    NonFiniteValueError,
    StopReason,
    SupportLevel,
    residuals,
    support,
)
from optimizers.evaluation import Differences, Evaluator, SPSAGradient
from optimizers.evaluation.choose import evaluator_for
from optimizers.problem.problem import Problem
from optimizers.run.budget import StopRun
from optimizers.run.observers import as_observer
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run

ALL = dict.fromkeys(support.CAPABILITIES, SupportLevel.supported)
START = np.array([1.0, 2.0, -1.0])


def sphere(x):
    return float(np.square(x).sum())


class Sphere:
    """A sum of squares that records the points it is called with and then spoils them."""

    def __init__(self, n=3):
        self.points, self.gradients, self.calls, self.n = [], [], 0, n

    def __call__(self, x):
        self.calls += 1
        stack = x.reshape(-1, self.n)
        self.points.extend(stack.copy())
        values = np.array([sphere(point) for point in stack])
        x[...] = np.nan
        return values if len(values) > 1 else float(values[0])

    def jac(self, x):
        self.gradients.append(x.copy())
        gradient = 2 * x
        x[...] = np.nan
        return gradient

    def both(self, x):
        gradient = 2 * x
        return self(x), gradient


def make(
    fun,
    x0=START,
    jac=None,
    bounds=None,
    *,
    constraints=(),
    group=1,
    workers=None,
    callback=None,
    **settings,
):
    problem = Problem.check("Method", ALL, fun, x0, jac, bounds, constraints=constraints)
    scheme = jac if isinstance(jac, str) else "2-point"
    observers = () if callback is None else (as_observer(callback),)
    evaluator = evaluator_for(problem.fun, group, workers)
    return Run(problem, evaluator, Differences(scheme), observers=observers, **settings)


def ending(x, **entries):
    known = {"success": True, "status": 0, "message": "done", "stop": StopReason.CONVERGED}
    return Outcome(x=x, **{**known, **entries})


def descend(run, steps=10**6, rate=0.1):
    """A method of a few lines: so many steps of gradient descent."""
    x = run.problem.x0
    for _ in range(steps):
        _, gradient = run.value_and_gradient(x)
        x = run.problem.clip(x - rate * gradient)
        run.iterated(x)
    return ending(x)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.time)
    return now


# Counts and waves.


def test_a_value_is_one_point():
    fun = Sphere()
    one = make(fun)
    assert one.value(START) == 6.0
    assert (one.nfev, one.budget.njev, one.budget.nhev, one.nit) == (1, 0, 0, 0)
    np.testing.assert_array_equal(fun.points, [START])


@pytest.mark.parametrize(("scheme", "probes"), [("2-point", 3), ("3-point", 6)])
@pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 100])
def test_a_gradient_by_differences_is_one_wave(scheme, probes, group):
    fun = Sphere()
    one = make(fun, jac=scheme, group=group)
    value, gradient = one.value_and_gradient(START)
    assert value == 6.0
    np.testing.assert_allclose(gradient, 2 * START, rtol=1e-7)
    assert one.nfev == len(fun.points) == 1 + probes
    assert fun.calls == math.ceil((1 + probes) / group)
    assert one.budget.njev == 0
    assert len({tuple(point) for point in fun.points}) == 1 + probes


def test_a_vectorized_objective_gets_the_whole_wave():
    shapes = []

    def stacked(stack):
        shapes.append(stack.shape)
        return (stack**2).sum(axis=1)

    one = make(stacked, workers="vectorized")
    one.value_and_gradient(START)
    assert shapes == [(4, 3)]
    assert one.nfev == 4


def test_a_problem_without_variables_is_evaluated_too():
    one = make(lambda x: 7.0, x0=[])
    assert one.value(np.empty(0)) == 7.0
    assert one.nfev == 1


def test_a_complex_step_counts_its_probes():
    one = make(lambda z: z @ z, jac="cs")
    value, gradient = one.value_and_gradient(START)
    assert value == 6.0
    np.testing.assert_allclose(gradient, 2 * START, rtol=1e-15)
    assert one.nfev == 4
    assert one.best.fun == 6.0  # a point off the real axis is no candidate


def test_calls_of_the_users_gradient_are_counted_apart():
    fun = Sphere()
    one = make(fun, jac=fun.jac)
    one.value_and_gradient(START)
    one.gradient(2 * START)
    assert (one.nfev, one.budget.njev) == (len(fun.points), len(fun.gradients)) == (1, 2)


def test_a_function_that_returns_both_is_called_once_for_both():
    fun = Sphere()
    one = make(fun.both, jac=True)
    value, gradient = one.value_and_gradient(START)
    assert value == 6.0
    np.testing.assert_array_equal(gradient, 2 * START)
    np.testing.assert_array_equal(one.gradient(START), 2 * START)
    assert one.value(2 * START) == 24.0
    np.testing.assert_array_equal(one.gradient(2 * START), 4 * START)
    assert (one.nfev, fun.calls) == (2, 2)


@pytest.mark.parametrize("jac", [None, "3-point", "callable", True])
def test_nothing_known_is_evaluated_again(jac):
    fun = Sphere()
    one = make(fun.both if jac is True else fun, jac=fun.jac if jac == "callable" else jac)
    one.value_and_gradient(START)
    before = one.nfev, one.budget.njev
    one.gradient(START)
    assert (one.nfev, one.budget.njev) == before


@pytest.mark.parametrize(("scheme", "probes"), [("2-point", 3), ("3-point", 6), ("cs", 3)])
def test_a_gradient_after_the_value_needs_the_probes_only(scheme, probes):
    calls = []

    def fun(z):
        calls.append(z)
        return z @ z

    one = make(fun, jac=scheme)
    one.value(START)
    np.testing.assert_allclose(one.gradient(START), 2 * START, rtol=1e-7)
    assert one.nfev == len(calls) == 1 + probes


def test_the_users_gradient_alone_needs_no_value():
    fun = Sphere()
    one = make(fun, jac=fun.jac)
    np.testing.assert_array_equal(one.gradient(START), 2 * START)
    assert (one.nfev, one.budget.njev) == (0, 1)


def test_fixed_variables_cost_no_probe():
    fun = Sphere()
    one = make(fun, bounds=[(1, 1), (0, 3), (-1, -1)])
    _, gradient = one.value_and_gradient(START)
    assert one.nfev == len(fun.points) == 2
    np.testing.assert_allclose(gradient, [0.0, 4.0, 0.0], rtol=1e-7)


@pytest.mark.parametrize("workers", [None, "vectorized", map])
def test_a_gradient_where_all_variables_are_fixed_costs_nothing(workers):
    one = make(lambda x: np.square(x).sum(axis=-1), bounds=[(v, v) for v in START], workers=workers)
    one.value(START)
    np.testing.assert_array_equal(one.gradient(START), 0.0)
    assert one.nfev == 1


def test_points_are_clipped_to_the_bounds_before_they_are_evaluated():
    fun = Sphere()
    one = make(fun, bounds=[(0, 3)] * 2 + [(-2, 0)])
    assert one.value(np.array([5.0, -1.0, 0.5])) == 9.0
    np.testing.assert_array_equal(fun.points, [[3.0, 0.0, 0.0]])


def test_calls_of_the_hessian_are_counted_and_get_copies():
    one, x = make(Sphere()), START.copy()

    def spoil(x, p):
        x[:] = np.nan
        p[:] = np.nan
        return 2 * np.eye(3)

    hessian = one.counted_hessian(spoil)
    for count in (1, 2):
        np.testing.assert_array_equal(hessian(x, x), 2 * np.eye(3))
        assert one.budget.nhev == count
    np.testing.assert_array_equal(x, START)


def test_what_is_handed_out_may_be_spoilt():
    fun = Sphere()
    one = make(fun, jac=fun.jac)
    for ask in (lambda: one.value_and_gradient(START)[1], lambda: one.gradient(START)):
        gradient = ask()
        np.testing.assert_array_equal(gradient, 2 * START)
        gradient[:] = np.nan
    np.testing.assert_array_equal(one.gradient(START), 2 * START)
    result = one.execute(lambda run: ending(START))
    np.testing.assert_array_equal(result.jac, 2 * START)


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "cauchy"])
def test_half_the_sum_of_the_squares_of_residuals_is_the_value(loss):
    one = make(
        residuals(lambda x: 3 * x if x[0] < 2 else x * np.nan, loss=loss), on_failure="reject"
    )
    told = one.residuals(START)
    np.testing.assert_array_equal(np.sign(told), np.sign(START))
    # SciPy's own value, by a Jacobian that leaves no step.
    still = scipy.optimize.least_squares(
        lambda x: 3 * x, START, jac=lambda x: np.zeros((3, 3)), loss=loss
    )
    assert 0.5 * told @ told == pytest.approx(still.cost, rel=1e-12)
    assert one.value(START) == pytest.approx(still.cost, rel=1e-12)
    assert one.nfev == 1
    told[:] = np.nan  # what is handed out may be spoilt
    assert one.value(START) == pytest.approx(0.5 * one.residuals(START) @ one.residuals(START))
    penalty = one.residuals(START + 2)
    assert penalty.shape == (3,)
    assert one.value(START + 2) == pytest.approx(0.5 * penalty @ penalty, rel=1e-12)
    assert one.value(START + 2) > one.value(START)


def test_random_numbers_come_from_the_runs_own_seed():
    draws = [make(Sphere(), seed=5).rng.random(3) for _ in range(2)]
    np.testing.assert_array_equal(*draws)
    np.testing.assert_array_equal(draws[0], np.random.default_rng(5).random(3))


# The best point.


def test_the_best_point_may_be_a_probe():
    points = []

    def falling(x):
        points.append(x.copy())
        return float(-x.sum())

    one = make(falling, x0=[1.0, 2.0])
    one.value_and_gradient(np.array([1.0, 2.0]))
    values = [-float(point.sum()) for point in points]
    result = one.execute(lambda run: ending(np.array([1.0, 2.0])))
    assert result.fun == -3.0
    assert result.best.fun == min(values) < -3.0
    np.testing.assert_array_equal(result.best.x, points[int(np.argmin(values))])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20, unique=True))
@settings(deadline=None, max_examples=50)
def test_the_best_point_is_the_least_of_all_values(numbers):
    one = make(lambda x: x[0], x0=0.0)
    for number in numbers:
        one.value(np.array([number]))
    assert one.best.fun == min(numbers)
    assert one.best.x[0] == min(numbers)
    assert one.nfev == len(numbers)


def test_a_run_that_is_stopped_ends_on_its_best_point_and_the_gradient_there():
    fun = Sphere()

    def solve(run):
        run.value_and_gradient(START)
        run.value(3 * START)
        raise StopRun(StopReason.CALLBACK)

    result = make(fun, jac=fun.jac).execute(solve)
    assert (result.fun, result.x.tolist()) == (6.0, START.tolist())
    np.testing.assert_array_equal(result.jac, 2 * START)
    assert result.stop is StopReason.CALLBACK
    assert not result.success
    assert result.status == -1
    assert StopReason.CALLBACK.sentence in result.message


def test_a_feasible_point_is_better_than_any_that_is_not():
    inside = {"type": "ineq", "fun": lambda x: x[0] - 1}  # x >= 1
    one = make(lambda x: x[0], x0=0.0, constraints=[inside])
    best = []
    for x in (0.5, 0.0, 0.75, 3.0, -9.0, 2.0, 0.9, 1.0 - 1e-9):
        one.value(np.array([x]))
        best.append(one.best.x[0])
    # Nearer to feasible first, then by value; what is missed by rounding only counts as met.
    assert best == [0.5, 0.5, 0.75, 3.0, 3.0, 2.0, 2.0, 1.0 - 1e-9]


def test_a_point_at_which_a_constraint_is_not_a_number_is_not_feasible():
    root = {"type": "ineq", "fun": lambda x: math.nan if x[0] < 0 else x[0]}
    one = make(lambda x: x[0], x0=1.0, constraints=[root])
    for x in (1.0, -5.0):
        one.value(np.array([x]))
    assert one.best.x[0] == 1.0
    other = make(lambda x: x[0], x0=1.0, constraints=[root])
    for x in (-5.0, 1.0):
        other.value(np.array([x]))
    assert other.best.x[0] == 1.0


# Results.


@pytest.mark.parametrize("jac", [None, "3-point", "cs", "callable", True])
def test_the_value_of_a_result_is_that_of_its_point(jac):
    fun = Sphere()

    def both_kinds(z):
        return np.square(z).sum()

    given_fun = {"cs": both_kinds, True: fun.both}.get(jac, fun)
    for steps in (0, 1, 5):
        one = make(given_fun, jac=fun.jac if jac == "callable" else jac)
        result = one.execute(lambda run, steps=steps: descend(run, steps))
        assert result.fun == sphere(result.x)
        assert result.best.fun == sphere(result.best.x)
        assert result.nfev >= 1
        assert result.nit == steps
        assert result.stop is StopReason.CONVERGED
        assert result.success


def test_an_ending_on_a_point_that_was_never_evaluated_is_evaluated():
    fun = Sphere()
    result = make(fun).execute(lambda run: ending(2 * START))
    assert (result.fun, result.nfev, len(fun.points)) == (24.0, 1, 1)
    assert result.message == "done"


def test_what_else_an_algorithm_found_is_in_its_result():
    def solve(run):
        run.extra["hess_inv"] = np.eye(3)
        return ending(START)

    np.testing.assert_array_equal(make(Sphere()).execute(solve).hess_inv, np.eye(3))


def test_an_ending_that_the_budget_does_not_allow_to_evaluate_is_the_best_point():
    def solve(run):
        run.value(START)
        return ending(2 * START)

    result = make(Sphere(), maxfun=1).execute(solve)
    assert (result.fun, result.x.tolist(), result.nfev) == (6.0, START.tolist(), 1)
    assert result.stop is StopReason.MAXFUN
    assert not result.success


def test_a_result_shares_nothing_with_the_run():
    one = make(Sphere())
    first = one.execute(lambda run: (run.value_and_gradient(START), ending(START))[1])
    for array in (first.x, first.jac, first.best.x):
        array[:] = np.nan
    second = one.execute(lambda run: ending(START))
    assert second.fun == 6.0
    np.testing.assert_array_equal(second.x, START)
    assert np.isfinite(second.jac).all()
    np.testing.assert_array_equal(one.problem.x0, START)


def test_a_run_that_evaluates_nothing_ends_at_its_start():
    def stop(run):
        raise StopRun(StopReason.TIMEOUT)

    result = make(Sphere()).execute(stop)
    assert (result.fun, result.best, result.nfev) == (None, None, 0)
    np.testing.assert_array_equal(result.x, START)


def test_elapsed_is_the_time_of_the_run(clock):
    one = make(Sphere())

    def solve(run):
        clock.time += 2.5
        return ending(START)

    assert one.execute(solve).elapsed == 2.5


def test_what_a_run_remembers_is_told_with_its_gradient():
    fun = Sphere()
    one = make(fun, jac=fun.jac)
    one.value(START)
    assert one.memory.lookup(START).fun == 6.0
    assert one.memory.lookup(START).jac is None
    one.gradient(START)
    np.testing.assert_array_equal(one.memory.lookup(START).jac, 2 * START)
    assert one.memory.lookup(7 * START) is None


def test_a_run_remembers_the_best_point_and_the_last_iterate_for_ever():
    one = make(Sphere())
    one.value(0 * START)
    one.value(START)
    one.iterated(START)
    for scale in range(2, 50):
        one.value(scale * START)
    assert one.memory.lookup(0 * START).fun == 0.0
    assert one.memory.lookup(START).fun == 6.0
    assert one.memory.lookup(49 * START).fun == 49**2 * 6.0
    assert one.memory.lookup(2 * START) is None  # not everything: memory is for ever too


# Budgets.


@given(
    maxfun=st.integers(1, 40),
    n=st.integers(1, 5),
    group=st.integers(1, 7),
    scheme=st.sampled_from(["2-point", "3-point", "callable", True]),
)
@settings(deadline=None, max_examples=100)
def test_no_more_points_than_the_budget_are_ever_evaluated(maxfun, n, group, scheme):
    fun = Sphere(n)
    jac = fun.jac if scheme == "callable" else scheme
    group = 1 if scheme is True else group
    one = make(
        fun.both if jac is True else fun, np.arange(1.0, n + 1), jac, group=group, maxfun=maxfun
    )
    result = one.execute(descend)
    assert result.nfev == len(fun.points) <= maxfun
    assert result.stop is StopReason.MAXFUN
    assert result.stop.is_budget
    assert not result.success
    assert result.fun == min(sphere(point) for point in fun.points)
    if group == 1 and scheme in ("callable", True):
        assert result.nfev == maxfun


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@pytest.mark.parametrize("maxfun", [1, 2, 3])
def test_a_budget_too_small_for_a_gradient_is_spent_on_the_value(scheme, maxfun):
    fun = Sphere()
    result = make(fun, jac=scheme, maxfun=maxfun).execute(descend)
    np.testing.assert_array_equal(fun.points, [START])
    assert (result.nfev, result.fun) == (1, 6.0)
    np.testing.assert_array_equal(result.x, START)


def test_a_budget_for_exactly_one_wave_allows_it():
    fun = Sphere()
    one = make(fun, maxfun=4)
    one.value_and_gradient(START)
    assert one.nfev == 4
    with pytest.raises(StopRun):
        one.value(2 * START)
    assert len(fun.points) == 4


def test_probes_after_the_value_keep_to_the_budget_too():
    fun = Sphere()
    one = make(fun, maxfun=3)
    one.value(START)
    with pytest.raises(StopRun):
        one.gradient(START)
    assert len(fun.points) == one.nfev == 1


def test_complex_probes_keep_to_the_budget_too():
    calls = []
    one = make(lambda z: calls.append(z) or z @ z, jac="cs", maxfun=3)
    result = one.execute(descend)
    assert (len(calls), result.nfev) == (1, 1)
    assert result.fun == 6.0


def test_iterations_are_limited_where_the_run_counts_them():
    result = make(Sphere(), maxiter=3).execute(descend)
    assert result.nit == 3
    assert result.stop is StopReason.MAXITER


def test_no_evaluation_starts_after_the_time_limit(clock):
    times = []

    def fun(x):
        times.append(clock.time)
        clock.time += 1.0
        return float(x @ x)

    result = make(fun, timeout=6.5).execute(descend)
    assert times == [100.0 + i for i in range(7)]  # within a wave, too
    assert result.nfev == 7
    assert result.stop is StopReason.TIMEOUT
    assert not result.success
    assert result.elapsed == 7.0
    assert result.fun == sphere(result.x)


def test_the_time_limit_holds_for_the_users_gradient_and_hessian(clock):
    fun = Sphere()
    one = make(fun, jac=fun.jac, timeout=1.0)
    hessian = one.counted_hessian(lambda x: np.eye(3))
    clock.time += 2.0
    for ask in (one.gradient, one.value, one.value_and_gradient, hessian):
        with pytest.raises(StopRun) as stop:
            ask(START)
        assert stop.value.reason is StopReason.TIMEOUT
    assert (one.nfev, one.budget.njev, one.budget.nhev) == (0, 0, 0)
    assert (fun.calls, len(fun.gradients)) == (0, 0)


def test_the_time_limit_ends_a_run_that_evaluates_nothing(clock):
    one = make(Sphere(), timeout=1.0)
    clock.time += 2.0
    with pytest.raises(StopRun):
        one.iterated(START)


def test_no_method_can_swallow_a_stop():
    def stubborn(run):
        for scale in range(1, 100):
            try:
                run.value(scale * START)
            except Exception:
                continue
        return ending(START)

    result = make(Sphere(), maxfun=5).execute(stubborn)
    assert (result.nfev, result.stop) == (5, StopReason.MAXFUN)


# Iterations.


def test_observers_see_each_iterate_with_what_is_known_of_it():
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)

    result = make(Sphere(), callback=callback).execute(lambda run: descend(run, 3))
    assert [state.nit for state in seen] == [1, 2, 3]
    assert [state.nfev for state in seen] == [4, 8, 12]
    np.testing.assert_allclose(seen[0].x, 0.8 * START, rtol=1e-7)
    np.testing.assert_array_equal(seen[-1].x, result.x)
    assert seen[0].fun is None  # descend looks before it leaps: not evaluated yet
    assert seen[0].best.fun < 6.0 + 1e-6


def test_an_iterate_that_was_evaluated_comes_with_value_and_gradient():
    seen = []
    one = make(Sphere(), jac=lambda x: 2 * x, callback=seen.append)
    states = []
    two = make(
        Sphere(),
        jac=lambda x: 2 * x,
        callback=lambda intermediate_result: states.append(intermediate_result),
    )
    for each in (one, two):
        each.value_and_gradient(START)
        each.iterated(START)
    np.testing.assert_array_equal(seen, [START])
    assert states[0].fun == 6.0
    np.testing.assert_array_equal(states[0].jac, 2 * START)


def halt(xk):
    raise StopIteration


@pytest.mark.parametrize("callback", [lambda xk: True, halt], ids=["True", "StopIteration"])
def test_a_callback_ends_the_run_with_its_result(callback):
    result = make(Sphere(), callback=callback).execute(descend)
    assert (result.nit, result.nfev) == (1, 4)
    assert result.stop is StopReason.CALLBACK
    assert result.fun == sphere(result.x)
    assert not result.success


def test_all_observers_are_told_even_if_the_first_one_stops():
    told = []
    problem = Problem.check("Method", ALL, Sphere(), START)

    def observer(answer):
        return lambda state: told.append(answer) or answer

    one = Run(
        problem, Evaluator(problem.fun), Differences(), observers=(observer(True), observer(False))
    )
    assert one.execute(descend).stop is StopReason.CALLBACK
    assert told == [True, False]


def test_an_exception_of_a_callback_carries_the_result():
    def callback(xk):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as error:
        make(Sphere(), callback=callback).execute(descend)
    result = error.value.optimizer_result
    assert (result.nit, result.nfev, result.stop) == (1, 4, StopReason.FAILED)


# Failures.


class Failing(Sphere):
    """A sphere whose evaluations of these numbers, from 1, fail."""

    def __init__(self, failure, *at):
        super().__init__()
        self.failure, self.at = failure, at

    def __call__(self, x):
        value = super().__call__(x)
        if len(self.points) in self.at:
            if isinstance(self.failure, BaseException):
                raise self.failure
            return self.failure
        return value


class MyError(Exception):
    pass


@pytest.mark.parametrize(
    "failure", [MyError("mine"), ZeroDivisionError(), AssertionError(), SystemExit(3)], ids=repr
)
def test_an_exception_is_raised_as_itself_with_the_result_so_far(failure):
    with pytest.raises(type(failure)) as error:
        make(Failing(failure, 9)).execute(descend)
    assert error.value is failure
    result = error.value.optimizer_result
    assert result.nfev == 9
    assert result.fun == result.best.fun == sphere(result.x)
    assert (result.stop, result.success) == (StopReason.FAILED, False)
    (note,) = error.value.__notes__
    assert "9 evaluations" in note
    assert repr(result.fun) in note
    assert "optimizer_result" in note


def test_an_exception_at_the_start_carries_a_result_without_value():
    with pytest.raises(MyError) as error:
        make(Failing(MyError(), 1)).execute(descend)
    result = error.value.optimizer_result
    assert (result.fun, result.best) == (None, None)
    np.testing.assert_array_equal(result.x, START)
    assert "no point with a value" in error.value.__notes__[0]


def test_an_interrupt_carries_the_result():
    with pytest.raises(KeyboardInterrupt) as error:
        make(Failing(KeyboardInterrupt(), 6)).execute(descend)
    result = error.value.optimizer_result
    assert result.stop is StopReason.INTERRUPTED
    assert result.fun == sphere(result.x)


def test_an_interrupt_is_never_taken_for_a_rejection():
    with pytest.raises(KeyboardInterrupt):
        make(Failing(KeyboardInterrupt(), 6), on_failure="reject").execute(descend)


def test_an_exception_that_cannot_be_changed_is_raised_as_itself():
    @dataclasses.dataclass(frozen=True)
    class FrozenError(Exception):
        code: int

    with pytest.raises(FrozenError):
        make(Failing(FrozenError(3), 2)).execute(descend)


@pytest.mark.parametrize("at", [1, 2, 5, 6], ids=["start", "its probe", "point", "probe"])
def test_a_stop_iteration_of_the_objective_stops_the_run_as_that_of_a_callback(at):
    result = make(Failing(StopIteration(), at)).execute(descend)
    assert result.stop is StopReason.CALLBACK
    assert result.nfev == at


@pytest.mark.parametrize(
    ("bad", "at"), [*itertools.product([math.nan, -math.inf], [1, 3, 5, 7]), (math.inf, 1)]
)
def test_a_value_that_is_not_finite_is_a_named_error(bad, at):
    with pytest.raises(NonFiniteValueError, match=f"fun returned {bad}") as error:
        make(Failing(bad, at)).execute(descend)
    assert error.value.optimizer_result.nfev == at


@pytest.mark.parametrize("bad", [None, 1j, "1", [1.0, 2.0], []], ids=repr)
@pytest.mark.parametrize("on_failure", ["raise", "reject"])
def test_a_value_of_the_wrong_kind_is_a_named_error_whatever_is_rejected(bad, on_failure):
    with pytest.raises(InvalidValueError):
        make(Failing(bad, 6), on_failure=on_failure).execute(descend)


@pytest.mark.parametrize(
    ("gradient", "error"),
    [
        ([1.0, math.nan, 2.0], NonFiniteValueError),
        ([1.0], InvalidValueError),
        (None, InvalidValueError),
    ],
    ids=repr,
)
def test_a_wrong_gradient_is_a_named_error(gradient, error):
    for ask in (Run.value_and_gradient, Run.gradient):
        with pytest.raises(error, match="jac returned"):
            ask(make(Sphere(), jac=lambda x: gradient), START)
    with pytest.raises(error, match="jac returned"):
        make(lambda x: (1.0, gradient), jac=True).value_and_gradient(START)


@pytest.mark.parametrize("raw", [1.0, (1.0,), (1.0, [1.0] * 3, 2), None], ids=repr)
def test_a_function_that_should_return_both_and_does_not_is_a_named_error(raw):
    with pytest.raises(InvalidValueError, match=r"expected \(value, gradient\): with jac=True"):
        make(lambda x: raw, jac=True).value(START)


def test_a_gradient_by_differences_that_is_not_finite_is_a_named_error():
    # A step of 1e302 within 1e-8: each value is finite, the quotient is not.
    one = make(lambda x: 1e302 * float(x[0] > 1.0), x0=1.0)
    with np.errstate(over="ignore"), pytest.raises(EvaluationError):
        one.value_and_gradient(np.array([1.0]))


# Failures that are rejected.

FAILURES = [MyError("mine"), math.nan, math.inf, -math.inf]
#: Of those, +inf is a point worse than all others whatever is said.
REJECTED = [*itertools.product(FAILURES, ["reject"]), (math.inf, "raise")]


@pytest.mark.parametrize(("failure", "on_failure"), REJECTED, ids=repr)
@pytest.mark.parametrize("at", [(5,), (6, 9), (8, 9)], ids=["point", "first probe", "last probe"])
def test_a_rejected_point_is_worse_than_all_seen_and_leads_back(failure, on_failure, at):
    # A probe that fails has one on the other side in its place: the ninth evaluation.
    fun = Failing(failure, *at)
    one = make(fun, on_failure=on_failure)
    one.value_and_gradient(START)
    x = START + np.array([3.0, -0.5, 1.0])
    value, gradient = one.value_and_gradient(x)
    seen = [float(p @ p) for i, p in enumerate(fun.points, 1) if i not in fun.at]
    assert value > max(seen)
    # It rises away from the good point more steeply than there: a bowl around it.
    away = x - START
    assert (gradient - 2 * START) @ away > 0
    assert np.isfinite(gradient).all()
    assert one.budget.nrejected == 1
    assert one.nfev == len(fun.points) == at[-1]


@pytest.mark.parametrize(("failure", "on_failure"), REJECTED, ids=repr)
@pytest.mark.parametrize("jac", ["2-point", "3-point"])
@pytest.mark.parametrize("at", [2, 3, 4, 7])
def test_a_failed_probe_is_made_up_for(failure, on_failure, jac, at):
    fun = Failing(failure, at)
    one = make(fun, jac=jac, on_failure=on_failure)
    value, gradient = one.value_and_gradient(START)
    assert value == START @ START
    assert np.allclose(gradient, 2 * START, atol=1e-4)  # half of it one-sided
    assert one.budget.nrejected == 0
    probes = 3 if jac == "2-point" else 6
    again = 1 if jac == "2-point" and at <= 4 else 0  # the other central probe is enough
    assert one.nfev == len(fun.points) == 1 + probes + again


@given(st.sets(st.integers(1, 12)), st.sampled_from(["2-point", "3-point"]), st.booleans())
def test_no_mixture_of_failed_probes_gives_a_wrong_gradient_unflagged(at, jac, is_nan):
    fun = Failing(math.nan if is_nan else MyError("mine"))
    one = make(fun, jac=jac, on_failure="reject")
    one.value_and_gradient(START)
    before = len(fun.points)
    fun.at = tuple(before + i for i in at)
    x = 2 * START
    _, gradient = one.value_and_gradient(x)
    assert one.budget.nrejected or np.allclose(gradient, 2 * x, atol=1e-4)
    assert one.nfev == len(fun.points)


def test_a_failed_probe_is_an_error_by_default():
    with pytest.raises(NonFiniteValueError):
        make(Failing(math.nan, 3)).value_and_gradient(START)


@pytest.mark.parametrize(("failure", "on_failure"), REJECTED, ids=repr)
def test_a_rejected_value_alone_is_worse_than_all_seen(failure, on_failure):
    one = make(Failing(failure, 4), on_failure=on_failure)
    values = [one.value(scale * START) for scale in (1, -3, 2)]
    assert one.value(1.5 * START) > max(values)
    assert one.budget.nrejected == 1
    assert one.memory.lookup(1.5 * START) is None


@given(st.floats(-1e300, 1e300), st.integers(0, 3), st.floats(0, 1e300))
@example(math.nextafter(1.0, 0.0), 1, 0.0)  # the distance of the two is lost if added to 1.0
@settings(deadline=None, max_examples=100)
def test_a_rejected_value_is_worse_however_near_the_others_are(first, places, gap):
    second = first + gap
    for _ in range(places):
        second = float(np.nextafter(second, math.inf))
    answers = iter([first, second, math.nan])
    one = make(lambda x: next(answers), on_failure="reject")
    values = [one.value(START), one.value(2 * START)]
    penalty = one.value(3 * START)
    assert penalty > max(values)
    assert math.isfinite(penalty)


@pytest.mark.parametrize("jac", [lambda x: np.full(3, math.nan), True])
def test_where_the_value_is_infinite_no_gradient_is_asked_for(jac):
    def fun(x):
        value = math.inf if x[0] > 4 else float(x @ x)
        return value if jac is not True else (value, None if x[0] > 4 else 2 * x)

    one = make(fun, jac=jac)
    assert one.value(START) == START @ START
    x = 5 * START
    assert one.value(x) > START @ START
    gradient = one.gradient(x)
    assert (x - START) @ gradient > 0
    assert one.value_and_gradient(x)[0] == one.value(x)
    assert (one.nfev, one.budget.nrejected) == (2, 1)


def test_a_penalty_is_finite_where_values_and_slopes_are_as_large_as_can_be():
    largest = np.finfo(float).max
    one = make(Failing(math.nan, 2, 3), jac=lambda x: np.full(3, -largest), on_failure="reject")
    one.value_and_gradient(START)
    for x in (2 * START, np.array([0.0, largest, 1.0])):
        penalty, gradient = one.value_and_gradient(x)
        assert math.isfinite(penalty)
        assert np.isfinite(gradient).all()


def test_an_error_of_a_run_within_an_objective_is_not_its_value():
    def outer(x):
        if x[0] > 1.5:
            make(lambda y: math.inf).execute(descend)
        return float(x @ x)

    one = make(outer)
    one.value(START)
    with pytest.raises(NonFiniteValueError, match=r"fun returned inf.*This is the start"):
        one.value(2 * START)


def test_a_rejected_users_gradient_leads_back_too():
    def jac(x):
        if x[0] > 1.0:
            raise MyError
        return 2 * x

    for fun, given_jac in ((Sphere(), jac), (lambda x: (float(x @ x), jac(x)), True)):
        one = make(fun, jac=given_jac, on_failure="reject")
        one.value_and_gradient(START)
        value, gradient = one.value_and_gradient(2 * START)
        assert value > 6.0
        assert gradient @ START > 0
        assert one.budget.nrejected == 1


def test_a_rejected_gradient_alone_leads_back():
    def jac(x):
        return 2 * x if x[0] <= 1.0 else x * math.nan

    one = make(Sphere(), jac=jac, on_failure="reject")
    one.value(START)
    one.gradient(START)
    assert one.gradient(2 * START) @ START > 0


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("at", [(1,), (2, 5), (4, 5)])
def test_a_start_that_fails_is_an_error_though_failures_are_rejected(failure, at):
    expected = type(failure) if isinstance(failure, Exception) else NonFiniteValueError
    with pytest.raises(expected) as error:
        make(Failing(failure, *at), on_failure="reject").execute(descend)
    assert error.value.optimizer_result.nrejected == 0


@pytest.mark.parametrize("on_failure", ["raise", "reject"])
@pytest.mark.parametrize("at", [1, 3])
def test_at_the_start_it_is_not_advised_to_reject(on_failure, at):
    with pytest.raises(NonFiniteValueError, match="start from another point") as error:
        # The second probe fails too, or the first would do.
        make(Failing(math.nan, at, at + 1, 5), on_failure=on_failure).execute(descend)
    assert "reject" not in str(error.value)
    with pytest.raises(NonFiniteValueError, match='on_failure="reject"'):
        make(Failing(math.nan, 6)).execute(descend)


def test_no_result_ever_shows_a_rejected_value():
    fun = Failing(math.nan, 2, 3)  # also if the ending were evaluated anew

    def solve(run):
        run.value(START)
        x = 2 * START
        run.value(x)
        run.iterated(x)
        return ending(x)

    states = []
    one = make(
        fun,
        on_failure="reject",
        callback=lambda intermediate_result: states.append(intermediate_result),
    )
    result = one.execute(solve)
    assert states[0].fun is None
    assert (result.fun, result.x.tolist()) == (6.0, START.tolist())
    assert result.stop is StopReason.NO_PROGRESS
    assert not result.success
    assert result.nrejected == result.nfev - 1


@pytest.mark.parametrize("failure", FAILURES[:2], ids=repr)
def test_a_rejected_point_leaves_the_best_one_to_those_that_follow(failure):
    # Far from feasible, then feasible but with a probe that fails, then nearer to feasible.
    positive = {"type": "ineq", "fun": lambda x: x[0]}
    answers = iter([10.0, 10.0, 1.0, failure, failure, 5.0])

    def fun(x):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    one = make(fun, x0=-5.0, constraints=[positive], on_failure="reject")
    for x in (-5.0, 3.0):
        one.value_and_gradient(np.array([x]))
    assert one.budget.nrejected == 1
    assert one.best.x[0] == -5.0
    one.value(np.array([-1.0]))
    assert (one.best.x[0], one.best.fun) == (-1.0, 5.0)


def test_a_run_goes_on_after_a_rejection_and_finds_the_minimum():
    # The logarithm is not defined where a step of descent too long would lead.
    def fun(x):
        return float(x[0] - math.log(x[0]) if x[0] > 0 else math.nan)

    def backtracking(run):
        x = run.problem.x0
        for _ in range(60):
            value, gradient = run.value_and_gradient(x)
            step = 8.0
            while run.value(x - step * gradient) >= value and step > 1e-9:
                step /= 2
            x = x - step * gradient
        return ending(x)

    result = make(fun, x0=3.0, jac="3-point", on_failure="reject").execute(backtracking)
    assert result.nrejected > 0
    assert result.x[0] == pytest.approx(1.0, abs=1e-6)


def test_a_question_is_of_no_points_or_many_but_some_are_of_one():
    one = make(Sphere())
    assert list(one.ask([]).found) == []
    assert list(one.ask([], gradients=True, optional=True).found) == []
    assert one.nfev == 0
    for wanted in ({"values": False, "gradients": True}, {"reuse": True}, {"reuse": "last"}):
        with pytest.raises(ValueError, match="2 points with reuse, or without values"):
            one.ask([START, 2 * START], **wanted)


def test_the_first_points_may_be_many_with_random_probes():
    fun = Sphere()
    problem = Problem.check("Method", ALL, fun, START, SPSAGradient())
    one = Run(problem, Evaluator(problem.fun), SPSAGradient(), seed=1)
    found = one.ask([START, 2 * START], gradients=True, penalize=False).found
    assert [known.fun for known in found] == [6.0, 24.0]
    assert [known.jac.shape for known in found] == [(3,), (3,)]
    assert one.nfev == len(fun.points) == 2 * 3


def test_only_the_evaluations_of_a_wave_that_were_made_count():
    fun = Failing(MyError(), 3)
    one = make(fun)
    with pytest.raises(MyError):
        one.value_and_gradient(START)
    assert one.nfev == len(fun.points) == 3
    assert one.best.fun == min(sphere(point) for point in fun.points[:2])


# Independence.


def test_runs_in_many_threads_know_nothing_of_each_other():
    results = {}

    def work(i):
        fun = Sphere()
        results[i] = make(fun, x0=START * (i + 1)).execute(lambda run: descend(run, 20)), fun

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        result, fun = results[i]
        assert result.nfev == len(fun.points) == 81
        alone = make(Sphere(), x0=START * (i + 1)).execute(lambda run: descend(run, 20))
        np.testing.assert_array_equal(result.x, alone.x)
