"""Stencils: the points for a derivative, and how to combine their values.

Pure functions of arrays. A step that would leave the bounds changes its side, or shrinks when
neither side has room; a probe is never the point itself. Functions that fold values also accept
rows of them: shape (..., k) at probes, and (..., 1) at the point.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._arrays import check_memory
from optimizers._types import Array
from optimizers.gradients.plan import Plan, RowsPlan

_Columns = NDArray[np.intp]


def complex_step(x: Array, h: Array) -> Plan:
    """Return the plan of complex steps, which have no cancellation; a zero step means no probe."""
    moved = np.flatnonzero(h)
    points = x + 1j * np.diag(h)[moved]

    def fold(f0: float, values: NDArray[Any]) -> Array:
        return _spread(x, moved, values.imag / h[moved])

    return RowsPlan(points, fold, lambda: _spread(x, moved, 1 / h[moved]))


def one_sided(x: Array, h: Array, lower: Array | None, upper: Array | None) -> Plan:
    """Return the plan of one-sided differences; a step's sign is its side, zero means no probe."""
    below, above = room(x, lower, upper)
    if lower is not None or upper is not None:
        h = inside(h, below, above)
    moved = np.flatnonzero(h)
    points, taken = offset(x, moved, h[moved], lower, upper)

    def fold(f0: float, values: Array) -> Array:
        return _spread(x, moved, (values - f0) / taken)

    def retry(f0: float, values: Array, failed: NDArray[np.bool_]) -> Plan | None:
        known = fold(f0, np.where(failed, f0, values))
        side, where = -taken[failed], moved[failed]
        size = np.minimum(abs(side), np.where(side > 0, above[where], below[where]))
        others, back = offset(x, moved[failed], np.copysign(size, side), lower, upper)
        if not back.all():
            return None

        def refold(_: float, further: Array) -> Array:
            gradient = known.copy()
            gradient[..., moved[failed]] = (further - f0) / back
            return gradient

        steps = taken.copy()
        steps[failed] = back
        return RowsPlan(others, refold, lambda: _spread(x, moved, np.sqrt(2) / abs(steps)))

    return RowsPlan(points, fold, lambda: _spread(x, moved, np.sqrt(2) / abs(taken)), retry)


@dataclass(frozen=True)
class Pairs:
    """Two probes per variable, on both sides or at two distances on one.

    ``points`` has the first probes, then the second.
    """

    moved: _Columns
    #: Where there are two: between bounds one rounding apart there is room for one only.
    two: NDArray[np.bool_]
    #: The steps after rounding; ``d1`` is nan where there is no first probe.
    d1: Array
    d2: Array
    central: NDArray[np.bool_]
    points: Array

    def slopes(self, f0: float | Array, values: Array) -> tuple[Array, Array]:
        """Return the slopes to both probes; nan where there is no first one."""
        f1, f2 = self._split(values)
        return (f1 - f0) / self.d1, (f2 - f0) / self.d2

    def fold(self, f0: float | Array, values: Array) -> Array:
        """Return the derivatives of the moved variables."""
        f1, f2 = self._split(values)
        near, far = self.slopes(f0, values)
        span = self.d2 - self.d1
        ahead = near + (near - far) * (self.d1 / span)
        return np.where(self.two, np.where(self.central, (f2 - f1) / span, ahead), far)

    def noise(self) -> Array:
        """Return the derivatives' standard deviation for values of standard deviation 1."""
        d1, d2 = self.d1, self.d2
        w1, w2 = d2 / d1 / (d2 - d1), -d1 / d2 / (d2 - d1)
        ahead = np.sqrt(w1**2 + w2**2 + (w1 + w2) ** 2)
        both = np.where(self.central, np.sqrt(2) / abs(d2 - d1), ahead)
        return np.where(self.two, both, np.sqrt(2) / abs(d2))

    def curvature(self, f0: float, values: Array) -> Array:
        """Return the second derivatives of the moved variables; zero with one probe only."""
        near, far = self.slopes(f0, values)
        bent = 2 * (far - near) / (self.d2 - self.d1)
        return np.where(self.two, bent, 0.0)

    def curvature_noise(self) -> Array:
        """Return the second derivatives' standard deviation for values of standard deviation 1."""
        w1, w2 = 1 / self.d1, 1 / self.d2
        noise = 2 * np.sqrt(w1**2 + w2**2 + (w2 - w1) ** 2) / np.abs(self.d2 - self.d1)
        return np.where(self.two, noise, 0.0)

    def retry(self, f0: float, values: Array, failed: NDArray[np.bool_]) -> Array | None:
        """Return the derivatives with the slope to the good probe where the other failed."""
        first, second = self._split(failed)
        lost1, lost2 = first != 0, second != 0  # nan, where there is no first one, is not 0
        if (lost1 & lost2).any():
            return None
        filled = np.where(failed, f0, values)
        slope1, slope2 = self.slopes(f0, filled)
        derivative = np.where(lost1, slope2, self.fold(f0, filled))
        return np.where(lost2, slope1, derivative)

    def _split(self, values: NDArray[Any]) -> tuple[Array, NDArray[Any]]:
        count = values.shape[-1] - len(self.d2)
        first = np.full((*values.shape[:-1], len(self.d2)), np.nan)
        first[..., self.two] = values[..., :count]
        return first, values[..., count:]


