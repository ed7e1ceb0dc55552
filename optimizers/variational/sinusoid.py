"""The minimum of a sinusoid along a line, from three values."""

import math
from collections.abc import Sequence
from typing import NamedTuple

_HALF_PI = math.pi / 2
_THIRD = 2 * math.pi / 3
#: An amplitude below this many rounding errors of the values is zero.
ROUNDINGS = 8 * 2.0**-52


class Lowest(NamedTuple):
    """The minimum of a sinusoid in an interval: its offset from the point, and the value there."""

    offset: float
    value: float


def probes(low: float, high: float) -> tuple[float, float]:
    """Return the offsets of two probes: ``pi / 2`` each way, or the best ones between bounds."""
    if low <= -_HALF_PI and high >= _HALF_PI:
        return _HALF_PI, -_HALF_PI
    pairs = (
        (min(_HALF_PI, high), max(-_HALF_PI, low)),
        (min(_THIRD, high / 2), min(2 * _THIRD, high)),
        (max(-_THIRD, low / 2), max(-2 * _THIRD, low)),
    )
    return max(pairs, key=lambda pair: abs(_determinant(*pair)))


def lowest(values: Sequence[float], at: tuple[float, float], low: float, high: float) -> Lowest:
    """Return the minimum, from low to high, of the sinusoid through the values at 0 and probes.

    Of equal minima it is the one nearest to 0; 0 if the values show no sinusoid.
    """
    value, first, second = values
    p, q = at
    rise, other = first - value, second - value
    determinant = _determinant(p, q)
    largest = max(abs(value), abs(first), abs(second))
    if not max(abs(rise), abs(other)) > ROUNDINGS * largest or determinant == 0:
        return Lowest(0.0, value)
    # f(d) = value + cosine (cos d - 1) + sine sin d
    cosine = (rise * math.sin(q) - other * math.sin(p)) / determinant
    sine = ((math.cos(p) - 1) * other - (math.cos(q) - 1) * rise) / determinant

    def at_offset(offset: float) -> Lowest:
        drop = cosine * (math.cos(offset) - 1) + sine * math.sin(offset)
        return Lowest(offset, value + drop)

    offset = math.atan2(-sine, -cosine)
    inside = [d for d in (offset, offset - 2 * math.pi, offset + 2 * math.pi) if low <= d <= high]
    if inside:
        return Lowest(min(inside, key=abs), value - cosine - math.hypot(cosine, sine))
    return min(Lowest(0.0, value), at_offset(low), at_offset(high), key=lambda found: found.value)


def _determinant(p: float, q: float) -> float:
    """Return how independent two probes are: zero if they determine no sinusoid."""
    return (math.cos(p) - 1) * math.sin(q) - (math.cos(q) - 1) * math.sin(p)
