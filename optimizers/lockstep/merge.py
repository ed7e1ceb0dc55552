"""One round of many runs: all their questions, as one wave for one evaluator."""

import functools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import BrokenPoolError, EvaluationError
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.wave import Answer, Block, Cost, SharedRetryBudget, Wave
from optimizers.lockstep.member import MemberRequest


class MemberRows(NamedTuple):
    """Rows of a merged block that belong to one run."""

    #: Their rows in the merged block.
    start: int
    stop: int
    #: Their owner, the index of its block, and the first row there.
    owner: int
    number: int
    row: int


class MergedBlock(Block):
    """Points of several runs that go to the same function; shares identify the owners, in order."""

    def __init__(
        self,
        like: Block,
        parts: Iterable[tuple[NDArray[Any], int, int, int]],
        numbers: Sequence[int],
        blocks: Sequence[Sequence[Block]] = (),
    ) -> None:
        #: The number of each owner's run, and the blocks that it asks.
        self._numbers, self._blocks = numbers, blocks
        points, self.shares, end = [], list[MemberRows](), 0
        for own, owner, number, row in parts:
            points.append(own)
            self.shares.append(MemberRows(end, end + len(own), owner, number, row))
            end += len(own)
        super().__init__(np.concatenate(points), like.function, like.kind)
        self._firsts = [share.start for share in self.shares]
        if like.shots is not None:
            self.shots = np.concatenate([self._shots_of(share) for share in self.shares])
        # The number of calls for each row.
        self._starts = np.zeros(end, dtype=np.intp)
        #: The number of replayed values of each owner.
        self.replayed = dict.fromkeys((share.owner for share in self.shares), 0)

    def _shots_of(self, share: MemberRows) -> NDArray[np.int64]:
        asked = self._blocks[share.owner][share.number].shots
        assert asked is not None  # all runs have one objective
        return asked[share.row : share.row + share.stop - share.start]

    @functools.cached_property
    @override
    def owners(self) -> NDArray[np.intp]:
        sizes = np.diff([*self._firsts, len(self.points)])
        return np.repeat([share.owner for share in self.shares], sizes)

    @property
    @override
    def runs(self) -> Iterable[int]:
        return [self._numbers[owner] for owner in self.owners.tolist()]

    @override
    def count(self, part: slice, sign: int) -> None:
        self._starts[part] += sign

    @override
    def is_probe(self, row: int) -> bool:
        (share,) = self.within(slice(row, row + 1))
        return self._blocks[share.owner][share.number].is_probe(share.row)

    @override
    def calls(self, row: int) -> int:
        return int(self._starts[row])

    @override
    def count_replayed(self, part: slice) -> None:
        for owner in self.owners[part].tolist() if self.kind != "jac" else ():
            self.replayed[owner] += 1

    def counts(self) -> list[int]:
        """Return the number of calls for each share."""
        counts: list[int] = np.add.reduceat(self._starts, self._firsts).tolist()
        return counts

    def within(self, part: slice) -> list[MemberRows]:
        """Return the shares of some rows, restricted to these."""
        first = bisect_right(self._firsts, part.start) - 1
        return [
            MemberRows(max(start, part.start), min(stop, part.stop), owner, number,
                  row + max(part.start - start, 0))
            for start, stop, owner, number, row
            in self.shares[first : bisect_left(self._firsts, part.stop)]
        ]  # fmt: skip

    def taken(self, share: MemberRows) -> int:
        """Return how many shots the calls for a share took."""
        rows = slice(share.start, share.stop)
        return 0 if self.shots is None else int(self._starts[rows] @ self.shots[rows])

    def of(self, shares: Iterable[MemberRows]) -> "MergedBlock":
        """Return some of the rows."""
        rows = ((self.points[share.start : share.stop], *share[2:]) for share in shares)
        return MergedBlock(self, rows, self._numbers, self._blocks)


