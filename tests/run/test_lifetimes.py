"""The objective, and the data in it, is free when its run is over, without the cyclic collector."""

import contextlib
import gc
import itertools
import weakref
from concurrent.futures import ThreadPoolExecutor
from importlib import util

import numpy as np
import pytest

from optimizers import ADAM, BFGS, LBFGSB, SLSQP, SPSA, SupportLevel, TellData, multistart, race
from tests.making import make, of_values

START = [0.7, 1.9, -0.3]


def value(x):
    return float(((x**2 - 1) ** 2).sum())


def gradient(x):
    return 4 * x * (x**2 - 1)


def hessian(x):
    return np.diag(12 * x**2 - 4)


class Objective:
    """A function that fails, or is infinite, at one call in seven; the first four are right."""

    def __init__(self, failure=None):
        self.calls, self.failure = 0, failure

    def __call__(self, x):
        self.calls += 1
        if self.failure is None or self.calls % 7 != 5:
            return value(x)
        if isinstance(self.failure, float):
            return self.failure
        raise self.failure("made to fail")


def needed(cls):
    """Return what a class takes besides the objective; its derivatives are bound to nothing."""
    levels = make(cls).get_support_level()
    # A failed probe of parameter shift has no other in its place.
    jac = levels["gradient"] == SupportLevel.required or cls.__name__ == "AQGD"
    hess = levels["hessian"] == SupportLevel.required
    return {**({"jac": gradient} if jac else {}), **({"hess": hessian} if hess else {})}


def stop(fun, xk):
    return fun.calls > 0


WAYS = {
    "end": lambda cls, fun, more: make(cls).minimize(fun, START, maxfun=300, **more),
    "maxfun": lambda cls, fun, more: make(cls).minimize(fun, START, maxfun=12, **more),
    "callback": lambda cls, fun, more: make(cls).minimize(
        fun, START, callback=lambda xk: stop(fun, xk), **more
    ),
    "reject": lambda cls, fun, more: make(cls).minimize(
        fun, START, maxfun=60, on_failure="reject", **more
    ),
    "many": lambda cls, fun, more: make(cls).minimize_many(
        lambda x: 1 / 0 if x[0] == 6.0 else fun(x), [START, [6.0, 0.5, 2.0]], maxfun=20, **more
    ),
}
FAILURES = {
    "end": [None, ZeroDivisionError, np.inf],
    "maxfun": [None],
    "callback": [None, KeyboardInterrupt],
    "reject": [ZeroDivisionError, np.nan],
    "many": [None],
}


def is_kept(run, failure=None):
    """Return whether an objective is alive when a run of it, and its error, are gone."""
    fun = Objective(failure)
    alive = weakref.ref(fun)
    gc.disable()
    try:
        with contextlib.suppress(ArithmeticError, KeyboardInterrupt):
            run(fun)
        del fun
        return alive() is not None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("way", "failure"),
    [(way, failure) for way in WAYS for failure in FAILURES[way]],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
@pytest.mark.parametrize("cls", of_values().values(), ids=lambda cls: cls.__name__)
def test_nothing_of_a_run_that_is_over_keeps_the_objective(cls, way, failure):
    more = needed(cls)
    assert not is_kept(lambda fun: WAYS[way](cls, fun, more), failure)


@pytest.mark.parametrize("cls", [LBFGSB, SPSA, BFGS, SLSQP])
@pytest.mark.parametrize("failure", [None, ZeroDivisionError])
def test_workers_and_journals_do_not(cls, failure, tmp_path):
    def by_threads(fun):
        with ThreadPoolExecutor(2) as pool:
            make(cls).minimize(fun, START, maxfun=20, workers=pool)

    def by_map(fun):
        make(cls).minimize(fun, START, maxfun=20, workers=map)

    def recorded(fun):
        make(cls).minimize(fun, START, maxfun=20, journal=tmp_path / "run.jsonl")

    for run in (by_threads, by_map, recorded):
        assert not is_kept(run, failure), run.__name__


@pytest.mark.parametrize("has_greenlet", [True, False])
@pytest.mark.parametrize("cls", [LBFGSB, SPSA, BFGS, SLSQP])
def test_steppers_do_not_keep_their_callback(cls, has_greenlet, monkeypatch):
    if not has_greenlet:
        found = util.find_spec
        monkeypatch.setattr(
            "optimizers.asktell.drivers.find_spec", lambda name: name != "greenlet" and found(name)
        )

    def told(fun, count):
        stepper = make(cls).stepper(START, maxfun=40, callback=lambda xk: stop(fun, xk))
        for ask in stepper:
            count -= 1
            if count < 0:
                break
            stepper.tell(ask, TellData([value(x) for x in ask.x_fun]))
        return stepper

    assert not is_kept(lambda fun: told(fun, 1000).result())
    assert not is_kept(lambda fun: told(fun, 1).close())
    assert not is_kept(lambda fun: told(fun, 1))


def test_a_stage_that_noise_ends_does_not():
    for cls in (ADAM, LBFGSB):
        assert not is_kept(lambda fun, cls=cls: make(cls).minimize(fun, START, noise=1e-3))


class TwoPartError(ArithmeticError):
    def __init__(self, where, why):
        super().__init__(f"{where}: {why}")
        self.where, self.why = where, why


MANY = {
    "minimize_many": lambda fun, **more: LBFGSB().minimize_many(fun, [START, START], **more),
    "multistart": lambda fun, **more: multistart(fun, [(-2, 2)] * 3, budget=200, seed=1, **more),
    "race": lambda fun, **more: race([LBFGSB(), BFGS(), SPSA()], fun, START, budget=200, **more),
}


@pytest.mark.parametrize("journal", [None, "run.jsonl"])
@pytest.mark.parametrize("failure", [TwoPartError("bridge", "ice"), KeyboardInterrupt()])
@pytest.mark.parametrize("run", MANY.values(), ids=MANY)
def test_runs_that_all_fail_do_not_and_tell_why(run, failure, journal, tmp_path):
    more = {} if journal is None else {"journal": tmp_path / journal}

    def failing(fun):
        def fails(x):
            if next(calls) >= 3:
                raise type(failure)(*vars(failure).values())
            return fun and value(x)

        calls = itertools.count()
        run(fails, **more)

    assert not is_kept(failing)
    more = {}
    with pytest.raises(type(failure)) as info:
        failing(1.0)
    results = info.value.optimizer_results
    assert info.value.optimizer_result is results.best is not None
    if isinstance(failure, TwoPartError):
        for error in (info.value, *results.failures.values()):
            assert (type(error), str(error)) == (TwoPartError, "bridge: ice")
            assert (error.where, error.why) == ("bridge", "ice")
            assert error.__traceback__.tb_next is not None
        assert len(results.failures) == len(results)
