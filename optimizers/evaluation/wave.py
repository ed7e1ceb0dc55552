"""The parts of a wave: blocks of points, each for one function, and limits of their cost."""

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers._types import Array
from optimizers.evaluation.by_shots import with_shots
from optimizers.evaluation.task import Failure
from optimizers.gradients.plan import Plan

#: Values, or the failure.
Answer: TypeAlias = NDArray[Any] | Failure
#: What is evaluated at a point: the objective, its gradient, or both in one call (``jac=True``).
Kind: TypeAlias = Literal["fun", "jac", "both"]


@dataclass(slots=True)  # not frozen, which would be slow for each wave
class Cost:
    """How many evaluations of the objective something takes, and how many shots; not changed."""

    points: float
    shots: float = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Return the cost of both."""
        return Cost(self.points + other.points, self.shots + other.shots)

    def __sub__(self, other: "Cost") -> "Cost":
        """Return what is left."""
        return Cost(self.points - other.points, self.shots - other.shots)

    @property
    def is_debt(self) -> bool:
        """Whether, as what is left, it is less than nothing."""
        return self.points < 0 or self.shots < 0


UNLIMITED = Cost(math.inf, math.inf)


class Block:
    """Points of a wave that go to the same function, and the answers to them.

    Without a function they go to the objective; a given function returns the gradient, or "both".
    """

    #: The residuals, shape (k, m), NaN where there are none; None if the objective does not return
    #: residuals.
    residuals: NDArray[Any] | None = None
    #: The rows that are asked for themselves, where the others are probes; None for all.
    own: Sequence[int] | None = None
    #: How many shots each row is evaluated with, shape (k,); None if the objective takes none.
    shots: NDArray[np.int64] | None = None

    def __init__(
        self,
        points: NDArray[Any],
        function: Callable[[Array], Any] | None = None,
        kind: Kind = "fun",
    ) -> None:
        self.points = points
        self.function = function
        self.kind = kind
        #: The values, shape (k,), NaN where there are none.
        self.values = np.empty(len(points), dtype=points.dtype)
        self.values.fill(math.nan)
        #: The failures, by row.
        self.failures: dict[int, Exception] = {}

    @functools.cached_property
    def gradients(self) -> Array:
        """The gradients, shape (k, n); NaN where there are none."""
        return np.full(self.points.shape, np.nan)

    @functools.cached_property
    def jacobians(self) -> dict[int, Any]:
        """The Jacobians of residuals, by row, as :func:`as_jacobian` has them."""
        return {}

    def note_residuals(self, part: slice, residuals: NDArray[Any]) -> None:
        """Note the residuals at rows."""
        if self.residuals is None:
            shape = len(self.points), residuals.shape[1]
            self.residuals = np.full(shape, np.nan, dtype=residuals.dtype)
        self.residuals[part] = residuals

    @functools.cached_property
    def errors(self) -> Array:
        """The values' standard errors as the objective returned them, shape (k,); NaN elsewhere."""
        return np.full(len(self.points), np.nan)

    def sent(self, part: slice) -> NDArray[Any]:
        """Return rows as they are sent to the function."""
        return with_shots(self.points[part], None if self.shots is None else self.shots[part])

    def spent(self, part: slice) -> int:
        """Return how many shots rows take."""
        return 0 if self.shots is None else int(self.shots[part].sum())

    @property
    def owners(self) -> NDArray[np.intp]:
        """The run of each row, where the points of several runs travel together."""
        return np.zeros(len(self.points), dtype=np.intp)

    @property
    def runs(self) -> Iterable[int]:
        """The number of the run of each row."""
        return itertools.repeat(0, len(self.points))

    def is_probe(self, row: int) -> bool:
        """Return whether a row is not asked for itself, but for a gradient or a check."""
        return self.own is not None and row not in self.own

    def count(self, part: slice, sign: int) -> None:
        """Count the rows at which a function is called; with sign -1, uncount them."""

    def count_replayed(self, part: slice) -> None:
        """Count rows that are answered from a journal."""

    def calls(self, row: int) -> int:
        """Return how often the function was called for a row, if rows are counted separately."""
        return 1

    @property
    def cost(self) -> Cost:
        """What it takes."""
        return self.cost_of(slice(0, len(self.points)))

    def cost_of(self, part: slice) -> Cost:
        """Return what rows take."""
        return Cost(0 if self.kind == "jac" else part.stop - part.start, self.spent(part))

    @property
    def is_real(self) -> bool:
        """Whether its values are the objective's, at points that may be the solution."""
        return self.kind != "jac" and self.points.dtype.kind != "c"


