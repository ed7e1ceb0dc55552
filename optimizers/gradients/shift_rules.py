"""Shift rules: derivatives of a sum of sinusoids of known frequencies, from values along a line.

Pure functions of numbers. With R frequencies there are 2 R + 1 unknown coefficients, so that the
value at the point and those at 2 R offsets determine the function and all its derivatives. Weights
are for ``f(x + offset) - f(x)``, and for offsets in units of the longest, so that the smallest
intervals neither overflow nor vanish.

References
----------
.. [1] D. Wierichs, J. Izaac, C. Wang and C. Y.-Y. Lin, "General parameter-shift rules for quantum
   gradients", Quantum 6 (2022) 677.
"""

import functools
import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from optimizers._types import Array
from optimizers.gradients.source import EPS

Frequencies: TypeAlias = tuple[float, ...]

#: Frequencies are multiples of one number if none differs from that by more than this fraction.
_EQUAL = 1e-12
#: Offsets that rounding changes by more than this fraction of 1 / frequency get separate weights.
_ROUNDED = 1e-10
#: Lengths that are tried for offsets without a closed form.
_LENGTHS = 48
#: Fractions of the room that are tried near bounds.
_PARTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
#: Beyond this condition number, a system of equations is useless.
_SINGULAR = 1e13


@dataclass(frozen=True)
class Rule:
    """Offsets at which to evaluate, and the weights that give two derivatives.

    Offsets alternate between both sides.
    """

    offsets: Array
    #: The weights of the first and the second derivative, times ``scale`` and its square.
    slope: Array
    bend: Array
    #: The longest offset.
    scale: float

    @property
    def noise(self) -> float:
        """The derivative's standard deviation for values of standard deviation 1."""
        return math.hypot(*self.slope, self.slope.sum()) / self.scale


@functools.lru_cache(maxsize=256)
def usual_rule(frequencies: Frequencies, shift: float) -> Rule:
    """Return the rule where there is room on both sides; ``shift`` is for a single frequency."""
    spacing, count = spacing_of(frequencies), len(frequencies)
    if count == 1:
        sizes = np.array([shift / frequencies[0]])
        return _symmetric(sizes, frequencies, np.array([frequencies[0] / (2 * math.sin(shift))]))
    if spacing is not None:
        phases = (2 * np.arange(1, count + 1) - 1) * np.pi / (2 * count)
        signs = (-1.0) ** np.arange(count)
        slope = signs * spacing / (4 * count * np.sin(phases / 2) ** 2)
        return _symmetric(phases / spacing, frequencies, slope)
    parts = (2 * np.arange(1, count + 1) - 1) / (2 * count)
    gaps = np.diff((0.0, *frequencies))
    lengths = np.geomspace(0.5 * np.pi / frequencies[-1], 2 * np.pi / gaps.min(), _LENGTHS)
    rules = [_symmetric(parts * length, frequencies) for length in lengths]
    return min(rules, key=_badness)


def spacing_of(frequencies: Frequencies) -> float | None:
    """Return the number whose first multiples are the frequencies, or None."""
    first = frequencies[-1] / len(frequencies)
    multiples = first * np.arange(1, len(frequencies) + 1)
    return first if np.allclose(frequencies, multiples, rtol=_EQUAL, atol=0.0) else None


def rule_inside(
    frequencies: Frequencies, shift: float, x: float, lower: float, upper: float
) -> Rule:
    """Return a rule whose offsets stay between the bounds after rounding; it may have none."""
    rule = usual_rule(frequencies, shift)
    wanted = _moved_by_periods(rule.offsets, frequencies, lower - x, upper - x)
    if wanted is not None:
        found = _rounded(wanted, x, lower, upper)
        is_whole = len(found) == len(wanted)
        if is_whole and float(np.abs(found - wanted).max()) * frequencies[-1] <= _ROUNDED:
            return Rule(wanted, rule.slope, rule.bend, rule.scale)
        return rule_at(found, frequencies)
    reach = 2 * rule.scale
    low, high = max(lower - x, -reach), min(upper - x, reach)
    nodes = _candidates(low, high, 2 * len(frequencies))
    rules = [rule_at(_rounded(offsets, x, lower, upper), frequencies) for offsets in nodes]
    return min((rule for rule in rules if len(rule.offsets)), key=_badness, default=rules[0])


def rule_at(offsets: Array, frequencies: Frequencies) -> Rule:
    """Return the rule for given offsets, none of them zero and no two the same.

    If the equations cannot be solved, polynomials replace the sinusoids.
    """
    if not len(offsets):
        return Rule(offsets, offsets, offsets, 1.0)
    scale = float(np.abs(offsets).max())
    places, phases = offsets / scale, np.array(frequencies) * scale
    full = len(offsets) == 2 * len(frequencies)
    weights, condition = _sinusoids(places, phases) if full else (None, math.inf)
    degree = len(offsets)
    smooth = min(float(phases[-1]), 1e3) ** degree / math.factorial(degree + 1)
    if weights is None or smooth < EPS * condition:
        weights = _polynomials(places)
    return Rule(offsets, weights[:, 0], weights[:, 1], scale)


