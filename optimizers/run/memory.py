"""Memory: what a run has found: the incumbent, the points to remember, penalties."""

import math
from collections import deque
from typing import Any, NamedTuple

import numpy as np

from optimizers._types import Array
from optimizers.evaluation.answers import check_count
from optimizers.problem.problem import Problem

#: A constraint violated by less than this does not make a point worse than another.
FEASIBLE = 1e-6
#: Up to this many variables, comparing bytes is the fastest way to recognize a point.
_SMALL = 128
#: How many of the latest points are kept, up to how many numbers each; otherwise only the last.
_KEPT = ((1_000, 8), (100_000, 2))
#: An algorithm's arithmetic may overflow with values beyond this.
_EXTREME = 1e100
#: Penalties, and their slopes, stay within.
_MOST = float(np.finfo(np.float64).max)


class PlainEvaluation(NamedTuple):
    """A point where an objective without residuals is known; faster to make than its subclass."""

    #: Shape (n,); nobody changes it.
    x: Array
    fun: float
    jac: Array | None = None

    @property
    def residuals(self) -> Array | None:
        """None: there are neither residuals nor their Jacobian."""
        return None

    def is_at(self, x: Array) -> bool:
        """Return whether this is the evaluation of the point ``x``."""
        # Most other points differ in the first variable: no array is needed for that.
        return (
            self.x.size == x.size
            and (x.size == 0 or self.x.item(0) == x.item(0))
            # Comparing a few bytes is faster; they may differ in the sign of a zero.
            and (
                (x.size <= _SMALL and self.x.tobytes() == x.tobytes()) or np.array_equal(self.x, x)
            )
        )


class Evaluation(PlainEvaluation):
    """A point at which the objective is known, and its gradient if that is known too.

    If the objective returns residuals, it has these, and perhaps their Jacobian, as attributes
    besides the three entries of the tuple.
    """

    #: Shape (m,), and (m, n).
    residuals: Array | None = None
    jacobian: Any = None

    def __new__(
        cls,
        x: Array,
        fun: float,
        jac: Array | None = None,
        residuals: Array | None = None,
        jacobian: Any = None,
    ) -> "Evaluation":
        """Return what is known of a point."""
        known = super().__new__(cls, x, fun, jac)
        if residuals is not None:
            known.residuals, known.jacobian = residuals, jacobian
        return known


#: Placeholder for the last evaluation before there is one: it is at no point.
NOWHERE = Evaluation(np.array([math.nan]), math.nan)


def _kept(size: int) -> int:
    """Return how many points of this size are kept."""
    return next((count for most, count in _KEPT if size <= most), 1)


