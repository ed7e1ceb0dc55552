"""Run: one minimisation in progress. Algorithms ask it for values and gradients.

It answers from what is known or by taking waves, tells the observers, and ends with a result
whatever ends it.
"""

import math
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np

from optimizers._types import Array
from optimizers.ending import Ending, attach, finish, stopped
from optimizers.evaluation.evaluators import Evaluator
from optimizers.evaluation.sources import GradientSource
from optimizers.ledger import Evaluation, PutAside, StopRun
from optimizers.noisy import Stage, solve_in_stages
from optimizers.observers import Observer
from optimizers.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.several import several
from optimizers.taking import WaveTaker

#: How often a run that rejected points starts again from its best point, to confirm its end.
_CONFIRMATIONS = 5


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
        The standard deviation of the objective's noise, for differences; see
        :class:`CommonSettings`.
    keeps_steps : bool, default False
        Whether the steps of the differences hold whatever the noise.
    in_stages : bool, default True
        Whether an algorithm that knows nothing of noise is run in stages if there is some.
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
        keeps_steps: bool = False,
        in_stages: bool = True,
    ) -> None:
        super().__init__(problem, evaluator, differences, maxfun, timeout, on_failure, seed)
        self._returns_on_interrupt = on_interrupt == "return"
        self._maxiter = maxiter
        self._observers = observers
        #: The iterate at which a callback ended the run.
        self.halted: Evaluation | None = None
        #: The standard deviation of the values' noise, or "estimate", as the user gave it.
        self.noise = noise
        self._in_stages = in_stages
        self._keeps_steps = keeps_steps
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

    @property
    def is_plain(self) -> bool:
        """Whether the algorithm is started once, and nothing is started anew."""
        return self.noise is None and not self.rejects

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
            value, gradient = self.joint(x, unless)
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
            self.remember(known._replace(jac=gradient))
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
        known = known or self.recall(x)
        self.iterate = known or self.iterate
        if self._observers:
            state = self.result(known)
            state.x = x
            state.update(extra)
            if any([observe(state) for observe in self._observers]):
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
                return self._outcome(solve)
            except StopRun as stop:
                return stopped(self, stop.reason)
        except PutAside:
            raise
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

    def _outcome(self, solve: Callable[["Run"], Ending]) -> OptimizerResult:
        """Run the algorithm to an end of its own."""
        if self.noise is None or not self._in_stages:
            return finish(self, self._solved(solve))
        given = None if isinstance(self.noise, str) else self.noise
        steps = self._keeps_steps
        return finish(self, solve_in_stages(self, lambda run: run._solved(solve), given, steps))

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
