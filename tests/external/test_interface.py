"""The interfaces themselves, on arrays of NumPy."""

import logging
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.optimize

import optimizers
from optimizers import (
    COBYLA,
    LBFGSB,
    CapabilityError,
    CrossedBoundsError,
    History,
    InvalidInputError,
    InvalidValueError,
    NonFiniteValueError,
    NoValueError,
    OptimizerWarning,
    OptionError,
    StopReason,
    UnknownOptionError,
)
from optimizers.external import (
    ExternalOptimizerInterface,
    OptimizerInterface,
    ScipyOptimizerInterface,
)
from optimizers.external.bounds import Packing, pack_bounds
from tests.external.methods import METHODS, NEED_HESSIANS, assert_at_ones

KEYWORDS = {
    *("initial_val", "loss_grad_func", "equality_funcs", "equality_grad_funcs"),
    *("inequality_funcs", "inequality_grad_funcs", "packed_bounds", "step_callback"),
    "optimizer_kwargs",
}


class Recorder(ExternalOptimizerInterface):
    """Keeps what the hook is given, and returns what it is told to."""

    answer = None

    def _minimize(self, **given):
        self.given = given
        return given["initial_val"] + 1 if self.answer is None else self.answer


class Bowl:
    """A squared distance from (1, 2, 3, ...), in a scalar, a vector and a matrix together."""

    def __init__(self, dtype=np.float64):
        self.variables = [np.zeros(shape, dtype) for shape in [(), (2,), (2, 2)]]
        self.target = np.arange(1, 8, dtype=dtype)
        self.calls = 0

    def x(self):
        return np.concatenate([variable.ravel() for variable in self.variables])

    def __call__(self):
        self.calls += 1
        away = self.x() - self.target
        ends = np.split(2 * away, [1, 3])
        return away @ away, [g.reshape(v.shape) for g, v in zip(ends, self.variables, strict=True)]


def test_the_hook_gets_exactly_its_nine_keywords():
    bowl = Bowl()
    recorder = Recorder(bowl, bowl.variables, speed=3)
    assert recorder.minimize() is None
    assert recorder.given.keys() == KEYWORDS
    for name in KEYWORDS:
        if name.startswith(("equality", "inequality")):
            assert recorder.given[name] == []
    assert recorder.given["packed_bounds"] is None
    assert recorder.given["optimizer_kwargs"] == {"speed": 3}
    assert bowl.x().tolist() == [1.0] * 7
    assert recorder.result_ is None


def test_the_functions_of_the_hook():
    bowl = Bowl(np.float32)
    w = bowl.variables[1]
    recorder = Recorder(
        bowl,
        bowl.variables,
        equalities=[lambda: w[0] - 1],
        inequalities=[lambda: w, lambda: (w[1], [0, [0, 1], np.zeros((2, 2))])],
    )
    recorder.minimize()
    given = recorder.given
    assert given["initial_val"].dtype == np.float32
    x = np.arange(7.0)
    loss, gradient = given["loss_grad_func"](x)
    assert loss == 7
    assert isinstance(loss, np.float32)
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, -2)
    (equality,), (equality_jacobian,) = given["equality_funcs"], given["equality_grad_funcs"]
    assert equality(x).tolist() == [0.0]
    np.testing.assert_allclose(equality_jacobian(x), [[0, 1, 0, 0, 0, 0, 0]], atol=1e-3)
    vector, scalar = given["inequality_funcs"]
    assert vector(x).tolist() == [1.0, 2.0]
    assert scalar(x).tolist() == [2.0]
    assert given["inequality_grad_funcs"][0](x).shape == (2, 7)
    assert given["inequality_grad_funcs"][1](x).tolist() == [[0, 0, 1, 0, 0, 0, 0]]


def test_the_base_alone_minimizes_nothing():
    with pytest.raises(NotImplementedError, match="subclass"):
        ExternalOptimizerInterface(lambda: 0.0, [np.zeros(1)]).minimize()


