"""An evaluator around another: answers what is recorded, hands on the rest, and records it."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.evaluation.accounts import Account
from optimizers.evaluation.answers import as_gradient
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.uncertainty import element, joined_answer
from optimizers.evaluation.wave import Answer, Block
from optimizers.journal.functions import failure_of, recorded_jac, value_of, words_of
from optimizers.journal.recorder import Diverged, Recorder
from optimizers.journal.records import Kind, Record

_EPS = float(np.finfo(np.float64).eps)
_Part = tuple[Block, slice, Answer]


class JournaledEvaluator(Evaluator):
    """Answers what is recorded, hands the rest on to another evaluator, and records it.

    What is answered from the journal counts as started, so that budgets and counts are those of a
    run that was never interrupted.

    Parameters
    ----------
    inner : Evaluator
        Evaluates what is not recorded.
    recorder : Recorder
        The journal.
    fun : callable
        The objective: told from the gradient by it.
    """

    def __init__(self, inner: Evaluator, recorder: Recorder, fun: Callable[..., Any]) -> None:
        # Not the base's own: what it would check is checked, and its state is the inner one's.
        self._inner = inner
        self._recorder = recorder
        self._fun = fun
        # Evaluations of the objective, and of its gradient, that are answered from the journal.
        self._replayed = [0, 0]
        self._coarsest = _EPS
        # How many answers of the wave were handed on: values, and gradients.
        self._handed_on = [0, 0]
        # The number of the wave whose late answers have not been asked for.
        self._last = -1

    @property
    @override
    def calls_points(self) -> bool:
        return False

    @property
    @override
    def has_workers(self) -> bool:
        """Whether functions are called elsewhere; while replaying, as it was then."""
        is_replaying = bool(self._recorder.pending)
        known: bool = self._recorder.contents.header["has_workers"]
        return known if is_replaying else self._inner.has_workers

    @property
    def started(self) -> int:  # type: ignore[override]  # replayed ones count
        """At how many points evaluations have started, now or before."""
        return self._replayed[0] + self._inner.started

    @property
    def gradients(self) -> int:  # type: ignore[override]  # replayed ones count
        """How many calls of the gradient have started in waves, now or before."""
        return self._replayed[1] + self._inner.gradients

    @property
    def precision(self) -> float:
        """The coarsest machine precision among the values so far."""
        return max(self._coarsest, self._inner.precision)

    @precision.setter
    def precision(self, precision: float) -> None:
        self._coarsest = precision

    @property
    def width(self) -> float:  # type: ignore[override]  # that of the recorded workers
        """How many points are evaluated at the same time; while replaying, as it was then.

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

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def measure(self, x: NDArray[Any], spare: float = math.inf) -> tuple[float, float]:
        seq = self._begin(1)
        known = self._lookup(seq, [(Block(x[np.newaxis]), 0)]).get(0)
        if known is not None:
            self._replay([known])
            self._settle(seq, [1, 0])
            return float(value_of(known)), _error_of(known)
        before, began = self._started(), perf_counter()
        answer: Answer = np.empty(0)
        try:
            value, spread = self._inner.measure(x, spare)
            answer = joined_answer([value], [spread])
        except Exception as error:
            answer = error
            raise
        finally:
            if isinstance(answer, BaseException) or len(answer):
                self._record(seq, [seq], Block(x[np.newaxis]), answer, perf_counter() - began)
                self._note_started(seq, [1, 0], self._since(before))
        return value, spread

    @override
    def raw(self, fun: Callable[[NDArray[Any]], Any], x: NDArray[Any]) -> Any:
        kind: Kind = "both" if fun is self._fun else "jac"
        return recorded_jac(self._recorder, lambda x: self._inner.raw(fun, x), kind)(x.copy())

    @override
    def late(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        late = []
        for record in self._recorder.late(self._last):
            late.append((record.x[np.newaxis], joined_answer([record.fun], [_error_of(record)])))
        for points, answer in self._inner.late():
            for x, found in zip(points, answer, strict=True):
                ask, (value, error) = self._last, _value_and_error(found)
                record = Record(ask, "fun", x, value, ask=ask, is_late=True, error=error)
                self._recorder.put(record.text())
            late.append((points, answer))
        return late

    @override
    def answers(
        self, blocks: Sequence[Block], spare: float | Account = math.inf, deadline: float = math.inf
    ) -> Generator[_Part, None, None]:
        rows = [(block, row) for block in blocks for row in range(len(block.points))]
        first = self._last = self._begin(len(rows))
        known = self._lookup(first, rows)
        missing = [i for i in range(len(rows)) if i not in known]
        replayed, before = [0, 0], self._started()
        self._handed_on = [0, 0]
        try:
            for part in _parts(known):
                block, row = rows[part[0].seq - first]
                replayed[block.gradient is not None] += len(part)
                self._handed_on[block.gradient is not None] += len(part)
                self._replay(part)
                yield block, slice(row, row + len(part)), _answer(part, block)
            if missing:
                yield from self._evaluated(first, blocks, missing, spare, deadline)
        finally:
            since = self._since(before)
            if any(since):
                took = [old + new for old, new in zip(replayed, since, strict=True)]
                self._note_started(first, self._handed_on, took)
            else:
                self._settle(first, replayed)

    def _evaluated(
        self,
        first: int,
        blocks: Sequence[Block],
        missing: Sequence[int],
        spare: float | Account,
        deadline: float,
    ) -> Iterator[_Part]:
        """Evaluate the rows of a wave that are not recorded, and record them."""
        origins: dict[int, tuple[Block, list[int], int]] = {}
        asked: list[Block] = []
        number = first
        for block in blocks:
            k = len(block.points)
            rows = [i - (number - first) for i in missing if 0 <= i - (number - first) < k]
            if rows:
                asked.append(block if len(rows) == k else Block(block.points[rows], block.gradient))
                origins[id(asked[-1])] = block, rows, number
            number += k
        heard: set[int] = set()

        def hear(one: Block, there: int, answer: Answer) -> None:
            _, rows, number = origins[id(one)]
            seq = number + rows[there]
            heard.add(seq)  # also if it cannot be recorded: its value may be the best
            part = slice(there, there + 1)
            self._record(first, [seq], one, answer, perf_counter() - began, part)

        self._inner.heard = hear
        answers, began = self._inner.answers(asked, spare, deadline), perf_counter()
        try:
            for one, part, answer in answers:
                block, rows, number = origins[id(one)]
                there = rows[part]
                seqs = [number + row for row in there]
                if seqs[0] not in heard:
                    self._record(first, seqs, one, answer, perf_counter() - began, part)
                kind = block.gradient is not None
                if there[-1] - there[0] == len(there) - 1:
                    self._handed_on[kind] += len(there)
                    yield block, slice(there[0], there[-1] + 1), answer
                else:
                    for i, row in enumerate(there):
                        own = answer if isinstance(answer, BaseException) else answer[i : i + 1]
                        self._handed_on[kind] += 1
                        yield block, slice(row, row + 1), own
                began = perf_counter()
        finally:
            answers.close()

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
                kind: Kind = "fun" if block.gradient is None else "jac"
                record = self._recorder.lookup(seq, kind, block.points[row])
                assert record is not None
                found[seq - first] = record
        except Diverged:
            pending.update(kept)  # nobody has counted them yet
            raise
        return found

    def _replay(self, part: Sequence[Record]) -> None:
        self._replayed[part[0].kind == "jac"] += len(part)
        self._coarsest = max(self._coarsest, *(record.precision for record in part))

    # How many evaluations a question took, if not one for each answer that was handed on: retries
    # take more, and so does a wave that is left while others are under way.

    def _started(self) -> list[int]:
        return [self._inner.started, self._inner.gradients]

    def _since(self, before: Sequence[int]) -> list[int]:
        return [now - then for now, then in zip(self._started(), before, strict=True)]

    def _note_started(self, ask: int, usual: list[int], started: list[int]) -> None:
        """Record how many evaluations a question took, if that is not obvious."""
        left = self._recorder.contents.left
        if started != left.get(ask, usual):
            left[ask] = started
            self._recorder.put(f'{{"left":{ask},"started":{started}}}')

    def _settle(self, ask: int, replayed: Sequence[int]) -> None:
        """Count what a question took besides the answers that are recorded."""
        left = self._recorder.contents.left.pop(ask, replayed)
        for i in (0, 1):
            self._replayed[i] += max(0, left[i] - replayed[i])

    def _record(
        self,
        ask: int,
        seqs: Sequence[int],
        block: Block,
        answer: Answer,
        seconds: float,
        part: slice = slice(None),
    ) -> None:
        """Record what arrived together."""
        if isinstance(answer, StopIteration | SystemExit):
            return  # a wish, and no failure
        inner = self._inner
        known = inner.seconds
        share = seconds / len(seqs) if known is None else known
        eps = inner.precision if inner.precision > _EPS else 0.0
        lines = []
        for i, (seq, x) in enumerate(zip(seqs, block.points[part], strict=True)):
            value, gradient, failure, error_told = None, None, None, None
            if isinstance(answer, BaseException):
                failure = words_of(answer)
            elif block.gradient is None:
                value, error_told = _value_and_error(answer[i])
            else:
                try:
                    gradient = as_gradient(answer[i], x.size, finite=False)
                except Exception as error:  # raised again by who asked
                    failure = words_of(error)
            kind: Kind = "fun" if block.gradient is None else "jac"
            told = seq, kind, x, value, gradient, failure, share, inner.worker, eps, ask, seqs[0]
            lines.append(Record(*told, error=error_told).text())
        self._recorder.put("\n".join(lines))


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
    if block.gradient is None:
        errors = [_error_of(record) for record in part]
        return joined_answer([record.fun for record in part], errors, block.points.dtype)
    gradients = np.empty(len(part), dtype=object)
    for i, record in enumerate(part):
        gradients[i] = record.jac
    return gradients
