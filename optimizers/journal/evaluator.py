"""An evaluator around another one: it replays what is recorded, and records the rest."""

import math
from collections.abc import Generator, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from typing_extensions import override

from optimizers.errors import words_of
from optimizers.evaluation.answers import element, joined_answer, residuals_of
from optimizers.evaluation.evaluator import Evaluator, Facts, Part
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.wave import Answer, Block, RetryBudget, RowsOfBlock, Wave
from optimizers.gradients.source import EPS
from optimizers.journal.functions import answer_of, failure_of, fit_in, gradient_in
from optimizers.journal.recorder import Diverged, Recorder
from optimizers.journal.records import Kind, Record, is_behind


class RecordedFacts(Facts):
    """The facts of the inner evaluator, or while replaying the recorded ones."""

    def __init__(self, inner: Facts, recorder: Recorder) -> None:
        super().__init__()
        self._inner, self._recorder = inner, recorder
        self.precision = inner.precision
        #: Where there are many runs, whether they take turns.
        self.is_serial = inner.is_serial and recorder.is_of_many

    @property
    def calls_singly(self) -> bool:  # type: ignore[override]  # of the recorded run
        """Whether not asking for a point saves a call."""
        known: bool = self._recorder.contents.header["serial"]
        return known if self._recorder.pending else self._inner.calls_singly

    @property
    def has_workers(self) -> bool:  # type: ignore[override]  # of the recorded run
        """Whether functions are called elsewhere."""
        known: bool = self._recorder.contents.header["has_workers"]
        return known if self._recorder.pending else self._inner.has_workers

    @property
    def width(self) -> float:  # type: ignore[override]  # of the recorded run
        """How many points are evaluated at the same time; the recorded ones must be asked again."""
        contents = self._recorder.contents
        if self._recorder.pending and contents.width is not None:
            return contents.width
        width = self._inner.width
        if width != contents.width:
            contents.width = width
            text = "null" if math.isinf(width) else f"{width:g}"
            self._recorder.put(f'{{"width":{text}}}')
        return width


class RecordedRetries(RetryBudget):
    """The inner retry budget, which records each further evaluation before it is made."""

    def __init__(self, inner: RetryBudget, recorder: Recorder, seqs: dict[int, list[int]]) -> None:
        super().__init__(inner.left)
        self._inner, self._recorder = inner, recorder
        #: The numbers of the rows of each block.
        self._seqs = seqs

    @override
    def grants(self, block: Block, part: slice) -> bool:
        if not self._inner.grants(block, part):
            return False
        retried = self._recorder.contents.retried
        self._recorder.retried(
            {seq: retried.get(seq, 0) + 1 for seq in self._seqs[id(block)][part]}
        )
        return True


