"""What a result tells of a fit: chi2, degrees of freedom, covariance, errors, intervals."""

import math
import pickle

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

from optimizers import (
    COBYQA,
    LBFGSB,
    LM,
    TRF,
    Differences,
    InvalidInputError,
    OptimizerResult,
    OptimizerWarning,
    Param,
    find,
    load,
    residuals,
)
from optimizers._words import with_error
from optimizers.problems import nist_fits

T = np.linspace(0, 4, 50)
DATA = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.2 * np.random.default_rng(0).normal(size=T.size)


def model(t, a, b, c):
    return a * np.exp(-b * t) + c


def slopes(x):
    e = np.exp(-x[1] * T)
    return np.column_stack([e, -x[0] * T * e, np.ones_like(T)])


def fitted(x, jacobian=None, **further):
    """Return a result as a run on residuals has it."""
    vector = model(T, *x) - DATA
    jacobian = slopes(x) if jacobian is None else jacobian
    value = vector @ vector / 2
    return OptimizerResult(x=x, fun=value, residuals=vector, jacobian=jacobian, **further)


@pytest.fixture(scope="module")
def theirs():
    def jac(t, *x):
        return slopes(x)

    # By TRF: MINPACK's covariance is that of the point before the last.
    return scipy.optimize.curve_fit(model, T, DATA, [1, 1, 1], jac=jac, method="trf", xtol=1e-14)


def test_the_covariance_is_that_of_scipys_curve_fit(theirs):
    x, covariance = theirs
    result = fitted(x)
    assert result.covariance == pytest.approx(covariance, rel=1e-8)
    assert result.errors == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-8)
    assert result.dof == 47
    assert result.chi2 == 2 * result.fun
    assert result["chi2"] == result.chi2


@pytest.mark.parametrize("form", [csr_array, aslinearoperator])
def test_any_form_of_jacobian(theirs, form):
    x, covariance = theirs
    assert fitted(x, form(slopes(x))).covariance == pytest.approx(covariance, rel=1e-8)


def test_units_of_variables_do_not_matter(theirs):
    x, covariance = theirs
    unit = np.array([1e150, 1.0, 1e-150])
    found = fitted(x, slopes(x) / unit).errors
    assert found / unit == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-8)


def test_intervals_are_by_students_t(theirs):
    x, covariance = theirs
    half = scipy.stats.t.ppf(0.975, 47) * np.sqrt(np.diag(covariance))
    assert fitted(x).confidence() == pytest.approx(np.array([x - half, x + half]).T)


def test_with_known_deviations_of_the_data_they_are_by_the_normal_distribution(theirs):
    x, _ = theirs
    result = fitted(x)
    errors = np.sqrt(np.diag(result.covariance) * result.dof / result.chi2)
    half = scipy.stats.norm.ppf(0.95) * errors
    found = result.confidence(0.9, absolute_sigma=True)
    assert found == pytest.approx(np.array([x - half, x + half]).T)


def test_weights_of_a_loss_count(theirs):
    x, _ = theirs
    weights = np.linspace(0.1, 1, T.size)
    result = fitted(x, weights=weights)
    inverse = np.linalg.inv(slopes(x).T @ (weights[:, np.newaxis] * slopes(x)))
    assert result.covariance == pytest.approx(inverse * result.chi2 / result.dof)


def test_a_variable_that_is_fixed_has_no_error(theirs):
    x, _ = theirs
    result = fitted(x, fixed=np.array([False, True, False]))
    assert result.dof == 48
    assert result.errors[1] == 0
    inverse = np.linalg.inv(slopes(x)[:, [0, 2]].T @ slopes(x)[:, [0, 2]])
    found = result.covariance[np.ix_([0, 2], [0, 2])]
    assert found == pytest.approx(inverse * result.chi2 / 48)


def test_what_the_data_do_not_determine_is_nan_and_told(theirs):
    x, _ = theirs
    jacobian = slopes(x)
    jacobian[:, 1] = -3 * jacobian[:, 0]
    with pytest.warns(OptimizerWarning, match=r"do not determine x\[0, 1\]"):
        errors = fitted(x, jacobian).errors
    assert np.isnan(errors).tolist() == [True, True, False]
    jacobian[:, 1] = 0
    with pytest.warns(OptimizerWarning, match=r"do not determine x\[1\]"):
        errors = fitted(x, jacobian).errors
    assert np.isnan(errors).tolist() == [False, True, False]