@pytest.mark.parametrize("answer", [None, np.zeros(3), "no", 3.0])
def test_an_answer_that_cannot_be_written_is_an_error(answer):
    w = np.ones(2)

    class Wrong(ExternalOptimizerInterface):
        def _minimize(self, loss_grad_func, **given):
            loss_grad_func(np.zeros(2))
            return answer

    with pytest.raises(InvalidValueError, match="expected a vector of 2 numbers"):
        Wrong(lambda: w @ w, [w]).minimize()
    assert w.tolist() == [1.0, 1.0]


def test_keyword_arguments_are_copied():
    options = {"maxiter": 3}
    recorder = Recorder(lambda: 0.0, [np.zeros(1)], options=options)
    options["maxiter"] = 4
    assert recorder.optimizer_kwargs == {"options": {"maxiter": 3}}
    recorder.minimize()
    recorder.given["optimizer_kwargs"]["options"].clear()
    assert recorder.optimizer_kwargs == {"options": {"maxiter": 3}}


# Bounds.


@pytest.mark.parametrize(
    ("bounds", "packed"),
    [
        ((0, np.inf), [(0.0, np.inf)] * 6),
        ((None, 3), [(-np.inf, 3.0)] * 6),
        ((-np.inf, [1, 2, 3]), [(-np.inf, float(i)) for i in (1, 2, 3, 1, 2, 3)]),
        (([[1], [2]], None), [(float(i), np.inf) for i in (1, 1, 1, 2, 2, 2)]),
        (([[1, None, 3], [4, 5, 6]], 9), [(i, 9.0) for i in (1.0, -np.inf, 3.0, 4.0, 5.0, 6.0)]),
    ],
)
def test_bounds_are_broadcast_to_the_variable(bounds, packed):
    b, w = np.zeros(()), np.zeros((2, 3))
    recorder = Recorder(lambda: 0.0, [b, w], var_to_bounds=[(w, bounds)])
    recorder.minimize()
    assert recorder.given["packed_bounds"] == [(-np.inf, np.inf), *packed]


@pytest.mark.parametrize(
    ("bounds", "error", "words"),
    [
        (lambda w: [(w, ([1, 2], 3))], InvalidInputError, "shape \\(2,\\), expected one that"),
        (lambda w: [(w, (0, "a"))], InvalidInputError, "expected numbers or None"),
        (lambda w: [(w, (np.nan, 1))], InvalidInputError, "is NaN"),
        (lambda w: [(w, (np.ma.masked_less(w, 1), 1))], InvalidInputError, "masked elements"),
        (lambda w: [(w, (1, 0))], CrossedBoundsError, "element 0 of variable 0"),
        (lambda w: [(w, 3)], InvalidInputError, "a pair"),
        (lambda w: [(w, (0, 1)), (w, (0, 2))], InvalidInputError, "twice"),
        (lambda w: [(w.copy(), (0, 1))], InvalidInputError, "not one of the 1 optimized variables"),
        (lambda w: {"w": (0, 1)}, InvalidInputError, "not one of the 1 optimized variables"),
        (lambda w: 7, InvalidInputError, "a dict"),
    ],
)
def test_bounds_that_cannot_be_used_are_errors_of_the_constructor(bounds, error, words):
    w = np.zeros(3)
    with pytest.raises(error, match=words):
        Recorder(lambda: 0.0, [w], var_to_bounds=bounds(w))
    assert issubclass(error, ValueError)


# SciPy's methods.


def rosenbrock(w):
    return lambda: (scipy.optimize.rosen(w), [scipy.optimize.rosen_der(w)])


@pytest.mark.parametrize(
    ("method", "options", "n", "accuracy"), [row for row in METHODS if row[0] not in NEED_HESSIANS]
)
def test_rosenbrock_in_single_precision(method, options, n, accuracy):
    w = np.zeros(n, np.float32)

    def loss():
        x = w.astype(np.float64)
        return np.float32(scipy.optimize.rosen(x)), [scipy.optimize.rosen_der(x)]

    ScipyOptimizerInterface(loss, [w], method=method, options=options).minimize()
    assert_at_ones(w, accuracy)


