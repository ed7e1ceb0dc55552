"""One round of many runs: all that they ask, as one wave to one evaluator."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import BrokenPoolError, EvaluationError
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.wave import Answer, Block, SharedRetryBudget, Wave
from optimizers.lockstep.member import MemberRequest

#: In which block of its owner, and in which row of that, each row of a merged block is asked.
Places: TypeAlias = list[tuple[int, int]]


class Merge:
    """Evaluates what many runs ask.

    Where each point is a call of its own in this thread, the runs take turns. Otherwise all
    points go in one wave.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        #: How many evaluations of the objective were started.
        self.started = 0

    def evaluate(self, requests: Sequence[MemberRequest], total: float, deadline: float) -> None:
        """Evaluate what is asked, as far as time allows.

        Parameters
        ----------
        requests : sequence of MemberRequest
            What is asked, one of each run. Each gets its answers, whatever ends the evaluation.
        total : float
            How many evaluations may be made of all, in all rounds.
        deadline : float
            The time of ``time.monotonic`` after which nothing is started.

        Raises
        ------
        BaseException
            What ends the evaluation, other than a failure at a point.
        """
        each = [request.wave.retries.left for request in requests]
        left = total - self.started - sum(cost(request) for request in requests)
        merged = _MergedWave(self._evaluator, requests, SharedRetryBudget(each, left), deadline)
        try:
            if self._evaluator.facts.is_serial:
                for owner in range(len(requests)):
                    merged.take(merge(requests, [owner]))
            else:
                merged.take(merge(requests, range(len(requests))))
        finally:
            self.started += merged.started


def cost(request: MemberRequest) -> int:
    """Return how many evaluations of the objective a request takes."""
    return sum(block.cost for block in request.wave.blocks)


class MergedBlock(Block):
    """Points of several runs that go to the same function.

    ``owners`` tells whose each row is, ``places`` in which block of its owner and in which row of
    that it is asked.
    """

    def __init__(
        self, like: Block, points: NDArray[Any], owners: NDArray[np.intp], places: Places
    ) -> None:
        super().__init__(points, like.function, like.kind)
        self._owners = owners
        self.places = places
        #: How often the function was called at each row.
        self.starts = np.zeros(len(points), dtype=np.intp)

    @property
    @override
    def owners(self) -> NDArray[np.intp]:
        return self._owners

    @override
    def count(self, part: slice, sign: int) -> None:
        self.starts[part] += sign

    def of(self, rows: NDArray[np.intp]) -> "MergedBlock":
        """Return some of the rows."""
        places = [self.places[row] for row in rows]
        points, owners = self.points[rows], self._owners[rows]
        return MergedBlock(self, points, owners, places)


def merge(requests: Sequence[MemberRequest], owners: Sequence[int]) -> list[MergedBlock]:
    """Merge the blocks that some of the runs ask, by their function and their type."""
    kinds: dict[Any, list[tuple[int, int, Block]]] = {}
    for owner in owners:
        for number, block in enumerate(requests[owner].wave.blocks):
            kind = id(block.function), block.kind, block.points.dtype
            kinds.setdefault(kind, []).append((owner, number, block))
    return [
        MergedBlock(
            same[0][2],
            np.concatenate([block.points for _, _, block in same]),
            np.repeat([owner for owner, _, _ in same], [len(block.points) for _, _, block in same]),
            [(number, row) for _, number, block in same for row in range(len(block.points))],
        )
        for same in kinds.values()
    ]


class _MergedWave:
    """What some requests ask, under way."""

    def __init__(
        self,
        evaluator: Evaluator,
        requests: Sequence[MemberRequest],
        retries: SharedRetryBudget,
        deadline: float,
    ) -> None:
        self._evaluator, self._requests = evaluator, requests
        self._retries, self._deadline = retries, deadline
        #: How many evaluations of the objective were started.
        self.started = 0

    def take(self, blocks: Sequence[MergedBlock]) -> None:
        """Let the requests have what comes; ask run by run where a call of several fails."""
        blocks = [block for block in blocks if len(block.points)]
        again: list[MergedBlock] = []
        wave = Wave(blocks, self._retries, self._deadline)
        answers = self._evaluator.answers(wave)
        try:
            for block, part, answer in answers:
                assert isinstance(block, MergedBlock)
                owners = block.owners[part]
                is_one = owners[0] == owners[-1] or isinstance(answer, BrokenPoolError)
                if isinstance(answer, Exception) and not is_one:
                    # Which of the runs is to blame, nobody knows.
                    rows = np.arange(part.start, part.stop)
                    again += [block.of(rows[owners == owner]) for owner in dict.fromkeys(owners)]
                elif self._put(block, part, answer) and self._evaluator.facts.is_serial:
                    break
        finally:
            answers.close()
            self._put_late(wave)
            self._count(blocks)
        for own in again:
            whole = slice(0, len(own.points))
            if self._retries.grants(own, whole):
                self.take([own])
            else:
                words = "A call with points of several runs failed, and no budget to repeat it."
                self._put(own, whole, EvaluationError(words))

    def _put(self, block: MergedBlock, part: slice, answer: Answer) -> bool:
        """Let requests have answers, and return whether the rest of the last's is not wanted."""
        for i, row in enumerate(range(part.start, part.stop)):
            found = answer if isinstance(answer, BaseException) else answer[i]
            request = self._requests[int(block.owners[row])]
            request.put(*block.places[row], found)
        return request.is_over

    def _put_late(self, wave: Wave) -> None:
        """Let requests have what arrived while the wave was left."""
        late = {
            point.tobytes(): value
            for points, values in wave.late
            for point, value in zip(points, values, strict=True)
        }
        for block in wave.blocks if late else ():
            assert isinstance(block, MergedBlock)
            for row in range(len(block.points) if block.kind == "fun" and block.is_real else 0):
                request = self._requests[int(block.owners[row])]
                value = late.get(block.points[row].tobytes())
                if value is not None and block.places[row] not in request.answers:
                    request.put(*block.places[row], value)

    def _count(self, blocks: Sequence[MergedBlock]) -> None:
        for request in self._requests:
            request.precision = self._evaluator.facts.precision
        for block in blocks:
            for row in np.flatnonzero(block.starts):
                calls = int(block.starts[row])
                self._requests[int(block.owners[row])].calls[block.places[row][0]] += calls
            self.started += int(block.starts.sum()) if block.cost else 0
