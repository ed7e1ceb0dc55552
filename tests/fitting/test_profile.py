"""Profile likelihood: intervals, profiles, and that all minimizations advance together."""

import gc
import math
import weakref

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from optimizers import (
    BFGS,
    COBYQA,
    LBFGSB,
    NELDER_MEAD,
    TRF,
    CapabilityError,
    InvalidInputError,
    OptimizerWarning,
    OptionError,
    error_bars,
    residuals,
    vectorized,
)

T = np.linspace(0, 4, 20)
DATA = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.2 * np.random.default_rng(0).normal(size=T.size)


@residuals
def decay(x):
    return (x[0] * np.exp(-x[1] * T) + x[2] - DATA) / 0.2


@pytest.fixture(scope="module")
def fit():
    return LBFGSB().minimize(decay, [1.0, 1.0, 1.0])


def rise_at(rate):
    """Return the profile of the rate, half a sum of squares: linear in the two other variables."""
    matrix = np.column_stack([np.exp(-rate * T), np.ones_like(T)]) / 0.2
    return np.linalg.lstsq(matrix, DATA / 0.2)[1].item() / 2


def exact(fit, rise):
    """Return the ends of the interval of the rate by its exact profile."""
    found = [
        brentq(lambda rate: rise_at(rate) - fit.fun - rise, fit.x[1], other) for other in (0.3, 4.0)
    ]
    return pytest.approx(found, abs=2e-4 * (found[1] - found[0]))


@pytest.mark.parametrize("level", [0.6827, 0.95, 0.999])
def test_the_interval_is_where_the_profile_has_risen_by_the_level(fit, level):
    found = LBFGSB().profile(decay, fit, 1, level=level, absolute_sigma=True)
    assert found.interval[1] == exact(fit, ndtri((1 + level) / 2) ** 2 / 2)
    assert np.isnan(found.interval[[0, 2]]).all()


def test_without_known_deviations_their_scatter_counts_and_students_t(fit):
    found = LBFGSB().profile(decay, fit, 1)
    assert found.interval[1] == exact(fit, stdtrit(17, 0.975) ** 2 * fit.fun / 17)


def test_of_a_linear_model_it_is_that_by_covariance():
    @residuals
    def line(x):
        return x[0] + x[1] * T - DATA

    fit = LBFGSB().minimize(line, [0.0, 0.0])
    found = LBFGSB().profile(line, fit)
    assert found.interval == pytest.approx(fit.confidence(), rel=1e-3)


def test_a_profile_is_the_minimum_over_the_other_variables(fit):
    curve = LBFGSB().profile(decay, fit, 1, points=3)[1]
    assert curve.variable == 1
    assert (np.diff(curve.values) > 0).all()
    assert len(curve.values) >= 7
    assert fit.x[1] in curve.values
    assert curve.fun == pytest.approx([rise_at(rate) for rate in curve.values], rel=1e-6)


def test_all_variables_and_both_sides_advance_together(fit):
    waves = []

    @residuals
    @vectorized
    def stacked(points):
        waves.append(len(points))
        return np.array([decay(point) for point in points])

    found = LBFGSB().profile(stacked, fit)
    assert len(waves) == found.runs.rounds < 40
    assert sum(waves) == found.nfev
    assert len(found.runs) >= 24
    assert waves[0] == 24 * 3  # a value and a probe of each variable that is not held
    assert list(found.curves) == [0, 1, 2]


def test_a_result_tells_its_profile(fit):
    found = fit.profile([1], decay, LBFGSB(), level=0.9)
    assert found.interval[1] == pytest.approx(
        LBFGSB().profile(decay, fit, 1, level=0.9).interval[1]
    )
    assert found.level == 0.9
    assert "0.9 intervals by profile" in repr(found)


def test_an_objective_that_returns_a_number():
    data = np.random.default_rng(1).exponential(2.0, 12)

    def minus_log_likelihood(x):
        return len(data) * math.log(x[0]) + data.sum() / x[0]

    mean = data.mean()
    bars = error_bars([mean], minus_log_likelihood)
    found = LBFGSB().profile(minus_log_likelihood, bars, level=0.6827)

    def rise(x):
        return minus_log_likelihood([x]) - minus_log_likelihood([mean]) - 0.5

    ends = [brentq(rise, mean / 3, mean), brentq(rise, mean, 3 * mean)]
    assert found.interval[0] == pytest.approx(ends, rel=1e-4)