def central(x: Array, h: Array, lower: Array | None, upper: Array | None) -> Plan:
    """Return the plan of central differences; next to a bound, of three points on one side."""
    pair = probe_pairs(x, h, lower, upper)
    return _plan(x, pair, pair.points, pair.fold, pair.noise, pair.retry)


def richardson(x: Array, h: Array, lower: Array | None, upper: Array | None) -> Plan:
    """Return the plan of central differences with steps h and h / 2, extrapolated to none."""
    coarse = probe_pairs(x, h, lower, upper)
    count = len(coarse.points)
    # Where the half steps are lost in rounding, the longer ones stand alone.
    at = x[coarse.moved]
    near, far = (at + coarse.d1 / 2) - at, (at + coarse.d2 / 2) - at
    ratio = (near / coarse.d1) * (far / coarse.d2)
    halved = np.flatnonzero(coarse.two & (near != far) & (ratio > 0.1) & (ratio < 0.5))
    d1, d2, both = coarse.d1[halved], coarse.d2[halved], coarse.moved[halved]
    fine = _probe(x, both, coarse.central[halved], d1 / 2, d2 / 2, lower, upper)
    # The error is d1 d2 f''' / 6 for both: a multiple of each leaves the next order.
    weight = 1 / (1 - ratio[halved])  # about 4 / 3

    def fold(f0: float, values: Array) -> Array:
        derivative = coarse.fold(f0, values[..., :count])
        ahead = fine.fold(f0, values[..., count:])
        derivative[..., halved] = ahead + (weight - 1) * (ahead - derivative[..., halved])
        return derivative

    def noise() -> Array:
        # The value at the point itself, in both where they are one-sided, is counted twice.
        alone = coarse.noise()
        alone[halved] = np.hypot(weight * fine.noise(), (weight - 1) * alone[halved])
        return alone

    def retry(f0: float, values: Array, failed: NDArray[np.bool_]) -> Array | None:
        # Each variable does with the better of its two pairs that is known.
        derivative = coarse.retry(f0, values[..., :count], failed[:count])
        ahead = fine.retry(f0, values[..., count:], failed[count:])
        if derivative is None and (ahead is None or len(halved) < len(coarse.moved)):
            return None
        if derivative is None:
            derivative = np.zeros((*values.shape[:-1], len(coarse.moved)))
        if ahead is not None:
            derivative[..., halved] = ahead
        return derivative

    return _plan(x, coarse, np.concatenate([coarse.points, fine.points]), fold, noise, retry)


