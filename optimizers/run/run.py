"""Run: one minimisation in progress. Algorithms ask it for values and gradients.

It answers from what is known or by taking waves, tells the observers, and ends with a result
whatever ends it.
"""

import contextlib
import math
import sys
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, overload

import numpy as np

from optimizers._types import Array
from optimizers.evaluation.evaluator import Evaluator
from optimizers.gradients.source import GradientSource
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.memory import Evaluation, StopRun
from optimizers.run.observers import Observer
from optimizers.run.outcome import Outcome
from optimizers.run.questions import WaveTaker
from optimizers.run.several import several

#: A deadline of a run that has one, while its clock stands still.
_NEVER = sys.float_info.max


class Stage(Protocol):
    """Follows what an algorithm asks, and may end it; see :mod:`optimizers.noise.stages`."""

    sigma: float

    def asked(self, value: float) -> None:
        """Note a value that was asked for."""

    def iterated(self, value: float) -> None:
        """Note the value at the end of an iteration."""


class Run(WaveTaker):
    """One minimisation in progress.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    evaluator : Evaluator
        Calls the objective.
    differences : GradientSource
        The source of gradients that the user does not give.
    maxfun : int, optional
        The most points that may be evaluated.
    maxiter : int, optional
        The most iterations, for algorithms that do not count them.
    timeout : float, optional
        The most seconds that may have passed when an evaluation starts.
    on_failure : {"raise", "reject", "pass"}, default "raise"
        What a failed evaluation does. ``"pass"`` hands NaN and infinities on to the algorithm,
        as SciPy's functions do, and TensorFlow 1's interfaces.
    on_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does.
    seed : int or other, optional
        Seeds :attr:`rng`.
    observers : sequence of Observer
        Told after each iteration.
    noise : float or "estimate", optional
        The standard deviation of the objective's noise; see :class:`CommonSettings`.
    """

    def __init__(
        self,
        problem: Problem,
        evaluator: Evaluator,
        differences: GradientSource,
        *,
        maxfun: int | None = None,
        maxiter: int | None = None,
        timeout: float | None = None,
        on_failure: str = "raise",
        on_interrupt: str = "raise",
        seed: Any = None,
        observers: tuple[Observer, ...] = (),
        noise: float | str | None = None,
    ) -> None:
        super().__init__(problem, evaluator, differences, maxfun, timeout, on_failure, seed)
        self._returns_on_interrupt = on_interrupt == "return"
        self._maxiter = maxiter
        self._observers = observers
        #: The iterate at which a callback ended the run, and whether one did.
        self.halted: Evaluation | None = None
        self.is_halted = False
        #: How many iterations the observers saw.
        self.nobserved = 0
        # How many a replayed run's observers saw, and whether the last of them ended it.
        self._replayed = 0, False
        #: The standard deviation of the values' noise, or "estimate", as the user gave it.
        self.noise = noise
        #: Ends the algorithm when its progress falls below the noise.
        self.stage: Stage | None = None
        # A gradient that was asked for before the value at its point.
        self._orphan: tuple[Array, Array] | None = None

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
    def wants_values(self) -> bool:
        """Whether an observer needs the value at each iterate, evaluated for it if need be."""
        return any(getattr(observe, "wants_value", False) for observe in self._observers)

    @property
    def is_noisy(self) -> bool:
        """Whether the noise of the values is reckoned with."""
        return self.noise is not None

    # What algorithms ask.

    def value(self, x: Array) -> float:
        """Return the objective at ``x``, shape (n,): one point."""
        x = self.problem.clip(x)
        known = self._known(x)
        if known is not None:
            return known.fun
        try:
            value, gradient = self.call(x)
        except Exception as error:
            return self.rejected(x, error).fun
        if gradient is None and self._orphan is not None and np.array_equal(self._orphan[0], x):
            gradient = self._orphan[1]
        self.store(Evaluation(x, value, gradient))
        return value

    @overload
    def value_and_gradient(self, x: Array) -> tuple[float, Array]: ...

    @overload
    def value_and_gradient(
        self, x: Array, skip_gradient_if: Callable[[float], bool] | None
    ) -> tuple[float, Array | None]: ...

    def value_and_gradient(
        self, x: Array, skip_gradient_if: Callable[[float], bool] | None = None
    ) -> tuple[float, Array | None]:
        """Return the objective and its gradient at ``x``; all probes travel in one wave.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            The point.
        skip_gradient_if : callable, optional
            ``skip_gradient_if(value)`` tells that the gradient is not wanted: then it is
            None, and probes that wait for a worker are not started.
        """
        x = self.problem.clip(x)
        known = self._known(x)
        if known is not None and known.jac is not None:
            return known.fun, known.jac.copy()
        best, violation = self.best, self.best_violation
        try:
            value, gradient = self.joint(x, skip_gradient_if)
        except Exception as error:
            rejected = self.rejected(x, error)
            if rejected.jac is None:
                raise
            self.best_violation = violation
            self.best = best  # a point that is rejected is no candidate, nor are its probes
            return rejected.fun, rejected.jac.copy()
        self.store(Evaluation(x, value, gradient))
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
        return None if callable(self.problem.jac) else self.lookup(x)

    def gradient(self, x: Array) -> Array:
        """Return the gradient at ``x``; the objective is not evaluated there again if known."""
        x = self.problem.clip(x)
        known = self.lookup(x)
        if known is None and not callable(self.problem.jac):
            return self.value_and_gradient(x)[1]
        if known is not None and known.jac is not None:
            return known.jac.copy()
        try:
            if callable(self.problem.jac):
                gradient = self.call_jac(x)
            else:
                assert known is not None
                gradient = self.probed(self.plan(x), known.fun)
        except Exception as error:
            rejected = self.rejected(x, error)
            if rejected.jac is None:
                raise
            return rejected.jac.copy()
        if known is None:
            self._orphan = x, gradient
        else:
            self.store(known._replace(jac=gradient))
        return gradient.copy()

    def iteration(self, x: Array, known: Evaluation | None = None, **extra: Any) -> None:
        """Tell the observers that an iteration ended on ``x``; may end the run.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            The iterate.
        known : Evaluation, optional
            What is known of it, for algorithms that remember it themselves.
        **extra
            What else observers see of it.
        """
        self.nit += 1
        x = self.problem.clip(x)
        known = known or self.lookup(x)
        self.iterate = known or self.iterate
        if self._observers:
            count, is_last = self._replayed
            if self.nobserved < count:
                self.is_halted = is_last and self.nobserved == count - 1
            else:
                state = self.result(known)
                state.x = x
                state.update(extra)
                self.is_halted = any([observe(state) for observe in self._observers])
            self.nobserved += 1
            if self.is_halted:
                self.halted = known
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

    @contextlib.contextmanager
    def replayed(self, seconds: float, nobserved: int, is_halted: bool) -> Iterator[None]:
        """Let what follows repeat another run: without observers, while the clock stands still."""
        limit = self.deadline - self.started
        self._replayed = nobserved, is_halted
        self.started = time.monotonic() - seconds
        self.deadline = math.inf if limit == math.inf else _NEVER
        try:
            yield
        finally:
            self.started = time.monotonic() - seconds
            self.deadline = self.started + limit

    # How a run begins and ends.

    def execute(self, solve: Callable[["Run"], Outcome]) -> OptimizerResult:
        """Run an algorithm to its end, whatever ends it.

        Parameters
        ----------
        solve : callable
            ``solve(run) -> Outcome``: the algorithm.

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
                return self._outcome(solve)
            except StopRun as stop:
                return stopped(self, stop.reason)
        except (KeyboardInterrupt, CancelledError) as error:
            if self._returns_on_interrupt and isinstance(error, KeyboardInterrupt):
                return stopped(self, StopReason.INTERRUPTED, is_broken=True)
            attach(self, error, StopReason.INTERRUPTED)
            raise
        except BaseException as error:
            attach(self, error, StopReason.FAILED)
            raise
        finally:
            self._evaluator.close()

    def _outcome(self, solve: Callable[["Run"], Outcome]) -> OptimizerResult:
        """Run the algorithm to an end of its own."""
        return finish(self, solve(self))


def finish(run: Run, outcome: Outcome) -> OptimizerResult:
    """Return the result of an algorithm that ended by itself."""
    x = run.problem.clip(np.asarray(outcome.x, dtype=np.float64))
    last = outcome.known or run.lookup(x)
    if last is None:
        # A solver may end on a point that it computed anew and never evaluated.
        try:
            run.value(x)
        except StopRun as stop:
            return stopped(run, stop.reason)
        last = run.lookup(x)
    if last is None:  # the evaluation was rejected
        return stopped(run, StopReason.FAILED)
    result = run.result(last)
    result.update(
        success=outcome.success,
        status=outcome.status,
        message=outcome.message,
        stop=outcome.stop,
    )
    return result


def stopped(run: Run, reason: StopReason, *, is_broken: bool = False) -> OptimizerResult:
    """Return the result of a run that was stopped: its best point.

    With `is_broken`, an error ended it, and no other is raised here; see :meth:`Ledger.result`.
    """
    # SciPy's functions end on the iterate that the callback was shown.
    result = run.result(
        (run.halted if run.propagates_nonfinite else None) or run.best, is_broken=is_broken
    )
    result.update(success=False, status=-1, message=f"Stopped: {reason.sentence}.", stop=reason)
    return result


def attach(run: Run, error: BaseException, reason: StopReason) -> None:
    """Give the result so far to an error that ends the run, as an attribute and in a note."""
    result = stopped(run, reason, is_broken=True)
    found = "none with a value" if result.best is None else f"best f(x) = {result.fun!r}"
    note = (
        f"The run ended after {run.nfev} evaluations, {found}; "
        "the result so far is in this exception's attribute 'optimizer_result'."
    )
    # A class of the user's may refuse both; that must not hide the error itself.
    with contextlib.suppress(Exception):
        error.optimizer_result = result  # type: ignore[attr-defined]  # documented attribute
    with contextlib.suppress(Exception):
        error.add_note(note)
