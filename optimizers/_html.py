"""Tables of HTML, and what results and reports have in common: how they are shown and written."""

import html
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table of cells that are shown as they are; without a head, of names and values."""
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
    """What a report can be written of."""

    def report(self, path: str | os.PathLike[str]) -> str:
        """Write what is known as one HTML file, with pictures, that needs no network.

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
        Of a result alone it shows its numbers; with ``callback=History()``, or a journal, how it
        was found.
        """
        # What writes reports stands above all results: it is found where it is asked for.
        written: str = sys.modules["optimizers"].report.write(self, path)
        return written
