"""Powell's two radii: how far a model is trusted, and how fine steps are."""

import numpy as np

from optimizers._types import Array

#: A step that brings no more than the first part of what its model promised has failed; from the
#: other on the radius grows.
_FAILED, _GOOD = 0.1, 0.7
#: The radius is never larger than that.
_LARGEST = 1e12
#: Steps that are shorter than that are lost in rounding.
_LEAST = 1e-14
#: How fine steps become at a time; at last in one or two equal parts.
_FINER, _TWO, _ONE = 0.1, 250.0, 16.0


class Radii:
    """The radii of a search.

    Parameters
    ----------
    first, last : float
        The first and the last ``rho``.
    """

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last = first, max(last, _LEAST)
        #: How long a step is at the most, but for trials of several lengths.
        self.delta = first
        #: The least that ``delta`` is now, and twice the least length of a step.
        self.rho = first

    @property
    def is_last(self) -> bool:
        """Whether steps can become no finer."""
        return self.rho <= self._last

    @property
    def finer(self) -> float:
        """The next ``rho``."""
        if self.rho <= _ONE * self._last:
            return self._last
        if self.rho <= _TWO * self._last:
            return float(np.sqrt(self.rho * self._last))
        return _FINER * self.rho

    def judge(self, lengths: Array, promised: Array, gains: Array) -> float:
        """Set ``delta`` by trial steps; return how much of the first one's promise a wave brought.

        Parameters
        ----------
        lengths, promised : ndarray of float64, shape (k,)
            The steps, and what the model promised of each.
        gains : ndarray of float64
            What the points of the wave brought, of which these steps are the first.
        """
        best = int(np.argmax(gains[: len(lengths)]))
        with np.errstate(over="ignore"):
            ratio = gains[best] / promised[best]
            brought = gains.max() / promised[0]
        if ratio > _FAILED or gains[best] > _FAILED * promised[0]:
            self._set(max(self.delta / 2.0, (2.0 if ratio > _GOOD else 1.0) * lengths[best]))
        else:
            self._set(lengths.min() / 2.0)
        return float(max(ratio, brought))

    @staticmethod
    def is_success(ratio: float) -> bool:
        """Return whether what a wave brought is enough."""
        return ratio >= _FAILED

    def shorten(self) -> None:
        """Halve ``delta``: the step was too short to be tried."""
        self._set(self.delta / 2.0)

    def _set(self, delta: float) -> None:
        self.delta = self.rho if delta <= 1.5 * self.rho else min(float(delta), _LARGEST)

    def refine(self) -> None:
        """Go on to finer steps."""
        self.rho, self.delta = self.finer, max(self.rho / 2.0, self.finer)

    def restart(self, rho: float) -> None:
        """Begin anew with steps of a length, between the first and the last."""
        self.rho = self.delta = min(self._first, max(rho, self._last))
