"""From a wave of points to the objective's values: one by one, in groups, or as a stack."""

import math
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._arrays import is_whole
from optimizers._types import Objective
from optimizers.errors import InvalidInputError, OptionError
from optimizers.evaluation.answers import residuals_of, values_of
from optimizers.evaluation.by_shots import by_shots
from optimizers.evaluation.marks import is_vectorized, takes_shots
from optimizers.evaluation.task import Form, evaluate, is_worth_a_retry
from optimizers.evaluation.wave import Answer, Block, Cost, Kind, Wave

_EPS = float(np.finfo(np.float64).eps)

#: A block of a wave, some of its rows, and the answer to them: values of the points' dtype, shape
#: (k,), or (k, 2) with standard errors; for a function other than the objective an array of objects
#: as returned; or the failure. Blocks and rows come in any order.
Part: TypeAlias = tuple[Block, slice, Answer]


class Facts:
    """Facts about an evaluator, and about what it has done."""

    #: How many points are evaluated at the same time; infinite where there are no workers.
    width: float = math.inf
    #: Whether functions are called elsewhere, so that several calls can run at the same time.
    has_workers: bool = False
    #: Whether each point costs a separate call, so that not asking for one saves a call.
    calls_singly: bool = False

    def __init__(self, *, is_serial: bool = False, is_direct: bool = False) -> None:
        #: Whether functions are called in this thread with one point at a time.
        self.is_serial = is_serial
        #: Whether, in addition, each is called just once: no evaluator is needed.
        self.is_direct = is_direct
        if is_direct:
            self.calls_singly = True
        #: At how many points the objective, and the gradient, were called, and with how many shots.
        self.started = self.gradients = self.shots = 0
        #: How many of those points were answered from a journal.
        self.replayed = 0
        #: At how many other points the answer was known before the run; None if nothing was.
        self.known: int | None = None
        #: The largest machine epsilon among the values: float32 answers raise it.
        self.precision = _EPS
        #: How long each of the latest points took, if a worker measured it; and which worker.
        self.seconds: float | None = None
        self.worker = ""

    def count(self, block: Block, part: slice, sign: int = 1) -> None:
        """Count the rows of a block at which a function is called; with sign -1, uncount them."""
        block.count(part, sign)
        self.shots += sign * block.spent(part)
        self.count_calls(block.kind, sign * (part.stop - part.start))

    def count_calls(self, kind: Kind, calls: int) -> None:
        """Count calls of a function."""
        if kind != "jac":
            self.started += calls
        if kind != "fun":
            self.gradients += calls


