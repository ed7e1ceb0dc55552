"""L-BFGS-B on few workers: no probes where the value alone tells that the step is too long."""

import concurrent.futures
import itertools

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import LBFGSB
from optimizers.evaluation import Differences, Evaluator
from optimizers.evaluation.evaluator import Facts
from optimizers.problem.problem import Problem
from optimizers.run.run import Run
from optimizers.scipy.lbfgsb import available
from optimizers.scipy.lbfgsb.solver import solve_lbfgsb
from optimizers.scipy.options import LbfgsbOptions


class Narrow(Evaluator):
    """One worker: points are evaluated in their order, until the wave is closed."""

    def __init__(self, fun) -> None:
        super().__init__(fun)
        self.facts = Facts()
        self.facts.width = 1.0


class Kept:
    """An objective that keeps its points."""

    def __init__(self, fun=rosen) -> None:
        self.fun, self.points = fun, []

    def __call__(self, x: np.ndarray) -> float:
        self.points.append(x.copy())
        return self.fun(x)


def run_of(fun, n: int = 6, jac=None, bounds=None, evaluator=Narrow, **settings) -> Run:
    x0 = np.resize([-1.2, 1.0], n)
    problem = Problem.check("test", LBFGSB().get_support_level(), fun, x0, jac, bounds)
    scheme = Differences(jac if isinstance(jac, str) else "2-point")
    return Run(problem, evaluator(problem.fun), scheme, **settings)


def asked(run: Run, x: np.ndarray, skip_gradient_if):
    (known,) = run.ask([x], gradients=True, skip_gradient_if=skip_gradient_if).found
    return known.fun, known.jac


def solved(run: Run):
    return run.execute(lambda run: solve_lbfgsb(run, LbfgsbOptions(values_first=True)))


@pytest.mark.parametrize("jac", ["2-point", "3-point"])
@pytest.mark.parametrize("bounds", [None, [(-1.5, 0.8), (-1.5, 1.0)] * 3])
def test_gradients_of_steps_that_are_too_long_are_saved(jac, bounds) -> None:
    kept = Kept()
    narrow = solved(run_of(kept, jac=jac, bounds=bounds))
    plain = solved(run_of(rosen, jac=jac, bounds=bounds, evaluator=Evaluator))
    assert narrow.fun == pytest.approx(plain.fun, abs=1e-6)
    assert narrow.nfev == len(kept.points)
    if bounds is None:
        per_point = 1 + 6 * (2 if jac == "3-point" else 1)
        assert narrow.nfev % per_point != 0  # values without probes
        assert narrow.nfev < plain.nfev


def gradient(x: np.ndarray) -> np.ndarray:
    plan = Differences("2-point").plan(x)
    return plan.fold(rosen(x), np.array([rosen(point) for point in plan.points]))


def test_no_made_up_gradient_is_ever_seen() -> None:
    seen = []

    def observe(state) -> bool:
        seen.append((state.x, state.fun, state.jac))
        return False

    run = run_of(rosen, observers=(observe,))
    result = solved(run)
    assert result.nfev % 7 != 0  # values without probes
    everything = [
        *seen,
        (result.x, result.fun, result.jac),
        *run.memory.recent,
        run.memory.last,
        run.memory.last_good,
    ]
    for x, fun, jac in everything:
        assert fun == rosen(x)
        assert jac is None or np.array_equal(jac, gradient(x))
    yk = result.hess_inv.yk
    changes = [b[2] - a[2] for a, b in itertools.pairwise(seen)]
    assert np.allclose(yk, changes[-len(yk) :], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("budget", [7, 8, 14, 20, 21, 22, 40, 61])
def test_the_budget_is_hard_and_its_result_is_true(budget: int) -> None:
    kept = Kept()
    result = solved(run_of(kept, maxfun=budget))
    assert result.nfev == len(kept.points) <= budget
    assert result.fun == rosen(result.x)
    if result.jac is not None:
        assert np.allclose(result.jac, rosen_der(result.x), rtol=1e-3, atol=1e-2)


def test_a_wide_evaluator_keeps_its_gradients() -> None:
    assert solved(run_of(rosen, evaluator=Evaluator)).nfev % 7 == 0


def test_the_users_gradient_is_no_wave_to_save() -> None:
    result = solved(run_of(rosen, jac=rosen_der))
    assert result.njev == result.nfev


def test_a_kernel_that_does_not_step_back_is_driven_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(available, "steps_back_by_value", lambda: False)
    assert solved(run_of(rosen)).nfev % 7 == 0


def test_the_class_saves_them_unless_told_otherwise() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = LBFGSB(workers=pool).minimize(rosen, np.resize([-1.2, 1.0], 6))
        same = LBFGSB(workers=pool, values_first=False).minimize(rosen, np.resize([-1.2, 1.0], 6))
    serial = LBFGSB().minimize(rosen, np.resize([-1.2, 1.0], 6))
    assert np.array_equal(same.x, serial.x)
    assert same.nfev == serial.nfev
    assert first.fun == pytest.approx(serial.fun, abs=1e-8)


def test_rejected_points_are_stepped_back_from() -> None:
    def fun(x: np.ndarray) -> float:
        return rosen(x) if np.abs(x).max() < 1.3 else np.nan

    result = solved(run_of(fun, on_failure="reject"))
    assert result.fun < 1e-6 or result.fun == pytest.approx(3.97, abs=0.1)


def test_a_run_tells_the_value_alone_where_that_is_enough() -> None:
    kept = Kept()
    run = run_of(kept)
    x = run.problem.x0
    value, gradient = asked(run, x, lambda value: True)
    assert (value, gradient) == (rosen(x), None)
    assert len(kept.points) == run.nfev == 1
    value, gradient = asked(run, x + 1.0, lambda value: False)
    assert np.allclose(gradient, rosen_der(x + 1.0), rtol=1e-4)
    assert run.memory.last.jac is not None
