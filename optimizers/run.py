"""Run: one minimisation in progress. The only place that calls the objective or its gradient.

It counts, keeps to the budget and the clock, remembers the best point, turns failures into
errors or rejections, and tells the observers. Algorithms ask it for values and gradients.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidValueError
from optimizers.evaluation.differences import Differences, Plan
from optimizers.evaluation.evaluators import Evaluator
from optimizers.evaluation.values import as_gradient, as_value, non_finite
from optimizers.observers import Observer
from optimizers.problem import Problem
from optimizers.result import Best, OptimizerResult, StopReason

#: A constraint missed by less than this does not make a point worse than another.
_FEASIBLE = 1e-6


class StopRun(BaseException):
    """Ends a run from inside an evaluation or a callback; never leaves :meth:`Run.execute`.

    A BaseException, so that no ``except Exception`` of a solver's can swallow it.
    """

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.sentence)
        self.reason = reason


class Evaluation(NamedTuple):
    """A point at which the objective is known, and its gradient if that is known too."""

    x: Array
    fun: float
    jac: Array | None = None


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
    extra : dict
        What else it found, such as an inverse Hessian.
    """

    x: Array
    success: bool
    status: int
    message: str
    stop: StopReason
    extra: dict[str, Any] = field(default_factory=dict)


