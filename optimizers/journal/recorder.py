"""Recorder: replays what is recorded, in the order of the questions, and records the rest."""

import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from optimizers.errors import JournalError, JournalMismatchError, warn_user
from optimizers.journal.contents import JournalContents, parsed
from optimizers.journal.header import check_header, differing, seed_entry, seed_of, versions
from optimizers.journal.iterations import Iteration
from optimizers.journal.journal import Journal
from optimizers.journal.jsonl import JsonLines
from optimizers.journal.records import RUN_BITS, Kind, Record, compact, encoded, is_behind

#: A point is the recorded one if no component differs by more than this fraction of max(1, abs(x)):
#: below the usual steps of differences, above the rounding of another BLAS.
TOLERANCE = 1e-9
#: Seconds between checks whether the file still exists.
_LOOKS = 1.0


class Diverged(BaseException):
    """A run asks for points other than the recorded ones; never leaves the run.

    A BaseException, so that no ``except Exception`` of a solver can swallow it.
    """

    def __init__(self, seq: int, words: str) -> None:
        super().__init__(words)
        self.seq = seq


class Counter(Protocol):
    """Numbers the questions of a run."""

    next: int


@dataclass
class OfRun:
    """Numbers the questions of one of many runs."""

    #: The number of the next question.
    next: int


class Lines(Protocol):
    """Where a journal's lines are kept: a file or a database."""

    lines: list[bytes]
    #: The minimum size of the file.
    size: int

    def begin(self) -> None:
        """Prepare for writing; until then nothing is changed."""

    def append(self, text: str) -> None:
        """Write lines."""

    def close(self) -> None:
        """Release the lock."""


def _opened(journal: Journal) -> Lines:
    if not journal.is_database:
        return JsonLines(journal.path, journal.interval)
    from optimizers.journal.sqlite import SqliteLines  # most journals need no sqlite3

    return SqliteLines(journal.path, journal.interval)


