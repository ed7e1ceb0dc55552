"""TNC on values in single precision: it converges, and claims nothing that they do not bear out."""

import warnings

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import RCSTRINGS, TNC, StopReason, fmin_tnc, minimize_tnc
from optimizers.problem.bounds import as_bounds
from optimizers.problems import ReferenceProblem, all_problems
from optimizers.scipy.tnc import kernel as kernels

X0 = [-1.2, 1.0]
STARTS = np.random.default_rng(7).uniform(-3.0, 3.0, (30, 2))


def single(x):
    return np.float32(rosen(x))


@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_the_function_converges_within_its_default_limit(jac):
    result = minimize_tnc(single, X0, jac=jac)
    assert result.success
    assert rosen(result.x) < 1e-4
    assert result.fun == single(result.x)


def test_fmin_tnc_converges_too():
    x, _, code = fmin_tnc(single, X0, approx_grad=True, messages=0)
    assert code in (0, 1, 2), RCSTRINGS[code]
    assert rosen(x) < 1e-4


@pytest.mark.parametrize("start", STARTS, ids=str)
def test_it_converges_from_anywhere_given_the_evaluations(start):
    result = minimize_tnc(single, start, maxfun=5000)
    assert result.success, result.message
    assert rosen(result.x) < 1e-3


@pytest.mark.parametrize("start", STARTS, ids=str)
def test_arithmetic_in_single_precision_is_no_reason_for_a_false_success(start):
    result = minimize_tnc(lambda x: rosen(np.float32(x)), start, maxfun=5000)
    assert not result.success or rosen(result.x) < 1e-3


def is_far(problem: ReferenceProblem, x: np.ndarray, value: float) -> bool:
    """Return whether a point is neither a minimum nor looks like one."""
    minima = (problem.minimum, *problem.other_minima)
    if any(abs(problem.fun(x) - minimum) < 1e-3 * (1 + abs(minimum)) for minimum in minima):
        return False
    lower, upper = as_bounds(problem.bounds, problem.n)
    gradient = problem.jac(x)
    if lower is not None:
        gradient = x - np.clip(x - gradient, lower, upper)
    return np.abs(gradient).max() > 1e-2 * max(1.0, abs(value))


@pytest.mark.parametrize("problem", all_problems(), ids=repr)
@pytest.mark.parametrize("minimize", [minimize_tnc, TNC(maxiter=300).minimize])
def test_no_success_is_claimed_far_from_a_minimum(problem, minimize):
    def fun(x):
        return np.float32(problem.fun(x))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = minimize(fun, problem.x0, bounds=problem.bounds, maxfun=2000)
        assert not (result.success and is_far(problem, result.x, result.fun))


def seen_options(monkeypatch, **given):
    """Return the options that reach the kernel first."""
    seen = []
    monkeypatch.setattr(
        kernels, "tnc", lambda *arguments: (seen.append(arguments[4]), (3, arguments[1]))[1]
    )
    minimize_tnc(given.pop("fun", single), X0, **given)
    return seen[0]


def test_what_is_given_is_kept(monkeypatch):
    given = {"accuracy": 1e-3, "ftol": 1e-4, "xtol": 1e-5, "gtol": 1e-6}
    options = seen_options(monkeypatch, **given)
    assert {name: options[name] for name in given} == given


@pytest.mark.parametrize("further", [{"fun": rosen}, {"jac": rosen_der}], ids=["double", "jac"])
def test_other_runs_have_scipys_defaults(monkeypatch, further):
    options = seen_options(monkeypatch, **further)
    assert [options[name] for name in ("accuracy", "ftol", "xtol", "gtol")] == [0, -1, -1, -1]


def test_an_end_that_the_user_asked_for_is_a_success():
    result = minimize_tnc(single, X0, ftol=100.0)
    assert result.success
    assert result.stop is StopReason.FUN
    assert rosen(result.x) > 1.0


def test_a_second_attempt_keeps_to_the_limits_and_counts_on(monkeypatch):
    attempts = []
    kernel = kernels.tnc

    def counted(*arguments):
        attempts.append(arguments[4]["maxfun"])
        return kernel(*arguments)

    monkeypatch.setattr(kernels, "tnc", counted)
    for start in STARTS:
        numbers = []

        def callback(intermediate_result):
            numbers.append(intermediate_result.nit)  # noqa: B023  # called in this turn only

        before = len(attempts)
        result = minimize_tnc(single, start, maxfun=500, callback=callback)
        assert result.nfev <= 500
        assert numbers == list(range(1, result.nit + 1))
        assert all(left < 500 for left in attempts[before + 1 :])
    assert len(STARTS) < len(attempts) <= 2 * len(STARTS)


def test_bounds_and_fixed_variables_are_kept_in_both_attempts():
    bounds = [(None, None), (0.25, 0.25), (-1.0, 0.5)]
    for start in STARTS[:10]:
        x0 = [start[0], 0.25, 0.0]
        result = minimize_tnc(single, x0, bounds=bounds, maxfun=5000)
        assert result.x[1] == 0.25
        assert -1.0 <= result.x[2] <= 0.5
        exact = minimize_tnc(rosen, x0, jac=rosen_der, bounds=bounds, maxfun=5000)
        assert not result.success or rosen(result.x) < exact.fun + 1e-3 or exact.fun > 0.5
