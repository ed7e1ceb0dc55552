"""A journal as an SQLite database: one row for each line, and a view with a column for each field.

SQLite's own lock, held while the journal is open, keeps other processes out. It also makes writing
fast; the price is that nobody can read the database in the meantime.

Rows go to a log next to the database, PATH-wal, which is fast and survives a crash of the machine,
and from there into the database about once a second; between runs there is no log.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from optimizers.errors import JournalError, warn_user
from optimizers.journal.checksum import sealed
from optimizers.journal.jsonl import check_regular, locked, not_a_journal, not_written, refused_lock

_TABLE = "CREATE TABLE {}entries (number INTEGER PRIMARY KEY, entry TEXT NOT NULL)"
_VIEW = """
CREATE VIEW IF NOT EXISTS evaluations AS SELECT
    json_extract(entry, '$.seq') AS seq, json_extract(entry, '$.kind') AS kind,
    json_extract(entry, '$.f') AS f, json_extract(entry, '$.t') AS seconds,
    json_extract(entry, '$.worker') AS worker, json_extract(entry, '$.error') AS failure,
    json_extract(entry, '$.x') AS x_base64, json_extract(entry, '$.g') AS g_base64,
    json_extract(entry, '$.r') AS r_base64
FROM entries WHERE json_extract(entry, '$.seq') IS NOT NULL ORDER BY number
"""
#: SQLite's application_id of databases without a log between runs; 0 in older ones.
_OURS = int.from_bytes(b"optj")
#: The minimum size of a database: one page.
_LEAST = 512
#: What SQLite raises; for badly damaged databases also a decoding error.
_ERRORS = sqlite3.Error, UnicodeDecodeError
_BUSY = sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED
#: The log is merged into the database after this many seconds or additions.
_SECONDS, _ADDITIONS = 1.0, 1000


class SqliteLines:
    """The lines of a journal in a database; see :class:`~optimizers.journal.jsonl.JsonLines`."""

    size = 0  #: Not known: lines may be in the log.

    def __init__(self, path: str, interval: float) -> None:
        self.path = path
        self._interval = interval
        self._synced, self._merged, self._unmerged = time.monotonic(), float("-inf"), 0
        self._has_begun = False
        if Path(path).exists():
            with looked_at(path):
                pass
            if not os.access(path, os.W_OK):
                raise JournalError(f"The journal {path} cannot be opened: it is read-only.")
        self._database = _connected(path)
        self._execute = self._database.execute
        with self._opening():
            # The mode must be set before the first access: then the log needs no shared memory.
            self._execute("PRAGMA locking_mode = EXCLUSIVE")
            self._execute("PRAGMA page_size = 1024")  # each commit writes whole pages
            self._execute("BEGIN EXCLUSIVE")  # the lock is kept
            self._execute("COMMIT")
            self.lines = _lines(path, self._database)
            self._next = len(self.lines) + 1

    def begin(self) -> None:
        """Prepare for writing."""
        with self._opening():
            self._has_begun = True
            self._execute(f"PRAGMA synchronous = {'FULL' if self._interval == 0.0 else 'OFF'}")
            self._execute("BEGIN")
            self._execute(_TABLE.format("IF NOT EXISTS "))
            self._execute(_VIEW)
            self._execute(f"PRAGMA application_id = {_OURS}")
            self._execute("COMMIT")
            self._execute("PRAGMA journal_mode = WAL")
            self._execute("PRAGMA wal_autocheckpoint = 0")
            self._execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._database.close()
            if isinstance(error, _ERRORS):
                raise _translated(self.path, error) from error
            raise

    def append(self, text: str) -> None:
        """Write one or several lines; they are durable as far as ``interval`` says."""
        now = time.monotonic()
        is_due = 0.0 < self._interval <= now - self._synced
        lines = enumerate(text.split("\n"), self._next)
        rows = [(sealed(line, number)[:-1].decode(),) for number, line in lines]
        try:
            if is_due:
                self._execute("PRAGMA synchronous = FULL")
            if len(rows) > 1:
                self._execute("BEGIN")
                self._database.executemany("INSERT INTO entries (entry) VALUES (?)", rows)
                self._execute("COMMIT")
            else:
                self._execute("INSERT INTO entries (entry) VALUES (?)", rows[0])
            self._next += len(rows)
            self._unmerged += 1
            if now - self._merged >= _SECONDS or self._unmerged >= _ADDITIONS:
                # Truncated: then every page of a leftover log is known not to be merged yet.
                self._execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._merged, self._unmerged = now, 0
            if is_due:
                self._execute("PRAGMA synchronous = OFF")
                self._synced = now
        except sqlite3.Error as error:
            if self._database.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._execute("ROLLBACK")
            raise not_written(self.path, error) from error

    def close(self) -> None:
        """Close the database, which releases the lock."""
        # What cannot be merged, as on a full disk, stays in the log.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._database):
            if self._interval < float("inf"):
                self._execute("PRAGMA synchronous = FULL")
            if self._has_begun:
                self._execute("PRAGMA journal_mode = DELETE")


def read_rows(path: str) -> list[bytes]:
    """Return the lines in a database, without changing it."""
    if not Path(path).exists():
        raise JournalError(f"The journal {path} cannot be read: there is no such file.")
    with looked_at(path) as database:
        return _lines(path, database)


@contextlib.contextmanager
def looked_at(path: str) -> Iterator[sqlite3.Connection]:
    """Open a database that is a journal and looks intact, without changing it."""
    check_regular(path)
    # A file of a few bytes counts as an empty database. Opening it would release others' locks.
    if 0 < os.path.getsize(path) < _LEAST:
        raise not_a_journal(path)
    log = Path(f"{os.path.realpath(path)}-wal")  # next to the file, not next to a link to it
    size = log.stat().st_size if log.exists() else None
    with contextlib.ExitStack() as stack:
        try:
            database = stack.enter_context(contextlib.closing(_connected(path, "?mode=ro")))
            try:
                database.execute("PRAGMA locking_mode = EXCLUSIVE")  # without shared memory
                database.execute("SELECT name FROM sqlite_master").fetchall()
            except sqlite3.OperationalError as error:
                if _code(error) in _BUSY:
                    raise
                # Nobody has it open, but reading it would merge the log that a killed run left.
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                copy = _connected(_copied(path, folder))
                database = stack.enter_context(contextlib.closing(copy))
            if not _is_journal(database):
                raise not_a_journal(path)
            _check_whole(path, database, size)
            yield database
        except _ERRORS as error:
            raise _translated(path, error) from error


def _copied(path: str, folder: str) -> str:
    """Copy a database and its log, and return the path of the copy."""
    copy, real = f"{folder}/copy", os.path.realpath(path)
    try:
        for suffix in ("", "-wal", "-journal"):
            if not suffix or Path(real + suffix).exists():
                shutil.copyfile(real + suffix, copy + suffix)
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be read: {error.strerror}.") from error
    return copy


def _is_journal(database: sqlite3.Connection) -> bool:
    """Return whether a database is a journal, or empty."""
    application = _one(database, "PRAGMA application_id")
    made = dict(database.execute("SELECT name, sql FROM sqlite_master"))
    if application not in (0, _OURS) or (made and made.get("entries") != _TABLE.format("")):
        return False
    first = "SELECT CAST(entry AS BLOB) FROM entries ORDER BY number LIMIT 1"
    header = database.execute(first).fetchone() if made else None
    return header is None or (header[0] or b"").startswith(b'{"journal"')


def _check_whole(path: str, database: sqlite3.Connection, log_size: int | None) -> None:
    """Reject a damaged database; warn about a missing or damaged log."""
    words = _one(database, "PRAGMA quick_check")
    if words != "ok":
        raise JournalError(f"The journal {path} is damaged: SQLite says {words!r}.")
    if _one(database, "PRAGMA application_id") != _OURS or (
        _one(database, "PRAGMA journal_mode") != "wal"
    ):
        return
    if log_size is None:
        warn_user(
            f"The journal {path} was written by a run that was killed, and its last records are "
            f"missing: they were in {path}-wal, which does not exist. Copy both files, or these "
            "evaluations are made again."
        )
        return
    _, found, _ = database.execute("PRAGMA wal_checkpoint").fetchone()
    frames = (log_size - 32) / (24 + _one(database, "PRAGMA page_size"))
    if found < frames:
        warn_user(
            f"The last records of the journal {path} are missing: {path}-wal is damaged, or ended "
            "in the middle of one. These evaluations are made again."
        )


def _connected(path: str, query: str = "") -> sqlite3.Connection:
    try:
        # A stepper's algorithm runs in another thread, but never in two at the same time.
        return sqlite3.connect(
            f"file:{quote(os.fsencode(os.path.abspath(path)), safe='')}{query}",
            timeout=0.0,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
    except sqlite3.Error as error:
        raise _translated(path, error) from error


def _lines(path: str, database: sqlite3.Connection) -> list[bytes]:
    if not _one(database, "SELECT count(*) FROM sqlite_master"):
        return []
    # As bytes: damaged rows need not be text.
    rows = database.execute("SELECT number, CAST(entry AS BLOB) FROM entries ORDER BY number")
    lines = []
    for number, line in rows:
        lines.append(line)
        if number != len(lines):
            raise JournalError(f"The journal {path} is damaged: it has no row {len(lines)}.")
    return lines


def _one(database: sqlite3.Connection, query: str) -> Any:
    return database.execute(query).fetchone()[0]


def _code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    return code


def _translated(path: str, error: Exception) -> JournalError:
    code = _code(error)
    if code in (*_BUSY, sqlite3.SQLITE_IOERR) and (words := refused_lock(path)):
        return JournalError(
            f"The journal {path} cannot be opened: a database needs locks, which its file system "
            f"does not support ({words}). Use another file system, or a name such as run.jsonl for "
            "a new run."
        )
    if code in _BUSY:
        return locked(path)
    if code == sqlite3.SQLITE_NOTADB or not code:
        return not_a_journal(path)
    return JournalError(f"The journal {path} cannot be opened: {error}.")
