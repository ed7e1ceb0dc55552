"""error_bars: the Hessian of a likelihood from one wave, and what is said of it."""

import json
import math
import warnings
import zlib

import numpy as np
import pytest
from scipy.optimize import OptimizeResult
from scipy.special import polygamma

from optimizers import (
    COBYQA,
    LBFGSB,
    LM,
    ErrorBars,
    InvalidInputError,
    OptimizerResult,
    OptimizerWarning,
    OptionError,
    Param,
    error_bars,
    residuals,
    vectorized,
)


class Likelihood:
    """A negative log likelihood with its minimum and its Hessian there; counts its calls."""

    def __init__(self, fun, x, hessian) -> None:
        self.fun, self.x, self.hessian = fun, np.array(x), np.array(hessian)
        self.waves = []

    @property
    def stacked(self):
        def fun(points):
            self.waves.append(len(points))
            return np.array([self.fun(point) for point in points])

        return vectorized(fun)


def normal(count=500, seed=0):
    """Mean and standard deviation."""
    data = np.random.default_rng(seed).normal(3.0, 0.5, count)
    mean, spread = data.mean(), data.std()

    def fun(x):
        return float(np.sum(((data - x[0]) / x[1]) ** 2) / 2 + count * math.log(x[1]))

    return Likelihood(fun, [mean, spread], np.diag([count, 2 * count]) / spread**2)


def gamma(count=500, shape=2.5, scale=0.01):
    """Shape and scale, of very different sizes, strongly correlated; by sufficient statistics."""
    mean, mean_log = shape * scale, float(polygamma(0, shape)) + math.log(scale)

    def fun(x):
        k, theta = x
        return count * (math.lgamma(k) + k * math.log(theta) - (k - 1) * mean_log + mean / theta)

    mixed = count / scale
    hessian = [[count * float(polygamma(1, shape)), mixed], [mixed, count * shape / scale**2]]
    return Likelihood(fun, [shape, scale], hessian)


def poisson(count=300, seed=1):
    """A regression of counts on four variables."""
    rng = np.random.default_rng(seed)
    given = rng.normal(size=(count, 4))
    counts = rng.poisson(np.exp(given @ [0.3, -0.2, 0.1, 0.4] + 1))

    def fun(x):
        return float(np.sum(np.exp(given @ x) - counts * (given @ x)))

    x = np.zeros(4)
    for _ in range(50):
        rates = np.exp(given @ x)
        hessian = given.T @ (given * rates[:, None])
        x = x - np.linalg.solve(hessian, given.T @ (rates - counts))
    return Likelihood(fun, x, hessian)


LIKELIHOODS = {"normal": normal, "gamma": gamma, "poisson": poisson}


