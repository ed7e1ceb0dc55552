"""Flows: how a generator's questions become evaluations, and what ends it."""

import numpy as np
import pytest

from optimizers import AskData, FlowOptimizer, StopReason, SupportLevel, flow, vectorized
from optimizers.flow import Step, ended


class Waves(FlowOptimizer):
    """Asks waves of given sizes around the start, and ends on the best point told."""

    def __init__(self, sizes=(4, 4), **settings):
        super().__init__({"sizes": sizes}, **settings)

    def get_support_level(self):
        return dict.fromkeys(("gradient", "bounds", "initial_point"), SupportLevel.supported)

    def _flow(self, problem, run):
        x, told_all = problem.x0, []
        for size in self.sizes:
            points = x + run.rng.normal(size=(size, x.size))
            told = yield AskData(points)
            told_all.append(told.fun)
            x = points[np.argmin(told.fun)]
            yield Step(x, extra={"told": told.fun})
        return ended(x, StopReason.MAXITER)


def bowl(x):
    return float(x @ x)


def test_a_wave_is_one_call_of_a_vectorized_objective():
    sizes = []

    @vectorized
    def fun(points):
        sizes.append(len(points))
        return (points**2).sum(axis=1)

    result = Waves((5, 1, 7)).minimize(fun, [1.0, 2.0], seed=3)
    assert sizes == [5, 1, 7]
    assert result.nfev == 13
    assert np.array_equal(result.x, Waves((5, 1, 7)).minimize(bowl, [1.0, 2.0], seed=3).x)


@pytest.mark.parametrize("maxfun", range(1, 9))
def test_a_budget_is_spent_to_its_last_point(maxfun):
    points = []
    result = Waves(maxfun=maxfun).minimize(lambda x: points.append(x) or bowl(x), [1.0, 2.0])
    assert len(points) == result.nfev == maxfun
    assert result.stop is (StopReason.MAXITER if maxfun == 8 else StopReason.MAXFUN)
    if maxfun < 8:
        assert result.fun == min(map(bowl, points))


def test_a_rejected_point_is_worse_than_all_others():
    seen = []

    def fun(x):
        seen.append(x)
        return np.nan if len(seen) % 3 == 1 else bowl(x)

    told = []
    result = Waves(on_failure="reject").minimize(
        fun,
        [1.0, 2.0],
        seed=1,
        callback=lambda intermediate_result: told.append(intermediate_result.told),
    )
    assert result.nrejected == 3
    for row in (0, 3):
        assert told[0][row] > max(told[0][1:3])


class Pairs(Waves):
    """Asks values and gradients at three points at once, the start first."""

    def _flow(self, problem, run):
        points = problem.x0 + np.arange(3.0)[:, np.newaxis]
        for _ in range(2):
            told = yield AskData(points, points)
            yield Step(problem.x0, extra={"told": told})
            points = points + 1
        return ended(problem.x0, StopReason.GRADIENT)  # it is none; nothing looks beside such


def both_told(fun, jac=None, **settings):
    """Return the answers that the flow gets, and the result."""
    told = []
    # It claims an end that is none: with noise=0 nothing else looks at that.
    result = Pairs(noise=0, **settings).minimize(
        fun,
        [1.0, 2.0],
        jac,
        callback=lambda intermediate_result: told.append(intermediate_result.told),
    )
    return told, result


def test_gradients_of_several_points_are_one_wave_with_their_probes():
    sizes, gradients = [], []

    @vectorized
    def fun(points):
        sizes.append(len(points))
        return (points**2).sum(axis=1)

    told, result = both_told(fun)
    assert sizes == [9, 9]
    assert (result.nfev, result.njev) == (18, 0)
    at = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    assert np.array_equal(told[0].fun, (at**2).sum(axis=1))
    assert told[0].jac == pytest.approx(2 * at, abs=1e-6)
    assert told[0].known.all()
    told, result = both_told(fun, lambda x: gradients.append(x) or 2 * x)
    assert (sizes[2:], result.nfev, result.njev, len(gradients)) == ([3, 3], 6, 6, 6)
    assert np.array_equal(told[1].jac, 2 * (at + 1))
    told, result = both_told(lambda x: (bowl(x), 2 * x), True)
    assert (result.nfev, result.njev) == (6, 6)
    assert np.array_equal(told[1].jac, 2 * (at + 1))


@pytest.mark.parametrize("maxfun", range(1, 19))
def test_a_budget_holds_for_gradients_of_several_points(maxfun):
    points = []
    told, result = both_told(lambda x: points.append(x) or bowl(x), maxfun=maxfun)
    assert len(points) == result.nfev <= maxfun
    assert len(told) == maxfun // 9
    assert result.stop is (StopReason.GRADIENT if maxfun == 18 else StopReason.MAXFUN)


@pytest.mark.parametrize("stacked", [False, True])
def test_of_several_points_with_gradients_a_rejected_one_is_not_a_number(stacked):
    def fun(x):
        return np.nan if x[0] == 2.0 else bowl(x)  # the second, and then the first

    stack = vectorized(lambda points: np.array([fun(x) for x in points]))
    told, result = both_told(stack if stacked else fun, on_failure="reject")
    assert [answer.known.tolist() for answer in told] == [[True, False, True], [False, True, True]]
    assert np.isnan(told[0].fun).tolist() == [False, True, False]
    assert np.isnan(told[0].jac[1]).all()
    # What a flow knows does not mislead it: no fresh start confirms the end.
    assert (result.nrejected, result.nit, result.success) == (2, 2, True)
    with pytest.raises(ArithmeticError):  # at the start there is nothing to step back to
        both_told(lambda x: fun(x + 1), on_failure="reject")


