"""One run's place in the waves of many: what it asks, and what has come of it."""

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.asktell.drivers import AskingEvaluator
from optimizers.evaluation.answers import values_of
from optimizers.evaluation.evaluator import Evaluator, Part
from optimizers.evaluation.wave import Answer, Wave
from optimizers.run.budget import StopRun


class MemberRequest:
    """A wave of a run, with the answers that have arrived."""

    def __init__(self, wave: Wave, run: int = 0) -> None:
        self.wave = wave
        #: The number of the run.
        self.run = run
        #: How often a function was called for rows of each block.
        self.calls = [0] * len(wave.blocks)
        #: How many of the values came from a journal.
        self.replayed = 0
        #: The coarsest machine precision among the values.
        self.precision = 0.0
        #: Whether a point failed without which the others are not wanted.
        self.is_over = False
        #: By block and rows, as they arrived.
        self.answers: list[tuple[int, slice, Answer]] = []
        self._missing = sum([len(block.points) for block in wave.blocks])
        #: How many evaluations of the objective it takes.
        self.cost = sum([block.cost for block in wave.blocks])

    @property
    def is_answered(self) -> bool:
        """Whether all that is wanted has come."""
        return self.is_over or not self._missing

    def has(self, number: int, row: int) -> bool:
        """Return whether a row of a block is answered."""
        return any(one == number and rows.start <= row < rows.stop for one, rows, _ in self.answers)

    def put(self, number: int, rows: slice, answer: Answer) -> None:
        """Note what came of rows of a block: an answer, or the failure in its place."""
        self.answers.append((number, rows, answer))
        self._missing -= rows.stop - rows.start
        blocks = self.wave.blocks
        required = self.wave.required_rows - rows.start
        if number:
            required -= sum([len(before.points) for before in blocks[:number]])
        if required > 0 and not self.is_over:
            self.is_over = isinstance(answer, BaseException) or (
                blocks[number].kind == "fun"
                and self._ends_by(values_of(answer)[:required], number == 0 and rows.start == 0)
            )

    def _ends_by(self, values: NDArray[Any], has_first: bool) -> bool:
        """Return whether nothing else is wanted: +inf is a value, except at a first point."""
        is_known = np.isfinite(values) | (values == np.inf)
        if has_first and self.wave.is_first_needed:
            is_known[0] = np.isfinite(values[0])
        return not is_known.all()


class MemberEvaluator(AskingEvaluator):
    """Stands for the evaluator of many in one of their runs."""

    is_share = True

    def __init__(self, shared: Evaluator, run: int = 0) -> None:
        super().__init__()
        self._run = run
        self.facts.calls_singly = shared.facts.calls_singly
        self.facts.has_workers = shared.facts.has_workers

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        if not any(len(block.points) for block in wave.blocks):
            return
        request, stop, facts = MemberRequest(wave, self._run), None, self.facts
        try:
            self.ask(request)
        except StopRun as closed:  # what was answered before counts
            stop = closed
        finally:
            for block, calls in zip(wave.blocks, request.calls, strict=True):
                facts.count(block, slice(0, calls))
            facts.replayed += request.replayed
            facts.precision = max(facts.precision, request.precision)
        for number, rows, answer in sorted(request.answers, key=lambda a: (a[0], a[1].start)):
            yield wave.blocks[number], rows, answer
        if stop is not None:
            raise stop
