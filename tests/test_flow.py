"""Flows: how a generator's questions become evaluations, and what ends it."""

import numpy as np
import pytest

from optimizers import AskData, FlowOptimizer, StopReason, SupportLevel, vectorized
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


def test_a_wave_is_one_call_of_a_vectorised_objective():
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
