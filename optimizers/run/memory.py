"""Ledger: what a run has spent and found so far: counts, budget, clock, the points to remember."""

import math
import time
from collections import deque
from typing import Any, NamedTuple

import numpy as np

from optimizers._types import Array
from optimizers.problem.problem import Problem
from optimizers.result import Best, OptimizerResult, StopReason

#: A constraint missed by less than this does not make a point worse than another.
_FEASIBLE = 1e-6
#: Up to this many variables, comparing bytes is the quickest way to know a point again.
_SMALL = 128
#: How many of the latest points are remembered, up to how many variables; beyond, only the last.
_REMEMBERED = ((1_000, 8), (100_000, 2))


class StopRun(BaseException):
    """Ends a run from inside an evaluation or a callback; never leaves :meth:`Run.execute`.

    A BaseException, so that no ``except Exception`` of a solver's can swallow it.
    """

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.sentence)
        self.reason = reason
        #: The value at the point that was asked for, if only its gradient is missing.
        self.value: float | None = None


class Evaluation(NamedTuple):
    """A point at which the objective is known, and its gradient if that is known too.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point; nobody changes it.
    fun : float
        The value.
    jac : ndarray of float64, shape (n,), optional
        The gradient.
    """

    x: Array
    fun: float
    jac: Array | None = None

    def is_at(self, x: Array) -> bool:
        """Return whether this is the evaluation of the point ``x``."""
        # Another point mostly differs in its first variable already: no array is made for that.
        return (
            self.x.size == x.size
            and (x.size == 0 or self.x.item(0) == x.item(0))
            # Comparing few bytes is quicker; they may differ in the sign of a zero.
            and (
                (x.size <= _SMALL and self.x.tobytes() == x.tobytes()) or np.array_equal(self.x, x)
            )
        )


#: Stands for the last evaluation before there is one: it is at no point.
NOWHERE = Evaluation(np.array([math.nan]), math.nan)


