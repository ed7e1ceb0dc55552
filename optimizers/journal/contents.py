"""What is in a journal: its lines, understood."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optimizers.errors import JournalError
from optimizers.journal.journal import Journal
from optimizers.journal.jsonl import not_a_journal, read_lines
from optimizers.journal.records import Record


@dataclass
class JournalContents:
    """What is in a journal.

    Parameters
    ----------
    header : dict
        Which run it is of.
    records : list of Record
        The evaluations, as they arrived.
    begin : int
        Where among them the part begins that is answered again: behind a fresh start.
    start : dict, optional
        That fresh start: its point, the counts, the next number.
    left : dict of int to list of int
        For questions that took another number of evaluations than they have points: how many of
        the objective, and of the gradient.
    width : float, optional
        How many workers there were, if the run asked for that.
    end : dict, optional
        The result, if the run ended, and ``error`` if by an exception.
    """

    header: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    begin: int = 0
    start: dict[str, Any] | None = None
    left: dict[int, list[int]] = field(default_factory=dict)
    width: float | None = None
    end: dict[str, Any] | None = None


def read(path: str) -> JournalContents | None:
    """Return what is in a journal, also while a run writes it; None for an empty one."""
    if not Journal(path).is_database:
        return parsed(path, read_lines(path)[0])
    from optimizers.journal.sqlite import read_rows  # most journals need no sqlite3

    return parsed(path, read_rows(path))


def parsed(path: str, lines: Sequence[str]) -> JournalContents | None:
    """Return what the lines of a journal say; None if there are none."""
    contents: JournalContents | None = None
    for number, text in enumerate(lines, 1):
        try:
            entry = json.loads(text)
            if contents is None:
                entry["journal"]
                contents = JournalContents(entry)
            else:
                _take(contents, entry)
        except (ValueError, KeyError, TypeError) as error:
            if contents is None:
                raise not_a_journal(path) from None
            raise JournalError(
                f"The journal {path} is damaged: its line {number} is {text!r:.200} "
                f"({type(error).__name__}: {error}). With that line and those behind it taken "
                "out, the run goes on from what is before."
            ) from None
    return contents


def _take(contents: JournalContents, entry: dict[str, Any]) -> None:
    if "seq" in entry:
        contents.records.append(Record.from_entry(entry))
        contents.end = None
    elif "left" in entry:
        contents.left[entry["left"]] = entry["started"]
    elif "width" in entry:
        contents.width = math.inf if entry["width"] is None else entry["width"]
    elif "restart" in entry:
        contents.start, contents.begin = entry["restart"], len(contents.records)
        contents.left, contents.end = {}, None
    elif "end" in entry:
        contents.end = entry