class RowsOfBlock(Block):
    """Some of the rows of a block, which are counted there."""

    def __init__(self, whole: Block, rows: list[int]) -> None:
        super().__init__(whole.points[rows], whole.function, whole.kind)
        self._whole, self._rows = whole, rows
        self.shots = None if whole.shots is None else whole.shots[rows]

    @functools.cached_property
    @override
    def owners(self) -> NDArray[np.intp]:
        return self._whole.owners[self._rows]

    @override
    def is_probe(self, row: int) -> bool:
        return self._whole.is_probe(self._rows[row])

    @override
    def count(self, part: slice, sign: int) -> None:
        for row in self._rows[part]:
            self._whole.count(slice(row, row + 1), sign)


class RetryBudget:
    """What a wave may spend beyond one evaluation of each point."""

    def __init__(self, left: Cost = UNLIMITED) -> None:
        #: What is left.
        self.left = left

    def grants(self, block: Block, part: slice) -> bool:
        """Return whether rows may be evaluated again, and charge the budget if so."""
        left = self.left - block.cost_of(part)
        if left.is_debt:
            return False
        self.left = left
        return True


class SharedRetryBudget(RetryBudget):
    """The retry budgets of several runs whose points travel in one wave, and a common one."""

    def __init__(self, each: Sequence[Cost], total: Cost = UNLIMITED) -> None:
        super().__init__(total)
        self._each = np.array([[own.points, own.shots] for own in each], dtype=np.float64).T

    @override
    def grants(self, block: Block, part: slice) -> bool:
        if block.kind == "jac":
            return True
        owners, many = block.owners[part], self._each.shape[1]
        costs = np.zeros_like(self._each)
        costs[0] = np.bincount(owners, minlength=many)
        if block.shots is not None:
            costs[1] = np.bincount(owners, block.shots[part], minlength=many)
        if (costs > self._each)[costs > 0].any() or not super().grants(block, part):
            return False
        self._each -= costs
        return True


class Wave:
    """Points that may be evaluated at the same time, and the conditions for that."""

    def __init__(
        self,
        blocks: Sequence[Block],
        retries: RetryBudget | None = None,
        deadline: float = math.inf,
        required_rows: int = 0,
        is_first_needed: bool = False,
        on_answer: Callable[[Block, int, Answer], None] | None = None,
    ) -> None:
        self.blocks = blocks
        self.retries = RetryBudget() if retries is None else retries
        #: The time of ``time.monotonic`` after which nothing is started.
        self.deadline = deadline
        #: The number of first points that are needed: if one of these fails, the rest is not
        #: evaluated.
        self.required_rows = required_rows
        #: Whether that includes the first point if its failure is the value +inf.
        self.is_first_needed = is_first_needed
        #: Gets answers that arrive while the wave of a stepper is incomplete.
        self.on_answer = on_answer
        #: Points and answers that had arrived when the wave was abandoned, or that nobody has asked
        #: for yet.
        self.late: list[tuple[NDArray[Any], NDArray[Any]]] = []

    @property
    def is_overdue(self) -> bool:
        """Whether nothing may be started any longer."""
        return self.deadline < math.inf and time.monotonic() > self.deadline