def test_bounds_hold_and_end_an_interval():
    seen = []

    @residuals
    def recorded(x):
        seen.append(x)
        return decay(x)

    bounds = [(0, None), (1.1, 1.4), (None, 0.5)]
    fit = LBFGSB().minimize(recorded, [1.0, 1.2, 0.4], bounds=bounds)
    found = LBFGSB().profile(recorded, fit, [1], bounds=bounds)
    assert found.interval[1] == pytest.approx([1.1, 1.4])
    points = np.array(seen)
    assert (points >= [-1e-12, 1.1, -np.inf]).all()
    assert (points <= [np.inf, 1.4, 0.5]).all()


def test_a_profile_that_does_not_rise_enough_has_no_end():
    @residuals
    def saturating(x):  # as x[0] grows, the model becomes a constant, which fits almost as well
        return np.array([np.tanh(x[0]) - 0.8, (np.tanh(x[0]) - 0.9) / 2])

    fit = LBFGSB().minimize(saturating, [0.5])
    found = LBFGSB().profile(saturating, fit, level=0.9, absolute_sigma=True)
    assert found.interval[0, 1] == np.inf
    assert np.isfinite(found.interval[0, 0])


def test_a_minimum_that_is_lower_is_told():
    @residuals
    def double(x):
        return np.array([(x[0] ** 2 - 1) * 3, (x[0] - 1) / 2, x[1]])

    fit = LBFGSB().minimize(double, [-1.2, 0.0])
    assert fit.x[0] < 0
    with pytest.warns(OptimizerWarning, match="better than the fit by"):
        LBFGSB().profile(double, fit, 0, absolute_sigma=True, level=0.9999999999999)


def test_a_fixed_variable_is_left_out(fit):
    bounds = [(None, None), (1.3, 1.3), (None, None)]
    part = LBFGSB().minimize(decay, [1.0, 1.3, 1.0], bounds=bounds)
    found = LBFGSB().profile(decay, part, bounds=bounds)
    assert list(found.curves) == [0, 2]
    with pytest.raises(InvalidInputError, match=r"x\[1\] is fixed"):
        LBFGSB().profile(decay, part, 1, bounds=bounds)


@pytest.mark.parametrize("calls", [3, 300])
def test_a_journal_resumes(fit, tmp_path, calls):
    path, plain = tmp_path / "profile.jsonl", LBFGSB().profile(decay, fit)
    left = iter([None] * calls)

    class Ending:
        """Ends the program after so many calls."""

        def __call__(self, x):
            if next(left, "nothing") == "nothing":
                raise KeyboardInterrupt
            return decay(x)

    with pytest.raises(KeyboardInterrupt):
        LBFGSB().profile(residuals(Ending()), fit, journal=path)
    left = iter([None] * 10_000)
    found = LBFGSB().profile(residuals(Ending()), fit, journal=path, journal_check="off")
    assert found.runs.nreplayed == calls
    assert found.nfev == plain.nfev
    assert (found.interval == plain.interval).all()