def test_no_residual_to_spare():
    result = OptimizerResult(
        x=np.ones(2), fun=0.0, residuals=np.zeros(2), jacobian=np.array([[1.0, 2.0], [0.0, 1.0]])
    )
    with pytest.warns(OptimizerWarning, match="2 residuals and 2 free variables"):
        assert np.isnan(result.errors).all()
    assert result.confidence(absolute_sigma=True) == pytest.approx(
        np.array([1 - 1.959964 * np.sqrt([5, 1]), 1 + 1.959964 * np.sqrt([5, 1])]).T, rel=1e-6
    )


def test_more_variables_than_residuals():
    result = OptimizerResult(
        x=np.ones(3), fun=0.0, residuals=np.zeros(1), jacobian=np.array([[1.0, 2.0, 0.0]])
    )
    with pytest.warns(OptimizerWarning):
        assert np.isnan(result.confidence(absolute_sigma=True)).all()


def test_a_jacobian_that_is_not_known_is_told(theirs):
    x, _ = theirs
    result = fitted(x)
    result.jacobian = None
    with pytest.warns(OptimizerWarning, match="The Jacobian at x is not known"):
        assert np.isnan(result.errors).all()


def test_a_result_without_residuals_has_none_of_it():
    result = OptimizerResult(x=np.ones(2), fun=1.0)
    assert not hasattr(result, "covariance")
    with pytest.raises(KeyError, match=r"no residuals.*error_bars"):
        result["errors"]
    with pytest.raises(KeyError, match="no residuals"):
        result.confidence()


def test_what_is_told_is_no_entry_and_goes_through_json_and_pickle(theirs):
    result = fitted(theirs[0])
    before = set(result)
    errors = result.errors
    assert set(result) == before
    for copy in (OptimizerResult.from_dict(result.to_dict()), pickle.loads(pickle.dumps(result))):
        assert (copy.errors == errors).all()


@pytest.mark.parametrize("level", [0, 1, 95, math.nan, "0.95"])
def test_a_level_that_is_none(theirs, level):
    with pytest.raises(InvalidInputError, match="level is"):
        fitted(theirs[0]).confidence(level)


def test_a_run_tells_what_the_statistics_need():
    def misfit(x):
        return model(T, *x) - DATA

    bounds = [(None, None), (1.3, 1.3), (None, None)]
    result = LBFGSB().minimize(residuals(misfit, "soft_l1", 0.1), [1.0, 1.3, 1.0], bounds=bounds)
    assert result.fixed.tolist() == [False, True, False]
    assert result.dof == 48
    assert result.errors[1] == 0
    theirs = scipy.optimize.least_squares(
        lambda x: model(T, x[0], 1.3, x[1]) - DATA, [1, 1], loss="soft_l1", f_scale=0.1, xtol=1e-14
    )
    covariance = np.linalg.inv(theirs.jac.T @ theirs.jac) * 2 * theirs.cost / 48
    assert result.covariance[np.ix_([0, 2], [0, 2])] == pytest.approx(covariance, rel=1e-4)
    plain = LBFGSB().minimize(residuals(misfit), [1.0, 1.3, 1.0])
    assert "weights" not in plain
    assert "fixed" not in plain


@pytest.mark.parametrize("fit", nist_fits(), ids=lambda fit: fit.name)
def test_errors_are_those_that_nist_certifies(fit):
    # Slopes of six digits and more, also of parameters of 1e-9. Lanczos1 was fitted to data without
    # errors but for their rounding: its residuals have no more than three good digits.
    slopes = Differences("3-point", relative_step=6e-6)
    optimizer = TRF(x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15)
    result = optimizer.minimize(fit.residuals, np.array(fit.certified) * (1 + 1e-6), jac=slopes)
    digits = 3 if fit.name == "Lanczos1" else 5
    assert result.errors == pytest.approx(np.array(fit.deviations), rel=0.5 * 10.0**-digits)
    assert result.dof == len(fit.y) - fit.n


@pytest.mark.parametrize("jac", [None, "3-point"])
def test_variables_that_depend_on_each_other_have_no_errors(jac):
    times = np.linspace(0, 1, 20)
    data = 2 * np.exp(-1.3 * times) + 0.01 * np.sin(40 * times)
    fun = residuals(lambda x: x[0] * x[1] * np.exp(-x[2] * times) - data)
    result = TRF().minimize(fun, [1.0, 1.0, 1.0], jac)
    with pytest.warns(OptimizerWarning, match=r"do not determine x\[0, 1\]"):
        errors = result.errors
    assert np.isnan(errors).tolist() == [True, True, False]


# What is printed.


