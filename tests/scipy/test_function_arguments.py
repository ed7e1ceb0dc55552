"""What SciPy's functional faces take, and the words for what they do not."""

import functools
import inspect
import math
import pickle
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from fractions import Fraction
from multiprocessing import get_context

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der
from scipy.spatial.distance import sqeuclidean

from optimizers import (
    COBYLA,
    LBFGSB,
    TNC,
    InvalidInputError,
    NoValueError,
    Optimizer,
    OptionError,
    SciPyOptimizer,
    UnknownOptionError,
    fmin_l_bfgs_b,
    fmin_tnc,
    minimize_lbfgsb,
    minimize_tnc,
    vectorized,
)
from optimizers.errors import InvalidValueError, OptimizerWarning
from optimizers.result import StopReason
from tests.making import shown

X0 = [-1.2, 1.0]
FMIN = [fmin_l_bfgs_b, functools.partial(fmin_tnc, messages=0)]
FMIN_IDS = ["fmin_l_bfgs_b", "fmin_tnc"]
MINIMIZE = [minimize_lbfgsb, minimize_tnc]
fmin = pytest.mark.parametrize("face", FMIN, ids=FMIN_IDS)
faces = pytest.mark.parametrize("face", MINIMIZE)


def shifted(x: np.ndarray, shift: float, factor: float = 2.0) -> float:
    return factor * rosen(x - shift)


def shifted_der(x: np.ndarray, shift: float, factor: float = 2.0) -> np.ndarray:
    return factor * rosen_der(x - shift)


# Further arguments.


@fmin
@pytest.mark.parametrize(
    "args", [[0.5, 2.0], np.array([0.5, 2.0]), (0.5, 2.0), range(2)], ids=shown
)
def test_fmin_passes_any_sequence_on_as_scipy_does(face, args) -> None:
    if isinstance(args, range):
        expected = face(shifted, X0, shifted_der, args=(0, 1))
    else:
        expected = face(shifted, X0, shifted_der, args=(0.5, 2.0))
    assert np.array_equal(face(shifted, X0, shifted_der, args=args)[0], expected[0])


@fmin
@pytest.mark.parametrize("args", [[0.5], (0.5,), np.array([0.5, 1.0])], ids=shown)
def test_fmin_has_the_rule_of_scipys_fmin_and_minimize_that_of_minimize(face, args) -> None:
    def passed_on(function, **given) -> tuple:
        seen = []

        def note(x: np.ndarray, *further):
            seen.append(further)
            return float(x @ x), 2 * x

        function(note, X0, args=args, **given)
        return seen[0]

    name = getattr(face, "func", face).__name__
    theirs = getattr(scipy.optimize, name)
    assert passed_on(face) == passed_on(theirs) == tuple(args)
    direct = minimize_lbfgsb if "bfgs" in name else minimize_tnc
    assert str(passed_on(direct, jac=True)) == str(passed_on(scipy.optimize.minimize, jac=True))


@fmin
@pytest.mark.parametrize("args", [3.0, None, len])
def test_fmin_says_what_args_must_be(face, args) -> None:
    with pytest.raises(InvalidInputError, match=r"args is .*expected a sequence"):
        face(pytest.fail, X0, pytest.fail, args=args)


@faces
@pytest.mark.parametrize("args", [[1.0, 1.0], np.ones(2), 1.0], ids=shown)
def test_minimize_passes_what_is_no_tuple_on_as_one_argument(face, args) -> None:
    def away(x: np.ndarray, a) -> float:
        return float(np.sum((x - np.asarray(a)) ** 2))

    assert np.allclose(face(away, X0, args=args).x, 1.0, atol=1e-4)


def test_a_function_with_args_can_be_pickled() -> None:
    wrapped = pickle.loads(pickle.dumps(Optimizer.wrap_function(shifted, [0.5])))
    assert wrapped(np.zeros(2)) == shifted(np.zeros(2), 0.5)
    assert wrapped(np.zeros(2)) == Optimizer.wrap_function(shifted, (0.5,))(np.zeros(2))


def test_args_and_the_map_of_a_process_pool_go_together() -> None:
    # A function that any process can import; and none is forked, as threads may run by now.
    args = (np.full(len(X0), 0.5),)
    alone = [face(sqeuclidean, X0, args=args) for face in MINIMIZE]
    class_alone = LBFGSB(args=args).minimize(sqeuclidean, X0)
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:
        for face, expected in zip(MINIMIZE, alone, strict=True):
            result = face(sqeuclidean, X0, args=args, workers=pool.map)
            assert np.array_equal(result.x, expected.x)
        result = LBFGSB(args=args).minimize(sqeuclidean, X0, workers=pool.map)
        assert np.array_equal(result.x, class_alone.x)


