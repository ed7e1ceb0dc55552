"""Products with the Hessian: a call of ``hessp``, or differences of gradients within the bounds."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.asktell.flow import Asking, Products
from optimizers.asktell.messages import AskData
from optimizers.evaluation.answers import as_gradient, as_matrix
from optimizers.gradients.source import EPS
from optimizers.native.projected_search import Box, Point

#: The step of differences, relative to the largest variable: of gradients, and of gradients that
#: are differences themselves.
_STEP, _COARSE_STEP = 10.0 * EPS**0.5, 10.0 * EPS**0.3


class Whole:
    """A user's ``hess`` in the place of ``hessp``: the matrix is asked for once at a point."""

    def __init__(self, hess: Callable[[Array], Any]) -> None:
        self._hess = hess

    def __call__(self, x: Array, _: Array) -> Any:
        """Return the matrix."""
        return self._hess(x)


class HessianProducts:
    """Products with the Hessian at a point, of directions of some variables.

    Differences start from the point, or, if a variable is close to a bound, from one that is moved
    inward, whose gradient is asked for first.
    """

    def __init__(self, box: Box, at: Point, free: NDArray[np.bool_]) -> None:
        self.box, self.at, self.free = box, at, free
        step = _STEP if box.problem.derivatives.is_given else _COARSE_STEP
        self._h = step * (1.0 + float(np.abs(at.x).max()))
        low, high = box.room(at)
        is_tight = bool((free & (np.minimum(-low, high) < self._h)).any())
        inward = np.minimum(self._h, box.high / 4.0 - box.low / 4.0)
        moved = np.minimum(np.maximum(at.x, box.low + inward), box.high - inward)
        self._x = np.where(free, moved, at.x) if is_tight else at.x
        self._jac = None if is_tight else at.jac
        self._matrix: Any = None

    def image(self, direction: Array) -> Asking[Any]:
        """Return the product with a direction, shape (n,)."""
        hessp, n = self.box.problem.hessp, direction.size
        if isinstance(hessp, Whole):
            if self._matrix is None:
                told = yield Products(self.at.x, direction)
                self._matrix = as_matrix(told.fun, ((n, n),), "hess")
            return self._matrix @ direction
        if hessp is not None:
            told = yield Products(self.at.x, direction)
            return as_gradient(told.fun, n, name="hessp")
        if self._jac is None:
            self._jac = yield from self._gradient(self._x)
        h = self._h / float(np.abs(direction).max())
        moved = yield from self._gradient(self.box.problem.clip(self._x + h * direction))
        return (moved - self._jac) / h

    def _gradient(self, x: Array) -> Asking[Any]:
        has_loss = self.box.problem.loss is not None
        told = yield AskData(x if has_loss else None, x)
        return told.jac
