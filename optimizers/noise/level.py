"""The level of the noise in an objective: difference tables of values along a line.

Pure functions of arrays: nothing here calls the objective.

References
----------
.. [1] J. J. Moré and S. M. Wild, "Estimating computational noise", SIAM Journal on Scientific
   Computing 33 (2011) 1292-1314.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optimizers._types import Array
from optimizers.gradients.stencils import clipped, inside, room

#: Values in each table: differences up to the seventh order.
_COUNT = 8
#: Distances between the points of the tables, relative to ``max(1, abs(x))``. The near one is for
#: noise at each call; noise that is a function of the point may show only in the far one.
_SPACINGS = (1e-7, 1e-4)
#: How many points they take.
TABLES = _COUNT * len(_SPACINGS)
#: Noise below this fraction of the values is no more than rounding.
_ROUNDING = 1e-13
#: Estimates of three successive orders agree if they are within this factor.
_AGREEMENT = 4.0


@dataclass(frozen=True)
class NoiseEstimate:
    """The standard deviation of the values' noise; or nan, and why the tables do not show it."""

    sigma: float
    reason: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the tables show the noise."""
        return not self.reason


@dataclass(frozen=True)
class NoisePlan:
    """Points of two tables, each equally spaced on a line, whose values show the noise."""

    points: Array

    def fold(self, values: Array) -> NoiseEstimate:
        """Return the noise, given the values at ``points``, shape (k,).

        That of the near table, if it is more than rounding; otherwise that of the far one.
        """
        if not len(values):
            return NoiseEstimate(math.nan, "the bounds leave no variable free")
        near, far = (estimate_noise(table) for table in values.reshape(-1, _COUNT))
        rounding = _ROUNDING * float(np.max(np.abs(values)))
        if near.is_known and (near.sigma > rounding or not far.is_known):
            return near
        return far if far.is_known else near


def plan_noise(
    x: Array,
    rng: np.random.Generator,
    lower: Array | None = None,
    upper: Array | None = None,
    spacings: tuple[float, float] = _SPACINGS,
) -> NoisePlan:
    """Return two tables of points along a random direction from ``x``, inside the bounds.

    The spacings are relative to ``max(1, abs(x))``. A variable moves to the side that has more
    room; if none can move there are no points.
    """
    direction = rng.normal(size=x.shape)
    tables = [line(x, direction, spacing, _COUNT, lower, upper) for spacing in spacings]
    if all((table[1:] == x).all() for table in tables):
        return NoisePlan(np.empty((0, x.size)))
    return NoisePlan(np.concatenate(tables))


def line(
    x: Array, direction: Array, spacing: float, count: int, lower: Array | None, upper: Array | None
) -> Array:
    """Return equally spaced points from ``x``, inside the bounds; the first is ``x`` itself.

    ``spacing`` is relative to ``max(1, abs(x))``.
    """
    step = spacing * np.maximum(1.0, np.abs(x)) * direction / (np.linalg.norm(direction) or 1.0)
    step = inside(step, *room(x, lower, upper), count - 1)
    return clipped(x + np.arange(count)[:, np.newaxis] * step, lower, upper)


def estimate_noise(values: Array) -> NoiseEstimate:
    """Return the noise in values at 6 or more equally spaced points of a line.

    Three successive orders of differences agree on it, and one has both signs [1]_.
    """
    if not np.isfinite(values).all():
        return NoiseEstimate(math.nan, "a value is not finite")
    _, counts = np.unique(values, return_counts=True)
    if 2 * counts.max() > len(values):
        return NoiseEstimate(math.nan, "most values are equal")
    levels, has_both_signs = [], []
    for level, differences in difference_levels(values):
        levels.append(level)
        has_both_signs.append(bool(differences.min() < 0 < differences.max()))
    for k in range(len(levels) - 2):
        three = levels[k : k + 3]
        if has_both_signs[k] and 0 < max(three) <= _AGREEMENT * min(three) < math.inf:
            return NoiseEstimate(levels[k])
    return NoiseEstimate(math.nan, "the values are too smooth, or too far apart, to show noise")


def difference_levels(values: Array) -> Iterator[tuple[float, Array]]:
    """Yield the noise by differences of each order, from the first, and these differences."""
    differences, gamma = values, 1.0
    with np.errstate(over="ignore"):
        for k in range(1, len(values)):
            differences = np.diff(differences)
            gamma *= k / (2.0 * (2 * k - 1))  # (k!)^2 / (2 k)!
            yield math.sqrt(gamma) * float(np.sqrt(np.mean(differences**2))), differences
