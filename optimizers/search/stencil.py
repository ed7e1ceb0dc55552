"""A second-order stencil: the quadratic that differences of values around a point give."""

import numpy as np

from optimizers._types import Array
from optimizers.search.subproblem import Quadratic


class Stencil:
    """The points center +- h_i and center + h_i + h_j: 2n + n(n - 1)/2 of them.

    The center is the point itself, or, near a bound, one that is moved so that all points are
    within the bounds; then it is the first of the points. Errors of the gradient are of second
    order in h, as are those of the Hessian on its diagonal; the others are of first order.

    Parameters
    ----------
    point : ndarray of float64, shape (n,)
        Where the model is wanted, within the bounds.
    steps : ndarray of float64, shape (n,)
        The steps h, which are shortened where the bounds leave less than twice as much.
    low, high : ndarray of float64, shape (n,)
        The bounds.
    """

    def __init__(self, point: Array, steps: Array, low: Array, high: Array) -> None:
        self._h = np.minimum(steps, high / 2.0 - low / 2.0)
        center = np.clip(point, low + self._h, high - self._h)
        self._shift = point - center
        self._first, self._second = np.triu_indices(point.size, 1)
        axes = np.eye(point.size)
        moves = np.concatenate([axes, -axes, axes[self._first] + axes[self._second]]) * self._h
        if self._shift.any():
            moves = np.concatenate([np.zeros((1, point.size)), moves])
        #: The points, shape (k, n).
        self.points = np.clip(center + moves, low, high)

    def fit(self, value: float, values: Array) -> Quadratic | None:
        """Return the model around the point, or None where too little is known.

        Parameters
        ----------
        value : float
            The value of the point.
        values : ndarray of float64, shape (k,)
            The values of the points; NaN where there are none. If one side of a variable is
            unknown, its slope is that of the other, and its curvatures count as zero.
        """
        n, (h, i, j) = self._h.size, (self._h, self._first, self._second)
        if self._shift.any():
            value, values = float(values[0]), values[1:]
        with np.errstate(over="ignore", invalid="ignore"):
            rises, falls = values[:n] - value, value - values[n : 2 * n]
            mixed = values[2 * n :] - value - rises[i] - rises[j]
            sides = np.vstack([rises, falls]) / h
            hessian = np.zeros((n, n))
            hessian[i, j] = mixed / (h[i] * h[j])
            hessian += hessian.T + np.diag((rises - falls) / h**2)
        hessian = np.where(np.isfinite(hessian), hessian, 0.0)
        known = np.isfinite(sides)
        if not known.any(axis=0).all():
            return None
        slopes = np.where(known, sides, 0.0).sum(axis=0) / known.sum(axis=0)
        return Quadratic(slopes + hessian @ self._shift, hessian)
