"""Whatever a caller gets wrong ends in a named error, before the first evaluation, or right."""

import os
import re

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint, rosen, rosen_der, rosen_hess

import optimizers
from optimizers import errors
from tests.mistakes import NAMES, UsersError, fun, listed

#: How many random mistakes are tried; each seed is one.
COUNT = int(os.environ.get("OPTIMIZERS_MISTAKES", "300"))
X = [0.5, -0.3, 0.2]


def test_random_mistakes_end_in_named_errors_or_right():
    places = listed(range(COUNT))
    assert not places, f"python -m tests.mistakes 1 SEED runs one of these alone:\n{places}"


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("TrustNCG().minimize(fun, X, jac, hess='x')", "InvalidInputError", "hess is 'x'"),
        ("TrustNCG().minimize(fun, X, jac, hessp=2)", "InvalidInputError", "hessp is 2"),
        ("SLSQP(eps=[1e-8, 1e-8]).minimize(fun, X)", "InvalidInputError", r"expected .* \(3,\)"),
        ("NewtonCG(eps=[1e-8] * 2).minimize(fun, X, jac)", "OptionError", r"shape .*\(3,\)"),
        ("ADAM(tol=None)", "OptionError", "tol is None"),
        ("AQGD(maxiter=np.float64)", "OptionError", "maxiter is <class"),
        ("COBYQA(initial_tr_radius=0)", "OptionError", "initial_tr_radius is 0"),
        ("BFGS(c2=1e-5).minimize(fun, X)", "OptionError", "c1 is 0.0001 and c2 is 1e-05"),
        ("TrustNCG(max_trust_radius=0.5).minimize(fun, X, jac, hess=hess)", "OptionError", "max"),
        ("NELDER_MEAD(initial_simplex=np.ones((3, 3))).minimize(fun, X)", "OptionError", "4, 3"),
        ("POWELL(direc='x')", "OptionError", "direc is 'x'"),
        ("BFGS(options={1: 2})", "OptionError", "options of BFGS"),
        ("TNC(scale=np.ma.masked)", "OptionError", "scale is masked"),
        ("LBFGSB(on_failure=np.ones(3))", "OptionError", "on_failure"),
        ("LBFGSB(hedge=np.ones(3))", "OptionError", "hedge"),
        ("TNC(disp=np.ones(3))", "OptionError", "disp"),
        ("LBFGSB(maxfun=10**400)", "OptionError", "at most"),
        ("LBFGSB(maxls=1e30)", "OptionError", "at most"),
        ("LBFGSB(maxfun=np.timedelta64(5, 's'))", "OptionError", "maxfun"),
        ("LBFGSB(seed=np.matrix([1, 2]))", "OptionError", "seed"),
        ("GradientDescent(learning_rate=len).minimize(fun, X)", "OptionError", "learning_rate"),
        ("LBFGSB(maxcor=2**40).minimize(fun, X, jac)", "TooLargeError", "maxcor"),
        ("LBFGSB().minimize(fun, X, bounds=[(10**400, 1)] * 3)", "InvalidInputError", "bounds"),
        ("LBFGSB().minimize(fun, X, jac=SPSAGradient(2**60))", "TooLargeError", "samples"),
        ("multistart(fun, 3, 60)", "InvalidInputError", "bounds is 3"),
        ("race(3, fun, X)", "InvalidInputError", "optimizers is 3"),
        ("find(None)", "InvalidInputError", "name is None"),
        ("load(3)", "OptionError", "path is 3"),
        ("LBFGSB(journal='a\\0b')", "OptionError", "journal is"),
        ("Journal('j', notes={'a': object()})", "OptionError", "notes"),
        ("OptimizerResult.from_dict(3)", "InvalidInputError", "plain is 3"),
        ("plot_convergence(3)", "InvalidInputError", "history is 3"),
        ("LBFGSB.gradient_num_diff('x', fun, 1e-8)", "InvalidInputError", "x_center"),
        (
            "(s := TNC().stepper(X)).tell(s.ask(), TellData([1], rows=2))",
            "InvalidInputError",
            "rows",
        ),
        ("LBFGSB().minimize_many(fun, [X], on_error=np.ones(3))", "OptionError", "on_error"),
    ],
)
def test_a_named_error_before_the_first_evaluation(line, name, words):
    evaluated = []
    with pytest.raises(getattr(errors, name), match=words) as caught:
        eval(line, {**NAMES, "fun": evaluated.append, "X": X})
    assert not evaluated
    assert type(caught.value) is getattr(errors, name)


