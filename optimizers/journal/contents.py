"""Contents: what the lines of a journal say."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optimizers.errors import EvaluationError, JournalError, NonFiniteValueError
from optimizers.journal.checks import ERRORS, check_entry, check_header, check_record
from optimizers.journal.checksum import opened
from optimizers.journal.journal import Journal
from optimizers.journal.jsonl import not_a_journal, read_lines
from optimizers.journal.records import Record, is_behind


@dataclass
class JournalContents:
    """What is in a journal: the header, the records as they arrived, and how the run ended."""

    header: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    #: The records from here on are what is answered again.
    begin: int = 0
    #: A fresh start: its point, counts and next number.
    start: dict[str, Any] | None = None
    #: For waves that took another number of evaluations of objective and gradient than they have
    #: points and retries: how many.
    left: dict[int, list[int]] = field(default_factory=dict)
    #: How often points were evaluated again, or at the same time, besides once.
    retried: dict[int, int] = field(default_factory=dict)
    #: How many workers there were, if the run asked for that.
    width: float | None = None
    #: The result; ``error`` is in it if an exception ended the run.
    end: dict[str, Any] | None = None
    #: Parts of the functions that runs changed themselves.
    changed: set[str] = field(default_factory=set)
    #: Whether points that failed were rejected, in the last of the starts.
    rejects: bool = False

    def rewind(self, seq: int) -> None:
        """Forget a question and those of its run behind it."""
        self.records = [r for r in self.records if not is_behind(r.seq, seq)]
        self.retried = {s: times for s, times in self.retried.items() if not is_behind(s, seq)}

    def ended_by(self, record: Record) -> bool:
        """Return whether a record of a run's last wave is a failure that ended the run.

        One of many may end so before the others do.
        Where failures are rejected it is the one that came out, if any did; else any.
        """
        error = None if self.end is None else self.end.get("error")
        is_over = self.end is not None and error is None and "many" not in self.header
        if not record.is_failed or is_over:
            return False
        if not self.rejects:
            return True
        # After a kill before that end, the recorded failure came out.
        words = (error or "").removeprefix(f"{EvaluationError.__name__}: ")
        return words.startswith(record.failure or NonFiniteValueError.__name__)


def read(path: str) -> JournalContents | None:
    """Return what is in a journal, also while a run writes it; None for an empty one."""
    if not Journal(path).is_database:
        return parsed(path, read_lines(path)[0])
    from optimizers.journal.sqlite import read_rows  # most journals need no sqlite3

    return parsed(path, read_rows(path))


def parsed(path: str, lines: Sequence[bytes]) -> JournalContents | None:
    """Return what the lines of a journal say; None if there are none."""
    contents: JournalContents | None = None
    for number, line in enumerate(lines, 1):
        try:
            # As bytes, what holds zeros would be taken for another encoding.
            entry = json.loads(opened(line).decode())
            # Lines of earlier versions do not tell their number.
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
            advice = "With that line and those behind it taken out, the run goes on from what is"
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
    elif "left" in entry and "many" in contents.header:  # as earlier versions tell it
        contents.retried[entry["left"]] = max(0, entry["started"][0] - 1)
    elif "left" in entry:
        contents.left[entry["left"]] = entry["started"]
    elif "width" in entry:
        contents.width = math.inf if entry["width"] is None else entry["width"]
    elif "restart" in entry:
        contents.start, contents.begin = entry["restart"], len(contents.records)
        contents.left, contents.retried, contents.end = {}, {}, None
    elif "rewound" in entry:
        contents.end = None
        contents.rewind(entry["rewound"])
    elif "resumed" in entry:
        contents.rejects = entry["resumed"].get("rejects", contents.rejects)
    elif "end" in entry:
        contents.end = entry
        contents.changed.update(map(str, entry.get("changed", ())))


def _rejects(header: dict[str, Any]) -> bool:
    """Return whether a run begins by rejecting points that fail; early journals tell a setting."""
    rejects: bool = header.get("rejects", header["settings"].get("on_failure") == "reject")
    return rejects
