"""Steppers that are pickled or copied go on as if nothing had happened, whatever they step."""

import copy
import functools
import gc
import pickle
import sys
import threading
import time

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, rosen, rosen_der, rosen_hess

from optimizers import (
    ADAM,
    COBYLA,
    LBFGSB,
    QNSPSA,
    SLSQP,
    SPSA,
    TNC,
    GradientDescent,
    History,
    NonFiniteValueError,
    SciPyOptimizer,
    SPSAGradient,
    SteppableOptimizer,
    StepperError,
    StopReason,
    SupportLevel,
    TellData,
)
from optimizers.asktell import drivers, replay
from tests.making import make, makes_seeded, of_values

X0 = [-0.7, 0.5, 0.4]
COUNTS = ("nfev", "njev", "nhev", "nit", "nrejected")


@pytest.fixture(autouse=True)
def plain_pickle(monkeypatch):
    """Without other picklers, that other tests may have imported."""
    for name in ("cloudpickle", "dill"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture(params=["thread", "greenlet"])
def kind(request, monkeypatch):
    """Both ways of putting a solver aside; the second where greenlet is installed."""
    if request.param == "greenlet":
        pytest.importorskip("greenlet", reason="needs the extra: greenlet")
    else:
        monkeypatch.setattr(drivers, "find_spec", lambda name: None)


def pickled(stepper):
    return pickle.loads(pickle.dumps(stepper))


def noisy(x):
    """A value that looks like a noisy one, and is the same each time."""
    return rosen(x) + 1e-3 * np.sin(1e6 * np.sum(x))


def bowl(x):
    return float(x @ x)


def answer(ask, fun=rosen):
    gradients = None if ask.x_jac is None else [rosen_der(x) for x in ask.x_jac]
    return TellData([fun(x) for x in ask.x_fun], gradients)


def told(stepper, again=None, every=1, fun=rosen, failing=()):
    """Answer a stepper to its end; return what it asked, and the stepper, another one by now."""
    asked = []
    while not stepper.done:
        if again is not None and len(asked) % every == 0:
            stepper = again(stepper)
        ask = stepper.ask()
        asked.append(ask.x_fun.copy())
        if len(asked) in failing:
            stepper.tell(ask, ZeroDivisionError("no"))
        else:
            stepper.tell(ask, answer(ask, fun))
    return asked, stepper


def check_same(make_stepper, again=pickled, **way):
    """Check that a stepper that is replaced by others ends as one that is not."""
    asked, whole = told(make_stepper(), fun=way.get("fun", rosen), failing=way.get("failing", ()))
    others, stepper = told(make_stepper(), again, **way)
    assert len(asked) == len(others)
    for one, other in zip(asked, others, strict=True):
        np.testing.assert_array_equal(one, other)
    left, right = whole.result(), stepper.result()
    np.testing.assert_array_equal(left.x, right.x)
    for name in ("fun", "success", "status", "message", "stop", *COUNTS):
        assert left[name] == right[name], name
    assert (left.jac is None) == (right.jac is None)
    assert left.jac is None or np.array_equal(left.jac, right.jac)
    assert asked


def arguments(cls):
    optimizer = make(cls)
    wants = optimizer.get_support_level().get("hessian") == SupportLevel.required
    return {
        "x0": X0,
        "jac": True if optimizer.is_gradient_required else None,
        **({"hess": rosen_hess} if wants else {}),
    }


@pytest.mark.parametrize("cls", of_values().values(), ids=lambda cls: cls.__name__)
def test_every_class_goes_on_after_pickling(cls):
    check_same(
        lambda: make(cls, maxfun=200 if cls is QNSPSA else 70).stepper(**arguments(cls)), every=8
    )


@pytest.mark.parametrize("cls", [LBFGSB, SLSQP, COBYLA, ADAM])
def test_however_a_solver_is_put_aside(cls, kind):
    check_same(lambda: make(cls, maxfun=40).stepper(X0), every=2)


METHODS = ["Powell", "CG", "L-BFGS-B", "TNC", "SLSQP", "Newton-CG", "trust-krylov"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_scipy_goes_on_after_copying(method):
    optimizer = SciPyOptimizer(method, maxfun=90)
    levels = optimizer.get_support_level()
    given = {"jac": True} if levels["gradient"] >= SupportLevel.supported else {}
    if levels.get("hessian", 0) >= SupportLevel.supported:
        given["hess"] = rosen_hess
    check_same(lambda: optimizer.stepper(X0, **given), copy.deepcopy, every=5)


@pytest.mark.parametrize("maxfun", [15000, 30, 33])
@pytest.mark.parametrize("jac", [None, True, "3-point", SPSAGradient(2)])
@pytest.mark.parametrize("bounds", [None, [(-1.0, 2.0), (None, 0.8), (0.0, None)]])
def test_pickling_before_each_answer_changes_nothing(jac, bounds, maxfun):
    optimizer = LBFGSB(maxfun=min(maxfun, 300))
    check_same(lambda: optimizer.stepper(X0, jac, bounds, seed=4), every=3)


@pytest.mark.parametrize(
    ("optimizer", "way"),
    [
        (LBFGSB(noise=1e-3, seed=2), {"fun": noisy}),
        (LBFGSB(noise="estimate", seed=2), {"fun": noisy}),
        (SLSQP(noise=1e-3, seed=2), {"fun": noisy}),
        (LBFGSB(on_failure="reject"), {"failing": (4, 9)}),
        (TNC(on_failure="reject", maxfun=200), {"failing": (5,)}),
        (LBFGSB(options={"speculate": 3}), {}),
        (LBFGSB(maxiter=4), {}),
    ],
)
def test_what_surrounds_a_solve_is_replayed_too(optimizer, way):
    check_same(lambda: optimizer.stepper(X0), every=4, **way)


@pytest.mark.parametrize("again", [pickled, copy.deepcopy, copy.copy])
@pytest.mark.parametrize("cls", [SPSA, ADAM])
def test_a_seed_that_was_not_given_is_drawn_once(cls, again):
    stepper = cls(maxiter=20).stepper(X0)
    for _ in range(5):
        stepper.tell(stepper.ask(), answer(stepper.ask(), bowl))
    asked, one = told(again(stepper), fun=bowl)
    others, other = told(stepper, fun=bowl)
    for left, right in zip(asked, others, strict=True):
        np.testing.assert_array_equal(left, right)
    assert one.result().nfev == other.result().nfev
    first, second = (cls(maxiter=20).stepper(X0).ask().x_fun for _ in range(2))
    assert not np.array_equal(first, second) or cls is ADAM


def test_a_generator_given_as_seed_is_taken_as_it_was():
    generator = np.random.default_rng(3)
    stepper = SPSA(maxiter=20).stepper(X0, seed=generator)
    for _ in range(8):
        stepper.tell(stepper.ask(), answer(stepper.ask(), bowl))
    twin = pickled(stepper)
    np.testing.assert_array_equal(twin.ask().x_fun, stepper.ask().x_fun)
    assert generator.random() != np.random.default_rng(3).random()  # the run draws from it


@pytest.mark.parametrize("jac", [None, True])
def test_parts_that_were_told_belong_to_it(jac):
    stepper = TNC().stepper(X0, jac)
    stepper.tell(stepper.ask(), answer(stepper.ask()))
    ask = stepper.ask()
    stepper.tell(ask, TellData(rosen(ask.x_fun[0]), rows=[0]))
    twin = pickled(stepper)
    assert twin.ask().id == ask.id
    with pytest.raises(Exception, match="was told before"):
        twin.tell(ask, TellData(1.0, rows=[0]))
    for one in (twin, stepper):
        if jac:
            one.tell(ask, TellData(eval_jac=rosen_der(ask.x_fun[0])))
        else:
            one.tell(ask, TellData([rosen(x) for x in ask.x_fun[1:]], rows=range(1, 7)))
    np.testing.assert_array_equal(twin.ask().x_fun, stepper.ask().x_fun)
    assert (twin.state.nfev, twin.state.njev) == (stepper.state.nfev, stepper.state.njev)


def test_parts_told_to_a_copy_are_not_told_to_the_first():
    stepper = LBFGSB().stepper(X0)
    twin = copy.copy(stepper)
    twin.tell(twin.ask(), TellData(rosen(X0), rows=[0]))
    stepper.tell(stepper.ask(), TellData(rosen(X0), rows=[0]))
    another = copy.copy(stepper)
    for one in (another, stepper):
        one.tell(one.ask(), TellData([1.0], rows=[1]))


def test_standard_errors_and_coarse_values_are_replayed():
    stepper = SPSA(maxiter=9, seed=1, resamplings=2).stepper(X0)
    while not stepper.done:
        stepper = pickled(stepper)
        ask = stepper.ask()
        stepper.tell(ask, TellData(([bowl(x) for x in ask.x_fun], [0.1] * len(ask.x_fun))))
    check_same(lambda: LBFGSB().stepper([-1.2, 1.0]), fun=lambda x: np.float32(rosen(x)))


def test_a_stepper_not_yet_asked_and_one_that_ended_are_pickled():
    assert told(pickled(LBFGSB().stepper(X0)))[1].result().success
    stepper = told(LBFGSB().stepper(X0))[1]
    twin = pickled(stepper)
    assert twin.done
    assert twin.result().fun == stepper.result().fun
    assert twin.best.fun == stepper.best.fun
    assert twin.state.nfev == stepper.state.nfev


@pytest.mark.parametrize("part", [False, True])
def test_a_closed_one_stays_closed(part, kind):
    stepper = TNC().stepper(X0)
    stepper.tell(stepper.ask(), answer(stepper.ask()))
    if part:
        stepper.tell(stepper.ask(), TellData(-7.0, rows=[2]))
    stepper.close()
    twin = pickled(stepper)
    assert twin.done
    assert twin.result().stop is StopReason.CLOSED
    assert twin.result().fun == stepper.result().fun
    assert twin.result().nfev == stepper.result().nfev == 7 + part  # central differences
    never = LBFGSB().stepper(X0)
    never.close()
    assert pickled(never).result().nfev == 0


def test_an_error_comes_again():
    stepper = LBFGSB().stepper(X0)
    stepper.tell(stepper.ask(), TellData([np.nan] * 4))
    twin = pickled(stepper)
    with pytest.raises(NonFiniteValueError):
        twin.result()
    stepper = LBFGSB().stepper(X0)
    stepper.tell(stepper.ask(), ZeroDivisionError("no"))
    with pytest.raises(ZeroDivisionError, match="no"):
        pickled(stepper).result()


class Counting:
    """A callback that ends the run at the iteration that it is told."""

    def __init__(self, last):
        self.seen, self.last = [], last

    def __call__(self, intermediate_result):
        self.seen.append(intermediate_result.nit)
        return len(self.seen) == self.last


@pytest.mark.parametrize("cls", [LBFGSB, TNC, SLSQP, ADAM])
def test_a_callback_sees_no_iteration_twice(cls, kind):
    optimizer, callback = make(cls), Counting(6)
    stepper = told(optimizer.stepper(X0, callback=callback), copy.copy)[1]
    assert callback.seen == [1, 2, 3, 4, 5, 6]
    assert stepper.result().stop is StopReason.CALLBACK
    twin = pickled(stepper)
    assert twin.done
    assert twin.result().stop is StopReason.CALLBACK
    assert twin.result().nit == 6
    np.testing.assert_array_equal(twin.result().x, stepper.result().x)
    history = History()
    stepper = told(optimizer.stepper(X0, callback=history), copy.copy, every=5)[1]
    assert len(history.fun) == stepper.result().nit


class Failing:
    """A callback that fails once."""

    count = 0

    def __call__(self, xk):
        self.count += 1
        if self.count == 2:
            raise LookupError("no such thing")


class FailingRates:
    """Learning rates that fail once."""

    failed = False

    def __call__(self):
        yield 0.1
        if not self.failed:
            self.failed = True
            raise LookupError("no such rate")
        yield 0.1


@pytest.mark.parametrize("cls", [LBFGSB, TNC, ADAM])
def test_the_error_of_a_callback_is_kept(cls):
    failing = Failing()
    stepper = told(cls(callback=failing).stepper(X0))[1]
    assert failing.count == 2
    for one in (stepper, pickled(stepper)):
        with pytest.raises(LookupError, match="no such thing"):
            one.result()


def test_an_error_that_does_not_come_again_is_an_error():
    stepper = told(GradientDescent(learning_rate=FailingRates()).stepper(X0))[1]
    with pytest.raises(LookupError):
        stepper.result()
    with pytest.raises(StepperError, match="has no error where the first one had"):
        pickled(stepper)


@pytest.mark.parametrize("cls", [LBFGSB, SLSQP])
def test_a_pickled_run_shows_the_iterations_of_its_method(cls):
    optimizer = make(cls)
    stepper = optimizer.stepper(X0)
    for _ in range(8):
        stepper.tell(stepper.ask(), answer(stepper.ask()))
    assert pickled(stepper).state.nit == stepper.state.nit > 0


def test_time_that_passed_is_kept_and_a_run_ended_by_it_stays_ended(monkeypatch):
    later, monotonic = [0.0], time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + later[0])
    stepper = LBFGSB().stepper(X0, timeout=5000.0)
    stepper.tell(stepper.ask(), answer(stepper.ask()))
    later[0] += 3000.0
    twin = pickled(stepper)
    assert 3000.0 <= twin.so_far().elapsed < 5000.0
    twin.tell(twin.ask(), answer(twin.ask()))
    later[0] += 3000.0
    assert not twin.done
    for one in (twin, stepper):
        one.tell(one.ask(), answer(one.ask()))
        assert one.result().stop is StopReason.TIMEOUT
    assert stepper.result().stop is StopReason.TIMEOUT
    twin = pickled(stepper)
    assert twin.done
    assert twin.result().stop is StopReason.TIMEOUT
    assert twin.result().nfev == stepper.result().nfev
    assert twin.result().fun == stepper.result().fun


def test_options_set_later_do_not_reach_it():
    optimizer = LBFGSB(maxiter=15)
    stepper = optimizer.stepper(X0)
    asked = told(LBFGSB(maxiter=15).stepper(X0))[0]
    for _ in range(3):
        stepper.tell(stepper.ask(), answer(stepper.ask()))
    optimizer.set_options(maxcor=1, maxiter=4)
    assert len(told(pickled(stepper))[0]) == len(asked) - 3


def inside(x):
    return 2.0 - x[0] - x[1]


@pytest.mark.parametrize("cls", [COBYLA, SLSQP])
def test_constraints_are_pickled_as_they_were_given(cls):
    constraints = [{"type": "ineq", "fun": inside}, LinearConstraint([[1.0, 0.0, 0.0]], -1, 3)]
    check_same(lambda: cls(maxfun=90).stepper(X0, constraints=constraints), every=6)


def test_arguments_of_the_caller_may_change_later():
    x0, bounds = np.array(X0), np.array([[-1.0, 2.0]] * 3)
    stepper = LBFGSB().stepper(x0, None, bounds)
    ask = stepper.ask()
    points = ask.x_fun.copy()
    x0[:], bounds[:], ask.x_fun[:] = 0.0, 0.0, 0.0
    np.testing.assert_array_equal(pickled(stepper).ask().x_fun, points)


def test_what_cannot_be_pickled_is_pickles_error_with_a_hint(monkeypatch):
    stepper = LBFGSB(callback=lambda xk: None).stepper(X0)
    with pytest.raises((pickle.PicklingError, AttributeError), match="pickle") as caught:
        pickle.dumps(stepper)
    assert "optimizer cannot be pickled" in "".join(caught.value.__notes__)
    with pytest.raises((pickle.PicklingError, AttributeError)) as caught:
        pickle.dumps(LBFGSB().stepper(X0, callback=lambda xk: None))
    assert "callback cannot be pickled" in "".join(caught.value.__notes__)
    assert not copy.deepcopy(stepper).done
    cloudpickle = pytest.importorskip("cloudpickle", reason="extra workers")
    assert pickle.loads(cloudpickle.dumps(stepper)).ask().id == 0


def test_with_a_journal_it_is_the_journal_that_goes_on(tmp_path):
    path = tmp_path / "run.jsonl"
    stepper = LBFGSB().stepper(X0, journal=path)
    stepper.tell(stepper.ask(), answer(stepper.ask()))
    for again in (pickled, copy.deepcopy, copy.copy):
        with pytest.raises(StepperError, match="journal"):
            again(stepper)
    stepper.close()


def test_more_answers_than_are_kept_make_it_an_error(monkeypatch):
    monkeypatch.setattr(replay, "_LIMIT", 10_000)
    stepper = LBFGSB().stepper(X0)
    for _ in range(9):
        stepper.tell(stepper.ask(), answer(stepper.ask()))
    assert pickled(stepper).ask().id == 9
    stepper.tell(stepper.ask(), answer(stepper.ask()))
    with pytest.raises(StepperError, match="bytes of answers, and at most"):
        pickle.dumps(stepper)
    assert told(stepper)[1].result().success


def moved(shifts, x):
    shifts[0] += 1.0
    return np.diag([shifts[0], 1.0, 1.0])


def test_other_questions_are_a_named_error():
    hess = functools.partial(moved, [1.0])
    optimizer = SciPyOptimizer("trust-exact")
    stepper = optimizer.stepper(X0, jac=True, hess=hess)
    for _ in range(6):
        stepper.tell(stepper.ask(), answer(stepper.ask()))
    with pytest.raises(StepperError, match="asks for other points at question"):
        pickled(stepper)


def test_a_pickle_holds_little_besides_the_answers():
    stepper = LBFGSB().stepper(np.linspace(-1.0, 1.0, 20), jac=True)
    for _ in range(30):
        stepper.tell(stepper.ask(), answer(stepper.ask()))
    assert len(pickle.dumps(stepper)) < 30 * (8 * 21 + 600) + 3000


def test_many_copies_leave_no_thread(kind):
    before, stepper = threading.active_count(), SLSQP().stepper(X0)
    for _ in range(100):
        stepper = pickled(stepper)
        if not stepper.done:
            stepper.tell(stepper.ask(), answer(stepper.ask()))
    del stepper
    gc.collect()
    assert threading.active_count() == before


def test_qiskits_face_is_pickled_with_its_stepper():
    steppable = SteppableOptimizer(LBFGSB())
    steppable.start(rosen, X0, rosen_der)
    while steppable.continue_condition():
        steppable = pickled(steppable)
        steppable.step()
    direct = LBFGSB().minimize(rosen, X0, rosen_der)
    np.testing.assert_array_equal(steppable.create_result().x, direct.x)


def test_there_are_seeded_classes_among_those_tried():
    assert sum(makes_seeded(cls) for cls in of_values().values()) >= 4
    assert len(of_values()) + len(METHODS) >= 25
