"""The function minimize: SciPy's call, for every optimizer."""

import functools
import inspect

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import LinearConstraint, rosen, rosen_der

from optimizers import (
    LBFGSB,
    SPSA,
    TNC,
    InvalidInputError,
    NoisyLBFGSB,
    OptionError,
    ParameterShift,
    SciPyOptimizer,
    StopReason,
    TellData,
    UnknownOptionError,
    available,
    load,
    minimize,
    residuals,
    vectorized,
    with_errors,
)
from optimizers.problems import h2, ising

START = [1.3, 0.7]
NEEDS_MORE = {"Dogleg", "NewtonCG", "TrustExact", "TrustKrylov", "TrustNCG", "QNG", "QNSPSA"}
NEEDS_MORE |= set(available(bounds="required"))
FITS = set(available(residuals="required"))


def bowl(x, *shift):
    return float((x - sum(shift)) @ (x - sum(shift)))


def test_the_signature_is_scipys_and_the_settings_of_a_run():
    theirs = inspect.signature(scipy.optimize.minimize).parameters
    ours = inspect.signature(minimize).parameters
    assert [*theirs, "settings"] == [*ours]
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name


@pytest.mark.parametrize(
    "method", [None, "Nelder-Mead", "Powell", "BFGS", "L-BFGS-B", "COBYQA", "SLSQP"]
)
def test_changing_the_import_is_all(method):
    theirs = scipy.optimize.minimize(rosen, START, method=method, tol=1e-6)
    ours = minimize(rosen, START, method=method, tol=1e-6)
    assert ours.x == pytest.approx(theirs.x, abs=1e-4)
    assert (ours.success, ours.status, ours.nit) == (theirs.success, theirs.status, theirs.nit)
    assert ours.njev == theirs.get("njev", ours.njev)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("nelder_mead", "Nelder-Mead"),
        ("NELDER-MEAD", "Nelder-Mead"),
        ("lbfgsb", "L-BFGS-B"),
        ("spsa", "SPSA"),
        ("GradientDescent", "GradientDescent"),
        (SPSA, "SPSA"),
        (TNC(maxiter=3), "TNC"),
        (SciPyOptimizer("slsqp"), "SLSQP"),
    ],
)
def test_a_method_is_a_name_in_any_spelling_a_class_or_an_object(method, name):
    result = minimize(bowl, START, method=method, maxfun=30)
    assert result.method == name
    assert "method_reason" not in result


def test_a_custom_method_is_called_as_scipy_documents():
    def custom(fun, x0, args=(), **options):
        assert options["radius"] == 2
        return scipy.optimize.OptimizeResult(x=x0, fun=fun(x0), success=True)

    result = minimize(bowl, START, method=custom, options={"radius": 2})
    assert result.success
    assert result.method == "custom"


def test_a_method_that_is_none_of_these_is_an_error():
    with pytest.raises(InvalidInputError, match="No optimizer is called 'simplx'"):
        minimize(bowl, START, method="simplx")
    with pytest.raises(InvalidInputError, match="method is 3, expected the name"):
        minimize(bowl, START, method=3)


@residuals
def misses(x):
    return np.array([x[0] - 1.0, 10 * (x[1] - x[0] ** 2)])


@pytest.mark.parametrize(
    ("further", "method", "reason"),
    [
        ({}, "BFGS", "neither bounds nor constraints"),
        ({"bounds": [(0, 2)] * 2}, "L-BFGS-B", "there are bounds"),
        ({"constraints": LinearConstraint([[1, 1]], 3)}, "SLSQP", "there are constraints"),
        ({"constraints": LinearConstraint([[1, 1]], 3), "bounds": [(0, 2)] * 2}, "SLSQP", "constr"),
        ({"noise": 1e-3, "bounds": [(0, 2)] * 2}, "NoisyLBFGSB", "have noise"),
        ({"noise": 0}, "BFGS", "neither"),
        ({"constraints": [], "bounds": None}, "BFGS", "neither"),
        ({"workers": map}, "L-BFGS-B", "together"),
        ({"workers": 1}, "BFGS", "neither"),
        ({"workers": None}, "BFGS", "neither"),
        ({"maxfun": 30}, "DFOTR", "no gradient, and maxfun is at most 20"),
        ({"maxfun": 60}, "DFOTR", "no gradient, and maxfun is at most 20"),
        ({"maxfun": 61}, "BFGS", "neither"),
        ({"maxfun": 30, "jac": "3-point"}, "BFGS", "neither"),
        ({"maxfun": 30, "jac": rosen_der}, "BFGS", "neither"),
        ({"maxfun": 30, "bounds": [(0, 2)] * 2}, "L-BFGS-B", "there are bounds"),
        ({"options": {"maxfun": 30}}, "BFGS", "neither"),
    ],
)
def test_without_a_method_one_is_chosen_and_the_result_says_why(further, method, reason):
    result = minimize(rosen, START, seed=1, **further)
    assert result.method == method
    assert reason in result.method_reason


