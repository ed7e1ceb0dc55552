"""An evaluator that evaluates nothing: it asks whoever can."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.asktell.messages import AskData, Question
from optimizers.errors import JournalError
from optimizers.evaluation.evaluator import Evaluator, Facts, Part
from optimizers.evaluation.wave import Answer, Block, Wave
from optimizers.run.budget import StopRun


def told(x: Array) -> Any:
    """Stand for an objective that the caller evaluates."""
    raise AssertionError("The caller evaluates; this is never called.")


def _nobody(question: Question) -> None:
    raise AssertionError("A question before there was anybody to ask.")


class AskingEvaluator(Evaluator):
    """Asks each block of a wave as a question."""

    def __init__(self) -> None:
        super().__init__(told)
        #: ``ask(question)`` returns when the question is answered, or when a part of one that is
        #: followed is; it may raise a StopRun instead, and what was answered until then counts.
        self.ask: Callable[[Question], Any] = _nobody

    @override
    def _made_facts(self) -> Facts:
        return Facts()

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        for block in wave.blocks:  # of more than one type, so not in one question
            if len(block.points) == 0:
                continue
            points = block.points.copy()
            question = Question(AskData(points, points.copy() if block.kind == "both" else None))
            stop: StopRun | JournalError | None = None
            try:
                self._ask(question, block, wave)
            except (StopRun, JournalError) as error:  # what was told before counts
                stop = error
            for row, answer in _answered(question):
                yield block, slice(row, row + 1), answer
            if stop is not None:
                raise stop

    def _ask(self, question: Question, block: Block, wave: Wave) -> None:
        known: set[int] = set()
        follow = wave.on_answer
        question.is_followed = follow is not None
        try:
            while not known or question.missing:
                self.ask(question)
                if follow is None:
                    break
                self.facts.precision = max(self.facts.precision, question.precision)
                for row, answer in _answered(question):
                    if row not in known:
                        known.add(row)
                        follow(block, row, answer)
        finally:
            for row in range(len(question.points)):
                if question.row(row) is not None:
                    self.facts.count(block, slice(row, row + 1))
                elif (value := question.value(row)) is not None:  # its gradient is missing
                    self.facts.started += 1
                    wave.late.append((question.points[row : row + 1], np.array([value])))
            self.facts.precision = max(self.facts.precision, question.precision)


def _answered(question: Question) -> Iterator[tuple[int, Answer]]:
    """Yield the rows that are answered, as evaluators answer."""
    for number in range(len(question.points)):
        row = question.row(number)
        if row is None or isinstance(row, Exception):
            if row is not None:
                yield number, row
        elif question.ask.x_jac is None:
            yield number, np.array([row[0]])
        else:
            both = np.empty(1, dtype=object)
            both[0] = row
            yield number, both