class Memory:
    """What a run has found; only modules beside this one change it."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        #: The incumbent: the best point by feasibility, then by value.
        self.best: Evaluation | None = None
        self.best_violation = 0.0
        #: The largest value seen.
        self.worst = -math.inf
        #: The best point whose whole evaluation succeeded: what a penalty leads back to.
        self.last_good: Evaluation | None = None
        #: Whether NaN was passed on to the algorithm.
        self.has_nan = False
        #: The last answer, which may be a penalty: asking again costs nothing.
        self.last = NOWHERE
        #: How many residuals there are, from the first answer on.
        self.m: int | None = None
        #: The point where the last iteration ended, if it is known.
        self.iterate: Evaluation | None = None
        #: The iterate at which a callback ended the run.
        self.halted: Evaluation | None = None
        # Points that the algorithm may still return or report, besides these.
        self.recent: deque[Evaluation] = deque(maxlen=_kept(problem.n))

    @property
    def sign(self) -> float:
        """The sign of values here, relative to the user's."""
        return self._problem.sign

    @property
    def is_extreme(self) -> bool:
        """Whether values were so large that the next point may have NaN or infinities."""
        return self.worst > _EXTREME or self.last.fun < -_EXTREME

    def update_incumbent(self, x: Array, value: float, residuals: Array | None = None) -> None:
        """Make the point the incumbent if it is the best so far: by feasibility, then by value."""
        if value > self.worst:
            self.worst = value
        best = self.best
        if self._problem.constraints:
            violation = max(self._problem.violation(x), FEASIBLE)
            if best is not None and violation > self.best_violation:
                return
            if best is None or violation < self.best_violation:
                best, self.best_violation = None, violation
        if best is None or value < best.fun or math.isnan(best.fun):
            self.best = Evaluation(x, value, None, residuals)

    def is_feasible(self, x: Array) -> bool:
        """Return whether a point meets the constraints."""
        return self._problem.violation(x) <= FEASIBLE

    def update_incumbents(
        self, points: Array, values: Array, residuals: Array | None = None
    ) -> None:
        """Make the finite ones of many values candidates; only the extremes matter."""
        rows = np.flatnonzero(np.isfinite(values))
        if not self._problem.constraints and len(rows) > 2:
            rows = rows[[int(values[rows].argmin()), int(values[rows].argmax())]]
        for row in rows:
            vector = None if residuals is None else residuals[row].copy()
            self.update_incumbent(points[row].copy(), float(values[row]), vector)

    def note_count(self, m: int) -> None:
        """Note how many residuals there are; raise an InvalidValueError if there were others."""
        if self.m is None:
            self.m = m
            kept = _kept(m * self._problem.n)  # each evaluation has its Jacobian
            if kept != self.recent.maxlen:
                self.recent = deque[Evaluation](self.recent, maxlen=kept)
        check_count(m, self.m)

    def take_back(self, best: Evaluation | None, violation: float) -> None:
        """Restore an earlier incumbent: later points are not candidates."""
        self.best, self.best_violation = best, violation

    def store(self, known: Evaluation) -> None:
        """Note a point that was evaluated as the algorithm asked."""
        self.last, last_good = known, self.last_good
        if (
            known.jac is None
            and last_good is not None
            and last_good.fun == known.fun
            and last_good.is_at(known.x)
        ):
            known = last_good  # a value that is repeated does not lose its gradient
        self.recent.append(known)
        if math.isnan(known.fun):
            self.has_nan = True
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
        """Return the evaluation at ``x``, if it is still stored."""
        known: Evaluation
        for known in reversed(self.recent):
            if known.is_at(x):
                return known
        for kept in (self.iterate, self.last_good, self.best):
            if kept is not None and kept.is_at(x):
                return kept
        return None

    def answer(self, x: Array) -> Evaluation | None:
        """Return the answer for the algorithm at ``x``; the last one may be a penalty."""
        return self.last if self.last.is_at(x) else self.lookup(x)

    def penalty(self, x: Array) -> Evaluation | None:
        """Return an answer that makes any algorithm step back from ``x``, or None.

        Only the algorithm sees it: a result never shows a penalty.
        """
        if self.last_good is None:
            return None
        away = x - self.last_good.x
        with np.errstate(over="ignore"):
            return self._penalty(x, away, float(away @ away), self.last_good)

    def _penalty(self, x: Array, away: Array, square: float, good: Evaluation) -> Evaluation:
        if square == 0.0:  # the point was fine before: keep its evaluation
            return good
        # Above all values by as much as they differ, so that line searches shorten their steps
        # reasonably.
        spread = (self.worst - good.fun) or abs(self.worst) or 1.0
        spread = max(spread, 4 * float(np.spacing(abs(self.worst))))  # must exceed rounding
        spread = min(spread, _MOST)
        curvature, slope = 2 * spread / square, np.zeros_like(x)
        if good.jac is not None:
            # Near the last good point the gradient is about the same as there, and the bowl is no
            # steeper than the known values: solvers that differentiate it must not be misled.
            slope = good.jac
            scale = float(np.linalg.norm(slope)) / (1.0 + float(np.linalg.norm(good.x)))
            curvature = min(curvature, scale or curvature)
        slope = np.clip(slope + curvature * away, -_MOST, _MOST)
        self.last = Evaluation(x, min(self.worst + spread, _MOST), slope)
        return self.last

    def is_penalty(self, known: Evaluation) -> bool:
        """Return whether an answer is a penalty: it is above all values."""
        return known.fun > self.worst

    def forget(self) -> None:
        """Forget everything but the incumbent."""
        self.last, self.last_good, self.iterate = NOWHERE, None, None
        self.recent.clear()
