"""Whether a point can be distinguished from a minimum despite noise: a search of its neighborhood.

First the Hessian by differences; then the values along its eigenvectors, on both sides and as far
as each variable's size, and at the Newton point. In units of steps along the axes the noise may
hide the direction of a long valley: the curvature along the eigenvectors gives better units, for a
second Hessian and its eigenvectors. If no value is lower by more than noise can explain, no
progress is visible. Pure functions of arrays.
"""

from dataclasses import dataclass

import numpy as np

from optimizers._types import Array
from optimizers.gradients.stencils import clipped, room

#: How far the search goes along each direction, relative to the variables' size.
_REACHES = (1.0, 0.25, 0.0625, 0.015625, 0.00390625)
#: By how many standard deviations two of many values must differ to differ visibly.
VISIBLE = 5.0
#: The standard deviation of normal values, in units of their median distance from their median.
_NORMAL = 1.4826
#: A step is a good unit if its second difference is this many standard deviations.
UNIT = 30.0


@dataclass(frozen=True)
class Neighborhood:
    """Moves, shape (m, n), and 2 m + m (m - 1) / 2 points for the derivatives along them.

    They are around a center, which is one more point unless it is the point itself.
    """

    center: Array
    moves: Array
    points: Array

    def fold(self, f0: float, values: Array) -> tuple[Array, Array]:
        """Return gradient and Hessian in units of the moves; zero where a value is not finite."""
        m = len(self.moves)
        if len(values) > 2 * m + m * (m - 1) // 2:
            f0, values = float(values[0]), values[1:]
        ahead, behind, both = values[:m], values[m : 2 * m], values[2 * m :]
        first, second = np.triu_indices(m, 1)
        with np.errstate(invalid="ignore", over="ignore"):
            gradient = (ahead - behind) / 2
            hessian = np.diag(ahead - 2 * f0 + behind)
            hessian[first, second] = both - ahead[first] - ahead[second] + f0
        hessian[second, first] = hessian[first, second]
        gradient[~np.isfinite(gradient)] = 0.0
        hessian[~np.isfinite(hessian)] = 0.0
        return gradient, hessian


def neighborhood(x: Array, moves: Array, lower: Array | None, upper: Array | None) -> Neighborhood:
    """Return the probes for gradient and Hessian along some moves from ``x``.

    Next to a bound the center is as far inside as the moves are long. They are shortened where the
    bounds are too close to each other, and omitted where they leave no room.
    """
    sizes, center = np.abs(moves), x
    if lower is not None and upper is not None:
        reach = np.minimum(2 * sizes.max(axis=0, initial=0.0), (upper - lower) / 2)
        center = np.clip(x, lower + reach, upper - reach)
    space = np.minimum(*room(center, lower, upper)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        fits = np.where(sizes > 0, space / sizes, np.inf).min(axis=1, initial=1.0)
    moves = moves[fits > 1e-3] * fits[fits > 1e-3, np.newaxis]
    first, second = np.triu_indices(len(moves), 1)
    points = np.concatenate([center + moves, center - moves, center + moves[first] + moves[second]])
    if (center != x).any():
        points = np.concatenate([center[np.newaxis], points])
    return Neighborhood(center, moves, clipped(points, lower, upper))


def neighborhood_size(n: int) -> int:
    """Return the maximum number of points of a neighborhood and its continuation."""
    return 1 + 2 * n + n * (n - 1) // 2 + 2 * n * len(_REACHES) + 2


@dataclass(frozen=True)
class Continuation:
    """Directions, shape (m, n), as long as the size of the variables, and points along them."""

    directions: Array
    points: Array

    def better(self, f0: float, values: Array, sigma: float) -> int | None:
        """Return the index of the best point, if it is visibly better than the current one."""
        finite = np.where(np.isfinite(values), values, np.inf)
        best = int(np.argmin(finite)) if len(finite) else None
        return None if best is None or finite[best] >= f0 - VISIBLE * sigma else best

    def is_flat(self, f0: float, values: Array, sigma: float) -> bool:
        """Return whether no value differs visibly from most others."""
        known = values[np.isfinite(values)]
        if len(known) == 0:
            return True
        # The current value is the lowest of many by its noise alone. And the noise may be larger
        # than the estimate from a few values: then the spread around the median shows it.
        middle = np.median(known)
        away = np.abs(known - middle)
        visible = VISIBLE * max(sigma, _NORMAL * float(np.median(away)))
        return bool((away < visible).all() and middle - f0 < 2 * visible)

    def units(self, f0: float, values: Array, sigma: float) -> Array:
        """Return moves along the directions that are just long enough to show the curvature."""
        m = len(self.directions)
        sides = values[: 2 * m * len(_REACHES)].reshape(m, len(_REACHES), 2)
        bent = np.abs(sides.sum(axis=2) - 2 * f0).T
        reaches = np.repeat(np.array(_REACHES)[:, np.newaxis], m, axis=1)
        return self.directions * units(reaches, bent, sigma)[:, np.newaxis]


def continuation(
    x: Array,
    looked: Neighborhood,
    gradient: Array,
    hessian: Array,
    lower: Array | None,
    upper: Array | None,
) -> Continuation:
    """Return the points whose values show whether there is progress to be made.

    Both sides of each eigenvector and of each variable not yet covered; two for the Newton step.
    """
    size = np.maximum(1.0, np.abs(x))
    curvatures, vectors = np.linalg.eigh(hessian)
    directions = vectors.T @ looked.moves
    missed = np.flatnonzero(~np.any(looked.moves != 0, axis=0))
    if lower is not None and upper is not None:
        missed = missed[lower[missed] < upper[missed]]
    directions = np.concatenate([directions, np.eye(x.size)[missed]])
    with np.errstate(divide="ignore"):
        scale = np.min(size / np.abs(directions), axis=1, initial=np.inf)
    directions *= scale[:, np.newaxis]
    reaches = np.outer(_REACHES, (1.0, -1.0)).ravel()
    moves = (directions[:, np.newaxis] * reaches[:, np.newaxis]).reshape(-1, x.size)
    if len(looked.moves):
        # At a saddle point, negative curvature is treated as if it were positive.
        sizes = np.abs(curvatures)
        inverse = 1 / np.maximum(sizes, 1e-12 * sizes.max() + 1e-300)
        newton: Array = -(vectors @ (inverse * (vectors.T @ gradient))) @ looked.moves
        newton *= min(1.0, float(np.min(size / np.maximum(np.abs(newton), 1e-300))))
        inward = looked.center - x
        moves = np.concatenate([moves, [inward + newton, inward + 0.25 * newton]])
    return Continuation(directions, clipped(x + moves, lower, upper))


def units(steps: Array, bent: Array, sigma: float) -> Array:
    """Return for each direction the shortest step with a visible second difference, or the longest.

    ``steps`` and the sizes of their second differences, ``bent``, have shape (k, m), longest first.
    """
    chosen: Array = steps[0].copy()
    for step, size in zip(steps, bent, strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            shorter = step * np.minimum(1.0, np.sqrt(UNIT * sigma / size))
        chosen = np.where(np.isfinite(size) & (size >= UNIT * sigma), shorter, chosen)
    return chosen