def test_a_fit_prints_its_errors(theirs):
    x, covariance = theirs
    result = fitted(x)
    for i, error in enumerate(np.sqrt(np.diag(covariance))):
        assert f"x[{i}]: {x[i]:.3g}"[:8] in repr(result)
        assert f" +- {error:.2g}" in repr(result)
        assert f"+- {error:.2g}</td>" in result._repr_html_()
    each = f"{result.chi2 / result.dof:.6g} for each of 47 degrees of freedom"
    assert f"chi2: {result.chi2:.6g}, {each}" in str(result)


@pytest.mark.parametrize("name", ["LM", "TRF", "LBFGSB"])
def test_printing_names_the_parameters_that_end_on_a_bound(name):
    fun = residuals(lambda p: model(T, p["a"], p["b"], p["c"]) - DATA)
    optimizer = find(name)()
    fit = optimizer.minimize(fun, {"a": 1.0, "b": 1.0, "c": 0.2}, bounds={"c": (-1.0, 0.3)})
    assert fit.at_bound.tolist() == [False, False, True]
    assert "errors: they ignore the bound on which the fit ends: c" in repr(fit)
    free = optimizer.minimize(fun, {"a": 1.0, "b": 1.0, "c": 0.2}, bounds={"c": (0.0, 9.0)})
    assert "at_bound" not in free
    assert "ignore" not in repr(free)


def test_printing_says_why_there_are_no_errors_and_warns_of_nothing():
    unknown = fitted(np.ones(3))
    unknown.jacobian = None
    assert "errors: The Jacobian at x is not known" in repr(unknown)
    few = OptimizerResult(x=np.ones(2), fun=1.0, residuals=np.ones(2), jacobian=np.eye(2))
    assert "errors: There are 2 residuals and 2 free variables" in repr(few)
    assert "residuals: None" in repr(OptimizerResult(x=np.ones(2), fun=1.0, residuals=None))


def test_errors_are_called_by_the_names_of_parameters():
    fun = residuals(lambda p: model(T, p["a"], p["b"], p["c"]) - DATA)
    start = {"a": Param(1.0, scale=2.0), "b": 1.0, "c": Param(0.5, fixed=True)}
    fit = LBFGSB().minimize(fun, start)
    assert [line.split(":")[0].strip() for line in repr(fit).splitlines() if "+-" in line] == [
        "a",
        "b",
    ]


def test_many_errors_are_one_line():
    n = 30
    fit = OptimizerResult(
        x=np.ones(n), fun=1.0, residuals=np.ones(2 * n), jacobian=np.vstack([np.eye(n)] * 2)
    )
    assert len(repr(fit).splitlines()) == 6
    assert "+-" not in repr(fit)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (2.00123, 0.0543, "2.001 +- 0.054"),
        (1e6 + 0.25, 0.1, "1000000.25 +- 0.1"),
        (-3.1e-7, 2e-8, "-3.1e-07 +- 2e-08"),
        (0.01, 5.0, "0.01 +- 5"),
        (0.0, 0.1, "0 +- 0.1"),
        (1.5, 0.0, "1.5 +- 0"),
        (1.5, math.nan, "1.5 +- nan"),
    ],
)
def test_a_value_has_the_digits_that_its_error_tells(value, error, words):
    assert with_error(value, error) == words


# What a journal has of them.


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
@pytest.mark.parametrize("loss", ["linear", "huber"])
def test_errors_are_known_from_a_journal(tmp_path, name, loss):
    fun = residuals(lambda x: model(T, *x) - DATA, loss)
    bounds = [(0, 5), (0, 5), (0.4, 0.4)]
    fit = LM().minimize(fun, [1.0, 1.0, 0.4], bounds=bounds, journal=tmp_path / name)
    found = load(tmp_path / name).result
    assert np.array_equal(found.errors, fit.errors)
    assert np.array_equal(
        found.confidence(absolute_sigma=True), fit.confidence(absolute_sigma=True)
    )
    assert fit.errors[2] == 0.0
    assert "+-" in repr(found)


def test_errors_that_a_journal_does_not_know_are_nan(tmp_path):
    fun, path = residuals(lambda x: model(T, *x) - DATA), tmp_path / "run.jsonl"
    COBYQA().minimize(fun, [1.0, 1.0, 0.4], maxfun=20, journal=path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:15]))
    with pytest.warns(OptimizerWarning, match="Jacobian at x is not known"):
        assert np.isnan(load(path).result.errors).all()
    singular = residuals(lambda x: model(T, x[0], 1.3, x[0] * 0) - DATA + 0 * x[1])
    LM().minimize(singular, [1.0, 1.0], journal=tmp_path / "singular.jsonl")
    with pytest.warns(OptimizerWarning, match=r"do not determine x\[1\]"):
        errors = load(tmp_path / "singular.jsonl").result.errors
    assert np.isnan(errors).tolist() == [False, True]