@pytest.mark.parametrize("method", NEED_HESSIANS)
def test_second_derivatives_that_are_needed_and_missing_are_an_error(method):
    bowl, hess = Bowl(), 2 * np.eye(7)
    with pytest.raises(CapabilityError, match=f"{method} requires second .* hess or hessp"):
        ScipyOptimizerInterface(bowl, bowl.variables, method=method).minimize()
    assert bowl.calls == 0
    ScipyOptimizerInterface(bowl, bowl.variables, method=method, hess=lambda x: hess).minimize()
    np.testing.assert_allclose(bowl.x(), bowl.target)


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG", "SLSQP", "TNC", "Nelder-Mead"])
def test_the_points_are_those_of_scipy(method):
    theirs, ours = [], []

    def fun(x):
        theirs.append(x.tolist())
        return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a gradient that Nelder-Mead does not use
        expected = scipy.optimize.minimize(fun, [-1.2, 1.0], jac=True, method=method)
    w = np.array([-1.2, 1.0])
    interface = ScipyOptimizerInterface(rosenbrock(w), [w], method=method)
    interface.minimize(fetches=[w], loss_callback=lambda w: ours.append(w.tolist()))
    # A point that SciPy asks for once more is known here.
    assert ours == [x for i, x in enumerate(theirs) if x not in theirs[:i]]
    np.testing.assert_array_equal(w, expected.x)
    assert interface.result_.nfev == len(ours)


def test_callbacks_in_their_order():
    w, seen = np.array([3.0, 4.0]), []
    interface = ScipyOptimizerInterface(lambda: (w @ w, [2 * w]), [w])
    interface.minimize(
        step_callback=lambda x: seen.append(("S", x.shape)),
        loss_callback=lambda: seen.append(("L",)),
    )
    assert "".join(event[0] for event in seen) == "LLSLS"
    assert seen[2] == ("S", (2,))


def test_fetches_are_positional_and_not_for_constraints():
    w, seen = np.array([2.0, 3.0]), []
    interface = ScipyOptimizerInterface(
        lambda: (w @ w, [2 * w]), [w], equalities=[lambda: (w.sum() - 1, [np.ones(2)])]
    )
    interface.minimize(
        fetches=[lambda: w[0], w], loss_callback=lambda *fetched: seen.append(fetched)
    )
    assert len(seen) == interface.result_.nfev
    assert seen[0][0] == 2.0
    assert seen[0][1].tolist() == [2.0, 3.0]
    np.testing.assert_allclose(w, 0.5)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("jac", "comes from the framework"),
        ("callback", "step_callback"),
        ("constraints", "equalities and inequalities"),
        ("bounds", "var_to_bounds"),
        ("args", "reads its data itself"),
    ],
)
def test_what_the_interface_sets_is_an_error(argument, words):
    with pytest.raises(ValueError, match=words):
        ScipyOptimizerInterface(lambda: 0.0, [np.zeros(1)], **{argument: 1})


@pytest.mark.parametrize("given", [{"restart": True}, {"options": {"restart": True}}])
def test_an_option_that_scipy_has_not_is_taken_where_it_is_given(given):
    w = np.array([-1.2, 1.0])
    interface = ScipyOptimizerInterface(rosenbrock(w), [w], method="L-BFGS-B", **given)
    interface.minimize()
    np.testing.assert_allclose(w, 1, atol=1e-4)


@pytest.mark.parametrize(("given", "reached"), [({}, 5e-5), ({"tol": 0.5}, 0.5)])
def test_tolerances_suit_single_precision(given, reached):
    w = np.full(2, 1e4, np.float32)
    interface = ScipyOptimizerInterface(lambda: w @ w, [w], method="Nelder-Mead", **given)
    interface.minimize()
    vertices, _ = interface.result_.final_simplex
    assert interface.result_.success
    assert reached / 100 < np.abs(vertices[1:] - vertices[0]).max() <= reached


def test_unknown_methods_and_options_are_errors_of_the_constructor():
    w = [np.zeros(1)]
    with pytest.raises(InvalidInputError, match="bfgs"):
        ScipyOptimizerInterface(lambda: 0.0, w, method="BFG")
    with pytest.raises(UnknownOptionError, match="maxiter"):
        ScipyOptimizerInterface(lambda: 0.0, w, options={"maxitr": 3})


