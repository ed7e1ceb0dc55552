"""An evaluator whose waves go to an executor, and the choice of the evaluator for a run."""

import math
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import OptionError
from optimizers.evaluation.accounts import Account
from optimizers.evaluation.evaluator import Evaluator, check_group, is_vectorized
from optimizers.evaluation.executors import DaemonExecutor, Workers, is_pool
from optimizers.evaluation.pool_wave import Wave
from optimizers.evaluation.sending import Function
from optimizers.evaluation.task import withdraw
from optimizers.evaluation.uncertainty import element
from optimizers.evaluation.wave import Answer, Block


class PoolEvaluator(Evaluator):
    """Evaluates waves of points on an executor.

    Parameters
    ----------
    fun : callable
        The objective.
    group : int
        How many points one task takes, in the way of :class:`Evaluator`; with 1, a wave that has
        more points than there are workers is cut so that they are filled in one round.
    workers : Workers
        The executor, and how it is replaced when it breaks.
    eval_timeout : float, optional
        The most seconds that one point may take.
    retries : int, default 0
        How often a point that failed is tried again.
    hedge : bool, default False
        Whether the last running tasks of a wave are started a second time on idle workers.

    Raises
    ------
    InvalidInputError
        From the first wave, before any evaluation, if the objective cannot be sent to a process.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        group: int | None,
        workers: Workers,
        *,
        eval_timeout: float | None = None,
        retries: int = 0,
        hedge: bool = False,
    ) -> None:
        super().__init__(fun, group, "vectorized" if workers.is_stacked else None, retries=retries)
        self.workers = workers
        self.eval_timeout = math.inf if eval_timeout is None else eval_timeout
        self.hedges = hedge
        self._functions: dict[int, Function] = {}
        self._late: list[tuple[NDArray[Any], NDArray[Any]]] = []
        #: The workers that have answered, and how many were at work at a time, at most.
        self.answered: set[str] = set()
        self.busiest = 0
        #: What was given up and still occupies a worker.
        self.stale: set[Future[Any]] = set()

    @property
    def width(self) -> float:  # type: ignore[override]  # known when the executor is there
        """How many points the workers evaluate at the same time."""
        return math.inf if self.workers.is_alone else self.workers.width

    @property
    def is_warm(self) -> bool:
        """Whether no worker is left that may have to start, and load the objective, first."""
        if self.workers.is_local:
            return True
        width = self.workers.width
        # Those that are given up will not answer; of an executor that does not tell, one is enough.
        expected = min(width, self.busiest) - len(self.stale) if width < math.inf else 1
        return len(self.answered) >= max(1, expected)

    @property
    @override
    def is_serial(self) -> bool:
        return False

    @override
    def close(self) -> None:
        for function in self._functions.values():
            withdraw(function.key)
        for future in self.stale:
            future.cancel()
        self.workers.close(is_idle=all(future.done() for future in self.stale))

    @override
    def measure(self, x: NDArray[Any], spare: float = math.inf) -> tuple[float, float]:
        return element(self._one(Block(x[np.newaxis]), spare))

    @override
    def raw(self, fun: Callable[..., Any], x: NDArray[Any]) -> Any:
        calls = self.gradients
        try:
            return self._one(Block(x[np.newaxis], fun), math.inf)
        finally:
            self.gradients = calls

    def _one(self, block: Block, spare: float) -> Any:
        wave = Wave(self, [block], spare)
        try:
            for _, _, answer in wave.answers():
                if isinstance(answer, BaseException):
                    raise answer
                return answer[0]
        finally:
            wave.abandon()
        raise AssertionError("A wave of one point has one answer.")

    @property
    @override
    def has_workers(self) -> bool:
        return True

    @override
    def answers(
        self, blocks: Sequence[Block], spare: float | Account = math.inf, deadline: float = math.inf
    ) -> Generator[tuple[Block, slice, Answer], None, None]:
        wave = Wave(self, blocks, spare, deadline)
        try:
            yield from wave.answers()
        finally:
            self._late.extend(wave.abandon())

    @override
    def late(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        late, self._late = self._late, []
        return late

    def function(self, fun: Callable[..., Any]) -> Function:
        """Return a function on its way to workers."""
        # Made once only: each is published anew, under a key that no worker knows.
        if id(fun) not in self._functions:
            self._functions[id(fun)] = Function(fun)
        return self._functions[id(fun)]


def check_workers(group: int | None, workers: Any) -> None:
    """Raise an error if the size of groups, or the workers, cannot be used; see Evaluator.

    Raises
    ------
    OptionError
        If one of them has no value that is known, or they do not go together.
    """
    if is_pool(workers):
        check_group(group)
    else:
        Evaluator(check_workers, group, workers)


def evaluator_for(
    fun: Callable[..., Any],
    group: int | None = 1,
    workers: Any = None,
    *,
    eval_timeout: float | None = None,
    retries: int = 0,
    hedge: bool = False,
) -> Evaluator:
    """Return the evaluator that a run's settings mean.

    Parameters
    ----------
    fun : callable
        The objective.
    group : int, optional
        ``max_evals_grouped``.
    workers, eval_timeout, retries, hedge
        As in :class:`RunSettings`.

    Returns
    -------
    Evaluator
        One that holds no worker before its first wave.
    """
    is_stacked = isinstance(workers, str)
    if callable(workers) and not is_pool(workers) and (eval_timeout is not None or hedge):
        raise OptionError(
            "A map-like workers takes no eval_timeout and no hedge: it gives all answers at once. "
            "Pass the executor itself, or a callable that makes one."
        )
    if is_pool(workers):
        pool = Workers(workers, is_vectorized(fun))
    elif eval_timeout is not None and not callable(workers):
        # What runs in this thread cannot be given up: it runs in another.
        pool = Workers(DaemonExecutor, is_stacked or is_vectorized(fun))
    else:
        return Evaluator(fun, group, workers, retries=retries)
    return PoolEvaluator(fun, group, pool, eval_timeout=eval_timeout, retries=retries, hedge=hedge)
