"""The quadratic model of L-BFGS-B: the compact form of the Hessian, split by what is free.

After Byrd, Lu, Nocedal and Zhu, SIAM J. Sci. Comput. 16 (1995). With L the part of S'Y below its
diagonal D, and c = y'y / s'y of the last pair,

    B = c I - W M W',  W = [Y, c S],  M^-1 = [[-D, L'], [L, c S'S]]

Only products with W need passes over the memory; all else here is small, and on the host.
"""

from typing import Any

import numpy as np
from scipy.linalg import lapack

from optimizers._types import Array
from optimizers.native.arrays import Arrays, Tensor
from optimizers.native.memory import Memory, Pair, forget_oldest

#: How many columns of the memory are gathered at a time.
CHUNK = 4096


class Hessian:
    """The model's matrices; small ones have the oldest pair first."""

    def __init__(self, arrays: Arrays, m: int, dtype: Any = None) -> None:
        self._arrays, self.memory = arrays, Memory(arrays, m, dtype)
        self._small, self._curvatures = np.zeros((5, m, m)), np.zeros(m)
        #: The matrix M.
        self.middle = np.zeros((0, 0))
        self._free: Tensor = None
        self.clear()

    def clear(self) -> None:
        """Forget all pairs."""
        self.memory.clear()
        self.scale = 1.0
        # As the split is: it does not matter what is free where there are no pairs.
        self._free = self._arrays.zeros((self._arrays.n,), self._arrays.dtype) == 0.0

    @property
    def parts(self) -> Array:
        """S'S and L; of the free variables Y'Y and S'Y; and S'S of the others."""
        q = self.memory.size
        return self._small[:, :q, :q]

    @property
    def curvatures(self) -> Array:
        """The diagonal D."""
        return self._curvatures[: self.memory.size]

    def products(self, g: Tensor) -> Array:
        """Return W' times a vector."""
        return self._joined(self.memory.products(g))

    def learn(self, g: Tensor, pair: Pair, v: Tensor) -> Array:
        """Take a pair into the memory, which ends at the gradient ``g``; return W' times ``v``."""
        memory, arrays = self.memory, self._arrays
        if memory.is_full:
            forget_oldest(self._small, self._curvatures)
        curvature = memory.add(pair)

        def part(at: slice) -> tuple[Tensor, Tensor]:
            s, y = memory.write(at, g, pair)
            free = memory.cast(self._free[at])
            columns = arrays.stack([memory.cast(v[at]), s, free * y, s - free * s])
            return memory.part(at) @ columns.T, y @ y

        found, square = arrays.each(part)
        q, self.scale = memory.size, square / curvature
        self._curvatures[q - 1] = curvature
        steps, changes = memory.split(found)
        both, lower, free_changes, free_mixed, held_steps = self.parts
        last = q - 1
        both[last], both[:, last] = steps[:, 1], steps[:, 1]
        lower[last], lower[:, last] = changes[:, 1], 0.0
        free_changes[last], free_changes[:, last] = changes[:, 2], changes[:, 2]
        free_mixed[last], free_mixed[:, last] = changes[:, 1] - changes[:, 3], steps[:, 2]
        held_steps[last], held_steps[:, last] = steps[:, 3], steps[:, 3]
        return self._joined(found[:, 0])

    def _joined(self, found: Array) -> Array:
        steps, changes = self.memory.split(found)
        return np.concatenate([changes, self.scale * steps])

    def columns(self, indices: Tensor) -> Array:
        """Return some columns of W', on the host."""
        steps, changes = self.memory.columns(indices)
        return np.concatenate([changes, self.scale * steps])

    def free(self, free: Tensor) -> None:
        """Split by other variables that are free: only those that changed sides are read."""
        xp, q = self._arrays.xp, self.memory.size
        if q:
            (changed,) = xp.nonzero(free != self._free)
            _, _, free_changes, free_mixed, held_steps = self.parts
            for at in range(0, changed.shape[0], CHUNK):
                indices = changed[at : at + CHUNK]
                steps, changes = self.memory.columns(indices)
                sign = np.where(self._arrays.columns(free, indices), 1.0, -1.0)
                free_changes += (changes * sign) @ changes.T
                free_mixed += (steps * sign) @ changes.T
                held_steps -= (steps * sign) @ steps.T
        self._free = free

    def update(self) -> None:
        """Prepare :attr:`middle`, after pairs were learned."""
        q, (both, lower) = self.memory.size, self.parts[:2]
        mixed = lower / self.curvatures
        inverse = solved(self.scale * both + mixed @ lower.T, np.eye(q))
        self.middle = middle = np.empty((2 * q, 2 * q))
        middle[q:, q:], middle[q:, :q] = inverse, inverse @ mixed
        middle[:q, q:], middle[:q, :q] = middle[q:, :q].T, mixed.T @ middle[q:, :q]
        middle.flat[: 2 * q * q : 2 * q + 1] -= 1.0 / self.curvatures


def solved(matrix: Array, right: Array) -> Array:
    """Return the solution of equations with a small positive definite matrix.

    Raise a LinAlgError if rounding errors have made it another one.
    """
    if not len(matrix):
        return right
    found: Array
    _, found, info = lapack.dposv(matrix, right)
    if info:
        raise np.linalg.LinAlgError(f"minor {info} is not positive")
    return found
