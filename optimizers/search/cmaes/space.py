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
    """A normal distribution: mean, standard deviation, factors of that, correlations."""

    mean: Array
    sigma: float
    stds: Array | None = None
    correlations: Array | None = None


class Space:
    """The variables that the bounds leave free, and where a search of them starts."""

    def __init__(self, problem: Problem, sigma0: float | None) -> None:
        self._problem, (low, high) = problem, problem.box
        self._free = low < high
        self.low, self.high = low[self._free], high[self._free]
        start = problem.x0[self._free]
        #: How many there are.
        self.n = start.size
        with np.errstate(over="ignore"):  # so far away is as good as no bound
            width = self.high - self.low
        self._is_bounded = np.isfinite(width)
        size = np.where(self._is_bounded, width, np.maximum(1.0, np.abs(start)))
        #: The distribution of the first generation.
        self.first = (
            Distribution(start, _SPREAD, size) if sigma0 is None else Distribution(start, sigma0)
        )

    def points(self, ours: Array) -> Array:
        """Return points, shape (..., n), as the problem has them."""
        found = np.broadcast_to(self._problem.x0, (*ours.shape[:-1], self._problem.n)).copy()
        found[..., self._free] = ours
        return self._problem.clip(found)

    def informed(self, known: KnownPoints) -> Distribution:
        """Return the first distribution, by known points if they are enough and the run's start."""
        enough = 2 * self.n + 2
        if len(known) < enough or not np.array_equal(known.lowest[0], self._problem.x0):
            return self.first
        count = max(enough // 2, int(_GOOD * len(known)))
        good = known.x[np.argsort(known.fun, kind="stable")[:count]][:, self._free]
        added = _WIDER * self.first.sigma * (1.0 if self.first.stds is None else self.first.stds)
        covariance = np.cov(good.T, bias=True).reshape(self.n, self.n)
        covariance += np.diag(np.broadcast_to(added**2, self.n))
        stds = np.sqrt(np.diag(covariance))
        mean = np.clip(good.mean(axis=0), self.low, self.high)
        return Distribution(mean, 1.0, stds, covariance / np.outer(stds, stds))

    def elsewhere(self, factor: float, random: np.random.RandomState) -> Distribution:
        """Return a distribution around a random point: within the bounds, or else around ``x0``."""
        start, sigma, stds, _ = self.first
        mean = start + sigma * (1.0 if stds is None else stds) * random.randn(self.n)
        inside = self._is_bounded
        mean[inside] = random.uniform(self.low[inside], self.high[inside])
        return Distribution(np.clip(mean, self.low, self.high), factor * sigma, stds)