def test_a_vectorized_objective_with_args_still_gets_stacks() -> None:
    @vectorized
    def away(points: np.ndarray, a: float) -> np.ndarray:
        assert points.ndim == 2
        return ((points - a) ** 2).sum(axis=1)

    assert np.allclose(minimize_lbfgsb(away, X0, args=(3.0,)).x, 3.0, atol=1e-4)
    assert np.allclose(LBFGSB(args=(3.0,)).minimize(away, X0).x, 3.0, atol=1e-4)


def test_args_are_the_callers_own() -> None:
    args = [1.0]
    wrapped = Optimizer.wrap_function(shifted, args)
    args[0] = 2.0
    assert wrapped(np.zeros(2)) == shifted(np.zeros(2), 1.0)


# As methods of SciPyOptimizer, and of scipy.optimize.minimize.


@pytest.mark.parametrize("method", [*MINIMIZE, LBFGSB(), TNC()], ids=shown)
def test_a_method_with_results_of_this_package_is_one_of_scipy_optimizer(method) -> None:
    result = SciPyOptimizer(method).minimize(rosen, X0, jac=rosen_der)
    direct = method(rosen, X0, jac=rosen_der)
    assert np.array_equal(result.x, direct.x)
    assert (result.nfev, result.nit, result.stop) == (direct.nfev, direct.nit, direct.stop)
    assert result.nrejected == 0
    assert result.success


@faces
def test_the_limits_of_scipy_optimizer_hold_for_them_too(face) -> None:
    result = SciPyOptimizer(face, maxfun=7).minimize(rosen, X0, jac=rosen_der)
    assert result.nfev == 7
    assert result.stop is StopReason.MAXFUN
    assert not result.success


def users_line(caught) -> None:
    assert [warning.filename for warning in caught] == [__file__]


@faces
def test_a_warning_through_scipys_minimize_points_at_the_users_line(face) -> None:
    with pytest.warns(OptimizerWarning, match="ignores hess") as caught:
        scipy.optimize.minimize(rosen, X0, jac=rosen_der, hess=rosen_der, method=face)
    users_line(caught)
    with pytest.warns(OptimizerWarning, match="outside the bounds") as caught:
        scipy.optimize.minimize(rosen, X0, jac=rosen_der, bounds=[(0, 1)] * 2, method=face)
    users_line(caught)
    with pytest.warns(OptimizerWarning, match="COBYLA ignores jac") as caught:
        scipy.optimize.minimize(np.sum, X0, jac=np.ones_like, bounds=[(-2, 1)] * 2, method=COBYLA())
    users_line(caught)


# tol.


@pytest.mark.parametrize(
    ("face", "name", "value"),
    [
        (minimize_lbfgsb, "ftol", 1e-12),
        (minimize_lbfgsb, "gtol", 1e-9),
        (minimize_tnc, "ftol", 1e-12),
        (minimize_tnc, "xtol", 1e-10),
        (minimize_tnc, "gtol", 1e-9),
    ],
)
def test_tol_leaves_the_tolerances_that_are_given(face, name: str, value: float) -> None:
    names = ["ftol", "gtol"] if face is minimize_lbfgsb else ["ftol", "gtol", "xtol"]
    loose = dict.fromkeys(names, 1e-2)
    expected = face(rosen, X0, jac=rosen_der, **{**loose, name: value})
    result = face(rosen, X0, jac=rosen_der, tol=1e-2, **{name: value})
    assert (result.nfev, result.status) == (expected.nfev, expected.status)
    method = "L-BFGS-B" if face is minimize_lbfgsb else "TNC"
    arguments = {"jac": rosen_der, "tol": 1e-2, "options": {name: value}}
    theirs = scipy.optimize.minimize(rosen, X0, method=method, **arguments)
    ours = scipy.optimize.minimize(rosen, X0, method=face, **arguments)
    assert np.array_equal(ours.x, theirs.x)
    assert np.array_equal(ours.x, result.x)


# The gradient that there is none of.


