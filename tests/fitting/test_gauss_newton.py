"""Methods that take a Hessian have J^T J of residuals, constraints included."""

import numpy as np
import pytest
import scipy.optimize
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import optimizers
from optimizers import (
    LBFGSB,
    SLSQP,
    TRF,
    CapabilityError,
    NewtonCG,
    TrustConstr,
    TrustExact,
    residuals,
)
from tests.fitting.test_form import START, decay, jacobian

NEWTON = ["NewtonCG", "Dogleg", "TrustNCG", "TrustExact", "TrustKrylov"]


@pytest.mark.parametrize("loss", ["linear", "soft_l1"])
@pytest.mark.parametrize("name", NEWTON)
def test_newton_methods_need_no_hessian(name, loss):
    fun = residuals(decay, loss, 0.3)
    expected = TRF().minimize(fun, START, jacobian)
    result = getattr(optimizers, name)().minimize(fun, START, jacobian)
    np.testing.assert_allclose(result.x, expected.x, rtol=1e-3)
    assert result.nhev == 0
    assert result.nfev <= 25


@pytest.mark.parametrize("loss", ["huber", "cauchy", "arctan"])
@pytest.mark.parametrize("name", NEWTON)
def test_newton_methods_start_where_all_residuals_are_outliers(name, loss):
    fun = residuals(decay, loss, 0.1 if loss == "arctan" else 0.05)
    expected = TRF().minimize(fun, START, jacobian)
    result = getattr(optimizers, name)().minimize(fun, START, jacobian)
    assert result.success
    assert result.fun == pytest.approx(expected.fun, rel=1e-3)


@pytest.mark.parametrize("kind", [np.asarray, csr_array, aslinearoperator])
def test_a_jacobian_of_any_kind_makes_a_hessian(kind):
    for optimizer in (TrustConstr(), TrustExact()):
        dense = optimizer.minimize(residuals(decay), START, jacobian)
        other = optimizer.minimize(residuals(decay), START, lambda x: kind(jacobian(x)))
        np.testing.assert_allclose(other.x, dense.x, rtol=1e-6)


@pytest.mark.parametrize("optimizer", [TrustConstr(), SLSQP(ftol=1e-12)])
@pytest.mark.parametrize("jac", [None, jacobian])
def test_constraints_go_with_residuals(optimizer, jac):
    # The amplitude and the rate are tied; and the half-life is bounded.
    equal = scipy.optimize.LinearConstraint([[1.0, -2.5]], 0.0, 0.0)
    result = optimizer.minimize(residuals(decay), START, jac, constraints=equal)
    alone = scipy.optimize.least_squares(lambda x: decay([2.5 * x[0], x[0]]), [1.0], xtol=1e-14)
    np.testing.assert_allclose(result.x, [2.5 * alone.x[0], alone.x[0]], rtol=1e-5)
    np.testing.assert_array_equal(result.residuals, decay(result.x))
    least = scipy.optimize.NonlinearConstraint(lambda x: x[0] * x[1], 0.0, 1.0)
    result = optimizer.minimize(residuals(decay), START, jac, constraints=least)
    assert result.maxcv < 1e-6
    assert result.x[0] * result.x[1] == pytest.approx(1.0, abs=1e-5)


def test_it_saves_evaluations_beside_an_update():
    strategy = scipy.optimize.BFGS()
    fun = residuals(decay)
    with_update = TrustConstr().minimize(fun, START, jacobian, hess=strategy)
    by_default = TrustConstr().minimize(fun, START, jacobian)
    assert by_default.nfev < with_update.nfev
    np.testing.assert_allclose(by_default.x, with_update.x, rtol=1e-4)


def test_rejected_points_have_the_last_hessian():
    def holed(x):
        return decay(x) if x[0] < 1.7 else np.full(20, np.nan)

    for optimizer in (TrustExact(), NewtonCG(), TrustConstr()):
        result = optimizer.minimize(residuals(holed), START, jacobian, on_failure="reject")
        assert result.x[0] < 1.7
    scalar = LBFGSB().minimize(residuals(holed), START, jacobian, on_failure="reject")
    assert scalar.x[0] < 1.7


def test_complex_steps_of_a_gradient_are_refused():
    with pytest.raises(CapabilityError, match="omit hess for J'J"):
        TrustConstr().minimize(residuals(decay), START, jacobian, hess="cs")
    for scheme in ("2-point", "3-point"):
        result = TrustConstr().minimize(residuals(decay), START, jacobian, hess=scheme)
        np.testing.assert_allclose(result.x, TRF().minimize(decay, START).x, rtol=1e-4)
