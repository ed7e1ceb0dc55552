"""A wave on a map-like callable, such as SciPy takes as ``workers``: ``workers(fun, points)``."""

import time
from collections.abc import Callable, Generator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizers.errors import InvalidInputError, InvalidValueError
from optimizers.evaluation.accounts import Account
from optimizers.evaluation.answers import precision_of
from optimizers.evaluation.task import Caught, Failure, TaskResult, is_worth_a_retry
from optimizers.evaluation.uncertainty import as_answer
from optimizers.evaluation.wave import Answer, Block

if TYPE_CHECKING:
    from optimizers.evaluation.evaluator import Evaluator

_Row = tuple[Block, int]


def mapped(
    evaluator: "Evaluator",
    mapping: Callable[..., Any],
    blocks: Sequence[Block],
    account: Account,
    deadline: float,
) -> Generator[tuple[Block, slice, Answer], None, None]:
    """Evaluate the blocks of one wave, in one call of the map for each function.

    Parameters
    ----------
    evaluator : Evaluator
        Whose wave it is.
    mapping : callable
        The map.
    blocks, deadline
        As in :meth:`Evaluator.answers`.
    account : Account
        What may be spent on those that failed.

    Yields
    ------
    block : Block
        One of them.
    part : slice
        Some of its rows.
    answer : ndarray, Exception or SystemExit
        As in :meth:`Evaluator.answers`; those of failures last, so that no value is lost.
    """
    for _, same in groupby(blocks, lambda block: block.gradient):
        rows = [(block, row) for block in same for row in range(len(block.points))]
        for attempt in range(evaluator.retries + 1):
            if not rows or time.monotonic() > deadline:
                break
            for block, i in rows:
                evaluator.count(block, slice(i, i + 1))
            failed: list[tuple[_Row, Failure]] = []
            for row, outcome in zip(rows, _called(evaluator, mapping, rows), strict=True):
                evaluator.precision = max(evaluator.precision, outcome.precision)
                if outcome.error is None:
                    yield row[0], slice(row[1], row[1] + 1), outcome.values
                else:
                    failed.append((row, outcome.error))
            rows = []
            for (block, i), error in failed:
                one, may = slice(i, i + 1), attempt < evaluator.retries
                if may and is_worth_a_retry(error) and account.grants(block, one):
                    rows.append((block, i))
                else:
                    yield block, one, error


def _called(
    evaluator: "Evaluator", mapping: Callable[..., Any], rows: Sequence[_Row]
) -> list[TaskResult]:
    """Return what the map makes of some rows, all for one function."""
    fun, form = evaluator.way(rows[0][0])
    try:
        answers = mapping(Caught(fun, form), [block.points[i].copy() for block, i in rows])
        if callable(getattr(answers, "submit", None)):
            raise InvalidInputError(
                f"workers is {mapping!r}, which was called as a map since it takes any number of "
                "arguments, and returned an executor: pass a callable without arguments."
            )
        answers = list(answers)
        if len(answers) != len(rows):
            raise InvalidValueError(
                f"workers returned {len(answers)} answers, expected {len(rows)} numbers, one for "
                "each point."
            )
    except Exception as error:  # of the map itself
        return [TaskResult(error=error) for _ in rows]
    return [_outcome(answer, block) for answer, (block, _) in zip(answers, rows, strict=True)]


def _outcome(answer: Any, block: Block) -> TaskResult:
    if isinstance(answer, TaskResult):
        return answer
    # A map that evaluates by itself, and returns values.
    if block.gradient is not None:
        gradient = np.empty(1, dtype=object)
        gradient[0] = answer
        return TaskResult(gradient)
    try:
        points = block.points
        values = as_answer(answer, 1, points.shape[1], points.dtype.type)
        return TaskResult(values, precision_of(answer))
    except Exception as error:
        return TaskResult(error=error)
