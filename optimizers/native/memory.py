"""The memory of L-BFGS: the last steps and changes of the gradient, as rows of one array."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizers._arrays import rotate
from optimizers._types import Array
from optimizers.native.arrays import Arrays, Tensor, numpy_of


class Pair(NamedTuple):
    """A step along a direction, with the gradient where it began, and its curvature s'y."""

    direction: Tensor
    step: float
    gradient: Tensor
    curvature: float


class Memory:
    """The last ``m`` pairs (s, y).

    Row 2i holds a step and row 2i + 1 the change of the gradient; the rows form a ring, and a
    prefix of them is in use. Small arrays have the oldest pair first. In another precision than
    the iterates', pairs are scaled to s'y = 1, so that products are of moderate size.
    """

    def __init__(self, arrays: Arrays, m: int, dtype: Any = None) -> None:
        self._arrays, self.m = arrays, m
        self.dtype = arrays.dtype if dtype is None else dtype
        self.is_scaled = self.dtype != arrays.dtype
        self.rows = arrays.empty((2 * m, arrays.n), self.dtype)
        self._scales = np.ones(m)
        places = np.arange(2 * m) % m
        self._ring = np.array([2 * places, 2 * places + 1])
        self.clear()

    def clear(self) -> None:
        """Forget all pairs."""
        self.size, self._count, self._place = 0, 0, 0

    @property
    def is_full(self) -> bool:
        """Whether the next pair takes the place of the oldest one."""
        return self.size == self.m

    def add(self, pair: Pair) -> float:
        """Make room for a pair, which :meth:`write` fills; return its s'y as it will be kept."""
        self._place = self._count % self.m
        self._scales[self._place] = pair.curvature**-0.5 if self.is_scaled else 1.0
        self._count += 1
        self.size = min(self._count, self.m)
        return 1.0 if self.is_scaled else pair.curvature

    def write(self, at: slice, g: Tensor, pair: Pair) -> tuple[Tensor, Tensor]:
        """Write a block of the pair that ends at the gradient ``g``; return its s and y."""
        put, i, scale = self._arrays.put, 2 * self._place, self._scales.item(self._place)
        self.rows = put(self.rows, i, at, "multiply", pair.direction[at], pair.step * scale)
        self.rows = put(self.rows, i + 1, at, "subtract", g[at], pair.gradient[at])
        if self.is_scaled:
            self.rows = put(self.rows, i + 1, at, "multiply", self.rows[i + 1, at], scale)
        return self.rows[i, at], self.rows[i + 1, at]

    @property
    def used(self) -> Tensor:
        """The rows in use."""
        return self.rows[: 2 * self.size]

    def part(self, at: slice) -> Tensor:
        """Return a block of the rows in use."""
        return self.rows[: 2 * self.size, at]

    def cast(self, vector: Tensor) -> Tensor:
        """Return a block of a vector in the precision of the rows."""
        return self._arrays.cast(vector, self.dtype)

    def products(self, vector: Tensor) -> Array:
        """Return the products of the rows with a vector."""
        found: Array
        (found,) = self._arrays.each(lambda at: (self.part(at) @ self.cast(vector[at]),))
        return found

    @property
    def _order(self) -> NDArray[np.intp]:
        """The rows of steps and those of changes, oldest first."""
        first = (self._count - self.size) % self.m
        return self._ring[:, first : first + self.size]

    def split(self, products: Array) -> Array:
        """Return what belongs to the steps, and what to the changes: a number or row for each."""
        return products[self._order]

    def joined(self, coefficients: Array) -> Tensor:
        """Return coefficients of steps and changes as those of the rows, on the device."""
        whole = np.empty(2 * self.size)
        whole[self._order] = coefficients
        return self._arrays.sent(whole, self.dtype)

    def columns(self, indices: Tensor) -> Array:
        """Return some columns of the steps and of the changes, on the host."""
        return self.split(self._arrays.columns(self.used, indices))

    def pairs(self) -> tuple[Array, Array]:
        """Return all steps and changes, oldest first and not scaled; this ends its use."""
        rows = numpy_of(self.used).astype(np.float64, copy=False)
        rows = rows.reshape(self.size, 2, self._arrays.n)
        for place in range(self.size if self.is_scaled else 0):
            rows[place] /= self._scales[place]
        steps, changes = rows[:, 0], rows[:, 1]
        if self._count > self.m:
            rotate(steps, self._count % self.m)
            rotate(changes, self._count % self.m)
        self.clear()
        return steps, changes


def forget_oldest(matrices: Array, numbers: Array) -> None:
    """Forget the first row and column of small matrices, and the first number, in place."""
    matrices[:, :-1, :-1] = matrices[:, 1:, 1:]
    numbers[:-1] = numbers[1:]
