"""The workers of a run between its waves: what is known of them, and what they know."""

import math
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from optimizers.evaluation.evaluator import Facts
from optimizers.evaluation.executors import Workers
from optimizers.evaluation.task import Form, Function, withdraw
from optimizers.evaluation.wave import Block


@dataclass
class Pool:
    """The workers of a run, what they are to do about failures, and what is known of them."""

    workers: Workers
    #: Returns the function that a block goes to, and how it takes points.
    way: Callable[[Block], tuple[Callable[..., Any], Form]]
    #: How many points one call takes; None for a stack.
    size: int | None
    #: The most seconds that one point may take.
    eval_timeout: float
    retries: int
    #: Whether the last running tasks of a wave are started a second time on idle workers.
    hedges: bool
    facts: Facts
    #: The workers that have answered, and how many were at work at a time, at most.
    answered: set[str] = field(default_factory=set)
    busiest: int = 0
    #: What was given up and still occupies a worker.
    stale: set[Future[Any]] = field(default_factory=set)
    _functions: dict[int, Function] = field(default_factory=dict)

    @property
    def is_warm(self) -> bool:
        """Whether no worker is left that may have to start, and load the objective, first."""
        if self.workers.is_local:
            return True
        width = self.workers.width
        # Those that are given up will not answer; of an executor that does not tell, one is enough.
        expected = min(width, self.busiest) - len(self.stale) if width < math.inf else 1
        return len(self.answered) >= max(1, expected)

    def function(self, fun: Callable[..., Any]) -> Function:
        """Return a function on its way to workers."""
        # Made once only: each is published anew, under a key that no worker knows.
        if id(fun) not in self._functions:
            self._functions[id(fun)] = Function(fun)
        return self._functions[id(fun)]

    def close(self) -> None:
        """Forget the functions, and end the executor if it is the run's own."""
        for function in self._functions.values():
            withdraw(function.key)
        for future in self.stale:
            future.cancel()
        self.workers.close(is_idle=all(future.done() for future in self.stale))
