"""One round of many runs: all that they ask, as one wave to one evaluator."""

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import BrokenPoolError, EvaluationError
from optimizers.evaluation.accounts import SharedAccount
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.wave import Answer, Block
from optimizers.lockstep.member import MemberRequest


class Merge:
    """Evaluates what many runs ask.

    Where each point is a call of its own in this thread, the runs take turns. Otherwise all
    points go in one wave.

    Parameters
    ----------
    evaluator : Evaluator
        Calls the objective.
    both : callable, optional
        A function of which each call is an evaluation too: what returns value and gradient.
    """

    def __init__(self, evaluator: Evaluator, both: Callable[..., Any] | None = None) -> None:
        self._evaluator = evaluator
        self._both = both
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
        costs = [self.cost(request) for request in requests]
        spares = [request.spare for request in requests]
        account = SharedAccount(spares, total - self.started - sum(costs))
        wave = _Wave(self._evaluator, requests, account, deadline)
        try:
            if self._evaluator.is_serial:
                for owner in range(len(requests)):
                    wave.take(merged(requests, [owner], self._both))
            else:
                wave.take(merged(requests, range(len(requests)), self._both))
        finally:
            self.started += wave.started

    def cost(self, request: MemberRequest) -> int:
        """Return how many evaluations of the objective a request takes."""
        return sum(
            len(block.points)
            for block in request.blocks
            if block.gradient is None or block.gradient is self._both
        )


class Share(NamedTuple):
    """Rows of a merged block that are of one run."""

    #: Where they are there.
    start: int
    stop: int
    #: Whose they are, in which of its blocks, and from which row of that on.
    owner: int
    number: int
    row: int


class MergedBlock(Block):
    """Points of several runs that go to the same function.

    Parameters
    ----------
    points : ndarray of float64 or complex128, shape (k, n)
        The points.
    gradient : callable, optional
        The function, if it is not the objective.
    shares : list of Share
        Whose they are, in order; all rows are somebody's.
    is_counted : bool
        Whether a call is an evaluation of the objective.
    """

    def __init__(
        self,
        points: NDArray[Any],
        gradient: Callable[..., Any] | None,
        shares: list[Share],
        is_counted: bool,
    ) -> None:
        super().__init__(points, gradient)
        self.shares = shares
        self._is_counted = is_counted
        self.firsts = [share.start for share in shares]
        # How often the function was called at each row.
        self._starts = np.zeros(len(points), dtype=np.intp)

    @functools.cached_property
    @override
    def owners(self) -> NDArray[np.intp]:
        sizes = np.diff([*self.firsts, len(self.points)])
        return np.repeat([share.owner for share in self.shares], sizes)

    @property
    @override
    def cost(self) -> int:
        return len(self.points) if self._is_counted else 0

    @override
    def count(self, part: slice, sign: int) -> None:
        self._starts[part] += sign

    def counts(self) -> list[int]:
        """Return how many calls there were for each share."""
        counts: list[int] = np.add.reduceat(self._starts, self.firsts).tolist()
        return counts

    def within(self, part: slice) -> list[Share]:
        """Return the shares of some rows, cut to these."""
        first = bisect_right(self.firsts, part.start) - 1
        end = bisect_left(self.firsts, part.stop)
        shares = self.shares[first:end]
        if shares[0].start < part.start or part.stop < shares[-1].stop:
            shares = [
                Share(
                    max(start, part.start),
                    min(stop, part.stop),
                    owner,
                    number,
                    row + max(part.start - start, 0),
                )
                for start, stop, owner, number, row in shares
            ]
        return shares

    def of(self, shares: Sequence[Share]) -> "MergedBlock":
        """Return some of the rows."""
        points = np.concatenate([self.points[share.start : share.stop] for share in shares])
        return MergedBlock(points, self.gradient, _placed(shares), self._is_counted)


def _placed(shares: Iterable[Share]) -> list[Share]:
    """Return shares one behind the other."""
    found, end = [], 0
    for start, stop, owner, number, row in shares:
        found.append(Share(end, end + stop - start, owner, number, row))
        end += stop - start
    return found