def test_the_gradient_is_nan_where_maxfun_ended_differences() -> None:
    x, f, information = fmin_l_bfgs_b(rosen, X0, approx_grad=True, maxfun=8)
    assert f == rosen(x)
    grad = information["grad"]
    assert isinstance(grad, np.ndarray)
    assert grad.shape == (2,)
    assert grad.dtype == np.float64
    assert np.isnan(grad).all()
    assert minimize_lbfgsb(rosen, X0, maxfun=8).jac is None
    _, _, information = fmin_l_bfgs_b(rosen, X0, rosen_der, maxfun=8)
    assert np.isfinite(information["grad"]).all()


def test_the_last_line_says_that_the_gradient_is_unknown_then(capsys) -> None:
    fmin_l_bfgs_b(rosen, X0, approx_grad=True, maxfun=8, iprint=0)
    assert "|proj g| unknown" in capsys.readouterr().out


def test_messages_of_none_are_all_messages(capsys) -> None:
    fmin_tnc(rosen, X0, rosen_der, messages=None)
    shown = capsys.readouterr().out
    fmin_tnc(rosen, X0, rosen_der)
    assert shown == capsys.readouterr().out != ""


# None instead of a gradient.


@faces
@pytest.mark.parametrize(
    ("fun", "jac"), [(rosen, lambda x: None), (lambda x: (rosen(x), None), True)]
)
def test_no_gradient_is_an_error_and_no_wish_to_stop(face, fun, jac) -> None:
    with pytest.raises(NoValueError, match="jac returned None") as caught:
        face(fun, X0, jac=jac)
    assert caught.value.function == "jac"


def test_no_gradient_from_the_fmin_functions_is_an_error_too() -> None:
    with pytest.raises(NoValueError, match="jac returned None"):
        fmin_tnc(rosen, X0, lambda x: None, messages=0)
    with pytest.raises(NoValueError, match="jac returned None"):
        fmin_tnc(lambda x: (rosen(x), None), X0, messages=0)


@pytest.mark.parametrize("jac", [None, rosen_der, True])
def test_no_value_at_the_start_ends_tnc_without_one(jac) -> None:
    result = minimize_tnc(lambda x: None, X0, jac=jac)
    assert result.status == 7
    assert result.fun is None
    assert np.array_equal(result.x, X0)


# Options of the wrong type.

BAD_SHARED = [
    ("ftol", "a"), ("ftol", math.nan), ("ftol", None), ("ftol", 1j), ("ftol", np.complex128(1)),
    ("ftol", [1e-3]), ("gtol", None), ("gtol", "a"), ("maxfun", math.nan), ("maxfun", 1.5),
    ("maxfun", "a"), ("maxfun", 0), ("maxfun", [3]), ("eps", "a"), ("eps", 0), ("eps", math.nan),
    ("disp", "a"), ("disp", 1.5), ("tol", "a"), ("tol", math.nan),
    ("finite_diff_rel_step", "a"),
]  # fmt: skip
BAD_LBFGSB = [
    ("maxiter", "a"), ("maxiter", 2.5), ("maxiter", math.nan), ("maxiter", -1), ("maxcor", 2.5),
    ("maxcor", 0), ("maxcor", "a"), ("maxcor", math.inf), ("maxls", 2.5), ("maxls", 0),
    ("iprint", "a"), ("iprint", 1.5), ("iprint", math.nan),
]  # fmt: skip
BAD_TNC = [
    ("eta", None), ("eta", "a"), ("eta", math.nan), ("stepmx", "a"), ("accuracy", None),
    ("minfev", "a"), ("xtol", "a"), ("rescale", math.nan), ("maxCGit", 2.5), ("maxCGit", "a"),
    ("mesg_num", "a"), ("mesg_num", [1]), ("mesg_num", 1.5), ("scale", [0, 0]), ("scale", [1, 0]),
    ("scale", 0.0), ("maxfun", math.nan),
]  # fmt: skip


@pytest.mark.parametrize(
    ("face", "name", "value"),
    [(minimize_lbfgsb, *case) for case in BAD_SHARED + BAD_LBFGSB]
    + [(minimize_tnc, *case) for case in BAD_SHARED + BAD_TNC],
    ids=shown,
)
def test_an_option_that_cannot_be_used_is_named_before_any_evaluation(face, name, value) -> None:
    with pytest.raises(OptionError, match=rf"^{name} is .*expected"):
        face(pytest.fail, X0, **{name: value})


