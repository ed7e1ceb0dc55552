"""An evaluator around another: answers what is recorded, hands on the rest, and records it."""

import math
from collections.abc import Generator, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers.evaluation.answers import as_gradient, as_value, element, joined_answer, unpack
from optimizers.evaluation.evaluator import Evaluator, Facts, Part
from optimizers.evaluation.wave import Answer, Block, Wave
from optimizers.journal.functions import failure_of, words_of
from optimizers.journal.recorder import Diverged, Recorder
from optimizers.journal.records import Record

_EPS = float(np.finfo(np.float64).eps)


class RecordedFacts(Facts):
    """Another evaluator's facts, while replaying as they were then.

    What is answered from the journal counts as started, so that budgets and counts are those of a
    run that was never interrupted.
    """

    def __init__(self, inner: Facts, recorder: Recorder) -> None:
        super().__init__()
        self._inner, self._recorder = inner, recorder
        self.calls_singly = inner.calls_singly
        self.precision = inner.precision

    @property
    def has_workers(self) -> bool:  # type: ignore[override]  # of the recorded run
        """Whether functions are called elsewhere."""
        known: bool = self._recorder.contents.header["has_workers"]
        return known if self._recorder.pending else self._inner.has_workers

    @property
    def width(self) -> float:  # type: ignore[override]  # of the recorded run
        """How many points are evaluated at the same time.

        Algorithms ask other points where workers are few: those that are recorded must come again.
        """
        contents = self._recorder.contents
        if self._recorder.pending and contents.width is not None:
            return contents.width
        width = self._inner.width
        if width != contents.width:
            contents.width = width
            text = "null" if math.isinf(width) else f"{width:g}"
            self._recorder.put(f'{{"width":{text}}}')
        return width


