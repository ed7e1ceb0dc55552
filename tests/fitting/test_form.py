"""Residuals as a form of objective: values, gradients, counts, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.optimize
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import optimizers
from optimizers import (
    BFGS,
    COBYQA,
    LBFGSB,
    SLSQP,
    TRF,
    Differences,
    SPSAGradient,
    residuals,
    vectorized,
)
from optimizers.errors import (
    CapabilityError,
    InvalidInputError,
    InvalidValueError,
    UnknownOptionError,
)

T = np.linspace(0.0, 4.0, 20)
DATA = 2.0 * np.exp(-0.7 * T) + 0.1 * np.cos(7.0 * T)
START = [1.0, 1.0]


def decay(x):
    return x[0] * np.exp(-x[1] * T) - DATA


def jacobian(x):
    slope = np.exp(-x[1] * T)
    return np.array([slope, -T * x[0] * slope]).T


@vectorized
def decays(points):
    return points[:, :1] * np.exp(-points[:, 1:] * T) - DATA


def both(x):
    return decay(x), jacobian(x)


@pytest.fixture(scope="module")
def known():
    return scipy.optimize.least_squares(decay, START, jacobian, xtol=1e-14, ftol=1e-14, gtol=1e-14)


@pytest.mark.parametrize("jac", [None, "3-point", "cs", jacobian, True])
@pytest.mark.parametrize("optimizer", [LBFGSB(), BFGS(), SLSQP(ftol=1e-12)])
def test_a_scalar_algorithm_minimizes_half_the_sum_of_squares(optimizer, jac, known):
    result = optimizer.minimize(residuals(both if jac is True else decay), START, jac)
    np.testing.assert_allclose(result.x, known.x, rtol=1e-4)
    np.testing.assert_array_equal(result.residuals, decay(result.x))
    assert result.fun == 0.5 * float(np.dot(result.residuals, result.residuals))
    np.testing.assert_allclose(result.jacobian, jacobian(result.x), atol=1e-6)
    np.testing.assert_allclose(result.jac, result.jacobian.T @ result.residuals, atol=1e-12)


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "huber", "cauchy", "arctan"])
def test_a_loss_is_scipys(loss):
    at = np.array([1.3, 0.4])
    first = scipy.optimize.least_squares(decay, at, jacobian, loss=loss, f_scale=0.3, max_nfev=1)
    result = LBFGSB(maxfun=1).minimize(residuals(decay, loss, 0.3), at, jacobian)
    assert result.fun == pytest.approx(first.cost, rel=1e-14)
    np.testing.assert_allclose(result.jac, first.grad, rtol=1e-12)


def test_a_loss_may_be_a_callable():
    def rho(z):
        return np.array([np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])

    own = LBFGSB().minimize(residuals(decay, rho, 0.2), START, jacobian)
    named = LBFGSB().minimize(residuals(decay, "cauchy", 0.2), START, jacobian)
    np.testing.assert_array_equal(own.x, named.x)
    with pytest.raises(InvalidValueError, match=r"loss returned shape \(20,\), expected \(3, 20\)"):
        LBFGSB().minimize(residuals(decay, lambda z: z), START)


@pytest.mark.parametrize(
    "jac", ["2-point", "3-point", "cs", Differences("3-point", richardson=True)]
)
@pytest.mark.parametrize("bounds", [None, [(0.5, 1.0), (1.0, 1.0 + 1e-9)]])
def test_points_and_probes_are_one_wave_and_the_marks_combine(jac, bounds):
    sizes = []

    def count(points):
        sizes.append(len(points))
        return decays(points)

    one = LBFGSB().minimize(residuals(decay), START, jac, bounds)
    for mark in (lambda f: residuals(vectorized(f)), lambda f: vectorized(residuals(f))):
        many = LBFGSB().minimize(mark(count), START, jac, bounds)
        np.testing.assert_allclose(many.x, one.x, rtol=1e-12)
        assert many.nfev == one.nfev
    assert max(sizes) > 2 or jac == "cs"


def test_a_random_gradient_folds_residuals():
    told = []
    result = optimizers.GradientDescent(maxiter=100, learning_rate=0.05).minimize(
        residuals(decay), START, SPSAGradient(samples=4), seed=3, callback=told.append
    )
    assert result.fun < 0.2
    assert len(told) == 100


def test_a_mark_changes_no_function_and_can_be_pickled():
    marked = residuals(decay, "huber", 0.5)
    assert marked is not decay
    assert LBFGSB(maxfun=3).minimize(lambda x: float(x @ x), START).get("residuals") is None
    again = pickle.loads(pickle.dumps(marked))
    first, second = (LBFGSB().minimize(f, START) for f in (marked, again))
    np.testing.assert_array_equal(first.x, second.x)


def test_a_decorator_marks_methods_and_classes():
    class Model:
        @residuals
        def misfit(self, x):
            return decay(x)

    @residuals
    class Misfit:
        def __call__(self, x):
            return decay(x)

    class Called:
        @residuals
        def __call__(self, x):
            return decay(x)

    expected = LBFGSB().minimize(residuals(decay), START).x
    for fun in (Model().misfit, Misfit(), Called()):
        np.testing.assert_array_equal(LBFGSB().minimize(fun, START).x, expected)


def test_a_decorator_may_have_options():
    @residuals(loss="huber", f_scale=0.2)
    def robust(x):
        return decay(x)

    class Model:
        @residuals(loss="huber", f_scale=0.2)
        def misfit(self, x):
            return decay(x)

    @residuals()
    def plain(x):
        return decay(x)

    expected = LBFGSB().minimize(residuals(decay, "huber", 0.2), START).x
    for fun in (robust, Model().misfit):
        np.testing.assert_array_equal(LBFGSB().minimize(fun, START).x, expected)
    assert LBFGSB().minimize(plain, START).fun == LBFGSB().minimize(residuals(decay), START).fun
    with pytest.raises(InvalidInputError, match="residuals got 'huber', expected a callable"):
        residuals("huber")
    with pytest.raises(InvalidInputError, match="loss is 'hubber'"):
        residuals(loss="hubber")


@pytest.mark.parametrize("kind", [csr_array, aslinearoperator])
def test_a_jacobian_may_be_sparse_or_an_operator(kind):
    dense = LBFGSB().minimize(residuals(decay), START, jacobian)
    other = LBFGSB().minimize(residuals(decay), START, lambda x: kind(jacobian(x)))
    np.testing.assert_allclose(other.x, dense.x, rtol=1e-6)
    assert other.njev == dense.njev


@pytest.mark.parametrize(
    ("fun", "jac", "words"),
    [
        (
            lambda x: float(x @ x),
            None,
            r"shape \(\), expected residuals of shape \(m,\)\. If it returns a v",
        ),
        (lambda x: np.zeros((3, 2)), None, r"shape \(3, 2\), expected residuals of shape \(m,\)"),
        (lambda x: decay(x) + 0j, None, "complex residuals, expected real ones"),
        (lambda x: [], None, "expected residuals of shape"),
        (lambda x: None, None, "is a return missing"),
        (lambda x: decay(x)[: 20 if x[0] == 1.0 else 19], None, "19 residuals, but 20 before"),
        (decay, lambda x: jacobian(x).T, r"\(2, 20\), expected \(20, 2\).*looks transposed"),
        (decay, lambda x: jacobian(x)[:5], r"shape \(5, 2\), expected \(20, 2\)"),
        (decay, lambda x: jacobian(x).T @ decay(x), r"shape \(2,\), expected \(20, 2\)"),
        (decay, lambda x: csr_array(jacobian(x).T), r"\(2, 20\), expected \(20, 2\).*transposed"),
        (decay, lambda x: jacobian(x) * np.nan, "jac returned nan"),
        (lambda x: (decay(x), jacobian(x).T), True, r"\(2, 20\), expected \(20, 2\).*transposed"),
        (decay, True, "expected .value, gradient"),
    ],
)
def test_what_is_no_residuals_or_jacobian_is_a_named_error(fun, jac, words):
    with pytest.raises(optimizers.EvaluationError, match=words):
        LBFGSB().minimize(residuals(fun), START, jac)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("hubber",), "loss is 'hubber'.*Did you mean 'huber'"),
        (("huber", 0.0), "f_scale is 0.0"),
        (("huber", [1.0, 2.0]), "f_scale"),
    ],
)
def test_a_loss_that_cannot_be_used_is_a_named_error(given, words):
    with pytest.raises(InvalidInputError, match=words):
        residuals(decay, *given)


@pytest.mark.parametrize(
    "given",
    [
        lambda: LBFGSB(loss="huber"),
        lambda: optimizers.ADAM(f_scale=2.0),
        lambda: LBFGSB().minimize(decay, START, loss="huber"),
        lambda: LBFGSB().set_options(loss="huber"),
    ],
)
def test_a_loss_without_residuals_is_a_named_error(given):
    with pytest.raises(UnknownOptionError, match=r"mark the objective, residuals\(fun, "):
        given()


class Half:
    """Residuals that are bad where x[0] is above a limit, after the start."""

    def __init__(self, bad):
        self.bad = bad

    def __call__(self, x):
        if x[0] > 1.5:
            if isinstance(self.bad, Exception):
                raise self.bad
            return np.where(T > 2, self.bad, decay(x))
        return decay(x)


@pytest.mark.parametrize("loss", ["linear", "arctan"])
@pytest.mark.parametrize("bad", [np.nan, ValueError("no")])
def test_a_bad_trial_point_raises_or_is_rejected(bad, loss):
    fun = residuals(Half(bad), loss)
    with pytest.raises((optimizers.NonFiniteValueError, ValueError)):
        LBFGSB().minimize(fun, START)
    result = LBFGSB(on_failure="reject").minimize(fun, START)
    assert result.nrejected > 0
    assert result.x[0] <= 1.5


@pytest.mark.parametrize("loss", ["linear", "arctan", "cauchy"])
@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_an_infinite_residual_is_a_point_at_plus_infinity(infinite, loss):
    result = LBFGSB().minimize(residuals(Half(infinite), loss), START)
    assert result.nrejected > 0
    assert result.x[0] <= 1.5


def test_counts_and_budgets_are_those_of_scalars():
    calls = []

    @residuals
    def counted(x):
        calls.append(x)
        return decay(x)

    result = LBFGSB(maxfun=7).minimize(counted, START)
    assert len(calls) == result.nfev == 7
    assert result.stop is optimizers.StopReason.MAXFUN
    best = min(calls, key=lambda x: float(np.sum(decay(x) ** 2)))
    np.testing.assert_array_equal(result.x, best)
    np.testing.assert_array_equal(result.residuals, decay(best))


def test_a_level_may_refuse_residuals():
    class Plain(optimizers.flow.FlowOptimizer):
        support_levels = optimizers.flow.levels(
            gradient=optimizers.SupportLevel.ignored,
            residuals=optimizers.SupportLevel.not_supported,
        )

        def _flow(self, problem, run):
            yield

    with pytest.raises(CapabilityError, match="Plain cannot honor residuals"):
        Plain({}).minimize(residuals(decay), START)


def test_the_best_point_has_its_residuals_without_gradients():
    result = COBYQA().minimize(residuals(decay), START)
    np.testing.assert_array_equal(result.residuals, decay(result.x))
    assert result.jacobian is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        COBYQA().minimize(residuals(decays), START)


def test_errors_say_how_values_and_residuals_are_told_apart():
    with pytest.raises(InvalidValueError, match=r"20 values.*mark it: residuals\(fun\)"):
        LBFGSB().minimize(decay, START)
    with pytest.raises(InvalidValueError, match="If it returns a value, remove the mark residuals"):
        LBFGSB().minimize(residuals(lambda x: float(x @ x)), START)
    with pytest.raises(InvalidValueError, match="use an optimizer that does not require residuals"):
        TRF().minimize(lambda x: float(x @ x), START)


def test_a_message_shows_no_more_than_the_beginning_of_large_arrays():
    both = residuals(lambda x: (np.arange(100.0), np.ones((100, 2))))
    with pytest.raises(InvalidValueError, match=r"(?s)returned .*pass jac=True") as caught:
        LBFGSB().minimize(both, [1.0, 2.0])
    assert len(str(caught.value)) < 400


def test_who_forgets_the_mark_is_told_of_it():
    with pytest.raises(InvalidValueError, match=r"expected one number.*residuals\(fun\)"):
        LBFGSB().minimize(lambda x: np.arange(5.0), [1.0, 2.0])
    with pytest.raises(InvalidValueError, match=r"expected one number") as caught:
        LBFGSB().minimize(lambda x: [], [1.0, 2.0])
    assert "residuals" not in str(caught.value)


def test_bounds_as_least_squares_takes_them_are_told_how_to_be_written():
    with pytest.raises(InvalidInputError, match=r"Bounds\(lows, highs\)"):
        LBFGSB().minimize(residuals(decay), START, bounds=(0, np.inf))
