"""What is said where people stumble."""

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der, rosen_hess

import optimizers
from optimizers import (
    LBFGSB,
    LM,
    SPSA,
    CapabilityError,
    InvalidValueError,
    MisplacedBoundsError,
    OptimizerWarning,
    OptionError,
    StopReason,
    UnknownOptionError,
    available,
    find,
    minimize,
)
from optimizers.problems import h2

START = [1.3, 0.7]


@pytest.mark.parametrize(
    "run",
    [
        lambda x: LBFGSB().minimize(rosen, x, maxfun=50),
        lambda x: minimize(rosen, x, maxfun=50),
        lambda x: LBFGSB().minimize_many(rosen, [x], maxfun=50)[0],
    ],
)
def test_a_budget_too_small_for_one_gradient_is_said(run):
    words = (
        "A gradient by differences takes 100 points, but 49 are left: pass jac, or raise maxfun."
    )
    result = run(np.ones(100))
    assert words in result.message
    assert result.stop is StopReason.MAXFUN
    assert result.nfev == 1


@pytest.mark.parametrize("name", ["SLSQP", "TrustConstr", "ADAM", "LM", "TRF", "DOGBOX", "P_BFGS"])
def test_every_method_says_that_a_budget_is_too_small_for_one_gradient(name):
    fun = (lambda x: x - 2) if name in available(residuals="required") else rosen
    for method in (name, available()[name]):
        result = minimize(fun, np.ones(100), method=method, maxfun=50)
        assert "takes 100 points, but 49 are left: pass jac, or raise maxfun." in result.message


def test_a_budget_that_ends_later_says_nothing_of_gradients():
    result = LBFGSB().minimize(rosen, START, maxfun=5)
    assert "differences" not in result.message


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("workers", [None, "threads"])
def test_a_gradient_that_was_not_announced_is_named(n, kind, workers):
    from concurrent.futures import ThreadPoolExecutor

    def both(x):
        return kind((float(x @ x), 2 * x))

    with ThreadPoolExecutor(1) as pool, pytest.raises(InvalidValueError, match="pass jac=True"):
        minimize(both, np.ones(n), method="Nelder-Mead", workers=pool if workers else None)


@pytest.mark.parametrize("start", [-1.0, 1.0])
def test_a_second_number_of_one_variable_may_be_a_gradient(start):
    with pytest.raises(InvalidValueError, match="pass jac=True"):
        minimize(lambda x: (x[0] ** 2, 2 * x[0]), [start])


@pytest.mark.parametrize("kind", [float, np.float64, np.array])
def test_a_standard_error_is_a_number_beside_a_number(kind):
    fun = optimizers.with_errors(lambda x: (kind(x[0] ** 2), kind(1e-9)))
    result = minimize(fun, [1.0], method="BFGS")
    assert result.x == pytest.approx([0.0], abs=1e-6)


def test_a_group_of_one_tells_errors_too():
    energy = h2(shots=100, noise_seed=1)
    grouped = optimizers.vectorized(
        lambda points: ((points[:, 0] - 1) ** 2, np.full(len(points), 0.1))
    )
    assert SPSA(maxiter=20, seed=1).minimize(grouped, [3.0]).nit == 20
    assert SPSA(maxiter=5, seed=1).minimize(energy, energy.x0).nit == 5


UNCONSTRAINED = available().keys() - available(constraints="supported").keys()
UNCONSTRAINED -= available(bounds="required").keys()


@pytest.mark.parametrize("name", sorted(UNCONSTRAINED))
def test_who_takes_no_constraints_names_those_that_do(name):
    cls = available()[name]
    jac = None if cls().is_gradient_ignored else rosen_der
    with pytest.raises(CapabilityError, match="cannot honor constraints") as caught:
        cls().minimize(rosen, START, jac, constraints={"type": "eq", "fun": sum})
    for able in available(constraints="supported"):
        assert able in str(caught.value)


def test_who_ignores_a_hessian_names_those_that_use_it():
    with pytest.warns(OptimizerWarning, match="NewtonCG, TrustExact, TrustKrylov or TrustConstr"):
        minimize(rosen, START, jac=rosen_der, hess=rosen_hess)


@pytest.mark.parametrize(
    ("typo", "meant"), [("bound", "bounds"), ("constraint", "constraints"), ("hes", "hess")]
)
def test_arguments_are_suggested_too(typo, meant):
    with pytest.raises(UnknownOptionError, match=f"Did you mean '{meant}'"):
        LBFGSB().minimize(rosen, START, **{typo: None})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("diff_step", "jac=Differences"),
        ("max_nfev", "Did you mean 'maxfun'"),
        ("ftol", "Did you mean 'xtol'"),
        ("verbose", "Did you mean 'progress'"),
        ("bound", "minimize.fun, x0, bounds=...."),
    ],
)
def test_lm_knows_what_scipys_fits_call_its_options(name, hint):
    with pytest.raises(UnknownOptionError, match=hint):
        LM(**{name: 1})


def test_lm_needs_no_scale_by_the_jacobian():
    with pytest.raises(OptionError, match="LM scales itself"):
        LM(x_scale="jac")


def test_levenberg_marquardt_is_found_by_its_name():
    assert find("Levenberg-Marquardt") is LM
    assert minimize(lambda x: x - 1, [3.0], method="levenberg-marquardt").method == "LM"


def test_a_class_in_another_spelling_is_suggested_by_python():
    with pytest.raises(AttributeError) as caught:
        _ = optimizers.TrustConst
    assert (caught.value.name, caught.value.obj) == ("TrustConst", optimizers)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("rng", "Did you mean 'seed'"),
        ("n_jobs", "Did you mean 'workers'"),
        ("n_trials", "Did you mean 'maxfun'"),
        ("verbose", "Did you mean 'progress'"),
        ("direction", "Did you mean 'maximize'"),
        ("storage", "Did you mean 'journal'"),
        ("fixed", r"Param\(value, fixed=True\)"),
        ("algorithm", r"method="),
    ],
)
@pytest.mark.parametrize(
    "call",
    [lambda **kw: minimize(rosen, START, **kw), LBFGSB, SPSA],
    ids=["minimize", "LBFGSB", "SPSA"],
)
def test_the_words_of_other_libraries_are_known(call, word, words):
    with pytest.raises(UnknownOptionError, match=words):
        call(**{word: 1})


def test_a_rate_has_another_name_elsewhere():
    with pytest.raises(UnknownOptionError, match="Did you mean 'lr'"):
        optimizers.ADAM(learning_rate=0.1)
    with pytest.raises(UnknownOptionError, match="Did you mean 'learning_rate'"):
        SPSA(lr=0.1)


def test_what_is_known_is_listed_once():
    with pytest.raises(UnknownOptionError) as caught:
        minimize(rosen, START, quux=1)
    names = str(caught.value).partition("Known: ")[2].rstrip(".").split(", ")
    assert len(names) == len(set(names)) > 10


def test_scipys_method_is_called_by_its_name():
    with pytest.raises(CapabilityError, match=r"^L-BFGS-B cannot honor constraints"):
        minimize(rosen, START, method="l-bfgs-b", constraints={"type": "eq", "fun": sum})
    with pytest.warns(match="^BFGS ignores hess"):
        minimize(rosen, START, hess=rosen_hess)


@pytest.mark.parametrize("name", sorted(available()))
def test_a_class_as_scipys_method_is_told_to_be_an_object(name):
    words = r"As method= of scipy\.optimize\.minimize, give an object"
    with pytest.raises((MisplacedBoundsError, UnknownOptionError), match=words):
        scipy.optimize.minimize(rosen, START, method=available()[name])