def merged(
    requests: Sequence[MemberRequest], owners: Sequence[int], both: Callable[..., Any] | None = None
) -> list[MergedBlock]:
    """Merge the blocks that some of the runs ask, by their function and their type."""
    kinds: dict[Any, list[tuple[Share, Block]]] = {}
    for owner in owners:
        for number, block in enumerate(requests[owner].blocks):
            if len(block.points):
                share = Share(0, len(block.points), owner, number, 0)
                kinds.setdefault((id(block.gradient), block.points.dtype), []).append(
                    (share, block)
                )
    found = []
    for same in kinds.values():
        gradient = same[0][1].gradient
        points = np.concatenate([block.points for _, block in same])
        shares = _placed(share for share, _ in same)
        found.append(MergedBlock(points, gradient, shares, gradient is None or gradient is both))
    return found


class _Wave:
    """What some requests ask, under way.

    Parameters
    ----------
    evaluator : Evaluator
        Calls the functions.
    requests : sequence of MemberRequest
        The requests.
    account : SharedAccount
        What may be spent on rows that fail.
    deadline : float
        The time after which nothing is started.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        requests: Sequence[MemberRequest],
        account: SharedAccount,
        deadline: float,
    ) -> None:
        self._evaluator, self._requests = evaluator, requests
        self._account, self._deadline = account, deadline
        #: How many evaluations of the objective were started.
        self.started = 0

    def take(self, blocks: Sequence[MergedBlock]) -> None:
        """Let the requests have what comes; ask run by run where a call of several fails."""
        again: list[MergedBlock] = []
        answers = self._evaluator.answers(blocks, self._account, self._deadline)
        try:
            for block, part, answer in answers:
                assert isinstance(block, MergedBlock)
                shares = block.within(part)
                is_one = shares[0].owner == shares[-1].owner or isinstance(answer, BrokenPoolError)
                if isinstance(answer, Exception) and not is_one:
                    # Which of the runs is to blame, nobody knows.
                    by_owner: dict[int, list[Share]] = {}
                    for share in shares:
                        by_owner.setdefault(share.owner, []).append(share)
                    again += [block.of(own) for own in by_owner.values()]
                elif self._put(shares, part.start, answer) and self._evaluator.is_serial:
                    break
        finally:
            answers.close()
            self._put_late(blocks)
            self._count(blocks)
        for own in again:
            whole = slice(0, len(own.points))
            if self._account.grants(own, whole):
                self.take([own])
            else:
                words = "A call with points of several runs failed, and no budget to repeat it."
                self._put(own.shares, 0, EvaluationError(words))

    def _put(self, shares: Sequence[Share], first: int, answer: Answer) -> bool:
        """Let requests have answers, and return whether the rest of the last's is not wanted."""
        for start, stop, owner, number, row in shares:
            own = (
                answer
                if isinstance(answer, BaseException)
                else answer[start - first : stop - first]
            )
            request = self._requests[owner]
            request.put(number, slice(row, row + stop - start), own)
        return request.is_over

    def _put_late(self, blocks: Sequence[MergedBlock]) -> None:
        """Let requests have what arrived while the wave was left."""
        late = {
            point.tobytes(): values[i : i + 1]
            for points, values in self._evaluator.late()
            for i, point in enumerate(points)
        }
        for block in blocks if late else ():
            for start, stop, owner, number, first in block.shares if block.is_real else ():
                request = self._requests[owner]
                for row, point in enumerate(block.points[start:stop], first):
                    value = late.get(point.tobytes())
                    if value is not None and not request.has(number, row):
                        request.put(number, slice(row, row + 1), value)

    def _count(self, blocks: Sequence[MergedBlock]) -> None:
        for block in blocks:
            is_real, is_counted = block.gradient is None, block.cost > 0
            for share, count in zip(block.shares, block.counts(), strict=True):
                request = self._requests[share.owner]
                request.precision = self._evaluator.precision
                if is_real:
                    request.started += count
                else:
                    request.gradients += count
                self.started += count if is_counted else 0
