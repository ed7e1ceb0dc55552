"""One run's share of the waves of many: its questions and their answers."""

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
        #: The number of calls of a function for each block, and the shots of all.
        self.calls = [0] * len(wave.blocks)
        self.shots = 0
        #: The number of values from a journal.
        self.replayed = 0
        #: The largest machine epsilon among the values.
        self.precision = 0.0
        #: Whether a point failed that is needed, so that the others are not.
        self.is_over = False
        #: By block and rows, in order of arrival.
        self.answers: list[tuple[int, slice, Answer]] = []
        self._missing = sum([len(block.points) for block in wave.blocks])
        #: The number of evaluations of the objective that it needs.
        self.cost = sum([int(block.cost.points) for block in wave.blocks])

    @property
    def is_answered(self) -> bool:
        """Whether all needed answers have arrived."""
        return self.is_over or not self._missing

    def has(self, number: int, row: int) -> bool:
        """Return whether a row of a block is answered."""
        return any(one == number and rows.start <= row < rows.stop for one, rows, _ in self.answers)

    def put(self, number: int, rows: slice, answer: Answer) -> None:
        """Store the answer to rows of a block, or their failure."""
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
        """Return whether the rest is not needed; +inf is a value, except at a first point."""
        is_known = np.isfinite(values) | (values == np.inf)
        if has_first and self.wave.is_first_needed:
            is_known[0] = np.isfinite(values[0])
        return not is_known.all()


class MemberEvaluator(AskingEvaluator):
    """Represents the shared evaluator in one of many runs."""

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
        except StopRun as closed:  # earlier answers count
            stop = closed
        finally:
            for block, calls in zip(wave.blocks, request.calls, strict=True):
                facts.count_calls(block.kind, calls)
            facts.shots += request.shots
            facts.replayed += request.replayed
            facts.precision = max(facts.precision, request.precision)
        for number, rows, answer in sorted(request.answers, key=lambda a: (a[0], a[1].start)):
            yield wave.blocks[number], rows, answer
        if stop is not None:
            raise stop
