"""The fast path of solvers and flows: the same points, counts and endings as by the door."""

import math
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from optimizers import (
    ADAM,
    BFGS,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    TNC,
    Differences,
    OptimizerWarning,
    minimize_lbfgsb,
    minimize_tnc,
)
from optimizers.asktell import flow
from optimizers.run import fast_path
from optimizers.scipy import solver as scipy
from optimizers.scipy.lbfgsb import solver as lbfgsb
from optimizers.scipy.tnc import solver as tnc

#: What a run shows of itself, whatever ended it, but for the time that it took.
SHOWN = ("x", "fun", "jac", "nfev", "njev", "nit", "nrejected", "success", "status", "message")


def class_of(cls, **options):
    def solve(fun, x0, jac, bounds, maxfun, on_failure):
        return cls(maxfun=maxfun, **options).minimize(fun, x0, jac, bounds, on_failure=on_failure)

    return solve


def face_of(face):
    def solve(fun, x0, jac, bounds, maxfun, on_failure):
        limit = {} if maxfun is None else {"maxfun": maxfun}
        return face(fun, x0, jac=jac, bounds=bounds, **limit)

    return solve


#: The classes raise or reject what is not finite, SciPy's functions hand it on.
SOLVERS = {
    "LBFGSB": class_of(LBFGSB),
    "native": class_of(LBFGSB, solver="native"),
    "TNC": class_of(TNC),
    "minimize_lbfgsb": face_of(minimize_lbfgsb),
    "minimize_tnc": face_of(minimize_tnc),
    # These ask for a value or a gradient alone, or come back to points before the last.
    "BFGS": class_of(BFGS, maxiter=30),
    "SLSQP": class_of(SLSQP, maxiter=30),
    "NELDER_MEAD": class_of(NELDER_MEAD, maxiter=60),
    "ADAM": class_of(ADAM, maxiter=30, lr=0.1),
}


@dataclass(frozen=True)
class Failure:
    """What goes wrong at a call: ``where`` is the function, ``how`` is raised or returned."""

    where: str
    call: int
    again: bool
    how: Any


class Recorded:
    """A quadratic or a curved valley that notes who asks it what, and may fail."""

    def __init__(self, center, curvature, valley, kind, failure):
        self._center, self._curvature = np.array(center), np.array(curvature)
        self._valley, self._kind, self._failure = valley, kind, failure
        self._calls = {"fun": 0, "jac": 0}
        self.asked: list[tuple[str, bytes]] = []
        self.callers: set[str] = set()

    def _note(self, name, x):
        self.asked.append((name, x.tobytes()))
        self.callers.add(sys._getframe(2).f_code.co_filename)

    def _answer(self, name, x, right):
        """Return the right answer, unless it is the turn of the wrong one; and spoil ``x``."""
        x[...] = math.nan
        self._calls[name] += 1
        failure = self._failure
        if failure is None or failure.where != name:
            return right
        if self._calls[name] != failure.call and not (
            failure.again and self._calls[name] > failure.call
        ):
            return right
        if isinstance(failure.how, type):
            raise failure.how("made to fail")
        return right * failure.how if isinstance(failure.how, float) else failure.how

    def _value(self, x):
        away = x - self._center
        bend = away[1:] - self._valley * away[:-1] ** 2
        return self._kind(self._curvature @ away**2 + bend @ bend)

    def _gradient(self, x):
        away = x - self._center
        bend = away[1:] - self._valley * away[:-1] ** 2
        gradient = 2 * self._curvature * away
        gradient[1:] += 2 * bend
        gradient[:-1] -= 4 * self._valley * bend * away[:-1]
        return gradient

    def fun(self, x):
        self._note("fun", x)
        return self._answer("fun", x, self._value(x))

    def jac(self, x):
        self._note("jac", x)
        return self._answer("jac", x, self._gradient(x))

    def both(self, x):
        self._note("both", x)
        value, gradient = self._value(x), self._gradient(x)
        value = self._answer("fun", x.copy(), value)
        return value, self._answer("jac", x, gradient)


