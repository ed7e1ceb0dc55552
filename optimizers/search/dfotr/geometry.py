"""The geometry of a set of points: those to begin with, and those that improve it."""

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.search.dfotr.interpolation import Interpolation
from optimizers.search.space import Space

#: What part of a known point's distance has to be along a new direction.
_ASIDE = 0.1
#: Up to how many radii known points are taken, and what each has to add to those before, relative
#: to the fourth power of its distance.
_NEAR, _ADDS = 10.0, 1e-6


def cross(space: Space, center: Array, moves: Array, *, both: bool) -> Array:
    """Return a point beside a center for each of some moves, and those across from it if wanted.

    Where a bound is in the way it is the point across, and where that is out too, on the bound.
    """

    def is_inside(points: Array) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = (space.clip(points) == points).all(axis=1)
        return inside[:, np.newaxis]

    moves = np.where(is_inside(center + moves), moves, -moves)
    if both:
        across = np.where(is_inside(center - moves), -moves, 2.0 * moves)
        moves = np.concatenate([moves, across])
    return space.clip(center + moves)


def turned_cross(space: Space, center: Array, radius: float, rng: np.random.Generator) -> Array:
    """Return n orthogonal moves of random directions, along the axes where bounds are near."""
    moves = radius * np.linalg.qr(rng.normal(size=(space.n, space.n)))[0]
    ends = np.concatenate([center + moves, center - moves])
    return moves if (space.clip(ends) == ends).all() else radius * np.eye(space.n)


def improving(points: Interpolation, row: int, center: Array, radius: float, space: Space) -> Array:
    """Return the step from a center, within a radius, to the best new place for a point."""
    lagrange = points.lagrange(row, center)
    steps = [space.least(sign, center, radius) for sign in (lagrange, lagrange.negated())]
    return max(steps, key=lambda step: abs(lagrange(step)))


def informative(points: Interpolation, beside: Array, candidates: Array, count: int) -> Array:
    """Return the ``count`` candidates, shape (k, n), that tell most, given points and each other.

    ``beside``, shape (j, n), are points that will be known too. Each that is chosen lowers what is
    unknown at the others: this is a Cholesky decomposition with pivots.
    """
    first, every = len(beside), np.vstack([beside, candidates])
    unknown = points.jointly_unknown(every)
    rows: list[int] = []
    for turn in range(min(first + count, len(every))):
        rows.append(turn if turn < first else int(np.argmax(np.diag(unknown))))
        column = unknown[:, rows[-1]]
        if column[rows[-1]] > 0.0:
            unknown = unknown - np.outer(column, column / column[rows[-1]])
    return every[rows[first:]]


def around(space: Space, center: Array, radius: float, rng: np.random.Generator) -> Array:
    """Return points on a sphere within bounds, shape (4n, n): along the axes, and at random."""
    random = rng.normal(size=(2 * space.n, space.n))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    axes = np.eye(space.n)
    return space.clip(center + radius * np.concatenate([axes, -axes, random]))


def first_of_known(
    points: Array, values: Array, radius: float, size: int
) -> tuple[NDArray[np.intp], Array]:
    """Return which known points a model begins with, and the directions they do not tell of.

    Parameters
    ----------
    points : ndarray of float64, shape (k, n)
        The points.
    values : ndarray of float64, shape (k,)
        The values there.
    radius : float
        How large the model is to be.
    size : int
        How many it takes at the most.

    Returns
    -------
    rows : ndarray of int
        The best first, then the nearest to it that are in new directions, then others near it that
        tell something new.
    missing : ndarray of float64, shape (j, n)
        Orthonormal directions.
    """
    best = int(np.argmin(values))
    moves = (points - points[best]) / radius
    away = np.linalg.norm(moves, axis=1)
    rows, axes = [best], np.empty((0, points.shape[1]))
    others = [int(row) for row in np.argsort(away, kind="stable") if row != best]
    for row in others:
        aside = moves[row] - (axes @ moves[row]) @ axes
        length = float(np.linalg.norm(aside))
        if len(axes) < points.shape[1] and length > _ASIDE * max(1.0, away[row]):
            rows.append(row)
            axes = np.vstack([axes, aside / length])
    missing = np.linalg.svd(axes, full_matrices=True)[2][len(axes) :]
    chosen = Interpolation(points[rows], points[best], radius)
    for row in others:
        if len(rows) < size and row not in rows and away[row] <= _NEAR:
            adds = float(chosen.unknown(points[row][np.newaxis])[0])
            if adds > _ADDS * (1.0 + away[row] ** 4):
                rows.append(row)
                chosen.append(points[row])
    return np.array(rows), missing