@pytest.mark.parametrize(
    ("face", "name", "value"),
    [
        *[(fmin_l_bfgs_b, *case) for case in [
            ("m", 2.5), ("m", 0), ("m", "a"), ("factr", "a"), ("factr", math.nan), ("factr", None),
            ("pgtol", "a"), ("pgtol", None), ("epsilon", "a"), ("epsilon", 0), ("maxfun", "a"),
            ("maxiter", 1.5), ("iprint", "a"), ("disp", "a"), ("maxls", 2.5), ("epsilon", None),
        ]],
        *[(fmin_tnc, *case) for case in [
            ("messages", "a"), ("messages", 1.5), ("disp", "a"), ("fmin", "a"), ("fmin", None),
            ("pgtol", math.nan), ("epsilon", "a"), ("maxfun", 1.5), ("eta", None), ("ftol", "a"),
            ("xtol", None), ("rescale", "a"), ("maxCGit", 0.5), ("scale", [0, 0]),
        ]],
    ],
    ids=shown,
)  # fmt: skip
def test_the_fmin_functions_name_their_own_arguments(face, name, value) -> None:
    with pytest.raises(OptionError, match=rf"^{name} is .*expected"):
        face(pytest.fail, X0, approx_grad=True, **{name: value})


@fmin
def test_the_fmin_functions_name_their_own_functions(face) -> None:
    with pytest.raises(InvalidInputError, match=r"^func is 3"):
        face(3, X0, approx_grad=True)
    with pytest.raises(InvalidInputError, match=r"^fprime is 3"):
        face(pytest.fail, X0, 3)


@faces
def test_the_minimize_functions_name_theirs_with_args_too(face) -> None:
    with pytest.raises(InvalidInputError, match=r"^fun is 3"):
        face(3, X0, args=(1,))
    with pytest.raises(InvalidInputError, match=r"^jac is 3"):
        face(pytest.fail, X0, args=(1,), jac=3)


@faces
def test_steps_that_are_not_taken_are_not_looked_at(face) -> None:
    assert face(rosen, X0, jac=rosen_der, eps=0).success


@pytest.mark.parametrize(
    "options",
    [
        {"maxcor": 5.0, "maxls": np.int64(15), "maxiter": 60.0, "maxfun": 100.0},
        {"ftol": np.float32(1e-6), "gtol": 0, "iprint": -1.0, "disp": False},
        {"iprint": False, "maxcor": None, "disp": np.False_},
    ],
)
def test_numbers_of_any_type_are_taken_by_l_bfgs_b(options: dict, capsys) -> None:
    assert minimize_lbfgsb(rosen, X0, jac=rosen_der, **options).success
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "options",
    [
        {"maxfun": 100.0, "maxCGit": 5.0, "mesg_num": 0.0, "disp": np.False_},
        {"eta": np.float32(0.3), "stepmx": 5, "minfev": -math.inf, "mesg_num": False},
        {"maxCGit": None, "offset": 0},
    ],
)
def test_numbers_of_any_type_are_taken_by_tnc(options: dict, capsys) -> None:
    assert minimize_tnc(rosen, X0, jac=rosen_der, **options).success
    assert capsys.readouterr().out == ""


def test_an_infinite_limit_of_l_bfgs_b_is_none_as_in_scipy() -> None:
    limits = {"maxiter": math.inf, "maxfun": np.inf}
    ours = minimize_lbfgsb(rosen, X0, jac=rosen_der, **limits)
    theirs = scipy.optimize.minimize(rosen, X0, jac=rosen_der, method="L-BFGS-B", options=limits)
    assert np.array_equal(ours.x, theirs.x)


def test_a_negative_ftol_has_scipys_answer() -> None:
    result = minimize_lbfgsb(rosen, X0, jac=rosen_der, ftol=-1)
    assert result.message == "ERROR: FACTR < 0"
    assert (result.status, result.success) == (2, False)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (LBFGSB, {"maxcor": None, "iprint": None}),
        (LBFGSB, {"maxls": 20.0, "iprint": -1.0}),
        (TNC, {"maxCGit": None, "mesg_num": None, "maxiter": None}),
        (TNC, {"maxiter": 100.0}),
    ],
)
def test_none_stands_for_the_default_in_the_classes(optimizer, options: dict) -> None:
    result = optimizer(options=options).minimize(rosen, X0, jac=rosen_der)
    assert np.array_equal(result.x, optimizer().minimize(rosen, X0, jac=rosen_der).x)


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [(LBFGSB, "iprint"), (TNC, "eta"), (TNC, "maxCGit"), (TNC, "mesg_num"), (LBFGSB, "maxiter")],
)
@pytest.mark.parametrize("value", ["a", math.inf * 0, [1]])
def test_the_classes_name_such_options_too(optimizer, name: str, value) -> None:
    with pytest.raises(OptionError, match=f"^{name} is"):
        optimizer(options={name: value})


