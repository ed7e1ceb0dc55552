"""One run's place in the waves of many: what it asks, and what has come of it."""

from collections.abc import Generator
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers.asktell.evaluator import AskingEvaluator
from optimizers.asktell.messages import AskData, Question
from optimizers.evaluation.answers import element
from optimizers.evaluation.evaluator import Evaluator, Part
from optimizers.evaluation.task import Failure
from optimizers.evaluation.wave import Answer, Block, Wave
from optimizers.run.budget import StopRun


class MemberRequest(Question):
    """A wave of a run, with the answers that have arrived.

    Examples
    --------
    >>> request = MemberRequest(Wave([Block(np.zeros((2, 3)))]))
    >>> request.put(0, 1, 7.0)
    >>> request.missing
    [0]
    """

    def __init__(self, wave: Wave) -> None:
        super().__init__(AskData(np.concatenate([block.points for block in wave.blocks])))
        self.wave = wave
        #: How often a function was called for rows of each block.
        self.calls = [0] * len(wave.blocks)
        #: Whether a point failed without which the others are not wanted.
        self.is_over = False
        #: By block and row.
        self.answers: dict[tuple[int, int], Any] = {}

    @property
    @override
    def missing(self) -> list[int]:
        found, row = [], 0
        for number, block in enumerate(self.wave.blocks):
            for i in range(len(block.points)):
                if (number, i) not in self.answers:
                    found.append(row)
                row += 1
        return [] if self.is_over else found

    def put(self, number: int, row: int, answer: Any) -> None:
        """Note what came of a row of a block: an answer, or the failure in its place."""
        self.answers[number, row] = answer
        blocks = self.wave.blocks
        first = sum(len(before.points) for before in blocks[:number])
        has_failed = isinstance(answer, BaseException) or (
            blocks[number].kind == "fun" and not np.isfinite(element(answer)[0])
        )
        self.is_over = self.is_over or (has_failed and first + row < self.wave.required_rows)

    @override
    def take(self, other: Question) -> None:
        assert isinstance(other, MemberRequest)
        self.answers, self.is_over, self.precision = other.answers, other.is_over, other.precision
        self.calls = other.calls


class MemberEvaluator(AskingEvaluator):
    """Stands for the evaluator of many in one of their runs."""

    def __init__(self, shared: Evaluator) -> None:
        super().__init__()
        self.facts.calls_singly = shared.facts.calls_singly
        self.facts.has_workers = shared.facts.has_workers

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        if not any(len(block.points) for block in wave.blocks):
            return
        request, stop = MemberRequest(wave), None
        try:
            self.ask(request)
        except StopRun as closed:  # what was answered before counts
            stop = closed
        finally:
            for block, calls in zip(wave.blocks, request.calls, strict=True):
                self.facts.count(block, slice(0, calls))
            self.facts.precision = max(self.facts.precision, request.precision)
        for (number, row), found in sorted(request.answers.items(), key=lambda item: item[0]):
            yield wave.blocks[number], slice(row, row + 1), _as_answer(found, wave.blocks[number])
        if stop is not None:
            raise stop


def _as_answer(found: Any, block: Block) -> Answer:
    if isinstance(found, BaseException):
        failure: Failure = found  # type: ignore[assignment]  # of those that evaluators catch
        return failure
    if block.function is None and np.ndim(found):  # with its standard error
        return np.array([found])
    answer = np.empty(1, dtype=block.points.dtype if block.function is None else object)
    answer[0] = found
    return answer
