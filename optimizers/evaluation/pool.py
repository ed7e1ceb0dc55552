"""An evaluator whose waves go to an executor."""

import math
import weakref
from collections.abc import Callable, Generator
from typing import Any

from typing_extensions import override

from optimizers.evaluation.evaluator import Evaluator, Facts, Part
from optimizers.evaluation.executors import Pool, Workers
from optimizers.evaluation.pool_wave import PoolWave
from optimizers.evaluation.task import Form
from optimizers.evaluation.wave import Wave


class PoolFacts(Facts):
    """The facts of workers; their number is known once the executor exists."""

    has_workers = True

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self._workers = workers

    @property
    def width(self) -> float:  # type: ignore[override]  # computed on demand
        """How many points the workers evaluate at the same time."""
        unlimited = self._workers.is_alone or self._workers.is_map
        return math.inf if unlimited else self._workers.width


class PoolEvaluator(Evaluator):
    """Evaluates waves of points on an executor; ``eval_timeout`` is in seconds for each point.

    With ``hedge`` the last tasks of a wave run twice, on idle workers.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        group: int | None,
        workers: Workers,
        *,
        group_form: Form = "flat",
        eval_timeout: float | None = None,
        retries: int = 0,
        hedge: bool = False,
    ) -> None:
        self._workers = workers
        forms: dict[str, Any] = {"is_stacked": workers.is_stacked, "group_form": group_form}
        super().__init__(fun, group, **forms, retries=retries)
        limit = math.inf if eval_timeout is None else eval_timeout
        own = weakref.proxy(self)  # a cycle would keep the objective alive
        self._pool = Pool(
            workers, lambda block: own._way(block), self._size, limit, retries, hedge, self.facts
        )

    @override
    def _made_facts(self) -> Facts:
        return PoolFacts(self._workers)

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        under_way = PoolWave(self._pool, wave)
        try:
            yield from under_way.answers()
        finally:
            under_way.abandon()

    @override
    def close(self) -> None:
        self._pool.close()
