"""An evaluator around another: answers what is recorded, hands on the rest, and records it."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.evaluation.evaluators import Answer, Evaluator
from optimizers.journal.functions import failure_of, recorded_jac, value_of, words_of
from optimizers.journal.recorder import Recorder
from optimizers.journal.records import Kind, Record

_EPS = float(np.finfo(np.float64).eps)


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
        self._replayed = 0
        self._coarsest = _EPS
        #: The first number of the wave whose late answers have not been asked for.
        self._last: tuple[int, NDArray[Any]] = -1, np.empty(0)

    @property
    @override
    def calls_points(self) -> bool:
        return False

    @property
    def started(self) -> int:  # type: ignore[override]  # replayed ones count
        """At how many points evaluations have started, now or before."""
        return self._replayed + self._inner.started

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
    def value(self, x: NDArray[Any], spare: float = math.inf) -> float:
        seq = self._begin(1)
        known = self._recorder.recall(seq, "fun", x)
        if known is not None:
            self._replay([known])
            return float(value_of(known))
        before, began = self._inner.started, perf_counter()
        answer: Answer = np.empty(0)
        try:
            value = self._inner.value(x, spare)
            answer = np.array([value])
        except Exception as error:
            answer = error
            raise
        finally:
            if isinstance(answer, Exception) or len(answer):
                self._record(seq, [seq], x[np.newaxis], answer, perf_counter() - began)
                self._note_started(seq, 1, self._inner.started - before)
        return value

    @override
    def raw(self, fun: Callable[[NDArray[Any]], Any], x: NDArray[Any]) -> Any:
        kind: Kind = "both" if fun is self._fun else "jac"
        return recorded_jac(self._recorder, lambda x: self._inner.raw(fun, x), kind)(x.copy())

    @override
    def late(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        ask, _ = self._last
        recalled = self._recorder.late(ask)
        late = [(record.x[np.newaxis], np.array([record.fun])) for record in recalled]
        for points, values in self._inner.late():
            for x, value in zip(points, values, strict=True):
                number = value.item()
                record = Record(ask, "fun", x, number, ask=ask, is_late=True)
                self._recorder.put(record.text())
            late.append((points, values))
        return late

    @override
    def wave(
        self, points: NDArray[Any], spare: float = math.inf, deadline: float = math.inf
    ) -> Generator[tuple[slice, Answer], None, None]:
        first = self._begin(len(points))
        self._last = first, points
        known = self._recall(first, points)
        rows = [row for row in range(len(points)) if row not in known]
        replayed, before = 0, self._inner.started
        try:
            for part in _parts(known):
                replayed += len(part)
                self._replay(part)
                row = part[0].seq - first
                yield slice(row, row + len(part)), _answer(part, points.dtype)
            if not rows:
                return
            answered = 0
            for row_part, answer in self._waved(first, points, rows, spare, deadline):
                answered += row_part.stop - row_part.start
                yield row_part, answer
        finally:
            started = self._inner.started - before
            if started:
                self._note_started(first, len(points), replayed + started)
            elif first in self._recorder.contents.left:
                # It was left in the middle: what had started then counts.
                self._replayed += max(0, self._recorder.contents.left.pop(first) - replayed)

    def _waved(
        self,
        first: int,
        points: NDArray[Any],
        rows: Sequence[int],
        spare: float,
        deadline: float,
    ) -> Iterator[tuple[slice, Answer]]:
        """Evaluate the rows of a wave that are not recorded."""
        is_whole = len(rows) == len(points)
        asked = points if is_whole else points[list(rows)]
        answers = self._inner.wave(asked, spare, deadline)
        began = perf_counter()
        try:
            for part, answer in answers:
                whole = list(rows[part])
                seqs = [first + row for row in whole]
                self._record(first, seqs, asked[part], answer, perf_counter() - began)
                if is_whole or whole[-1] - whole[0] == len(whole) - 1:
                    yield slice(whole[0], whole[-1] + 1), answer
                else:
                    for i, row in enumerate(whole):
                        one = answer if isinstance(answer, Exception) else answer[i : i + 1]
                        yield slice(row, row + 1), one
                began = perf_counter()
        finally:
            answers.close()

    def _begin(self, count: int) -> int:
        """Return the number of the first of so many questions."""
        first = self._recorder.next
        self._recorder.next = first + count
        return first

    def _recall(self, first: int, points: NDArray[Any]) -> dict[int, Record]:
        """Return what is recorded of a wave, by row, as it arrived."""
        pending = self._recorder.pending
        if not pending:
            return {}
        recorded = [seq for seq in pending if first <= seq < first + len(points)]
        found = {}
        for seq in recorded:
            record = self._recorder.recall(seq, "fun", points[seq - first])
            assert record is not None
            found[seq - first] = record
        return found

    def _replay(self, part: Sequence[Record]) -> None:
        self._replayed += len(part)
        self._coarsest = max(self._coarsest, *(record.precision for record in part))

    def _record(
        self,
        ask: int,
        seqs: Sequence[int],
        points: NDArray[Any],
        answer: Answer,
        seconds: float,
    ) -> None:
        """Record what arrived together."""
        if isinstance(answer, StopIteration):
            return  # a wish, and no failure
        inner = self._inner
        known = inner.seconds
        share = seconds / len(seqs) if known is None else known
        eps = inner.precision if inner.precision > _EPS else 0.0
        failure = words_of(answer) if isinstance(answer, Exception) else None
        values: Any = [None] * len(seqs) if isinstance(answer, Exception) else answer.tolist()
        self._recorder.put(
            "\n".join(
                Record(
                    seq,
                    "fun",
                    x,
                    value,
                    failure=failure,
                    seconds=share,
                    worker=inner.worker,
                    precision=eps,
                    ask=ask,
                    part=seqs[0],
                ).text()
                for seq, x, value in zip(seqs, points, values, strict=True)
            )
        )

    def _note_started(self, ask: int, count: int, started: int) -> None:
        """Record how many evaluations a wave took, if not one for each of its points."""
        left = self._recorder.contents.left
        if started != left.get(ask, count):
            left[ask] = started
            self._recorder.put(f'{{"left":{ask},"started":{started}}}')


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


def _answer(part: Sequence[Record], dtype: np.dtype[Any]) -> Answer:
    if part[0].failure is not None:
        return failure_of(part[0])
    return np.array([record.fun for record in part], dtype=dtype)