def _plan(
    x: Array,
    pair: Pairs,
    points: Array,
    fold: Callable[[float, Array], Array],
    noise: Callable[[], Array],
    retry: Callable[[float, Array, NDArray[np.bool_]], Array | None],
) -> Plan:
    """Return the plan for all variables, given what is told of those that are moved."""

    def spread(values: Array) -> Array:
        return _spread(x, pair.moved, values)

    def again(f0: float, values: Array, failed: NDArray[np.bool_]) -> Plan | None:
        known = retry(f0, values, failed)
        if known is None:
            return None
        return RowsPlan(
            points[:0], lambda _, __: spread(known), lambda: spread(noise()), _takes_rows=True
        )

    return RowsPlan(
        points,
        lambda f0, values: spread(fold(f0, values)),
        lambda: spread(noise()),
        again,
        lambda f0, values: spread(pair.curvature(f0, values[: len(pair.points)])),
        lambda: spread(pair.curvature_noise()),
    )


def probe_pairs(x: Array, h: Array, lower: Array | None, upper: Array | None) -> Pairs:
    """Return two probes for each variable that has room: what :func:`central` is made of."""
    is_central, near, far = pair_steps(h, *room(x, lower, upper))
    moved = np.flatnonzero(far)
    return _probe(x, moved, is_central[moved], near[moved], far[moved], lower, upper)


def pair_steps(h: Array, below: Array, above: Array) -> tuple[NDArray[np.bool_], Array, Array]:
    """Return where differences are central, and the steps of both probes of each variable.

    They are central where both sides have room; else there are three points on the roomier side.
    """
    is_central = (h <= below) & (h <= above)
    far = np.where(is_central, h, inside(2 * h, below, above))
    return is_central, np.where(is_central, -far, far / 2), far


def _probe(
    x: Array,
    moved: _Columns,
    is_central: NDArray[np.bool_],
    near: Array,
    far: Array,
    lower: Array | None,
    upper: Array | None,
) -> Pairs:
    first, d1 = offset(x, moved, near, lower, upper)
    second, d2 = offset(x, moved, far, lower, upper)
    two = (d1 != 0) & (d1 != d2) & np.isfinite(d1)
    points = np.concatenate([first[two], second])
    return Pairs(moved, two, np.where(two, d1, np.nan), d2, is_central, points)


def _spread(x: Array, columns: _Columns, values: Array) -> Array:
    """Return ``values`` in their columns, and zeros."""
    whole = np.zeros((*values.shape[:-1], x.size))
    whole[..., columns] = values
    return whole


def room(x: Array, lower: Array | None, upper: Array | None) -> tuple[Array, Array]:
    """Return the distances to the bounds, infinite where there is none."""
    below = np.full_like(x, np.inf) if lower is None else x - lower
    above = np.full_like(x, np.inf) if upper is None else upper - x
    return below, above


def inside(h: Array, below: Array, above: Array, count: int = 1) -> Array:
    """Return steps of which ``count`` fit between the bounds; zero where those leave no room.

    On the side of ``h`` if they fit there, else on the roomier side, shortened if need be.
    """
    forward = h > 0
    ahead, other = np.where(forward, (above, below), (below, above))
    keep = (ahead >= count * np.abs(h)) | (ahead >= other)
    size = np.minimum(np.abs(h), np.where(keep, ahead, other) / count)
    steps: Array = np.where(forward == keep, size, -size)
    return steps


def clipped(points: Array, lower: Array | None, upper: Array | None) -> Array:
    """Return points with each variable between its bounds."""
    return points if lower is None and upper is None else np.clip(points, lower, upper)


def offset(
    x: Array, columns: _Columns, steps: Array, lower: Array | None, upper: Array | None
) -> tuple[Array, Array]:
    """Return one point for each step, and the steps as they are after rounding."""
    moved = x[columns] + steps
    if lower is not None and upper is not None:
        # x + (upper - x) may round to beyond the bound.
        moved = np.clip(moved, lower[columns], upper[columns])
    what = f"A wave of {len(columns)} probes for a gradient"
    check_memory(what, len(columns) * x.size, "pass jac, or use SPSAGradient, which needs few")
    points = np.repeat(x[np.newaxis], len(columns), axis=0)
    points[np.arange(len(columns)), columns] = moved
    return points, moved - x[columns]
