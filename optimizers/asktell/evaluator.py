"""An evaluator that evaluates nothing: it asks whoever can."""

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.asktell.messages import AskData, PendingAsk
from optimizers.errors import JournalError
from optimizers.evaluation.evaluator import Evaluator, Facts, Part
from optimizers.evaluation.wave import Block, Wave
from optimizers.run.budget import StopRun


def told(x: Array) -> Any:
    """Stand for an objective that the caller evaluates."""
    raise AssertionError("The caller evaluates; this is never called.")


def _nobody(asked: Any) -> None:
    raise AssertionError("A question before there was anybody to ask.")


class AskingEvaluator(Evaluator):
    """Asks each block of a wave as a question."""

    def __init__(self) -> None:
        super().__init__(told)
        #: ``ask(question)`` returns when the question is answered, or when a part of one that is
        #: followed is; it may raise a StopRun instead, and what was answered until then counts.
        self.ask: Callable[[Any], Any] = _nobody

    @override
    def _made_facts(self) -> Facts:
        return Facts()

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        for block in wave.blocks:  # of more than one type, so not in one question
            if len(block.points) == 0:
                continue
            points = block.points.copy()
            pending = PendingAsk(AskData(points, points.copy() if block.kind == "both" else None))
            stop: StopRun | JournalError | None = None
            try:
                self._ask(pending, block, wave)
            except (StopRun, JournalError) as error:  # what was told before counts
                stop = error
            for part, answer in pending.parts():
                yield block, part, answer
            if stop is not None:
                raise stop

    def _ask(self, pending: PendingAsk, block: Block, wave: Wave) -> None:
        known: set[int] = set()
        follow = wave.on_answer
        pending.is_followed = follow is not None
        try:
            while not pending.is_answered:
                self.ask(pending)
                self.facts.precision = max(self.facts.precision, pending.precision)
                for part, answer in pending.parts() if pending.is_followed else ():
                    if follow is not None and part.start not in known:
                        known.add(part.start)
                        follow(block, part.start, answer)
        finally:
            self.facts.count(block, slice(0, len(block.points) - len(pending.missing)))
            for row in np.flatnonzero(pending.has_value & ~pending.has_gradient):
                self.facts.started += 1
                wave.late.append((block.points[row : row + 1], pending.values[row : row + 1]))
            self.facts.precision = max(self.facts.precision, pending.precision)