def merged(requests: Sequence[MemberRequest], owners: Iterable[int]) -> list[MergedBlock]:
    """Merge the blocks of some of the runs, by function and type."""
    kinds: dict[Any, list[tuple[NDArray[Any], int, int, int]]] = {}
    likes: dict[Any, Block] = {}
    for owner in owners:
        for number, block in enumerate(requests[owner].wave.blocks):
            if len(block.points):
                kind = id(block.function), block.kind, block.points.dtype
                likes[kind] = block
                kinds.setdefault(kind, []).append((block.points, owner, number, 0))
    numbers = [request.run for request in requests]
    blocks = [request.wave.blocks for request in requests]
    return [MergedBlock(likes[kind], parts, numbers, blocks) for kind, parts in kinds.items()]


class Round:
    """The questions of many runs, evaluated as far as time and the retry budget allow.

    Each request gets its answers, however the evaluation ends.
    """

    def __init__(
        self, evaluator: Evaluator, requests: Sequence[MemberRequest], left: float, deadline: float
    ) -> None:
        self._evaluator, self._requests, self._deadline = evaluator, requests, deadline
        each = [one.wave.retries.left for one in requests]
        self._retries = SharedRetryBudget(each, Cost(left, math.inf))
        #: The number of evaluations of the objective that were started.
        self.started = 0

    def evaluate(self) -> None:
        """Evaluate the questions."""
        everybody = range(len(self._requests))
        # If each point is a separate call in this thread, the runs take turns.
        turns = [[one] for one in everybody] if self._evaluator.facts.is_serial else [everybody]
        for owners in turns:
            self._take(merged(self._requests, owners))

    def _take(self, blocks: Sequence[MergedBlock]) -> None:
        """Pass answers to the requests; repeat run by run if a call for several runs fails."""
        again: list[MergedBlock] = []
        wave = Wave(blocks, self._retries, self._deadline)
        answers = self._evaluator.answers(wave)
        try:
            for block, part, answer in answers:
                assert isinstance(block, MergedBlock)
                shares = block.within(part)
                is_one = shares[0].owner == shares[-1].owner or isinstance(answer, BrokenPoolError)
                if isinstance(answer, Exception) and not is_one:
                    # It is not known which run caused the failure.
                    again += [block.of(own) for _, own in groupby(shares, lambda one: one.owner)]
                elif self._put(shares, part.start, answer) and self._evaluator.facts.is_serial:
                    break
        finally:
            answers.close()
            self._put_late(wave)
            self._count(blocks)
        for block in again:
            if self._retries.grants(block, slice(0, len(block.points))):
                self._take([block])
            else:
                words = "A call for several runs failed, and no budget is left to repeat it."
                self._put(block.shares, 0, EvaluationError(words))

    def _put(self, shares: Sequence[MemberRows], first: int, answer: Answer) -> bool:
        """Pass answers to requests, and return whether the rest of the last one is not needed."""
        for start, stop, owner, number, row in shares:
            own = answer
            if not isinstance(answer, BaseException):
                own = answer[start - first : stop - first]
            request = self._requests[owner]
            request.put(number, slice(row, row + stop - start), own)
        return request.is_over

    def _put_late(self, wave: Wave) -> None:
        """Pass answers to requests that arrived while the wave was abandoned."""
        late = {
            point.tobytes(): values[i : i + 1]
            for points, values in wave.late
            for i, point in enumerate(points)
        }
        for block in wave.blocks if late else ():
            assert isinstance(block, MergedBlock)
            if block.kind != "fun" or not block.is_real:
                continue
            for start, stop, owner, number, first in block.shares:
                request = self._requests[owner]
                for row, point in enumerate(block.points[start:stop], first):
                    value = late.get(point.tobytes())
                    if value is not None and not request.has(number, row):
                        request.put(number, slice(row, row + 1), value)

    def _count(self, blocks: Sequence[MergedBlock]) -> None:
        for request in self._requests:
            request.precision = self._evaluator.facts.precision
        for block in blocks:
            counts = block.counts()
            for share, calls in zip(block.shares, counts, strict=True):
                self._requests[share.owner].calls[share.number] += calls
                self._requests[share.owner].shots += block.taken(share)
            self.started += 0 if block.kind == "jac" else sum(counts)
            for owner, count in block.replayed.items():
                self._requests[owner].replayed += count
