"""Which tasks have begun, where a pool of processes does not tell: it queues some ahead of them."""

import itertools
import os
import struct
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Start(NamedTuple):
    """By when a task has to begin, on the clock of this machine, and where it notes that it has."""

    deadline: float
    path: str
    number: int

    def note(self) -> bool:
        """Note that the task begins, and return whether it still may.

        In this order: what is not noted when the time is up will never begin.
        """
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:  # the run has ended
            return False
        try:
            os.write(file, struct.pack("=q", self.number))
        finally:
            os.close(file)
        return time.monotonic() <= self.deadline


class Starts:
    """The starts of a run's tasks, in a file."""

    def __init__(self) -> None:
        file, self._path = tempfile.mkstemp(prefix="optimizers-")
        os.close(file)
        self._numbers = itertools.count()

    def next(self, deadline: float) -> Start:
        """Return the start of another task."""
        return Start(deadline, self._path, next(self._numbers))

    def noted(self) -> set[int]:
        """Return the numbers of the tasks that have begun."""
        return {number for (number,) in struct.iter_unpack("=q", Path(self._path).read_bytes())}

    def close(self) -> None:
        """Let no other task begin."""
        os.unlink(self._path)
