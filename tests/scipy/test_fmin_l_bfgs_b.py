"""fmin_l_bfgs_b and minimize_lbfgsb: SciPy's steps, and what SciPy gets wrong."""

import functools
import inspect
import math
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy
import scipy.optimize
from hypothesis import given, settings, strategies as st
from scipy.optimize import rosen, rosen_der

import optimizers
from optimizers import (
    LBFGSB,
    CrossedBoundsError,
    InvalidInputError,
    OptimizerWarning,
    UnknownOptionError,
    fmin_l_bfgs_b,
    minimize_lbfgsb,
    minimize_tnc,
)
from optimizers.problems import get_problem
from optimizers.result import StopReason

IS_SCIPY_1_17 = scipy.__version__.startswith("1.17.")
EPS = float(np.finfo(np.float64).eps)
X0 = [-1.2, 1.0]
NO_WARNING = {"category": RuntimeWarning, "action": "ignore"}


def both(x: np.ndarray) -> tuple[float, np.ndarray]:
    return rosen(x), rosen_der(x)


class Recorded:
    """An objective that keeps the points it was called with."""

    def __init__(self, fun) -> None:
        self.fun, self.points = fun, []

    def __call__(self, x: np.ndarray, *args):
        self.points.append(np.array(x))
        return self.fun(x, *args)


# Signatures.


