"""Taking waves: from points to values and gradients, through the evaluator.

What arrives is counted and weighed whatever follows it; what fails is an error or a rejection.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import BrokenPoolError, InvalidValueError
from optimizers.evaluation.differences import Differences, Plan
from optimizers.evaluation.evaluators import Answer, Evaluator
from optimizers.evaluation.values import as_gradient, as_value, non_finite, unpack
from optimizers.ledger import Evaluation, Ledger, PutAside, StopRun
from optimizers.problem import Problem
from optimizers.result import StopReason

#: What no other point would mend.
_FINAL = (InvalidValueError, BrokenPoolError)


class WaveTaker(Ledger):
    """A ledger that takes the waves whose points it counts.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    evaluator : Evaluator
        Calls the objective.
    differences : Differences
        The scheme for gradients that the user does not give.
    maxfun, timeout
        As in :class:`Ledger`.
    on_failure : {"raise", "reject", "pass"}
        As in :class:`Run`.
    """

    def __init__(
        self,
        problem: Problem,
        evaluator: Evaluator,
        differences: Differences,
        maxfun: int | None,
        timeout: float | None,
        on_failure: str,
    ) -> None:
        super().__init__(problem, maxfun, timeout)
        self.rejects = on_failure == "reject"
        self.passes = on_failure == "pass"
        self.differences = differences
        self._evaluator = evaluator
        self._counted = evaluator.started

    @property
    def calls_points(self) -> bool:
        """Whether the objective is called in this thread with one point at a time."""
        return self._evaluator.calls_points

    @property
    def is_narrow(self) -> bool:
        """Whether points wait for workers: a gradient by differences is more than one round."""
        return self._evaluator.width < self.problem.n + 1

    @property
    def precision(self) -> float:
        """The relative precision of the objective's values, as far as they have shown it."""
        return self._evaluator.precision

    def joint(
        self, x: Array, unless: Callable[[float], bool] | None = None
    ) -> tuple[float, Array | None]:
        """Evaluate a point and its gradient together; see :meth:`Run.value_and_gradient`."""
        if callable(self.problem.jac) or self.problem.jac is True:
            value, gradient = self.call(x)
            if gradient is None and not (unless is not None and unless(value)):
                gradient = self.call_jac(x)
            return value, gradient
        plan = self.plan(x)
        if plan.points.dtype == np.complex128:
            value, _ = self.call(x)
            if unless is not None and unless(value):
                return value, None
            return value, self.probed(plan, value)
        if self.nfev + 1 + len(plan.points) > self.limit:
            self._spend_last(x)
        precision = self.precision
        values, failures = self.try_wave(np.concatenate([x[np.newaxis], plan.points]), unless)
        value, probes = float(values[0]), values[1:]
        if unless is not None and unless(value):
            return value, None
        if self.precision > precision:
            # The first answers are coarser than was thought: those probes were too near.
            return value, self.probed(self.plan(x), value)
        return value, self._mended(plan, value, probes, failures)

    def _spend_last(self, x: Array) -> NoReturn:
        """End the run, whose budget is too small for a gradient at ``x``, with the value there."""
        if not self.last.is_at(x) and self.recall(x) is None:
            try:
                value, _ = self.call(x)
            except Exception as error:
                self.rejected(x, error)
            else:
                self.remember(Evaluation(x, value))
        raise StopRun(StopReason.MAXFUN)

    def probed(self, plan: Plan, value: float) -> Array:
        """Return the gradient from a wave of probes alone."""
        probes, failures = self.try_wave(plan.points, is_first_needed=False)
        failures = {row + 1: error for row, error in failures.items()}
        return self._mended(plan, value, probes, failures)

    def _mended(
        self, plan: Plan, value: float, probes: NDArray[Any], failures: dict[int, Exception]
    ) -> Array:
        """Return the gradient, with other probes in the place of those that failed.

        ``failures`` counts the rows from 1: the point itself is row 0.
        """
        if failures:
            failed = np.zeros(len(probes), dtype=bool)
            failed[[row - 1 for row in failures]] = True
            again = plan.retry(value, probes, failed)
            if again is None:
                raise next(iter(failures.values()))
            plan, probes = again, self._wave(again.points)
        return self.fold(plan, value, probes)

    def call(self, x: Array) -> tuple[float, Array | None]:
        """Evaluate one point; with ``jac=True`` the gradient comes with it."""
        self.check_budget(1)
        gradient = None
        if self.problem.jac is True:
            is_evaluated = True
            try:
                both = self._evaluator.raw(self.problem.fun, x)
            except (StopRun, PutAside):  # the caller of a stepper has not answered
                is_evaluated = False
                raise
            finally:
                self.nfev += is_evaluated
                self.njev += is_evaluated
            value, gradient = self._unpack(both)
        else:
            try:
                value = self._evaluator.value(x, self.limit - self.nfev - 1)
            finally:
                self._count()
        if not (math.isfinite(value) or self.passes):
            raise non_finite(value)
        self.weigh(x, value)
        return value, gradient

    def _unpack(self, raw: Any) -> tuple[float, Array]:
        value, gradient = unpack(raw)
        return as_value(value), as_gradient(gradient, self.problem.n, finite=not self.passes)

    def call_jac(self, x: Array) -> Array:
        """Evaluate the user's own gradient at one point."""
        assert callable(self.problem.jac)
        self.check_clock()
        self.njev += 1
        gradient = self._evaluator.raw(self.problem.jac, x)
        return as_gradient(gradient, self.problem.n, finite=not self.passes)

    def plan(self, x: Array) -> Plan:
        """Return the probes of the gradient at ``x``."""
        lower, upper = self.problem.lower, self.problem.upper
        return self.differences.plan(x, lower, upper, self.precision)

    def _count(self) -> None:
        """Count the points at which the evaluator has started evaluations."""
        self.nfev += self._evaluator.started - self._counted
        self._counted = self._evaluator.started

    def _wave(self, points: NDArray[Any]) -> NDArray[Any]:
        """Return the values of a wave, or raise what went wrong with one of its points."""
        values, failures = self.try_wave(points)
        for error in failures.values():
            raise error
        return values

    def try_wave(
        self,
        points: NDArray[Any],
        unless: Callable[[float], bool] | None = None,
        *,
        is_first_needed: bool = True,
    ) -> tuple[NDArray[Any], dict[int, Exception]]:
        """Evaluate a wave; what arrived is counted and weighed whatever follows it.

        Parameters
        ----------
        points : ndarray of float64 or complex128, shape (k, n)
            The points.
        unless : callable, optional
            ``unless(value)`` tells by the value of the first point that the others are not wanted.
        is_first_needed : bool, default True
            Whether the others are of no use if the first point fails: then its failure is raised.

        Returns
        -------
        values : ndarray of the points' dtype, shape (k,)
            The values; NaN where there are none.
        failures : dict of int to Exception
            Why some have none, by row. Only when failures are rejected: otherwise the first is
            raised.
        """
        self.check_budget(len(points))
        values = np.full(len(points), np.nan, dtype=points.dtype)
        failures: dict[int, Exception] = {}
        missing = len(points)
        spare = self.limit - self.nfev - len(points)
        answers = self._evaluator.wave(points, spare, self.deadline)
        try:
            for part, answer in answers:
                missing -= part.stop - part.start
                for row, error in self._take(values, part, answer):
                    if (
                        (row == 0 and is_first_needed)
                        or not self.rejects
                        or isinstance(error, _FINAL)
                    ):
                        raise error
                    failures[row] = error
                if unless is not None and part.start == 0 and unless(float(values[0])):
                    return values, failures
        finally:
            answers.close()
            self._count()
            if points.dtype != np.complex128:  # probes off the real axis are no candidates
                finite = np.isfinite(values)
                self.weigh_part(points[finite], values[finite])
                for late, there in self._evaluator.late():
                    self.weigh_part(late[np.isfinite(there)], there[np.isfinite(there)])
        if missing:
            raise StopRun(StopReason.TIMEOUT)
        return values, failures

    def _take(
        self, values: NDArray[Any], part: slice, answer: Answer
    ) -> Iterator[tuple[int, Exception]]:
        """Note the values of a part, and yield the rows that have none."""
        if isinstance(answer, Exception):
            for row in range(part.start, part.stop):
                yield row, answer
            return
        values[part] = answer
        if not self.passes and not np.isfinite(answer).all():
            for i in np.flatnonzero(~np.isfinite(answer)):
                yield part.start + int(i), non_finite(answer[i])

    def measured(self, points: Array) -> Array:
        """Return the values of a wave that no algorithm asked for; NaN where there is none."""
        passes, self.passes = self.passes, True
        try:
            return self.try_wave(points, is_first_needed=False)[0]
        finally:
            self.passes = passes

    def fold(self, plan: Plan, value: float, values: NDArray[Any]) -> Array:
        """Return the gradient from its probes; finite values may still differ by too much."""
        return as_gradient(plan.fold(value, values), self.problem.n, finite=not self.passes)

    def weigh_part(self, points: Array, values: Array) -> None:
        """Weigh finite values; of many, only the extremes count."""
        if not self.problem.constraints and len(values) > 2:
            extremes = [int(values.argmin()), int(values.argmax())]
            points, values = points[extremes], values[extremes]
        for point, value in zip(points, values, strict=True):
            self.weigh(point.copy(), float(value))

    def rejected(self, x: Array, error: Exception) -> Evaluation:
        """Return stand-ins for a point whose evaluation failed, or raise its error."""
        if isinstance(error, StopIteration) or isinstance(error.__cause__, StopIteration):
            # From the objective, by itself or through the generator of a wave.
            raise StopRun(StopReason.CALLBACK) from None
        # A bug (wrong type, shape or number of values) is not a bad point, nor is a broken pool.
        rejects = self.rejects and not isinstance(error, _FINAL)
        stand_in = self.reject(x) if rejects else None
        if stand_in is None:
            if rejects:
                error.add_note(
                    "The start, or a probe of its gradient, fails: nothing to step back to."
                )
            raise error
        return stand_in
