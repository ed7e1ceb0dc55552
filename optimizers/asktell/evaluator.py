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


def _nobody(pending: PendingAsk) -> None:
    raise AssertionError("A question before there was anybody to ask.")


class AskingEvaluator(Evaluator):
    """Hands each wave over as a question."""

    def __init__(self) -> None:
        super().__init__(told)
        #: ``hand(pending)`` returns when the question is answered, or when a part of one that is
        #: followed is; it may raise a StopRun instead, and what was answered until then counts.
        self.hand: Callable[[Any], Any] = _nobody

    @property
    @override
    def calls_points(self) -> bool:
        return False

    @override
    def measure(self, x: Array, spare: float = math.inf) -> tuple[float, float]:
        pending = self._one(AskData(x[np.newaxis].copy()))
        return element(pending.answer(slice(0, 1))[0])

    @override
    def raw(self, fun: Callable[[Array], Any], x: Array) -> Any:
        point = x[np.newaxis].copy()
        # The run counts a point whose gradient comes with it.
        started = self.started
        try:
            told = self._one(AskData(point, point.copy())).told
        finally:
            self.started = started
        assert told.gradients is not None
        return told.values.item(0), told.gradients[0]

    def _one(self, ask: AskData) -> PendingAsk:
        pending = PendingAsk(ask)
        try:
            self._ask(pending)
        except StopRun as closed:
            closed.value = pending.value(0)
            raise
        for failure in pending.told.failures.values():
            raise failure
        return pending

    @override
    def answers(
        self, blocks: Sequence[Block], spare: float | Account = math.inf, deadline: float = math.inf
    ) -> Generator[tuple[Block, slice, Answer], None, None]:
        for block in blocks:  # of more than one type, so not in one question
            if len(block.points) == 0:
                continue
            pending = PendingAsk(AskData(block.points.copy()))
            stop: StopRun | JournalError | None = None
            try:
                self._ask(pending, block)
            except (StopRun, JournalError) as error:  # what was told before counts
                stop = error
            for part, answer in _answered(pending):
                yield block, part, answer
            if stop is not None:
                raise stop

    def _ask(self, pending: PendingAsk, block: Block | None = None) -> None:
        known: set[int] = set()
        pending.is_followed = block is not None and self.heard is not None
        try:
            while not known or not pending.is_answered:
                self.hand(pending)
                if block is None or self.heard is None:
                    break
                self.precision = max(self.precision, pending.told.precision)
                for part, answer in _rows(pending):
                    if part.start not in known:
                        known.add(part.start)
                        self.heard(block, part.start, answer)
        finally:
            self.started += len(pending) - len(pending.missing)
            self.precision = max(self.precision, pending.told.precision)


def _answered(pending: PendingAsk) -> Iterator[tuple[slice, Answer]]:
    """Yield what is answered, as evaluators do: at once if that can be."""
    if pending.is_answered and not (pending.told.failures or pending.is_followed):
        whole = slice(0, len(pending))
        yield whole, pending.answer(whole)
    else:
        yield from _rows(pending)


def _rows(pending: PendingAsk) -> Iterator[tuple[slice, Answer]]:
    """Yield the rows that are answered."""
    told = pending.told
    for row in np.flatnonzero(told.has_value & told.has_gradient).tolist():
        part = slice(row, row + 1)
        yield part, told.failures[row] if row in told.failures else pending.answer(part)
