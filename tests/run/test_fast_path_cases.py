"""The short way from a compiled solver to the user's functions."""

import numpy as np
import pytest
import scipy.optimize

from optimizers import LBFGSB, NonFiniteValueError, NoValueError, minimize_lbfgsb, minimize_tnc

N = 20_002  # enough for arrays to be used again


def valley(x):
    """Return Rosenbrock's function in pairs of variables, and its gradient."""
    a, b = 1.0 - x[::2], x[1::2] - x[::2] ** 2
    gradient = np.empty(x.size)
    gradient[::2], gradient[1::2] = -2.0 * a - 400.0 * b * x[::2], 200.0 * b
    return float(a @ a + 100.0 * b @ b), gradient


def start(n=N):
    return np.resize([-1.2, 1.0], n) + np.linspace(0.0, 0.5, n)


@pytest.mark.parametrize("solve", [minimize_lbfgsb, minimize_tnc])
@pytest.mark.parametrize("bounds", [None, [(-1.5, 0.9)] * N])
def test_many_variables_take_scipys_points_and_keep_the_best(solve, bounds):
    method = "L-BFGS-B" if solve is minimize_lbfgsb else "TNC"
    start_inside = start() if bounds is None else np.clip(start(), -1.5, 0.9)
    theirs, ours = [], []
    scipy.optimize.minimize(
        lambda x: (theirs.append(x.copy()), valley(x))[1],
        start_inside,
        jac=True,
        bounds=bounds,
        method=method,
        options={"maxfun": 40},
    )
    result = solve(
        lambda x: (ours.append(x), valley(x))[1], start_inside, jac=True, bounds=bounds, maxfun=40
    )
    assert len(ours) == result.nfev
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=False))
    values = [valley(x)[0] for x in ours]
    assert result.best.fun == min(values) == valley(result.best.x)[0]
    assert result.fun == valley(result.x)[0]
    assert np.array_equal(result.jac, valley(result.x)[1])


@pytest.mark.parametrize("solve", [minimize_lbfgsb, minimize_tnc])
def test_an_error_after_many_large_points_has_the_best_of_them(solve):
    seen = []

    def objective(x):
        seen.append(valley(x)[0])
        if len(seen) == 25:
            raise ZeroDivisionError
        return valley(x)

    with pytest.raises(ZeroDivisionError) as caught:
        solve(objective, start(), jac=True)
    result = caught.value.optimizer_result
    assert result.best.fun == min(seen[:-1]) == valley(result.best.x)[0]


def test_a_jac_that_returns_the_same_array_each_time_spoils_nothing():
    buffer = np.empty(N)

    def jac(x):
        buffer[...] = valley(x)[1]
        return buffer

    result = minimize_lbfgsb(lambda x: valley(x)[0], start(), jac=jac, maxiter=12)
    assert np.array_equal(result.jac, valley(result.x)[1])
    assert np.array_equal(result.x, minimize_lbfgsb(valley, start(), jac=True, maxiter=12).x)


def test_none_from_the_objective_is_an_error_of_its_own():
    with pytest.raises(NoValueError, match="returned None"):
        minimize_lbfgsb(lambda x: None, [1.0, 2.0], jac=True)
    with pytest.raises(NoValueError, match="is a return missing"):
        minimize_lbfgsb(lambda x: None, [1.0, 2.0])


def test_differences_stop_at_the_first_value_that_is_not_finite():
    calls = []

    def objective(x):
        calls.append(x)
        return np.nan if len(calls) == 9 else float(x @ x)

    with pytest.raises(NonFiniteValueError):
        LBFGSB().minimize(objective, np.arange(1.0, 7.0))
    assert len(calls) == 9
