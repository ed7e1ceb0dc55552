"""Noise of the values: how much it changes ranks, and what is done about it."""

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.flow import Told
from optimizers.search.cmaes.strategy import imported

#: Each point is evaluated so often at most.
_MOST = 30
#: The weight of a generation in the noise that the result tells.
_WEIGHT = 0.3
#: A fall of this many standard deviations is visible.
_VISIBLE = 4.0
#: Two values at a point that differ by less than this fraction are equal up to rounding.
_ROUNDING = 1e-10


class Uncertainty:
    """Evaluates the points of a generation as often as their noise requires, in one wave.

    Parameters
    ----------
    told : float, "estimate" or "auto"
        The option ``noise``.
    n : int
        The number of variables.
    """

    def __init__(self, told: float | str, n: int) -> None:
        self._is_open = told == "auto"
        #: Whether values have noise.
        self.is_on = bool(told) and not self._is_open
        self._handler = imported().NoiseHandler(n, [1, 1, _MOST])
        #: The standard deviation of a value, as far as it is known.
        self.sigma = 0.0
        #: The factor by which steps are to become longer.
        self.factor = 1.0
        #: How far two values at a point differed where noise was not expected.
        self.surprise = 0.0
        self._start: float | None = None

    @property
    def is_sought(self) -> bool:
        """Whether the end is to be evaluated again, to see whether there is noise."""
        return self._is_open and not self.is_on

    @property
    def repeats(self) -> int:
        """How often a point is evaluated."""
        return int(self._handler.evaluations) if self.is_on else 1

    def wave(self, points: Array) -> Array:
        """Return what is to be evaluated: each point as often as needed, and some of them again."""
        again = points[: 2 + len(points) // 20] if self.is_on else points[:0]
        return np.repeat(np.concatenate([points, again]), self.repeats, axis=0)

    def learn(self, told: Told, size: int) -> tuple[Array, NDArray[np.bool_]]:
        """Return the values of a generation's points, and which were evaluated."""
        assert told.known is not None  # of a wave
        each = told.fun.reshape(-1, self.repeats)
        known: NDArray[np.bool_] = np.all(told.known.reshape(each.shape), axis=1)
        values, again = np.median(each, axis=1), len(each) - size
        if again:
            seen = known[:again] & known[size:]
            if seen.any():
                pairs = np.hstack([each[:again], each[size:]])[seen]
                variance = float(pairs.var(axis=1, ddof=1).mean())
                weight = _WEIGHT if self.sigma else 1.0
                self.sigma = float(np.sqrt(self.sigma**2 + weight * (variance - self.sigma**2)))
            # What its method ``reeval`` sets, which would ask and draw by itself.
            handler = self._handler
            handler.fit, handler.idx = values[:size].tolist(), np.arange(again)
            handler.fitre = [*values[size:].tolist(), *handler.fit[again:]]
            handler.update_measure()
            self.factor = float(handler.treat())
        elif self._is_open and told.errors is not None:
            self.is_on = bool((told.errors > 0).any())
        values, known = values[:size], known[:size]
        if self._start is None and known.any():
            self._start = float(np.median(values[known]))
        return values, known

    def better(self, told: Told, mean: Array, x: Array, fun: float) -> tuple[Array, float]:
        """Return the better one of the mean and the best point, and its value.

        The mean's values are told, and then, if noise is sought, that of the best point again.
        """
        assert told.known is not None
        repeats = self.repeats
        is_known, value = bool(told.known[:repeats].all()), float(np.median(told.fun[:repeats]))
        if told.known[repeats:].any():
            apart = abs(float(told.fun[-1]) - fun)
            self.surprise = max(self.surprise, apart if apart > _ROUNDING * abs(fun) else 0.0)
        return (mean, value) if is_known and (self.is_on or value < fun) else (x, fun)

    def has_fallen(self, value: float) -> bool:
        """Return whether a value is visibly below those of the first generation."""
        error = _VISIBLE * self.sigma / self.repeats**0.5
        return self._start is not None and value < self._start - error