def told(value):
    return value, 1e-3


def boxes(n):
    """Return bounds: none, open on a side or both, a box, or one that fixes its variable."""
    side = st.sampled_from([-1.5, -0.5, 0.0, 0.7, 1.5])
    one = st.one_of(
        st.just((None, None)),
        st.tuples(side, st.none()),
        st.tuples(st.none(), side),
        st.tuples(side, side).map(sorted).map(tuple),
    )
    return st.none() | st.lists(one, min_size=n, max_size=n)


@st.composite
def cases(draw):
    n = draw(st.integers(1, 4))

    def vector(elements):
        return draw(st.lists(elements, min_size=n, max_size=n))

    function = {
        "center": vector(st.floats(-1, 1).map(lambda c: round(c, 2))),
        "curvature": vector(st.sampled_from([0.5, 1.0, 3.0, 100.0])),
        "valley": draw(st.sampled_from([0.0, 1.0, 10.0])),
        "kind": draw(st.sampled_from([float, float, float, np.float64, np.float32, told])),
    }
    jac = draw(
        st.sampled_from(["callable", "joint", None, "2-point", "3-point"])
        | st.sampled_from([1e-6, 1e-4]).map(lambda step: Differences("2-point", step=step))
    )
    if jac == "joint" and function["kind"] is told:
        function["kind"] = float  # values with gradients come without their errors
    wrong = [ZeroDivisionError, StopIteration, KeyboardInterrupt, math.nan, math.inf, "no number"]
    failure = draw(
        st.none()
        | st.builds(
            Failure,
            where=st.sampled_from(["fun", "jac"] if jac in ("callable", "joint") else ["fun"]),
            call=st.integers(1, 25),
            again=st.booleans(),
            how=st.sampled_from(wrong),
        )
    )
    if failure is not None and isinstance(failure.how, float) and function["kind"] is told:
        function["kind"] = float
    return {
        "solver": draw(st.sampled_from(["LBFGSB", "TNC", *SOLVERS])),
        "function": {**function, "failure": failure},
        "x0": vector(st.sampled_from([-2.0, -1.2, -0.3, 0.0, 0.4, 1.0, 2.0])),
        "jac": jac,
        "bounds": draw(boxes(n)),
        "maxfun": draw(st.none() | st.integers(1, 40)),
        "on_failure": draw(st.sampled_from(["raise", "reject"])),
    }


def trace(solver, function, jac, **given):
    """Return what a run asked, how it ended and what it shows; and from where it was asked."""
    recorded = Recorded(**function)
    fun, gradient = recorded.fun, jac
    if jac == "callable":
        gradient = recorded.jac
    if jac == "joint":
        fun, gradient = recorded.both, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizerWarning)  # a start outside the box is clipped
        try:
            result, raised = SOLVERS[solver](fun, jac=gradient, **given), None
        except BaseException as error:
            result, raised = error.optimizer_result, (type(error), str(error))
    shown = [result[name] for name in SHOWN]
    best = result.best and (result.best.x, result.best.fun)
    return {
        "asked": recorded.asked,
        "raised": raised,
        "stop": result.stop,
        "best": plain(best),
        **{name: plain(value) for name, value in zip(SHOWN, shown, strict=True)},
    }, recorded.callers


def plain(value):
    """Return numbers that compare by their bits, NaN too."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.tobytes() if isinstance(value, np.ndarray | np.floating) else repr(value)


def door(run, reuse="last", *, keeps=False):
    """Return the door in place of the fast path: it never keeps what it is given."""
    return fast_path._door(run, reuse)


def by_the_door(**case):
    """Return the trace of a run whose solver asks by the run's one door.

    No public setting leads there and changes nothing else: a wave of a map or of a stack is
    evaluated to its end, whichever of its points fails, and what is tried again counts again.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (lbfgsb, tnc, scipy, flow):
            patch.setattr(module, "fast_path", door)
        patch.setattr(scipy, "fast_value", lambda run: run.value)
        patch.setattr(scipy, "fast_gradient", lambda run: run.gradient)
        return trace(**case)


