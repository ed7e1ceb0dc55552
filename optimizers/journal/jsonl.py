"""A journal as lines of JSON in a file: appended, locked, and mended if a write was cut short."""

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

# Windows would write other line ends to a file that is not binary.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
#: Where Windows locks: behind the end of any file, since what is locked there cannot be read.
_FAR = 1 << 62
#: What the system says of a lock that another has, of what a file system cannot do, and of a disk
#: without room.
_LOCKED = errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK
_UNSUPPORTED = errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP
_FULL = errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)
#: How a journal begins.
_BEGIN = b'{"journal":1,"created":"'


class JsonLines:
    """The lines of a journal file, open for appending by this process alone.

    Nothing in the file is changed before ``begin``: by then the lines are known to be of this run.
    They are forced to the disk after ``interval`` seconds: 0 for always, inf for never.
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
            #: What it held when it was opened.
            self.lines, self.size = read_lines(path)
            self._next = len(self.lines) + 1
        except BaseException:
            self.forget()
            raise

    def begin(self) -> None:
        """Make ready for writing: cut off what a write that was cut short left at the end."""
        excess = os.fstat(self._file).st_size - self.size
        if excess:
            os.ftruncate(self._file, self.size)
            warn_user(
                f"The journal {self.path} ended in the middle of a record: its last {excess} bytes "
                "were cut off, and that evaluation is made again."
            )

    def append(self, text: str) -> None:
        """Write one or several lines, durable when this returns as far as ``interval`` says."""
        if "\n" in text:
            data = b"".join(map(sealed, text.split("\n"), itertools.count(self._next)))
        else:
            data = sealed(text, self._next)
        try:
            if os.write(self._file, data) != len(data):
                # A disk that has become full takes a part, and refuses the rest with the reason.
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
            # Half a line is not a record.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise not_written(self.path, error) from error
        self.size += len(data)
        self._next += 1 + text.count("\n")

    def _sync(self) -> None:
        """Force what is written to the disk, where the file system can."""
        try:
            os.fsync(self._file)
        except OSError as error:
            self._interval = inf  # what failed once says nothing the next time
            if error.errno not in _UNSUPPORTED:
                raise
            warn_user(
                f"The journal {self.path} cannot be forced to the disk, which its file system "
                f"refuses ({error.strerror}): a failure of the machine may cost the last records."
            )

    def close(self) -> None:
        """Close the file, and with it give the lock back."""
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
            # One that another program wrote out again has spaces; one that was cut short has none.
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
    """Refuse a pipe or a device: reading would wait for ever, and nothing would be kept."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise JournalError(f"The journal {path} is not a regular file: name one, or a new one.")


def not_written(path: str, error: Exception) -> JournalError:
    """Return the error for a record that could not be written."""
    is_full = getattr(error, "errno", None) in _FULL or "is full" in str(error)
    return JournalError(
        f"The journal {path} cannot be written: {error}. The run ended there, with all evaluations "
        f"before this one recorded: {'make room' if is_full else 'mend that'}, and run the same "
        "again to go on."
    )


def not_a_journal(path: str) -> JournalError:
    """Return the error for a file that is something else."""
    return JournalError(
        f"{path} is not a journal of a run, and was left as it is: name another file as journal."
    )


def locked(path: str) -> JournalLockedError:
    """Return the error for a journal that is in use."""
    return JournalLockedError(
        f"The journal {path} is being written by another run: wait for its end, or name another "
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
            f"The journal {path} is not locked, which its file system refuses ({error.strerror}): "
            "a second run on it would not be noticed, so let there be none."
        )


def refused_lock(path: str) -> str:
    """Return the system's words if no file in that folder can have the locks of a database."""
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


# A worker process that was forked would hold the lock after the death of the run's process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
