"""A quick measurement of a noisy objective: noise, gradient and curvatures from one wave.

It is good enough for the first steps, and takes 2 n + 4 points; the tables of
:mod:`optimizers.noise.level` and :mod:`optimizers.noise.steps` take 10 n + 17. Pure functions of
arrays.
"""

from dataclasses import dataclass

import numpy as np

from optimizers._types import Array
from optimizers.gradients.differences import Scheme
from optimizers.gradients.plan import Plan
from optimizers.gradients.stencils import central
from optimizers.noise.level import difference_levels, line

#: The steps of the first differences, relative to ``max(1, abs(x))``.
COARSE = 0.1
#: The distance of the points on the line, relative to that too, and how many there are besides x.
#: Noise that is a function of the point shows if it changes within it; exact values are smooth.
_SPACING, _COUNT = 3e-5, 3
#: A curvature is visible if it exceeds this many of its standard deviations.
_VISIBLE = 1.2
#: Where it is not visible, it is taken to be at least this many.
_HIDDEN = 0.2
#: The longest first step along a variable, relative to ``max(1, abs(x))``.
_REACH = 0.5
#: The smallest curvature that sets the step of a difference, relative to the largest.
_RANGE = 1e-3
#: The factors of the steps for one-sided and for central differences, and their shortest and
#: longest steps, relative to ``max(1, abs(x))``.
_STEPS = {"2-point": (8**0.25, 1e-7, 0.3), "3-point": (1.5 * 3**0.5, 1e-5, 0.3)}
_TINY = 1e-300


@dataclass(frozen=True)
class Quick:
    """What a quick measurement tells."""

    #: The standard deviation of a value.
    sigma: float
    gradient: Array
    #: The sizes of the second derivatives along the variables, as far as noise does not hide them.
    bends: Array
    #: The curvatures that scale the first step: visible ones, or so large that it is not too long.
    curvature: Array


@dataclass(frozen=True)
class QuickPlan:
    """The points of a quick measurement: a line for the noise, and a pair for each variable."""

    x: Array
    line: Array
    pairs: Plan

    @property
    def points(self) -> Array:
        """All of them, without the point itself."""
        return np.concatenate([self.line, self.pairs.points])

    def fold(self, f0: float, values: Array) -> Quick | None:
        """Return what finite values at the point itself and at ``points`` tell.

        None if some on the line are equal, as those of counts: then their noise is not seen.
        """
        on_line, values = np.append(f0, values[: len(self.line)]), values[len(self.line) :]
        if len(np.unique(on_line)) < len(on_line):
            return None
        # The first order sees the slope of the line, one of the other two perhaps its curvature.
        levels = [level for level, _ in difference_levels(on_line)]
        sigma = min(levels[1:])
        with np.errstate(over="ignore", invalid="ignore"):
            gradient = self.pairs.fold(f0, values)
            bends, noise = self.pairs.curvature(f0, values), self.pairs.curvature_noise
        assert bends is not None
        assert noise is not None
        visible = np.where(bends > _VISIBLE * sigma * noise, bends, 0.0)
        least = np.abs(gradient) / (_REACH * np.maximum(1.0, np.abs(self.x)))
        hidden = _HIDDEN * sigma * noise
        return Quick(sigma, gradient, np.maximum(np.abs(bends), hidden), np.maximum(visible, least))


def plan_quick(
    x: Array,
    steps: Array,
    rng: np.random.Generator,
    lower: Array | None = None,
    upper: Array | None = None,
) -> QuickPlan:
    """Return the points of a quick measurement around ``x`` inside the bounds."""
    direction = rng.normal(size=x.shape)
    near = line(x, direction, _SPACING, _COUNT + 1, lower, upper)[1:]
    return QuickPlan(x, near, central(x, steps, lower, upper))


def steps_for(x: Array, bends: Array, sigma: float, scheme: Scheme) -> Array:
    """Return the steps of one-sided or central differences for noise and second derivatives."""
    factor, shortest, longest = _STEPS[scheme]
    size = np.maximum(1.0, np.abs(x))
    bends = np.maximum(bends, _RANGE * float(np.max(bends, initial=0.0)) + _TINY)
    steps: Array = np.clip(factor * np.sqrt(sigma / bends), shortest * size, longest * size)
    return steps
