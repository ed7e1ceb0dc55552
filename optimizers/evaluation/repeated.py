"""Repeated evaluations: how an objective that takes no shots is measured with more of them."""

import math

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers._types import Array
from optimizers.evaluation.wave import Block


class Repeated(Block):
    """The rows of a block, each several times; a value is the mean of its repetitions."""

    def __init__(self, whole: Block, times: NDArray[np.int64]) -> None:
        self._whole, self._origins = whole, np.repeat(np.arange(len(times)), times)
        super().__init__(whole.points[self._origins], whole.function, whole.kind)

    @override
    def is_probe(self, row: int) -> bool:
        return self._whole.is_probe(int(self._origins[row]))

    def fold(self) -> None:
        """Give the block the means of what has arrived, with their standard errors.

        A row fails if one of its repetitions does.
        """
        whole = self._whole
        for row, error in self.failures.items():
            whole.failures.setdefault(int(self._origins[row]), error)
        for row in range(len(whole.points)):
            own = (self._origins == row) & ~np.isnan(self.values)
            if own.any() and row not in whole.failures:
                whole.values[row] = self.values[own].mean()
                whole.errors[row] = _error(self.values[own], self.errors[own])
                if self.residuals is not None:
                    mean = self.residuals[own].mean(axis=0, keepdims=True)
                    whole.note_residuals(slice(row, row + 1), mean)


def _error(values: Array, errors: Array) -> float:
    """Return the standard error of a mean: from those of the values, or else from their spread."""
    count = len(values)
    if np.isfinite(errors).all():
        return float(np.sqrt(np.sum(errors**2))) / count
    if count == 1:
        return math.nan
    if np.ptp(values) == 0.0:  # without the rounding of the mean
        return 0.0
    return float(np.std(values, ddof=1)) / math.sqrt(count)