class Recorder:
    """An open journal: it replays records in the order of the questions, and records the rest.

    ``check`` says how to react to another objective: "warn", "error" or "off".
    """

    def __init__(self, journal: Journal, header: dict[str, Any], seed: Any, check: str) -> None:
        self.path, self._rejects = journal.path, header["rejects"]
        #: The size of the file, and when it is checked again.
        self._size, self._next_look = 0, 0.0
        #: The identities of the functions; see :mod:`optimizers.journal.identity`.
        self.functions: dict[str, Any] = header["identity"]
        self._refused: list[str] = []
        #: The records to replay, by number, in order of arrival.
        self.pending: dict[int, Record] = {}
        self._late: dict[int, list[Record]] = {}
        self._has_warned = False
        #: Whether it records many runs, each with its own numbers: one that asks something else
        #: than is recorded continues alone with new evaluations.
        self.is_of_many = "many" in header
        self._counters: dict[int, OfRun] = {}
        #: Which of many runs failed, when all have ended.
        self.failed: list[int] = []
        #: The number of the first question of the latest wave of direct calls, and whether more of
        #: its questions follow.
        self.ask, self.is_in_wave = 0, False
        self._lines = _opened(journal)
        try:
            contents = self._begun(journal, {**header, "seed": seed_entry(seed)}, check)
            self.contents = contents
            #: The number of the next question.
            self.next = 0 if contents.start is None else contents.start["next"]
            self._is_noted = not contents.records and contents.end is None
            #: The number of the last iteration that is recorded.
            self._iteration = contents.iterations[-1].number if contents.iterations else 0
            self._prepare(contents.records[contents.begin :])
        except BaseException:
            self.close()
            raise

    def _begun(self, journal: Journal, header: dict[str, Any], check: str) -> JournalContents:
        """Return the contents of the journal; write its header if it is new, or check it."""
        contents = parsed(journal.path, self._lines.lines)
        self._lines.lines = []
        notes = {"notes": journal.notes} if journal.notes else {}
        text = compact({**header, **notes})
        wanted = json.loads(text)
        if contents is not None:
            check_header(journal.path, contents.header, wanted)
            if check != "off":
                self._check_functions(contents, wanted, check)
        self._lines.begin()
        if contents is None:
            contents = JournalContents(wanted)
            self.write(text)
        return contents

    def _check_functions(
        self, contents: JournalContents, wanted: dict[str, Any], check: str
    ) -> None:
        """Raise a JournalMismatchError, or warn, if a journal belongs to another objective."""
        names, parts = differing(contents.header, wanted, contents.changed)
        if names:
            raise JournalMismatchError(
                f"The journal {self.path} belongs to another objective: {', '.join(names)}. Name "
                "another file as journal. If only the name of the function changed, pass "
                "journal_check='off'."
            )
        if parts:
            words = (
                f"The journal {self.path} was probably begun with other functions: "
                f"{', '.join(parts)} changed since. If the values are different now, name another "
                "file as journal; if not, pass journal_check='off'. Journal(path, verify=1) "
                "evaluates a recorded point again and compares."
            )
            if check == "error":
                raise JournalMismatchError(words)
            warn_user(f"{words} The {len(contents.records)} recorded answers are used.")

    def _prepare(self, records: Iterable[Record]) -> None:
        last: dict[int, int] = {}
        for record in records:
            if record.is_late:
                self._late.setdefault(record.ask, []).append(record)
                continue
            self.pending.pop(record.seq, None)  # a second attempt, in its own order of arrival
            self.pending[record.seq] = record
            last[record.run] = record.ask
        for record in list(self.pending.values()):
            if record.ask == last[record.run] and self.contents.ended_by(record):
                del self.pending[record.seq]  # evaluated again: the cause may be fixed

    @property
    def seed(self) -> Any:
        """The run's original seed; a generator is created each time."""
        return seed_of(self.contents.header["seed"])

    # Answers.

    def of(self, run: int) -> Counter:
        """Return the counter of the questions of a run."""
        if not self.is_of_many:
            return self
        return self._counters.setdefault(run, OfRun(run << RUN_BITS))

    def numbers(self, runs: Iterable[int]) -> list[int]:
        """Return the numbers of the next questions, one for each of these runs."""
        seqs = []
        for run in runs:
            counter = self.of(run)
            seqs.append(counter.next)
            counter.next += 1
        return seqs

    def lookup(
        self, seq: int, kind: Kind, x: NDArray[Any], shots: int | None = None
    ) -> Record | None:
        """Return and remove the record of a question; None if it has to be evaluated.

        Raises Diverged if another question is recorded there and the run is the only one.
        """
        record = self.pending.pop(seq, None)
        if record is None:
            return None
        if record.kind != kind or record.x.shape != x.shape or record.x.dtype != x.dtype:
            words = f"{kind} was asked for, but {record.kind} is recorded, or the shapes differ"
            self._diverged(seq, words)
            return None
        if record.shots != shots:
            self._diverged(seq, f"{shots} shots were asked for, but {record.shots} are recorded")
            return None
        if record.x.tobytes() == x.tobytes():
            return record
        gap = np.abs(record.x - x) / np.maximum(1.0, np.abs(x))
        worst = float(gap.max(initial=0.0))
        if not worst <= TOLERANCE:
            self._diverged(seq, f"the point differs by {worst:.1e} from the recorded one")
            return None
        if not self._has_warned and worst > 0.0:
            self._has_warned = True
            warn_user(
                f"Evaluation {seq} of the journal {self.path} is at a point that differs by "
                f"{worst:.1e} from the one asked for ({self._other_versions()}): the recorded "
                "answers are used."
            )
        return record

    def _diverged(self, seq: int, words: str) -> None:
        if not self.is_of_many:
            raise Diverged(seq, words)
        unused = [seq, *(other for other in self.pending if is_behind(other, seq))]
        for other in unused[1:]:
            del self.pending[other]
        self.contents.rewind(seq)
        self.put(compact({"rewound": seq}))
        warn_user(
            f"The journal {self.path} cannot be followed in run {seq >> RUN_BITS}: {words} "
            f"({self._other_versions()}). {len(unused)} of its recorded answers are not used, and "
            "it continues with new evaluations."
        )

    def _other_versions(self) -> str:
        now, then = versions(), self.contents.header["versions"]
        changed = [name for name in now if then.get(name) != now[name]]
        words = [f"{name} {then.get(name)} then, {now[name]} now" for name in changed]
        return ", ".join(words) or "the same versions"

    def late(self, ask: int) -> list[Record]:
        """Return and remove the records that arrived after a wave was abandoned."""
        return self._late.pop(ask, [])

    def unused(self) -> list[Record]:
        """Return the records not replayed yet."""
        return [*self.pending.values(), *(known for late in self._late.values() for known in late)]

    # Records.

    def write(self, text: str) -> None:
        """Write lines, durably before anyone continues."""
        try:
            self._lines.append(text)
            if time.monotonic() >= self._next_look:
                self._look()
        except JournalError:
            self._refused += text.split("\n")
            raise

    def _look(self) -> None:
        """Raise a JournalError if the file is gone: its descriptor would accept all silently."""
        size = os.stat(self.path).st_size if os.path.exists(self.path) else -1
        if size < max(self._size, self._lines.size):
            what = "deleted" if size < 0 else "replaced or cut"
            raise JournalError(
                f"The journal {self.path} was {what} while the run wrote it, so that it cannot be "
                "resumed. The run ended there: run it again, and keep the file."
            )
        self._size, self._next_look = size, time.monotonic() + _LOOKS

    @property
    def refused(self) -> list[Record]:
        """The records that could not be written."""
        entries = [json.loads(text) for text in self._refused]
        return [Record.from_entry(entry) for entry in entries if "seq" in entry]

    def put(self, text: str) -> None:
        """Write lines of this run; in a resumed run, first write that it was resumed."""
        if not self._is_noted:
            self._is_noted = True
            now = {"at": self.next, "versions": versions(), "rejects": self._rejects}
            self.write(compact({"resumed": now}))
        self.write(text)

    def retried(self, times: dict[int, int]) -> None:
        """Record repeated evaluations of questions, before they are made."""
        if times:
            self.contents.retried.update(times)
            self.put("\n".join(compact({"retried": s, "times": n}) for s, n in times.items()))

    def iterated(self, iteration: Iteration) -> None:
        """Record the end of an iteration, unless it is recorded or the run had ended."""
        is_told_again = self.contents.end is not None and not self._is_noted
        if iteration.number > self._iteration and not is_told_again:
            self._iteration = iteration.number
            self.put(iteration.text())

    def restart(self, x: NDArray[Any], fun: float | None, counts: dict[str, int]) -> None:
        """Forget the records not replayed yet: the run restarts from ``x``."""
        self.next = max([self.next, *(seq + 1 for seq in self.pending)])
        self.pending.clear()
        self._late.clear()
        self.contents.left.clear()
        self.contents.retried.clear()
        self._iteration = counts["nit"]
        start = {"x": encoded(x), "fun": fun, "next": self.next, **counts}
        self.put(compact({"restart": start}))

    def end(
        self, result: dict[str, Any] | None, error: str | None = None, changed: Sequence[str] = ()
    ) -> None:
        """Write how the run ended, unless the journal says so already.

        ``changed`` are parts of the functions that the run itself changed, such as counters.
        """
        known = self.contents.end
        if known is not None and not self._is_noted and ("error" in known) == (error is not None):
            return
        further: dict[str, Any] = {} if error is None else {"error": error}
        if changed:
            further["changed"] = list(changed)
        if self.is_of_many and error is None:
            further["failed"] = self.failed
        self._next_look = 0.0
        self.write(compact({"end": _strict(result), **further}))

    def close(self) -> None:
        """Close the journal."""
        self._lines.close()


def _strict(value: Any) -> Any:
    """Return a result's entries without NaN and infinities, which JSON does not have.

    The Jacobian, which may be large, is omitted too: it is in the records.
    """
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items() if key != "jacobian"}
    if isinstance(value, list):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