def parameters(function) -> list[tuple[str, object]]:
    return [
        (name, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]


NONE = inspect.Parameter.empty


def test_fmin_l_bfgs_b_has_the_documented_signature() -> None:
    assert parameters(fmin_l_bfgs_b) == [
        ("func", NONE), ("x0", NONE), ("fprime", None), ("args", ()), ("approx_grad", 0),
        ("bounds", None), ("m", 10), ("factr", 1e7), ("pgtol", 1e-5), ("epsilon", 1e-8),
        ("iprint", None), ("maxfun", 15000), ("maxiter", 15000), ("disp", None),
        ("callback", None), ("maxls", 20),
    ]  # fmt: skip
    assert len(inspect.signature(fmin_l_bfgs_b).parameters) == 16


def test_minimize_lbfgsb_has_the_documented_signature() -> None:
    assert parameters(minimize_lbfgsb) == [
        ("fun", NONE), ("x0", NONE), ("args", ()), ("jac", None), ("bounds", None),
        ("disp", None), ("maxcor", 10), ("ftol", 2.220446049250313e-09), ("gtol", 1e-5),
        ("eps", 1e-8), ("maxfun", 15000), ("maxiter", 15000), ("iprint", None),
        ("callback", None), ("maxls", 20),
    ]  # fmt: skip
    others = list(inspect.signature(minimize_lbfgsb).parameters.values())[15:]
    assert [(other.name, other.kind) for other in others] == [
        ("restart", inspect.Parameter.KEYWORD_ONLY),
        ("unknown_options", inspect.Parameter.VAR_KEYWORD),
    ]
    assert others[0].default is False


def test_scipys_private_name_is_the_same_function() -> None:
    assert optimizers._minimize_lbfgsb is minimize_lbfgsb


def test_each_argument_does_what_its_namesake_of_the_other_face_does() -> None:
    x, f, d = fmin_l_bfgs_b(
        rosen, X0, rosen_der, (), 0, [(None, 0.5), (-1, None)], 4, 1e3, 1e-7, 1e-8, None, 30, 12,
        None, None, 15,
    )  # fmt: skip
    result = minimize_lbfgsb(
        rosen, X0, (), rosen_der, [(None, 0.5), (-1, None)], None, 4, 1e3 * EPS, 1e-7, 1e-8, 30,
        12, None, None, 15,
    )  # fmt: skip
    assert np.array_equal(x, result.x)
    assert f == result.fun
    assert set(d) == {"warnflag", "task", "grad", "funcalls", "nit"}
    assert (d["warnflag"], d["task"]) == (result.status, result.message)
    assert (d["funcalls"], d["nit"]) == (result.nfev, result.nit)
    assert np.array_equal(d["grad"], result.jac)


# Side by side with SciPy.

TABLE_PROBLEMS = [
    "rosenbrock", "freudenstein_roth", "beale", "helical_valley", "powell_badly_scaled",
    "brown_badly_scaled", "wood", "powell_singular", "gaussian", "kowalik_osborne", "penalty_1",
    "extended_rosenbrock", "variably_dimensioned", "discrete_integral_equation",
    "linear_full_rank", "linear_rank_1", "hs1", "hs2", "hs3", "hs4", "hs5", "hs25", "hs38", "hs45",
    "hs110", "powell_badly_scaled_bounded", "brown_badly_scaled_bounded", "beale_bounded",
    "helical_valley_bounded", "wood_bounded", "brown_dennis_bounded",
]  # fmt: skip
TABLE_OPTIONS = [{}, {"ftol": 1e-12, "gtol": 1e-9, "maxcor": 4}, {"maxcor": 1, "maxiter": 7}]


@pytest.mark.parametrize("options", TABLE_OPTIONS, ids=["default", "tight", "short"])
@pytest.mark.parametrize("name", TABLE_PROBLEMS)
def test_minimize_takes_scipys_points_to_the_last_bit(name: str, options: dict) -> None:
    problem = get_problem(name)
    theirs, ours = Recorded(problem.fun), Recorded(problem.fun)
    expected_steps, steps = [], []
    with warnings.catch_warnings(**NO_WARNING):
        expected = scipy.optimize.minimize(
            theirs, problem.x0, jac=problem.jac, bounds=problem.bounds, method="L-BFGS-B",
            callback=lambda x: expected_steps.append(x.copy()), options=options,
        )  # fmt: skip
    result = minimize_lbfgsb(
        ours, problem.x0, jac=problem.jac, bounds=problem.bounds, callback=steps.append, **options
    )
    assert np.array_equal(ours.points, theirs.points)
    assert np.array_equal(steps, expected_steps)
    assert np.array_equal(result.x, expected.x)
    for name in ("nfev", "njev", "nit", "status", "success", "message"):
        assert result[name] == expected[name], name
    check_consistent(result, problem.fun, problem.jac)
    if expected.status != 2:  # SciPy's value and gradient are not those of x after that
        assert result.fun == expected.fun
        assert np.array_equal(result.jac, expected.jac)


@pytest.mark.parametrize("options", [{}, {"factr": 10.0, "m": 3}, {"pgtol": 1e-2, "maxiter": 5}])
@pytest.mark.parametrize("name", ["rosenbrock", "wood", "hs1", "hs5", "hs38", "hs45", "hs110"])
def test_fmin_takes_scipys_points_to_the_last_bit(name: str, options: dict) -> None:
    problem = get_problem(name)
    theirs, ours = Recorded(problem.fun), Recorded(problem.fun)
    arguments = {"fprime": problem.jac, "bounds": problem.bounds, **options}
    ex, ef, expected = scipy.optimize.fmin_l_bfgs_b(theirs, problem.x0, **arguments)
    x, f, information = fmin_l_bfgs_b(ours, problem.x0, **arguments)
    assert np.array_equal(ours.points, theirs.points)
    assert np.array_equal(x, ex)
    assert f == ef
    assert np.array_equal(information.pop("grad"), expected.pop("grad"))
    assert information == expected


@pytest.mark.parametrize("name", ["rosenbrock", "beale", "wood", "hs1", "hs5", "hs38", "hs45"])
def test_differences_are_scipys_too(name: str) -> None:
    problem = get_problem(name)
    theirs, ours = Recorded(problem.fun), Recorded(problem.fun)
    arguments = {"approx_grad": True, "bounds": problem.bounds, "epsilon": 1e-7}
    ex, ef, expected = scipy.optimize.fmin_l_bfgs_b(theirs, problem.x0, **arguments)
    x, f, information = fmin_l_bfgs_b(ours, problem.x0, **arguments)
    assert np.array_equal(x, ex)
    assert f == ef
    assert information["funcalls"] == expected["funcalls"] == len(ours.points)
    assert information["nit"] == expected["nit"]
    assert np.array_equal(information["grad"], expected["grad"])


@pytest.mark.parametrize("name", ["hs1", "hs2", "hs3", "hs4", "hs5", "hs38", "hs45"])
def test_hock_and_schittkowski_within_1e_8_at_maxfun_200(name: str) -> None:
    # With the gradient, and factr=10: the default 1e7 believes 2e-9 max(1, |f|), which leaves
    # errors of the order of 1e-8 by itself. hs2's descent ends in its known local minimum.
    problem = get_problem(name)
    x, f, information = fmin_l_bfgs_b(
        problem.fun, problem.x0, problem.jac, bounds=problem.bounds, factr=10, pgtol=1e-9,
        maxfun=200,
    )  # fmt: skip
    known = (problem.minimum, *problem.other_minima)
    # The tables print ten digits of hs2's values; the others are exact.
    assert min(abs(f - value) for value in known) <= 1e-8
    assert f == problem.fun(x)
    assert information["funcalls"] <= 200
    assert information["warnflag"] == 0


# As a method of scipy.optimize.minimize.


def test_it_is_a_method_of_scipys_minimize() -> None:
    def fun(x: np.ndarray, shift: float, factor: float) -> tuple[float, np.ndarray]:
        return factor * rosen(x - shift), factor * rosen_der(x - shift)

    steps = []
    arguments = {
        "args": (0.5, 2.0),
        "jac": True,
        "bounds": [(-2, 1.2), (None, 3)],
        "tol": 1e-7,
        "callback": lambda x: steps.append(x),
        "options": {"maxcor": 5, "maxiter": 100},
    }
    result = scipy.optimize.minimize(fun, X0, method=minimize_lbfgsb, **arguments)
    ours = list(steps)
    steps.clear()
    expected = scipy.optimize.minimize(fun, X0, method="L-BFGS-B", **arguments)
    assert np.array_equal(result.x, expected.x)
    assert np.array_equal(ours, steps)
    assert (result.nfev, result.nit, result.fun) == (expected.nfev, expected.nit, expected.fun)
    assert result.success


@pytest.mark.parametrize("args", [(3.0,), 3.0])
@pytest.mark.parametrize("jac", [None, lambda x, a: 2 * (x - a), "2-point", "3-point", "cs"])
def test_args_reach_both_functions(args, jac) -> None:
    result = scipy.optimize.minimize(
        lambda x, a: np.sum((x - a) ** 2), [0.0, 1.0], args=args, jac=jac, method=minimize_lbfgsb
    )
    assert np.allclose(result.x, 3.0, atol=1e-5)


def test_bounds_of_every_form_reach_it() -> None:
    forms = [
        [(None, 0.5), (None, None)],
        [(-np.inf, 0.5), (-np.inf, np.inf)],
        np.array([[-np.inf, 0.5], [-np.inf, np.inf]]),
        np.array([[None, 0.5], [None, None]], dtype=object),
        scipy.optimize.Bounds([-np.inf, -np.inf], [0.5, np.inf]),
        scipy.optimize.Bounds(ub=[0.5, np.inf]),
    ]
    ends = [
        scipy.optimize.minimize(rosen, X0, jac=rosen_der, bounds=form, method=minimize_lbfgsb).x
        for form in forms
    ]
    assert all(np.array_equal(end, ends[0]) for end in ends)
    assert ends[0][0] == 0.5


@pytest.mark.parametrize("what", [{"hess": lambda x: np.eye(2)}, {"hessp": lambda x, p: p}])
def test_a_hessian_that_is_passed_is_ignored_and_said_so(what: dict) -> None:
    with pytest.warns(OptimizerWarning, match="ignores hess and hessp"):
        result = scipy.optimize.minimize(rosen, X0, jac=rosen_der, method=minimize_lbfgsb, **what)
    assert result.success


def test_constraints_and_unknown_options_are_errors() -> None:
    with pytest.raises(ValueError, match="constraints"):
        scipy.optimize.minimize(
            rosen, X0, method=minimize_lbfgsb, constraints={"type": "eq", "fun": np.sum}
        )
    with pytest.raises(UnknownOptionError, match="Did you mean 'maxiter'"):
        scipy.optimize.minimize(rosen, X0, method=minimize_lbfgsb, options={"maxitr": 3})


def test_tol_stands_for_ftol_and_gtol() -> None:
    loose = minimize_lbfgsb(rosen, X0, jac=rosen_der, tol=1e-3)
    named = minimize_lbfgsb(rosen, X0, jac=rosen_der, ftol=1e-3, gtol=1e-3)
    assert np.array_equal(loose.x, named.x)
    assert loose.nfev < minimize_lbfgsb(rosen, X0, jac=rosen_der).nfev


def test_workers_and_relative_steps_are_taken() -> None:
    used = []

    def workers(function, points):
        points = list(points)
        used.append(len(points))
        return map(function, points)

    options = {"workers": workers, "finite_diff_rel_step": 1e-7}
    result = minimize_lbfgsb(rosen, X0, **options)
    assert used
    assert np.allclose(result.x, 1.0, atol=1e-4)


# 2. fun == fun(x), jac == jac(x) after every ending.

DISTORTIONS = {
    "flipped": lambda p: (p.fun, lambda x: -p.jac(x)),
    "swapped": lambda p: (p.fun, lambda x: p.jac(x)[::-1]),
    "zeroed": lambda p: (p.fun, lambda x: p.jac(x) * (np.arange(x.size) > 0)),
    "thousandfold": lambda p: (p.fun, lambda x: 1e3 * p.jac(x)),
    "shifted": lambda p: (p.fun, lambda x: p.jac(x) + 1.0),
    "noise": lambda p: (lambda x: p.fun(x) * (1 + 1e-3 * math.sin(1e9 * float(np.sum(x)))), p.jac),
    "noisy_gradient": lambda p: (p.fun, lambda x: p.jac(x) * (1 + np.sin(1e9 * x))),
    "steps": lambda p: (lambda x: float(np.round(p.fun(x), 1)), p.jac),
    "cliff": lambda p: (lambda x: p.fun(x) + 1e3 * (float(np.sum(x)) > 0.3), p.jac),
    "rising": lambda p: (lambda x: -p.fun(x), p.jac),
}
ENDING_PROBLEMS = ["rosenbrock", "beale", "wood", "hs1", "hs5", "hs38"]
ABNORMAL = [
    (name, kind, maxls) for name in ENDING_PROBLEMS for kind in DISTORTIONS for maxls in (20, 3)
]


def check_consistent(result, fun, jac) -> None:
    assert result.fun == fun(result.x)
    assert np.array_equal(result.jac, jac(result.x))


@pytest.mark.parametrize("is_watched", [False, True], ids=["alone", "watched"])
@pytest.mark.parametrize(("name", "kind", "maxls"), ABNORMAL)
def test_value_and_gradient_are_those_of_the_point(
    name: str, kind: str, maxls: int, is_watched: bool
) -> None:
    problem = get_problem(name)
    fun, jac = DISTORTIONS[kind](problem)
    result = minimize_lbfgsb(
        fun, problem.x0, jac=jac, bounds=problem.bounds, maxls=maxls, maxfun=300,
        callback=(lambda x: None) if is_watched else None,
    )  # fmt: skip
    check_consistent(result, fun, jac)


def test_most_of_those_endings_are_abnormal_and_scipys_are_wrong() -> None:
    ours = theirs = wrong = 0
    for name, kind, maxls in ABNORMAL:
        problem = get_problem(name)
        fun, jac = DISTORTIONS[kind](problem)
        result = minimize_lbfgsb(fun, problem.x0, jac=jac, bounds=problem.bounds, maxls=maxls,
                                 maxfun=300)  # fmt: skip
        ours += result.status == 2
        if IS_SCIPY_1_17:
            with warnings.catch_warnings(**NO_WARNING):
                raw = scipy.optimize.minimize(
                    fun, problem.x0, jac=jac, bounds=problem.bounds, method="L-BFGS-B",
                    options={"maxls": maxls, "maxfun": 300},
                )  # fmt: skip
            theirs += raw.status == 2
            wrong += raw.fun != fun(raw.x) or not np.array_equal(raw.jac, jac(raw.x))
    assert ours >= 40
    if IS_SCIPY_1_17:
        assert theirs >= 40
        assert wrong >= 10


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 13, 21, 34])
@pytest.mark.parametrize("jac", [rosen_der, True])
def test_a_stop_by_maxfun_is_consistent(limit: int, jac) -> None:
    result = minimize_lbfgsb(rosen if jac is rosen_der else both, X0, jac=jac, maxfun=limit)
    assert (result.nfev, result.status, result.success) == (limit, 1, False)
    assert result.message == "STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT"
    assert result.stop is StopReason.MAXFUN
    check_consistent(result, rosen, rosen_der)


