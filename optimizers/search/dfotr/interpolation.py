"""Quadratics through values at points, and how little the points tell of others."""

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.search.subproblem import Quadratic

#: What is added to the curvatures' diagonal, so that two points at the same place do no harm, and
#: taken from that of the slopes, so that there may be directions without points.
_RIDGE = 1e-12
#: The frame changes where the radius has by this factor, or the center moved by so many units.
_RESIZED, _MOVED = 4.0, 2.0
#: After so many updates for each point the inverse is made anew: rounding errors add up.
_UPDATES = 0.02
#: An update that divides by less than this is not made.
_SINGULAR = 1e-10


class Interpolation:
    """The inverse of the linear system of the quadratics of least norm through values at points.

    Of all quadratics with given values at m points, the one whose Hessian has the least Frobenius
    norm solves m + n + 1 equations [1]. Their inverse has the Lagrange functions of the points in
    its columns, and tells how little is known elsewhere. A point that comes, or takes another's
    place, changes it by bordering, in O((m + n)^2).

    [1] M. J. D. Powell, "Least Frobenius norm updating of quadratic models that satisfy
    interpolation conditions", Mathematical Programming 100 (2004) 183-215.

    Parameters
    ----------
    points : ndarray of float64, shape (m, n)
        The points.
    center : ndarray of float64, shape (n,)
        The origin of the frame that the system is written in.
    unit : float
        The length in it.
    """

    def __init__(self, points: Array, center: Array, unit: float) -> None:
        self._origin, self._unit = center, unit
        self._place(points)
        self._invert()

    def _place(self, points: Array) -> None:
        self.points = points
        self._scaled, self._sizes = self._framed(points)

    def _framed(self, points: Array) -> tuple[Array, Array]:
        """Return points in the frame, and what divides their rows, so that far ones do no harm."""
        scaled = (points - self._origin) / self._unit
        return scaled, 1.0 + np.einsum("ij,ij->i", scaled, scaled)

    def _invert(self) -> None:
        m, n = self.points.shape
        matrix = np.zeros((m + n + 1, m + n + 1))
        matrix[:m], corners = self._borders(self.points)
        matrix[np.arange(m), np.arange(m)] = corners
        matrix[m:, :m] = matrix[:m, m:].T
        matrix[m + 1 :, m + 1 :] = -_RIDGE * np.eye(n)
        self._inverse = np.linalg.inv(matrix)
        self._updates = 0

    def _borders(self, points: Array) -> tuple[Array, Array]:
        """Return the rows that points would add to the matrix, and their diagonal entries."""
        scaled, sizes = self._framed(points)
        squares = (scaled @ self._scaled.T) ** 2 / (2.0 * self._sizes)
        rows = np.concatenate([squares, np.ones((len(points), 1)), scaled], axis=1)
        return rows / sizes[:, np.newaxis], ((sizes - 1.0) / sizes) ** 2 / 2.0 + _RIDGE

    @property
    def _is_worn(self) -> bool:
        return self._updates > _UPDATES * len(self.points)

    def framed(self, center: Array, unit: float) -> "Interpolation":
        """Return the same in a frame that suits a center and a radius: itself, if its own does."""
        is_sized = self._unit / _RESIZED <= unit <= self._unit * _RESIZED
        is_near = np.linalg.norm(center - self._origin) <= _MOVED * self._unit
        if is_sized and is_near and not self._is_worn:
            return self
        return Interpolation(self.points, center, unit)

    def kept(self, rows: NDArray[np.intp]) -> "Interpolation":
        """Return the same with some of the points only."""
        return Interpolation(self.points[rows], self._origin, self._unit)

    def quadratic(self, values: Array, center: Array) -> Quadratic:
        """Return the quadratic of given values, shape (m,), by steps from a center."""
        m = len(self.points)
        return self._from(self._inverse[:, :m] @ (values / self._sizes), center)

    def lagrange(self, row: int, center: Array) -> Quadratic:
        """Return the quadratic that is 1 at one point and 0 at all others."""
        return self._from(self._inverse[:, row] / self._sizes[row], center)

    def _from(self, solution: Array, center: Array) -> Quadratic:
        m, scaled = len(self.points), self._scaled
        weights = solution[:m] / self._sizes
        along = scaled @ ((center - self._origin) / self._unit)
        gradient = solution[m + 1 :] + scaled.T @ (weights * along)
        hessian = scaled.T @ (weights[:, np.newaxis] * scaled)
        return Quadratic(gradient / self._unit, hessian / self._unit**2)

    def unknown(self, points: Array) -> Array:
        """Return how little is known at points, (k,): what Powell calls beta, and 0 at a known one.

        The root of it bounds the error of the quadratic, for a Hessian of norm 1.
        """
        borders, corners = self._borders(points)
        known = np.einsum("ij,ij->i", borders @ self._inverse, borders)
        return np.asarray((corners - known) * self._framed(points)[1] ** 2)

    def jointly_unknown(self, points: Array) -> Array:
        """Return the same as a matrix, (k, k): of Schur complements, so that points may join."""
        borders, corners = self._borders(points)
        scaled, sizes = self._framed(points)
        known = np.outer(sizes, sizes) * (borders @ self._inverse @ borders.T)
        unknown = (scaled @ scaled.T) ** 2 / 2.0 - known
        np.fill_diagonal(unknown, corners * sizes**2 - np.diag(known))
        return np.asarray(unknown)

    def exchanges(self, point: Array) -> Array:
        """Return by what the system's determinant grows if a point takes each other's place."""
        m = len(self.points)
        (border,), (corner,) = self._borders(point[np.newaxis])
        solved = self._inverse @ border
        growth = solved[:m] ** 2 + np.diag(self._inverse)[:m] * (corner - border @ solved)
        size = self._framed(point[np.newaxis])[1]
        return np.asarray(np.abs(growth) * (size / self._sizes) ** 2)

    def append(self, point: Array) -> None:
        """Take a point in as the last."""
        m = len(self.points)
        (border,), (corner,) = self._borders(point[np.newaxis])
        solved = self._inverse @ border
        rest = corner - border @ solved
        self._place(np.vstack([self.points, point]))
        if self._is_worn or not rest > _SINGULAR * corner:
            self._invert()
            return
        column = np.insert(solved, m, -1.0)
        grown = np.insert(np.insert(self._inverse, m, 0.0, axis=0), m, 0.0, axis=1)
        self._inverse = grown + np.outer(column, column / rest)
        self._updates += 1

    def replace(self, row: int, point: Array) -> None:
        """Put a point in the place of another."""
        (old, border), (old_corner, corner) = self._borders(np.stack([self.points[row], point]))
        points = self.points.copy()
        points[row] = point
        self._place(points)
        # The matrix gets another row and column, and so the inverse something of rank two.
        change = border - old
        change[row] = (corner - old_corner) / 2.0
        wings = np.stack([np.zeros_like(change), change], axis=1)
        wings[row, 0] = 1.0
        solved = self._inverse @ wings
        middle = np.array([[0.0, 1.0], [1.0, 0.0]]) + wings.T @ solved
        if self._is_worn or not abs(np.linalg.det(middle)) > _SINGULAR:
            self._invert()
            return
        self._inverse = self._inverse - solved @ np.linalg.solve(middle, solved.T)
        self._updates += 1
