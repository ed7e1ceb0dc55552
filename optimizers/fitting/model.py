"""The linear model of residuals: its minimizers within a radius, a damping and bounds."""

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgeqrf, dgesdd

from optimizers._types import Array

#: Singular values below this fraction of the largest are zero: directions without influence.
_RANK = 1e-15
#: A step may exceed the radius by this fraction without being damped.
_LONGER = 1.1
#: The maximum fraction by which damped steps are shorter than the radius.
_PRECISION = 1.02


def norm(vector: Array) -> float:
    """Return the Euclidean norm, quickly."""
    return math.sqrt(vector @ vector)


@functools.cache
def _upper(k: int) -> Array:
    return np.triu(np.ones((k, k)))


class Box(NamedTuple):
    """Bounds on a step, and the moving variables."""

    low: Array
    high: Array
    free: NDArray[np.bool_]


class Model:
    """Half of |r + J p|^2 by steps p within a box, if there is one.

    Lengths are those of ``scale * p``. A QR decomposition, and the singular values of its triangle,
    give the step for any damping and rank: the shortest one if there are several.
    """

    def __init__(self, jacobian: Array, residuals: Array, scale: Array, box: Box | None) -> None:
        self.jacobian, self.residuals, self.scale, self.box = jacobian, residuals, scale, box
        m, n = jacobian.shape
        scaled = jacobian / scale
        if box is not None and not box.free.all():
            scaled = scaled[:, box.free]
            n = scaled.shape[1]
        self._scaled = scaled
        joined = np.empty((m, n + 1), order="F")
        joined[:, :n], joined[:, n] = scaled, residuals
        triangle = dgeqrf(joined, overwrite_a=1)[0]
        k = min(m, n)
        if k == n > 0:
            u, s, self._vt, info = dgesdd(triangle[:k, :n] * _upper(k), full_matrices=0)
            if info:  # overflow: there is no step
                s[:] = np.nan
        else:
            u, s, self._vt = np.linalg.svd(np.triu(triangle[:k, :n]), full_matrices=False)
        rotated = u.T @ triangle[:k, n]
        self._s, self._squares, self._slopes = s, s * s, s * rotated
        if k and s[-1] > _RANK * s[0]:
            self._newton = rotated / s
            return
        s[~(s > _RANK * s[:1])] = 0.0
        self._squares, self._slopes = s * s, s * rotated
        self._newton = np.divide(rotated, s, out=np.zeros_like(s), where=s > 0.0)

    def length(self, step: Array) -> float:
        """Return the length of a step."""
        return norm(self.scale * step)

    def value(self, step: Array, bend: Array | float = 0.0) -> float:
        """Return the model's value after a step, with an optional bend of the residuals."""
        after = self.residuals + self.jacobian @ step + bend
        return 0.5 * float(after @ after)

    def gain(self, step: Array) -> float:
        """Return by how much a step lowers the model."""
        change = self.jacobian @ step
        return -float(change @ (self.residuals + 0.5 * change))

    def step(self, damping: float) -> Array:
        """Return the minimizer of |r + J p|^2 + damping |scale p|^2, ignoring the box."""
        if damping:
            return self._unscaled(self._slopes / (self._squares + damping))
        return self._unscaled(self._newton)

    def answer(self, residuals: Array, damping: float) -> Array:
        """Return the same for other residuals."""
        along = self._vt @ (self._scaled.T @ residuals)
        with np.errstate(all="ignore"):
            parts = along / (self._squares + damping)
        return self._unscaled(np.where(self._s > 0.0, parts, 0.0))

    def _unscaled(self, parts: Array) -> Array:
        found = -(parts @ self._vt)
        if self.box is None or found.size == self.scale.size:
            return np.asarray(found / self.scale)
        step = np.zeros(self.scale.size)
        step[self.box.free] = found / self.scale[self.box.free]
        return step

    def damping(self, radius: float) -> float:
        """Return the damping of the step of that length; 0 if no step is that long."""
        if not norm(self._newton) > _LONGER * radius:
            return 0.0
        target = radius / _PRECISION
        damping = 1e-32 * float(self._squares[0])
        while True:  # Newton's method for the inverse of the length: from the left, and monotone
            below = self._squares + damping
            parts = self._slopes / below
            square = float(parts @ parts)
            length = math.sqrt(square)
            if not length > radius:
                return damping
            further = damping + (length / max(target, 1e-300) - 1.0) * square / (
                parts @ (parts / below)
            )
            if not damping < further < np.inf:
                return damping
            damping = float(further)

    def within(self, radius: float) -> tuple[float, Array]:
        """Return the step within the box and approximately a radius, and its damping."""
        damping = self.damping(radius)
        step = self.bounded(damping)
        longest = 1.5 * radius
        if self.box is None or not self.length(step) > longest:
            return damping, step
        # At bounds a step may be longer than one without them.
        low = damping
        while self.length(step) > longest:
            damping = max(100.0 * damping, 1e-16 * float(self._squares[0]))
            step = self.bounded(damping)
        for _ in range(12):
            middle = math.sqrt(max(low, 1e-4 * damping) * damping)
            tried = self.bounded(middle)
            if self.length(tried) > longest:
                low = middle
                continue
            damping, step = middle, tried
            if self.length(step) > 0.75 * longest:
                break
        return damping, step

    def bounded(self, damping: float) -> Array:
        """Return the step of a damping within the box, by active sets.

        Variables that leave the box are held at its bounds, all at once; of those that would
        return, the one that gains most is freed, until there is none.
        """
        best = self.step(damping)
        if self.box is None:
            return best
        low, high, free = self.box
        if free.all() and ((best >= low) & (best <= high)).all():
            return best
        least, step, free, held = np.inf, best, free.copy(), np.zeros(best.size)
        for _ in range(3 * best.size + 5):
            step = self._held(free, held, damping)
            while (out := free & ((step < low) | (step > high))).any():
                held[out] = np.clip(step, low, high)[out]
                free &= ~out
                step = self._held(free, held, damping)
            after = self.residuals + self.jacobian @ step
            slope = self.jacobian.T @ after + damping * self.scale**2 * step
            value = float(after @ after) + damping * self.length(step) ** 2
            if value < least:
                least, best = value, step
            wants_back = ~free & (((step <= low) & (slope < 0)) | ((step >= high) & (slope > 0)))
            pull = np.where(wants_back, np.abs(slope) / self.scale, 0.0)
            if pull.max() <= 1e-12 * norm(after):
                break
            k = int(pull.argmax())
            free[k], held[k] = True, 0.0
        return best

    def _held(self, free: NDArray[np.bool_], held: Array, damping: float) -> Array:
        """Return the minimizer over the free variables, with the others held."""
        if not free.any():
            return held.copy()
        after = self.residuals + self.jacobian @ held
        rest = Model(self.jacobian, after, self.scale, Box(held, held, free))
        return held + rest.step(damping)
