"""Journal: where a run keeps its record, and how safely."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from optimizers.errors import OptionError

#: How often what is written is forced to the disk: at every record, never, or once in so many
#: seconds.
Fsync: TypeAlias = str | float


@dataclass(frozen=True)
class Journal:
    """Where a run keeps its record, and how safely; for the setting ``journal``.

    A run opens it, and closes it at its end; two runs cannot write it at the same time. Each record
    is handed to the operating system before the algorithm sees the value, so that a process that is
    killed loses nothing.

    Parameters
    ----------
    path : str or PathLike
        The file; it need not exist. Names that end in ``.db``, ``.sqlite`` or ``.sqlite3`` make an
        SQLite database, all others lines of JSON.
    fsync : {"always", "never"} or float, default 1.0
        When records are also forced to the disk, against a failure of the machine itself: each of
        them, none, or with the first that comes so many seconds after the last time.
    notes : dict, optional
        What else to keep in the header of a new journal, in JSON's types.

    Raises
    ------
    OptionError
        If an argument cannot be used.

    Examples
    --------
    >>> Journal("run.jsonl", fsync="always")
    Journal(path='run.jsonl', fsync='always')
    """

    path: str
    fsync: Fsync = 1.0
    notes: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __init__(
        self, path: str | os.PathLike[str], fsync: Fsync = 1.0, notes: dict[str, Any] | None = None
    ) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise OptionError(f"journal is {path!r}, expected the path of a file, or a Journal.")
        is_number = isinstance(fsync, int | float) and not isinstance(fsync, bool) and fsync >= 0
        if not (is_number or fsync in ("always", "never")):
            raise OptionError(
                f"fsync is {fsync!r}, expected 'always', 'never' or a number of seconds."
            )
        object.__setattr__(self, "path", os.fspath(path))
        object.__setattr__(self, "fsync", fsync)
        object.__setattr__(self, "notes", dict(notes or {}))

    @property
    def interval(self) -> float:
        """The seconds between two times that records are forced to the disk."""
        if isinstance(self.fsync, str):
            return 0.0 if self.fsync == "always" else float("inf")
        return float(self.fsync)

    @property
    def is_database(self) -> bool:
        """Whether it is an SQLite database."""
        return Path(self.path).suffix.lower() in (".db", ".sqlite", ".sqlite3")


def as_journal(value: Any) -> Journal | None:
    """Return what was given as ``journal=`` as a Journal; None for None."""
    return value if value is None or isinstance(value, Journal) else Journal(value)