def test_constraints_without_a_method_take_slsqp():
    w = np.array([3.0, 1.0])
    interface = ScipyOptimizerInterface(
        lambda: (w @ w, [2 * w]),
        [w],
        equalities=[lambda: w[0] - 1],
        inequalities=[lambda: np.stack([w[1] - 2, 5 - w[1]])],
    )
    interface.minimize()
    np.testing.assert_allclose(w, [1.0, 2.0], rtol=1e-6)
    assert "maxcv" in interface.result_


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "COBYLA", "COBYQA"])
def test_constraints_and_bounds_with_each_method_that_takes_them(method):
    w, b = np.array([3.0, 1.0]), np.array(4.0)
    steps = []
    interface = ScipyOptimizerInterface(
        lambda: (w @ w + b**2, [2 * w, 2 * b]),
        [w, b],
        inequalities=[lambda: w - [1.0, 2.0]],
        var_to_bounds=[(b, (0.5, None))],
        method=method,
    )
    interface.minimize(step_callback=steps.append)
    np.testing.assert_allclose([*w, b], [1.0, 2.0, 0.5], atol=1e-3)
    assert steps
    assert all(step.shape == (3,) for step in steps)


@pytest.mark.parametrize("make", ["scipy", "ours"])
def test_what_the_method_cannot_honor_is_an_error_before_anything_is_evaluated(make):
    bowl = Bowl()

    def interface(**given):
        if make == "ours":
            return OptimizerInterface(bowl, bowl.variables, optimizer=optimizers.CG(), **given)
        return ScipyOptimizerInterface(bowl, bowl.variables, method="CG", **given)

    with pytest.raises(CapabilityError, match="CG cannot honor bounds"):
        interface(var_to_bounds=[(bowl.variables[0], (0, None))])
    with pytest.raises(CapabilityError, match="CG cannot honor constraints"):
        interface(equalities=[lambda: 0.0])
    interface(var_to_bounds=[(bowl.variables[0], (None, np.inf))])  # none at all
    assert bowl.calls == 0


@pytest.mark.parametrize(
    "method",
    ["L-BFGS-B", "SLSQP", "Nelder-Mead", "trust-constr", "COBYLA", "COBYQA", "TNC", "Newton-CG"],
)
@pytest.mark.parametrize("which", ["step_callback", "loss_callback"])
def test_stop_iteration_ends_cleanly_on_the_best_point(method, which):
    w, seen, steps = np.array([-1.2, 1.0]), [], []

    def callback(*args):
        steps.append(args)
        if len(steps) == 3:
            raise StopIteration

    def loss():
        value, gradient = rosenbrock(w)()
        seen.append((value, w.tolist()))
        return value, gradient

    interface = ScipyOptimizerInterface(loss, [w], method=method)
    interface.minimize(**{which: callback})
    assert len(steps) == 3
    assert interface.result_.stop is StopReason.CALLBACK
    assert not interface.result_.success
    assert (interface.result_.fun, w.tolist()) == min(seen)


def test_stop_iteration_through_a_solver_that_knows_nothing_of_it():
    w = np.array([4.0])

    class Descent(ExternalOptimizerInterface):
        def _minimize(self, initial_val, loss_grad_func, step_callback, **given):
            x = initial_val
            while True:
                x = x - 0.1 * loss_grad_func(x)[1]
                step_callback(x)

    def stop(x):
        if x[0] < 3:
            raise StopIteration

    Descent(lambda: (w @ w, [2 * w]), [w]).minimize(step_callback=stop)
    np.testing.assert_allclose(w, 4.0 * 0.8)  # the last point evaluated


@pytest.mark.parametrize("call", range(1, 8))
def test_an_exception_at_any_evaluation_leaves_the_variables_as_they_were(call):
    bowl = Bowl()
    bowl.variables[1][:] = [5.0, 0.1]

    def loss():
        answer = bowl()
        if bowl.calls == call:
            raise ZeroDivisionError
        return answer

    before = bowl.x().copy()
    interface = ScipyOptimizerInterface(
        loss, bowl.variables, inequalities=[lambda: bowl.variables[0]], options={"maxiter": 20}
    )
    if call <= 3:
        with pytest.raises(ZeroDivisionError):
            interface.minimize()
        np.testing.assert_array_equal(bowl.x(), before)
    with pytest.raises(KeyError):
        interface.minimize(loss_callback=lambda: {}["key"])
    with pytest.raises(KeyError):
        interface.minimize(step_callback=lambda x: {}["key"])
    np.testing.assert_array_equal(bowl.x(), before)