@pytest.mark.parametrize(
    "line",
    [
        "UMDA(size_gen=np.float64(20), maxiter=3, seed=1)",
        "AQGD(averaging=2.0, maxiter=3)",
        "LBFGSB(maxls=1e10)",
        "TNC(maxCGit=2**40, maxiter=1e10)",
        "LBFGSB(retries=np.float16(2))",
        "LBFGSB(eval_timeout=1e10)",
        "BFGS(return_all=1)",
    ],
)
def test_numbers_of_any_kind_are_as_good(line):
    result = eval(line, NAMES).minimize(fun, X)
    assert result.fun == fun(result.x)


@pytest.mark.parametrize(
    "wrong",
    [
        {None: None},
        {"status": "x"},
        {"status": np.inf},
        {"nit": "x"},
        {"nit": np.ones(2)},
        {"success": np.ones(2)},
        {"message": np.ones(2)},
    ],
    ids=repr,
)
def test_what_a_custom_method_returns_is_checked(wrong):
    def method(fun, x0, **given):
        return {"x": x0, **wrong}

    with pytest.raises(errors.InvalidValueError, match="minimizer returned"):
        optimizers.SciPyOptimizer(method).minimize(rosen, X)


NOT_A_HESSIAN = [None, np.nan, "x", np.full((2, 2), np.nan), np.ones(2), np.ones((3, 3)), {}]


@pytest.mark.parametrize("name", ["NewtonCG", "TrustConstr", "TrustExact", "TrustKrylov", "Dogleg"])
@pytest.mark.parametrize("wrong", NOT_A_HESSIAN, ids=repr)
def test_what_a_hessian_returns_is_checked_by_its_name(name, wrong):
    cls = getattr(optimizers, name)
    with pytest.raises(optimizers.EvaluationError, match="hess returned"):
        cls().minimize(rosen, [0.5, 2.0], rosen_der, hess=lambda x: wrong)


@pytest.mark.parametrize("name", ["NewtonCG", "TrustConstr", "TrustNCG"])
@pytest.mark.parametrize("wrong", [None, np.nan, "x", np.ones(3), np.eye(2)], ids=repr)
def test_what_a_hessian_product_returns_is_checked_by_its_name(name, wrong):
    with pytest.raises(optimizers.EvaluationError, match="hessp returned"):
        getattr(optimizers, name)().minimize(rosen, [0.5, 2.0], rosen_der, hessp=lambda x, p: wrong)


@pytest.mark.parametrize("name", ["NewtonCG", "TrustExact", "TrustNCG", "TrustConstr"])
def test_a_hessian_may_be_sparse(name):
    def hess(x):
        return NAMES["sparse"].csr_array(rosen_hess(x))

    result = getattr(optimizers, name)().minimize(rosen, [0.5, 2.0], rosen_der, hess=hess)
    np.testing.assert_allclose(result.x, [1, 1], atol=1e-4)


def test_limits_of_no_component_suit_no_constraint_of_one():
    constraint = NonlinearConstraint(np.sum, -9, 9, keep_feasible=[])
    with pytest.raises(optimizers.InvalidValueError, match="A constraint returned"):
        optimizers.TrustConstr().minimize(fun, X, constraints=constraint)


CONSTRAINED = ["SLSQP", "TrustConstr", "COBYLA", "COBYQA"]


@pytest.mark.parametrize("name", CONSTRAINED)
@pytest.mark.parametrize("wrong", [None, "x", np.ones((2, 2)), np.ma.masked, {}], ids=repr)
def test_what_a_constraint_returns_is_checked(name, wrong):
    for constraint in (
        {"type": "ineq", "fun": lambda x: wrong},
        NonlinearConstraint(lambda x: wrong, 0, 1),
    ):
        with pytest.raises(optimizers.InvalidValueError, match="A constraint returned"):
            getattr(optimizers, name)().minimize(fun, X, constraints=constraint)


@pytest.mark.parametrize("name", ["SLSQP", "TrustConstr"])
@pytest.mark.parametrize("wrong", [None, "x", np.ones(2), np.full(3, np.nan)], ids=repr)
def test_what_the_derivative_of_a_constraint_returns_is_checked(name, wrong):
    constraint = {"type": "ineq", "fun": lambda x: x[0], "jac": lambda x: wrong}
    with pytest.raises(optimizers.EvaluationError, match="jac of a constraint returned"):
        getattr(optimizers, name)().minimize(fun, X, constraints=constraint)


@pytest.mark.parametrize(
    "constraint",
    [
        LinearConstraint([[1, 2]], 0, 1),
        LinearConstraint([[1, np.nan, 2]], 0, 1),
        NonlinearConstraint(np.sum, "x", 1),
        NonlinearConstraint(np.sum, np.nan, 1),
        NonlinearConstraint(np.sum, [0, 1], [1, 2, 3]),
        NonlinearConstraint(np.sum, 0, 1, jac="x"),
        NonlinearConstraint(np.sum, 0, 1, hess=3),
        {"type": "eq", "fun": np.sum, "jac": 3},
        {"type": "eq", "fun": np.sum, "args": 3},
        {"type": np.ones(3), "fun": np.sum},
    ],
    ids=lambda c: re.sub(" at 0x.*", "", repr(c)),
)
def test_constraints_that_cannot_be_are_named_before_the_first_evaluation(constraint):
    for name in CONSTRAINED:
        with pytest.raises(optimizers.InvalidInputError):
            getattr(optimizers, name)().minimize(pytest.fail, X, constraints=constraint)