def assert_close(found, expected, tolerance):
    """Compare matrices in units of their diagonal."""
    size = np.sqrt(np.abs(np.diag(expected)))
    assert np.abs((found - expected) / np.outer(size, size)).max() < tolerance


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_hessian_from_one_wave_is_the_analytic_one(name):
    known = LIKELIHOODS[name]()
    inverse = np.linalg.inv(known.hessian)
    bars = error_bars(known.x, known.stacked, guess=np.sqrt(np.diag(inverse)))
    n = len(known.x)
    assert known.waves == [1 + n + n**2] == [bars.nfev]
    assert_close(bars.hessian, known.hessian, 5e-6)
    assert bars.errors == pytest.approx(np.sqrt(np.diag(inverse)), rel=1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_one_side_of_pairs_takes_fewer_points(name):
    known = LIKELIHOODS[name]()
    guess = 1 / np.sqrt(np.diag(known.hessian))
    result = OptimizeResult(x=known.x, fun=known.fun(known.x))
    bars = error_bars(result, known.stacked, guess=guess, both_sides=False)
    n = len(known.x)
    assert set(known.waves) == {1 + 2 * n + n * (n - 1) // 2}
    assert_close(bars.hessian, known.hessian, 5e-5)


@pytest.mark.parametrize("name", ["normal", "gamma"])
def test_what_the_run_knows_of_the_curvature_makes_one_wave_enough(name):
    known, bounds = LIKELIHOODS[name](), [(1e-4, None)] * 2
    # One-sided differences: the last steps are lost in their errors.
    result = LBFGSB().minimize(known.fun, known.x * 1.6, bounds=bounds)
    bars = error_bars(result, known.stacked)
    assert len(known.waves) == 1
    assert_close(bars.hessian, known.hessian, 1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_where_nothing_is_known_of_it_a_second_wave_has_better_steps(name):
    known = LIKELIHOODS[name]()
    bars = error_bars(known.x, known.stacked)
    assert len(known.waves) <= 2
    assert_close(bars.hessian, known.hessian, 1e-5)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_a_wrong_guess_is_mended(factor):
    known = normal()
    bars = error_bars(known.x, known.stacked, guess=factor * np.array([0.02, 0.016]))
    assert 1 < len(known.waves) <= 4
    assert_close(bars.hessian, known.hessian, 1e-5)


def test_scale_is_what_minuit_calls_errordef():
    known = normal()
    half = error_bars(known.x, known.fun, scale=0.5)
    chi_squared = error_bars(known.x, lambda x: 2 * known.fun(x), scale=1.0)
    assert half.covariance == pytest.approx(np.linalg.inv(half.hessian), rel=1e-12)
    assert chi_squared.covariance == pytest.approx(half.covariance, rel=1e-6, abs=1e-12)
    assert chi_squared.covariance == pytest.approx(2 * np.linalg.inv(chi_squared.hessian))


def test_a_fixed_variable_has_no_error():
    known = poisson()
    bounds = [(None, None), (known.x[1], known.x[1]), (None, None), (None, None)]
    bars = error_bars(known.x, known.stacked, bounds)
    free = [0, 2, 3]
    assert known.waves[0] == 1 + 3 + 9
    assert bars.errors[1] == 0.0
    assert not bars.covariance[1].any()
    inverse = np.linalg.inv(known.hessian[np.ix_(free, free)])
    assert_close(bars.covariance[np.ix_(free, free)], inverse, 1e-5)
    assert np.isnan(bars.correlation[1, 0])
    assert np.diag(bars.correlation)[free] == pytest.approx([1, 1, 1])


def test_all_fixed():
    bars = error_bars([1.0], lambda x: x[0], [(1.0, 1.0)])
    assert bars.errors.tolist() == [0.0]


def test_points_stay_inside_the_bounds():
    seen = []

    def fun(x):
        seen.append(x)
        return (x[0] - 1) ** 2 + (x[1] + 1) ** 2 + x[0] * x[1] / 2

    low, high = np.array([1.5, -1.375 - 1e-5]), np.array([np.inf, -1.375 + 1e-5])
    with pytest.warns(OptimizerWarning, match=r"x\[0\] are at a bound"):
        bars = error_bars([1.5, -1.375], fun, np.column_stack([low, high]))
    assert ((np.array(seen) >= low) & (np.array(seen) <= high)).all()
    assert bars.hessian == pytest.approx(np.array([[2.0, 0.5], [0.5, 2.0]]), rel=1e-3)


def test_a_variable_without_effect_has_nan_and_the_others_do_not():
    def fun(x):
        return ((x[0] - 1) ** 2 + x[2] ** 2) / 2

    with pytest.warns(OptimizerWarning, match=r"does not determine x\[1\]"):
        bars = error_bars([1.0, 0.5, 0.0], fun, guess=1.0)
    assert bars.errors == pytest.approx([1.0, math.nan, 1.0], nan_ok=True)


def test_variables_of_which_only_a_combination_counts_have_nan():
    with pytest.warns(OptimizerWarning, match=r"does not determine x\[0, 1\]"):
        bars = error_bars([1.0, 1.0, 2.0], lambda x: (x[0] + x[1] - 2) ** 2 + (x[2] - 2) ** 2)
    assert bars.errors == pytest.approx([math.nan, math.nan, math.sqrt(0.5)], nan_ok=True)


def test_a_saddle_is_not_a_minimum():
    with pytest.warns(OptimizerWarning, match="not positive definite"):
        bars = error_bars([0.0, 0.0], lambda x: x[0] ** 2 - x[1] ** 2)
    assert np.isnan(bars.errors).all()
    assert np.diag(bars.hessian) == pytest.approx([2.0, -2.0])


def test_a_point_beside_the_minimum_is_told():
    with pytest.warns(OptimizerWarning, match="falls by 0.5 near it"):
        bars = error_bars([1.0], lambda x: x[0] ** 2 / 2)
    assert bars.errors == pytest.approx([1.0])


def test_a_limit_that_leaves_points_out_is_told():
    with pytest.warns(OptimizerWarning, match="budget of function evaluations"):
        bars = error_bars([1.0, 1.0], lambda x: x @ x, maxfun=3)
    assert np.isnan(bars.errors).all()
    assert bars.nfev == 3


def test_points_that_fail_are_told():
    def fun(x):
        return x @ x / 2 if x[0] <= 0 else math.nan

    with pytest.warns(OptimizerWarning, match="are missing"):
        bars = error_bars([0.0, 0.0], fun, on_failure="reject")
    assert np.isnan(bars.errors).all()


def test_noise_lengthens_the_steps():
    known, rng = normal(), np.random.default_rng(3)
    bars = error_bars(known.x, lambda x: known.fun(x) + 1e-4 * rng.normal(), noise=1e-4)
    assert bars.errors == pytest.approx(1 / np.sqrt(np.diag(known.hessian)), rel=0.05)


def test_values_of_single_precision_do_too():
    known = normal(50)
    bars = error_bars(known.x, lambda x: np.float32(known.fun(x)))
    assert bars.errors == pytest.approx(1 / np.sqrt(np.diag(known.hessian)), rel=0.01)


def test_workers_and_journal(tmp_path):
    known = poisson()
    journal = tmp_path / "bars.jsonl"
    first = error_bars(known.x, known.fun, workers=map, journal=journal)
    second = error_bars(known.x, known.fun, workers=map, journal=journal)
    assert (first.covariance == second.covariance).all()


def test_confidence_is_by_the_normal_distribution():
    bars = ErrorBars(
        np.array([1.0]), np.array([0.5]), np.array([[0.25]]), np.array([[4.0]]), 0.0, 0.5, 3
    )
    assert bars.confidence(0.95) == pytest.approx(np.array([[1 - 0.979982, 1 + 0.979982]]))
    with pytest.raises(InvalidInputError, match="level is 95"):
        bars.confidence(95)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"scale": 0}, OptionError, "scale is 0"),
        ({"guess": [1.0, 2.0]}, InvalidInputError, "guess is"),
        ({"guess": -1.0}, InvalidInputError, "guess is"),
        ({"both_sides": 2}, OptionError, "both_sides is 2"),
        ({"noise": "estimate"}, OptionError, "standard deviation"),
    ],
)
def test_arguments_that_cannot_be_used(given, error, words):
    def fun(x):
        raise AssertionError

    with pytest.raises(error, match=words):
        error_bars([1.0], fun, **given)


