"""Ask and tell: the same iterates as minimize, for every class; no thread is left."""

import asyncio
import contextvars
import gc
import pickle
import threading
import time

import numpy as np
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from scipy.optimize import rosen, rosen_der, rosen_hess

from optimizers import (
    ADAM,
    BFGS,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    SPSA,
    TNC,
    AskData,
    Differences,
    Dogleg,
    InvalidInputError,
    InvalidValueError,
    NonFiniteValueError,
    Optimizer,
    OptimizerResult,
    OptionError,
    StepperError,
    StopReason,
    SupportLevel,
    TellData,
    vectorized,
)
from optimizers.asktell import drivers
from tests.making import make, of_values

X0 = [-0.7, 0.9, 0.4]
BOUNDS = [(-1.0, 2.0), (None, 0.8), (0.0, None)]


def told(stepper, fun=rosen, jac=rosen_der):
    """Answer a stepper to its end; return the points it asked."""
    points = []
    for ask in stepper:
        points += list(ask.x_fun)
        gradients = None if ask.x_jac is None else [jac(x) for x in ask.x_jac]
        stepper.tell(ask, TellData([fun(x) for x in ask.x_fun], gradients))
    return points


def same_results(left: OptimizerResult, right: OptimizerResult) -> None:
    assert np.array_equal(left.x, right.x)
    assert left.fun == right.fun
    for name in ("nfev", "njev", "nit", "success", "status", "message", "stop"):
        assert left[name] == right[name], name
    assert (left.jac is None) == (right.jac is None)
    assert left.jac is None or np.array_equal(left.jac, right.jac)


def recorded(points):
    def fun(x):
        points.append(np.array(x))
        return rosen(x)

    return fun


def hessian(cls: type[Optimizer]) -> dict:
    levels = make(cls).get_support_level()
    wants = levels.get("hessian", SupportLevel.not_supported) == SupportLevel.required
    return {"hess": rosen_hess} if wants else {}


@pytest.fixture(params=["thread", "greenlet"])
def kind(request, monkeypatch):
    """Both ways of putting a solver aside; the second where greenlet is installed."""
    if request.param == "greenlet":
        pytest.importorskip("greenlet", reason="needs the extra: greenlet")
    else:
        monkeypatch.setattr(drivers, "find_spec", lambda name: None)
    return request.param


#: SciPy's are slow, in Python: asked in one way each, and not to their end.
SLOW: dict[str, dict] = {"COBYLA": {"maxiter": 100}, "COBYQA": {"maxiter": 50}}


def ways(cls: type[Optimizer]) -> list[str]:
    """Return the ways in which a class can be asked."""
    if cls.__name__ in SLOW:
        return ["bounds"]
    levels = make(cls).get_support_level()
    found = ["values", "budget"]
    found += ["gradients"] if levels["gradient"] >= SupportLevel.supported else []
    return found + (["bounds"] if levels["bounds"] >= SupportLevel.supported else [])


