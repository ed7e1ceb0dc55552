"""The variables as the search sees them: those that are free, from the start, in units of size."""

import numpy as np

from optimizers._types import Array
from optimizers.problem.problem import Problem
from optimizers.search.subproblem import Quadratic, within_box


class Space:
    """The free variables: 0 is the start, and 1 the size of each.

    That is its absolute value at the start, at least 1, or less where the bounds leave less than
    two steps of the first radius.
    """

    def __init__(self, problem: Problem, radius: float) -> None:
        self._problem = problem
        low, high = problem.box
        self._free = low < high
        start, low, high = (part[self._free] for part in (problem.x0, low, high))
        #: How many there are, and their bounds.
        self.n = start.size
        with np.errstate(over="ignore"):  # so far away is as good as no bound
            room = np.maximum((high / 2.0 - low / 2.0) / radius, np.finfo(float).tiny)
            self._start, self._sizes = start, np.minimum(np.maximum(np.abs(start), 1.0), room)
            self.low, self.high = (low - start) / self._sizes, (high - start) / self._sizes

    def points(self, ours: Array) -> Array:
        """Return points, (..., n), as the problem has them."""
        start = self._problem.x0
        found = np.broadcast_to(start, (*ours.shape[:-1], start.size)).copy()
        found[..., self._free] += ours * self._sizes
        return self._problem.clip(found)

    def ours(self, points: Array) -> Array:
        """Return points of the problem, (k, n), as the search sees them."""
        return np.asarray((points[:, self._free] - self._start) / self._sizes)

    def clip(self, ours: Array) -> Array:
        """Return points within the bounds."""
        return np.clip(ours, self.low, self.high)

    def least(self, model: Quadratic, center: Array, radius: float) -> Array:
        """Return the step from a center, within a radius and the bounds, of the least value."""
        return within_box(model, radius, self.low - center, self.high - center)
