"""A journal as lines of JSON in a file: appended, locked, and repaired after a partial write."""

import codecs
import contextlib
import errno
import itertools
import os
import tempfile
import time
import weakref
from math import inf

from optimizers.errors import JournalError, JournalLockedError, warn_user
from optimizers.journal.checksum import sealed

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Windows would change the line ends of a text file.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
#: The locked byte on Windows: after the end of any file, since locked bytes cannot be read.
_FAR = 1 << 62
#: Error numbers of a lock held by another process, of an unsupported operation, and of a full disk.
_LOCKED = errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK
_UNSUPPORTED = errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP
_FULL = errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)
#: How a journal begins.
_BEGIN = b'{"journal":1,"created":"'


class JsonLines:
    """The lines of a journal file, open for appending by this process only.

    The file is not changed before ``begin``, when the lines are known to belong to this run. They
    are forced to the disk after ``interval`` seconds: 0 means always, inf never.
    """

    def __init__(self, path: str, interval: float) -> None:
        self.path = path
        self._interval = interval
        self._synced = time.monotonic()
        check_regular(path)
        try:
            self._file = os.open(path, _FLAGS, 0o666)
        except OSError as error:
            raise JournalError(f"The journal {path} cannot be opened: {error.strerror}.") from error
        _OPEN.add(self)
        try:
            _lock(self._file, path)
            #: Its lines when it was opened.
            self.lines, self.size = read_lines(path)
            self._next = len(self.lines) + 1
        except BaseException:
            self.forget()
            raise

    def begin(self) -> None:
        """Prepare for writing: remove a partial record at the end."""
        excess = os.fstat(self._file).st_size - self.size
        if excess:
            os.ftruncate(self._file, self.size)
            warn_user(
                f"The journal {self.path} ended in the middle of a record: its last {excess} bytes "
                "were removed, and that evaluation is made again."
            )

    def append(self, text: str) -> None:
        """Write one or several lines; they are durable on return as far as ``interval`` says."""
        if "\n" in text:
            data = b"".join(map(sealed, text.split("\n"), itertools.count(self._next)))
        else:
            data = sealed(text, self._next)
        try:
            if os.write(self._file, data) != len(data):
                # A full disk accepts a part, and rejects the rest with the reason.
                os.ftruncate(self._file, self.size)
                rest = data
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            if self._interval < inf:
                now = time.monotonic()
                if now - self._synced >= self._interval:
                    self._sync()
                    self._synced = now
        except OSError as error:
            # A partial line is not a record.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise not_written(self.path, error) from error
        self.size += len(data)
        self._next += 1 + text.count("\n")

    def _sync(self) -> None:
        """Force written lines to the disk, if the file system supports it."""
        try:
            os.fsync(self._file)
        except OSError as error:
            self._interval = inf  # after a failure, success means nothing
            if error.errno not in _UNSUPPORTED:
                raise
            warn_user(
                f"The journal {self.path} cannot be forced to the disk, which its file system "
                f"refuses ({error.strerror}): a failure of the machine may cost the last records."
            )

    def close(self) -> None:
        """Close the file, which releases the lock."""
        if self._file >= 0:
            try:
                if self._interval < inf:
                    self._sync()
            except OSError as error:
                warn_user(
                    f"The last records of the journal {self.path} may not be on the disk: "
                    f"{error.strerror}."
                )
            finally:
                self.forget()

    def forget(self) -> None:
        """Close the file without touching it."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def read_lines(path: str) -> tuple[list[bytes], int]:
    """Return the whole lines of a file, and how many bytes they take."""
    check_regular(path)
    try:
        with open(path, "rb") as file:
            head = file.readline()
            # A line rewritten by another program has spaces; a partial one has none.
            known = _BEGIN[:10] if head.endswith(b"\n") else _BEGIN
            start = head.removeprefix(codecs.BOM_UTF8)
            is_ours = start.startswith(known[: len(start)])
            data = head + file.read() if is_ours else b""
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be read: {error.strerror}.") from error
    if not is_ours:
        raise not_a_journal(path)
    size = data.rfind(b"\n") + 1
    return data[:size].removeprefix(codecs.BOM_UTF8).split(b"\n")[:-1], size


def check_regular(path: str) -> None:
    """Reject a pipe or a device: reading would block forever, and nothing would be kept."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise JournalError(
            f"The journal {path} is not a regular file: name a regular or a new file."
        )


def not_written(path: str, error: Exception) -> JournalError:
    """Return the error for a record that could not be written."""
    is_full = getattr(error, "errno", None) in _FULL or "is full" in str(error)
    return JournalError(
        f"The journal {path} cannot be written: {error}. The run ended there, with all evaluations "
        f"before this one recorded: {'free some space' if is_full else 'fix the cause'}, and run "
        "the same again to resume."
    )


def not_a_journal(path: str) -> JournalError:
    """Return the error for a file that is not a journal."""
    return JournalError(
        f"{path} is not a journal of a run, and was not changed: name another file as journal."
    )


def locked(path: str) -> JournalLockedError:
    """Return the error for a journal that is in use."""
    return JournalLockedError(
        f"The journal {path} is being written by another run: wait until it ends, or name another "
        "file as journal."
    )


def _lock(file: int, path: str) -> None:
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            os.lseek(file, _FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError as error:
        if error.errno in _LOCKED:
            raise locked(path) from error
        warn_user(
            f"The journal {path} is not locked, since its file system does not support locks "
            f"({error.strerror}): make sure that no second run uses it."
        )


def refused_lock(path: str) -> str:
    """Return the system's message if files in that folder cannot have a database's locks."""
    words = ""
    folder = os.path.dirname(os.path.abspath(path))
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        try:
            if fcntl is not None:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            words = str(error.strerror)
    return words


_OPEN: "weakref.WeakSet[JsonLines]" = weakref.WeakSet()


def _forget_all() -> None:
    for lines in list(_OPEN):
        lines.forget()


# A forked worker process would hold the lock after the run's process died.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