@pytest.mark.parametrize("calls", [1, 2, 3, 10, 30])
@pytest.mark.parametrize("who", ["fun", "jac"])
def test_stopiteration_from_a_user_function_ends_the_run_with_its_result(
    calls: int, who: str
) -> None:
    made = [0]

    def limited(function, is_limited: bool, x: np.ndarray):
        made[0] += is_limited
        if is_limited and made[0] > calls:
            raise StopIteration
        return function(x)

    result = minimize_lbfgsb(
        functools.partial(limited, rosen, who == "fun"), X0,
        jac=functools.partial(limited, rosen_der, who == "jac"),
    )  # fmt: skip
    assert not result.success
    assert result.status == 2
    assert result.message == "STOP: CALLBACK REQUESTED HALT"
    assert result.nfev == calls + 1
    assert result.fun == rosen(result.x)
    if result.jac is not None:
        assert np.array_equal(result.jac, rosen_der(result.x))


def test_stopiteration_at_the_very_first_call_ends_with_the_start() -> None:
    def fun(x: np.ndarray) -> float:
        raise StopIteration

    result = minimize_lbfgsb(fun, X0, jac=rosen_der)
    assert np.array_equal(result.x, X0)
    assert not result.success
    x, _, information = fmin_l_bfgs_b(fun, X0, rosen_der)
    assert np.array_equal(x, X0)
    assert information["warnflag"] == 2


