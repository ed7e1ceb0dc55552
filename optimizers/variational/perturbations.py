"""Simultaneous perturbations: random probes of all variables at once, and their derivatives."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.problem.problem import Problem

#: A variable with less room has no slope: its square would overflow.
_LEAST = 1e-100


@dataclass(frozen=True, eq=False)
class Probes:
    """Pairs of probes around a point, shape (k, n) each, inside the bounds; perhaps with shifts."""

    center: Array
    ahead: Array
    back: Array
    shifts: Array | None = None

    @classmethod
    def drawn(
        cls,
        problem: Problem,
        rng: np.random.Generator,
        x: Array,
        size: float,
        count: int,
        dims: int | None = None,
        *,
        is_shifted: bool = False,
    ) -> Self:
        """Return ``count`` pairs of probes in random directions, ``size`` along each variable.

        Those that would leave the bounds are moved to them; a fixed variable is not moved.
        """
        # A step lost in rounding would cause a division by zero.
        sizes = np.maximum(size, np.spacing(np.abs(x)))
        low, high = problem.box
        if is_shifted:
            # All signs must be possible, so the center moves: otherwise several variables at their
            # bounds would move together, and each entry of the Hessian would be the sum of theirs.
            sizes = np.minimum(sizes, high / 4 - low / 4)  # their difference may overflow
            x = np.clip(x, low + 2 * sizes, high - 2 * sizes)
        moves = _directions(problem, rng, count, dims) * sizes
        ahead, back = np.clip(x + moves, low, high), np.clip(x - moves, low, high)
        shifts = _directions(problem, rng, count, dims) * sizes if is_shifted else None
        return cls(x, ahead, back, shifts)

    @property
    def pairs(self) -> Array:
        """The probes, shape (k, 2, n)."""
        return np.stack([self.ahead, self.back], axis=1)

    @property
    def all(self) -> Array:
        """The probes and the shifted ones, shape (k, 4, n)."""
        assert self.shifts is not None
        probes = [self.ahead, self.back, self.ahead + self.shifts, self.back + self.shifts]
        return np.stack(probes, axis=1)

    def slopes(self, values: Array) -> Array:
        """Return the gradient, shape (k, n), from the values of each pair."""
        differences = values[:, 0] - values[:, 1]
        slopes: Array = differences[:, np.newaxis] * _inverse(self.ahead - self.back)
        return slopes

    def mean_curvature(self, values: Array, good: NDArray[np.bool_]) -> Array:
        """Return the mean Hessian, shape (n, n), of the good shifted pairs."""
        assert self.shifts is not None
        values = values[good]
        differences = (values[:, 2] - values[:, 0]) - (values[:, 3] - values[:, 1])
        first, second = _inverse((self.ahead - self.back)[good]), _inverse(self.shifts[good])
        # The sum of k outer products is one product of matrices.
        summed = (differences[:, np.newaxis] * first).T @ second
        mean: Array = (summed + summed.T) / (2 * len(values))
        return mean


def _directions(problem: Problem, rng: np.random.Generator, count: int, dims: int | None) -> Array:
    """Return random signs, shape (count, n); zero for variables that are not moved."""
    low, high = problem.box
    free = np.flatnonzero(low < high)
    signs = 2.0 * rng.integers(0, 2, size=(count, free.size)) - 1.0
    if dims is not None and dims < free.size:
        ranks = rng.random((count, free.size)).argsort(axis=1).argsort(axis=1)
        signs[ranks >= dims] = 0.0
    directions = np.zeros((count, problem.n))
    directions[:, free] = signs
    return directions


def _inverse(moves: Array) -> Array:
    """Return one divided by each number; zero where the move was tiny."""
    inverse = np.zeros_like(moves)
    np.divide(1.0, moves, out=inverse, where=np.abs(moves) > _LEAST)
    return inverse
