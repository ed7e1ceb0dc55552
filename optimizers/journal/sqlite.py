"""A journal as an SQLite database: one row for each line, and a view with a column for each field.

SQLite's own lock, kept for as long as the journal is open, is the one against a second process. It
also makes writing quick; the price is that nobody reads the database meanwhile.
"""

import contextlib
import sqlite3
import time
from pathlib import Path

from optimizers.errors import JournalError
from optimizers.journal.jsonl import locked, not_a_journal, not_written

_TABLE = "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, entry TEXT NOT NULL)"
_VIEW = """
CREATE VIEW IF NOT EXISTS evaluations AS SELECT
    json_extract(entry, '$.seq') AS seq, json_extract(entry, '$.kind') AS kind,
    json_extract(entry, '$.f') AS f, json_extract(entry, '$.t') AS seconds,
    json_extract(entry, '$.worker') AS worker, json_extract(entry, '$.error') AS failure,
    json_extract(entry, '$.x') AS x_base64, json_extract(entry, '$.g') AS g_base64
FROM entries WHERE json_extract(entry, '$.seq') IS NOT NULL ORDER BY number
"""


class SqliteLines:
    """The lines of a journal in a database; see :class:`~optimizers.journal.jsonl.JsonLines`."""

    def __init__(self, path: str, interval: float) -> None:
        self.path = path
        self._interval = interval
        self._synced = time.monotonic()
        self._database = _connected(path)
        self._execute = self._database.execute
        try:
            # The mode must be set before the first access: then the log needs no shared memory.
            self._execute("PRAGMA locking_mode = EXCLUSIVE")
            self._execute("PRAGMA page_size = 1024")  # each commit writes whole pages
            self._execute("PRAGMA journal_mode = WAL")
            self._execute(f"PRAGMA synchronous = {'FULL' if interval == 0.0 else 'OFF'}")
            self._execute("BEGIN EXCLUSIVE")
            names = _tables(self._database)
            if names and "entries" not in names:
                raise not_a_journal(path)
            self._execute(_TABLE)
            self._execute(_VIEW)
            self._execute("COMMIT")
            self.lines = _lines(self._database)
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error):
                raise _translated(path, error) from error
            raise

    def append(self, text: str) -> None:
        """Write one or several lines, durable as far as ``interval`` says."""
        try:
            is_due = 0.0 < self._interval < float("inf") and (
                time.monotonic() - self._synced >= self._interval
            )
            if is_due:
                self._execute("PRAGMA synchronous = FULL")
            if "\n" in text:
                self._execute("BEGIN")
                rows = [(line,) for line in text.split("\n")]
                self._database.executemany("INSERT INTO entries (entry) VALUES (?)", rows)
                self._execute("COMMIT")
            else:
                self._execute("INSERT INTO entries (entry) VALUES (?)", (text,))
            if is_due:
                self._execute("PRAGMA synchronous = OFF")
                self._synced = time.monotonic()
        except sqlite3.Error as error:
            if self._database.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._execute("ROLLBACK")
            raise not_written(self.path, error) from error

    def close(self) -> None:
        """Close the database, and with it give the lock back."""
        with contextlib.suppress(sqlite3.Error):
            if self._interval < float("inf"):
                self._execute("PRAGMA synchronous = FULL")
            self._database.close()


def read_rows(path: str) -> list[str]:
    """Return the lines in a database."""
    if not Path(path).is_file():
        raise JournalError(f"The journal {path} cannot be read: there is no such file.")
    database = _connected(path)
    try:
        return _lines(database)
    except sqlite3.Error as error:
        raise _translated(path, error) from error
    finally:
        database.close()


def _connected(path: str) -> sqlite3.Connection:
    try:
        # A stepper's algorithm runs in a thread of its own, never in two at the same time.
        return sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _translated(path, error) from error


def _lines(database: sqlite3.Connection) -> list[str]:
    if "entries" not in _tables(database):
        raise sqlite3.DatabaseError("no table of entries")
    return [row[0] for row in database.execute("SELECT entry FROM entries ORDER BY number")]


def _tables(database: sqlite3.Connection) -> list[str]:
    return [row[0] for row in database.execute("SELECT name FROM sqlite_master")]


def _translated(path: str, error: sqlite3.Error) -> JournalError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what refines it
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return locked(path)
    if code == sqlite3.SQLITE_NOTADB or not code:
        return not_a_journal(path)
    return JournalError(f"The journal {path} cannot be opened: {error}.")
