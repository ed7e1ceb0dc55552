import functools
import io

import numpy as np
import pytest

from optimizers import (
    COBYLA,
    LBFGSB,
    Best,
    History,
    InvalidInputError,
    OptimizerResult,
    Param,
    StopReason,
    Table,
    multistart,
    race,
)
from optimizers.run.observers import as_observer


def state(**entries):
    known = {"x": np.array([1.0, 2.0]), "fun": 5.0, "jac": None, "nit": 1, "nfev": 3, "best": None}
    return OptimizerResult(**{**known, **entries})


class Counting:
    def __init__(self):
        self.seen = []

    def __call__(self, intermediate_result):
        self.seen.append(intermediate_result)

    def with_point(self, xk):
        self.seen.append(xk)


def test_a_parameter_called_intermediate_result_gets_the_state():
    seen = []

    def by_name(intermediate_result):
        seen.append(intermediate_result)

    def by_keyword(*, intermediate_result):
        seen.append(intermediate_result)

    def with_default(intermediate_result=None):
        seen.append(intermediate_result)

    counting, given = Counting(), state()
    for callback in (by_name, by_keyword, with_default, counting):
        assert as_observer(callback)(given) is False
    assert all(one is given for one in seen + counting.seen)
    assert (len(seen), len(counting.seen)) == (3, 1)


def test_any_other_single_parameter_gets_the_point():
    seen = []

    def with_further_default(x, scale=1):
        seen.append(x)

    def with_any(*args):
        seen.append(*args)

    counting, given = Counting(), state()
    callbacks = [
        seen.append,  # a built-in
        lambda xk: seen.append(xk),
        with_further_default,
        with_any,
        functools.partial(lambda scale, x: seen.append(x), 1),
        counting.with_point,
    ]
    for callback in callbacks:
        assert as_observer(callback)(given) is False
    assert len(seen) == 5
    assert all(one is given.x for one in seen + counting.seen)


def test_two_parameters_get_the_point_and_its_value():
    seen, given = [], state()
    assert as_observer(lambda weights, loss: seen.append((weights, loss)))(given) is False
    assert as_observer(lambda xk, fun: fun == 5.0)(given) is True
    assert as_observer(lambda x, f: seen.append((x, f)))(state(x=given.x, fun=None)) is False
    assert all(x is given.x for x, _ in seen)
    np.testing.assert_array_equal([value for _, value in seen], [5.0, np.nan])


def test_builtins_without_a_signature_get_the_point():
    assert as_observer(print)(state(x="shown")) is False
    assert as_observer(max)(state()) is False


@pytest.mark.parametrize("answer", [True, np.True_, np.bool_(True)], ids=repr)
def test_returning_true_stops(answer):
    assert as_observer(lambda xk: answer)(state()) is True
    assert as_observer(lambda intermediate_result: answer)(state()) is True


@pytest.mark.parametrize(
    "answer", [None, False, np.False_, 1, 1.0, "stop", [1], np.ones(3), np.ones(1, bool)], ids=repr
)
def test_returning_anything_else_goes_on(answer):
    assert as_observer(lambda xk: answer)(state()) is False


def test_raising_stop_iteration_stops():
    def callback(xk):
        raise StopIteration

    assert as_observer(callback)(state()) is True


def test_other_exceptions_are_the_callers():
    def callback(xk):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        as_observer(callback)(state())


@pytest.mark.parametrize("callback", [3, "print", [3], [print, "print"]], ids=repr)
def test_what_cannot_be_called_is_an_error(callback):
    with pytest.raises(InvalidInputError, match=r"expected callback\(xk\)"):
        as_observer(callback)


@pytest.mark.parametrize(
    "callback",
    [lambda: None, lambda x, f, step: None, lambda result, *, x: None, lambda *, x: None],
    ids=["none", "three", "state and keyword", "another keyword"],
)
def test_a_wrong_signature_is_an_error_that_shows_it(callback):
    with pytest.raises(InvalidInputError, match=r"parameters \(.*expected callback\(xk\)"):
        as_observer(callback)


def test_a_wrong_signature_is_an_error_before_the_first_evaluation():
    calls = []
    with pytest.raises(InvalidInputError, match="callback"):
        LBFGSB().minimize(calls.append, [1.0], callback=lambda x, f, step: None)
    with pytest.raises(InvalidInputError, match="callback"):
        LBFGSB(callback=lambda: None)
    assert calls == []


def test_both_conventions_see_each_iteration_of_a_run():
    points, states = [], Counting()
    for callback in (points.append, states):
        result = LBFGSB().minimize(lambda x: float(x @ x), [3.0, 4.0], callback=callback)
    assert len(points) == len(states.seen) == result.nit
    np.testing.assert_array_equal(points, [seen.x for seen in states.seen])
    assert [seen.nit for seen in states.seen] == list(range(1, result.nit + 1))
    assert states.seen[-1].fun == result.fun
    np.testing.assert_array_equal(points[-1], result.x)


