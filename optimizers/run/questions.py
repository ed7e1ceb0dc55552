"""Taking waves: from points to values and gradients, through the evaluator.

What arrives is counted and weighed whatever follows it; what fails is an error or a rejection.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import (
    BrokenPoolError,
    InvalidInputError,
    InvalidValueError,
    JournalError,
    NonFiniteValueError,
)
from optimizers.evaluation.answers import REJECT, as_gradient, as_value, non_finite, unpack
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.task import Failure
from optimizers.evaluation.uncertainty import values_of
from optimizers.evaluation.wave import Answer, Block, Question
from optimizers.gradients.source import GradientSource
from optimizers.gradients.stencils import Plan
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.memory import Evaluation, Ledger, StopRun

#: Why a failure at the start cannot be rejected.
_AT_START = (
    "It is the start, or a probe of its gradient: there is nothing to step back to, so start from "
    "another point."
)
#: What no other point would mend.
_FINAL = (InvalidValueError, InvalidInputError, BrokenPoolError, JournalError)


class WaveTaker(Ledger):
    """A ledger that takes the waves whose points it counts.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    evaluator : Evaluator
        Calls the objective.
    differences : GradientSource
        The source of gradients that the user does not give.
    maxfun, timeout
        As in :class:`Ledger`.
    on_failure : {"raise", "reject", "pass"}
        As in :class:`Run`.
    seed : int or other, optional
        Seeds :attr:`rng`.
    """

    def __init__(
        self,
        problem: Problem,
        evaluator: Evaluator,
        differences: GradientSource,
        maxfun: int | None,
        timeout: float | None,
        on_failure: str,
        seed: Any = None,
    ) -> None:
        super().__init__(problem, maxfun, timeout)
        self.rejects = on_failure == "reject"
        self.propagates_nonfinite = on_failure == "pass"
        self.differences = differences
        self._evaluator = evaluator
        self._counted = evaluator.started
        self._counted_gradients = evaluator.gradients
        self._seed = seed

    @functools.cached_property
    def rng(self) -> np.random.Generator:
        """The run's random numbers, from its seed; made when first drawn from."""
        return np.random.default_rng(self._seed)

    @property
    def calls_points(self) -> bool:
        """Whether the objective is called in this thread with one point at a time."""
        return self._evaluator.calls_points

    @property
    def calls_singly(self) -> bool:
        """Whether each point costs a call of its own, so that one not asked for is saved."""
        return self._evaluator.calls_singly

    @property
    def is_narrow(self) -> bool:
        """Whether points wait for workers: a gradient by differences is more than one round."""
        return self._evaluator.width < self.problem.n + 1

    @property
    def precision(self) -> float:
        """The relative precision of the objective's values, as far as they have shown it."""
        return self._evaluator.precision

    def joint(
        self, x: Array, skip_gradient_if: Callable[[float], bool] | None = None
    ) -> tuple[float, Array | None]:
        """Evaluate a point and its gradient together; see :meth:`Run.value_and_gradient`."""
        jac = self.problem.jac
        if jac is True or (callable(jac) and not self._evaluator.has_workers):
            value, gradient = self.call(x)
            if gradient is None and not (skip_gradient_if is not None and skip_gradient_if(value)):
                gradient = self.call_jac(x)
            return value, gradient
        plans = [] if callable(jac) else [self.plan(x)]
        if plans and self.nfev + 1 + len(plans[0].points) > self.limit:
            # Not enough left for the gradient: the budget's last point is spent on the value.
            self._spend_last(x)
        _, (known,) = self.together([x], plans, skip_gradient_if)
        if isinstance(known, Exception):
            raise known
        return known.fun, known.jac

    def together(
        self,
        xs: Sequence[Array],
        plans: Sequence[Plan],
        skip_gradient_if: Callable[[float], bool] | None = None,
    ) -> tuple[Question, list[Evaluation | Exception]]:
        """Evaluate points with their gradients in one wave: what came of each, or why nothing."""
        precision, jac = self.precision, self.problem.jac
        question = Question(list(xs), plans, jac if callable(jac) else None)
        self.take(question.blocks, skip_gradient_if, is_first_needed=len(xs) == 1)
        if skip_gradient_if is not None and skip_gradient_if(question.value(0)):
            return question, [Evaluation(xs[0], question.value(0))]
        # Answers that are coarser than was thought: those probes were too near.
        is_coarse = self.precision > precision and self.differences.heeds_precision
        is_coarse = is_coarse and question.is_joint
        return question, [self._evaluation(question, i, x, is_coarse) for i, x in enumerate(xs)]

    def _evaluation(
        self, question: Question, i: int, x: Array, is_coarse: bool
    ) -> Evaluation | Exception:
        value, failures = question.value(i), question.failures(i)
        try:
            failure = question.own_failure(i)
            if failure is not None:
                raise failure
            if not question.plans:
                for error in failures.values():
                    raise error
                gradient = question.rest(i)[0].copy()
            elif is_coarse:
                gradient = self.probed(self.plan(x), value)
            else:
                gradient = self._mended(question.plans[i], value, question.rest(i), failures)
        except Exception as error:
            return error
        return Evaluation(x, value, gradient)

    def _spend_last(self, x: Array) -> NoReturn:
        """End the run, whose budget is too small for a gradient at ``x``, with the value there."""
        if not self.last.is_at(x) and self.lookup(x) is None:
            try:
                value, _ = self.call(x)
            except Exception as error:
                self.rejected(x, error)
            else:
                self.store(Evaluation(x, value))
        raise StopRun(StopReason.MAXFUN)

    def probed(self, plan: Plan, value: float) -> Array:
        """Return the gradient from a wave of probes alone."""
        probes = Block(plan.points)
        self.take([probes], is_first_needed=False)
        return self._mended(plan, value, probes.values, probes.failures)

    def _mended(
        self, plan: Plan, value: float, probes: NDArray[Any], failures: dict[int, Exception]
    ) -> Array:
        """Return the gradient, with other probes in the place of those that failed."""
        if failures:
            failed = np.zeros(len(probes), dtype=bool)
            failed[list(failures)] = True
            again = plan.retry(value, probes, failed)
            if again is None:
                raise next(iter(failures.values()))
            further = Block(again.points)
            self.take([further])
            for error in further.failures.values():
                raise error
            plan, probes = again, further.values
        return self.fold(plan, value, probes)

    def call(self, x: Array) -> tuple[float, Array | None]:
        """Evaluate one point; with ``jac=True`` the gradient comes with it."""
        self.check_budget(1)
        gradient = None
        if self.problem.jac is True:
            is_evaluated = True
            try:
                both = self._evaluator.raw(self.problem.fun, x)
            except StopRun as end:  # the caller of a stepper has not answered
                is_evaluated = False
                if end.value is not None:  # or not wholly
                    self.nfev += 1
                    self._update_finite(x[np.newaxis], np.array([end.value]))
                raise
            finally:
                self.nfev += is_evaluated
                self.njev += is_evaluated
            value, gradient = self._unpack(both)
        else:
            try:
                value, _ = self._evaluator.measure(x, self.limit - self.nfev - 1)
            finally:
                self._count()
        if not (math.isfinite(value) or self.propagates_nonfinite):
            raise non_finite(value)
        self.update_incumbent(x, value)
        return value, gradient

    def _gradient(self, raw: Any) -> Array:
        return as_gradient(raw, self.problem.n, finite=not self.propagates_nonfinite)

    def _unpack(self, raw: Any) -> tuple[float, Array]:
        value, gradient = unpack(raw)
        return as_value(value), self._gradient(gradient)

    def call_jac(self, x: Array) -> Array:
        """Evaluate the user's own gradient at one point."""
        assert callable(self.problem.jac)
        self.check_clock()
        self.njev += 1
        try:
            gradient = self._evaluator.raw(self.problem.jac, x)
        except StopRun:  # it was not evaluated
            self.njev -= 1
            raise
        return self._gradient(gradient)

    def plan(self, x: Array) -> Plan:
        """Return the probes of the gradient at ``x``."""
        lower, upper = self.problem.lower, self.problem.upper
        return self.differences.plan(x, lower, upper, self.precision, lambda: self.rng)

    def _count(self) -> None:
        """Count the calls that the evaluator has started."""
        self.nfev += self._evaluator.started - self._counted
        self.njev += self._evaluator.gradients - self._counted_gradients
        self._counted = self._evaluator.started
        self._counted_gradients = self._evaluator.gradients

    def take(
        self,
        blocks: Sequence[Block],
        skip_gradient_if: Callable[[float], bool] | None = None,
        *,
        is_first_needed: bool = True,
    ) -> None:
        """Evaluate a wave, and note in its blocks what came of it.

        What arrived is counted and weighed whatever follows it.

        Parameters
        ----------
        blocks : sequence of Block
            The blocks of the wave. They get values, and the failures if these are rejected;
            otherwise the first failure is raised.
        skip_gradient_if : callable, optional
            ``skip_gradient_if(value)`` tells by the value of the first point that nothing else is
            wanted.
        is_first_needed : bool, default True
            Whether the others are of no use if the first point fails: then its failure is raised.
        """
        cost = sum(block.cost for block in blocks)
        self.check_budget(cost)
        missing = sum(len(block.points) for block in blocks)
        self._evaluator.essential = int(is_first_needed) if self.rejects else missing
        answers = self._evaluator.answers(blocks, self.limit - self.nfev - cost, self.deadline)
        try:
            for block, part, answer in answers:
                missing -= part.stop - part.start
                is_first = block is blocks[0] and part.start == 0
                for row, error in self._note(block, part, answer):
                    if (
                        (is_first and row == 0 and is_first_needed)
                        or not self.rejects
                        or isinstance(error, (*_FINAL, SystemExit))
                    ):
                        raise error
                    block.failures[row] = error
                if (
                    skip_gradient_if is not None
                    and is_first
                    and skip_gradient_if(float(block.values[0]))
                ):
                    return
        finally:
            answers.close()
            self._count()
            for block in blocks:
                if block.is_real:
                    self._update_finite(block.points, block.values)
            for late, answer in self._evaluator.late():
                self._update_finite(late, values_of(answer))
        if missing:
            raise StopRun(StopReason.TIMEOUT)

    def _note(self, block: Block, part: slice, answer: Answer) -> Iterator[tuple[int, Failure]]:
        """Note the values of a part, and yield the rows that have none."""
        if isinstance(answer, BaseException):
            for row in range(part.start, part.stop):
                yield row, answer
            return
        if block.gradient is not None:
            for row, raw in enumerate(answer, part.start):
                try:
                    block.values[row] = self._gradient(raw)
                except Exception as error:
                    yield row, error
            return
        if answer.ndim > 1:
            block.errors[part] = answer[:, 1]
            answer = answer[:, 0]
        block.values[part] = answer
        if not self.propagates_nonfinite and not np.isfinite(answer).all():
            for i in np.flatnonzero(~np.isfinite(answer)):
                yield part.start + int(i), non_finite(answer[i])

    def measured(self, points: Array) -> Array:
        """Return the values of a wave that no algorithm asked for; NaN where there is none."""
        passes, self.propagates_nonfinite = self.propagates_nonfinite, True
        try:
            wave = Block(points)
            self.take([wave], is_first_needed=False)
            return wave.values
        finally:
            self.propagates_nonfinite = passes

    def fold(self, plan: Plan, value: float, values: NDArray[Any]) -> Array:
        """Return the gradient from its probes; finite values may still differ by too much."""
        return self._gradient(plan.fold(value, values))

    def _update_finite(self, points: Array, values: Array) -> None:
        finite = np.isfinite(values)
        self.update_incumbents(points[finite], values[finite])

    def update_incumbents(self, points: Array, values: Array) -> None:
        """Weigh finite values; of many, only the extremes count."""
        if not self.problem.constraints and len(values) > 2:
            extremes = [int(values.argmin()), int(values.argmax())]
            points, values = points[extremes], values[extremes]
        for point, value in zip(points, values, strict=True):
            self.update_incumbent(point.copy(), float(value))

    def rejected(self, x: Array, error: Exception) -> Evaluation:
        """Return stand-ins for a point whose evaluation failed, or raise its error."""
        if isinstance(error, StopIteration) or isinstance(error.__cause__, StopIteration):
            # From the objective, by itself or through the generator of a wave.
            raise StopRun(StopReason.CALLBACK) from None
        # A bug (wrong type, shape or number of values) is not a bad point, nor is a broken pool.
        rejects = self.rejects and not isinstance(error, _FINAL)
        penalty = self.reject(x) if rejects else None
        if penalty is None:
            if isinstance(error, NonFiniteValueError) and self.last_good is None:
                error.args = (str(error).replace(REJECT, _AT_START),)
            elif rejects:
                error.add_note(_AT_START)
            raise error
        return penalty
