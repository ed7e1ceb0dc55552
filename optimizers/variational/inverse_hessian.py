"""The inverse Hessian of limited-memory BFGS in compact form, whose diagonal is known too."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array


class CompactInverse:
    """A limited-memory inverse Hessian on the variables that are free to move.

    Eq. 3.1 of Byrd, Nocedal and Schnabel, Mathematical Programming 63 (1994) 129-156.
    """

    def __init__(
        self, initial: Array, pairs: Sequence[tuple[Array, Array]], free: NDArray[np.bool_]
    ) -> None:
        self._initial = np.where(free, initial, 0.0)
        kept = [(s * free, y * free) for s, y in pairs]
        kept = [(s, y) for s, y in kept if s @ y > 0.0]
        self._wings = np.zeros((initial.size, 0))
        self._middle = np.zeros((0, 0))
        if not kept:
            return
        # The article's S and Y, R inverted, D Y, and E + Y^T D Y.
        steps, bends = (np.stack(part, axis=1) for part in zip(*kept, strict=True))
        products = steps.T @ bends
        inverse = np.linalg.inv(np.triu(products))
        scaled = self._initial[:, np.newaxis] * bends
        core = np.diag(np.diag(products)) + bends.T @ scaled
        zeros = np.zeros_like(core)
        self._wings = np.concatenate([steps, scaled], axis=1)
        self._middle = np.block([[inverse.T @ core @ inverse, -inverse.T], [-inverse, zeros]])

    def product(self, vector: Array) -> Array:
        """Return its product with a vector."""
        product: Array = self._initial * vector
        product += self._wings @ (self._middle @ (self._wings.T @ vector))
        return product

    @property
    def diagonal(self) -> Array:
        """Its diagonal, shape (n,)."""
        further = np.einsum("ij,ij->i", self._wings @ self._middle, self._wings)
        diagonal: Array = np.maximum(self._initial + further, 0.0)
        return diagonal