def test_an_error_of_the_users_passes_with_the_result_so_far() -> None:
    def fun(x: np.ndarray) -> float:
        if len(seen) == 10:
            raise KeyError("mine")
        seen.append(x)
        return rosen(x)

    seen: list = []
    with pytest.raises(KeyError, match="mine") as caught:
        minimize_lbfgsb(fun, X0, jac=rosen_der)
    assert caught.value.optimizer_result.fun == min(map(rosen, seen))


# 3. NaN.


@pytest.mark.parametrize("gradient", [0.0, 1e-9, 1.0, -3.0])
@pytest.mark.parametrize("after", [0, 1, 3, 12])
def test_nan_is_never_a_success(gradient: float, after: int) -> None:
    calls = [0]

    def fun(x: np.ndarray) -> float:
        calls[0] += 1
        return rosen(x) if calls[0] <= after else math.nan

    def jac(x: np.ndarray) -> np.ndarray:
        return rosen_der(x) if calls[0] <= after else np.full(2, gradient)

    result = minimize_lbfgsb(fun, X0, jac=jac, maxfun=200)
    assert not (math.isnan(result.fun) and result.success)
    if after == 0:
        assert math.isnan(result.fun)
        assert not result.success
        assert result.status == 2
    if result.success:
        assert result.fun == rosen(result.x)


def test_scipy_calls_nan_a_success() -> None:
    arguments = {"fprime": lambda x: np.zeros(2)}
    _, f, information = fmin_l_bfgs_b(lambda x: math.nan, X0, **arguments)
    assert math.isnan(f)
    assert information["warnflag"] == 2
    assert "NAN" in information["task"]
    if IS_SCIPY_1_17:
        _, f, information = scipy.optimize.fmin_l_bfgs_b(lambda x: math.nan, X0, **arguments)
        assert math.isnan(f)
        assert information["warnflag"] == 0


