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
#: Of many operations with intermediate results, which stay in the cache.
_BLOCK = 8_192


class Bounded:
    """The model of L-BFGS-B, and what bounds mean for a search."""

    def __init__(self, x0: Tensor, m: int, dtype: Any, lower: Tensor, upper: Tensor) -> None:
        self.arrays = arrays = Arrays(x0, _BLOCK)
        self._lower, self._upper, xp = lower, upper, arrays.xp
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
        (inside,) = self.arrays.each(lambda at, out: (self._inside(x[at], at, out),), [None])
        return inside

    def _inside(self, part: Tensor, at: slice, out: Any) -> Tensor:
        apply = self.arrays.apply
        above = apply("maximum", part, self._lower[at], out=out)
        return apply("minimum", above, self._upper[at], out=out)

    def slope(self, g: Tensor, d: Tensor) -> float:
        """Return the derivative along a direction."""
        with np.errstate(all="ignore"):
            return float(g @ d)

    def gradient_norm(self, x: Tensor, g: Tensor) -> float:
        """Return the largest component of the projected gradient; note the way along it."""
        xp, apply, lower, upper = self.arrays.xp, self.arrays.apply, self._lower, self._upper

        def part(at: slice, breaks: Any, moving: Any) -> tuple[Tensor, ...]:
            room = x[at] - xp.where(g[at] > 0.0, lower[at], upper[at])
            # Not a number where neither is; then, as at 0, the variable does not move.
            breaks = apply("abs", apply("divide", room, g[at], out=breaks), out=breaks)
            moving = apply("multiply", g[at], breaks > 0.0, out=moving)
            norm = xp.max(xp.minimum(xp.abs(room), xp.abs(moving)))
            return breaks, moving, norm, moving @ moving

        with np.errstate(all="ignore"):
            breaks, moving, norm, square = self.arrays.each(
                part, ["breaks", "moving"], (max, operator.add)
            )
        self._way, self._products = Way(breaks, moving, square), None
        return float(norm)

    def longest(self, x: Tensor, found: Direction, *, is_start: bool) -> float:
        """Return the longest step of a line search: up to a bound."""
        if is_start or found.is_cut:
            return 1.0
        xp, d = self.arrays.xp, found.along

        def part(at: slice) -> tuple[Tensor]:
            room = xp.where(d[at] > 0.0, self._upper[at], self._lower[at]) - x[at]
            return (xp.min(xp.where(d[at] == 0.0, np.inf, room / d[at])),)

        with np.errstate(all="ignore"):
            return float(min(*self.arrays.each(part, folds=(min,)), LONGEST))

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
            point = cauchy_point(self.arrays, hessian, way, products)
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
        xp, apply, scale = self.arrays.xp, self.arrays.apply, self._hessian.scale

        def part(at: slice, d: Any, end: Any) -> tuple[Tensor, ...]:
            inner = coefficients @ self.memory.part(at) - g[at] / scale
            # The others meet their bounds, or stay there.
            whole = x[at] + xp.where(free[at], inner, g[at] * -point.step)
            end = self._inside(whole, at, end)
            d = apply("subtract", end, x[at], out=d)
            return d, end, d @ g[at], xp.any((end != whole) & free[at])

        d, end, slope, is_cut = self.arrays.each(part, ["direction", None])
        return Direction(d, end, slope, bool(is_cut) or point.has_passed)

    def _shortened(
        self, x: Tensor, g: Tensor, free: Tensor, point: CauchyPoint, coefficients: Tensor
    ) -> Direction:
        """Return the direction to where the way from the Cauchy point first meets a bound."""
        xp = self.arrays.xp
        cauchy = self.clip(x - point.step * g)
        inner = coefficients @ self.memory.used - g / self._hessian.scale
        way = xp.where(free, x + inner - cauchy, 0.0)
        room = xp.where(way > 0.0, self._upper, self._lower) - cauchy
        part = xp.min(xp.where(way == 0.0, np.inf, room / way))
        end = self.clip(cauchy + min(1.0, float(part)) * way)
        return Direction(end - x, end, float(g @ (end - x)), is_cut=True)
