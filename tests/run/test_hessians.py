"""Hessians that fail are rejected where failures are, and hessp does not stand for a matrix."""

import numpy as np
import pytest

from optimizers import (
    CapabilityError,
    Dogleg,
    NewtonCG,
    NonFiniteValueError,
    SciPyOptimizer,
    TrustConstr,
    TrustExact,
    TrustKrylov,
    TrustNCG,
)

CLASSES = [TrustExact, TrustNCG, TrustKrylov, Dogleg, NewtonCG, TrustConstr]
#: Steps long enough to leave the domain.
LONG = {"options": {"initial_trust_radius": 50.0, "max_trust_radius": 1e3}}
START = [0.4, 30.0]


def optimizer(cls):
    return cls(**LONG) if cls not in (NewtonCG, TrustConstr) else cls()


def inside(x, outside):
    """Return whether a point is in the domain; raise where a failure is an exception."""
    if np.all(x > 0):
        return True
    if outside is not None:
        return False
    raise ValueError("outside of the domain")


def problem(outside):
    """Return value, gradient and Hessian, minimum at (10, 10); outside they are NaN, or raise."""
    return (
        lambda x: float((0.1 * x - np.log(x)).sum()) if inside(x, outside) else outside,
        lambda x: 0.1 - 1 / x if inside(x, outside) else np.full(2, np.nan),
        lambda x: np.diag(1 / x**2) if inside(x, outside) else np.full((2, 2), np.nan),
    )


#: Dogleg and TrustExact require the matrix.
KINDS = [(cls, "hess") for cls in CLASSES] + [
    (cls, "hessp") for cls in CLASSES if cls not in (Dogleg, TrustExact)
]


@pytest.mark.parametrize(
    ("outside", "on_failure"), [(None, "reject"), (np.nan, "reject"), (np.inf, "raise")]
)
@pytest.mark.parametrize(("cls", "kind"), KINDS)
def test_a_domain_that_ends_is_stepped_back_from(cls, kind, outside, on_failure):
    fun, jac, hess = problem(outside)
    second = {"hess": hess} if kind == "hess" else {"hessp": lambda x, p: hess(x) @ p}
    result = optimizer(cls).minimize(fun, START, jac, on_failure=on_failure, **second)
    assert result.x == pytest.approx([10, 10], abs=0.1)
    assert result.fun == fun(result.x)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_hessian_that_fails_where_the_value_does_not_counts_as_rejected(cls):
    fun, jac, hess = problem(None)
    calls = []

    def failing(x):
        calls.append(x)
        if len(calls) == 3:
            raise ZeroDivisionError
        return hess(x)

    result = optimizer(cls).minimize(fun, [4.0, 6.0], jac, hess=failing, on_failure="reject")
    assert result.x == pytest.approx([10, 10], abs=0.1)
    assert result.nrejected == 1
    calls.clear()
    with pytest.raises(ZeroDivisionError):
        optimizer(cls).minimize(fun, [4.0, 6.0], jac, hess=failing)


@pytest.mark.parametrize("cls", CLASSES)
def test_at_the_start_it_is_an_error(cls):
    fun, jac, _ = problem(None)
    with pytest.raises(NonFiniteValueError, match="hess returned nan"):
        optimizer(cls).minimize(
            fun, START, jac, hess=lambda x: np.full((2, 2), np.nan), on_failure="reject"
        )


@pytest.mark.parametrize(
    "make", [Dogleg, TrustExact, lambda **given: SciPyOptimizer("dogleg", **given)]
)
def test_a_product_does_not_stand_for_the_matrix(make):
    fun, jac, hess = problem(None)
    calls = []
    for own, given in (({}, {"hessp": lambda x, p: hess(x) @ p}), ({"hessp": print}, {})):
        with pytest.raises(CapabilityError, match=r"requires hess as a function.*hessp alone"):
            make(**own).minimize(lambda x: calls.append(x) or fun(x), START, jac, **given)
    assert not calls
