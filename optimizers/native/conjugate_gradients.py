"""Truncated conjugate gradients: the inner loop of truncated Newton methods."""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.asktell.flow import Asking
from optimizers.native.hessian_products import HessianProducts

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


class Pair(NamedTuple):
    """A direction, its product with the Hessian, and the curvature: the product of both."""

    v: Array
    image: Array
    curvature: float


@dataclass
class Preconditioner:
    """A diagonal and pairs of earlier iterations, as the matrix of L-BFGS has them."""

    diagonal: Array
    #: The last pairs; the longest that this may be is how many are kept.
    pairs: deque[Pair]
    #: Whether the diagonal has the size of the Hessian.
    has_size: bool = False

    def among(self, free: NDArray[np.bool_]) -> "Preconditioner":
        """Return that of some variables."""
        pairs = deque[Pair](maxlen=self.pairs.maxlen)
        for pair in self.pairs:
            v, image = np.where(free, pair.v, 0.0), np.where(free, pair.image, 0.0)
            curvature = float(v @ image)
            if curvature > _COSINE * np.linalg.norm(v) * np.linalg.norm(image):
                pairs.append(Pair(v, image, curvature))
        return Preconditioner(self.diagonal, pairs, self.has_size)

    def __call__(self, vector: Array) -> Array:
        """Return the product of its inverse with a vector: the two-loop recursion."""
        parts, result = list[float](), vector
        for pair in reversed(self.pairs):
            parts.append(float(pair.v @ result) / pair.curvature)
            result = result - parts[-1] * pair.image
        result = result / self.diagonal
        for pair, part in zip(self.pairs, reversed(parts), strict=True):
            result = result + (part - float(pair.image @ result) / pair.curvature) * pair.v
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
) -> Asking[Solution]:
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
    inner, pairs = earlier.among(free), earlier.pairs.copy()
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
        pair = Pair(direction, image, curvature)
        pairs.append(pair)
        diagonal = np.where(free, _updated(diagonal, pair, expected), diagonal)
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
    return Solution(step, is_curved, Preconditioner(diagonal, pairs, inner.has_size))


def _updated(diagonal: Array, pair: Pair, expected: float) -> Array:
    """Return the diagonal of the BFGS matrix after a pair whose curvature it had expected."""
    new = diagonal - (diagonal * pair.v) ** 2 / expected + pair.image**2 / pair.curvature
    return np.maximum(new, _FLAT * expected / float(pair.v @ pair.v))