@pytest.mark.parametrize(
    ("cls", "way"),
    [(cls, way) for cls in of_values().values() for way in ways(cls)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_asking_and_telling_gives_the_iterates_of_minimize(cls, way, kind):
    optimizer = make(cls, **SLOW.get(cls.__name__, {}))
    if way == "budget":
        optimizer = make(cls, maxfun=37)
    is_given = way == "gradients" or optimizer.is_gradient_required
    bounds = BOUNDS if way == "bounds" else None
    x0 = [-0.7, 0.5, 0.4]
    points: list = []
    iterates: dict[str, list] = {"minimize": [], "stepper": []}
    fun = recorded(points)
    both = (lambda x: (fun(x), rosen_der(x))) if is_given else fun
    jac = True if is_given else None
    keep = lambda name: lambda xk: iterates[name].append(np.array(xk))  # noqa: E731  # short
    direct = optimizer.minimize(both, x0, jac, bounds, callback=keep("minimize"), **hessian(cls))
    with optimizer.stepper(x0, jac, bounds, callback=keep("stepper"), **hessian(cls)) as stepper:
        asked = told(stepper)
        result = stepper.result()
    assert result.nfev == len(asked)
    if not is_given:
        # With one call a wave, as here, some methods take values and gradients together that they
        # take one by one where points are evaluated one by one: more points, fewer waves.
        direct = optimizer.minimize(
            vectorized(lambda xs: [rosen(x) for x in xs]), x0, jac, bounds, **hessian(cls)
        )
    same_results(result, direct)
    if way != "budget":
        assert np.array_equal(iterates["stepper"], iterates["minimize"])
        assert {x.tobytes() for x in asked} >= {x.tobytes() for x in points}


# One of each kind: SciPy's kernel, its Python with values, gradients or a Hessian, and a flow. The
# conformance suite awaits every class.
@pytest.mark.parametrize("cls", [LBFGSB, TNC, NELDER_MEAD, BFGS, Dogleg, SPSA, ADAM])
def test_awaiting_gives_the_iterates_of_minimize(cls):
    optimizer = make(cls)
    is_given = optimizer.is_gradient_required
    jac = True if is_given else None

    async def awaited(x):
        await asyncio.sleep(0)
        return (rosen(x), rosen_der(x)) if is_given else rosen(x)

    seen, direct = [], []
    both = (lambda x: (rosen(x), rosen_der(x))) if is_given else rosen
    keep = {"callback": lambda xk: direct.append(np.array(xk))}
    expected = optimizer.minimize(both, X0, jac, **keep, **hessian(cls))
    keep = {"callback": lambda xk: seen.append(np.array(xk))}
    result = asyncio.run(optimizer.minimize_async(awaited, X0, jac, **keep, **hessian(cls)))
    assert np.array_equal(seen, direct)
    assert np.array_equal(result.x, expected.x)
    assert result.message == expected.message


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs", Differences("3-point", step=1e-3)])
def test_a_scheme_is_expanded_into_one_question_a_point(scheme):
    def fun(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    direct = LBFGSB().minimize(fun, X0, scheme)
    stepper = LBFGSB().stepper(X0, scheme)
    told(stepper, fun)
    same_results(stepper.result(), direct)


def test_a_gradient_and_its_value_are_one_question():
    stepper = TNC().stepper(X0, jac="2-point")
    ask = stepper.ask()
    assert ask.x_fun.shape == (4, 3)
    assert ask.x_jac is None
    stepper = TNC().stepper(X0, jac=True)
    ask = stepper.ask()
    assert ask.x_fun.shape == ask.x_jac.shape == (1, 3)


def test_asking_twice_gives_the_same_question():
    stepper = BFGS().stepper(X0)
    first = stepper.ask()
    assert stepper.ask() is first
    stepper.tell(first, TellData([rosen(first.x_fun[2])], rows=[2]))
    assert stepper.ask() is first
    stepper.close()


def test_parts_may_come_in_any_order():
    stepper = LBFGSB().stepper(X0)
    for ask in stepper:
        for row in reversed(range(len(ask.x_fun))):
            stepper.tell(ask, TellData(rosen(ask.x_fun[row]), rows=[row]))
    same_results(stepper.result(), LBFGSB().minimize(rosen, X0))


def test_values_and_gradients_may_come_apart():
    stepper = LBFGSB().stepper(X0, jac=True)
    for ask in stepper:
        stepper.tell(ask, TellData(eval_jac=rosen_der(ask.x_jac[0])))
        stepper.tell(ask, TellData(rosen(ask.x_fun[0])))
    same_results(stepper.result(), LBFGSB().minimize(lambda x: (rosen(x), rosen_der(x)), X0, True))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (TellData([1.0, 2.0]), InvalidValueError, "answer has 2 values.*expected 4: one"),
        (TellData([1.0, 2.0], rows=[0]), InvalidValueError, "answer has 2 values.*expected 1: one"),
        (TellData([1.0], rows=[4]), InvalidInputError, "from 0 to 3"),
        (TellData([1.0, 1.0], rows=[1, 1]), InvalidInputError, "different rows"),
        (TellData([1j] * 4), InvalidValueError, "complex"),
        (TellData(), InvalidInputError, "neither eval_fun nor eval_jac"),
        (TellData([1.0] * 4, np.ones((4, 3))), InvalidInputError, "jac=True"),
        (None, InvalidInputError, "neither eval_fun nor eval_jac"),
        ([1.0, 2.0], InvalidValueError, "answer has 2 values.*expected 4: one"),
        ({"fun": 1.0}, InvalidValueError, "expected real numbers"),
    ],
)
def test_an_answer_that_cannot_be_used_is_not_taken(data, error, words):
    with LBFGSB().stepper(X0) as stepper:
        ask = stepper.ask()
        with pytest.raises(error, match=words):
            stepper.tell(ask, data)
        assert stepper.ask() is ask
        stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
        assert stepper.state.nfev == 4


def test_values_may_be_told_alone():
    stepper = LBFGSB().stepper(X0)
    for ask in stepper:
        stepper.tell(ask, [rosen(x) for x in ask.x_fun])
    same_results(stepper.result(), LBFGSB().minimize(rosen, X0))


def test_a_row_is_told_once():
    with LBFGSB().stepper(X0) as stepper:
        ask = stepper.ask()
        stepper.tell(ask, TellData(1.0, rows=[1]))
        with pytest.raises(InvalidInputError, match="row 1 of question 0 was told before"):
            stepper.tell(ask, TellData(1.0, rows=[1]))


def test_a_question_of_another_stepper_is_refused():
    one, other = (LBFGSB().stepper(start) for start in ([1.0, 2.0], [3.0, 2.0]))
    ask = one.ask()
    with pytest.raises(InvalidInputError, match="it is another stepper's"):
        other.tell(other.ask() and ask, [1.0] * 3)
    ask.x_fun[:] = 0.0  # the caller's own array
    one.tell(ask, [1.0] * 3)
    named = LBFGSB().stepper({"a": 1.0})
    with pytest.raises(InvalidInputError, match="it is another stepper's"):
        other.tell(named.ask(), [1.0] * 3)
    twin = pickle.loads(pickle.dumps(other))
    assert twin.ask() is not None
    twin.tell(pickle.loads(pickle.dumps(other.ask())), [1.0] * 3)
    other.tell(AskData(other.ask().x_fun, id=0), [1.0] * 3)  # one that the caller stored
    assert other.state.nfev == twin.state.nfev == 3


def test_an_unknown_question_is_refused():
    with LBFGSB().stepper(X0) as stepper:
        ask = stepper.ask()
        with pytest.raises(InvalidInputError, match="id 5, but the one with id 0"):
            stepper.tell(AskData(ask.x_fun, None, 5), TellData([1.0] * 4))
        stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
        with pytest.raises(InvalidInputError, match="id 0, but the one with id 1"):
            stepper.tell(ask, TellData([1.0] * 4))


@pytest.mark.parametrize("gradient", [np.ones(2), np.ones((2, 3)), "no"])
def test_a_gradient_of_the_wrong_shape_is_refused(gradient):
    stepper = LBFGSB().stepper(X0, jac=True)
    with pytest.raises((InvalidValueError, InvalidInputError)):
        stepper.tell(stepper.ask(), TellData(1.0, gradient))


@pytest.mark.parametrize("cls", [LBFGSB, TNC, NELDER_MEAD, SLSQP])
@pytest.mark.parametrize("failure", [ZeroDivisionError("no"), float("nan")])
def test_a_failure_ends_the_run_and_the_result_raises_it(cls, failure, kind):
    stepper = make(cls).stepper(X0)
    for ask in stepper:
        if stepper.state.nfev < 8:
            stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
        elif isinstance(failure, float):
            stepper.tell(ask, TellData([failure] * len(ask.x_fun)))
        else:
            stepper.tell(ask, failure)
    with pytest.raises((ZeroDivisionError, NonFiniteValueError)) as caught:
        stepper.result()
    assert caught.value.optimizer_result.best.fun == stepper.best.fun


@pytest.mark.parametrize("cls", [LBFGSB, BFGS, NELDER_MEAD, SLSQP])
def test_a_failure_is_rejected_where_that_is_asked_for(cls, kind):
    def at(calls):
        def fun(x):
            calls.append(1)
            if len(calls) == 14:
                raise ZeroDivisionError
            return rosen(x)

        return fun

    optimizer = make(cls, on_failure="reject", maxfun=3000)
    stepper, fun = optimizer.stepper(X0), at([])
    for ask in stepper:
        for row, x in enumerate(ask.x_fun):
            try:
                stepper.tell(ask, TellData(fun(x), rows=[row]))
            except ZeroDivisionError:
                stepper.tell(ask, TellData(float("nan"), rows=[row]))
    result = stepper.result()
    assert result.success
    assert result.fun == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("cls", of_values().values(), ids=lambda cls: cls.__name__)
def test_closing_keeps_what_was_told(cls, kind):
    optimizer = make(cls)
    stepper = optimizer.stepper(
        X0, True if optimizer.is_gradient_required else None, **hessian(cls)
    )
    for _ in range(3):
        ask = stepper.ask()
        gradients = None if ask.x_jac is None else [rosen_der(x) for x in ask.x_jac]
        stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun], gradients))
    nfev = stepper.state.nfev
    ask = stepper.ask()
    gradients = None if ask.x_jac is None else [rosen_der(ask.x_jac[0])]
    stepper.tell(ask, TellData(-7.0, gradients, rows=[0])) if len(ask.x_fun) > 1 else None
    stepper.close()
    result = stepper.result()
    assert stepper.done
    assert result.stop is StopReason.CLOSED
    assert not result.success
    assert result.nfev == nfev + (len(ask.x_fun) > 1)
    if len(ask.x_fun) > 1:
        assert result.fun == -7.0


