"""One run's share in the waves of many: what it asks, and what has come of it."""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.asktell.evaluator import AskingEvaluator
from optimizers.evaluation.accounts import Account
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.uncertainty import element, values_of
from optimizers.evaluation.wave import Answer, Block
from optimizers.result import StopReason
from optimizers.run.memory import StopRun


class MemberRequest:
    """A wave of a run, with the answers that have arrived.

    Parameters
    ----------
    blocks : sequence of Block
        The blocks of the wave; they are only read.
    spare : float
        How many evaluations may be made besides, for those that fail.
    essential : int
        How many of the first points are such that, should one fail, the rest is not wanted.

    Examples
    --------
    >>> request = MemberRequest([Block(np.zeros((2, 3)))], math.inf, 1)
    >>> request.put(0, slice(0, 1), np.array([7.0]))
    >>> request.is_answered
    False
    """

    def __init__(self, blocks: Sequence[Block], spare: float, essential: int) -> None:
        self.blocks = blocks
        self.spare = spare
        self._essential = essential
        self._missing = sum([len(block.points) for block in blocks])
        #: How many evaluations of the objective were started for it, and calls of the gradient.
        self.started = self.gradients = 0
        #: The coarsest machine precision among the values.
        self.precision = 0.0
        #: Whether a point failed without which the others are not wanted.
        self.is_over = False
        #: By block and first row.
        self.answers: list[tuple[int, slice, Answer]] = []

    @property
    def is_answered(self) -> bool:
        """Whether all that is wanted has come."""
        return self.is_over or not self._missing

    def has(self, number: int, row: int) -> bool:
        """Return whether a row of a block is answered."""
        return any(one == number and rows.start <= row < rows.stop for one, rows, _ in self.answers)

    def put(self, number: int, rows: slice, answer: Answer) -> None:
        """Note what came of rows of a block: their values, or the failure in their place."""
        self.answers.append((number, rows, answer))
        self._missing -= rows.stop - rows.start
        count = self._essential - rows.start
        if number:
            count -= sum(len(before.points) for before in self.blocks[:number])
        if count > 0 and not self.is_over:
            self.is_over = isinstance(answer, BaseException) or (
                self.blocks[number].gradient is None
                and not np.isfinite(values_of(answer)[:count]).all()
            )


class MemberEvaluator(AskingEvaluator):
    """Stands for the evaluator of many in one of their runs."""

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
        request = MemberRequest([block], spare, 1)
        self._ask_for(request)
        for _, _, answer in request.answers:
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
            self._ask_for(request)
        except StopRun as closed:  # what was answered before counts
            stop = closed
        for number, rows, answer in sorted(request.answers, key=_place):
            yield blocks[number], rows, answer
        if stop is not None:
            raise stop

    def _ask_for(self, request: MemberRequest) -> None:
        try:
            self.hand(request)
        finally:
            self.started += request.started
            self.gradients += request.gradients
            self.precision = max(self.precision, request.precision)


def _place(found: tuple[int, slice, Answer]) -> tuple[int, int]:
    return found[0], found[1].start