class Question:
    """The blocks for values and gradients at several points, and the position of each in them.

    Complex probes, and calls of the user's gradient, are separate blocks. ``further`` points, whose
    values are asked for too, come last in the first block.
    """

    def __init__(
        self,
        xs: Sequence[Array],
        plans: Sequence[Plan] = (),
        gradient: Callable[[Array], Any] | None = None,
        both: Callable[[Array], Any] | None = None,
        further: Sequence[Array] = (),
        shots: NDArray[np.int64] | None = None,
    ) -> None:
        self.size = len(xs)
        self.plans = plans
        #: Whether points and probes share a block, so that groups and stacks are as full as
        #: possible.
        self.is_joint = bool(plans) and plans[0].points.dtype.kind != "c"
        # The row of each point, and the row after its last probe.
        self._rows: Sequence[int] = range(self.size)
        self._ends: Sequence[int] = range(1, self.size + 1)
        if plans:
            ends = list(itertools.accumulate(self.is_joint + len(plan.points) for plan in plans))
            self._rows, self._ends = [0, *ends[:-1]] if self.is_joint else self._rows, ends
        if self.is_joint:
            own = zip((x[np.newaxis] for x in xs), (plan.points for plan in plans), strict=True)
            parts = [points for pair in own for points in pair]
            self.blocks = [Block(np.concatenate([*parts, *(x[np.newaxis] for x in further)]))]
            self.blocks[0].own = self._rows
            if shots is not None:
                self.blocks[0].shots = np.repeat(shots, np.diff([0, *self._ends]))
            return
        points = xs[0][np.newaxis] if self.size == 1 else np.array(xs)
        asked = np.array([*points, *further]) if len(further) else points
        self.blocks = [Block(asked) if both is None else Block(asked, both, "both")]
        if len(further):
            self.blocks[0].own = self._rows
        self.blocks[0].shots = shots
        if plans:
            self.blocks.append(probes_at(np.concatenate([plan.points for plan in plans])))
        elif gradient is not None:
            self.blocks.append(Block(points, gradient, "jac"))

    def _rest(self, i: int) -> slice:
        """Return the rows of a point's probes, or of its gradient."""
        start = self._rows[i] + 1 if self.is_joint else self._ends[i - 1] if i else 0
        return slice(start, self._ends[i])

    def value(self, i: int) -> float:
        """Return the value at a point."""
        value: float = self.blocks[0].values.item(self._rows[i])
        return value

    def residuals(self, i: int) -> Array | None:
        """Return the residuals at a point, shape (m,); None if the objective returns none."""
        found = self.blocks[0].residuals
        return None if found is None else found[self._rows[i]]

    def probes(self, i: int) -> NDArray[Any]:
        """Return the values of a point's probes; see :func:`probed`."""
        return probed(self.blocks[-1], self._rest(i))

    def gradient(self, i: int) -> Any:
        """Return the user's gradient at a point, as a copy; for residuals, the Jacobian."""
        block = self.blocks[-1]
        return block.gradients[i].copy() if self.residuals(i) is None else block.jacobians[i]

    @property
    def errors(self) -> Array:
        """The standard errors of the values at the points, shape (k,); NaN where not known."""
        return self.blocks[0].errors[list(self._rows)]

    def all_errors(self, i: int) -> Array:
        """Return the standard errors at a point and its probes, shape (1 + k,); NaN if unknown."""
        rows = self.blocks[-1].errors[self._rest(i)]
        return np.append(self.blocks[0].errors[self._rows[i]], rows)

    def own_failure(self, i: int) -> Exception | None:
        """Return the failure at a point, or None."""
        return self.blocks[0].failures.get(self._rows[i])

    def failures(self, i: int) -> dict[int, Exception]:
        """Return the failures of a point's probes, or of its gradient, by their number."""
        found = self.blocks[-1].failures
        if not found:
            return found
        rest = self._rest(i)
        return {row - rest.start: found[row] for row in found if rest.start <= row < rest.stop}

    def candidates(self, i: int) -> tuple[Array, Array, Array | None]:
        """Return the points evaluated for one that have finite values and may be the solution.

        Their shapes are (k, n) and (k,), and (k, m) for residuals.
        """
        row, block = self._rows[i], self.blocks[0]
        rows = slice(row, self._ends[i] if self.is_joint else row + 1)
        finite = np.isfinite(block.values[rows])
        residuals = None if block.residuals is None else block.residuals[rows][finite]
        return block.points[rows][finite], block.values[rows][finite], residuals


def probes_at(points: NDArray[Any]) -> Block:
    """Return a block of probes alone."""
    block = Block(points)
    block.own = ()
    return block


def probed(block: Block, rows: slice = slice(None)) -> NDArray[Any]:
    """Return the data for a gradient, values (k,), or for a Jacobian, residuals (m, k)."""
    return block.values[rows] if block.residuals is None else block.residuals[rows].T
