"""The variables as the search sees them, and the distributions that it starts with."""

from typing import NamedTuple

import numpy as np

from optimizers._types import Array
from optimizers.problem.known import KnownPoints
from optimizers.problem.problem import Problem

#: The default of ``sigma0``: a part of the size of each variable.
_SPREAD = 0.3
#: The part of the known points that count as good, and the spread, as a part of the first one, that
#: is added to theirs: gamma and alpha of warm starts.
_GOOD, _WIDER = 0.1, 0.1


class Distribution(NamedTuple):
    """A normal distribution: mean and standard deviation, and what the latter is multiplied by."""

    mean: Array
    sigma: float
    #: A factor for each variable.
    stds: Array | None = None
    correlations: Array | None = None


class Space:
    """The free variables; between 0 and 1 within bounds, or else in units of ``max(1, abs(x0))``.

    With ``sigma0`` they are as the problem has them.
    """

    def __init__(self, problem: Problem, sigma0: float | None) -> None:
        self._problem, (low, high) = problem, problem.box
        self._free = low < high
        start, low, high = (part[self._free] for part in (problem.x0, low, high))
        #: How many there are.
        self.n = start.size
        with np.errstate(over="ignore"):  # so far away is as good as no bound
            width = high - low
            self._is_bounded = np.isfinite(width)
            self._sizes, self._zeros = np.ones(self.n), np.zeros(self.n)
            if sigma0 is None:
                self._sizes = np.where(self._is_bounded, width, np.maximum(1.0, np.abs(start)))
                self._zeros = np.where(self._is_bounded, low, 0.0)
            #: The bounds.
            self.low = (low - self._zeros) / self._sizes
            self.high = (high - self._zeros) / self._sizes
        #: The distribution of the first generation.
        self.first = Distribution(self._ours(start), sigma0 or _SPREAD)

    def _ours(self, free: Array) -> Array:
        return np.clip((free - self._zeros) / self._sizes, self.low, self.high)

    def points(self, ours: Array) -> Array:
        """Return points, shape (..., n), as the problem has them."""
        found = np.broadcast_to(self._problem.x0, (*ours.shape[:-1], self._problem.n)).copy()
        found[..., self._free] = self._zeros + ours * self._sizes
        return self._problem.clip(found)

    def informed(self, known: KnownPoints) -> Distribution:
        """Return the first distribution, by known points if they are enough and the run's start."""
        enough = 2 * self.n + 2
        if len(known) < enough or not np.array_equal(known.lowest[0], self._problem.x0):
            return self.first
        count = max(enough // 2, int(_GOOD * len(known)))
        good = self._ours(known.x[np.argsort(known.fun, kind="stable")[:count]][:, self._free])
        covariance = np.cov(good.T, bias=True).reshape(self.n, self.n)
        covariance += (_WIDER * self.first.sigma) ** 2 * np.eye(self.n)
        stds = np.sqrt(np.diag(covariance))
        mean = np.clip(good.mean(axis=0), self.low, self.high)
        return Distribution(mean, 1.0, stds, covariance / np.outer(stds, stds))

    def elsewhere(self, factor: float, random: np.random.RandomState) -> Distribution:
        """Return a distribution around a random point: within the bounds, or else around ``x0``."""
        start, sigma, inside = self.first.mean, self.first.sigma, self._is_bounded
        mean = start + sigma * random.randn(self.n)
        mean[inside] = random.uniform(self.low[inside], self.high[inside])
        return Distribution(np.clip(mean, self.low, self.high), factor * sigma)
