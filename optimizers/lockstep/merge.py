"""One round of many runs: all that they ask, as one wave to one evaluator."""

from collections.abc import Callable, Sequence
from typing import Any

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
                    wave.take(joined(requests, [owner], self._both))
            else:
                wave.take(joined(requests, range(len(requests)), self._both))
        finally:
            self.started += wave.started

    def cost(self, request: MemberRequest) -> int:
        """Return how many evaluations of the objective a request takes."""
        return sum(
            len(block.points)
            for block in request.blocks
            if block.gradient is None or block.gradient is self._both
        )


class MergedBlock(Block):
    """Points of several runs that go to the same function.

    Parameters
    ----------
    points : ndarray of float64 or complex128, shape (k, n)
        The points.
    gradient : callable, optional
        The function, if it is not the objective.
    owners : ndarray of int, shape (k,)
        Whose each row is.
    places : list of (int, int)
        Where each row is asked: in which block of its owner, and in which row of that.
    is_counted : bool
        Whether a call is an evaluation of the objective.
    """

    def __init__(
        self,
        points: NDArray[Any],
        gradient: Callable[..., Any] | None,
        owners: NDArray[np.intp],
        places: list[tuple[int, int]],
        is_counted: bool,
    ) -> None:
        super().__init__(points, gradient)
        self._owners = owners
        self._is_counted = is_counted
        self.places = places
        #: How often the function was called at each row.
        self.starts = np.zeros(len(points), dtype=np.intp)

    @property
    @override
    def owners(self) -> NDArray[np.intp]:
        return self._owners

    @property
    @override
    def cost(self) -> int:
        return len(self.points) if self._is_counted else 0

    @override
    def count(self, part: slice, sign: int) -> None:
        self.starts[part] += sign

    def of(self, rows: NDArray[np.intp]) -> "MergedBlock":
        """Return some of the rows."""
        places = [self.places[row] for row in rows]
        points, owners = self.points[rows], self._owners[rows]
        return MergedBlock(points, self.gradient, owners, places, self._is_counted)


def joined(
    requests: Sequence[MemberRequest], owners: Sequence[int], both: Callable[..., Any] | None = None
) -> list[MergedBlock]:
    """Join the blocks that some of the runs ask, by their function and their type."""
    kinds: dict[Any, list[tuple[int, int, Block]]] = {}
    for owner in owners:
        for number, block in enumerate(requests[owner].blocks):
            kind = id(block.gradient), block.points.dtype
            kinds.setdefault(kind, []).append((owner, number, block))
    return [
        MergedBlock(
            np.concatenate([block.points for _, _, block in same]),
            same[0][2].gradient,
            np.repeat([owner for owner, _, _ in same], [len(block.points) for _, _, block in same]),
            [(number, row) for _, number, block in same for row in range(len(block.points))],
            same[0][2].gradient is None or same[0][2].gradient is both,
        )
        for same in kinds.values()
    ]


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
        blocks = [block for block in blocks if len(block.points)]
        again: list[MergedBlock] = []
        answers = self._evaluator.answers(blocks, self._account, self._deadline)
        try:
            for block, part, answer in answers:
                assert isinstance(block, MergedBlock)
                owners = block.owners[part]
                is_one = owners[0] == owners[-1] or isinstance(answer, BrokenPoolError)
                if isinstance(answer, Exception) and not is_one:
                    # Which of the runs is to blame, nobody knows.
                    rows = np.arange(part.start, part.stop)
                    again += [block.of(rows[owners == owner]) for owner in dict.fromkeys(owners)]
                elif self._put(block, part, answer) and self._evaluator.is_serial:
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
                self._put(own, whole, EvaluationError(words))

    def _put(self, block: MergedBlock, part: slice, answer: Answer) -> bool:
        """Let requests have answers, and return whether the rest of the last's is not wanted."""
        for i, row in enumerate(range(part.start, part.stop)):
            found = answer if isinstance(answer, BaseException) else answer[i]
            request = self._requests[int(block.owners[row])]
            request.put(*block.places[row], found)
        return request.is_over

    def _put_late(self, blocks: Sequence[MergedBlock]) -> None:
        """Let requests have what arrived while the wave was left."""
        late = {
            point.tobytes(): value
            for points, values in self._evaluator.late()
            for point, value in zip(points, values, strict=True)
        }
        for block in blocks if late else ():
            for row in range(len(block.points) if block.is_real else 0):
                request = self._requests[int(block.owners[row])]
                value = late.get(block.points[row].tobytes())
                if value is not None and block.places[row] not in request.answers:
                    request.put(*block.places[row], value)

    def _count(self, blocks: Sequence[MergedBlock]) -> None:
        for block in blocks:
            costs = np.bincount(
                block.owners, weights=block.starts, minlength=len(self._requests)
            ).astype(int)
            for request, cost in zip(self._requests, costs.tolist(), strict=True):
                request.precision = self._evaluator.precision
                if block.gradient is None:
                    request.started += cost
                else:
                    request.gradients += cost
                self.started += cost if block.cost else 0