def test_a_callback_that_spoils_what_it_sees_changes_nothing():
    def spoil(intermediate_result):
        intermediate_result.x[:] = 99.0
        intermediate_result.best.x[:] = 99.0
        if intermediate_result.jac is not None:
            intermediate_result.jac[:] = 99.0

    def rosenbrock(x):
        return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)

    left = LBFGSB().minimize(rosenbrock, [-1.2, 1.0])
    right = LBFGSB().minimize(rosenbrock, [-1.2, 1.0], callback=spoil)
    np.testing.assert_array_equal(left.x, right.x)
    np.testing.assert_array_equal(left.best.x, right.best.x)
    assert (left.fun, left.nfev) == (right.fun, right.nfev)


def test_the_table_has_one_head_and_a_line_for_each_iteration():
    out = io.StringIO()
    table = Table(file=out)
    table(state())
    table(state(nit=2, nfev=12, fun=0.1, jac=np.array([0.5, -2.0]), best=Best(np.zeros(2), 0.0625)))
    table(state(nit=3, fun=None))
    table(state(nit=4, fun=0.25, is_estimate=True))
    head, *lines = out.getvalue().splitlines()
    assert head.split() == ["iter", "evals", "f(x)", "|grad|", "best", "f(x)"]
    assert [line.split() for line in lines] == [
        ["1", "3", "5", "-", "-"],
        ["2", "12", "0.1", "2.000e+00", "0.0625"],
        ["3", "3", "-", "-", "-"],
        ["4", "3", "~0.25", "-", "-"],
    ]
    assert {len(line) for line in lines} == {len(head)}


def test_the_table_goes_to_standard_output_as_it_is_when_the_line_is_printed(capsys):
    table = Table()
    table(state())
    assert capsys.readouterr().out.count("\n") == 2


def test_the_table_can_leave_out_iterations():
    out = io.StringIO()
    table = Table(every=3, file=out)
    for nit in range(1, 8):
        table(state(nit=nit))
    assert [line.split()[0] for line in out.getvalue().splitlines()[1:]] == ["3", "6"]


@pytest.mark.parametrize(
    "x0", [{"a": 3.0, "b": np.ones(2)}, np.ones((2, 2))], ids=["dict", "array"]
)
def test_the_table_shows_gradients_in_any_structure(x0):
    def fun(x):
        values = np.concatenate([np.ravel(x[k]) for k in x]) if isinstance(x, dict) else x.ravel()
        return float(values @ values)

    out, history = io.StringIO(), History()
    LBFGSB().minimize(fun, x0, callback=[Table(file=out), history])
    (first, *_) = out.getvalue().splitlines()[1:]
    jac = history.states[0].jac
    parts = jac.values() if isinstance(jac, dict) else [jac]
    largest = max(float(np.abs(part).max()) for part in parts)
    assert first.split()[3] == f"{largest:.3e}"


RUNS = {
    "minimize": lambda fun, x0, told: LBFGSB().minimize(fun, x0, callback=told),
    "minimize_many": lambda fun, x0, told: LBFGSB().minimize_many(fun, [x0, x0], callback=told),
    "multistart": lambda fun, x0, told: multistart(fun, None, 300, x0=x0, callback=told),
    "race": lambda fun, x0, told: race([LBFGSB(), COBYLA()], fun, x0, callback=told),
}


@pytest.mark.parametrize("how", RUNS)
def test_evaluations_and_iterates_are_in_the_same_units(how):
    x0 = {
        "a": Param(0.3, -2, 2),
        "fixed": Param(1.0, fixed=True),
        "b": Param(1.5, 0.1, 9, transform="log"),
    }
    seen, history = [], History()

    def fun(p):
        seen.append([p["a"], p["b"]])
        return (p["a"] - 1) ** 2 + (p["b"] - 3) ** 2

    RUNS[how](fun, x0, history)
    np.testing.assert_allclose([e.x for e in history.evaluations], seen)


@pytest.mark.parametrize("every", [0, -1])
def test_a_table_of_no_iteration_is_an_error_at_once(every):
    with pytest.raises(InvalidInputError, match="every"):
        Table(every=every)


def test_a_table_is_a_callback_that_does_not_stop_the_run():
    out = io.StringIO()
    result = LBFGSB().minimize(lambda x: float(x @ x), [3.0, 4.0], callback=Table(file=out))
    assert result.stop is StopReason.GRADIENT
    assert len(out.getvalue().splitlines()) == result.nit + 1