@pytest.mark.parametrize(
    ("further", "method"),
    [
        ({"options": {"norm": 2}, "workers": map}, "BFGS"),
        ({"options": {"maxcor": 5}, "workers": map}, "L-BFGS-B"),
        ({"gtol": 1e-3, "maxfun": 30}, "BFGS"),
        ({"rhobeg": 0.2, "maxfun": 30}, "DFOTR"),
        ({"tol": 1e-3, "maxfun": 30}, "DFOTR"),
        ({"options": {"hess_inv0": np.eye(2)}, "noise": 1e-3}, "BFGS"),
    ],
)
def test_options_that_a_choice_does_not_have_are_those_of_scipys_choice(further, method):
    assert minimize(rosen, START, seed=1, **further).method == method


@pytest.mark.parametrize(("n", "method"), [(20, "DFOTR"), (21, "L-BFGS-B"), (1001, "L-BFGS-B")])
def test_few_points_for_many_variables_are_not_modeled(n, method):
    assert minimize(lambda x: float(x @ x), np.ones(n), maxfun=2 * n, seed=1).method == method


def test_a_function_of_many_points_is_minimized_in_few_waves():
    stacked = vectorized(lambda points: ((points - 1) ** 2).sum(axis=1))
    assert minimize(stacked, START).method == "L-BFGS-B"


def test_gradients_of_circuits_are_taken_to_have_noise():
    energy = h2(shots=2000, noise_seed=1)
    result = minimize(energy, energy.x0, jac=ParameterShift(), maxfun=200)
    assert result.method == "NoisyLBFGSB"
    assert "circuit" in result.method_reason


def test_an_objective_that_is_known_to_return_standard_errors_has_noise():
    energy = ising(2, reps=1, shots=200, noise_seed=1, errors=True)
    rng = np.random.default_rng(1)
    marked = with_errors(lambda x: (bowl(x) + rng.normal(0, 0.01), 0.01))
    for fun, x0, bounds in ((energy, energy.x0, None), (marked, START, [(-3, 3)] * 2)):
        result = minimize(fun, x0, bounds=bounds, maxfun=60)
        assert result.method == "NoisyLBFGSB"
        assert "standard errors" in result.method_reason
    assert minimize(ising(2, reps=1), np.ones(4), maxfun=5).method == "DFOTR"
    limit = LinearConstraint([[1, 1]], 3)
    assert minimize(marked, START, constraints=limit, maxfun=2).method == "SLSQP"


def test_residuals_with_constraints_have_a_hessian():
    limit = LinearConstraint([[1, 1]], -np.inf, 1.5)
    result = minimize(misses, [0.5, 0.5], constraints=limit)
    assert result.method == "trust-constr"
    assert result.x.sum() == pytest.approx(1.5, abs=1e-4)


def test_a_method_that_marks_its_class_is_an_objective_of_residuals():
    class Fit:
        @residuals
        def __call__(self, x):
            return x - 1.0

    assert minimize(Fit(), START).method == "LM"


def test_residuals_are_fitted():
    result = minimize(misses, [0.5, 2.0], bounds=[(-3, 3)] * 2)
    assert result.success
    assert result.x == pytest.approx([1.0, 1.0])
    assert result.method == "LM"
    assert "residuals" in result.method_reason


