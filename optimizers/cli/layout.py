"""How text fits the terminal."""

import shutil
import textwrap

import numpy as np

from optimizers._types import Array

#: No line is broken to less than this.
_NARROWEST = 40


def width() -> int:
    """Return how many characters a line has: the terminal's, or COLUMNS, or 80."""
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def vector(x: Array, indent: int) -> str:
    """Return a vector as it is printed behind ``indent`` characters."""
    return np.array2string(
        x, precision=8, threshold=20, max_line_width=width(), prefix=" " * indent
    )


def wrapped(line: str, hanging: int = 0) -> str:
    """Return a line broken where it is too long; its further lines are indented as it is, or more.

    A line that only indents stays.
    """
    indent = len(line) - len(line.lstrip())
    return textwrap.fill(
        line.strip(),
        width(),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_on_hyphens=False,
        break_long_words=False,
    )