# Unknown options.


@pytest.mark.parametrize(
    ("face", "name", "meant"),
    [
        (minimize_tnc, "maxiter", "maxfun"), (minimize_tnc, "maxfev", "maxfun"),
        (minimize_lbfgsb, "maxfev", "maxfun"), (minimize_lbfgsb, "maxitr", "maxiter"),
        (minimize_tnc, "stepmax", "stepmx"), (minimize_lbfgsb, "pgtol", "gtol"),
    ],
)  # fmt: skip
def test_an_unknown_option_has_its_like_named(face, name: str, meant: str) -> None:
    words = f"^{face.__name__} has no option '{name}'. Did you mean '{meant}'"
    with pytest.raises(UnknownOptionError, match=words):
        face(pytest.fail, X0, **{name: 3})


@faces
def test_the_known_options_are_the_faces_own(face) -> None:
    with pytest.raises(UnknownOptionError) as caught:
        face(pytest.fail, X0, zzzz=3)
    known = str(caught.value).partition("Known: ")[2].rstrip(".").split(", ")
    parameters = set(inspect.signature(face).parameters) - {"unknown_options"}
    passed_on = {"hess", "hessp", "constraints", "tol", "finite_diff_rel_step", "workers"}
    assert set(known) == parameters | passed_on
    assert ("maxiter" in known) == (face is minimize_lbfgsb)


# Values of other types, and values that are not finite.


@pytest.mark.parametrize("value", [Decimal(1), Fraction(1, 2), np.array([None]), "1"], ids=shown)
def test_a_value_of_another_type_is_told_which_are_meant(value) -> None:
    with pytest.raises(InvalidValueError, match=r"of type float, int or bool.*float\("):
        minimize_lbfgsb(lambda x: value, X0, jac=rosen_der)


def cut_off(x: np.ndarray, beyond: float) -> float:
    return x[0] ** 2 - x[0] if x[0] < -1.1 else beyond


def test_a_false_end_of_tnc_by_nan_is_no_success() -> None:
    def slope(x: np.ndarray, *args: float) -> np.ndarray:
        return 2 * x - 1

    result = minimize_tnc(cut_off, [-3.0], args=(math.nan,), jac=slope)
    assert (result.status, result.success) == (6, False)
    assert result.message == "Unable to progress"
    assert result.stop is StopReason.NO_PROGRESS
    assert result.fun == cut_off(result.x, math.nan)
    assert fmin_tnc(cut_off, [-3.0], slope, args=(math.nan,), messages=0)[2] == 6


@faces
@pytest.mark.parametrize("jac", [rosen_der, None])
def test_nan_on_the_way_to_a_true_minimum_does_no_harm(face, jac) -> None:
    met = []

    def fun(x: np.ndarray) -> float:
        if x[0] > 1.2:
            met.append(x)
            return math.nan
        return rosen(x)

    result = face(fun, [0.5, 2.4], jac=jac)
    if result.success:
        assert np.allclose(result.x, 1.0, atol=1e-2)


@faces
@pytest.mark.parametrize("of", ["value", "gradient"])
def test_nan_never_ends_in_a_false_success(face, of: str) -> None:
    value = math.nan
    rng = np.random.default_rng(3)
    met = 0
    for _ in range(150):
        border, start, component = rng.normal(), rng.normal(0, 2, 2), rng.integers(2)

        def fun(x: np.ndarray, border=border) -> float:
            return value if of == "value" and x[0] > border else rosen(x)

        def jac(x: np.ndarray, border=border, component=component) -> np.ndarray:
            gradient = rosen_der(x)
            if of == "gradient" and x[0] > border:
                gradient[component] = value
            return gradient

        result = face(fun, start, jac=jac, maxfun=300)
        met += not result.success
        if result.success:
            assert math.isfinite(result.fun)
            assert np.max(np.abs(result.jac)) < 1e-2 * max(1.0, abs(result.fun))
    assert met
