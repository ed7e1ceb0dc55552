"""L-BFGS-B within bounds: the direction by way of the Cauchy point and its free variables."""

import operator
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.native.arrays import Arrays, Tensor
from optimizers.native.cauchy import CauchyPoint, Way, cauchy_point
from optimizers.native.direction import LONGEST, Direction
from optimizers.native.hessian import Hessian
from optimizers.native.memory import Memory, Pair
from optimizers.native.subspace import subspace_minimum

#: Projected onto the bounds, a step must keep this part of the descent to the Cauchy point. One
#: that loses it is almost orthogonal to the gradient, and a search along it ends at once.
_DESCENT = 0.05


class Bounded:
    """The model of L-BFGS-B, and what bounds mean for a search."""

    def __init__(self, arrays: Arrays, m: int, dtype: Any, lower: Tensor, upper: Tensor) -> None:
        xp = arrays.xp
        self._arrays, self._lower, self._upper = arrays, lower, upper
        #: Whether the first step is short, for lack of any scale.
        self.is_open = not bool(xp.all(xp.isfinite(lower) & xp.isfinite(upper)))
        self._hessian = Hessian(arrays, m, dtype)
        self.clear()

    @property
    def memory(self) -> Memory:
        """The memory of the model."""
        return self._hessian.memory

    def clear(self) -> None:
        """Forget all pairs."""
        self._hessian.clear()
        self._way: Way | None = None
        # The products of W with its gradient, if they are known.
        self._products: Array | None = None

    def clip(self, x: Tensor) -> Tensor:
        """Return a point within the bounds."""
        (inside,) = self._arrays.each(lambda at: (self._inside(x[at], at),), [None])
        return inside

    def _inside(self, part: Tensor, at: slice) -> Tensor:
        xp = self._arrays.xp
        return xp.minimum(xp.maximum(part, self._lower[at]), self._upper[at])

    def gradient_norm(self, x: Tensor, g: Tensor) -> float:
        """Return the largest component of the projected gradient; note the way along it."""
        xp, lower, upper = self._arrays.xp, self._lower, self._upper

        def part(at: slice) -> tuple[Tensor, ...]:
            # Not a number where neither is; then, as at 0, the variable does not move.
            room = x[at] - xp.where(g[at] > 0.0, lower[at], upper[at])
            breaks = xp.abs(room / g[at])
            moving = g[at] * (breaks > 0.0)
            norm = xp.max(xp.minimum(xp.abs(room), xp.abs(moving)))
            return breaks, moving, norm, moving @ moving

        with np.errstate(all="ignore"):
            breaks, moving, norm, square = self._arrays.each(
                part, ["breaks", "moving"], (max, operator.add)
            )
        self._way, self._products = Way(breaks, moving, square), None
        return float(norm)

    def longest(self, x: Tensor, found: Direction, *, is_start: bool) -> float:
        """Return the longest step of a line search: up to a bound."""
        if is_start or found.is_cut:
            return 1.0
        xp, d = self._arrays.xp, found.along

        def part(at: slice) -> tuple[Tensor]:
            room = xp.where(d[at] > 0.0, self._upper[at], self._lower[at]) - x[at]
            return (xp.min(xp.where(d[at] == 0.0, np.inf, room / d[at])),)

        with np.errstate(all="ignore"):
            return float(min(*self._arrays.each(part, folds=(min,)), LONGEST))

    def learn(self, g: Tensor, pair: Pair) -> None:
        """Take a pair into the memory, which ends at the gradient ``g``."""
        assert self._way is not None
        with np.errstate(all="ignore"):
            self._products = self._hessian.learn(g, pair, self._way.moving)

    def direction(self, x: Tensor, g: Tensor) -> Direction:
        """Return the direction of a line search, after the norm of the gradient was asked for."""
        hessian, way = self._hessian, self._way
        assert way is not None
        with np.errstate(all="ignore"):
            products = self._products
            if products is None:
                products = hessian.products(way.moving)
            hessian.update()
            point = cauchy_point(self._arrays, hessian, way, products)
            free = way.breaks > point.step
            hessian.free(free)
            coefficients = self.memory.joined(subspace_minimum(hessian, point))
            found = self._projected(x, g, free, point, coefficients)
            if found.is_cut and not found.slope <= _DESCENT * point.slope:
                found = self._shortened(x, g, free, point, coefficients)
        return found

    def _projected(
        self, x: Tensor, g: Tensor, free: Tensor, point: CauchyPoint, coefficients: Tensor
    ) -> Direction:
        """Return the direction to the minimum over the free variables, projected onto bounds."""
        xp, rows, scale = self._arrays.xp, self.memory.used, self._hessian.scale

        def part(at: slice) -> tuple[Tensor, ...]:
            inner = coefficients @ rows[:, at] - g[at] / scale
            # The others meet their bounds, or stay there.
            whole = x[at] + xp.where(free[at], inner, g[at] * -point.step)
            end = self._inside(whole, at)
            d = end - x[at]
            return d, end, d @ g[at], xp.any((end != whole) & free[at])

        d, end, slope, is_cut = self._arrays.each(part, ["direction", None])
        return Direction(d, end, slope, bool(is_cut) or point.has_passed)

    def _shortened(
        self, x: Tensor, g: Tensor, free: Tensor, point: CauchyPoint, coefficients: Tensor
    ) -> Direction:
        """Return the direction to where the way from the Cauchy point first meets a bound."""
        xp = self._arrays.xp
        cauchy = self.clip(x - point.step * g)
        inner = coefficients @ self.memory.used - g / self._hessian.scale
        way = xp.where(free, x + inner - cauchy, 0.0)
        room = xp.where(way > 0.0, self._upper, self._lower) - cauchy
        part = xp.min(xp.where(way == 0.0, np.inf, room / way))
        end = self.clip(cauchy + min(1.0, float(part)) * way)
        return Direction(end - x, end, float(g @ (end - x)), is_cut=True)