def test_no_warning_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error_bars([1.0], lambda x: (x[0] - 1) ** 2)


def exponential(p):
    t = np.linspace(0.0, 4.0, 12)
    data = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.02 * np.random.default_rng(0).normal(size=12)
    return p[0] * np.exp(-p[1] * t) + p[2] - data


def test_errors_of_residuals_are_by_their_scatter():
    fit = LM().minimize(residuals(exponential), [1.0, 1.0, 0.0])
    bars = error_bars(fit.x, residuals(exponential))
    assert bars.errors == pytest.approx(fit.errors, rel=0.02)  # the Hessian has all terms
    assert bars.scale == pytest.approx(0.5 * fit.chi2 / fit.dof)
    assert bars.dof == 9
    assert bars.confidence() == pytest.approx(fit.confidence(), rel=0.01)
    known = error_bars(fit.x, residuals(lambda p: exponential(p) / 0.02), scale=0.5)
    spread = (fit.chi2 / fit.dof) ** 0.5
    assert known.errors == pytest.approx(bars.errors * 0.02 / spread, rel=1e-4)
    assert known.dof == np.inf


def test_profile_of_a_fit_without_a_jacobian():
    fun, start = residuals(exponential), [1.0, 1.0, 0.0]
    fit, by_values = LM().minimize(fun, start), COBYQA().minimize(fun, start)
    found = LM().profile(fun, error_bars(by_values, fun)).interval
    assert found == pytest.approx(LM().profile(fun, fit).interval, rel=1e-4)


def test_as_many_residuals_as_variables_tell_no_scatter():
    fun = residuals(lambda p: np.array([p[0] - 1.0, p[1] - 2.0]))
    with pytest.warns(OptimizerWarning, match="2 residuals and 2 free variables") as told:
        bars = error_bars([1.0, 2.0], fun)
    assert np.isnan(bars.errors).all()
    assert len(told) == 1
    assert error_bars([1.0, 2.0], fun, scale=0.5).errors == pytest.approx([1.0, 1.0])


# Parameters in a structure.

TIMES = np.linspace(0.0, 4.0, 30)
DATA = 2.0 * np.exp(-0.7 * TIMES) + 0.3 + 0.05 * np.random.default_rng(0).normal(size=30)


def decay(p):
    return p["size"] * np.exp(-p["rate"] * TIMES) + p["base"] - DATA


STRUCTURED = {
    "size": Param(1.0, lower=0.1, transform="log"),
    "rate": 1.0,
    "base": Param(0.3, fixed=True),
}


@pytest.fixture(scope="module")
def plain():
    """Return the fit of the two free variables as a vector, and its objective."""
    fun = residuals(lambda x: decay({"size": x[0], "rate": x[1], "base": 0.3}))
    return LM().minimize(fun, [1.0, 1.0]), fun


