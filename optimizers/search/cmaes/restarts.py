"""When and how a search restarts: with larger populations, or with small ones in between."""

import numpy as np

#: How often the population is doubled at most.
_DOUBLINGS = 9


class Restarts:
    """The populations of one search after the other.

    Parameters
    ----------
    kind : {None, "ipop", "bipop"}
        None for a single search.
    popsize, maxiter : float
        The size and the greatest number of the generations of the first.
    """

    def __init__(self, kind: str | None, popsize: int, maxiter: float) -> None:
        self._kind, self._popsize, self._maxiter = kind, popsize, maxiter
        self._doublings = 0
        #: How many evaluations searches with small and with large populations took.
        self._spent = {"small": 0, "large": 0}
        self._size = "small" if kind == "bipop" else "large"
        #: Of the next search; and the factor of its step size.
        self.popsize, self.maxiter, self.factor = popsize, maxiter, 1.0

    def follow(self, evaluations: int, random: np.random.RandomState) -> bool:
        """Plan the search after one that took some evaluations; return whether there is one."""
        self._spent[self._size] += evaluations
        small, large = self._spent.values()
        self.popsize, self.maxiter, self.factor = self._popsize, self._maxiter, 1.0
        if self._kind == "bipop" and small < max(1, large):
            self._size = "small"
            self.factor = 0.01 ** random.uniform()
            self.popsize = int(self._popsize * 2 ** (self._doublings * random.uniform() ** 2))
            self.maxiter = min(self._maxiter, max(1.0, 0.5 * large / self.popsize))
            return True
        self._size = "large"
        self._doublings += 1
        self.popsize *= 2**self._doublings
        return self._kind is not None and self._doublings <= _DOUBLINGS
