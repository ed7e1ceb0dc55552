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
        self.size, self._count = 0, 0

    @property
    def is_full(self) -> bool:
        """Whether the next pair takes the place of the oldest one."""
        return self.size == self.m

    def add(self, g: Tensor, pair: Pair) -> tuple[Tensor, Tensor, float]:
        """Take the pair that ends at the gradient ``g``; return its rows, and their product."""
        place = self._count % self.m
        scale = pair.curvature**-0.5 if self.is_scaled else 1.0
        self._scales[place] = scale
        self._count += 1
        self.size = min(self._count, self.m)
        put, row = self._arrays.put, 2 * place
        self.rows = put(self.rows, row, "multiply", pair.direction, pair.step * scale)
        self.rows = put(self.rows, row + 1, "subtract", g, pair.gradient)
        if self.is_scaled:
            self.rows = put(self.rows, row + 1, "multiply", self.rows[row + 1], scale)
        return self.rows[row], self.rows[row + 1], 1.0 if self.is_scaled else pair.curvature

    @property
    def used(self) -> Tensor:
        """The rows in use."""
        return self.rows[: 2 * self.size]

    def products(self, vector: Tensor) -> Tensor:
        """Return the products of the rows with a vector, on the device."""
        if not self.is_scaled:
            return self.used @ vector
        kept = self._arrays.scratch("of the memory", self.dtype)
        if kept is None:
            return self.used @ self._arrays.cast(vector, self.dtype)
        np.copyto(kept, vector, casting="same_kind")
        return self.used @ kept

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


def without_oldest(*matrices: Array) -> None:
    """Forget the first row and column of small matrices, in place: the others move up."""
    for matrix in matrices:
        matrix[:-1, :-1] = matrix[1:, 1:].copy()
