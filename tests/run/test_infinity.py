"""+inf is a value: a point that is worse than all others, for every class and way to evaluate."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.optimize

from optimizers import (
    AQGD,
    BFGS,
    COBYLA,
    COBYQA,
    GSLS,
    LBFGSB,
    NELDER_MEAD,
    POWELL,
    SLSQP,
    SPSA,
    TNC,
    NonFiniteValueError,
    StopReason,
    SupportLevel,
    TellData,
    vectorized,
)
from tests.making import make, of_values

START = [6.0, 9.0, 0.5]


def barrier(x):
    """Return a sum whose minimum is 3 at (1, 1, 1), and +inf outside its domain."""
    return float(np.sum(x - np.log(x))) if np.all(x > 0) else math.inf


def gradient(x):
    return 1 - 1 / x if np.all(x > 0) else np.full(3, math.nan)


def hessian(x):
    return np.diag(1 / x**2)


def needed(cls):
    """Return what a class takes besides the objective, and what makes it leave the domain."""
    levels = cls.support_levels if hasattr(cls, "support_levels") else {}
    levels = make(cls).get_support_level() or levels
    # A probe of parameter shift that is +inf has no other in its place.
    jac = gradient if levels["gradient"] == SupportLevel.required or cls is AQGD else None
    hess = {"hess": hessian} if levels["hessian"] == SupportLevel.required else {}
    return {"jac": jac, **hess}


@pytest.mark.parametrize("cls", of_values().values(), ids=lambda cls: cls.__name__)
def test_every_class_goes_on(cls):
    values = []

    def fun(x):  # every ninth point is another hole in the domain, whatever a class asks
        values.append(barrier(x) if len(values) % 9 < 8 else math.inf)
        return values[-1]

    result = make(cls).minimize(fun, START, maxfun=60, **needed(cls))
    assert math.inf in values
    assert barrier(result.x) < barrier(np.array(START))
    assert result.fun == barrier(result.x) or result.is_estimate  # SPSA's own, at its iterate
    assert result.best.fun == min(values)
    assert result.nrejected <= values.count(math.inf)


@pytest.mark.parametrize("jac", [None, gradient], ids=["values", "jac"])
@pytest.mark.parametrize("cls", [LBFGSB, TNC, BFGS, SLSQP, NELDER_MEAD, SPSA])
def test_every_way_to_evaluate_gives_the_same(cls, jac):
    if make(cls).is_gradient_ignored and jac is not None:
        jac = None

    def minimize(fun, **settings):
        optimizer = make(cls, maxfun=120, **settings)
        return optimizer.minimize(fun, [3.0, 9.0, 0.5], jac)

    alone = minimize(lambda x: barrier(x))
    assert alone.nrejected > 0 or jac is None
    stack = vectorized(lambda xs: np.array([barrier(x) for x in xs]))
    with ThreadPoolExecutor(2) as pool:
        others = [minimize(stack), minimize(barrier, workers=map), minimize(barrier, workers=pool)]
    for other in others:
        assert other.success == alone.success
        assert other.x == pytest.approx(alone.x, abs=1e-3 if alone.success else math.inf)
        assert other.fun == barrier(other.x)


def test_a_start_says_that_it_is_the_start():
    for settings in ({}, {"on_failure": "reject"}):
        with pytest.raises(
            NonFiniteValueError, match=r"returned inf.* This is the start"
        ) as caught:
            NELDER_MEAD().minimize(barrier, [-1.0, 1.0, 1.0], **settings)
        assert "reject" not in str(caught.value)
        assert caught.value.optimizer_result.nfev == 1


@pytest.mark.parametrize("cls", [LBFGSB, BFGS, NELDER_MEAD])
def test_a_stepper_is_told_it(cls):
    optimizer = make(cls, maxfun=60)
    stepper = optimizer.stepper([3.0, 9.0, 0.5])
    for ask in stepper:
        stepper.tell(ask, TellData([barrier(x) for x in ask.x_fun]))
    result = stepper.result()
    assert result.fun == barrier(result.x) < 4
    assert result.nfev == 60 or result.success


def test_the_gradient_at_the_best_point_may_be_out_of_reach():
    def fun(x):
        return float(x[0] ** 2) if x[0] in (3.0, 3.0 + 1e-8, -3.0) else math.inf

    with pytest.raises(NonFiniteValueError, match="at the best point failed on both sides"):
        SLSQP().minimize(fun, [3.0], "2-point")


def log_barrier(x):
    return np.inf if (x <= 0).any() else float(x.sum() - 1e-3 * np.log(x).sum())


@pytest.mark.parametrize("cls", [POWELL, COBYLA, COBYQA, NELDER_MEAD])
def test_a_minimum_beside_a_wall_is_a_success(cls):
    result = cls(maxfun=3000).minimize(log_barrier, [2.0, 2.0])
    assert result.x == pytest.approx([1e-3, 1e-3], abs=1e-4)
    assert result.success


def test_an_end_at_a_wall_that_is_no_minimum_is_no_success():
    def wall(x):
        return -float(x.sum()) if (x <= 1).all() else np.inf

    for cls in (COBYLA, NELDER_MEAD, SLSQP):
        result = cls().minimize(wall, [0.5, 0.5])
        assert not result.success or np.allclose(result.x, 1.0, atol=1e-4)
        assert result.success or result.stop is StopReason.NO_PROGRESS


@pytest.mark.parametrize("start", [[3.0, 5.0], [-4.0, 2.0]])
@pytest.mark.parametrize("has_jac", [True, False])
def test_slsqp_comes_back_from_far_beyond_as_scipys_does(start, has_jac):
    def fun(x):  # the first step is too long by four orders of magnitude and more
        return float(np.exp(min(x[0] ** 2, 1e3)) + (x[1] - 1) ** 2 + x[0])

    def jac(x):
        return np.array([2 * x[0] * np.exp(x[0] ** 2) + 1, 2 * (x[1] - 1)])

    given = {"jac": jac if has_jac else None}
    with np.errstate(over="ignore"):
        theirs = scipy.optimize.minimize(fun, start, method="SLSQP", **given)
        ours = SLSQP().minimize(fun, start, **given)
    assert theirs.success
    assert ours.success
    assert ours.fun == pytest.approx(theirs.fun, abs=1e-6)
    assert ours.nfev <= theirs.nfev + 2  # the end may be looked at again
    assert ours.nrejected > 0


@pytest.mark.parametrize("cls", [COBYLA, COBYQA, GSLS, NELDER_MEAD, POWELL])
def test_an_end_among_nothing_but_inf_is_not_a_success(cls):
    start = [20.0, 5.0]
    result = make(cls).minimize(lambda x: 7.0 if x.tolist() == start else math.inf, start)
    assert not result.success
    assert result.fun == 7.0
