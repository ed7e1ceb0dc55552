"""From the blocks of a wave to the tasks of a pool."""

import math
import statistics
from collections import deque
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from optimizers.evaluation.executors import Pool
from optimizers.evaluation.wave import Block, Wave

#: How many seconds a task of several points should take at most.
_SHORT = 0.05


@dataclass(eq=False)
class PoolTask:
    """Rows of a block that are evaluated together."""

    block: Block
    part: slice
    began: float = 0.0
    #: How many of its evaluations failed, and how many workers it killed.
    failures: int = 0
    deaths: int = 0
    is_hedged: bool = False
    has_payload: bool = False

    @property
    def size(self) -> int:
        """The number of its points."""
        return int(self.part.stop - self.part.start)

    @property
    def points(self) -> NDArray[Any]:
        """Its points, shape (k, n)."""
        return self.block.points[self.part]


class PoolTasks:
    """The tasks of a wave that no worker has yet."""

    def __init__(self, pool: Pool, wave: Wave) -> None:
        self._pool, self._wave = pool, wave
        self._count = sum(len(block.points) for block in wave.blocks)
        #: What is not in a task yet: the rest of a block, and the blocks after it.
        self.waiting = deque((block, 0) for block in wave.blocks if len(block.points))
        self.again: deque[PoolTask] = deque()
        #: How long each point took, and whether the wave's first has come.
        self.times: list[float] = []
        self.has_first = False
        self._chunk: int | None = None

    def take(self) -> PoolTask | None:
        """Return the next task; None if there is none."""
        if self.again:
            return self.again.popleft()
        if not self.waiting:
            return None
        block, start = self.waiting.popleft()
        end = min(start + self._size(block, start), len(block.points))
        if end < len(block.points):
            self.waiting.appendleft((block, end))
        return PoolTask(block, slice(start, end))

    def _size(self, block: Block, start: int) -> int:
        """Return the number of points of the next task, which starts at a row of a block."""
        pool = self._pool
        form = pool.way(block)[1]
        if form == "raw":
            return 1
        if form == "rows":
            return math.ceil(len(block.points) / min(pool.workers.width, 1e9))
        if pool.size is not None and pool.size > 1:
            return pool.size
        if pool.size is None:  # a stack: enough to fill the workers
            self._chunk = self._chunk or self._fair(min(pool.workers.width, 1e9))
            return self._chunk
        is_timed = pool.eval_timeout < math.inf  # a hanging task hides its point
        if is_timed or not self.has_first or pool.workers.width >= self._count:
            return 1
        # The value has arrived and the gradient is needed: the rest goes in one round. But a task
        # cannot be taken back half-way, so it is kept short.
        self._chunk = self._chunk or math.ceil((len(block.points) - start) / pool.workers.width)
        quick = _SHORT / max(statistics.median(self.times), 1e-9) if self.times else 1.0
        return max(1, min(self._chunk, int(quick)))

    def _fair(self, width: float) -> int:
        """Return the size of tasks that fill the workers in one round."""
        sizes = [len(block.points) for block in self._wave.blocks if block.function is None]
        chunk = max(1, math.ceil(self._count / width))
        # Each block's last task may be smaller.
        while chunk < max(sizes) and sum(math.ceil(size / chunk) for size in sizes) > width:
            chunk += 1
        return chunk
