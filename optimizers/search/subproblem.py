"""The least of a quadratic within a ball and a box."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array

#: Curvatures below this part of the largest count as none.
_FLAT = 1e-12
#: How near to the sphere a step ends that is to be on it.
_PRECISION = 1e-6


class Quadratic(NamedTuple):
    """A quadratic without its constant: ``gradient @ s + s @ hessian @ s / 2``."""

    gradient: Array
    hessian: Array

    def __call__(self, step: Array) -> float:
        """Return the change by a step, shape (n,)."""
        return float(self.gradient @ step + step @ self.hessian @ step / 2)

    def negated(self) -> "Quadratic":
        """Return the quadratic with the other sign."""
        return Quadratic(-self.gradient, -self.hessian)


def within_ball(model: Quadratic, radius: float) -> Array:
    """Return the step of the least value that is no longer than a radius."""
    curvatures, axes = np.linalg.eigh(model.hessian)
    slopes = axes.T @ model.gradient
    floor = _FLAT * float(np.abs(curvatures).max()) + np.finfo(float).tiny
    lowest = float(curvatures[0])
    if lowest > floor and (np.abs(slopes) <= radius * curvatures).all():
        step = slopes / curvatures
        if np.linalg.norm(step) <= radius:
            return np.asarray(-axes @ step)
    if not slopes.any() and lowest >= 0.0:
        return np.zeros_like(slopes)
    least = float(np.linalg.norm(slopes)) / radius - float(curvatures[-1])
    damping = max(max(0.0, -lowest) + floor, least)
    parts = -slopes / (curvatures + damping)
    if np.linalg.norm(parts) < radius:  # the rest of the way along the axis of least curvature
        parts[0] = 0.0
        rest = np.sqrt(max(radius**2 - float(parts @ parts), 0.0))
        parts[0] = -np.copysign(rest, slopes[0])
        return np.asarray(axes @ parts)
    while (length := float(np.linalg.norm(parts))) > (1.0 + _PRECISION) * radius:
        # Newton's method for the inverse of the length: from the left, and monotone.
        with np.errstate(over="ignore"):  # for tiny values the step is as long as it may be
            bend = float(parts @ (parts / (curvatures + damping)))
        further = damping + (length / radius - 1.0) * length**2 / bend
        if not damping < further < np.inf:
            break
        damping = further
        parts = -slopes / (curvatures + damping)
    return np.asarray(axes @ parts * min(1.0, radius / length))


def within_box(model: Quadratic, radius: float, low: Array, high: Array) -> Array:
    """Return such a step within bounds, which 0 is in.

    The variables that a step takes out of the box first are fixed at their bounds, and the rest is
    solved anew; at last each variable may leave its bound again. It is a minimum along each axis,
    not always the least of all.
    """
    step = np.zeros_like(model.gradient)
    free = ~(((low >= 0.0) & (model.gradient > 0.0)) | ((high <= 0.0) & (model.gradient < 0.0)))
    while free.any():
        left = radius**2 - float(step @ step)
        if left <= 0.0:
            break
        tried = step.copy()
        tried[free] = within_ball(_among(model, step, free), left**0.5)
        reach = _reach(tried, low, high)
        hit = free & (reach <= reach[free].min())
        if reach[hit][0] >= 1.0:
            step = tried
            break
        step[hit] = np.where(tried < 0.0, low, high)[hit]
        free &= ~hit
    if free.all():
        return step
    other = _descent(model, radius, low, high)
    best = other if model(other) < model(step) else step
    return _settled(model, best, radius, low, high)


def _among(model: Quadratic, step: Array, free: NDArray[np.bool_]) -> Quadratic:
    """Return the quadratic of the variables that are free, the others having made a step."""
    if free.all():
        return model
    gradient = model.gradient + model.hessian @ step
    return Quadratic(gradient[free], model.hessian[np.ix_(free, free)])


def _reach(step: Array, low: Array, high: Array) -> Array:
    """Return which part of a step each variable can make within its bounds, at most 1."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.where(step < low, low / step, np.where(step > high, high / step, 1.0))


def _descent(model: Quadratic, radius: float, low: Array, high: Array) -> Array:
    """Return the best step along the gradient projected to the box."""
    size = float(np.linalg.norm(model.gradient))
    if size == 0.0:
        return np.zeros_like(model.gradient)
    way = np.clip(-model.gradient / size * radius, low, high)
    slope, bend = float(model.gradient @ way), float(way @ model.hessian @ way)
    return way if bend <= 0.0 else way * min(1.0, max(0.0, -slope / bend))


def _settled(model: Quadratic, step: Array, radius: float, low: Array, high: Array) -> Array:
    """Return a step after each variable has gone to its best place, one after another, twice."""
    step = step.copy()
    slopes = model.gradient + model.hessian @ step
    for i in (*range(step.size), *range(step.size)):
        room = max(radius**2 - float(step @ step) + float(step[i] ** 2), 0.0) ** 0.5
        ends = max(float(low[i]), -room), min(float(high[i]), room)
        slope, bend = float(slopes[i]), float(model.hessian[i, i])
        moves = [end - float(step[i]) for end in ends]
        if bend > 0.0:
            moves.append(min(max(float(step[i]) - slope / bend, ends[0]), ends[1]) - float(step[i]))
        move = min(moves, key=lambda t: slope * t + bend * t * t / 2.0)
        if slope * move + bend * move * move / 2.0 < 0.0:
            step[i] += move
            slopes += move * model.hessian[i]
    return step
