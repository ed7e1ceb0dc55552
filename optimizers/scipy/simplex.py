"""The course of SciPy's Nelder-Mead: the points that it asks for, and may ask for, one by one."""

from collections.abc import Callable, Generator
from typing import TypeAlias

import numpy as np

from optimizers._types import Array

#: Yields the point that SciPy asks for, followed by those that it may ask for after it; is sent the
#: value of the first.
Course: TypeAlias = Generator[list[Array], float, None]


def simplex_course(
    simplex: Array, clip: Callable[[Array], Array], trials: int, *, is_adaptive: bool
) -> Course:
    """Follow the method from its first simplex, without its end.

    At most ``trials`` points of an iteration are yielded at a time. Their expressions are SciPy's,
    since a point that differs by rounding is another point.
    """
    n = simplex.shape[1]
    expansion, contraction, shrinkage = 2.0, 0.5, 0.5
    if is_adaptive:
        expansion, contraction, shrinkage = 1 + 2 / n, 0.75 - 1 / (2 * n), 1 - 1 / n
    values = yield from _values(simplex)
    order = np.argsort(values)
    simplex, values = simplex[order], values[order]
    while True:
        order = np.argsort(values)
        simplex, values = simplex[order], values[order]
        center, worst = np.add.reduce(simplex[:-1], 0) / n, simplex[-1]
        point = clip(2 * center - worst)
        longer = clip((1 + expansion) * center - expansion * worst)
        outside = clip((1 + contraction) * center - contraction * worst)
        inside = clip((1 - contraction) * center + contraction * worst)
        value = yield [point, inside, longer, outside][:trials]
        if value < values[0]:
            further = yield [longer]
            if further < value:
                point, value = longer, further
        elif not value < values[-2]:
            is_outside = value < values[-1]
            contracted = outside if is_outside else inside
            further = yield [contracted]
            if not (further <= value if is_outside else further < values[-1]):
                simplex[1:] = clip(simplex[0] + shrinkage * (simplex[1:] - simplex[0]))
                values[1:] = yield from _values(simplex[1:])
                continue
            point, value = contracted, further
        simplex[-1], values[-1] = point, value


def _values(points: Array) -> Generator[list[Array], float, Array]:
    """Ask for points that are all needed, and return their values."""
    values = np.empty(len(points))
    for i in range(len(points)):
        values[i] = yield list(points[i:])
    return values