def test_a_gradient_of_nan_is_no_success_either() -> None:
    result = minimize_lbfgsb(rosen, X0, jac=lambda x: np.full(2, math.nan), maxfun=100)
    assert not result.success


# 4. float32.


@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_a_float32_start_converges_by_differences(jac: str | None) -> None:
    result = minimize_lbfgsb(rosen, np.array(X0, dtype=np.float32), jac=jac)
    assert result.success
    assert np.allclose(result.x, 1.0, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_a_float32_objective_converges_by_differences(jac: str | None, dtype: type) -> None:
    # f is known to 1e-7 of its size: x to the root of that along the flat valley.
    result = minimize_lbfgsb(
        lambda x: np.float32(rosen(x)), np.array(X0, dtype=dtype), jac=jac, maxiter=200
    )
    assert rosen(result.x) < 1e-2
    assert result.fun == np.float32(rosen(result.x))


def test_scipy_ends_float32_far_away() -> None:
    if not IS_SCIPY_1_17:
        pytest.skip("SciPy may have mended it")
    raw = scipy.optimize.minimize(rosen, np.array(X0, dtype=np.float32), method="L-BFGS-B")
    assert raw.success
    assert raw.fun > 0.5
    raw = scipy.optimize.minimize(lambda x: np.float32(rosen(x)), X0, method="L-BFGS-B")
    assert raw.success
    assert raw.fun > 0.5


def test_a_float32_gradient_is_taken() -> None:
    result = minimize_lbfgsb(rosen, X0, jac=lambda x: rosen_der(x).astype(np.float32))
    assert np.allclose(result.x, 1.0, atol=1e-3)
    assert result.jac.dtype == np.float64


# 5. Limits.


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", rosen_der])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 10, 11, 12, 40])
def test_maxfun_is_a_hard_limit_with_differences_too(limit: int, jac) -> None:
    fun = Recorded(rosen)
    result = minimize_lbfgsb(fun, X0, jac=jac, maxfun=limit, ftol=0, gtol=0)
    assert len(fun.points) == result.nfev <= limit
    assert result.status == 1
    assert not result.success
    assert result.fun == rosen(result.x)
    assert result.fun == min(map(rosen, fun.points))


def test_scipy_exceeds_maxfun_with_differences() -> None:
    n = 10
    ours, theirs = Recorded(rosen), Recorded(rosen)
    fmin_l_bfgs_b(ours, np.zeros(n), approx_grad=True, maxfun=25)
    assert len(ours.points) <= 25
    if IS_SCIPY_1_17:
        scipy.optimize.fmin_l_bfgs_b(theirs, np.zeros(n), approx_grad=True, maxfun=25)
        assert len(theirs.points) > 25


def test_a_budget_of_no_evaluation_is_refused() -> None:
    for face in (minimize_lbfgsb, fmin_l_bfgs_b):
        with pytest.raises(optimizers.OptionError, match="maxfun"):
            face(pytest.fail, X0, maxfun=0)


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("jac", [None, rosen_der])
def test_maxiter_is_at_most_that_many_iterations(limit: int, jac) -> None:
    steps = []
    result = minimize_lbfgsb(rosen, X0, jac=jac, maxiter=limit, callback=steps.append)
    assert result.nit == len(steps) == limit
    assert result.status == 1
    assert result.message == "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"
    assert result.stop is StopReason.MAXITER
    assert result.fun == rosen(result.x)
    if limit == 0:
        assert np.array_equal(result.x, X0)
        assert result.nfev == (1 if jac else 3)


def test_a_negative_maxiter_does_no_iteration_or_is_refused() -> None:
    try:
        result = minimize_lbfgsb(rosen, X0, jac=rosen_der, maxiter=-1)
    except optimizers.OptimizerError:
        return
    assert result.nit == 0


def test_scipy_iterates_with_maxiter_0() -> None:
    _, _, information = fmin_l_bfgs_b(rosen, X0, rosen_der, maxiter=0)
    assert information["nit"] == 0
    if IS_SCIPY_1_17:
        _, _, information = scipy.optimize.fmin_l_bfgs_b(rosen, X0, rosen_der, maxiter=0)
        assert information["nit"] == 1


# 6. Corners of the input.


@pytest.mark.parametrize("jac", [None, lambda x: np.zeros(0)])
def test_no_variables_is_a_value(jac) -> None:
    result = minimize_lbfgsb(lambda x: 3.0, [], jac=jac)
    assert result.x.shape == (0,)
    assert result.fun == 3.0
    assert result.nfev == 1
    assert result.success
    x, f, information = fmin_l_bfgs_b(lambda x: 3.0, [], fprime=jac, approx_grad=jac is None)
    assert (x.shape, f, information["nit"]) == ((0,), 3.0, 0)


@pytest.mark.parametrize("options", [{"maxcor": 0}, {"maxcor": -1}, {"maxls": 0}])
def test_an_option_that_cannot_be_used_is_an_error(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        minimize_lbfgsb(rosen, X0, jac=rosen_der, **options)


def test_equal_bounds_fix_variables() -> None:
    result = minimize_lbfgsb(rosen, X0, jac=rosen_der, bounds=[(-1.2, -1.2), (None, None)])
    assert np.allclose(result.x, [-1.2, 1.44], atol=1e-6)
    assert result.x[0] == -1.2
    points = Recorded(rosen)
    result = minimize_lbfgsb(points, X0, bounds=[(-1.2, -1.2), (None, None)])
    assert np.allclose(result.x, [-1.2, 1.44], atol=1e-6)
    assert {point[0] for point in points.points} == {-1.2}
    result = minimize_lbfgsb(rosen, X0, jac=rosen_der, bounds=[(-1.2, -1.2), (1.0, 1.0)])
    assert (result.nfev, result.nit, result.success) == (1, 0, True)
    assert result.fun == rosen(X0)


@pytest.mark.parametrize("bounds", [[(1, 0), (0, 1)], [(np.inf, np.inf), (0, 1)]])
def test_crossed_bounds_are_an_error_before_the_first_evaluation(bounds: list) -> None:
    fun = Recorded(rosen)
    with pytest.raises(CrossedBoundsError, match=r"bounds\[0\]"):
        fmin_l_bfgs_b(fun, X0, approx_grad=True, bounds=bounds)
    assert not fun.points


@pytest.mark.parametrize("bounds", [[(0, 1)], [(0, 1), (0, math.nan)], [0, (0, 1)], "ab"])
def test_bounds_of_the_wrong_form_are_said(bounds) -> None:
    with pytest.raises(InvalidInputError, match="bound"):
        minimize_lbfgsb(rosen, X0, jac=rosen_der, bounds=bounds)


def test_a_start_outside_is_clipped_and_said_so() -> None:
    with pytest.warns(OptimizerWarning, match="outside the bounds"):
        result = minimize_lbfgsb(rosen, X0, jac=rosen_der, bounds=[(0, 1), (0, 1)])
    assert np.allclose(result.x, 1.0)


def test_none_is_no_value_for_l_bfgs_b() -> None:
    with pytest.raises(TypeError, match="fun returned None"):
        minimize_lbfgsb(lambda x: None, X0, jac=rosen_der)


def test_what_is_given_stays_as_it_is() -> None:
    x0, bounds = np.array(X0), np.array([[-2.0, 2.0], [-2.0, 2.0]])
    shared = np.empty(2)

    def jac(x: np.ndarray) -> np.ndarray:
        shared[:] = rosen_der(x)
        x[:] = math.nan
        return shared

    def fun(x: np.ndarray) -> float:
        value = rosen(x)
        x[:] = math.nan
        return value

    result = minimize_lbfgsb(fun, x0, jac=jac, bounds=bounds)
    assert np.array_equal(x0, X0)
    assert np.array_equal(bounds, [[-2.0, 2.0], [-2.0, 2.0]])
    assert np.allclose(result.x, 1.0, atol=1e-4)


LIMIT = st.one_of(st.none(), st.just(math.inf), st.floats(-3, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LIMIT, LIMIT, st.floats(-3, 3)), min_size=1, max_size=4), st.booleans())
def test_any_bounds_are_kept_or_refused(rows: list, analytic: bool) -> None:
    low = [None if low is None else -math.inf if low == math.inf else low for low, _, _ in rows]
    high = [high for _, high, _ in rows]
    centre = np.arange(len(rows)) / 2
    bounds = list(zip(low, high, strict=True))
    lower = np.array([-math.inf if b is None else b for b in low])
    upper = np.array([math.inf if b is None else b for b in high])
    fun = Recorded(lambda x: float(np.sum((x - centre) ** 2)))
    jac = (lambda x: 2 * (x - centre)) if analytic else None
    x0 = np.array([x for _, _, x in rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizerWarning)
        if (lower > upper).any():
            with pytest.raises(CrossedBoundsError):
                minimize_lbfgsb(fun, x0, jac=jac, bounds=bounds)
            assert not fun.points
            return
        result = minimize_lbfgsb(fun, x0, jac=jac, bounds=bounds)
    points = np.array(fun.points)
    assert (points >= lower).all()
    assert (points <= upper).all()
    assert np.allclose(result.x, np.clip(centre, lower, upper), atol=1e-4)
    assert result.fun == fun.fun(result.x)


# 7. Callbacks.


def test_both_conventions_see_the_same_iterates() -> None:
    by_point, by_state = [], []

    def with_state(intermediate_result) -> None:
        by_state.append(intermediate_result)

    first = minimize_lbfgsb(rosen, X0, jac=rosen_der, callback=by_point.append)
    second = minimize_lbfgsb(rosen, X0, jac=rosen_der, callback=with_state)
    assert len(by_point) == first.nit == second.nit
    assert np.array_equal(by_point, [state.x for state in by_state])
    assert [state.nit for state in by_state] == list(range(1, first.nit + 1))
    for state in by_state:
        assert state.fun == rosen(state.x)
        assert np.array_equal(state.jac, rosen_der(state.x))
    counts = [state.nfev for state in by_state]
    assert counts == sorted(counts)
    assert counts[-1] == second.nfev


def test_a_callback_owns_what_it_gets() -> None:
    def spoil(x: np.ndarray) -> None:
        kept.append(x)
        spoiled.append(x.copy())
        x[:] = math.nan

    def spoil_all(intermediate_result) -> None:
        intermediate_result.x[:] = math.nan
        intermediate_result.jac[:] = math.nan

    kept: list = []
    spoiled: list = []
    plain = minimize_lbfgsb(rosen, X0, jac=rosen_der)
    for callback in (spoil, spoil_all):
        result = minimize_lbfgsb(rosen, X0, jac=rosen_der, callback=callback)
        assert np.array_equal(result.x, plain.x)
        assert np.array_equal(result.jac, plain.jac)
        assert result.nfev == plain.nfev
    assert len({id(x) for x in kept}) == len(kept)
    assert np.array_equal(spoiled[-1], plain.x)


@pytest.mark.parametrize("how", ["StopIteration", "True"])
def test_a_callback_ends_the_run_with_its_result(how: str) -> None:
    def callback(intermediate_result) -> bool:
        seen.append(intermediate_result)
        if len(seen) == 5 and how == "StopIteration":
            raise StopIteration
        return len(seen) == 5

    seen: list = []
    result = minimize_lbfgsb(rosen, X0, jac=rosen_der, callback=callback)
    assert (result.nit, result.success, result.status) == (5, False, 2)
    assert result.message == "STOP: CALLBACK REQUESTED HALT"
    assert result.stop is StopReason.CALLBACK
    check_consistent(result, rosen, rosen_der)
    assert result.fun <= seen[-1].fun


# 9. Doubt about a stop by ftol.


def test_a_doubted_stop_is_restarted_once_and_helps() -> None:
    problem = get_problem("powell_badly_scaled")
    run = functools.partial(minimize_lbfgsb, problem.fun, problem.x0, jac=problem.jac)
    believed, doubted = run(), run(restart=True)
    assert believed.success
    assert np.abs(believed.jac).max() > 0.1
    assert "REDUCTION" in believed.message
    assert doubted.nfev > believed.nfev
    assert doubted.nit > believed.nit
    assert doubted.fun < 1e-5 < believed.fun
    check_consistent(doubted, problem.fun, problem.jac)


def test_the_restart_goes_on_from_the_point_without_evaluating_it_again() -> None:
    problem = get_problem("powell_badly_scaled")
    believed, doubted = Recorded(problem.fun), Recorded(problem.fun)
    minimize_lbfgsb(believed, problem.x0, jac=problem.jac)
    result = minimize_lbfgsb(doubted, problem.x0, jac=problem.jac, restart=True)
    first = len(believed.points)
    assert np.array_equal(doubted.points[:first], believed.points)
    assert len(doubted.points) == result.nfev
    assert len({point.tobytes() for point in doubted.points}) == len(doubted.points)


def test_jennrich_and_sampsons_large_gradient_is_doubted() -> None:
    problem = get_problem("jennrich_sampson")
    run = functools.partial(minimize_lbfgsb, problem.fun, problem.x0, jac=problem.jac)
    believed, doubted = run(), run(restart=True)
    assert np.abs(believed.jac).max() > 1e3
    assert abs(doubted.fun - problem.minimum) < 1e-3 < abs(believed.fun - problem.minimum)


@pytest.mark.parametrize("name", ["rosenbrock", "beale", "gulf", "hs1", "hs5", "hs38", "hs45"])
def test_ordinary_runs_are_not_doubted(name: str) -> None:
    problem = get_problem(name)
    plain, doubting = Recorded(problem.fun), Recorded(problem.fun)
    for fun, restart in ((plain, False), (doubting, True)):
        minimize_lbfgsb(fun, problem.x0, jac=problem.jac, bounds=problem.bounds, restart=restart)
    assert np.array_equal(plain.points, doubting.points)


def test_the_restart_keeps_to_the_limits() -> None:
    problem = get_problem("powell_badly_scaled")
    run = functools.partial(minimize_lbfgsb, problem.fun, problem.x0, jac=problem.jac, restart=True)
    assert run(maxiter=2).nit == 2
    assert run(maxiter=5).nit == 5
    assert run(maxfun=10).nfev == 10


def test_the_classes_doubt_by_default_and_the_functions_do_not() -> None:
    problem = get_problem("powell_badly_scaled")
    ftol = 2.220446049250313e-09
    plain = minimize_lbfgsb(problem.fun, problem.x0, jac=problem.jac)
    doubted = minimize_lbfgsb(problem.fun, problem.x0, jac=problem.jac, restart=True)
    by_class = LBFGSB(ftol=ftol).minimize(problem.fun, problem.x0, problem.jac)
    believing = LBFGSB(ftol=ftol, options={"restart": False}).minimize(
        problem.fun, problem.x0, problem.jac
    )
    _, _, information = fmin_l_bfgs_b(problem.fun, problem.x0, problem.jac)
    assert np.array_equal(by_class.x, doubted.x)
    assert by_class.nfev == doubted.nfev
    assert np.array_equal(believing.x, plain.x)
    assert information["funcalls"] == plain.nfev == believing.nfev


# Threads and nesting.


def test_eight_threads_at_once_find_what_one_finds() -> None:
    starts = [np.array([-1.2 + i / 10, 1.0]) for i in range(16)]
    expected = [minimize_lbfgsb(rosen, x0, jac=rosen_der) for x0 in starts]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x0: minimize_lbfgsb(rosen, x0, jac=rosen_der), starts))
    for result, single in zip(results, expected, strict=True):
        assert np.array_equal(result.x, single.x)
        assert (result.nfev, result.nit) == (single.nfev, single.nit)
        assert np.array_equal(result.hess_inv.sk, single.hess_inv.sk)