class JournaledEvaluator(Evaluator):
    """Replays what is recorded, passes the rest to another evaluator, and records it."""

    def __init__(self, inner: Evaluator, recorder: Recorder, loss: Loss | None = None) -> None:
        # Not the base's: its checks have been made, and its state is that of the inner evaluator.
        self._inner = inner
        self._recorder, self._loss = recorder, loss
        self.facts: Facts = RecordedFacts(inner.facts, recorder)

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        inner, facts = self._inner.facts, self.facts
        rows = [(block, row) for block in wave.blocks for row in range(len(block.points))]
        seqs = self._recorder.numbers(run for block in wave.blocks for run in block.runs)
        first = seqs[0] if seqs else -1
        places = dict(zip(seqs, rows, strict=True))
        known = self._lookup(places)
        before = inner.started, inner.gradients, inner.shots
        # How many values, gradients and shots were yielded, and how many of them were replayed.
        handed_on, replayed = [0, 0, 0], [0, 0, 0]
        self._count_retries(wave, places, replayed)
        try:
            for part in _parts(known, places):
                block, row = places[part[0].seq]
                here = slice(row, row + len(part))
                for counts in (handed_on, replayed):
                    _add(counts, block, here)
                self._count_replayed(block, here)
                facts.precision = max(facts.precision, *(record.precision for record in part))
                yield block, here, _answer(part, block)
            if len(known) < len(rows):
                yield from self._evaluated(seqs, wave, known, handed_on)
        finally:
            self._take_late(first, wave)
            facts.precision = max(facts.precision, inner.precision)
            now = inner.started, inner.gradients, inner.shots
            new = [count - old for count, old in zip(now, before, strict=True)]
            took: list[int] | None = None
            if not self._recorder.is_of_many:
                retried = self._recorder.contents.retried
                for seq, (block, row) in places.items() if retried else ():
                    _add(handed_on, block, slice(row, row + 1), retried.get(seq, 0))
                new, took = self._with_left(first, new, replayed, handed_on)
            facts.started += new[0]
            facts.gradients += new[1]
            facts.shots += new[2]
            # Calls are counted even if they cannot be recorded.
            if self._recorder.is_of_many:
                self._note_calls(known, places)
            elif took is not None:
                further = f',"shots":{took[2]}' if took[2] else ""
                self._recorder.put(f'{{"left":{first},"started":{took[:2]}{further}}}')

    def _with_left(
        self, first: int, new: list[int], replayed: list[int], handed_on: list[int]
    ) -> tuple[list[int], list[int] | None]:
        """Return how many evaluations a wave took besides the replayed ones, and what to record.

        This may be more than one for each yielded answer and each retry: a wave that is abandoned
        has others in progress.
        """
        left = self._recorder.contents.left
        if not any(new):  # everything is replayed
            took = left.pop(first, replayed)
            new = [max(0, n - old) for n, old in zip(took, replayed, strict=True)]
            self.facts.replayed += new[0]
            return new, None
        took = [old + n for old, n in zip(replayed, new, strict=True)]
        if took == left.get(first, handed_on):
            return new, None
        left[first] = took
        return new, took

    def _count_replayed(self, block: Block, rows: slice, times: int = 1) -> None:
        """Count the calls that rows of a block took when they were evaluated."""
        self.facts.count(block, rows, times)
        for _ in range(times):
            block.count_replayed(rows)
        if block.kind != "jac":
            self.facts.replayed += times * (rows.stop - rows.start)

    def _count_retries(
        self, wave: Wave, places: dict[int, tuple[Block, int]], replayed: list[int]
    ) -> None:
        """Count the recorded retries, including those of points without an answer."""
        retried = self._recorder.contents.retried
        for seq, (block, row) in places.items() if retried else ():
            times, rows = retried.get(seq, 0), slice(row, row + 1)
            self._count_replayed(block, rows, times)
            _add(replayed, block, rows, times)
            for _ in range(times):
                wave.retries.grants(block, rows)

    def _note_calls(self, known: dict[int, Record], places: dict[int, tuple[Block, int]]) -> None:
        """Record how many calls the rows of many runs took, if that has changed."""
        retried = self._recorder.contents.retried
        further = {
            seq: max(0, block.calls(row) - 1)
            for seq, (block, row) in places.items()
            if seq not in known
        }
        self._recorder.retried({s: n for s, n in further.items() if n != retried.get(s, 0)})

    def _lookup(self, places: dict[int, tuple[Block, int]]) -> dict[int, Record]:
        """Return and remove the records of a wave, in order of arrival."""
        pending = self._recorder.pending
        known = {seq: record for seq, record in pending.items() if seq in places}
        try:
            for seq in list(known):
                block, row = places[seq]
                asked = block.kind, block.points[row], _shots(block, row)
                if seq in known and not self._recorder.lookup(seq, *asked):
                    known = {n: known[n] for n in known if not is_behind(n, seq)}
        except Diverged:
            pending.update(known)  # they are not counted yet
            raise
        return known

    def _evaluated(
        self, all_seqs: list[int], wave: Wave, known: dict[int, Record], handed_on: list[int]
    ) -> Iterator[Part]:
        """Evaluate the rows of a wave that are not recorded, and record them."""
        # The remaining questions: for each new block its origin, the rows there, and their numbers.
        asked: list[Block] = []
        origins: dict[int, tuple[Block, list[int], list[int]]] = {}
        first, start = all_seqs[0], 0
        for block in wave.blocks:
            own = all_seqs[start : start + len(block.points)]
            rows = [row for row, seq in enumerate(own) if seq not in known]
            if rows:
                asked.append(block if len(rows) == len(own) else RowsOfBlock(block, rows))
                origins[id(asked[-1])] = block, rows, [own[row] for row in rows]
            start += len(own)
        answered: set[int] = set()

        def on_answer(one: Block, row: int, answer: Answer) -> None:
            seqs = origins[id(one)][2][row : row + 1]
            answered.update(seqs)  # even if it cannot be recorded: its value may be the best
            self._record(first, seqs, one, slice(row, row + 1), answer, perf_counter() - began)

        required = wave.required_rows, wave.is_first_needed and first not in known
        seqs_of = {one: numbers for one, (_, _, numbers) in origins.items()}
        retries = RecordedRetries(wave.retries, self._recorder, seqs_of)
        inner = Wave(asked, retries, wave.deadline, *required, on_answer)
        answers, began = self._inner.answers(inner), perf_counter()
        try:
            for one, part, answer in answers:
                block, rows, numbers = origins[id(one)]
                there, seqs = rows[part], numbers[part]
                if seqs[0] not in answered:
                    self._record(first, seqs, one, part, answer, perf_counter() - began)
                self.facts.precision = max(self.facts.precision, self._inner.facts.precision)
                facts = self._inner.facts
                self.facts.seconds, self.facts.worker = facts.seconds, facts.worker
                if there[-1] - there[0] == len(there) - 1:
                    whole = slice(there[0], there[-1] + 1)
                    _add(handed_on, block, whole)
                    yield block, whole, answer
                else:
                    for i, row in enumerate(there):
                        one_answer = answer
                        if not isinstance(answer, BaseException):
                            one_answer = answer[i : i + 1]
                        _add(handed_on, block, slice(row, row + 1))
                        yield block, slice(row, row + 1), one_answer
                began = perf_counter()
        finally:
            answers.close()
            wave.late += inner.late

    def _take_late(self, first: int, wave: Wave) -> None:
        """Record what arrived while the wave was abandoned, or replay such records."""
        for points, answer in wave.late:
            for i, x in enumerate(points):
                found = _found("fun", answer, i, x.size, self._loss)
                self._recorder.put(Record(first, "fun", x, ask=first, is_late=True, **found).text())
        for record in self._recorder.late(first):
            wave.late.append((record.x[np.newaxis], _values([record], record.x.dtype)))

    def _record(
        self,
        ask: int,
        seqs: Sequence[int],
        block: Block,
        part: slice,
        answer: Answer,
        seconds: float,
    ) -> None:
        """Record answers that arrived together."""
        if isinstance(answer, StopIteration | SystemExit):
            return  # a request to stop, not a failure
        facts = self._inner.facts
        share = seconds / len(seqs) if facts.seconds is None else facts.seconds
        eps = facts.precision if facts.precision > EPS else 0.0
        told: dict[str, Any] = {"seconds": share, "worker": facts.worker, "precision": eps}
        lines = []
        for i, (seq, x) in enumerate(zip(seqs, block.points[part], strict=True)):
            found = _found(block.kind, answer, i, x.size, self._loss)
            if isinstance(found.get("jac"), LinearOperator):
                continue  # which has no entries
            told["is_probe"] = block.is_probe(part.start + i)
            told["shots"] = _shots(block, part.start + i)
            record = Record(seq, block.kind, x, ask=ask, part=seqs[0], **told, **found)
            lines.append(record.text())
        if lines:
            self._recorder.put("\n".join(lines))