class Ledger:
    """What a run has spent and found so far.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    maxfun : int, optional
        The most points that may be evaluated.
    timeout : float, optional
        The most seconds that may have passed when an evaluation starts.
    """

    def __init__(self, problem: Problem, maxfun: int | None, timeout: float | None) -> None:
        self.problem = problem
        self.maxfun = maxfun
        self.nfev = self.njev = self.nhev = self.nit = self.nrejected = 0
        #: How often the algorithm was not told what it asked for: rejections that it noticed.
        self.npenalized = 0
        self.best: Evaluation | None = None
        self.best_violation = 0.0
        #: The largest value seen.
        self.worst = -math.inf
        #: The best point whose whole evaluation succeeded: what a rejected one steps back to.
        self.last_good: Evaluation | None = None
        #: Whether NaN went on to the algorithm.
        self.has_passed = False
        #: What else the algorithm found, such as an inverse Hessian, for the result.
        self.extra: dict[str, Any] = {}
        #: The last answer, a rejected point's stand-in included: asking again costs nothing.
        self.last = NOWHERE
        #: The point that the last iteration ended on, if it is known.
        self.iterate: Evaluation | None = None
        # What the algorithm may still end on or report, besides these.
        kept = next((count for n, count in _REMEMBERED if problem.n <= n), 1)
        self.recent: deque[Evaluation] = deque(maxlen=kept)
        self.started = time.monotonic()
        self.limit = math.inf if maxfun is None else maxfun
        self.deadline = math.inf if timeout is None else self.started + timeout

    @property
    def elapsed(self) -> float:
        """The seconds that have passed."""
        return time.monotonic() - self.started

    def result(self, at: Evaluation | None, *, is_broken: bool = False) -> OptimizerResult:
        """Return the result so far, at a point.

        Parameters
        ----------
        at : Evaluation or None
            The point; None stands for the start.
        is_broken : bool, default False
            Whether an error is on its way to the user, which no other may replace: where a
            constraint cannot be evaluated, ``maxcv`` is NaN.
        """
        best = None if self.best is None else Best(self.best.x.copy(), self.best.fun)
        x = self.problem.x0.copy() if at is None else at.x.copy()
        return OptimizerResult(
            x=x,
            fun=None if at is None else at.fun,
            jac=None if at is None or at.jac is None else at.jac.copy(),
            nfev=self.nfev,
            njev=self.njev,
            nhev=self.nhev,
            nit=self.nit,
            nrejected=self.nrejected,
            success=False,
            status=-1,
            message="",
            stop=StopReason.OTHER,
            best=best,
            elapsed=self.elapsed,
            **({"maxcv": self._violation(x, is_broken)} if self.problem.constraints else {}),
            **self.extra,
        )

    def _violation(self, x: Array, is_broken: bool) -> float:
        try:
            return self.problem.violation(x)
        except BaseException:
            if not is_broken:
                raise
            return math.nan

    def check_budget(self, count: int) -> None:
        """End the run if ``count`` more points are more than it may evaluate, or time is up."""
        if self.nfev + count > self.limit:
            raise StopRun(StopReason.MAXFUN)
        self.check_clock()

    def check_clock(self) -> None:
        """End the run if its time is up."""
        if self.deadline < math.inf and time.monotonic() > self.deadline:
            raise StopRun(StopReason.TIMEOUT)

    def update_incumbent(self, x: Array, value: float) -> None:
        """Keep the point if it is the best so far: by feasibility first, then by value."""
        if value > self.worst:
            self.worst = value
        best = self.best
        if self.problem.constraints:
            violation = max(self.problem.violation(x), _FEASIBLE)
            if best is not None and violation > self.best_violation:
                return
            if best is None or violation < self.best_violation:
                best, self.best_violation = None, violation
        if best is None or value < best.fun or math.isnan(best.fun):
            self.best = Evaluation(x, value)

    def store(self, known: Evaluation) -> None:
        """Note a point that was evaluated as the algorithm asked."""
        self.last = known
        self.recent.append(known)
        if math.isnan(known.fun):
            self.has_passed = True
        last_good = self.last_good
        if last_good is None or known.fun <= last_good.fun or math.isnan(last_good.fun):
            self.last_good = known
        best = self.best
        if (
            best is not None
            and best.fun == known.fun
            and (best.x is known.x or known.is_at(best.x))
        ):
            self.best = known

    def lookup(self, x: Array) -> Evaluation | None:
        """Return what is known of the point ``x``, if it is one that is remembered."""
        for known in reversed(self.recent):
            if known.is_at(x):
                return known
        for kept in (self.iterate, self.last_good, self.best):
            if kept is not None and kept.is_at(x):
                return kept
        return None

    def reject(self, x: Array) -> Evaluation | None:
        """Return stand-ins that make any algorithm step back from ``x``; None if nothing can.

        The value is above all that were seen, by as much as they differ, so that interpolating
        line searches shorten their step sensibly; the gradient is that of a bowl around the best
        point. They are handed to the algorithm only: no result ever shows them.
        """
        if self.last_good is None:
            return None
        self.nrejected += 1
        self.npenalized += 1
        away = x - self.last_good.x
        square = float(away @ away)
        if square == 0.0:  # the point was fine before: what is known of it stands
            return self.last_good
        spread = (self.worst - self.last_good.fun) or abs(self.worst) or 1.0
        spread = max(spread, 4 * float(np.spacing(abs(self.worst))))  # must survive the rounding
        curvature, slope = 2 * spread / square, np.zeros_like(x)
        if self.last_good.jac is not None:
            # Near the anchor the gradient is about the one there, and no steeper bowl than the
            # known numbers have: a solver that differentiates it must not be led astray.
            slope = self.last_good.jac
            scale = float(np.linalg.norm(slope)) / (1.0 + float(np.linalg.norm(self.last_good.x)))
            curvature = min(curvature, scale or curvature)
        self.last = Evaluation(x, self.worst + spread, slope + curvature * away)
        return self.last
