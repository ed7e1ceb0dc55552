"""What the squared Jacobian leaves out of second derivatives, learned from step to step."""

import numpy as np

from optimizers._types import Array
from optimizers.fitting.model import norm

#: The model with curvature is taken up where it misses the value by less than this part of what
#: the one without does, and is dropped where it misses more.
_BETTER = 0.5


class Curvature:
    """The sum of r_i times the second derivatives of r_i, by secant updates [2]_ of :class:`LM`.

    It matters where residuals stay large: there Gauss and Newton's steps are too long.
    """

    def __init__(self, n: int) -> None:
        self._matrix = np.zeros((n, n))
        #: Whether there is any, and whether the model is better with it.
        self.is_known = self.is_better = False

    def rows(self) -> Array:
        """Return its positive part as further rows (k, n) of a Jacobian, whose residuals are 0."""
        values, vectors = np.linalg.eigh(self._matrix)
        positive = values > 0
        return np.asarray((vectors[:, positive] * np.sqrt(values[positive])).T)

    def judge(self, step: Array, missed: float) -> None:
        """Compare the models, given how much more than the one without the value fell by a step."""
        if not self.is_known:
            return
        with_it = abs(missed + 0.5 * float(step @ self._matrix @ step))
        self.is_better = with_it < (1.0 if self.is_better else _BETTER) * abs(missed)

    def update(self, step: Array, gradients: Array, change: Array) -> None:
        """Learn from by how much a step changed J^T r, and of it by the change of J alone."""
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
