"""The distance of the solution: from the rate at which full steps shorten, and rounding."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from optimizers._types import Array
from optimizers.fitting.model import Model


@dataclass
class Plan:
    """A step by the model at a point, and its predicted decrease."""

    model: Model
    damping: float
    step: Array
    #: By how much the step lowers half the sum of squares, by the model, and the full step.
    gain: float
    full_gain: float
    #: The largest change of a variable relative to its size, by the step and by the full one.
    short: float
    long: float
    #: Whether it is the Gauss-Newton model, without further curvature.
    is_plain: bool = True

    @classmethod
    def within(cls, radius: float, model: Model, size: Array) -> Self:
        """Return the plan for a step of at most that length."""
        damping, step = model.within(radius)
        gain, short = model.gain(step), float((np.abs(step) / size).max())
        if not damping:
            return cls(model, damping, step, gain, gain, short, short)
        full = model.bounded(0.0)
        long = float((np.abs(full) / size).max())
        return cls(model, damping, step, gain, model.gain(full), short, long)


class Convergence:
    """Estimates the error after a step, and decides on better differences and on the end.

    Full Gauss-Newton steps contract linearly, at a rate that depends on the residuals at the
    solution: without it, a step does not measure the error.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        #: Whether steps are no longer judged by the values, because of rounding.
        self.is_final = False
        #: Whether the latest step was the model's and was accepted.
        self.is_undisturbed = False
        self._rate = 0.3
        self._before: float | None = None
        self._stalls = 0
        self._reached = np.inf

    def note(self, plan: Plan, cost: float, fall: float, is_measured: bool) -> bool:
        """Note a plan, and return whether full steps have stopped contracting.

        The last step has lowered half the sum of squares by ``fall`` to ``cost``.
        """
        before, is_stuck = self._before, False
        if is_measured:
            if before is not None and not plan.damping:
                if self.is_undisturbed:
                    ratio = plan.long / before if before else 0.0
                    self._rate = min(0.95, max(0.05, ratio, 0.5 * self._rate))
                is_stuck = plan.long > 0.9 * before and plan.gain <= 1e-8 * cost
            self._before = None if plan.damping else plan.long
        if self.is_final and plan.long > 0.9 * self._reached:
            if fall > 1e-12 * cost:  # not rounding: they lead away, perhaps from a saddle point
                self.is_final = False
            self._stalls += 1
        if self.is_final:
            self._reached = plan.long
        return is_stuck

    def left(self, plan: Plan) -> float:
        """Return the relative error that is expected after the full step."""
        return plan.long * self._rate / (1.0 - self._rate)

    def is_near(self, plan: Plan, cost: float) -> bool:
        """Return whether only the last step is left."""
        return self.left(plan) <= self._tolerance or plan.gain <= 1e-14 * cost

    def is_near_after(self, plan: Plan) -> bool:
        """Return whether only the last step is left after the full step."""
        return not plan.damping and self._rate * self.left(plan) <= self._tolerance

    def ends(self, plan: Plan, cost: float) -> bool:
        """Return whether the step is the last."""
        if not plan.is_plain:  # its curvature may be wrong, and its steps too short
            return plan.gain <= 1e-15 * cost
        if plan.damping:
            return plan.gain <= 1e-13 * cost or plan.short <= 0.1 * self._tolerance
        if self.left(plan) <= self._tolerance or plan.gain <= 1e-16 * cost:
            return True
        return self._stalls > 1 and plan.gain <= 1e-9 * cost

    def words(self, plan: Plan) -> str:
        """Return, in SciPy's words, which test the last step met."""
        error = plan.short if plan.damping else self.left(plan)
        if plan.is_plain and error <= self._tolerance:
            return "`xtol` termination condition is satisfied, by the estimated error of x."
        return "The model predicts no further reduction of the sum of squares beyond rounding."

    def begin_final(self) -> None:
        """Switch to steps that are not judged by values."""
        self.is_final, self.is_undisturbed = True, False
        self._before, self._reached, self._stalls = None, np.inf, 0