def test_an_exception_of_a_constraint_leaves_the_variables_as_they_were():
    w = np.array([3.0])
    interface = ScipyOptimizerInterface(
        lambda: (w @ w, [2 * w]), [w], equalities=[lambda: 1 / (w - 1)]
    )
    with pytest.raises(RuntimeError):
        interface.minimize(loss_callback=lambda: exec("raise RuntimeError"))
    assert w.tolist() == [3.0]


def test_repeated_calls_go_on_from_the_variables():
    w = np.array([-1.2, 1.0])
    interface = ScipyOptimizerInterface(rosenbrock(w), [w], options={"maxiter": 5})
    interface.minimize()
    first = interface.result_
    interface.minimize()
    assert interface.result_.fun < first.fun
    np.testing.assert_array_equal(w, interface.result_.x)


def test_without_gradients_differences_are_taken_inside_the_bounds():
    w = np.array([1.0, 2.0])

    def loss():
        assert (w >= 0.5).all()
        return np.sqrt(w - 0.5).sum()

    interface = ScipyOptimizerInterface(loss, [w], var_to_bounds=[(w, (0.5, None))])
    interface.minimize()
    np.testing.assert_allclose(w, 0.5)


def test_a_summary_is_logged(caplog):
    w = np.array([3.0])
    with caplog.at_level(logging.INFO, "optimizers.external"):
        ScipyOptimizerInterface(lambda: (w @ w, [2 * w]), [w]).minimize()
    (record,) = caplog.records
    assert re.search("Objective function value: 0.0\n.*iterations: 2\n", record.getMessage())


def test_nan_goes_to_the_method_as_in_scipy_unless_said_otherwise():
    w = np.array([3.0])

    def loss():
        return (np.nan if w[0] < 2.9 else w @ w), [2 * w]

    interface = ScipyOptimizerInterface(loss, [w])
    with pytest.warns(OptimizerWarning, match="ended where the loss is nan"):
        interface.minimize()
    assert not interface.result_.success
    assert w.tolist() == [3.0]
    with pytest.raises(optimizers.NonFiniteValueError):
        ScipyOptimizerInterface(loss, [w], on_failure="raise").minimize()


def test_what_belongs_to_graph_mode_is_an_error():
    interface = ScipyOptimizerInterface(lambda: 0.0, [np.zeros(1)])
    for given in ({"session": 1}, {"feed_dict": {1: 2}}, {"options": 3}):
        with pytest.raises(InvalidInputError, match="graph mode"):
            interface.minimize(**given)
    interface.minimize(feed_dict={})


@pytest.mark.parametrize(
    ("loss", "variables", "words"),
    [
        (lambda: 0.0, None, "expected a tensor|no variable"),
        (3.0, None, "expected a tensor"),
        (3.0, [np.zeros(1)], "expected a function"),
        (lambda: 0.0, [np.zeros(1, int)], "array of floats"),
        (lambda: 0.0, [np.ma.zeros(1)], "without a mask"),
        (lambda: 0.0, [3.0, np.zeros(1)], "var_list\\[0\\] is 3.0"),
    ],
)
def test_a_loss_or_variables_of_no_framework_are_errors(loss, variables, words):
    with pytest.raises(InvalidInputError, match=words):
        ScipyOptimizerInterface(loss, variables)


@pytest.mark.parametrize(
    "answer", [np.ma.masked, (np.ma.masked, [np.zeros(1)]), (1.0, [np.ma.masked_less([0.0], 1)])]
)
def test_a_masked_answer_is_no_value(answer):
    w = np.ones(1)
    with pytest.raises(InvalidValueError, match="masked"):
        ScipyOptimizerInterface(lambda: answer, [w]).minimize()
    assert w.tolist() == [1.0]


def test_a_loss_that_is_no_scalar_is_an_error():
    w = np.zeros(2)
    with pytest.raises(InvalidInputError, match="sum it"):
        ScipyOptimizerInterface(lambda: w, [w]).minimize()


# Any optimizer.