def test_an_error_in_all_runs_is_raised_and_in_some_is_a_point_that_is_missing(fit):
    @residuals
    def failing(x):
        if x[1] > fit.x[1] + 0.2:
            raise ZeroDivisionError
        return decay(x)

    with pytest.warns(OptimizerWarning, match="did not converge"):
        found = LBFGSB().profile(failing, fit, 1)
    assert fit.x[1] < found.interval[1, 1] <= fit.x[1] + 0.2
    assert found.runs.failures

    @residuals
    def broken(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        LBFGSB().profile(broken, fit, 1)


def test_a_search_without_gradients_profiles_too():
    @residuals
    def line(x):
        return x[0] + x[1] * T - DATA

    fit = LBFGSB().minimize(line, [0.0, 0.0])
    optimizer = NELDER_MEAD(xatol=1e-8, maxfev=2000)
    assert optimizer.profile(line, fit, 0).interval[0] == pytest.approx(
        fit.confidence()[0], rel=1e-2
    )


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"variables": 3}, InvalidInputError, "variables is 3"),
        ({"variables": [0.5]}, InvalidInputError, "variables is"),
        ({"variables": 0.5}, InvalidInputError, "variables is"),
        ({"variables": "b"}, InvalidInputError, "variables is"),
        ({"level": 2}, InvalidInputError, "level is 2"),
        ({"points": 0}, OptionError, "points is 0"),
        ({"absolute_sigma": 3}, OptionError, "absolute_sigma is 3"),
        ({"result": {"x": 1}}, InvalidInputError, "result is of type dict and has no residuals"),
        ({"fun": lambda x: x @ x}, InvalidInputError, "not marked by residuals"),
    ],
)
def test_arguments_that_cannot_be_used(fit, changes, error, words):
    arguments = {"fun": decay, "result": fit, **changes}
    with pytest.raises(error, match=words):
        LBFGSB().profile(**arguments)


def test_an_optimizer_without_bounds_holds_no_variable(fit):
    with pytest.raises(CapabilityError, match="BFGS does not support bounds"):
        BFGS().profile(decay, fit)


def test_nothing_keeps_the_objective_alive(fit):
    class Objective:
        def __call__(self, x):
            return decay(x)

    fun = Objective()
    gone = weakref.ref(fun)
    marked = residuals(fun)
    bars, profiles = error_bars(fit, marked), LBFGSB().profile(marked, fit, 1)
    del fun, marked
    gc.collect()
    assert gone() is None
    assert bars.nfev
    assert profiles.nfev


def test_intervals_of_puromycin_are_those_of_r():
    """``confint(nls(rate ~ Vm * conc / (K + conc), Puromycin, subset = state == "treated"))``."""
    conc = np.repeat([0.02, 0.06, 0.11, 0.22, 0.56, 1.10], 2)
    rate = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200])

    def misfit(x):
        return x[0] * conc / (x[1] + conc) - rate

    optimizer = TRF(x_scale="jac")
    fit = optimizer.minimize(misfit, [200.0, 0.05])
    known = np.array([[197.30212848, 229.29006490], [0.04692517, 0.08615995]])
    width = known[:, 1:] - known[:, :1]
    assert (np.abs(optimizer.profile(misfit, fit).interval - known) < 2e-4 * width).all()


def test_without_residuals_to_spare_the_deviations_of_the_data_are_needed():
    @residuals
    def exact_fit(x):
        return np.array([x[0] - 1.0, 2 * (x[1] - x[0])])

    fit = LBFGSB().minimize(exact_fit, [0.5, 0.0])
    with pytest.raises(InvalidInputError, match="absolute_sigma=True"):
        LBFGSB().profile(exact_fit, fit)
    found = LBFGSB().profile(exact_fit, fit, 0, absolute_sigma=True)
    assert found.interval[0] == pytest.approx([1 - 1.959964, 1 + 1.959964], rel=1e-3)


def test_where_no_error_is_known_there_is_no_empty_table():
    found = COBYQA().minimize(decay, [1.0, 1.0, 1.0])
    advice = r"profile\(fun, error_bars\(result, fun\)\)"
    with (
        pytest.warns(OptimizerWarning, match="Jacobian at x is not known"),
        pytest.raises(InvalidInputError, match=advice),
    ):
        LBFGSB().profile(decay, found)
    assert LBFGSB().profile(decay, error_bars(found, decay)).interval.shape == (3, 2)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_a_profile_of_another_objective_than_was_fitted_is_noticed(fit):
    with pytest.warns(
        OptimizerWarning, match="much higher next to the fit than at the fit, along x"
    ):
        TRF().profile(residuals(lambda x: decay(x) + 100.0 * np.sign(DATA - 0.7)), fit)


def test_a_profile_of_fewer_residuals_than_were_fitted_is_an_error(fit):
    with pytest.raises(InvalidInputError, match="fun returned 19 residuals, but 20 in the fit"):
        TRF().profile(residuals(lambda x: decay(x)[:19]), fit, 1)