def test_values_are_evaluated_for_watchers_only_if_they_want_them():
    class Watched(Waves):
        _callback_form = ("nfev", "fun")

    states, rows = [], []

    def by_name(intermediate_result):
        states.append(intermediate_result)

    result = Watched().minimize(bowl, [1.0, 2.0], seed=1, callback=by_name)
    assert result.nfev == 8
    assert [state.fun for state in states] == [bowl(state.x) for state in states]  # of the wave
    Watched().minimize(bowl, [1.0, 2.0], seed=1, callback=lambda n, f: rows.append((n, f)))
    assert rows == [(4, states[0].fun), (8, states[1].fun)]  # known already: nothing is evaluated
    means = []

    class Mean(Watched):
        def _flow(self, problem, run):
            yield AskData(problem.x0 + np.eye(2))
            yield Step(problem.x0)
            return ended(problem.x0, StopReason.MAXITER)

    result = Mean().minimize(bowl, [1.0, 2.0], callback=lambda n, f: means.append((n, f)))
    assert means == [(3, 5.0)]
    assert (result.nfev, Mean().minimize(bowl, [1.0, 2.0], callback=print).nfev) == (3, 3)


def test_variables_that_are_all_fixed_leave_nothing_to_do():
    result = Waves().minimize(bowl, [1.0, 2.0], bounds=[(1, 1), (2, 2)])
    assert (result.stop, result.success, result.nfev) == (StopReason.FIXED, True, 1)


def test_an_error_in_a_flow_comes_out_and_the_generator_is_closed():
    closed = []

    class Broken(Waves):
        def _flow(self, problem, run):
            try:
                yield AskData(problem.x0)
                raise ZeroDivisionError("a bug")
            finally:
                closed.append(True)

    with pytest.raises(ZeroDivisionError) as raised:
        Broken().minimize(bowl, [1.0])
    assert raised.value.optimizer_result.nfev == 1
    with pytest.raises(ValueError, match="no"):
        Broken().minimize(lambda x: (_ for _ in ()).throw(ValueError("no")), [1.0])
    assert closed == [True, True]


def test_standard_errors_that_the_objective_tells_reach_the_flow():
    errors = []

    class Listening(Waves):
        def _flow(self, problem, run):
            told = yield AskData(problem.x0 + np.eye(2))
            errors.append(told.errors)
            return ended(problem.x0, StopReason.MAXITER)

    Listening().minimize(lambda x: (bowl(x), 0.5 * x[0]), [2.0, 0.0])
    Listening().minimize(bowl, [2.0, 0.0])
    assert errors[0].tolist() == [1.5, 1.0]
    assert np.isnan(errors[1]).all()


def test_an_objective_may_ask_to_stop_in_the_middle_of_a_wave():
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) == 6:
            raise StopIteration
        return bowl(x)

    result = Waves().minimize(fun, [1.0, 2.0], seed=1)
    assert (result.stop, result.nfev) == (StopReason.CALLBACK, 6)


def test_a_rejected_point_is_never_shown_with_its_stand_in():
    class Straight(Waves):
        def _flow(self, problem, run):
            x = problem.x0
            for _ in range(3):
                told = yield AskData(x, x)
                yield Step(x, told.fun, told.jac)
                x = x + 1
            return ended(x - 1, StopReason.MAXITER, told.fun, told.jac)

    def fun(x):
        return bowl(x) if x[0] < 2.5 else np.nan

    states = []
    result = Straight(on_failure="reject").minimize(
        fun,
        [1.0],
        lambda x: 2 * x,
        callback=lambda intermediate_result: states.append(intermediate_result),
    )
    assert [(state.x[0], state.fun) for state in states] == [(1.0, 1.0), (2.0, 4.0), (3.0, None)]
    assert (result.x[0], result.fun, result.stop) == (1.0, 1.0, StopReason.MAXITER)


def test_options_are_copies():
    sizes = [4, 4]
    optimizer = Waves(sizes)
    sizes[0] = 7
    optimizer.settings["sizes"][0] = 8
    assert optimizer.sizes == [4, 4]


def test_what_no_flow_may_ask_or_return_is_named():
    class Odd(Waves):
        odd = None

        def _flow(self, problem, run):
            yield AskData(problem.x0)
            if self.odd is not None:
                yield self.odd

    with pytest.raises(TypeError, match=r"returned None, expected an Outcome, such as ended"):
        Odd().minimize(bowl, [1.0])
    for odd in (AskData(), np.ones(1), (1.0,)):
        Odd.odd = odd
        with pytest.raises(TypeError, match=r"expected AskData\(points\), Products or Step"):
            Odd().minimize(bowl, [1.0])


def test_all_that_an_algorithm_needs_is_had_from_flow():
    names = {"FlowOptimizer", "AskData", "TellData", "Step", "Outcome", "StopReason", "Plan"}
    names |= {
        "Flow",
        "Products",
        "Told",
        "ended",
        "check_range",
        "Option",
        "whole",
        "Run",
        "Problem",
    }
    assert names <= set(flow.__all__)