def test_any_optimizer_with_its_settings_and_callbacks():
    w, history, steps = np.array([-1.2, 1.0]), History(), []
    interface = OptimizerInterface(
        rosenbrock(w), [w], optimizer=LBFGSB(callback=history), maxfun=20
    )
    interface.minimize(step_callback=steps.append)
    assert interface.result_.nfev == 20
    assert interface.result_.stop is StopReason.MAXFUN
    np.testing.assert_array_equal(w, interface.result_.best.x)
    np.testing.assert_array_equal(steps, history.x)


def test_an_optimizer_without_gradient():
    w = np.array([3.0])
    OptimizerInterface(lambda: (w @ w, [2 * w]), [w], optimizer=COBYLA(tol=1e-8)).minimize()
    np.testing.assert_allclose(w, 0.0, atol=1e-6)


def test_several_points_at_a_time_are_an_error():
    w = [np.zeros(1)]
    for optimizer, settings in (
        (LBFGSB(workers=2), {}),
        (LBFGSB(max_evals_grouped=3), {}),
        (LBFGSB(), {"workers": 2}),
    ):
        with pytest.raises(OptionError, match="one point at a time"):
            OptimizerInterface(lambda: 0.0, w, optimizer=optimizer, **settings)


def test_what_is_no_optimizer_is_an_error():
    with pytest.raises(InvalidInputError, match="expected an Optimizer"):
        OptimizerInterface(lambda: 0.0, [np.zeros(1)], optimizer="TNC")


def test_no_framework_is_imported_before_it_is_used():
    code = (
        "import sys, numpy as np; from optimizers.external import ScipyOptimizerInterface as S\n"
        "w = np.ones(1); S(lambda: (w @ w, [2 * w]), [w]).minimize(); assert not w\n"
        "print(*({'tensorflow', 'keras', 'torch', 'jax'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    "method", ["L-BFGS-B", "TNC", "CG", "SLSQP", "Nelder-Mead", "Powell", "COBYLA", "trust-constr"]
)
@pytest.mark.parametrize("stop_at", [1, 2, 5])
def test_what_is_asked_after_a_stop_is_not_counted(method, stop_at):
    w, calls = np.array([3.0, 4.0, 1.0]), []

    def stop():
        calls.append(w.copy())
        if len(calls) == stop_at:
            raise StopIteration

    def loss():
        return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2 + w[2] ** 2, [
            np.array(
                [
                    -400 * w[0] * (w[1] - w[0] ** 2) - 2 * (1 - w[0]),
                    200 * (w[1] - w[0] ** 2),
                    2 * w[2],
                ]
            )
        ]

    interface = ScipyOptimizerInterface(loss, [w], method=method)
    interface.minimize(loss_callback=stop)
    assert interface.result_.stop is StopReason.CALLBACK
    assert interface.result_.nfev == len(calls) == stop_at
    takes_gradient = method in ("L-BFGS-B", "TNC", "CG", "SLSQP", "trust-constr")
    assert interface.result_.njev == takes_gradient * stop_at


