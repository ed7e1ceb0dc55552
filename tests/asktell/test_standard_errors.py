import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    InvalidValueError,
    ParameterShift,
    TellData,
    race,
    vectorized,
)
from optimizers.asktell.messages import AskData, PendingAsk
from optimizers.run.waves import Waves

START = np.array([1.0, -2.0, 0.5])


def value_at(x):
    return float(((x - 0.25) ** 2).sum())


def error_at(x):
    return math.nan if x[0] == 1.0 else 0.01 + abs(float(x[1]))


def pair(x):
    return value_at(x), error_at(x)


@vectorized
def stack(points):
    return [value_at(x) for x in points], [error_at(x) for x in points]


@pytest.fixture
def noted(monkeypatch):
    """All points that runs had evaluated in waves, with the errors that arrived."""
    found = []
    take = Waves.take

    def noting(self, blocks, *args, **kwargs):
        try:
            return take(self, blocks, *args, **kwargs)
        finally:
            for block in blocks:
                known = ~np.isnan(block.values)
                found.extend(zip(block.points[known], block.errors[known], strict=True))

    monkeypatch.setattr(Waves, "take", noting)
    return found


def check(noted):
    assert noted
    for x, error in noted:
        np.testing.assert_array_equal(error, error_at(x))


FORMS = {
    "two sequences": lambda points: ([value_at(x) for x in points], [error_at(x) for x in points]),
    "pairs": lambda points: [pair(x) for x in points],
    "array": lambda points: np.array([pair(x) for x in points]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_caller_may_tell_errors_in_any_form(noted, form):
    stepper = LBFGSB().stepper(START)
    for ask in stepper:
        stepper.tell(ask, TellData(FORMS[form](ask.x_fun)))
    check(noted)
    plain = LBFGSB().minimize(value_at, START)
    np.testing.assert_array_equal(stepper.result().x, plain.x)


def test_rows_may_be_told_one_by_one_some_without_errors(noted):
    stepper = LBFGSB().stepper(START, maxfun=20)
    for ask in stepper:
        for row in reversed(range(len(ask.x_fun))):
            x = ask.x_fun[row]
            told = pair(x) if not math.isnan(error_at(x)) else value_at(x)
            stepper.tell(ask, TellData(told, rows=[row]))
    check(noted)


def test_single_points_take_them_too():
    stepper = NELDER_MEAD().stepper(START)
    for ask in stepper:
        stepper.tell(ask, TellData(pair(ask.x_fun[0]) if len(ask.x_fun) == 1 else stack(ask.x_fun)))
    plain = NELDER_MEAD().minimize(value_at, START)
    np.testing.assert_array_equal(stepper.result().x, plain.x)
    assert stepper.result().nfev == plain.nfev


def test_a_pickled_stepper_keeps_what_was_told(noted):
    stepper = LBFGSB().stepper(START)
    ask = stepper.ask()
    stepper.tell(ask, TellData(pair(ask.x_fun[0]), rows=[0]))
    stepper = pickle.loads(pickle.dumps(stepper))
    stepper.tell(ask, TellData([pair(x) for x in ask.x_fun[1:]], rows=[1, 2, 3]))
    for ask in stepper:
        stepper.tell(ask, TellData(stack(ask.x_fun)))
    np.testing.assert_array_equal(stepper.result().x, LBFGSB().minimize(value_at, START).x)


def test_with_a_gradient_there_is_the_value_alone():
    question = PendingAsk(AskData(np.zeros((1, 3)), np.zeros((1, 3))))
    with pytest.raises(InvalidValueError, match="answer has 2 values"):
        question.fill(TellData((1.0, 0.1), np.zeros(3)))


def test_a_bad_error_is_named_and_nothing_is_told():
    question = PendingAsk(AskData(np.zeros((2, 3))))
    with pytest.raises(InvalidValueError, match=r"standard error -1\.0"):
        question.fill(TellData(([1.0, 2.0], [0.1, -1.0])))
    assert question.missing == [0, 1]


@pytest.mark.parametrize("way", ["serial", "stack", "threads"])
def test_in_lock_step_each_run_gets_its_errors(noted, way):
    starts = [START, START + 1, START - 3]
    fun = stack if way == "stack" else pair
    settings = {"workers": lambda: ThreadPoolExecutor(2)} if way == "threads" else {}
    found = LBFGSB().minimize_many(fun, starts, ParameterShift(0.3), maxfun=70, **settings)
    check(noted)
    assert len(noted) == sum(result.nfev for result in found)
    noted.clear()
    for result, start in zip(found, starts, strict=True):
        alone = LBFGSB().minimize(fun, start, ParameterShift(0.3), maxfun=70, **settings)
        np.testing.assert_array_equal(result.x, alone.x)


def test_a_race_takes_them():
    results = race({"a": LBFGSB(), "b": NELDER_MEAD()}, stack, START, budget=60)
    assert all(math.isfinite(result.fun) for result in results.values())