@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize("cls", of_values().values(), ids=lambda cls: cls.__name__)
def test_what_is_told_when_the_time_is_up_counts(cls, late):
    optimizer, told = make(cls), []
    gradients = True if optimizer.is_gradient_required else None
    stepper = optimizer.stepper(X0, gradients, timeout=0.05, **hessian(cls))
    for ask in stepper:
        if ask.id == late:
            time.sleep(0.06)
        values = [rosen(x) for x in ask.x_fun]
        told += values
        jac = None if ask.x_jac is None else [rosen_der(x) for x in ask.x_jac]
        stepper.tell(ask, TellData(values, jac))
    result = stepper.result()
    assert result.stop is StopReason.TIMEOUT
    assert result.nfev == len(told)
    assert result.fun == min(told, default=None)
    assert result.best is None or result.best.fun == result.fun


@pytest.mark.parametrize("cls", [LBFGSB, TNC, SLSQP])
@pytest.mark.parametrize("journal", [False, True])
def test_closing_keeps_a_value_whose_gradient_is_missing(cls, journal, kind, tmp_path):
    stepper = make(cls).stepper(X0, True, journal=tmp_path / "run.jsonl" if journal else None)
    ask = stepper.ask()
    stepper.tell(ask, TellData(rosen(ask.x_fun[0]), rosen_der(ask.x_jac[0])))
    ask = stepper.ask()
    stepper.tell(ask, TellData(-7.0))
    stepper.close()
    result = stepper.result()
    assert (result.nfev, result.njev, result.fun) == (2, 1, -7.0)
    assert np.array_equal(result.x, ask.x_fun[0])


