"""The minimum along a line of a sum of sinusoids of known frequencies, from a few values."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from optimizers._types import Array
from optimizers.gradients.misfit import waves
from optimizers.gradients.shift_rules import Frequencies, rule_inside
from optimizers.variational.sinusoid import ROUNDINGS, Lowest, lowest, probes

#: Frequencies have a common period if they are multiples of a fraction with at most this
#: denominator, to this accuracy.
_DENOMINATOR, _EQUAL = 64, 1e-12
#: How many points of the grid there are in the shortest wave, and at most in all.
_DENSITY, _MOST = 16, 1 << 16
#: How often the minima of the grid are improved.
_STEPS = 50


class Line:
    """How to find the minimum along one variable of given frequencies."""

    def __init__(self, frequencies: Frequencies) -> None:
        self._frequencies = frequencies
        self._period = period_of(frequencies)

    def offsets(self, x: float, low: float, high: float) -> Array:
        """Return the offsets of the probes from a value of the variable, between its bounds."""
        if len(self._frequencies) == 1:
            w = self._frequencies[0]
            return np.array(probes((low - x) * w, (high - x) * w)) / w
        return rule_inside(self._frequencies, math.pi / 2, x, low, high).offsets

    def error(self, errors: Array, at: Array, offset: float) -> float:
        """Return the standard error of the minimum, given those of the values at 0 and probes."""
        # To first order, the offset of the minimum does not change its value.
        own, there = waves(at, self._frequencies), waves(np.array(offset), self._frequencies)
        weights = np.linalg.lstsq(own.T, there, rcond=None)[0]
        weights = np.append(1 - weights.sum(), weights)
        return float(np.linalg.norm(weights * errors))

    def lowest(self, values: Sequence[float], at: Array, low: float, high: float) -> Lowest:
        """Return the lowest minimum from low to high, given the values at 0 and at the probes.

        Of equal minima it is the one nearest to 0; 0 if the values show no sinusoids.
        """
        if len(self._frequencies) == 1:
            w = self._frequencies[0]
            first, second = (at * w).tolist()
            found = lowest(values, (first, second), low * w, high * w)
            return Lowest(found.offset / w, found.value)
        value, rises = values[0], np.array(values[1:]) - values[0]
        is_flat = not np.abs(rises).max(initial=0.0) > ROUNDINGS * np.abs(values).max()
        if is_flat or len(at) < 2 * len(self._frequencies):
            return Lowest(0.0, value)
        own = waves(at, self._frequencies)
        weights: Array = np.asarray(np.linalg.lstsq(own, rises, rcond=None)[0], np.float64)
        offset, drop = _lowest(
            weights, np.array(self._frequencies, np.float64), *self._within(low, high)
        )
        return Lowest(offset, value + drop)

    def _within(self, low: float, high: float) -> tuple[float, float]:
        """Return a period between two ends, around 0 if possible; or all there is."""
        half = self._period / 2
        if low > -half:
            return low, min(high, low + self._period)
        if high < half:
            return max(low, high - self._period), high
        return -half, half


def period_of(frequencies: Frequencies) -> float:
    """Return the common period; or, without one, that of the slowest wave or beat."""
    parts = [Fraction(w).limit_denominator(_DENOMINATOR) for w in frequencies]
    if all(abs(part - w) <= _EQUAL * w for part, w in zip(parts, frequencies, strict=True)):
        base = math.gcd(*(part.numerator * (_lcm(parts) // part.denominator) for part in parts))
        return 2 * math.pi * _lcm(parts) / base
    return 2 * math.pi / float(np.diff((0.0, *frequencies)).min())


def _lcm(parts: list[Fraction]) -> int:
    return math.lcm(*(part.denominator for part in parts))


def _lowest(weights: Array, w: Array, low: float, high: float) -> tuple[float, float]:
    """Return where ``waves(d, w) @ weights`` is lowest between two ends, and its value there."""
    count = min(_MOST, _DENSITY * math.ceil((high - low) * w[-1] / (2 * math.pi)) + 2)
    grid = np.linspace(low, high, count)
    values = waves(grid, w) @ weights
    # Ends count as minima of the grid if they are not above their neighbor.
    padded = np.concatenate([[math.inf], values, [math.inf]])
    minima = grid[(values <= padded[:-2]) & (values <= padded[2:])]
    step = (high - low) / (count - 1)
    left, right = np.maximum(minima - step, low), np.minimum(minima + step, high)
    cosines, sines = np.split(weights, 2)
    for _ in range(_STEPS):  # bisection of the slope: each interval has one minimum
        middle = (left + right) / 2
        phases = np.multiply.outer(middle, w)
        slope = (np.cos(phases) * sines - np.sin(phases) * cosines) @ w
        left, right = np.where(slope < 0, middle, left), np.where(slope < 0, right, middle)
    ends = np.concatenate([[0.0], minima, (left + right) / 2])
    drops = waves(ends, w) @ weights
    size = ROUNDINGS * float(np.abs(weights).sum())
    equal = ends[drops <= drops.min() + size]
    best = float(equal[np.abs(equal).argmin()])
    return best, float(waves(np.array([best]), w)[0] @ weights)