@pytest.mark.parametrize("name", CONSTRAINED)
def test_a_sparse_linear_constraint_holds(name):
    constraint = LinearConstraint(NAMES["sparse"].csr_array([[1.0, 1.0, 1.0]]), -np.inf, 1.5)
    result = getattr(optimizers, name)().minimize(fun, X, constraints=constraint)
    np.testing.assert_allclose(result.x, 0.5, atol=1e-3)


MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])


def test_masked_values_are_no_numbers():
    for value in (np.ma.masked, [np.ma.masked], np.ma.array([2.0], mask=[True])):
        for cls in (optimizers.LBFGSB, optimizers.SPSA, optimizers.COBYLA):
            with pytest.raises(optimizers.InvalidValueError, match="masked"):
                cls().minimize(lambda x, value=value: value, X)
    with pytest.raises(optimizers.InvalidValueError, match="masked"):
        optimizers.LBFGSB().minimize(optimizers.vectorized(lambda xs: MASKED[: len(xs)]), X)


@pytest.mark.parametrize("name", ["LBFGSB", "TNC", "CG", "ADAM", "SLSQP", "TrustConstr"])
def test_masked_gradients_are_no_gradients(name):
    cls = getattr(optimizers, name)
    with pytest.raises(optimizers.InvalidValueError, match=r"jac returned .*mask"):
        cls().minimize(fun, X, lambda x: MASKED)
    with pytest.raises(optimizers.InvalidValueError, match=r"jac returned .*mask"):
        cls().minimize(lambda x: (fun(x), MASKED), X, True)


def test_masks_of_starts_and_bounds_are_named():
    box = np.ma.array([[0, 1]] * 3, mask=[[0, 1]] * 3)
    for given in (
        {"x0": MASKED},
        {"x0": [np.ma.array(1.0, mask=True), 1.0, 2.0]},
        {"bounds": box},
        {"bounds": [*box]},
        {"bounds": [(0, np.ma.masked)] * 3},
    ):
        with pytest.raises(optimizers.InvalidInputError, match="mask"):
            optimizers.LBFGSB().minimize(pytest.fail, **{"x0": X, **given})
    with pytest.raises(optimizers.InvalidInputError, match="mask"):
        optimizers.LBFGSB().minimize_many(pytest.fail, np.ma.array([X, X], mask=[[0, 1, 0]] * 2))
    stepper = optimizers.TNC().stepper(X, jac=True)
    with pytest.raises(optimizers.InvalidValueError, match="mask"):
        stepper.tell(stepper.ask(), optimizers.TellData([1.0], [MASKED]))
    # A mask that hides nothing is none.
    result = optimizers.LBFGSB().minimize(fun, np.ma.array(X))
    np.testing.assert_allclose(result.x, 1, atol=1e-4)


def failing(x):
    raise UsersError


@pytest.mark.parametrize("name", ["LBFGSB", "SPSA", "NELDER_MEAD"])
def test_an_error_without_words_comes_out_as_it_is(name, tmp_path):
    optimizer = getattr(optimizers, name)()
    for how in ({}, {"journal": tmp_path / "run"}, {"workers": 1}, {"retries": 1}):
        with pytest.raises(UsersError):
            optimizer.minimize(failing, X, seed=1, **how)
    with pytest.raises(UsersError):
        optimizer.minimize_many(failing, [X, X])


@pytest.mark.parametrize("name", ["BFGS", "COBYLA", "COBYQA", "SLSQP", "GSLS", "TrustConstr"])
def test_matrices_that_do_not_fit_are_named_before_the_first_evaluation(name):
    cls = getattr(optimizers, name)
    jac = {"jac": pytest.fail} if cls().gradient_support_level >= 2 else {}
    with pytest.raises(optimizers.TooLargeError, match="1000000 variables"):
        cls().minimize(pytest.fail, np.zeros(1_000_000), **jac)


def test_probes_that_do_not_fit_are_named():
    with pytest.raises(optimizers.TooLargeError, match="probes"):
        optimizers.LBFGSB().minimize(pytest.fail, np.zeros(1_000_000))
    with pytest.raises(optimizers.TooLargeError, match="SPSA"):
        optimizers.SPSA(second_order=True).minimize(pytest.fail, np.zeros(1_000_000))
