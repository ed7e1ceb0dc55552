"""Run: one minimisation in progress. The only place that calls the objective or its gradient.

It keeps to the budget and the clock, turns failures into errors or rejections, and tells the
observers. Algorithms ask it for values and gradients.
"""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import BrokenPoolError, InvalidValueError
from optimizers.evaluation.differences import Differences, Plan
from optimizers.evaluation.evaluators import Answer, Evaluator
from optimizers.evaluation.values import as_gradient, as_value, non_finite, unpack
from optimizers.ledger import Evaluation, Ledger, PutAside, StopRun
from optimizers.noisy import Stage, solve_in_stages
from optimizers.observers import Observer
from optimizers.problem import Problem
from optimizers.result import Best, OptimizerResult, StopReason
from optimizers.several import several

#: How often a run that rejected points starts again from its best point, to confirm its end.
_CONFIRMATIONS = 5
#: What no other point would mend.
_FINAL = (InvalidValueError, BrokenPoolError)


@dataclass
class Ending:
    """How an algorithm ended by itself.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point it ends on.
    success : bool
        Whether its convergence test was met.
    status : int
        Its return code.
    message : str
        Its own words.
    stop : StopReason
        The reason.
    known : Evaluation, optional
        What it knows of that point; looked up in the run if not given.
    """

    x: Array
    success: bool
    status: int
    message: str
    stop: StopReason
    known: Evaluation | None = None