def test_many_variables_need_a_method_without_matrices():
    result = minimize(bowl, np.ones(2000), jac=lambda x: 2 * x)
    assert result.success
    assert result.method == "L-BFGS-B"
    assert "variables" in result.method_reason


def test_args_are_scipys():
    assert minimize(bowl, START, args=2.0).x == pytest.approx([2.0, 2.0])
    assert minimize(bowl, START, args=(2.0, 1.0), method=LBFGSB).x == pytest.approx([3.0, 3.0])


def test_options_and_settings_are_told_by_name_in_either_place():
    assert minimize(bowl, START, method="SPSA", options={"maxiter": 3}, seed=1).nit == 3
    assert minimize(bowl, START, method="SPSA", maxiter=3, seed=1).nit == 3
    assert minimize(bowl, START, options={"maxfun": 5}, method="BFGS").nfev <= 5
    with pytest.raises(OptionError, match="maxiter twice, as 3 and as 4"):
        minimize(bowl, START, method="SPSA", options={"maxiter": 3}, maxiter=4)
    with pytest.raises(UnknownOptionError, match="Did you mean 'bounds'"):
        minimize(bowl, START, bound=[(0, 1)])
    with pytest.raises(OptionError, match="expected a dict"):
        minimize(bowl, START, options=3)


@pytest.mark.parametrize("name", sorted(set(available()) - NEEDS_MORE - FITS))
def test_tol_has_a_meaning_for_every_class(name):
    loose, tight = (
        minimize(lambda x: bowl(x) + 1, START, method=available()[name], tol=tol, seed=1)
        for tol in (1.0, 1e-9)
    )
    assert not loose.stop.is_budget
    assert loose.nfev <= tight.nfev


def test_the_tolerance_of_an_option_that_is_given_stands():
    def gradients(**options):
        run = minimize(rosen, START, method="NoisyLBFGSB", tol=10.0, noise=0, options=options)
        return run.nfev

    assert gradients() < gradients(gtol=1e-6)


def test_scipys_minimize_hands_options_and_tol_to_an_object():
    run = functools.partial(scipy.optimize.minimize, bowl, START)
    assert run(method=SPSA(seed=1), options={"maxiter": 3}).nit == 3
    assert run(method=SPSA(seed=1, maxiter=1000), tol=1e-3).stop is StopReason.FUN


def test_a_gradient_in_the_constructor_is_the_default():
    energy = h2()
    shifted = NoisyLBFGSB(jac=ParameterShift(), noise=0)
    with_it = NoisyLBFGSB(noise=0).minimize(energy, energy.x0, ParameterShift())
    assert shifted.minimize(energy, energy.x0).nfev == with_it.nfev
    assert shifted(energy, energy.x0).nfev == with_it.nfev
    assert functools.partial(shifted.minimize)(energy, energy.x0).nfev == with_it.nfev
    assert shifted.minimize(energy, energy.x0, "2-point").nfev != with_it.nfev
    assert type(shifted)(**shifted.settings) == shifted
    assert LBFGSB(jac=rosen_der).minimize(rosen, START).njev > 0
    assert LBFGSB(jac=rosen_der).minimize(rosen, START, False).njev == 0
    assert minimize(rosen, START, method=TNC(jac=rosen_der)).njev > 0
    with pytest.raises(InvalidInputError, match="jac is 'x'"):
        LBFGSB(jac="x")
    assert SPSA(jac=None).settings.keys() == SPSA().settings.keys()


def test_a_gradient_in_the_constructor_holds_for_steppers():
    stepper = LBFGSB(jac=True).stepper([3.0])
    for ask in stepper:
        stepper.tell(ask, TellData(ask.x_fun[0] ** 2, 2 * ask.x_jac[0]))
    assert stepper.result().njev > 0
    with pytest.raises(InvalidInputError, match="the caller of a stepper"):
        LBFGSB(jac=rosen_der).stepper(START)


def test_a_journal_of_a_run_with_a_gradient_in_the_constructor_goes_on(tmp_path):
    path = tmp_path / "run.jsonl"
    optimizer = LBFGSB(jac=rosen_der)
    optimizer.minimize(rosen, START, journal=path, maxfun=5)
    again = optimizer.minimize(rosen, START, journal=path)
    assert again.success
    assert again.nreplayed == 5