@pytest.mark.parametrize("method", ["L-BFGS-B", "TNC", "SLSQP", "trust-constr", "Nelder-Mead"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("side", [1, -1])
def test_variables_of_few_digits_stay_inside_bounds_that_they_cannot_hold(method, dtype, side):
    low = 0.7 if side > 0 else 0.3  # one type rounds it up, another down
    w, other = np.array([side * 2.0, side * 2.0], dtype), np.array(1.0)
    pair = (low, None) if side > 0 else (None, -low)
    seen = []

    def loss():
        seen.append(side * float(w[0]))
        return float(w @ w + other**2), [2 * w, 2 * other]

    kwargs = {"var_to_bounds": [(w, pair)], "method": method}
    interface = ScipyOptimizerInterface(loss, [w, other], **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interface.minimize()
        interface.minimize()
    assert min(seen) >= low
    assert side * float(w[0]) >= low
    np.testing.assert_allclose(float(w[0]), side * low, rtol=2e-3)


def test_a_start_on_a_bound_that_its_type_cannot_hold_is_no_start_outside():
    w = np.array([0.7], np.float32)
    assert float(w[0]) < 0.7
    interface = ScipyOptimizerInterface(
        lambda: (w @ w, [2 * w]), [w], var_to_bounds=[(w, (0.7, 1))]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interface.minimize()
    assert float(w[0]) >= 0.7


@pytest.mark.parametrize("pair", [(0.7, 0.7), (0.7, 0.7 + 1e-12), (-0.7, -0.7)])
def test_bounds_that_fix_a_variable_still_do(pair):
    lower, upper = pack_bounds(Packing([(2,)], [np.float32]), [pair])
    assert lower.tolist() == upper.tolist() == [float(np.float32(pair[0]))] * 2


def test_bounds_beyond_what_a_type_holds():
    lower, upper = pack_bounds(Packing([(2,)], [np.float32]), [(-1e300, [1e300, None])])
    most = float(np.finfo(np.float32).max)
    assert lower.tolist() == [-most] * 2
    assert upper.tolist() == [most, np.inf]


def test_functions_without_a_return():
    w = np.ones(2)
    with pytest.raises(NoValueError, match="The loss returned None: is a return missing"):
        ScipyOptimizerInterface(lambda: None, [w]).minimize()
    with pytest.raises(NoValueError, match="A constraint returned None"):
        ScipyOptimizerInterface(lambda: w @ w, [w], equalities=[lambda: None]).minimize()


@pytest.mark.parametrize("name", ["timeout", "journal", "maxfun", "seed", "callback", "workers"])
def test_settings_of_the_run_are_the_constructors(name):
    w, calls = np.ones(2), []
    interface = OptimizerInterface(lambda: calls.append(1), [w], optimizer=LBFGSB())
    words = f"{name} is a setting of the run: pass it to the interface's constructor"
    with pytest.raises(InvalidInputError, match=words):
        interface.minimize(**{name: None})
    with pytest.raises(InvalidInputError, match="method is the interface's own: pass it to"):
        interface.minimize(method="BFGS")
    assert not calls


@pytest.mark.parametrize("method", ["LBFGS", "lbfgs", "L-BFGS", "l_bfgs", "LBFGSB"])
def test_the_method_that_is_meant(method):
    w = np.ones(2)
    with pytest.raises(InvalidInputError, match="Did you mean 'l-bfgs-b'"):
        ScipyOptimizerInterface(lambda: w @ w, [w], method=method)


def test_messages_name_the_method(capsys):
    w = np.ones(2)
    with pytest.raises(UnknownOptionError, match=r"^Nelder-Mead has no option 'xatl'"):
        ScipyOptimizerInterface(lambda: w @ w, [w], method="Nelder-Mead", options={"xatl": 1})
    ScipyOptimizerInterface(lambda: w @ w, [w], options={"disp": True}).minimize()
    assert capsys.readouterr().out.startswith("L-BFGS-B: ")


def test_one_constraint_and_one_fetch_need_no_list():
    w, seen = np.array([3.0, 4.0]), []
    interface = ScipyOptimizerInterface(lambda: (w @ w, [2 * w]), [w], equalities=lambda: w[0] - 1)
    interface.minimize(fetches=w, loss_callback=seen.append)
    np.testing.assert_allclose(w, [1, 0], atol=1e-6)
    assert seen[0].tolist() == [3.0, 4.0]


def test_a_variable_in_the_place_of_a_list():
    w = np.ones(2)
    with pytest.raises(InvalidInputError, match=r"A single variable, array.*\[variable\]"):
        ScipyOptimizerInterface(lambda: w @ w, w)


def test_bounds_without_variables_are_an_error_of_form():
    w = np.ones(2)
    for bounds in ([(0, 1)], [(2.0, None)], [(None, 2.0)]):
        with pytest.raises(InvalidInputError, match=r"or a list of \(variable, \(low, high\)\)"):
            ScipyOptimizerInterface(lambda: w @ w, [w], var_to_bounds=bounds)


def test_a_gradient_that_is_nan_is_said_to_be_that_of_the_framework():
    w = np.zeros(2)
    interface = OptimizerInterface(lambda: (0.0, [w * np.nan]), [w], optimizer=LBFGSB())
    with pytest.raises(NonFiniteValueError) as caught:
        interface.minimize()
    assert any("the framework computed" in note for note in caught.value.__notes__)