class JournaledEvaluator(Evaluator):
    """Answers what is recorded, hands the rest on to another evaluator, and records it."""

    def __init__(self, inner: Evaluator, recorder: Recorder) -> None:
        # Not the base's own: what it would check is checked, and its state is the inner one's.
        self._inner = inner
        self._recorder = recorder
        self.facts: Facts = RecordedFacts(inner.facts, recorder)

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        rows = [(block, row) for block in wave.blocks for row in range(len(block.points))]
        first = self._begin(len(rows))
        known = self._lookup(first, rows)
        missing = [i for i in range(len(rows)) if i not in known]
        before = self._started()
        # How many answers were handed on: values and gradients; and how many of them replayed.
        handed_on, replayed = [0, 0], [0, 0]
        try:
            for part in _parts(known):
                block, row = rows[part[0].seq - first]
                here = slice(row, row + len(part))
                _add(replayed, block, len(part))
                _add(handed_on, block, len(part))
                self.facts.count(block, here)
                self._note_precision(*(record.precision for record in part))
                yield block, here, _answer(part, block)
            if missing:
                yield from self._evaluated(first, wave, missing, handed_on)
        finally:
            self._take_late(first, wave)
            since = [now - then for now, then in zip(self._started(), before, strict=True)]
            self.facts.started += since[0]
            self.facts.gradients += since[1]
            self._note_precision(self._inner.facts.precision)
            if any(since):
                took = [old + new for old, new in zip(replayed, since, strict=True)]
                self._note_started(first, handed_on, took)
            else:
                self._settle(first, replayed)

    def _evaluated(
        self, first: int, wave: Wave, missing: Sequence[int], handed_on: list[int]
    ) -> Iterator[Part]:
        """Evaluate the rows of a wave that are not recorded, and record them."""
        origins: dict[int, tuple[Block, list[int], int]] = {}
        asked: list[Block] = []
        number = first
        for block in wave.blocks:
            k = len(block.points)
            rows = [i - (number - first) for i in missing if 0 <= i - (number - first) < k]
            if rows:
                some = Block(block.points[rows], block.function, block.kind)
                asked.append(block if len(rows) == k else some)
                origins[id(asked[-1])] = block, rows, number
            number += k
        heard: set[int] = set()

        def hear(one: Block, there: int, answer: Answer) -> None:
            _, rows, number = origins[id(one)]
            seq = number + rows[there]
            heard.add(seq)  # also if it cannot be recorded: its value may be the best
            part = slice(there, there + 1)
            self._record(first, [seq], one, answer, perf_counter() - began, part)

        inner = Wave(asked, wave.retries, wave.deadline, wave.required_rows, hear)
        answers, began = self._inner.answers(inner), perf_counter()
        try:
            for one, part, answer in answers:
                block, rows, number = origins[id(one)]
                there = rows[part]
                seqs = [number + row for row in there]
                if seqs[0] not in heard:
                    self._record(first, seqs, one, answer, perf_counter() - began, part)
                self._note_precision(self._inner.facts.precision)
                if there[-1] - there[0] == len(there) - 1:
                    _add(handed_on, block, len(there))
                    yield block, slice(there[0], there[-1] + 1), answer
                else:
                    for i, row in enumerate(there):
                        own = answer if isinstance(answer, BaseException) else answer[i : i + 1]
                        _add(handed_on, block, 1)
                        yield block, slice(row, row + 1), own
                began = perf_counter()
        finally:
            answers.close()
            wave.late += inner.late

    def _take_late(self, first: int, wave: Wave) -> None:
        """Record what arrived while the wave was left, and give back what was recorded so."""
        for points, answer in wave.late:
            for x, found in zip(points, answer, strict=True):
                value, error = _value_and_error(found)
                record = Record(first, "fun", x, value, ask=first, is_late=True, error=error)
                self._recorder.put(record.text())
        for record in self._recorder.late(first):
            found = joined_answer([record.fun], [_error_of(record)])
            wave.late.append((record.x[np.newaxis], found))

    def _note_precision(self, *precisions: float) -> None:
        self.facts.precision = max(self.facts.precision, *precisions)

    def _begin(self, count: int) -> int:
        """Return the number of the first of so many questions."""
        first = self._recorder.next
        self._recorder.next = first + count
        return first

    def _lookup(self, first: int, rows: Sequence[tuple[Block, int]]) -> dict[int, Record]:
        """Return what is recorded of a wave, by row, as it arrived."""
        pending = self._recorder.pending
        kept = {seq: pending[seq] for seq in pending if first <= seq < first + len(rows)}
        found = {}
        try:
            for seq in kept:
                block, row = rows[seq - first]
                record = self._recorder.lookup(seq, block.kind, block.points[row])
                assert record is not None
                found[seq - first] = record
        except Diverged:
            pending.update(kept)  # nobody has counted them yet
            raise
        return found

    # How many evaluations a question took, if not one for each answer that was handed on: retries
    # take more, and so does a wave that is left while others are under way.

    def _started(self) -> list[int]:
        return [self._inner.facts.started, self._inner.facts.gradients]

    def _note_started(self, ask: int, usual: list[int], started: list[int]) -> None:
        """Record how many evaluations a question took, if that is not obvious."""
        left = self._recorder.contents.left
        if started != left.get(ask, usual):
            left[ask] = started
            self._recorder.put(f'{{"left":{ask},"started":{started}}}')

    def _settle(self, ask: int, replayed: Sequence[int]) -> None:
        """Count what a question took besides the answers that are recorded."""
        left = self._recorder.contents.left.pop(ask, replayed)
        self.facts.started += max(0, left[0] - replayed[0])
        self.facts.gradients += max(0, left[1] - replayed[1])

    def _record(
        self,
        ask: int,
        seqs: Sequence[int],
        block: Block,
        answer: Answer,
        seconds: float,
        part: slice,
    ) -> None:
        """Record what arrived together."""
        if isinstance(answer, StopIteration | SystemExit):
            return  # a wish, and no failure
        facts = self._inner.facts
        share = seconds / len(seqs) if facts.seconds is None else facts.seconds
        eps = facts.precision if facts.precision > _EPS else 0.0
        lines = []
        for i, (seq, x) in enumerate(zip(seqs, block.points[part], strict=True)):
            value, gradient, failure, error_told = None, None, None, None
            if isinstance(answer, BaseException):
                failure = words_of(answer)
            elif block.kind == "fun":
                value, error_told = _value_and_error(answer[i])
            else:
                try:
                    raw = answer[i]
                    if block.kind == "both":
                        value, raw = unpack(raw)
                        value = as_value(value)
                    gradient = as_gradient(raw, x.size, finite=False)
                except Exception as error:  # raised again by who asked
                    value, failure = None, words_of(error)
            told = seq, block.kind, x, value, gradient, failure, share, facts.worker, eps, ask
            lines.append(Record(*told, seqs[0], error=error_told).text())
        self._recorder.put("\n".join(lines))


def _add(counts: list[int], block: Block, rows: int) -> None:
    """Add rows of a block to counts of values and of gradients."""
    counts[0] += rows if block.kind != "jac" else 0
    counts[1] += rows if block.kind != "fun" else 0


def _parts(known: dict[int, Record]) -> Iterator[list[Record]]:
    """Yield what arrived together."""
    part: list[Record] = []
    for record in known.values():
        is_next = bool(part) and record.part == part[-1].part and record.seq == part[-1].seq + 1
        if part and not is_next:
            yield part
            part = []
        part.append(record)
    if part:
        yield part


def _error_of(record: Record) -> float:
    return math.nan if record.error is None else record.error


def _value_and_error(found: Any) -> tuple[Any, float | None]:
    """Return the value in a row of an answer, and its standard error, None if it is not known."""
    value, error = element(found)
    return value, None if math.isnan(error) else error


def _answer(part: Sequence[Record], block: Block) -> Answer:
    if part[0].failure is not None:
        return failure_of(part[0])
    if block.kind == "fun":
        errors = [_error_of(record) for record in part]
        return joined_answer([record.fun for record in part], errors, block.points.dtype)
    gradients = np.empty(len(part), dtype=object)
    for i, record in enumerate(part):
        gradients[i] = record.jac if block.kind == "jac" else (record.fun, record.jac)
    return gradients
