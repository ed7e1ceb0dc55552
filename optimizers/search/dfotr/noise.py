"""The noise of values, asked about only where steps are to become finer."""

import numpy as np

from optimizers._types import Array
from optimizers.search.space import Space

#: The points of a look are so far away: a part of the radius, and at most this.
_PART, _FARTHEST = 1e-2, 1e-5
#: Noise below these parts of the value, and of the value at the start, is rounding.
_ROUNDED, _ROUNDED_AT_START = 1e-13, 1e-15
#: After so many looks that found none there is none. The mean is of so many looks at the most.
_LOOKS, _MEAN_OF = 2, 3


class Noise:
    """The standard deviation of a value: as told, and as looks at the best point have found it.

    Parameters
    ----------
    told : float, "estimate" or None
        The setting; 0 says that there is none.
    """

    def __init__(self, told: float | str | None) -> None:
        self.sigma = 0.0 if told is None or isinstance(told, str) else float(told)
        #: Whether looks are of use.
        self.is_sought = told is None or bool(told)
        self._may_be_none, self._looks = told is None, int(self.sigma > 0.0)

    def note(self, errors: Array | None) -> None:
        """Believe the standard errors of a wave, where the objective told any."""
        told = np.empty(0) if errors is None else errors[np.isfinite(errors)]
        if told.size and (self.is_sought or self.sigma):
            self.sigma, self.is_sought = float(np.median(told)), False

    def line(self, space: Space, center: Array, rho: float, rng: np.random.Generator) -> Array:
        """Return where to look, shape (3, n): at the center again, and at both sides of it."""
        move = rng.normal(size=space.n)
        move *= min(_PART * rho, _FARTHEST) / np.linalg.norm(move)
        line = center + np.outer([0.0, 1.0, -1.0], move)
        return np.where((space.clip(line) == line).all(axis=0), line, center)

    def learn(self, before: float, told: Array, bend: float, first: float) -> None:
        """Learn from a look.

        Parameters
        ----------
        before : float
            The value at the center.
        told : ndarray of float64, shape (3,)
            The values on the line.
        bend : float
            What the model says that the second difference along it is.
        first : float
            The value at the start.
        """
        mean = before / 2.0 + told[0] / 2.0
        bent = max(abs(told[1] + told[2] - 2.0 * mean) - 2.0 * abs(bend), 0.0)
        self._looks += 1
        if told[0] == before:  # a function of the point: rough, or curved where the model is not
            rough = float(bent / 6.0**0.5)
            self.sigma = rough if self._looks == 1 else min(self.sigma, rough)
        else:
            found = float(np.hypot((told[0] - before) / 2.0**0.5, bent / 2.0) / 2.0**0.5)
            self.sigma += (found - self.sigma) / min(self._looks, _MEAN_OF)
        if self.sigma <= _ROUNDED * abs(mean) + _ROUNDED_AT_START * abs(first):
            self.sigma = 0.0
            self.is_sought = not (self._may_be_none and self._looks >= _LOOKS)
