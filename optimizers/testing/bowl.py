"""Bowl: an objective that records how it is called."""

import math
from dataclasses import dataclass, field

import numpy as np

from optimizers._types import Array

#: Where the checks start.
START = (-0.8, 1.3, 0.4)
_TARGET = np.array([0.5, -0.25, 0.1])
_CURVATURE = np.array([2.0, 4.0, 6.0])


@dataclass(eq=False)
class Bowl:
    """A convex quadratic that records how it is called; its minimum is 1 at (0.5, -0.25, 0.1).

    Parameters
    ----------
    spoil : bool, default False
        Whether it overwrites its argument after use.
    fail_at : int, optional
        The number of the call, from 1, that fails.
    failure : exception or float, default NaN
        What that call raises or returns.

    Examples
    --------
    >>> bowl = Bowl()
    >>> bowl(np.array([0.5, -0.25, 0.1])), len(bowl.points)
    (1.0, 1)
    """

    spoil: bool = False
    fail_at: int | None = None
    failure: BaseException | float = math.nan
    points: list[Array] = field(default_factory=list, init=False)
    gradients: int = field(default=0, init=False)

    def __call__(self, x: Array) -> float:
        """Return the value at ``x``, shape (3,)."""
        self.points.append(x.copy())
        value = self.exact(x)
        if self.spoil:
            x[:] = np.nan
        if len(self.points) != self.fail_at:
            return value
        if isinstance(self.failure, BaseException):
            raise self.failure
        return self.failure

    @staticmethod
    def exact(x: Array) -> float:
        """Return the value without recording the call."""
        return float(np.sum(_CURVATURE * (x - _TARGET) ** 2)) / 2 + 1.0

    def jac(self, x: Array) -> Array:
        """Return the gradient at ``x``."""
        self.gradients += 1
        gradient: Array = _CURVATURE * (x - _TARGET)
        if self.spoil:
            x[:] = np.nan
        return gradient

    @staticmethod
    def hess(x: Array) -> Array:
        """Return the Hessian, which is constant."""
        return np.diag(_CURVATURE)