class Run(Ledger):
    """One minimisation in progress.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    evaluator : Evaluator
        Calls the objective.
    differences : Differences
        The scheme for gradients that the user does not give.
    maxfun : int, optional
        The most points that may be evaluated.
    maxiter : int, optional
        The most iterations, for algorithms that do not count them.
    timeout : float, optional
        The most seconds that may have passed when an evaluation starts.
    on_failure : {"raise", "reject", "pass"}, default "raise"
        What a failed evaluation does. ``"pass"`` hands NaN and infinities on to the algorithm,
        as SciPy's functions do; no Optimizer does that.
    on_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does.
    seed : int or other, optional
        Seeds :attr:`rng`.
    observers : sequence of Observer
        Told after each iteration.
    noise : float or "estimate", optional
        The standard deviation of the objective's noise, for differences; see
        :class:`CommonSettings`.
    keeps_steps : bool, default False
        Whether the steps of the differences hold whatever the noise.
    """

    def __init__(
        self,
        problem: Problem,
        evaluator: Evaluator,
        differences: Differences,
        *,
        maxfun: int | None = None,
        maxiter: int | None = None,
        timeout: float | None = None,
        on_failure: str = "raise",
        on_interrupt: str = "raise",
        seed: Any = None,
        observers: tuple[Observer, ...] = (),
        noise: float | str | None = None,
        keeps_steps: bool = False,
    ) -> None:
        super().__init__(problem, maxfun, timeout)
        self._seed = seed
        self.rejects = on_failure == "reject"
        self.passes = on_failure == "pass"
        self._returns_on_interrupt = on_interrupt == "return"
        #: What else the algorithm found, such as an inverse Hessian, for the result.
        self.extra: dict[str, Any] = {}
        self._evaluator = evaluator
        self._counted = evaluator.started
        self.differences = differences
        self._maxiter = maxiter
        self._observers = observers
        # The iterate at which a callback ended the run.
        self._halted: Evaluation | None = None
        self._noise = noise
        self._keeps_steps = keeps_steps
        #: Ends the algorithm when its progress falls below the noise.
        self.stage: Stage | None = None
        # A gradient that was asked for before the value at its point.
        self._orphan: tuple[Array, Array] | None = None

    @functools.cached_property
    def rng(self) -> np.random.Generator:
        """The run's random numbers, from its seed; made when first drawn from."""
        return np.random.default_rng(self._seed)

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

    @property
    def is_watched(self) -> bool:
        """Whether iterations are of interest to anybody but the algorithm."""
        return (
            bool(self._observers)
            or self._maxiter is not None
            or self.deadline < math.inf
            or self.stage is not None
        )

    @property
    def is_plain(self) -> bool:
        """Whether the algorithm is started once, and nothing is started anew."""
        return self._noise is None and not self.rejects

    # What algorithms ask.

    def value(self, x: Array) -> float:
        """Return the objective at ``x``, shape (n,): one point."""
        x = self.problem.clip(x)
        known = self._known(x)
        if known is not None:
            return known.fun
        try:
            value, gradient = self._call(x)
        except Exception as error:
            return self.rejected(x, error).fun
        if gradient is None and self._orphan is not None and np.array_equal(self._orphan[0], x):
            gradient = self._orphan[1]
        self.remember(Evaluation(x, value, gradient))
        return value

    @overload
    def value_and_gradient(self, x: Array) -> tuple[float, Array]: ...

    @overload
    def value_and_gradient(
        self, x: Array, unless: Callable[[float], bool] | None
    ) -> tuple[float, Array | None]: ...

    def value_and_gradient(
        self, x: Array, unless: Callable[[float], bool] | None = None
    ) -> tuple[float, Array | None]:
        """Return the objective and its gradient at ``x``; all probes travel in one wave.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            The point.
        unless : callable, optional
            ``unless(value)`` tells by the value that the gradient is not wanted: then it is None,
            and probes that wait for a worker are not started.
        """
        x = self.problem.clip(x)
        known = self._known(x)
        if known is not None and known.jac is not None:
            return known.fun, known.jac.copy()
        best, violation = self.best, self.best_violation
        try:
            value, gradient = self._joint(x, unless)
        except Exception as error:
            rejected = self.rejected(x, error)
            if rejected.jac is None:
                raise
            self.best_violation = violation
            self.best = best  # a point that is rejected is no candidate, nor are its probes
            return rejected.fun, rejected.jac.copy()
        self.remember(Evaluation(x, value, gradient))
        if self.stage is not None:
            self.stage.asked(value)
        # The algorithm may change what it is handed; what is remembered stays.
        return value, None if gradient is None else gradient.copy()

    def values_and_gradients(self, points: Sequence[Array]) -> list[Evaluation | None]:
        """Return what is at several points, evaluated with all their probes in one wave.

        Parameters
        ----------
        points : sequence of ndarray of float64, shape (n,)
            The points, the most wanted first; an algorithm that asks for them needs none of them.

        Returns
        -------
        list of Evaluation or None
            For as many of the points as the budget allows; None for one that is rejected.
        """
        return several(self, points)

    def _known(self, x: Array) -> Evaluation | None:
        """Return the answer at a point that was asked for just now, or, if it is dear, before.

        With the user's own gradient only the last point counts, as in SciPy, so that an objective
        with noise is measured anew; differences never spend a wave on a point that is known.
        """
        if self.last.is_at(x):
            return self.last
        return None if callable(self.problem.jac) else self.recall(x)

    def gradient(self, x: Array) -> Array:
        """Return the gradient at ``x``; the objective is not evaluated there again if known."""
        x = self.problem.clip(x)
        known = self.recall(x)
        if known is None and not callable(self.problem.jac):
            return self.value_and_gradient(x)[1]
        if known is not None and known.jac is not None:
            return known.jac.copy()
        try:
            if callable(self.problem.jac):
                gradient = self._call_jac(x)
            else:
                assert known is not None
                gradient = self._probed(self._plan(x), known.fun)
        except Exception as error:
            rejected = self.rejected(x, error)
            if rejected.jac is None:
                raise
            return rejected.jac.copy()
        if known is None:
            self._orphan = x, gradient
        else:
            self.remember(known._replace(jac=gradient))
        return gradient.copy()

    def iteration(self, x: Array, known: Evaluation | None = None) -> None:
        """Tell the observers that an iteration ended on ``x``; may end the run.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            The iterate.
        known : Evaluation, optional
            What is known of it, for algorithms that remember it themselves.
        """
        self.nit += 1
        x = self.problem.clip(x)
        known = known or self.recall(x)
        self.iterate = known or self.iterate
        if self._observers:
            state = self._result(known)
            state.x = x
            if any([observe(state) for observe in self._observers]):
                self._halted = known
                raise StopRun(StopReason.CALLBACK)
        if self._maxiter is not None and self.nit >= self._maxiter:
            raise StopRun(StopReason.MAXITER)
        self.check_clock()
        if self.stage is not None and known is not None:
            self.stage.iterated(known.fun)

    def counted_hessian(self, user: Callable[..., Any]) -> Callable[..., Any]:
        """Return a user's ``hess`` or ``hessp`` that is counted and gets copies."""

        def hessian(*arrays: Array) -> Any:
            self.check_clock()
            self.nhev += 1
            return user(*(np.copy(array) for array in arrays))

        return hessian

    # How a run begins and ends.

    def execute(self, solve: Callable[["Run"], Ending]) -> OptimizerResult:
        """Run an algorithm to its end, whatever ends it.

        Parameters
        ----------
        solve : callable
            ``solve(run) -> Ending``: the algorithm.

        Returns
        -------
        OptimizerResult
            What it ended on, or the best point when it was stopped.

        Raises
        ------
        BaseException
            What a user function raised, with the result so far in its attribute
            ``optimizer_result`` and in a note.
        """
        try:
            try:
                if self._noise is None:
                    return self._finish(self._solved(solve))
                given = None if isinstance(self._noise, str) else self._noise
                steps = self._keeps_steps
                return self._finish(
                    solve_in_stages(self, lambda run: run._solved(solve), given, steps)
                )
            except StopRun as stop:
                return self._stopped(stop.reason)
        except PutAside:
            raise
        except KeyboardInterrupt as error:
            if self._returns_on_interrupt:
                return self._stopped(StopReason.INTERRUPTED)
            self._attach(error, StopReason.INTERRUPTED)
            raise
        except BaseException as error:
            self._attach(error, StopReason.FAILED)
            raise
        finally:
            self._evaluator.close()

    def _solved(self, solve: Callable[["Run"], Ending]) -> Ending:
        """Run the algorithm, again from where it ended while rejected points may have misled it.

        A stand-in is not the objective: an end that rejections led to is believed when a fresh
        start from there comes to the same without any, or at the latest after a few.
        """
        for _ in range(_CONFIRMATIONS):
            misled = self.nmisled
            ending = solve(self)
            if self.nmisled == misled or ending.stop.is_budget or self.anchor is None:
                return ending
            self.problem = replace(self.problem, x0=self.anchor.x.copy())
        misled = self.nmisled
        ending = solve(self)
        if ending.success and self.nmisled > misled:
            words = "Rejected points may have misled the algorithm."
            return replace(ending, success=False, message=f"{ending.message} {words}")
        return ending

    def _finish(self, ending: Ending) -> OptimizerResult:
        x = self.problem.clip(np.asarray(ending.x, dtype=np.float64))
        last = ending.known or self.recall(x)
        if last is None:
            # A solver may end on a point that it computed anew and never evaluated.
            try:
                self.value(x)
            except StopRun as stop:
                return self._stopped(stop.reason)
            last = self.recall(x)
        if last is None:  # the evaluation was rejected
            return self._stopped(StopReason.FAILED)
        result = self._result(last)
        result.update(
            success=ending.success,
            status=ending.status,
            message=ending.message,
            stop=ending.stop,
        )
        return result

    def _stopped(self, reason: StopReason) -> OptimizerResult:
        # SciPy's functions end on the iterate that the callback was shown.
        result = self._result((self._halted if self.passes else None) or self.best)
        result.update(success=False, status=-1, message=f"Stopped: {reason.sentence}.", stop=reason)
        return result

    def _attach(self, error: BaseException, reason: StopReason) -> None:
        result = self._stopped(reason)
        found = "none with a value" if result.best is None else f"best f(x) = {result.fun!r}"
        note = (
            f"The run ended after {self.nfev} evaluations, {found}; "
            "the result so far is in this exception's attribute 'optimizer_result'."
        )
        # A class of the user's may refuse both; that must not hide the error itself.
        with contextlib.suppress(Exception):
            error.optimizer_result = result  # type: ignore[attr-defined]  # documented attribute
        with contextlib.suppress(Exception):
            error.add_note(note)

    def _result(self, at: Evaluation | None) -> OptimizerResult:
        best = None if self.best is None else Best(self.best.x.copy(), self.best.fun)
        x = self.problem.x0.copy() if at is None else at.x.copy()
        return OptimizerResult(
            x=x,
            fun=None if at is None else at.fun,
            jac=None if at is None or at.jac is None else at.jac.copy(),
            nfev=self.nfev,
            njev=self.njev,
            nhev=self.nhev,
            nit=self.nit,
            nrejected=self.nrejected,
            success=False,
            status=-1,
            message="",
            stop=StopReason.OTHER,
            best=best,
            elapsed=time.monotonic() - self.started,
            **({"maxcv": self.problem.violation(x)} if self.problem.constraints else {}),
            **self.extra,
        )

    # How evaluations are made.

    def _joint(
        self, x: Array, unless: Callable[[float], bool] | None = None
    ) -> tuple[float, Array | None]:
        if callable(self.problem.jac) or self.problem.jac is True:
            value, gradient = self._call(x)
            if gradient is None and not (unless is not None and unless(value)):
                gradient = self._call_jac(x)
            return value, gradient
        plan = self._plan(x)
        if plan.points.dtype == np.complex128:
            value, _ = self._call(x)
            if unless is not None and unless(value):
                return value, None
            return value, self._probed(plan, value)
        if self.nfev + 1 + len(plan.points) > self.limit:
            # Not enough left for the gradient: the budget's last point is spent on the value.
            self.value(x)
            raise StopRun(StopReason.MAXFUN)
        precision = self.precision
        values, failures = self._try_wave(np.concatenate([x[np.newaxis], plan.points]), unless)
        value, probes = float(values[0]), values[1:]
        if unless is not None and unless(value):
            return value, None
        if self.precision > precision:
            # The first answers are coarser than was thought: those probes were too near.
            return value, self._probed(self._plan(x), value)
        return value, self._mended(plan, value, probes, failures)

    def _probed(self, plan: Plan, value: float) -> Array:
        """Return the gradient from a wave of probes alone."""
        probes, failures = self._try_wave(plan.points, is_first_needed=False)
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
        return self._fold(plan, value, probes)

    def _call(self, x: Array) -> tuple[float, Array | None]:
        """Evaluate one point; with ``jac=True`` the gradient comes with it."""
        self.check_budget(1)
        gradient = None
        if self.problem.jac is True:
            self.nfev += 1
            self.njev += 1
            try:
                both = self._evaluator.raw(self.problem.fun, x)
            except (StopRun, PutAside):  # the caller of a stepper has not answered
                self.nfev -= 1
                self.njev -= 1
                raise
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

    def _call_jac(self, x: Array) -> Array:
        assert callable(self.problem.jac)
        self.check_clock()
        self.njev += 1
        gradient = self._evaluator.raw(self.problem.jac, x)
        return as_gradient(gradient, self.problem.n, finite=not self.passes)

    def _plan(self, x: Array) -> Plan:
        lower, upper = self.problem.lower, self.problem.upper
        return self.differences.plan(x, lower, upper, self.precision)

    def _count(self) -> None:
        """Count the points at which the evaluator has started evaluations."""
        self.nfev += self._evaluator.started - self._counted
        self._counted = self._evaluator.started

    def _wave(self, points: NDArray[Any]) -> NDArray[Any]:
        """Return the values of a wave, or raise what went wrong with one of its points."""
        values, failures = self._try_wave(points)
        for error in failures.values():
            raise error
        return values

    def _try_wave(
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
                self._weigh_part(points[finite], values[finite])
                for late, there in self._evaluator.late():
                    self._weigh_part(late[np.isfinite(there)], there[np.isfinite(there)])
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
            return self._try_wave(points, is_first_needed=False)[0]
        finally:
            self.passes = passes

    def _fold(self, plan: Plan, value: float, values: NDArray[Any]) -> Array:
        """Return the gradient from its probes; finite values may still differ by too much."""
        return as_gradient(plan.fold(value, values), self.problem.n, finite=not self.passes)

    def _weigh_part(self, points: Array, values: Array) -> None:
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


__all__ = ["Ending", "Evaluation", "Run", "StopRun"]
