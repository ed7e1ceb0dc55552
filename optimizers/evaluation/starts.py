"""Which tasks have begun, where an executor does not say whether one is still queued."""

import contextlib
import functools
import itertools
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

#: How many of the latest runs a register knows.
_KEPT = 1000


class Start(NamedTuple):
    """Travels with a task to where it is evaluated."""

    begin: Callable[[int, float], bool]
    number: int
    deadline: float

    def note(self) -> bool:
        """Note that the task begins, and return whether it still may."""
        return self.begin(self.number, self.deadline)


class Starts:
    """The starts of a run's tasks.

    ``begin`` notes one, and returns False if it is too late; ``noted`` returns, when the time is
    up, those that have begun; no others will.
    """

    def __init__(
        self,
        begin: Callable[[int, float], bool],
        noted: Callable[[], set[int]],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._begin = begin
        self._numbers = itertools.count()
        self.noted, self.close = noted, close

    def next(self, deadline: float) -> Start:
        """Return the start of the next task."""
        return Start(self._begin, next(self._numbers), deadline)


def file_starts() -> Starts:
    """Return the starts of tasks in processes of this machine, which has one clock for all."""
    file, path = tempfile.mkstemp(prefix="optimizers-")
    os.close(file)

    def noted() -> set[int]:
        return {number for (number,) in struct.iter_unpack("=q", Path(path).read_bytes())}

    def close() -> None:
        with contextlib.suppress(OSError):  # a process may be writing
            os.unlink(path)

    return Starts(functools.partial(_begin, path), noted, close)


def _begin(path: str, number: int, deadline: float) -> bool:
    """Note a start, and then check the clock: whatever is not noted by then is too late."""
    with contextlib.suppress(FileNotFoundError):  # the run has ended
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, struct.pack("=q", number))
        finally:
            os.close(file)
    return time.monotonic() <= deadline


class Register:
    """Which tasks of runs have begun, for machines with different clocks.

    Once this has been asked for a run, no other of its tasks may begin.
    """

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
