"""An evaluator that evaluates nothing: it hands each wave over to whoever can."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.asktell.messages import AskData, PendingAsk
from optimizers.errors import JournalError
from optimizers.evaluation.accounts import Account
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.uncertainty import element
from optimizers.evaluation.wave import Answer, Block
from optimizers.run.memory import StopRun


def told(x: Array) -> Any:
    """Stand for an objective that the caller evaluates."""
    raise AssertionError("The caller evaluates; this is never called.")


def _nobody(question: PendingAsk) -> None:
    raise AssertionError("A question before there was anybody to ask.")


class AskingEvaluator(Evaluator):
    """Hands each wave over as a question."""

    def __init__(self) -> None:
        super().__init__(told)
        #: ``hand(question)`` returns when the question is answered, or when a part of one that is
        #: followed is; it may raise a StopRun instead, and what was answered until then counts.
        self.hand: Callable[[PendingAsk], Any] = _nobody

    @property
    @override
    def calls_points(self) -> bool:
        return False

    @override
    def measure(self, x: Array, spare: float = math.inf) -> tuple[float, float]:
        return element(self._one(AskData(x[np.newaxis].copy()))[0])

    @override
    def raw(self, fun: Callable[[Array], Any], x: Array) -> Any:
        point = x[np.newaxis].copy()
        # The run counts a point whose gradient comes with it.
        started = self.started
        try:
            return self._one(AskData(point, point.copy()))
        finally:
            self.started = started

    def _one(self, ask: AskData) -> Any:
        question = PendingAsk(ask)
        try:
            self._ask(question)
        except StopRun as closed:
            closed.value = question.value(0)
            raise
        row = question.row(0)
        if isinstance(row, Exception):
            raise row
        assert row is not None
        return row

    @override
    def answers(
        self, blocks: Sequence[Block], spare: float | Account = math.inf, deadline: float = math.inf
    ) -> Generator[tuple[Block, slice, Answer], None, None]:
        for block in blocks:  # of more than one type, so not in one question
            if len(block.points) == 0:
                continue
            question = PendingAsk(AskData(block.points.copy()))
            stop: StopRun | JournalError | None = None
            try:
                self._ask(question, block)
            except (StopRun, JournalError) as error:  # what was told before counts
                stop = error
            for row, answer in _answered(question):
                yield block, slice(row, row + 1), answer
            if stop is not None:
                raise stop

    def _ask(self, question: PendingAsk, block: Block | None = None) -> None:
        known: set[int] = set()
        question.is_followed = block is not None and self.heard is not None
        try:
            while not known or question.missing:
                self.hand(question)
                if block is None or self.heard is None:
                    break
                self.precision = max(self.precision, question.precision)
                for row, answer in _answered(question):
                    if row not in known:
                        known.add(row)
                        self.heard(block, row, answer)
        finally:
            self.started += len(question.points) - len(question.missing)
            self.precision = max(self.precision, question.precision)


def _answered(question: PendingAsk) -> Iterator[tuple[int, Answer]]:
    """Yield the rows that are answered, as evaluators answer."""
    for number in range(len(question.points)):
        row = question.row(number)
        if row is not None:
            yield number, row if isinstance(row, Exception) else np.array([row[0]])
