"""A journal as an SQLite database: one row for each line, and a view with a column for each field.

SQLite's own lock, kept for as long as the journal is open, is the one against a second process. It
also makes writing quick; the price is that nobody reads the database meanwhile.

Rows go to a log beside the database, PATH-wal, which is quick and withstands a failure of the
machine, and from there into the database about once a second; between runs there is no log.
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
#: SQLite's application_id of the databases that have no log between runs; 0 in older ones.
_OURS = int.from_bytes(b"optj")
#: The least size of a database: that of a page.
_LEAST = 512
#: What SQLite raises; also of a database so damaged that its words are not text.
_ERRORS = sqlite3.Error, UnicodeDecodeError
_BUSY = sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED
#: How often the log goes into the database: after so many seconds or additions.
_SECONDS, _ADDITIONS = 1.0, 1000


class SqliteLines:
    """The lines of a journal in a database; see :class:`~optimizers.journal.jsonl.JsonLines`."""

    size = 0  #: Not known: what is written may be in the log.

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
            self._execute("BEGIN EXCLUSIVE")  # and the lock is kept
            self._execute("COMMIT")
            self.lines = _lines(path, self._database)
            self._next = len(self.lines) + 1

    def begin(self) -> None:
        """Make ready for writing."""
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
        """Write one or several lines, durable as far as ``interval`` says."""
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
                # To nothing: then each page of a log that is left behind was not yet merged.
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
        """Close the database, and with it give the lock back."""
        # What cannot be merged, as on a full disk, is kept in the log.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._database):
            if self._interval < float("inf"):
                self._execute("PRAGMA synchronous = FULL")
            if self._has_begun:
                self._execute("PRAGMA journal_mode = DELETE")


def read_rows(path: str) -> list[bytes]:
    """Return the lines in a database, which is not changed."""
    if not Path(path).exists():
        raise JournalError(f"The journal {path} cannot be read: there is no such file.")
    with looked_at(path) as database:
        return _lines(path, database)


@contextlib.contextmanager
def looked_at(path: str) -> Iterator[sqlite3.Connection]:
    """Open a database that is a journal, whole as far as can be seen, and change nothing."""
    check_regular(path)
    # A file of a few bytes counts as an empty database. To open it would give up others' locks.
    if 0 < os.path.getsize(path) < _LEAST:
        raise not_a_journal(path)
    log = Path(f"{os.path.realpath(path)}-wal")  # beside the file, not beside a link to it
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
                # Nobody has it open, but to read it is to merge what a killed run left beside it.
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
    """Copy a database and what is beside it, and return the path of the copy."""
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
    """Refuse a damaged database; warn of a log that is not there, or not whole."""
    words = _one(database, "PRAGMA quick_check")
    if words != "ok":
        raise JournalError(f"The journal {path} is damaged: SQLite says {words!r}.")
    if _one(database, "PRAGMA application_id") != _OURS or (
        _one(database, "PRAGMA journal_mode") != "wal"
    ):
        return
    if log_size is None:
        warn_user(
            f"The journal {path} is that of a run that was killed, without its last records: they "
            f"are in {path}-wal, which is not there. Copy both files, or these evaluations are "
            "made again."
        )
        return
    _, found, _ = database.execute("PRAGMA wal_checkpoint").fetchone()
    frames = (log_size - 32) / (24 + _one(database, "PRAGMA page_size"))
    if found < frames:
        warn_user(
            f"The journal {path} lacks its last records: {path}-wal is damaged, or ended in the "
            "middle of one. These evaluations are made again."
        )


def _connected(path: str, query: str = "") -> sqlite3.Connection:
    try:
        # A stepper's algorithm runs in a thread of its own, never in two at the same time.
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
    # As bytes: what is damaged need not be text.
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
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what refines it
    return code


def _translated(path: str, error: Exception) -> JournalError:
    code = _code(error)
    if code in (*_BUSY, sqlite3.SQLITE_IOERR) and (words := refused_lock(path)):
        return JournalError(
            f"The journal {path} cannot be opened: a database needs locks, which its file system "
            f"refuses ({words}). Use another file system, or lines, as run.jsonl, for a new run."
        )
    if code in _BUSY:
        return locked(path)
    if code == sqlite3.SQLITE_NOTADB or not code:
        return not_a_journal(path)
    return JournalError(f"The journal {path} cannot be opened: {error}.")