class Evaluator:
    """Calls the objective for waves of points in this thread, in groups as the user asked.

    Parameters
    ----------
    fun : callable
        The objective.
    group : int, default 1
        How many points one call takes. With more than one, a call gets the points of the group
        concatenated to one flat vector, as in Qiskit.
    is_stacked : bool, default False
        Whether the objective takes a stack (k, n) although :func:`vectorized` does not mark it.
    group_form : str, default "flat"
        How an objective that does not take stacks gets the points of a group.
    retries : int, default 0
        How often a failed call is repeated.
    """

    #: Whether there are listeners, so that all evaluations have to go through it.
    is_listened = False
    #: Whether it is one run's share of an evaluator for many runs.
    is_share = False
    #: Whether some answers cost nothing, so that all questions have to go through it.
    is_informed = False

    def __init__(
        self,
        fun: Objective,
        group: int | None = 1,
        *,
        is_stacked: bool = False,
        group_form: Form = "flat",
        retries: int = 0,
    ) -> None:
        if not callable(fun):
            raise InvalidInputError(f"fun is {fun!r}, expected a callable fun(x) -> float.")
        self._fun = by_shots(fun)
        self._is_stacked = is_stacked or is_vectorized(fun)
        self._retries = retries
        #: How many points one call takes; None for as many as there are: a vectorized objective
        #: takes a whole wave at once unless the user limits it.
        self._size = None if self._is_stacked and check_group(group) == 1 else check_group(group)
        if takes_shots(fun) and (self._size or 1) > 1 and not self._is_stacked:
            raise OptionError(
                f"max_evals_grouped is {self._size}, but fun is marked by shots: mark it by "
                "vectorized too, or remove max_evals_grouped."
            )
        self._group_form: Form = group_form
        self.facts = self._made_facts()

    def _made_facts(self) -> Facts:
        is_serial = self._size == 1 and not self._is_stacked
        is_direct = is_serial and not (self._retries or takes_shots(self._fun))
        return Facts(is_serial=is_serial, is_direct=is_direct)

    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        """Evaluate a wave, and yield each part as its values arrive.

        A caller that stops early closes the generator; answers that had arrived are in
        ``wave.late``.
        """
        facts = self.facts
        for block in wave.blocks:
            function, form = self._way(block)
            for part in self._calls(block, form):
                for attempt in range(self._retries + 1):
                    if wave.is_overdue:
                        return
                    facts.count(block, part)
                    result = evaluate(self._called(function, block, part), form, block.sent(part))
                    facts.precision = max(facts.precision, result.precision)
                    if result.error is None:
                        yield block, part, result.values
                    elif (
                        attempt < self._retries
                        and is_worth_a_retry(result.error)
                        and wave.retries.grants(block, part)
                    ):
                        continue
                    else:
                        yield block, part, result.error
                    break

    def cost(self, block: Block) -> Cost:
        """Return what a block takes."""
        return block.cost

    @property
    def points_at_once(self) -> float:
        """How many points are evaluated at the same time; infinite where there is no limit."""
        tasks = self.facts.width if self.facts.has_workers else 1.0
        return tasks * (self._size or math.inf)

    def close(self) -> None:
        """Release the resources of the evaluator."""

    def _called(
        self, function: Callable[..., Any], block: Block, part: slice
    ) -> Callable[..., Any]:
        """Return what is called at rows in the place of their function."""
        return function

    def _way(self, block: Block) -> tuple[Callable[..., Any], Form]:
        """Return the function that a block goes to, and how it takes points."""
        if block.function is None:
            form: Form = "points" if self._size == 1 else self._group_form
            return self._fun, "stack" if self._is_stacked else form
        takes_rows = is_vectorized(block.function) or (
            self._is_stacked and block.function is self._fun
        )
        return block.function, "rows" if takes_rows else "raw"

    def _calls(self, block: Block, form: Form) -> list[slice]:
        """Return the rows of each call."""
        k = len(block.points)
        if k == 1:
            return [slice(0, 1)]
        size = 1 if form == "raw" else max(k, 1) if form == "rows" else self._size or max(k, 1)
        return [slice(start, min(start + size, k)) for start in range(0, k, size)]


def values_at(evaluator: Evaluator, points: NDArray[Any]) -> NDArray[Any]:
    """Return the values at points, evaluated in one wave; the first failure is raised."""
    return _filled(evaluator, points).values


def told_at(evaluator: Evaluator, points: NDArray[Any]) -> NDArray[Any]:
    """Return the values at points, or the residuals if the objective returns these."""
    block = _filled(evaluator, points)
    return block.values if block.residuals is None else block.residuals


def _filled(evaluator: Evaluator, points: NDArray[Any]) -> Block:
    block = Block(points)
    for _, part, answer in evaluator.answers(Wave([block])):
        if isinstance(answer, BaseException):
            raise answer
        block.values[part] = values_of(answer)
        residuals = residuals_of(answer)
        if residuals is not None:
            block.note_residuals(part, residuals)
    return block


def check_group(group: int | None) -> int:
    """Return how many points one call takes; None means 1."""
    group = 1 if group is None else group
    if not is_whole(group) or group < 1:
        raise OptionError(f"max_evals_grouped is {group!r}, expected a whole number >= 1.")
    return int(group)
