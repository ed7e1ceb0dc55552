"""The points for the Jacobian of residuals, and the steps under noise."""

from typing import Any

import numpy as np

from optimizers._types import Array

_EPS = float(np.finfo(np.float64).eps)
#: The size of a variable is at least this fraction of its largest value so far.
_SMALL = 1e-3
#: The minimum size of a variable.
_NOTHING = 1e-290
#: Differences span this many times the noise.
_RESOLVED = 300.0


class Probes:
    """Points near a point, and the Jacobian by differences of residuals there.

    Steps are relative to each variable. The noise is the standard deviation of the residuals over
    their norm, both of the whole vector.
    """

    def __init__(self, x0: Array, lower: Array, upper: Array, sizes: Any = None) -> None:
        self.lower, self.upper, self.noise = lower, upper, 0.0
        #: The largest value of each variable so far, or its given size; 1 where it is almost 0.
        self.typical = np.abs(x0) if sizes is None else np.broadcast_to(sizes, x0.shape).copy()
        self.typical[self.typical < _NOTHING] = 1.0
        #: Small variables, which may be almost 0: their size is unknown.
        self.may_be_zero = (self.typical < 1.0) & (sizes is None)
        #: Which variables can be moved.
        self.moved = np.flatnonzero(lower < upper)
        #: Whether steps go both ways although noise makes them wide.
        self.is_two_sided = False
        #: Whether there are bounds at all.
        self.has_bounds = bool(np.isfinite([lower, upper]).any())
        #: The norms of the Jacobian's columns over that of the residuals, once known.
        self.columns: Array | None = None

    def size(self, x: Array) -> Array:
        """Return the sizes of the variables."""
        return np.maximum(np.abs(x), _SMALL * self.typical)

    def clipped(self, x: Array) -> Array:
        """Return a point within the bounds."""
        return np.minimum(np.maximum(x, self.lower), self.upper) if self.has_bounds else x

    def points(self, x: Array, central: bool) -> Array:
        """Return the points (p, n), one for each variable, and then one on its other side."""
        h = self._wide(x) if self.noise else _EPS ** (1 / 3 if central else 1 / 2) * self.size(x)
        above, below = np.minimum(h, self.upper - x), np.minimum(h, x - self.lower)
        if central or (self.noise and self.is_two_sided):
            both = np.vstack([np.diag(above)[self.moved], -np.diag(below)[self.moved]])
            return np.asarray(x + both)
        up = np.where(x < 0, (below < h) & (above > below), (above == h) | (above >= below))
        return np.asarray(x + np.diag(np.where(up, above, -below))[self.moved])

    def _wide(self, x: Array) -> Array:
        """Return steps that change the residuals by more than their noise."""
        sigma = self.noise
        if self.columns is None:
            return np.asarray(sigma**0.5 * np.where(x != 0, np.abs(x), self.typical))
        base = np.maximum(np.abs(x), 0.1 * self.typical)
        with np.errstate(all="ignore"):
            h = np.where(self.columns > 0, _RESOLVED * sigma / self.columns, np.inf)
        return np.clip(h, 0.1 * sigma * base, max(0.3, sigma**0.5) * base)

    def jacobian(self, x: Array, residuals: Array, points: Array, found: Array) -> Array:
        """Return the Jacobian (m, n) by residuals (p, m) at points; 0 where they are not finite."""
        moved = self.moved
        k = moved.size
        is_double = len(points) > k
        origin = found[k:] if is_double else residuals
        start = points[k + np.arange(k), moved] if is_double else x[moved]
        with np.errstate(all="ignore"):
            quotients = (found[:k] - origin).T / (points[np.arange(k), moved] - start)
        jacobian = np.zeros((residuals.size, x.size))
        jacobian[:, moved] = np.where(np.isfinite(quotients), quotients, 0.0)
        return jacobian

    def row(self, x: Array, spacing: float) -> Array:
        """Return four points in a row next to ``x``, for a table of differences."""
        h = spacing * self.size(x)
        above, below = (self.upper - x) / 4.0, (x - self.lower) / 4.0
        direction = np.where(above >= h, h, np.where(below >= h, -h, 0.0))
        return x + np.arange(1.0, 5.0)[:, np.newaxis] * direction