def test_a_stepper_that_was_never_asked_has_a_result_when_closed(kind):
    for cls in (LBFGSB, TNC):
        stepper = make(cls).stepper(X0)
        stepper.close()
        assert stepper.result().nfev == 0
        assert stepper.result().stop is StopReason.CLOSED
        with pytest.raises(StepperError, match="nothing to ask"):
            stepper.ask()


def test_a_result_before_the_end_is_an_error_but_so_far():
    with TNC().stepper(X0) as stepper:
        with pytest.raises(StepperError, match="so_far"):
            stepper.result()
        ask = stepper.ask()
        stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
        so_far = stepper.so_far()
        assert so_far.fun == stepper.best.fun
        assert so_far.nfev == len(ask.x_fun)


@pytest.mark.parametrize("cls", [LBFGSB, TNC, NELDER_MEAD])
def test_many_that_are_opened_and_dropped_leave_no_thread(cls, kind):
    before = threading.active_count()
    for _ in range(150):
        make(cls).stepper(X0).ask()
    gc.collect()
    assert threading.active_count() == before


def test_single_precision_answers_are_known_as_such():
    stepper = LBFGSB().stepper([-1.2, 1.0])
    told(stepper, lambda x: np.float32(rosen(x)))
    assert stepper.result().fun < 1e-3


def test_a_callback_sees_and_may_end_the_run(kind):
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result.nit)
        if len(seen) == 3:
            raise StopIteration

    for cls in (LBFGSB, TNC):
        seen.clear()
        stepper = make(cls, callback=callback).stepper(X0)
        told(stepper)
        assert seen == [1, 2, 3]
        assert stepper.result().stop is StopReason.CALLBACK


def test_the_context_of_the_caller_holds_for_the_solver(kind):
    # As that of numpy.errstate, from NumPy 2 on.
    setting = contextvars.ContextVar("setting", default="none")
    seen = []

    def callback(x):
        seen.append(setting.get())

    token = setting.set("of the caller")
    told(TNC(callback=callback).stepper(X0))
    setting.reset(token)
    assert set(seen) == {"of the caller"}


@pytest.mark.parametrize("name", ["workers", "eval_timeout", "retries", "hedge"])
def test_who_evaluates_is_the_callers_matter(name):
    with pytest.raises(OptionError, match=f"{name} was given"):
        LBFGSB().stepper(X0, **{name: 2})


