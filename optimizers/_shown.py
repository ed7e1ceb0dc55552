"""How things are shown, as text that fits a screen and as HTML, and written as reports."""

import dataclasses
import html
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

#: How many characters of a value are shown.
_LONG = 300


def shown(value: object) -> str:
    """Return a value in one line, truncated if it is long."""
    if isinstance(value, dict):
        text = f"{{{', '.join(f'{key!r}: {_entry(one)}' for key, one in value.items())}}}"
    elif isinstance(value, np.ndarray):
        text = np.array2string(value, precision=6, threshold=20, edgeitems=3)
    elif isinstance(value, tuple | list) and any(isinstance(one, np.ndarray) for one in value):
        text = f"({', '.join(map(shown, value))})"
    else:
        with np.printoptions(threshold=20, precision=6):
            text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONG else f"{text[: _LONG - 4]} ..."


def _entry(value: object) -> str:
    """Return an entry of a dict; numbers have as many digits as those of an array."""
    return repr(float(f"{value:.6g}")) if isinstance(value, float) else shown(value)


def short(self: Any) -> str:
    """Return the ``__repr__`` of a dataclass or a named tuple, with long entries truncated."""
    names = getattr(self, "_fields", None) or [
        field.name for field in dataclasses.fields(self) if field.repr
    ]
    entries = []
    for name in names:
        value = getattr(self, name)
        is_text = isinstance(value, str) and len(value) < _LONG
        entries.append(f"{name}={repr(value) if is_text else shown(value)}")
    return f"{type(self).__name__}({', '.join(entries)})"


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of text with aligned columns; the last one is aligned to the left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        entries = [f"{entry:>{width}}" for entry, width in zip(row, widths, strict=True)]
        lines.append("  ".join([*entries[:-1], row[-1]]))
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return an HTML table of cells; without a head, of names and values."""
    top = "".join(f"<th>{html.escape(str(name))}</th>" for name in head)
    lines = [f"<thead><tr>{top}</tr></thead>"] if head else []
    for row in rows:
        first, *rest = (html.escape(str(cell)) for cell in row)
        own = "".join(f"<td>{cell}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{first}</th>{own}</tr>')
    return f"<table>{''.join(lines)}</table>"


def number(value: Any) -> str:
    """Return a number as a table shows it; a dash for None."""
    return "-" if value is None else f"{value:.8g}"


class Reported:
    """Something that a report can be written of."""

    def report(self, path: str | os.PathLike[str]) -> str:
        """Write a report as one HTML file, with pictures, that needs no network.

        Parameters
        ----------
        path : str or PathLike
            The file to write.

        Returns
        -------
        str
            The path.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.

        Notes
        -----
        A result alone shows its numbers; with ``callback=History()`` or a journal, the report shows
        how it was found.
        """
        # The module that writes reports is above all results: it is imported on demand.
        written: str = sys.modules["optimizers"].report.write(self, path)
        return written


class Tabled(Reported):
    """Something that prints as a table, and shows as one in a notebook."""

    #: How many rows are shown.
    _lines = 20

    def _table(self) -> tuple[str, Sequence[str], list[Sequence[str]]]:
        """Return the line above the table, its head and its rows."""
        raise NotImplementedError

    def __repr__(self) -> str:
        above, head, rows = self._table()
        parts = [
            above,
            as_table(head, rows[: self._lines]) if rows or not above else "",
            self._more(rows),
        ]
        return "\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        above, head, rows = self._table()
        words = "".join(f"<p>{html.escape(line)}</p>" for line in above.splitlines())
        below = table(head, rows[: self._lines]) if rows or not above else ""
        return words + below + html.escape(self._more(rows))

    def _more(self, rows: Sequence[Any]) -> str:
        more = len(rows) - self._lines
        return f"... and {more} more" if more > 0 else ""