def like(solver, x0, jac, failure=None, kind=float, on_failure="raise", curvature=1.0):
    """Return a case of the least unusual kind but for what is given."""
    n = len(x0)
    function = {"center": [0.47] * n, "curvature": [curvature, *[1.0] * (n - 1)], "valley": 10.0}
    return {
        "solver": solver,
        "function": {**function, "kind": kind, "failure": failure},
        "x0": x0,
        "jac": jac,
        "bounds": None,
        "maxfun": None,
        "on_failure": on_failure,
    }


STEPS = Differences("2-point", step=1e-6)


@settings(max_examples=160, deadline=None, derandomize=True, database=None)
@given(cases())
# The value is known, and only the gradient fails, where there is nothing to step back to.
@example(like("LBFGSB", [1.0], "joint", Failure("jac", 1, False, math.nan)))
@example(like("TNC", [1.0], "callable", Failure("jac", 1, True, OSError), on_failure="reject"))
@example(like("LBFGSB", [1.0], "callable", Failure("jac", 1, False, KeyboardInterrupt)))
# Coarse values need longer steps, also at the start.
@example(like("minimize_lbfgsb", [1.0, 0.4], STEPS, kind=np.float32))
@example(like("minimize_lbfgsb", [1.0], None, Failure("fun", 2, True, OSError), np.float32))
# A probe of the start fails.
@example(like("TNC", [-2.0, 2.0, -1.2], STEPS, Failure("fun", 3, False, math.nan)))
# A fresh start after rejections asks for points that were asked for before.
@example(
    like("TNC", [2.0, -2.0, -0.3], "joint", Failure("fun", 19, True, OSError), on_failure="reject")
)
@example(
    like("LBFGSB", [1.0, -2.0], "callable", Failure("fun", 9, False, OSError), on_failure="reject")
)
# +inf is a value, whatever on_failure says: at a point, at a probe, on both sides of a point.
@example(like("LBFGSB", [1.0, -2.0], "callable", Failure("fun", 3, False, math.inf)))
@example(like("TNC", [2.0, -2.0, -0.3], "joint", Failure("fun", 4, True, math.inf)))
@example(like("LBFGSB", [1.0, -2.0], STEPS, Failure("fun", 4, False, math.inf)))
@example(like("LBFGSB", [1.0, -2.0], STEPS, Failure("fun", 5, False, math.inf)))
@example(like("TNC", [2.0, -2.0, -0.3], STEPS, Failure("fun", 7, True, math.inf)))
@example(like("LBFGSB", [1.0, -2.0], STEPS, Failure("fun", 1, False, math.inf)))
# A line search comes back to a point before the last.
@example(like("LBFGSB", [0.0, 0.0], STEPS, curvature=100.0))
def test_the_fast_path_asks_counts_and_ends_as_the_door(case):
    fast, _ = trace(**case)
    slow, _ = by_the_door(**case)
    assert fast == slow


#: Differences of some go by the door alone; NELDER_MEAD's function leaves out the gradient.
WAYS = [
    pytest.param(solver, jac, id=f"{solver}-{name}")
    for solver in SOLVERS
    for name, jac in {"jac": "callable", "joint": "joint", "steps": STEPS}.items()
    if not (name == "steps" and solver in {"BFGS", "SLSQP", "ADAM"})
    and (name, solver) != ("joint", "NELDER_MEAD")
]


@pytest.mark.parametrize(("solver", "jac"), WAYS)
def test_the_two_ways_are_two(solver, jac):
    function = {"center": [0.0], "curvature": [1.0], "valley": 0.0, "kind": float, "failure": None}
    case = {"solver": solver, "function": function, "jac": jac, "x0": [1.0], "bounds": None}
    rest = {"maxfun": None, "on_failure": "raise"}
    _, fast = trace(**case, **rest)
    _, slow = by_the_door(**case, **rest)
    assert fast != slow
