"""The part of second derivatives that J'J neglects, learned from step to step."""

import numpy as np

from optimizers._types import Array
from optimizers.fitting.model import norm

#: The model with curvature is adopted if its error is less than this fraction of that of the one
#: without, and dropped if its error is larger.
_BETTER = 0.5


class Curvature:
    """The sum of r_i times the second derivatives of r_i, by secant updates [2]_ of :class:`LM`.

    It matters where residuals remain large: there Gauss-Newton steps are too long.
    """

    def __init__(self, n: int) -> None:
        self._matrix = np.zeros((n, n))
        #: Whether there is any, and whether it improves the model.
        self.is_known = self.is_better = False

    def rows(self) -> Array:
        """Return its positive part as further rows (k, n) of a Jacobian, whose residuals are 0."""
        values, vectors = np.linalg.eigh(self._matrix)
        positive = values > 0
        return np.asarray((vectors[:, positive] * np.sqrt(values[positive])).T)

    def judge(self, step: Array, missed: float) -> None:
        """Compare the models, given the error of the one without curvature after a step."""
        if not self.is_known:
            return
        with_it = abs(missed + 0.5 * float(step @ self._matrix @ step))
        self.is_better = with_it < (1.0 if self.is_better else _BETTER) * abs(missed)

    def update(self, step: Array, gradients: Array, change: Array) -> None:
        """Update from the change of J^T r in a step, and the part of it from the change of J."""
        along = float(gradients @ step)
        with np.errstate(over="ignore"):  # then nothing is learned
            least = 1e-8 * norm(gradients) * norm(step)
        if not along > least:
            return
        matrix = self._matrix
        if self.is_known:
            was, now = float(step @ matrix @ step), float(step @ change)
            matrix = matrix * min(1.0, abs(now / was)) if was else matrix
        self.is_known = True
        missing = change - matrix @ step
        mixed = missing - (0.5 * float(missing @ step) / along) * gradients
        outer = mixed[:, np.newaxis] * (gradients / along)
        self._matrix = matrix + outer + outer.T