def test_what_was_fixed_in_the_fit_has_no_error_bar(plain):
    fit = LM().minimize(residuals(decay), STRUCTURED)
    bars = error_bars(fit, residuals(decay))
    assert list(bars.names) == ["size", "rate"]
    np.testing.assert_allclose(bars.errors, error_bars(*plain).errors, rtol=1e-4)
    np.testing.assert_allclose(bars.errors, fit.errors, rtol=1e-2)
    np.testing.assert_array_equal(bars.x, fit.x_flat)


def test_what_is_tied_moves_along():
    def fun(p):
        return (p["a"] - 1) ** 2 + (p["b"] - 1) ** 2

    fit = LBFGSB().minimize(fun, {"a": 0.0, "b": Param(None, tie="a")})
    assert error_bars(fit, fun).errors == pytest.approx([0.5])  # the second derivative is 4
    bars = error_bars({"a": 1.0, "b": Param(None, tie="a")}, fun)
    assert bars.errors == pytest.approx([0.5])


@pytest.mark.parametrize(
    "guess", [0.02, [0.02, 0.01], {"size": 0.02, "rate": 0.01}, {"rate": 0.01, "size": 0.02}]
)
def test_a_guess_may_be_in_the_structure(guess, plain):
    fit = LM().minimize(residuals(decay), STRUCTURED)
    bars = error_bars(fit, residuals(decay), guess=guess)
    np.testing.assert_allclose(bars.errors, error_bars(*plain).errors, rtol=1e-4)


@pytest.mark.parametrize("guess", [{"size": 0.02, "rat": 0.01}, {"size": -1.0, "rate": 1.0}])
def test_a_guess_that_does_not_fit_is_refused(guess):
    fit = LM().minimize(residuals(decay), STRUCTURED)
    with pytest.raises(InvalidInputError, match="guess"):
        error_bars(fit, residuals(decay), guess=guess)


@pytest.mark.parametrize("by", ["fit", "bars"])
def test_profiles_keep_what_was_fixed(by, plain):
    fun = residuals(decay)
    fit = LM().minimize(fun, STRUCTURED)
    found = LM().profile(fun, fit if by == "fit" else error_bars(fit, fun))
    np.testing.assert_allclose(found.interval, LM().profile(plain[1], plain[0]).interval, rtol=1e-4)


def test_a_result_of_a_file_does_not_say_what_was_fixed():
    fit = LM().minimize(residuals(decay), STRUCTURED)
    read = OptimizerResult.from_dict(json.loads(json.dumps(fit.to_dict())))
    with pytest.raises(InvalidInputError, match=r"fixed or tied.*from a file.*fixed=True"):
        error_bars(read, residuals(decay))
    start = {**read.x, "base": Param(read.x["base"], fixed=True)}
    assert error_bars(start, residuals(decay)).errors.shape == (2,)


# Noise.


def noisy(sigma):
    rng = np.random.default_rng(1)
    return lambda x: float((x[0] - 1) ** 2 + (x[1] - 2) ** 2 + sigma * rng.normal())


@pytest.mark.parametrize("sigma", [1e-3, 1.0])
def test_noise_that_was_not_given_is_told(sigma):
    with pytest.warns(OptimizerWarning, match=r"has noise, as two values.*Pass noise.*and guess"):
        bars = error_bars([1.0, 2.0], noisy(sigma))
    assert np.isnan(bars.errors).all()


def test_jumps_without_noise_divide_by_no_zero():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        error_bars([1.0, 2.0], lambda x: zlib.crc32(x.tobytes()) % 1000 / 7)
    assert {warning.category for warning in told} == {OptimizerWarning}


def test_noise_that_hides_the_curvature_is_told():
    with pytest.warns(OptimizerWarning, match=r"noise of 3 hides.*rises by 0.5.*pass guess"):
        error_bars([1.0, 2.0], lambda x: -float(x @ x), noise=3.0)


def test_the_noise_that_a_run_found_is_that_of_its_error_bars():
    rng = np.random.default_rng(2)

    def exact(p):
        return decay({**p, "base": 0.3}) / 0.05

    fun = residuals(lambda p: exact(p) + 0.003 * rng.normal(size=30))
    fit = LM().minimize(fun, {"size": 1.0, "rate": 1.0})
    assert fit.noise > 0
    with pytest.warns(OptimizerWarning, match=r"has noise.*error_bars\(result, fun, guess="):
        assert np.isnan(fit.errors).all()
    bars = error_bars(fit, fun, guess={"size": 0.02, "rate": 0.01}, scale=0.5)
    expected = error_bars(fit.x, residuals(exact), scale=0.5).errors
    np.testing.assert_allclose(bars.errors, expected, rtol=0.2)