def test_a_minimise_inside_an_objective() -> None:
    def inner(a: float) -> optimizers.OptimizerResult:
        return minimize_lbfgsb(lambda y: float((y[0] - a) ** 2 + a**2), [0.0], ftol=1e-14)

    result = minimize_lbfgsb(lambda x: inner(float(x[0]) - 1.0).fun, [4.0])
    assert np.allclose(result.x, 1.0, atol=1e-5)

    def stopped_inside(x: np.ndarray) -> float:
        # The inner run's end must not end the outer one.
        assert minimize_lbfgsb(rosen, X0, jac=rosen_der, maxfun=3).nfev == 3
        return rosen(x)

    outer = minimize_lbfgsb(stopped_inside, X0, jac=rosen_der)
    plain = minimize_lbfgsb(rosen, X0, jac=rosen_der)
    assert np.array_equal(outer.x, plain.x)
    assert outer.nfev == plain.nfev


# What a restart may not do.


def test_a_restart_never_makes_a_failure_of_a_success():
    rng = np.random.default_rng(0)
    doubted = 0
    for _ in range(400):
        n = int(rng.integers(1, 8))
        curvatures, start, at = 10 ** rng.uniform(-3, 10, n), rng.normal(size=n), rng.normal(size=n)
        rotation, _ = np.linalg.qr(rng.normal(size=(n, n)))
        matrix = rotation * curvatures @ rotation.T
        matrix = (matrix + matrix.T) / 2

        def fun(x, matrix=matrix, at=at):
            return float(0.5 * (x - at) @ matrix @ (x - at) + 1)

        def jac(x, matrix=matrix, at=at):
            return matrix @ (x - at)

        once = minimize_lbfgsb(fun, start, jac=jac)
        again = minimize_lbfgsb(fun, start, jac=jac, restart=True)
        assert again.success >= once.success
        assert again.fun <= once.fun
        assert again.hess_inv.n_corrs >= once.hess_inv.n_corrs or once.hess_inv.n_corrs == 10
        doubted += again.nfev > once.nfev
    assert doubted > 20