def _sinusoids(places: Array, phases: Array) -> tuple[Array | None, float]:
    """Return weights, shape (m, 2), and their loss of accuracy."""
    along = np.outer(phases, places)
    # 1 - cos, without its cancellation.
    rows = np.concatenate([np.sin(along), 2 * np.sin(along / 2) ** 2])
    zeros = np.zeros_like(phases)
    wanted = np.stack([np.append(phases, zeros), np.append(zeros, phases**2)], axis=1)
    size = np.abs(rows).max(axis=1)
    if not (np.isfinite(rows).all() and (size > 0).all()):
        return None, math.inf
    rows, wanted = rows / size[:, np.newaxis], wanted / size[:, np.newaxis]
    condition = float(np.linalg.cond(rows))
    if not condition < _SINGULAR:
        return None, math.inf
    return np.linalg.solve(rows, wanted), condition


def _polynomials(places: Array) -> Array:
    """Return the weights that are exact for polynomials, shape (m, 2)."""
    powers = np.vander(places, len(places) + 1, increasing=True)[:, 1:].T
    wanted = np.zeros((len(places), 2))
    wanted[0, 0] = 1.0
    if len(places) > 1:
        wanted[1, 1] = 2.0
    return np.asarray(np.linalg.lstsq(powers, wanted, rcond=None)[0])


def _symmetric(sizes: Array, frequencies: Frequencies, slope: Array | None = None) -> Rule:
    """Return the rule for symmetric offsets, by half of the system."""
    phases = np.outer(frequencies, sizes)
    w = np.array(frequencies)
    try:
        if slope is None:
            slope = np.linalg.solve(2 * np.sin(phases), w)
        bend = np.linalg.solve(4 * np.sin(phases / 2) ** 2, w**2)
    except np.linalg.LinAlgError:
        slope = bend = np.full(len(sizes), math.nan)
    scale = float(np.abs(sizes).max())
    both = np.stack([-sizes, sizes], axis=1).ravel()
    odd = np.stack([-slope, slope], axis=1).ravel() * scale
    return Rule(both, odd, np.repeat(bend, 2) * scale**2, scale)


def _moved_by_periods(
    offsets: Array, frequencies: Frequencies, low: float, high: float
) -> Array | None:
    """Return the offsets between two ends, each moved by whole periods if needed, or None."""
    is_inside = (offsets >= low) & (offsets <= high)
    if is_inside.all():
        return offsets
    spacing = spacing_of(frequencies)
    if spacing is None:
        return None
    period = 2 * math.pi / spacing
    with np.errstate(over="ignore", invalid="ignore"):
        up = offsets + np.ceil((low - offsets) / period) * period
        down = offsets + np.floor((high - offsets) / period) * period
    moved = np.where(offsets < low, up, np.where(offsets > high, down, offsets))
    return moved if ((moved >= low) & (moved <= high)).all() else None


def _candidates(low: float, high: float, count: int) -> list[Array]:
    """Return sets of ``count`` offsets between two ends: evenly spaced, and dense at the ends."""
    steps = np.arange(count + 1)
    shapes = steps / count, (1 - np.cos(np.pi * steps / count)) / 2
    found = []
    for shape in shapes:
        for part in _PARTS:
            nodes = part * (low + (high - low) * shape)
            nearest = int(np.abs(nodes).argmin())  # replaced by the point itself
            found.append(np.delete(nodes, nearest))
    return found


def _rounded(offsets: Array, x: float, lower: float, upper: float) -> Array:
    """Return offsets to the nearest distinct numbers between the bounds; there may be fewer."""
    points: list[float] = []
    for point in np.clip(x + offsets, lower, upper).tolist():
        free = _nearest_free(point, (x, *points), lower, upper)
        if free is not None:
            points.append(free)
    found: Array = np.array(points) - x
    return found


def _nearest_free(
    point: float, taken: tuple[float, ...], lower: float, upper: float
) -> float | None:
    if point not in taken:
        return point
    up = down = point
    for _ in taken:
        up, down = math.nextafter(up, math.inf), math.nextafter(down, -math.inf)
        for other in (up, down):
            if lower <= other <= upper and other not in taken and math.isfinite(other):
                return other
    return None


def _badness(rule: Rule) -> float:
    bend = math.hypot(*rule.bend, rule.bend.sum()) / rule.scale / rule.scale
    noise = rule.noise + 0.1 * bend
    return noise if math.isfinite(noise) else math.inf
