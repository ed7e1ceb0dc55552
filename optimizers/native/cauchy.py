"""The generalized Cauchy point: the first minimum of the model along the path of steepest descent.

The path bends where a variable meets its bound. Breakpoints are sorted and treated in chunks: what
the model needs at each is a cumulative sum over those before.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optimizers._types import Array
from optimizers.native.arrays import Arrays, Tensor
from optimizers.native.hessian import CHUNK, Hessian

_EPS = float(np.finfo(np.float64).eps)
#: What remains of the squared gradient where rounding errors of the sums dominate.
_NOTHING = 1e-14


class Way(NamedTuple):
    """The path: how long it is where each variable meets its bound, 0 for one that does not move.

    ``moving`` is the gradient of the others, and ``square`` its square.
    """

    breaks: Tensor
    moving: Tensor
    square: float


@dataclass(eq=False)
class CauchyPoint:
    """Where the search along the path stands; in the end, the minimum."""

    #: The length of the path.
    step: float
    #: W' times the direction of the segment, and times the way of variables that met their bounds.
    along: Array
    fixed: Array
    #: The squared gradient in the variables that still move.
    square: float
    #: The derivative at the start, along the straight line to here.
    slope: float = 0.0
    has_passed: bool = False


def cauchy_point(arrays: Arrays, hessian: Hessian, way: Way, products: Array) -> CauchyPoint:
    """Return the Cauchy point; ``products`` are those of W' with the gradient that moves."""
    xp, breaks, square = arrays.xp, way.breaks, way.square
    point = CauchyPoint(0.0, -products, np.zeros_like(products), square)
    curvature = hessian.scale * square - float(products @ hessian.middle @ products)
    least = _EPS * hessian.scale * square
    left = square / max(curvature, least) if square else 0.0
    reach, is_end = 1.0, False
    while point.square > 0.0 and not is_end:
        # Further than needed, so that few rounds suffice; the first is usually the last.
        limit = point.step + reach * left
        (found,) = xp.nonzero((breaks > point.step) & (breaks <= limit))
        if found.shape[0] == 0:
            break
        reach *= 2.0
        found = xp.take(found, xp.argsort(xp.take(breaks, found)))
        steps = arrays.columns(breaks, found)
        if point.step + left < steps[0]:
            break
        ends = np.append(steps[1:], limit)
        for at in range(0, len(steps), CHUNK):
            here = slice(at, at + CHUNK)
            g = arrays.columns(way.moving, found[here])
            chunk = steps[here], ends[here], g, hessian.columns(found[here])
            left, is_end = _pass(point, hessian, chunk, least, _NOTHING * square)
            if is_end:
                break
    point.step += left
    point.slope -= point.step * point.square
    return point


def _pass(
    point: CauchyPoint,
    hessian: Hessian,
    chunk: tuple[Array, Array, Array, Array],
    least: float,
    nothing: float,
) -> tuple[float, bool]:
    """Move the point over breakpoints up to the minimum, or over all.

    Return how far behind the last one the minimum is, and whether that is certain: each segment
    has an end up to which it is.
    """
    steps, ends, g, columns = chunk
    scale = hessian.scale
    moved = columns * g
    along = point.along[:, np.newaxis] + np.cumsum(moved, axis=1)
    fixed = point.fixed[:, np.newaxis] - np.cumsum(moved * steps, axis=1)
    square = point.square - np.cumsum(g * g)
    middle = hessian.middle @ along
    slope = -square * (1.0 - scale * steps) - (middle * (fixed + steps * along)).sum(axis=0)
    curvature = scale * square - (middle * along).sum(axis=0)
    left = np.where(square > nothing, -slope / np.maximum(curvature, least), 0.0)
    # Where several variables meet their bounds at once, it is known only after all.
    is_end = ((left <= 0.0) | (steps + left <= ends)) & (ends > steps)
    last = int(is_end.argmax()) if is_end.any() else len(steps) - 1
    point.has_passed = True
    point.slope -= float((g * g * steps)[: last + 1].sum())
    point.step, point.square = float(steps[last]), max(float(square[last]), 0.0)
    point.along, point.fixed = along[:, last], fixed[:, last]
    return max(float(left[last]), 0.0), bool(is_end[last])