def test_an_end_that_is_doubtful_says_so():
    problem = get_problem("jennrich_sampson")
    result = minimize_lbfgsb(problem.fun, problem.x0, jac=problem.jac, restart=True, ftol=1e-2)
    if "REDUCTION" in result.message and np.max(np.abs(result.jac)) > 1:
        assert "AT |PROJ G| =" in result.message
    result = minimize_lbfgsb(rosen, [-1.2, 1.0], jac=rosen_der, restart=True)
    assert "PROJ G" not in result.message


@pytest.mark.parametrize("face", [minimize_lbfgsb, minimize_tnc])
def test_a_callback_that_stops_ends_on_the_iterate_it_was_shown(face):
    shown = []

    def callback(intermediate_result):
        shown.append(intermediate_result)
        if len(shown) == 5:
            raise StopIteration

    result = face(rosen, [-1.2, 1.0], callback=callback)
    assert np.array_equal(result.x, shown[-1].x)
    assert np.array_equal(result.jac, shown[-1].jac)


@pytest.mark.parametrize("name", ["meyer", "powell_badly_scaled", "brown_badly_scaled"])
@pytest.mark.parametrize("m", [1, 3, 10])
def test_the_secant_equation_holds_where_scales_are_wild(name, m):
    problem = get_problem(name)
    operator = minimize_lbfgsb(
        problem.fun, problem.x0, jac=problem.jac, maxcor=m, maxiter=7
    ).hess_inv
    error = operator @ operator.yk[-1] - operator.sk[-1]
    assert np.linalg.norm(error) <= 1e-10 * np.linalg.norm(operator.sk[-1])


def test_a_tnc_callback_sees_the_iterate_also_after_a_long_line_search():
    problem = get_problem("brown_dennis")
    ours, theirs = [], []
    minimize_tnc(problem.fun, problem.x0, eta=0.01, maxfun=3000, callback=ours.append)
    scipy.optimize.minimize(
        problem.fun,
        problem.x0,
        method="TNC",
        options={"eta": 0.01, "maxfun": 10_000},
        callback=lambda x: theirs.append(x.copy()),
    )
    for mine, other in zip(ours, theirs, strict=False):
        assert np.allclose(mine, other, rtol=1e-12, atol=0)
