"""Bounds, and searches along paths that are projected to them."""

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.asktell.flow import Asking, Told
from optimizers.asktell.messages import AskData
from optimizers.problem.problem import Problem

#: How near a bound, at most, a variable is that it binds: the distance, and in gradients.
_NEAR, _GRADIENTS = 1e-6, 1e-3
#: The part of the predicted decrease that a step achieves.
_ARMIJO = 1e-4
#: Steps are lengthened by this factor as long as the slope is more than this part of the first,
#: or this part after a direction without positive curvature.
_LONGER, _STEEP, _STEEP_CURVED = 3.0, 0.9, 0.5
#: How many points a search takes, and after how many it lengthens no further.
_SEARCH, _LENGTHENED = 25, 12


class Point:
    """A point, its value and its gradient."""

    def __init__(self, x: Array, told: Told) -> None:
        self.x, self.fun, self.jac = x, float(told.fun), told.jac


class Box:
    """The bounds, and searches along paths that are projected to them."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.low, self.high = problem.box

    def projected(self, at: Point) -> Array:
        """Return the projected gradient."""
        return at.x - self.problem.clip(at.x - at.jac)

    def room(self, at: Point) -> tuple[Array, Array]:
        """Return the bounds of a step."""
        return self.low - at.x, self.high - at.x

    def free(self, at: Point) -> NDArray[np.bool_]:
        """Return which variables are not at, or close to, a bound that the gradient pushes to."""
        size = float(np.abs(self.projected(at)).max())
        near = min(_NEAR, _GRADIENTS * size)
        low, high = self.room(at)
        binds = ((low >= -near) & (at.jac > 0)) | ((high <= near) & (at.jac < 0))
        return np.asarray(~(binds | (self.low >= self.high)))

    def search(
        self, at: Point, step: Array, is_curved: bool, diagonal: Array
    ) -> "Asking[Point | None]":
        """Return a lower point on the projected path along a step, or None if none is found."""
        steep = _STEEP_CURVED if is_curved else _STEEP
        length, best = 1.0, None
        for k in range(_SEARCH):
            x = self.problem.clip(at.x + length * step)
            slope = float(at.jac @ (x - at.x))
            if slope >= 0:
                if k > 0:
                    break
                step = -at.jac / diagonal  # projection made the step lead up
                continue
            point = Point(x, (yield AskData(x, x)))
            rise = point.fun - at.fun
            if rise <= _ARMIJO * slope and np.isfinite(point.jac).all():
                if best is not None and point.fun >= best.fun:
                    break
                best = point
                if point.jac @ step >= steep * (at.jac @ step) or k > _LENGTHENED:
                    break
                length *= _LONGER
            elif best is not None:
                break
            else:
                with np.errstate(over="ignore", invalid="ignore"):
                    shorter = -0.5 * slope / (rise - slope)
                length *= min(0.5, max(0.1, shorter)) if np.isfinite(rise) else 0.25
        return best
