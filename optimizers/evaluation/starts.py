"""Which tasks have begun, where an executor does not tell that one waits in its queue."""

import contextlib
import itertools
import os
import struct
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

#: Of how many of the latest runs a register knows.
_KEPT = 1000


class Start(Protocol):
    """Goes with a task."""

    @property
    def number(self) -> int:
        """Tells the task from the others of its run."""
        ...

    def note(self) -> bool:
        """Note that the task begins, and return whether it still may."""
        ...


class Starts(Protocol):
    """The starts of a run's tasks."""

    def next(self, deadline: float) -> Start:
        """Return the start of another task, that has to be before a time of this machine's."""
        ...

    def noted(self) -> set[int]:
        """Return which tasks have begun when the time is up: no other will."""
        ...

    def close(self) -> None:
        """Give back what is held; there are no further questions."""
        ...


class FileStart(NamedTuple):
    """The start of a task in a process of this machine, noted in a file."""

    deadline: float
    path: str
    number: int

    def note(self) -> bool:
        """Note that the task begins, and return whether it still may.

        In this order: what is not noted when the time is up will find that it is.
        """
        with contextlib.suppress(FileNotFoundError):  # the run has ended, and asks no more
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(file, struct.pack("=q", self.number))
            finally:
                os.close(file)
        return time.monotonic() <= self.deadline


class FileStarts:
    """The starts of tasks in processes of this machine."""

    def __init__(self) -> None:
        file, self._path = tempfile.mkstemp(prefix="optimizers-")
        os.close(file)
        self._numbers = itertools.count()

    def next(self, deadline: float) -> FileStart:
        """Return the start of another task."""
        return FileStart(deadline, self._path, next(self._numbers))

    def noted(self) -> set[int]:
        """Return which tasks have begun."""
        return {number for (number,) in struct.iter_unpack("=q", Path(self._path).read_bytes())}

    def close(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):  # a process is about to note something
            os.unlink(self._path)


class Register:
    """Which tasks of runs have begun; once that is told of a run, no other of its tasks may."""

    def __init__(self) -> None:
        self._runs: dict[str, set[int] | frozenset[int]] = {}
        self._lock = threading.Lock()

    def note(self, run: str, number: int) -> bool:
        """Note that a task begins, and return whether it still may."""
        with self._lock:
            begun = self._runs.setdefault(run, set())
            while len(self._runs) > _KEPT:
                self._runs.pop(next(iter(self._runs)))
            if isinstance(begun, frozenset):
                return False
            begun.add(number)
            return True

    def close(self, run: str) -> set[int]:
        """Return which tasks of a run have begun."""
        with self._lock:
            self._runs[run] = begun = frozenset(self._runs.get(run, ()))
            return set(begun)


class ClusterStarts:
    """The starts of tasks on a cluster, whose machines have clocks of their own."""

    def __init__(
        self, start: Callable[[str, int], Start], close: Callable[[str], set[int]]
    ) -> None:
        self._start, self._close = start, close
        self._run = uuid.uuid4().hex
        self._numbers = itertools.count()

    def next(self, deadline: float) -> Start:
        """Return the start of another task."""
        return self._start(self._run, next(self._numbers))

    def noted(self) -> set[int]:
        """Return which tasks have begun; no other will."""
        return self._close(self._run)

    def close(self) -> None:
        """Do nothing: what a cluster has not begun at the end of a run, it is told to forget."""
