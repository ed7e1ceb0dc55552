"""A journal as lines of JSON in a file: appended, locked, and mended if a write was cut short."""

import codecs
import contextlib
import os
import time
import weakref

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
            self.lines, self._size = read_lines(path)
        except BaseException:
            self.forget()
            raise

    def begin(self) -> None:
        """Make ready for writing: cut off what a write that was cut short left at the end."""
        excess = os.fstat(self._file).st_size - self._size
        if excess:
            os.ftruncate(self._file, self._size)
            warn_user(
                f"The journal {self.path} ended in the middle of a record: its last {excess} bytes "
                "were cut off, and that evaluation is made again."
            )

    def append(self, text: str) -> None:
        """Write one or several lines, durable when this returns as far as ``interval`` says."""
        data = sealed(text) if "\n" not in text else b"".join(map(sealed, text.split("\n")))
        try:
            if os.write(self._file, data) != len(data):
                # A disk that has become full takes a part, and refuses the rest with the reason.
                os.ftruncate(self._file, self._size)
                rest = data
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            if self._interval < float("inf"):
                now = time.monotonic()
                if now - self._synced >= self._interval:
                    os.fsync(self._file)
                    self._synced = now
        except OSError as error:
            # Half a line is not a record.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise not_written(self.path, error) from error
        self._size += len(data)

    def close(self) -> None:
        """Close the file, and with it give the lock back."""
        if self._file >= 0:
            if self._interval < float("inf"):
                with contextlib.suppress(OSError):
                    os.fsync(self._file)
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
    return JournalError(
        f"The journal {path} cannot be written: {error}. The run ended there, with all evaluations "
        "before this one recorded: make room, and run the same again to go on."
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
        raise locked(path) from error


_OPEN: "weakref.WeakSet[JsonLines]" = weakref.WeakSet()


def _forget_all() -> None:
    for lines in list(_OPEN):
        lines.forget()


# A worker process that was forked would hold the lock after the death of the run's process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
