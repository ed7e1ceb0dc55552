"""Gradients of users beside differences of values."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der

from optimizers import (
    InvalidInputError,
    ParameterShift,
    StopReason,
    available,
    check_gradient,
    minimize,
    residuals,
    vectorized,
)

START = np.linspace(-1, 2, 5)


def wrong(x):
    gradient = rosen_der(x)
    gradient[2] *= -1
    return gradient


def test_a_gradient_that_is_right_is_ok():
    found = check_gradient(rosen, rosen_der, START)
    assert found.ok
    assert found.fun == rosen(START)
    assert found.differences == pytest.approx(rosen_der(START), rel=1e-8)
    assert (np.abs(found.jac - found.differences) <= 10 * found.error).all()
    assert found.nfev == 1 + 6 * START.size


def test_the_worst_component_comes_first():
    found = check_gradient(rosen, wrong, START)
    assert not found.ok
    assert found.order[0] == 2
    lines = repr(found).splitlines()
    assert lines[0] == "The gradient does not agree with differences of values."
    assert lines[2].split()[:3] == ["2", "113.5", "-113.5"]


def test_all_points_are_one_wave():
    waves = []

    @vectorized
    def fun(points):
        waves.append(len(points))
        return (points**3).sum(axis=1)

    assert check_gradient(fun, lambda x: 3 * x**2, START).ok
    assert waves == [1 + 6 * START.size]


def test_a_gradient_comes_in_every_form():
    def both(x):
        return rosen(x), rosen_der(x)

    box = [(-1, 0), (-1, 1), (0.5, 2), (0, 2), (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        assert check_gradient(both, True, START, bounds=box, workers=pool).ok
    assert check_gradient(lambda x: np.cos(x).sum(), ParameterShift(), START).ok
    assert check_gradient(lambda x, a: a * rosen(x), lambda x, a: a * rosen_der(x), START, 3.0).ok

    fit = residuals(lambda x: np.array([x[0] - 1, 10 * (x[1] - x[0] ** 2)]), "soft_l1")
    assert check_gradient(fit, lambda x: np.array([[1, 0], [-20 * x[0], 10]]), [-1.0, 2.0]).ok
    assert not check_gradient(fit, lambda x: np.array([[1, 0], [20 * x[0], 10]]), [-1.0, 2.0]).ok


@pytest.mark.parametrize("size", [0.0, 1e-6, 1e-3])
def test_the_error_is_that_of_the_values(size):
    rng = np.random.default_rng(1)
    noisy = check_gradient(lambda x: rosen(x) + size * rng.normal(), rosen_der, START)
    assert noisy.ok
    coarse = check_gradient(lambda x: np.float32(rosen(x)), rosen_der, START)
    assert coarse.ok
    assert coarse.error.max() < 1.0


def test_what_cannot_be_compared_is_an_error():
    with pytest.raises(InvalidInputError, match="there is no gradient to check"):
        check_gradient(rosen, None, START)
    with pytest.raises(InvalidInputError, match="Nothing could be compared: the budget"):
        check_gradient(rosen, rosen_der, START, maxfun=3)


@pytest.mark.parametrize("name", ["BFGS", "CG", "LBFGSB", "TNC"])
def test_a_failed_line_search_names_the_component_that_is_wrong(name):
    result = available()[name]().minimize(rosen, START, jac=wrong)
    assert not result.success
    assert "The gradient disagrees with the values: component 2 is" in result.message


SUM = {"type": "ineq", "fun": lambda x: 3 - x.sum()}  # not active where these runs end


@pytest.mark.filterwarnings("ignore:delta_grad")
@pytest.mark.parametrize("constraints", [(), SUM])
@pytest.mark.parametrize("name", ["SLSQP", "trust-constr"])
@pytest.mark.parametrize("signs", [[-1, -1, -1], [1, -1, 1]])
def test_an_end_on_a_slope_within_constraints_names_the_component(name, constraints, signs):
    def fun(x):
        with np.errstate(over="ignore"):
            return float((x - 1) @ (x - 1) + np.sum(x**4))

    def jac(x):
        with np.errstate(over="ignore"):
            return (2 * (x - 1) + 4 * x**3) * signs

    result = minimize(fun, [-1.2, 1.0, 0.8], method=name, jac=jac, constraints=constraints)
    assert not result.success
    assert "The gradient disagrees with the values: component" in result.message


@pytest.mark.filterwarnings("ignore:delta_grad")
@pytest.mark.parametrize("name", ["SLSQP", "trust-constr"])
def test_an_end_on_a_slope_that_constraints_cause_is_not_checked(name):
    asked, limit = [], {"type": "ineq", "fun": lambda x: 1 - x.sum()}

    def fun(x):
        asked.append(1)
        return rosen(x)

    result = minimize(fun, [0.1, 0.2], method=name, jac=rosen_der, constraints=limit)
    theirs = scipy.optimize.minimize(
        rosen, [0.1, 0.2], method=name, jac=rosen_der, constraints=limit
    )
    assert result.success
    assert np.abs(result.jac).max() > 0.3
    assert len(asked) <= theirs.nfev


def test_a_failed_line_search_with_the_right_gradient_says_nothing_of_it():
    fussy = available()["BFGS"](gtol=1e-30)
    result = fussy.minimize(lambda x: rosen(x) + 1000, START, jac=rosen_der)
    assert result.stop is StopReason.NO_PROGRESS
    assert "disagrees" not in result.message


@pytest.mark.parametrize("name", ["BFGS", "CG"])
@pytest.mark.parametrize("factor", [0.5, 1.1, 1.5, 2.0])
def test_a_failed_line_search_names_a_component_that_is_wrong_by_a_factor(name, factor):
    def off(x):
        return rosen_der(x) * [1, factor, 1]

    result = minimize(rosen, [1.3, 0.7, 0.2], method=name, jac=off)
    assert not result.success
    assert "The gradient disagrees with the values: component 1 is" in result.message


@pytest.mark.parametrize("name", ["dogleg", "trust-exact", "trust-krylov", "trust-ncg"])
def test_a_trust_region_that_returns_to_the_start_names_the_component_that_is_wrong(name):
    result = minimize(rosen, START, method=name, jac=wrong, hess=lambda x: np.eye(START.size))
    assert "The gradient disagrees with the values: component 2 is" in result.message


@pytest.mark.parametrize("name", ["BFGS", "CG", "LBFGSB"])
@pytest.mark.parametrize("start", [[1.3, 0.7], [2.0, -3.0], [0.1, 5.0]])
def test_a_kink_is_not_a_wrong_gradient(name, start):
    def fun(x):
        return abs(x[0] - 1) + 10 * abs(x[1] + x[0] ** 2)

    def jac(x):
        first, second = np.sign([x[0] - 1, x[1] + x[0] ** 2])
        return np.array([first + 20 * second * x[0], 10 * second])

    result = available()[name]().minimize(fun, start, jac=jac)
    assert "disagrees" not in result.message


def test_a_failed_line_search_names_the_parameter_that_is_wrong():
    result = minimize(
        lambda p: (p["a"] - 1) ** 2 + p["b"] ** 2,
        {"a": 3.0, "b": 1.0},
        method="BFGS",
        jac=lambda p: {"a": -2 * (p["a"] - 1), "b": 2 * p["b"]},
    )
    assert "The gradient disagrees with the values: 'a' is -4, but 4 by" in result.message


def test_values_alone_are_asked_of_an_objective_that_returns_both():
    def both(x):
        return rosen(x), wrong(x)

    result = available()["BFGS"]().minimize(both, START, jac=True)
    assert "component 2 is" in result.message


@pytest.mark.parametrize("name", ["DOGBOX", "LM", "TRF"])
@pytest.mark.parametrize("sign", [-1, [1, -1]])
def test_a_fit_by_a_wrong_jacobian_is_no_success(name, sign):
    t = np.linspace(0, 4, 40)

    def misfit(p):
        return p[0] * np.exp(-p[1] * t) - 2.5 * np.exp(-1.3 * t)

    def slopes(p):
        return np.array([np.exp(-p[1] * t), -p[0] * t * np.exp(-p[1] * t)]).T * sign

    result = available()[name]().minimize(residuals(misfit), [1.0, 0.5], jac=slopes)
    assert not result.success
    assert "The gradient disagrees with the values: component" in result.message


def test_a_short_step_of_a_trust_region_with_a_wrong_gradient_is_no_success():
    result = available()["TrustConstr"]().minimize(rosen, START, jac=lambda x: -rosen_der(x))
    assert not result.success
    assert "The gradient disagrees with the values: component" in result.message
