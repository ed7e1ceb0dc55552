"""L-BFGS without bounds: the direction by the compact form of the inverse Hessian.

After Byrd, Nocedal and Schnabel, "Representations of quasi-Newton matrices", Math. Prog. 63 (1994).
With R the upper triangle of S'Y, D its diagonal, and c = s'y / y'y of the last pair,

    H = c I + [S, c Y] [[R^-T (D + c Y'Y) R^-1, -R^-T], [-R^-1, 0]] [S, c Y]'

An iteration reads the memory twice: for the products with the gradient, and for the direction.
"""

import operator
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.native.arrays import Arrays, Tensor
from optimizers.native.direction import LONGEST, Direction
from optimizers.native.memory import Memory, Pair, forget_oldest

#: Of few operations, each of which costs as much as some thousand numbers.
_BLOCK = 65_536


class Unbounded:
    """The quadratic model of L-BFGS, and what a region without bounds means for a search."""

    #: Whether the first step is short, for lack of any scale.
    is_open = True

    def __init__(self, x0: Tensor, m: int, dtype: Any = None) -> None:
        self.arrays = arrays = Arrays(x0, _BLOCK)
        self.memory = Memory(arrays, m, dtype)
        # The inverse of R has no factorization to update: another pair adds a column, and without
        # the oldest one its other part remains.
        self._small = np.zeros((2, m, m))
        self._inverse, self._changes = self._small
        self._curvatures = np.zeros(m)
        self.clear()

    def clear(self) -> None:
        """Forget all pairs."""
        self.memory.clear()
        self._scale = 1.0
        # The gradient whose products with the memory are known, and these.
        self._gradient: Tensor = None
        self._products = np.zeros((2, 0))
        self._norm: tuple[Tensor, float] = (None, 0.0)

    def clip(self, x: Tensor) -> Tensor:
        """Return a point as it is."""
        return x

    def slope(self, g: Tensor, d: Tensor) -> float:
        """Return the derivative along a direction, and note the norm of the gradient."""

        def part(at: slice) -> tuple[Tensor, ...]:
            piece = g[at]
            return piece @ d[at], piece.max(), -piece.min()

        with np.errstate(all="ignore"):
            slope, *ends = self.arrays.each(part, folds=(operator.add, max, max))
        self._norm = g, max(ends)
        return float(slope)

    def gradient_norm(self, x: Tensor, g: Tensor) -> float:
        """Return the largest component of the gradient."""
        if self._norm[0] is not g:
            self.slope(g, g)
        return self._norm[1]

    def longest(self, x: Tensor, found: Direction, *, is_start: bool) -> float:
        """Return the longest step of a line search."""
        return LONGEST

    def learn(self, g: Tensor, pair: Pair) -> None:
        """Take a pair into the memory, which ends at the gradient ``g``."""
        memory = self.memory
        # Gradients differ by what their products differ by; single precision would lose that.
        is_direct = memory.is_scaled or self._gradient is not pair.gradient
        if memory.is_full:
            forget_oldest(self._small, self._curvatures)
        before = self._products[:, memory.is_full :]
        curvature = memory.add(pair)

        def part(at: slice) -> tuple[Tensor, ...]:
            _, y = memory.write(at, g, pair)
            rows = memory.part(at)
            found = rows @ memory.cast(g[at]), y @ y
            return (*found, rows @ y) if is_direct else found

        with np.errstate(all="ignore"):
            products, square, *direct = self.arrays.each(part)
            self._scale = float(np.divide(curvature, square))
        self._products, self._gradient = memory.split(products), g
        last = memory.size - 1
        new = memory.split(direct[0]) if is_direct else self._products
        of_steps, of_changes = new[:, :last] - (0.0 if is_direct else before)
        changes, inverse = self._changes, self._inverse
        changes[:last, last] = changes[last, :last] = of_changes
        changes[last, last] = square
        inverse[:last, last] = inverse[:last, :last] @ of_steps / -curvature
        inverse[last, :last], inverse[last, last] = 0.0, 1.0 / curvature
        self._curvatures[last] = curvature

    def direction(self, x: Tensor, g: Tensor) -> Direction:
        """Return the direction of a line search."""
        memory, apply, scale = self.memory, self.arrays.apply, self._scale
        if self._gradient is not g:
            self._products, self._gradient = memory.split(memory.products(g)), g
        coefficients = memory.joined(self._coefficients())

        def part(at: slice, d: Any, end: Any) -> tuple[Tensor, ...]:
            d = apply("matmul", coefficients, memory.part(at), out=d)
            d = apply("subtract", d, apply("multiply", g[at], scale, out=end), out=d)
            return d, apply("add", x[at], d, out=end), g[at] @ d

        with np.errstate(all="ignore"):
            return Direction(*self.arrays.each(part, ["direction", None]))

    def _coefficients(self) -> Array:
        """Return those of steps and changes in -H g."""
        q, scale = self.memory.size, self._scale
        inverse, (of_steps, of_changes) = self._inverse[:q, :q], self._products
        found = np.empty((2, q))
        u = inverse @ of_steps
        middle = self._curvatures[:q] * u + scale * (self._changes[:q, :q] @ u - of_changes)
        found[0] = -middle @ inverse
        found[1] = scale * u
        return found
