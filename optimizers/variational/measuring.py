"""Measuring a noisy objective: values and gradients with errors that fall with repetition."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.flow import Told
from optimizers.gradients.misfit import CheckedPlan
from optimizers.gradients.source import GradientSource
from optimizers.run.run import Run

#: The weight of a given or earlier measured level, in measurements, and its maximum: noise differs
#: elsewhere.
_GIVEN, _MOST = 50.0, 100.0
#: How often the start is measured to detect noise, and again to estimate it.
_FIRST, _AGAIN = 2, 6
#: The averaged quantities.
_AVERAGED = ("fun", "fun_error", "jac", "jac_error", "curvature", "curvature_error", "values")


@dataclass(frozen=True, eq=False)
class Measured:
    """The means of ``count`` measurements at a point, with standard errors."""

    x: Array
    fun: float
    fun_error: float
    jac: Array
    jac_error: Array
    #: Second derivatives along each variable, if the gradient's probes give them.
    curvature: Array | None
    curvature_error: Array | None
    #: At the point and its probes.
    values: Array
    count: int = 1
    waves: int = 1
    is_rejected: bool = False

    def is_above(self, other: "Measured", errors: float) -> bool:
        """Return whether its value exceeds another's by more than a number of errors."""
        return self.fun - other.fun > errors * float(np.hypot(self.fun_error, other.fun_error))


class Measuring:
    """How points of one run are measured."""

    def __init__(self, run: Run, sigma: float) -> None:
        self._run = run
        #: The standard deviation of a value, as far as known, unless the objective returns it.
        self.sigma = sigma
        self._is_told = False
        self._weight = _GIVEN
        #: The gradient source; None if the gradient is the user's.
        self.source: GradientSource | None = (
            None if run.problem.derivatives.is_given else run.source
        )
        #: The standard deviation of a component of the user's own gradient.
        self.slope_sigma = 0.0

    def at(self, x: Array, repeats: int = 1) -> Generator[AskData, Told, Measured]:
        """Measure a point, with all probes of its gradient, ``repeats`` times in one wave.

        If the objective takes shots, with so many times their number.
        """
        if self.source is None:
            return (yield from self._given(x, repeats))
        run = self._run
        plan = run.questions.plan(x)
        points = np.concatenate([x[np.newaxis], plan.points])
        paid = run.budget.paid
        copies, shots = repeats, None
        if paid.takes_shots and paid.each is not None:
            copies, shots = 1, repeats * paid.each
        told = yield AskData(np.tile(points, (copies, 1)), shots=shots)
        rows = told.fun.reshape(copies, len(points))
        values = rows.mean(axis=0)
        known = told_error(told)
        if known is not None:
            self.sigma, self._is_told = known * float(np.sqrt(repeats / copies)), True
        if copies > 1:
            self._learn(float(np.sum((rows - values) ** 2)), (copies - 1) * len(points))
        error, are_known = self.sigma / np.sqrt(repeats), told.known is None or told.known.all()
        if are_known:
            errors = np.full(len(points), error)
            run.questions.assumed.judge(plan, values[:1, None], values[None, 1:], errors)
        bent, noise = plan.curvature(values[0], values[1:]), plan.curvature_noise
        return Measured(
            x,
            float(values[0]),
            error,
            plan.fold(values[0], values[1:]),
            error * plan.noise,
            bent,
            None if bent is None or noise is None else error * noise,
            # Checks of the source are not measured again.
            values[: 1 + plan.count] if isinstance(plan, CheckedPlan) else values,
            repeats,
            is_rejected=not are_known,
        )

    def _given(self, x: Array, repeats: int) -> Generator[AskData, Told, Measured]:
        """Measure a point whose gradient is the user's own."""
        points = np.tile(x, (repeats, 1))
        told = yield AskData(points, points)
        fun, jac = told.fun.mean(keepdims=True), told.jac.mean(axis=0)
        if repeats > 1:
            slopes = float(np.sum((told.jac - jac) ** 2)) / ((repeats - 1) * x.size)
            self.slope_sigma = self.slope_sigma or float(np.sqrt(slopes))
        root = np.sqrt(repeats)
        slope_error = np.full(x.size, self.slope_sigma / root)
        lost = told.known is not None and not told.known.all()
        known = (x, float(fun[0]), self.sigma / root, jac, slope_error)
        return Measured(*known, None, None, fun, repeats, is_rejected=lost)

    def again(self, known: Measured, repeats: int = 1) -> Generator[AskData, Told, Measured]:
        """Measure a point again, and return the combined measurement."""
        new = yield from self.at(known.x, repeats)
        if new.is_rejected:
            return replace(known, waves=known.waves + 1)
        count = known.count + new.count
        old_part, new_part = known.count / count, new.count / count
        if self.source is None or not self.source.is_random:
            spread = known.count * new_part * float(np.sum((known.values - new.values) ** 2))
            self._learn(spread, len(new.values))

        def mean(name: str) -> Any:
            one, other = getattr(known, name), getattr(new, name)
            if one is None:
                return None
            one, other = old_part * one, new_part * other
            return np.hypot(one, other) if name.endswith("_error") else one + other

        means = {name: mean(name) for name in _AVERAGED}
        return replace(known, **means, count=count, waves=known.waves + 1, is_rejected=False)

    def _learn(self, squares: float, freedom: int) -> None:
        """Update the noise level from the differences of repeated values."""
        if self._is_told or squares == 0.0:  # equal values: the noise is a function of the point
            return
        variance = self._weight * self.sigma**2 + squares
        self._weight += freedom
        self.sigma = float(np.sqrt(variance / self._weight))
        self._weight = min(self._weight, _MOST)


def told_error(told: Told) -> float | None:
    """Return the standard error of the values of a wave, if the objective returned it."""
    # Zeros mean nothing: some sampling objectives always return them.
    if told.errors is None or not (told.errors > 0).any():
        return None
    return float(np.sqrt(np.nanmean(told.errors**2)))


def first_look(x: Array) -> Generator[AskData, Told, float]:
    """Return the standard deviation of the values at a point; 0.0 if they are equal."""
    told = yield AskData(np.tile(x, (_FIRST, 1)))
    known = told_error(told)
    if known is not None:
        return known
    values = told.fun
    if np.ptp(values) == 0.0:
        return 0.0
    told = yield AskData(np.tile(x, (_AGAIN, 1)))
    return float(np.std(np.concatenate([values, told.fun]), ddof=1))
