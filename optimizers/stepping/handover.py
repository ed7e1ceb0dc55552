"""An evaluator that evaluates nothing: it hands each wave over to whoever can."""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.evaluation.accounts import Account
from optimizers.evaluation.blocks import Answer, Block
from optimizers.evaluation.evaluators import Evaluator
from optimizers.ledger import StopRun
from optimizers.stepping.asks import AskData, Question


def told(x: Array) -> Any:
    """Stand for an objective that the caller evaluates."""
    raise AssertionError("The caller evaluates; this is never called.")


def _nobody(question: Question) -> None:
    raise AssertionError("A question before there was anybody to ask.")


class HandOver(Evaluator):
    """Hands each wave over as a question."""

    def __init__(self) -> None:
        super().__init__(told)
        #: ``hand(question)`` returns when the question is answered; it may raise
        #: :class:`optimizers.run.StopRun` instead, and what was answered until then counts.
        self.hand: Callable[[Question], Any] = _nobody

    @property
    @override
    def calls_points(self) -> bool:
        return False

    @override
    def value(self, x: Array, spare: float = math.inf) -> float:
        return float(self._one(AskData(x[np.newaxis].copy()))[0])

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
        question = self._ask(ask)
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
            ask = AskData(block.points.copy())
            question, stop = Question(ask), None
            try:
                self._ask(ask, question)
            except StopRun as closed:  # what was told before counts
                stop = closed
            for i in range(len(block.points)):
                row = question.row(i)
                if row is not None:
                    answer = row if isinstance(row, Exception) else np.array([row[0]])
                    yield block, slice(i, i + 1), answer
            if stop is not None:
                raise stop

    def _ask(self, ask: AskData, question: Question | None = None) -> Question:
        question = question or Question(ask)
        try:
            self.hand(question)
        finally:
            self.started += len(question.points) - len(question.missing)
            self.precision = max(self.precision, question.precision)
        return question