# Settings of every run.

SETTLED = ["COBYLA", "COBYQA", "LBFGSB", "NELDER_MEAD", "SPSA", "TNC", "TrustConstr", "UMDA"]


@pytest.mark.parametrize("name", SETTLED)
@pytest.mark.parametrize("workers", [None, "threads"])
def test_a_run_ends_at_the_first_evaluation_that_reaches_the_target(name, workers):
    from concurrent.futures import ThreadPoolExecutor

    seen = []

    def fun(x):
        seen.append(bowl(x))
        return seen[-1]

    optimizer = available()[name]()
    with ThreadPoolExecutor(1) as pool:
        settings = {"workers": pool} if workers else {}
        result = optimizer.minimize(fun, START, f_target=0.5, seed=1, maxfun=5000, **settings)
    assert result.stop is StopReason.TARGET
    assert result.success
    assert result.status == 0
    assert result.fun <= 0.5
    if not workers:
        assert sum(value <= 0.5 for value in seen) == 1
        assert seen[-1] == result.fun


def test_with_constraints_a_target_is_that_of_a_point_that_meets_them():
    far = LinearConstraint([[1.0, 1.0]], 3.0, np.inf)
    result = minimize(bowl, [0.0, 0.0], constraints=far, f_target=5.0)
    assert result.stop is StopReason.TARGET
    assert result.x.sum() >= 3 - 1e-6
    assert minimize(bowl, [0.0, 0.0], constraints=far, f_target=1.0).stop is not StopReason.TARGET


def test_a_target_holds_in_steppers_lockstep_and_journals(tmp_path):
    stepper = LBFGSB(f_target=0.5).stepper(START)
    for ask in stepper:
        stepper.tell(ask, TellData([bowl(x) for x in ask.x_fun]))
    assert stepper.result().stop is StopReason.TARGET
    many = LBFGSB().minimize_many(bowl, [START, [5.0, 5.0]], f_target=0.5)
    assert [run.stop for run in many] == [StopReason.TARGET] * 2
    path = tmp_path / "run.jsonl"
    first = LBFGSB().minimize(bowl, START, f_target=0.5, journal=path)
    assert load(path).result.stop is StopReason.TARGET
    further = LBFGSB().minimize(bowl, START, f_target=1e-30, journal=path)
    assert further.nreplayed == first.nfev


@pytest.mark.parametrize("name", sorted(set(SETTLED) - {"SPSA"}))
def test_a_run_without_progress_ends_by_patience(name):
    result = available()[name]().minimize(lambda x: 1.0, START, patience=3, noise=0, seed=1)
    assert result.nit <= 4
    walk = SPSA(seed=1, maxiter=1000).minimize(bowl, START, patience=3)
    assert walk.success
    assert walk.stop is StopReason.FUN
    assert walk.nit < 1000


def test_patience_without_a_point_that_meets_the_constraints_is_no_success():
    unmet = LinearConstraint([[1.0, 1.0], [1.0, 1.0]], [3.0, -np.inf], [np.inf, 2.0])
    result = minimize(bowl, [0.0, 0.0], method="COBYLA", constraints=unmet, patience=5)
    assert not result.success


@pytest.mark.parametrize(
    "setting", [{"patience": 0}, {"f_target": "low"}, {"patience": 1.5}, {"noise": np.ones(2)}]
)
def test_a_setting_that_cannot_be_used_is_an_error(setting):
    with pytest.raises(OptionError, match=next(iter(setting))):
        LBFGSB(**setting)
    with pytest.raises(OptionError, match=next(iter(setting))):
        minimize(bowl, START, **setting)


@pytest.mark.parametrize("name", sorted(FITS - NEEDS_MORE))
def test_tol_has_a_meaning_for_fits(name):
    @residuals
    def far(x):  # which cannot all be zero
        return np.array([*misses(x), np.exp(x[0] - x[1]) - 5])

    loose, tight = (minimize(far, [5.0, 2.0], method=name, tol=tol) for tol in (0.5, 1e-12))
    assert loose.nfev < tight.nfev
