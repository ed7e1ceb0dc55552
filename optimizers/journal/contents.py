"""Contents: the parsed lines of a journal."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optimizers.errors import EvaluationError, JournalError, NonFiniteValueError
from optimizers.journal.checks import ERRORS, check_entry, check_header, check_record
from optimizers.journal.checksum import opened
from optimizers.journal.iterations import Iteration
from optimizers.journal.journal import Journal
from optimizers.journal.jsonl import not_a_journal, read_lines
from optimizers.journal.records import Record, is_behind


@dataclass
class JournalContents:
    """The contents of a journal: the header, the records in order of arrival, and the end."""

    header: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    #: The ends of iterations, where they are recorded.
    iterations: list[Iteration] = field(default_factory=list)
    #: The index of the first record that is replayed.
    begin: int = 0
    #: A restart: its point, counts and next number.
    start: dict[str, Any] | None = None
    #: The numbers of evaluations of objective and gradient, and of shots, for waves where these
    #: differ from those of all points and retries.
    left: dict[int, list[int]] = field(default_factory=dict)
    #: How many additional evaluations points had.
    retried: dict[int, int] = field(default_factory=dict)
    #: The number of workers, if the run used it.
    width: float | None = None
    #: The result; ``error`` is in it if an exception ended the run.
    end: dict[str, Any] | None = None
    #: Parts of the functions that the runs themselves changed.
    changed: set[str] = field(default_factory=set)
    #: Whether failed points were rejected, in the last start.
    rejects: bool = False

    def rewind(self, seq: int) -> None:
        """Forget a question and the later ones of its run."""
        self.records = [r for r in self.records if not is_behind(r.seq, seq)]
        self.retried = {s: times for s, times in self.retried.items() if not is_behind(s, seq)}

    def ended_by(self, record: Record) -> bool:
        """Return whether a record in a run's last wave is a failure that ended the run.

        One of many runs may end before the others; when all have ended, the end says which failed.
        If failures are rejected, it is the one that was raised, if any; otherwise any failure.
        """
        end, error = self.end, None if self.end is None else self.end.get("error")
        is_over = False
        if end is not None and error is None:
            # Of many runs, journals of earlier versions do not say it.
            is_over = "many" not in self.header or record.run not in end.get("failed", [record.run])
        if not record.is_failed or is_over:
            return False
        if not self.rejects:
            return True
        # If the run was killed before its end, the recorded failure was raised.
        words = (error or "").removeprefix(f"{EvaluationError.__name__}: ")
        return words.startswith(record.failure or NonFiniteValueError.__name__)


def read(path: str) -> JournalContents | None:
    """Return the contents of a journal, also while a run writes it; None if it is empty."""
    if not Journal(path).is_database:
        return parsed(path, read_lines(path)[0])
    from optimizers.journal.sqlite import read_rows  # most journals need no sqlite3

    return parsed(path, read_rows(path))


def parsed(path: str, lines: Sequence[bytes]) -> JournalContents | None:
    """Return the contents in the lines of a journal; None if there are none."""
    contents: JournalContents | None = None
    for number, line in enumerate(lines, 1):
        try:
            # json would take bytes with zeros for another encoding.
            entry = json.loads(opened(line).decode())
            # Lines of earlier versions have no number.
            if entry.get("line", number) != number:
                raise ValueError(f"it was written as line {entry['line']}: others are missing")
            if contents is None:
                if type(entry["journal"]) is not int:
                    raise not_a_journal(path)
                check_header(path, entry)
                contents = JournalContents(entry, rejects=_rejects(entry))
            else:
                _add(contents, entry)
        except JournalError:
            raise
        except ERRORS as error:
            advice = "Remove that line and those after it to resume from the records"
            raise JournalError(
                f"The journal {path} is damaged: its line {number} is "
                f"{line.decode(errors='backslashreplace')!r:.200} "
                f"({type(error).__name__}: {error!s:.200}). "
                + (f"{advice} before." if contents else "Name another file as journal.")
            ) from None
    return contents


def _add(contents: JournalContents, entry: dict[str, Any]) -> None:
    n = contents.header["problem"]["n"]
    if "seq" in entry:
        record = Record.from_entry(entry)
        check_record(record, n, has_residuals="residuals" in contents.header["problem"])
        contents.records.append(record)
        contents.end = None
        return
    check_entry(entry, n)
    if "retried" in entry:
        contents.retried[entry["retried"]] = entry["times"]
    elif "iteration" in entry:
        contents.iterations.append(Iteration.from_entry(entry))
    elif "left" in entry and "many" in contents.header:  # as written by earlier versions
        contents.retried[entry["left"]] = max(0, entry["started"][0] - 1)
    elif "left" in entry:
        contents.left[entry["left"]] = [*entry["started"], entry.get("shots", 0)]
    elif "width" in entry:
        contents.width = math.inf if entry["width"] is None else entry["width"]
    elif "restart" in entry:
        contents.start, contents.begin = entry["restart"], len(contents.records)
        contents.left, contents.retried, contents.end = {}, {}, None
        last = entry["restart"]["nit"]
        contents.iterations = [one for one in contents.iterations if one.number <= last]
    elif "rewound" in entry:
        contents.end = None
        contents.rewind(entry["rewound"])
    elif "resumed" in entry:
        contents.rejects = entry["resumed"].get("rejects", contents.rejects)
    elif "end" in entry:
        contents.end = entry
        contents.changed.update(map(str, entry.get("changed", ())))


def _rejects(header: dict[str, Any]) -> bool:
    """Return whether a run begins by rejecting failed points; early journals have a setting."""
    rejects: bool = header.get("rejects", header["settings"].get("on_failure") == "reject")
    return rejects