class Run:
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
        The most points that may be evaluated; then the attribute ``maxfun``.
    maxiter : int, optional
        The most iterations, for algorithms that do not count them.
    timeout : float, optional
        The most seconds that may have passed when an evaluation starts.
    reject : bool, default False
        Whether a failed evaluation counts as worse than any other instead of ending the run;
        then the attribute ``rejects``.
    seed : int or other, optional
        Seeds :attr:`rng`.
    observers : sequence of Observer
        Told after each iteration.
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
        reject: bool = False,
        seed: Any = None,
        observers: tuple[Observer, ...] = (),
    ) -> None:
        self.problem = problem
        self.rng = np.random.default_rng(seed)
        self.nfev = self.njev = self.nhev = self.nit = self.nrejected = 0
        self.best: Evaluation | None = None
        self._best_violation = 0.0
        # The best point whose whole evaluation succeeded: what a rejected one steps back to.
        self._anchor: Evaluation | None = None
        self._worst = -math.inf
        # What the algorithm may still end on or report: the last iterate and what came after it.
        self._recent: deque[Evaluation] = deque(maxlen=8)
        self._iterate: Evaluation | None = None
        # The last answer, a rejected point's stand-in included: asking again costs nothing.
        self._last = Evaluation(np.empty(0), math.nan)
        # A gradient that was asked for before the value at its point.
        self._orphan: tuple[Array, Array] | None = None
        self._evaluator = evaluator
        self._differences = differences
        self.maxfun = maxfun
        self._limit = math.inf if maxfun is None else maxfun
        self._maxiter = maxiter
        self._start = time.monotonic()
        self._deadline = math.inf if timeout is None else self._start + timeout
        self.rejects = reject
        self._observers = observers

    # What algorithms ask.

    def value(self, x: Array) -> float:
        """Return the objective at ``x``, shape (n,): one point."""
        x = self.problem.clip(x)
        if self._is_last(x):
            return self._last.fun
        try:
            value, gradient = self._call(x)
        except Exception as error:
            return self._rejected(x, error).fun
        if gradient is None and self._orphan is not None and np.array_equal(self._orphan[0], x):
            gradient = self._orphan[1]
        self._remember(Evaluation(x, value, gradient))
        return value

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return the objective and its gradient at ``x``; all probes travel in one wave."""
        x = self.problem.clip(x)
        if self._is_last(x) and self._last.jac is not None:
            return self._last.fun, self._last.jac.copy()
        best = self.best
        try:
            value, gradient = self._joint(x)
        except Exception as error:
            rejected = self._rejected(x, error)
            if rejected.jac is None:
                raise
            self.best = best  # a point that is rejected is no candidate, nor are its probes
            return rejected.fun, rejected.jac.copy()
        self._remember(Evaluation(x, value, gradient))
        # The algorithm may change what it is handed; what is remembered stays.
        return value, gradient.copy()

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
                plan = self._plan(x)
                gradient = plan.fold(known.fun, self._wave(plan.points))
        except Exception as error:
            rejected = self._rejected(x, error)
            if rejected.jac is None:
                raise
            return rejected.jac.copy()
        if known is None:
            self._orphan = x, gradient
        else:
            self._remember(known._replace(jac=gradient))
        return gradient.copy()

    def iteration(self, x: Array) -> None:
        """Tell the observers that an iteration ended on ``x``; may end the run."""
        self.nit += 1
        x = self.problem.clip(x)
        known = self.recall(x)
        self._iterate = known or self._iterate
        if self._observers:
            state = self._result(known)
            state.x = x
            if any([observe(state) for observe in self._observers]):
                raise StopRun(StopReason.CALLBACK)
        if self._maxiter is not None and self.nit >= self._maxiter:
            raise StopRun(StopReason.MAXITER)
        self._check_clock()

    def recall(self, x: Array) -> Evaluation | None:
        """Return what is known of the point ``x``, if it is one that the run remembers."""
        for known in reversed(self._recent):
            if np.array_equal(known.x, x):
                return known
        for kept in (self._iterate, self.best):
            if kept is not None and np.array_equal(kept.x, x):
                return kept
        return None

    def counted_hessian(self, user: Callable[..., Any]) -> Callable[..., Any]:
        """Return a user's ``hess`` or ``hessp`` that is counted and gets copies."""

        def hessian(*arrays: Array) -> Any:
            self._check_clock()
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
                return self._finish(solve(self))
            except StopRun as stop:
                return self._stopped(stop.reason)
        except KeyboardInterrupt as error:
            self._attach(error, StopReason.INTERRUPTED)
            raise
        except BaseException as error:
            self._attach(error, StopReason.FAILED)
            raise

    def _finish(self, ending: Ending) -> OptimizerResult:
        x = self.problem.clip(np.asarray(ending.x, dtype=np.float64))
        last = self.recall(x)
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
            **ending.extra,
        )
        return result

    def _stopped(self, reason: StopReason) -> OptimizerResult:
        result = self._result(self.best)
        result.update(success=False, status=-1, message=f"Stopped: {reason.sentence}.", stop=reason)
        return result

    def _attach(self, error: BaseException, reason: StopReason) -> None:
        result = self._stopped(reason)
        # An exception class with slots takes no attribute; its note still tells.
        if hasattr(error, "__dict__"):
            error.optimizer_result = result  # type: ignore[attr-defined]  # documented attribute
        found = "nothing was evaluated" if result.best is None else f"best f(x) = {result.fun!r}"
        error.add_note(
            f"The run ended after {self.nfev} evaluations, {found}; "
            "the result so far is in this exception's attribute 'optimizer_result'."
        )

    def _result(self, at: Evaluation | None) -> OptimizerResult:
        best = None if self.best is None else Best(self.best.x.copy(), self.best.fun)
        return OptimizerResult(
            x=self.problem.x0.copy() if at is None else at.x.copy(),
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
            elapsed=time.monotonic() - self._start,
        )

    # How evaluations are made.

    def _joint(self, x: Array) -> tuple[float, Array]:
        if callable(self.problem.jac) or self.problem.jac is True:
            value, gradient = self._call(x)
            return value, self._call_jac(x) if gradient is None else gradient
        plan = self._plan(x)
        if plan.points.dtype == np.complex128:
            value, _ = self._call(x)
            return value, plan.fold(value, self._wave(plan.points))
        if self.nfev + 1 + len(plan.points) > self._limit:
            # Not enough left for the gradient: the budget's last point is spent on the value.
            self.value(x)
            raise StopRun(StopReason.MAXFUN)
        values = self._wave(np.concatenate([x[np.newaxis], plan.points]))
        return float(values[0]), plan.fold(float(values[0]), values[1:])

    def _call(self, x: Array) -> tuple[float, Array | None]:
        """Evaluate one point; with ``jac=True`` the gradient comes with it."""
        self._check_budget(1)
        self.nfev += 1
        gradient = None
        if self.problem.jac is True:
            value, gradient = self._unpack(self.problem.fun(x.copy()))
        else:
            value = self._evaluator.value(x)
        if not math.isfinite(value):
            raise non_finite(value)
        self._weigh(x, value, gradient)
        return value, gradient

    def _unpack(self, raw: Any) -> tuple[float, Array]:
        try:
            value, gradient = raw
        except (TypeError, ValueError):
            raise InvalidValueError(
                f"fun returned {raw!r:.200}, expected (value, gradient) since jac=True."
            ) from None
        return as_value(value), as_gradient(gradient, self.problem.n)

    def _call_jac(self, x: Array) -> Array:
        assert callable(self.problem.jac)
        self._check_clock()
        self.njev += 1
        return as_gradient(self.problem.jac(x.copy()), self.problem.n)

    def _plan(self, x: Array) -> Plan:
        return self._differences.plan(x, self.problem.lower, self.problem.upper)

    def _wave(self, points: NDArray[Any]) -> NDArray[Any]:
        """Evaluate a wave; a value that arrived is counted and weighed whatever follows it."""
        self._check_budget(len(points))
        values = np.empty(len(points), dtype=points.dtype)
        answers = self._evaluator.wave(points)
        for part in self._evaluator.parts(len(points)):
            self._check_clock()
            self.nfev += part.stop - part.start
            _, values[part] = next(answers)
            finite = np.isfinite(values[part])
            if points.dtype != np.complex128:  # probes off the real axis are no candidates
                for i in np.flatnonzero(finite) + part.start:
                    self._weigh(points[i], float(values[i]), None)
            if not finite.all():
                raise non_finite(values[part][~finite][0])
        return values

    def _check_budget(self, count: int) -> None:
        if self.nfev + count > self._limit:
            raise StopRun(StopReason.MAXFUN)
        self._check_clock()

    def _check_clock(self) -> None:
        if self._deadline < math.inf and time.monotonic() > self._deadline:
            raise StopRun(StopReason.TIMEOUT)

    def _weigh(self, x: Array, value: float, gradient: Array | None) -> None:
        """Keep the point if it is the best so far: by feasibility first, then by value."""
        self._worst = max(self._worst, value)
        best = self.best
        if self.problem.constraints:
            violation = self.problem.violation(x)
            if best is not None and max(violation, _FEASIBLE) > max(
                self._best_violation, _FEASIBLE
            ):
                return
            if best is None or max(violation, _FEASIBLE) < max(self._best_violation, _FEASIBLE):
                best = None
            if best is None or value < best.fun:
                self._best_violation = violation
        if best is None or value < best.fun:
            self.best = Evaluation(x.copy(), value, gradient)

    def _is_last(self, x: Array) -> bool:
        return np.array_equal(self._last.x, x)

    def _remember(self, known: Evaluation) -> None:
        self._last = known
        self._recent.append(known)
        if self._anchor is None or known.fun <= self._anchor.fun:
            self._anchor = known
        best = self.best
        if best is not None and best.fun == known.fun and np.array_equal(best.x, known.x):
            self.best = known

    def _rejected(self, x: Array, error: Exception) -> Evaluation:
        """Return stand-ins that make any algorithm step back from ``x``, or raise the error.

        The value is above all that were seen and the gradient points away from the best point,
        both on the scale of the values seen, so that interpolating line searches shorten their
        step sensibly. They are handed to the algorithm only: no result ever shows them.
        """
        # A bug (wrong type, shape or number of values) is not a bad point.
        if not self.rejects or isinstance(error, InvalidValueError) or self._anchor is None:
            raise error
        self.nrejected += 1
        away = x - self._anchor.x
        square = float(away @ away)
        if square == 0.0:  # the point was fine before: what is known of it stands
            return self._anchor
        spread = (self._worst - self._anchor.fun) or abs(self._worst) or 1.0
        self._last = Evaluation(x, self._worst + spread, 2 * spread / square * away)
        return self._last