def test_a_callable_gradient_is_refused():
    with pytest.raises(InvalidInputError, match="jac=True"):
        LBFGSB().stepper(X0, rosen_der)


def test_the_questions_arrays_are_the_callers():
    stepper = LBFGSB().stepper(X0, jac=True)
    for ask in stepper:
        value, gradient = rosen(ask.x_fun[0]), rosen_der(ask.x_fun[0])
        ask.x_fun[:] = np.nan
        ask.x_jac[:] = np.nan
        stepper.tell(ask, TellData(value, gradient))
        gradient[:] = np.nan
    assert stepper.result().success


class MinimizeOnly(Optimizer):
    """A plug-in that overrides minimize alone: a fixed number of gradient steps."""

    def get_support_level(self):
        return dict.fromkeys(("gradient", "bounds", "initial_point"), SupportLevel.supported)

    def minimize(self, fun, x0, jac=None, bounds=None, **settings):
        x = np.array(x0, dtype=float)
        for _ in range(5):
            slope = Optimizer.gradient_num_diff(x, fun, 1e-6) if jac is None else jac(x)
            x = np.clip(x - 1e-3 * slope, -1.0, 2.0) if bounds else x - 1e-3 * slope
        result = OptimizerResult(x=x, fun=fun(x), nfev=0, success=True, message="five steps")
        result.nit = 5
        return result


@pytest.mark.parametrize("jac", [None, True, "2-point"])
@pytest.mark.parametrize("bounds", [None, [(-1.0, 2.0)] * 3])
def test_a_plug_in_that_overrides_minimize_alone_can_be_stepped(jac, bounds, kind):
    optimizer = MinimizeOnly()
    gradient = None if jac is None else rosen_der
    direct = optimizer.minimize(rosen, X0, gradient, bounds)
    stepper = optimizer.stepper(X0, jac, bounds)
    told(stepper)
    # Its gradient by our scheme has its error, some 1e-6 of |g|, times five steps of 1e-3.
    assert np.allclose(stepper.result().x, direct.x, rtol=0, atol=1e-5 if jac == "2-point" else 0)
    assert stepper.result().nit == 5
    assert stepper.result().message == "five steps"


@settings(max_examples=30, stateful_step_count=25, deadline=None)
class Held(RuleBasedStateMachine):
    """A stepper in any order of asking, partial telling and closing, beside what is expected."""

    @initialize(cls=st.sampled_from([LBFGSB, TNC, NELDER_MEAD]), jac=st.sampled_from([None, True]))
    def begin(self, cls, jac):
        self.threads = threading.active_count()
        self.jac = jac if cls is not NELDER_MEAD else None
        self.optimizer = make(cls, maxfun=40)
        self.stepper = self.optimizer.stepper(X0, self.jac)
        self.open = {}
        self.counted = 0
        self.values: list[float] = []

    def current(self):
        ask = self.stepper.ask()
        if self.open.get("id") != ask.id:
            self.open = {"id": ask.id, "rows": set(range(len(ask.x_fun)))}
        return ask

    @precondition(lambda self: not self.stepper.done)
    @rule()
    def ask_again(self):
        assert self.stepper.ask() is self.current()

    @precondition(lambda self: not self.stepper.done)
    @rule(data=st.data())
    def tell_some(self, data):
        ask = self.current()
        rows = data.draw(
            st.lists(st.sampled_from(sorted(self.open["rows"])), min_size=1, unique=True)
        )
        gradients = None if ask.x_jac is None else [rosen_der(x) for x in ask.x_jac[rows]]
        values = [rosen(x) for x in ask.x_fun[rows]]
        self.stepper.tell(ask, TellData(values, gradients, rows=rows))
        self.values += values
        self.counted += len(rows)
        self.open["rows"] -= set(rows)

    @precondition(lambda self: not self.stepper.done)
    @rule()
    def tell_too_much(self):
        ask = self.current()
        with pytest.raises((InvalidInputError, InvalidValueError)):
            self.stepper.tell(ask, TellData([1.0] * (len(ask.x_fun) + 1)))

    @rule()
    def close(self):
        self.stepper.close()

    def teardown(self):
        if not hasattr(self, "stepper"):
            return
        self.stepper.close()
        result = self.stepper.result()
        assert result.nfev == self.counted
        if self.values:
            assert result.best.fun == min(self.values)
        assert threading.active_count() == self.threads


test_a_stepper_in_any_order = Held.TestCase
