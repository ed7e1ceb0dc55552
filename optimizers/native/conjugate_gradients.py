"""Truncated conjugate gradients: the inner loop of truncated Newton methods."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.native.hessian_products import HessianProducts
from optimizers.native.projected_search import Asking

#: Curvature of less than this part of what the preconditioner expects is not positive.
_CURVED = 1e-12
#: The diagonal is at least this part of its mean along the direction.
_FLAT = 1e-8
#: Pairs whose cosine is less than that are of no use.
_COSINE = 1e-10
#: The loop ends when an iteration brings less than this part of the mean decrease,
_PROGRESS = 0.3
#: or when more than this part of the variables have left the box.
_LEFT = 0.1


@dataclass
class Preconditioner:
    """A diagonal and pairs (v, Hv) of earlier iterations, as the matrix of L-BFGS has them."""

    diagonal: Array
    #: Whether the diagonal has the size of the Hessian.
    has_size: bool = False
    pairs: list[tuple[Array, Array]] = field(default_factory=list)

    def among(self, free: NDArray[np.bool_]) -> "Preconditioner":
        """Return that of some variables."""
        pairs = list[tuple[Array, Array]]()
        for v, image in self.pairs:
            v, image = np.where(free, v, 0.0), np.where(free, image, 0.0)
            if v @ image > _COSINE * np.linalg.norm(v) * np.linalg.norm(image):
                pairs.append((v, image))
        return Preconditioner(self.diagonal, self.has_size, pairs)

    def __call__(self, vector: Array) -> Array:
        """Return the product of its inverse with a vector: the two-loop recursion."""
        parts, result = list[float](), vector
        for v, image in reversed(self.pairs):
            parts.append(float(v @ result / (v @ image)))
            result = result - parts[-1] * image
        result = result / self.diagonal
        for (v, image), part in zip(self.pairs, reversed(parts), strict=True):
            result = result + (part - float(image @ result / (v @ image))) * v
        return result


@dataclass
class Solution:
    """What the loop found: a step, and what it learned of the Hessian."""

    step: Array
    #: Whether it ended at a direction without positive curvature.
    is_curved: bool
    preconditioner: Preconditioner


def truncated(
    products: HessianProducts, earlier: Preconditioner, tolerance: float, most: int
) -> Asking:
    """Minimize the quadratic model roughly in some variables, which start within bounds.

    Parameters
    ----------
    products : HessianProducts
        The point, the variables of the step, which is zero in all others, and products with the
        Hessian there.
    earlier : Preconditioner
        What earlier loops learned of the Hessian.
    tolerance : float
        By how much the residual is to fall.
    most : int
        The maximum number of products.

    Returns
    -------
    Solution
        A step, which may leave the bounds: the loop ends where many variables have.
    """
    at, free, room = products.at, products.free, products.box.room(products.at)
    inner, pairs = earlier.among(free), list(earlier.pairs)
    residual, step = np.where(free, -at.jac, 0.0), np.zeros_like(at.x)
    direction = np.where(free, inner(residual), 0.0)
    first = product = float(residual @ direction)
    diagonal, gain, is_curved = inner.diagonal, 0.0, False
    for k in range(1, most + 1):
        if not product > 0:
            break
        image = yield from products.image(direction)
        image = np.where(free, image, 0.0)
        curvature = float(direction @ image)
        expected = float(direction @ (diagonal * direction))
        if not inner.has_size and curvature > 0:
            inner.diagonal = diagonal = diagonal * (curvature / expected)
            first, expected, inner.has_size = first * expected / curvature, curvature, True
        if not curvature > _CURVED * expected:
            is_curved = True
            if k == 1:
                step = direction
            break
        length = product / curvature
        step, residual = step + length * direction, residual - length * image
        pairs.append((direction, image))
        diagonal = _updated(diagonal, direction, image, free)
        fall = length * product / 2.0
        gain += fall
        conditioned = np.where(free, inner(residual), 0.0)
        after = float(residual @ conditioned)
        left = int(((step < room[0]) | (step > room[1])).sum())
        if (
            after <= tolerance**2 * first
            or k * fall <= _PROGRESS * gain
            or left > _LEFT * step.size
        ):
            break
        direction, product = conditioned + (after / product) * direction, after
    return Solution(step, is_curved, Preconditioner(diagonal, inner.has_size, pairs))


def _updated(diagonal: Array, direction: Array, image: Array, free: NDArray[np.bool_]) -> Array:
    """Return the diagonal of the BFGS matrix after an update by a direction and its image."""
    old = diagonal * direction
    expected, curvature = float(direction @ old), float(direction @ image)
    new = diagonal - old**2 / expected + image**2 / curvature
    least = _FLAT * expected / float(direction @ direction)
    return np.where(free, np.maximum(new, least), diagonal)
