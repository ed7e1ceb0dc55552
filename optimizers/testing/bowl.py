"""Bowl: an objective that records how it is called."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import Array

#: Where the checks start.
START = (-0.8, 1.3, 0.4)
_TARGET = np.array([0.5, -0.25, 0.1])
_CURVATURE = np.array([2.0, 4.0, 6.0])
_ROOTS = np.sqrt(_CURVATURE)


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
    _numbers: Iterator[int] = field(default_factory=partial(count, 1), init=False)

    def __call__(self, x: Array) -> Any:
        """Return the value at ``x``, shape (3,)."""
        number = next(self._numbers)  # in a thread, the length of a list may be another's
        self.points.append(x.copy())
        answer = self.told(x)
        if self.spoil:
            x[:] = np.nan
        if number != self.fail_at:
            return answer
        if isinstance(self.failure, BaseException):
            raise self.failure
        return self.failure if np.ndim(answer) == 0 else np.full_like(answer, self.failure)

    @staticmethod
    def exact(x: Array) -> float:
        """Return the value without recording the call."""
        residuals = ResidualBowl.told(x)
        return 0.5 * float(residuals.dot(residuals))

    @classmethod
    def told(cls, x: Array) -> Any:
        """Return what a call returns, without recording it."""
        return cls.exact(x)

    def jac(self, x: Array) -> Array:
        """Return the gradient at ``x``."""
        self.gradients += 1
        gradient = self.slope(x)
        if self.spoil:
            x[:] = np.nan
        return gradient

    @staticmethod
    def slope(x: Array) -> Array:
        """Return the gradient without recording the call."""
        gradient: Array = _CURVATURE * (x - _TARGET)
        return gradient

    @staticmethod
    def hess(x: Array) -> Array:
        """Return the Hessian, which is constant."""
        return np.diag(_CURVATURE)


class ResidualBowl(Bowl):
    """The same as residuals, five of them, for optimizers that require such."""

    @override
    @classmethod
    def told(cls, x: Array) -> Array:
        return np.concatenate([_ROOTS * (x - _TARGET), [1.0, 1.0]])

    @override
    @staticmethod
    def slope(x: Array) -> Array:
        return np.vstack([np.diag(_ROOTS), np.zeros((2, x.size))])
