"""What a method has found is in the result of a run that is stopped too: it is for going on."""

import time
import warnings

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der, rosen_hess

from optimizers import (
    BFGS,
    CG,
    NELDER_MEAD,
    P_BFGS,
    POWELL,
    SLSQP,
    Dogleg,
    NewtonCG,
    OptimizerWarning,
    TrustConstr,
    TrustExact,
    TrustKrylov,
    TrustNCG,
)
from optimizers.scipy.methods import METHODS
from optimizers.scipy.unfinished import Unfinished

START = [-1.2, 1.0]
ALL = {"return_all": True}
#: What is in the results of each, and with which options.
KEPT = {
    NELDER_MEAD: ({"final_simplex", "allvecs"}, ALL),
    POWELL: ({"direc", "allvecs"}, ALL),
    CG: ({"allvecs"}, ALL),
    BFGS: ({"hess_inv", "allvecs"}, ALL),
    NewtonCG: ({"allvecs"}, ALL),
    Dogleg: ({"allvecs", "hess"}, ALL),
    TrustNCG: ({"allvecs", "hess"}, ALL),
    TrustExact: ({"allvecs", "hess"}, ALL),
    TrustKrylov: ({"allvecs", "hess"}, ALL),
    TrustConstr: ({"tr_radius", "constr_violation", "optimality", "grad", "v"}, {}),
    SLSQP: ({"multipliers"} if "multipliers" in str(scipy.optimize.show_options) else set(), {}),
}


def derivatives(cls):
    levels = cls().get_support_level()
    jac = rosen_der if levels["gradient"] > 1 else None
    return {"jac": jac, **({"hess": rosen_hess} if levels["hessian"] > 1 else {})}


@pytest.mark.parametrize("how", ["maxfun", "maxiter", "callback", "timeout", "error"])
@pytest.mark.parametrize("cls", KEPT, ids=lambda cls: cls.__name__)
def test_whatever_ends_it(cls, how):
    entries, options = KEPT[cls]
    calls, steps = [], []

    def fun(x):
        calls.append(x)
        if len(calls) > 60 and how == "timeout":
            time.sleep(0.5)
        if len(calls) > 15 and how == "error":
            raise ZeroDivisionError
        return rosen(x)

    def callback(xk):
        steps.append(xk)
        return how == "callback" and len(steps) == 4

    limits = {"maxiter": {"maxiter": 4}}.get(how, {})
    settings = {"maxfun": {"maxfun": 15}, "timeout": {"timeout": 0.4}}.get(how, {})
    optimizer = cls(options=options, **limits)
    try:
        result = optimizer.minimize(fun, START, callback=callback, **settings, **derivatives(cls))
    except ZeroDivisionError as error:
        result = error.optimizer_result
    missing = entries - set(result)
    # Of a Hessian that was not evaluated at the last iterate, there is none.
    assert missing <= ({"hess"} if how in ("callback", "error") else set())
    if "allvecs" in entries:
        np.testing.assert_array_equal(result.allvecs, [START, *steps])
    if how == "maxfun":
        assert result.fun == rosen(result.x) == result.best.fun


def test_nelder_mead_goes_on_from_its_simplex():
    whole = NELDER_MEAD().minimize(rosen, START)
    for limit in ({"maxfev": 40}, {"maxiter": 20}):
        part = NELDER_MEAD(**limit).minimize(rosen, START)
        simplex, values = part.final_simplex
        assert simplex.shape == (3, 2)
        assert values.tolist() == sorted(map(rosen, simplex))
        assert values[0] == part.fun
        rest = NELDER_MEAD(options={"initial_simplex": simplex}).minimize(rosen, simplex[0])
        assert rest.success
        assert rest.nfev < whole.nfev


@pytest.mark.parametrize(
    ("cls", "method", "name"),
    [
        (NELDER_MEAD, "Nelder-Mead", "final_simplex"),
        (POWELL, "Powell", "direc"),
        (BFGS, "BFGS", "hess_inv"),
    ],
)
def test_it_is_what_scipy_has_where_a_callback_stops_it(cls, method, name):
    def stops(xk, left):
        left.pop()
        if not left:
            raise StopIteration

    jac = derivatives(cls)["jac"]
    theirs = scipy.optimize.minimize(
        *(rosen, START),
        jac=jac,
        method=method,
        callback=lambda xk, left=[0] * 6: stops(xk, left),
        options=ALL,
    )
    ours = cls(options=ALL).minimize(
        rosen, START, jac, callback=lambda xk, left=[0] * 6: stops(xk, left)
    )
    for left, right in zip(ours[name], theirs[name], strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(ours.allvecs, theirs.allvecs)


def test_many_runs_of_which_one_is_best_have_its_inverse_hessian():
    result = P_BFGS(seed=1).minimize(rosen, START, rosen_der, maxfun=30)
    assert result.hess_inv.shape == (2, 2)
    assert result.results[result.run].fun == result.fun


def test_a_variable_that_scipy_has_renamed_is_missed_with_a_warning():
    def fails(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        scipy.optimize.minimize(fails, START, method="BFGS")
    assert Unfinished("hess_inv", ("Hk",)).found(caught.value) == {}  # not there yet
    with pytest.warns(OptimizerWarning, match=r"has no hess_inv: .* no variables renamed"):
        assert Unfinished("hess_inv", ("renamed",)).found(caught.value) == {}
    assert Unfinished("hess_inv", ("Hk",)).found(ZeroDivisionError()) == {}  # not begun
    assert Unfinished("later", ("renamed",), since="99.0.0").found(caught.value) == {}


ROWS = [(name, row.unfinished) for name, row in METHODS.items() if row.unfinished is not None]


@pytest.mark.parametrize(("method", "unfinished"), ROWS)
@pytest.mark.filterwarnings("ignore:Method .* does not use:RuntimeWarning")
def test_scipy_has_the_variables_that_are_read(method, unfinished):
    left = [12]

    def fun(x):
        left[0] -= 1
        if not left[0]:
            raise ZeroDivisionError
        return rosen(x)

    with pytest.raises(ZeroDivisionError) as caught:
        scipy.optimize.minimize(fun, START, method=method, jac=rosen_der, hess=rosen_hess)
    with warnings.catch_warnings():  # the message says which name is another
        warnings.simplefilter("error", OptimizerWarning)
        found = unfinished.found(caught.value)
    assert unfinished.since > scipy.__version__ or unfinished.entry in found
