"""Journal: the file that records a run, and how safely."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from optimizers.errors import OptionError

#: How often writes are forced to the disk: at every record, never, or once in a number of seconds.
Fsync: TypeAlias = str | float


@dataclass(frozen=True)
class Journal:
    """The file that records a run, and how safely; for the setting ``journal``.

    A run opens it, and closes it at its end; two runs cannot write it at the same time. Each record
    is passed to the operating system before the algorithm sees the value, so that a killed process
    loses nothing.

    Parameters
    ----------
    path : str or PathLike
        The file; it need not exist. A name that ends in ``.db``, ``.sqlite`` or ``.sqlite3`` means
        an SQLite database, any other lines of JSON.
    fsync : {"always", "never"} or float, default 1.0
        When records are also forced to the disk, to survive a crash of the machine: each record,
        none, or the first one that many seconds after the last time.
    notes : dict, optional
        Further entries for the header of a new journal, in JSON types.
    verify : int, default 0
        How many of the best recorded points are evaluated again before an unfinished run is
        resumed. They count as evaluations. A different value causes a warning, or an error with
        ``journal_check="error"``.

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
    verify: int = field(default=0, compare=False, repr=False)

    def __init__(
        self,
        path: str | os.PathLike[str],
        fsync: Fsync = 1.0,
        notes: dict[str, Any] | None = None,
        *,
        verify: int = 0,
    ) -> None:
        path = as_path("journal", path)
        is_number = isinstance(fsync, int | float) and not isinstance(fsync, bool) and fsync >= 0
        if not (is_number or (isinstance(fsync, str) and fsync in ("always", "never"))):
            raise OptionError(
                f"fsync is {fsync!r}, expected 'always', 'never' or a number of seconds."
            )
        if isinstance(verify, bool) or not isinstance(verify, int) or verify < 0:
            raise OptionError(f"verify is {verify!r}, expected a whole number of points.")
        try:
            kept = None if notes is None else json.loads(json.dumps(notes))
        except (TypeError, ValueError, RecursionError) as error:
            raise OptionError(
                f"notes cannot be written as JSON ({error}): {notes!r:.200}."
            ) from error
        if not isinstance(kept, dict | None):
            raise OptionError(f"notes is {notes!r:.200}, expected a dict.")
        object.__setattr__(self, "verify", verify)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "fsync", fsync)
        object.__setattr__(self, "notes", kept or {})

    @property
    def interval(self) -> float:
        """The interval in seconds at which records are forced to the disk."""
        if isinstance(self.fsync, str):
            return 0.0 if self.fsync == "always" else float("inf")
        return float(self.fsync)

    @property
    def is_database(self) -> bool:
        """Whether it is an SQLite database."""
        return Path(self.path).suffix.lower() in (".db", ".sqlite", ".sqlite3")


def as_path(name: str, given: Any) -> str:
    """Return the path of a file as text, or raise an OptionError."""
    path = os.fspath(given) if isinstance(given, str | os.PathLike) else ""
    if not isinstance(path, str) or not path or "\0" in path:
        more = ", or a Journal" if name == "journal" else ""
        raise OptionError(f"{name} is {given!r}, expected the path of a file{more}.")
    return path


def as_journal(value: Any) -> Journal | None:
    """Return the argument ``journal=`` as a Journal; None for None."""
    return value if value is None or isinstance(value, Journal) else Journal(value)
