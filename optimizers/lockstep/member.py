"""One run's share in the waves of many: what it asks, and what has come of it."""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.asktell.evaluator import AskingEvaluator
from optimizers.asktell.messages import AskData, PendingAsk
from optimizers.evaluation.accounts import Account
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.task import Failure
from optimizers.evaluation.uncertainty import element
from optimizers.evaluation.wave import Answer, Block
from optimizers.result import StopReason
from optimizers.run.memory import StopRun


class MemberRequest(PendingAsk):
    """A wave of a run, with the answers that have arrived.

    Parameters
    ----------
    blocks : sequence of Block
        The blocks of the wave.
    spare : float
        How many evaluations may be made besides, for those that fail.
    essential : int
        How many of the first points are such that, should one fail, the rest is not wanted.

    Examples
    --------
    >>> request = MemberRequest([Block(np.zeros((2, 3)))], math.inf, 1)
    >>> request.put(0, 1, 7.0)
    >>> request.missing
    [0]
    """

    def __init__(self, blocks: Sequence[Block], spare: float, essential: int) -> None:
        super().__init__(AskData(np.concatenate([block.points for block in blocks])))
        self.blocks = [Block(block.points.copy(), block.gradient) for block in blocks]
        self.spare = spare
        self.essential = essential
        #: How many evaluations of the objective were started for it, and calls of the gradient.
        self.started = self.gradients = 0
        #: Whether a point failed without which the others are not wanted.
        self.is_over = False
        #: By block and row.
        self.answers: dict[tuple[int, int], Any] = {}

    @property
    @override
    def missing(self) -> list[int]:
        found, row = [], 0
        for number, block in enumerate(self.blocks):
            for i in range(len(block.points)):
                if (number, i) not in self.answers:
                    found.append(row)
                row += 1
        return [] if self.is_over else found

    def put(self, block: int, row: int, answer: Any) -> None:
        """Note what came of a row of a block: an answer, or the failure in its place."""
        self.answers[block, row] = answer
        first = sum(len(before.points) for before in self.blocks[:block])
        has_failed = isinstance(answer, BaseException) or (
            self.blocks[block].gradient is None and not np.isfinite(element(answer)[0])
        )
        self.is_over = self.is_over or (has_failed and first + row < self.essential)

    @override
    def take(self, other: PendingAsk) -> None:
        assert isinstance(other, MemberRequest)
        self.answers, self.is_over, self.precision = other.answers, other.is_over, other.precision
        self.started, self.gradients = other.started, other.gradients


class MemberEvaluator(AskingEvaluator):
    """Stands for the evaluator of many in one of their runs.

    Parameters
    ----------
    shared : Evaluator
        The evaluator of all.
    """

    def __init__(self, shared: Evaluator) -> None:
        super().__init__()
        self._shared = shared

    @property
    @override
    def calls_singly(self) -> bool:
        return self._shared.calls_singly

    @property
    @override
    def has_workers(self) -> bool:
        return self._shared.has_workers

    @override
    def measure(self, x: Array, spare: float = math.inf) -> tuple[float, float]:
        return element(self._single(Block(x[np.newaxis]), spare))

    @override
    def raw(self, fun: Callable[[Array], Any], x: Array) -> Any:
        calls = self.gradients
        try:
            return self._single(Block(x[np.newaxis], fun), math.inf)
        finally:
            self.gradients = calls

    def _single(self, block: Block, spare: float) -> Any:
        self.essential = 1
        for _, _, answer in self.answers([block], spare):
            if isinstance(answer, BaseException):
                raise answer
            return answer[0]
        raise StopRun(StopReason.TIMEOUT)

    @override
    def answers(
        self, blocks: Sequence[Block], spare: float | Account = math.inf, deadline: float = math.inf
    ) -> Generator[tuple[Block, slice, Answer], None, None]:
        assert not isinstance(spare, Account)  # which is for those who evaluate
        if not any(len(block.points) for block in blocks):
            return
        request, stop = MemberRequest(blocks, spare, self.essential), None
        try:
            self.hand(request)
        except StopRun as closed:  # what was answered before counts
            stop = closed
        finally:
            self.started += request.started
            self.gradients += request.gradients
            self.precision = max(self.precision, request.precision)
        for (number, row), found in sorted(request.answers.items(), key=lambda item: item[0]):
            yield blocks[number], slice(row, row + 1), _as_answer(found, blocks[number])
        if stop is not None:
            raise stop


def _as_answer(found: Any, block: Block) -> Answer:
    if isinstance(found, BaseException):
        failure: Failure = found  # type: ignore[assignment]  # of those that evaluators catch
        return failure
    if block.gradient is None and np.ndim(found):  # with its standard error
        return np.array([found])
    answer = np.empty(1, dtype=block.points.dtype if block.gradient is None else object)
    answer[0] = found
    return answer
