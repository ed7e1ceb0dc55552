"""What a wave is made of: blocks of points, each for one function and of one type."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.evaluation.task import Failure
from optimizers.gradients.stencils import Plan

#: Values, or why there are none.
Answer: TypeAlias = NDArray[Any] | Failure


class Block:
    """Points of a wave that go to the same function, and what came of them.

    Parameters
    ----------
    points : ndarray of float64 or complex128, shape (k, n)
        The points.
    gradient : callable, optional
        The user's gradient, if that is asked for at the points and not the objective.
    """

    def __init__(
        self, points: NDArray[Any], gradient: Callable[[Array], Any] | None = None
    ) -> None:
        self.points = points
        self.gradient = gradient
        #: The values, shape (k,), or the gradients, shape (k, n); NaN where there are none.
        self.values = np.full(
            len(points) if gradient is None else points.shape, np.nan, dtype=points.dtype
        )
        #: Why some have none, by row.
        self.failures: dict[int, Exception] = {}

    @functools.cached_property
    def errors(self) -> Array:
        """The values' standard errors as the objective told them, shape (k,); NaN elsewhere."""
        return np.full(len(self.points), np.nan)

    @property
    def owners(self) -> NDArray[np.intp]:
        """Whose each row is, where the points of several runs go together."""
        return np.zeros(len(self.points), dtype=np.intp)

    def count(self, part: slice, sign: int) -> None:
        """Note that a function is called at rows, or with the sign -1 that it is not after all."""

    @property
    def cost(self) -> int:
        """How many evaluations of the objective it takes."""
        return len(self.points) if self.gradient is None else 0

    @property
    def is_real(self) -> bool:
        """Whether its values are the objective's, at points that may be the solution."""
        return self.gradient is None and self.points.dtype != np.complex128


class Question:
    """The blocks that ask for values and gradients at several points, and where each lies there.

    Probes off the real axis, and calls of the user's gradient, are a block of their own: the
    points themselves are what the objective is really asked at.

    Parameters
    ----------
    xs : sequence of ndarray of float64, shape (n,)
        The points; at least one.
    plans : sequence of Plan
        The probes of the gradient at each; empty if the gradient is the user's.
    gradient : callable, optional
        The user's gradient.
    """

    def __init__(
        self,
        xs: Sequence[Array],
        plans: Sequence[Plan],
        gradient: Callable[[Array], Any] | None = None,
    ) -> None:
        self.plans = plans
        probes = [plan.points for plan in plans]
        sizes = [len(points) for points in probes] or [1] * len(xs)
        #: Whether points and probes are one block, so that groups and stacks are as full as can be.
        self.is_joint = bool(plans) and probes[0].dtype != np.complex128
        if self.is_joint:
            own = zip((x[np.newaxis] for x in xs), probes, strict=True)
            self.blocks = [Block(np.concatenate([points for pair in own for points in pair]))]
        else:
            points = np.array(xs)
            more = Block(np.concatenate(probes)) if plans else Block(points, gradient)
            self.blocks = [Block(points), more]
        lead = int(self.is_joint)
        ends = np.cumsum([lead + size for size in sizes]).tolist()
        self._rest = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self._rows = [rest.start - 1 if self.is_joint else i for i, rest in enumerate(self._rest)]

    @property
    def cost(self) -> int:
        """How many evaluations of the objective it takes."""
        return sum(block.cost for block in self.blocks)

    def value(self, i: int) -> float:
        """Return the value at a point."""
        return float(self.blocks[0].values[self._rows[i]])

    def rest(self, i: int) -> NDArray[Any]:
        """Return the values of a point's probes, shape (k,), or its gradient, shape (1, n)."""
        return self.blocks[-1].values[self._rest[i]]

    def error(self, i: int) -> float:
        """Return the standard error of the value at a point; NaN if it was not told."""
        return float(self.blocks[0].errors[self._rows[i]])

    def rest_errors(self, i: int) -> Array:
        """Return the standard errors of the values of a point's probes, shape (k,)."""
        return self.blocks[-1].errors[self._rest[i]]

    def failures(self, i: int) -> dict[int, Exception]:
        """Return why some of a point's probes, or its gradient, have no value, by their number."""
        rest, found = self._rest[i], self.blocks[-1].failures
        return {row - rest.start: found[row] for row in found if rest.start <= row < rest.stop}

    def own_failure(self, i: int) -> Exception | None:
        """Return why a point has no value; None if it has one."""
        return self.blocks[0].failures.get(self._rows[i])

    def candidates(self, i: int) -> tuple[Array, Array]:
        """Return the points that were evaluated for one, and may be the solution, and their values.

        Returns
        -------
        points, values : ndarray of float64, shapes (k, n) and (k,)
            All are finite.
        """
        row, block = self._rows[i], self.blocks[0]
        rows = slice(row, self._rest[i].stop if self.is_joint else row + 1)
        finite = np.isfinite(block.values[rows])
        return block.points[rows][finite], block.values[rows][finite]