def _add(counts: list[int], block: Block, part: slice, times: int = 1) -> None:
    """Add rows of a block to counts of values, of gradients and of shots."""
    rows = times * (part.stop - part.start)
    counts[0] += rows if block.kind != "jac" else 0
    counts[1] += rows if block.kind != "fun" else 0
    counts[2] += times * block.spent(part)


def _shots(block: Block, row: int) -> int | None:
    return None if block.shots is None else int(block.shots[row])


def _parts(
    known: dict[int, Record], places: dict[int, tuple[Block, int]]
) -> Iterator[list[Record]]:
    """Yield answers that arrived together."""
    part: list[Record] = []
    for record in known.values():
        block, row = places[record.seq]
        if part and (record.part != part[-1].part or (block, row - 1) != places[part[-1].seq]):
            yield part
            part = []
        part.append(record)
    if part:
        yield part


def _answer(part: Sequence[Record], block: Block) -> Answer:
    """Return records as an evaluator's answer."""
    if part[0].failure is not None:
        return failure_of(part[0])
    if block.kind == "fun":
        return _values(part, block.points.dtype)
    gradients = np.empty(len(part), dtype=object)
    for i, record in enumerate(part):
        gradients[i] = answer_of(record)
    return gradients


def _values(part: Sequence[Record], dtype: Any) -> NDArray[Any]:
    rows = [[r.fun, math.nan, *r.residuals] for r in part if r.residuals is not None]
    if rows:
        return np.array(rows, dtype=dtype)
    errors = [math.nan if record.error is None else record.error for record in part]
    return joined_answer([record.fun for record in part], errors, dtype)


def _found(kind: Kind, answer: Answer, i: int, n: int, loss: Loss | None) -> dict[str, Any]:
    """Return the fields of a record for a row of an answer."""
    if isinstance(answer, BaseException):
        return {"failure": words_of(answer)}
    if kind == "fun":
        value, error = element(answer[i])
        residuals = residuals_of(answer[i : i + 1])
        if residuals is not None:
            return {"fun": value, "residuals": residuals[0]}
        return {"fun": value, "error": None if math.isnan(error) else error}
    try:
        if loss is not None:
            return fit_in(kind, answer[i], n, loss)
        value, gradient = gradient_in(kind, answer[i], n)
    except Exception as error:  # the caller raises it again
        return {"failure": words_of(error)}
    return {"fun": value, "jac": gradient}
