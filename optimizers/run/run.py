"""Run: one minimization in progress. The algorithm asks it, and it ends with a result.

It answers from known evaluations or by waves, notifies observers, and returns a result at any end.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

from optimizers._types import Array, Objective
from optimizers.errors import release, show_user_first
from optimizers.evaluation.evaluator import Evaluator
from optimizers.gradients.source import GradientSource
from optimizers.problem.known import KnownPoints
from optimizers.problem.problem import Problem
from optimizers.result import SUCCESSES, OptimizerResult, StopReason
from optimizers.run.blocks import values_at
from optimizers.run.budget import Budget, Paid, Patience, StopRun
from optimizers.run.guard import Guard, Kept, is_interrupt
from optimizers.run.memory import FEASIBLE, Evaluation, Memory
from optimizers.run.observers import Observer
from optimizers.run.outcome import Outcome
from optimizers.run.questions import Questions
from optimizers.run.results import attach, gradient_of, residuals_of, result_so_far, with_gradient
from optimizers.run.watch import Watch
from optimizers.run.waves import Waves

P = ParamSpec("P")
T = TypeVar("T")
#: Is told of an iteration by its run: what is known of the iterate, and what else observers see.
RecordIteration: TypeAlias = Callable[["Run", Evaluation | None, dict[str, Any]], None]


class Run:
    """One minimization in progress.

    Parameters
    ----------
    problem : Problem
        What is minimized.
    evaluator : Evaluator
        Calls the objective.
    source : GradientSource
        The source of gradients that the user does not give.
    maxfun, timeout, maxiter
        The limits of the run; none by default.
    on_failure : {"raise", "reject", "pass"}, default "raise"
        What to do about a failed evaluation; the value +inf is not a failure. ``"pass"`` passes NaN
        and infinities on to the algorithm, like SciPy's functions and TensorFlow 1's interfaces.
    on_interrupt : {"raise", "return"}, default "raise"
        What to do about Ctrl-C.
    seed : int or other, optional
        Seeds :attr:`rng`.
    observers : sequence of Observer
        Notified after each iteration.
    noise : float or "estimate", optional
        The standard deviation of the objective's noise, as the user gave it.
    f_target : float, optional
        A sufficient value: the run ends at the first evaluation that reaches it.
    patience : Patience, optional
        After how many iterations without progress the run ends.
    paid : Paid, optional
        How many shots evaluations take, and the limits of shots and jobs.
    """

    def __init__(
        self,
        problem: Problem,
        evaluator: Evaluator,
        source: GradientSource,
        *,
        maxfun: int | None = None,
        maxiter: int | None = None,
        timeout: float | None = None,
        on_failure: str = "raise",
        on_interrupt: str = "raise",
        seed: Any = None,
        observers: tuple[Observer, ...] = (),
        noise: float | str | None = None,
        f_target: float | None = None,
        patience: Patience | None = None,
        paid: Paid | None = None,
    ) -> None:
        #: Points inside the bounds that were known before the run began; an algorithm may learn
        #: from them.
        self.known_points = KnownPoints.none(problem.n)
        self.budget = Budget(maxfun, timeout, maxiter, paid)
        self.memory = Memory(problem)
        self.waves = Waves(evaluator, self.budget, self.memory, on_failure, problem.loss)
        self.waves.target, self._patience = f_target, patience
        self.questions = Questions(problem, source, self.waves, seed)
        #: The door, ``Questions.ask``.
        self.ask = self.questions.ask
        self._returns_on_interrupt = on_interrupt == "return"
        self.observers = observers
        self._record: RecordIteration | None = None
        self.noise = self.questions.assumed.noise = noise
        # What a library that is called under a guard may have swallowed.
        self._kept: Kept = []
        #: Further entries of the result, such as an inverse Hessian.
        self.extra: dict[str, Any] = {}

    # What it is about.

    @property
    def problem(self) -> Problem:
        """The problem; the algorithm begins at its start."""
        return self.questions.problem

    @property
    def source(self) -> GradientSource:
        """The source of gradients that the user does not give."""
        return self.questions.source

    @property
    def rng(self) -> np.random.Generator:
        """The run's random numbers, from its seed."""
        return self.questions.rng

    @property
    def best(self) -> Evaluation | None:
        """The best point so far."""
        return self.memory.best

    @property
    def nfev(self) -> int:
        """At how many points the objective was evaluated."""
        return self.budget.nfev

    @property
    def nit(self) -> int:
        """The iterations so far."""
        return self.budget.nit

    @property
    def penalizes(self) -> bool:
        """Whether a failed evaluation is answered by a penalty."""
        return self.waves.penalizes

    @property
    def precision(self) -> float:
        """The relative precision of the objective's values, as far as it is known."""
        return self.waves.evaluator.facts.precision

    @property
    def calls_singly(self) -> bool:
        """Whether each point costs a separate call, so that not asking for one saves a call."""
        return self.waves.evaluator.facts.calls_singly

    @property
    def saves_points(self) -> bool:
        """Whether not asking for a point saves a call or a worker."""
        return self.calls_singly or self.waves.evaluator.facts.has_workers

    @property
    def is_watched(self) -> bool:
        """Whether anyone besides the algorithm needs the iterations."""
        asked = self._record, self.budget.maxiter, self.watch, self._patience
        return bool(self.observers) or self.budget.is_timed or any(w is not None for w in asked)

    @property
    def wants_values(self) -> bool:
        """Whether an observer needs the value at each iterate, even if it has to be evaluated."""
        return any(getattr(observe, "wants_value", False) for observe in self.observers)

    # Questions of solvers that call back.

    def value(self, x: Array) -> float:
        """Return the objective at ``x``, shape (n,): one point."""
        return self._known(x, reuse=True).fun

    def residuals(self, x: Array) -> Array:
        """Return residuals at ``x``, shape (m,), half the sum of whose squares is the value."""
        return residuals_of(self._known(x, reuse=True), self.problem.loss, self.memory.m)

    def gradient(self, x: Array) -> Array:
        """Return the gradient at ``x``; a known value is not evaluated again."""
        return gradient_of(self._known(x, values=False, gradients=True))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return the objective and its gradient at ``x``; all probes travel in one wave."""
        known = self._known(x, gradients=True, reuse=True)
        return known.fun, gradient_of(known)

    def _known(self, x: Array, **how: Any) -> Evaluation:
        (known,) = self.ask([x], **how).found
        assert known is not None
        return known

    def probe(self, points: Array) -> Array:
        """Return the values of a wave that the algorithm did not ask for; NaN for failures."""
        return self.waves.probe(values_at(self.problem, points))

    def counted_hessian(self, user: Callable[..., Any]) -> Callable[..., Any]:
        """Return a user's ``hess`` or ``hessp`` that is counted and gets copies."""

        def hessian(*arrays: Array) -> Any:
            self.budget.check_clock()
            self.budget.nhev += 1
            return user(*(np.copy(array) for array in arrays))

        return hessian

    def guard(self, call: Callable[P, T]) -> Guard[P, T]:
        """Return a context manager that carries exceptions past a library that swallows them.

        Whatever `call` raises, such as the objective's error or the end of a budget, is raised at
        each further call, and at the end of the block. Guards of a run share what they keep.

        Parameters
        ----------
        call : callable
            What the library calls, such as :meth:`value`.

        Returns
        -------
        context manager
            Its ``with`` block gets the callable to hand to the library.

        Examples
        --------
        In the ``_solve`` of an optimizer around a library::

            with run.guard(run.value) as fun, run.guard(run.gradient) as jac:
                raw = library.minimize(fun, run.problem.x0, jac)
        """
        return Guard(call, self._kept)

    # What solvers tell.

    def iterated(self, x: Array, known: Evaluation | None = None, **extra: Any) -> None:
        """Notify the observers that an iteration ended at ``x``; may end the run.

        ``known`` is its evaluation, for algorithms that store it themselves; ``extra`` are further
        entries for observers.
        """
        memory = self.memory
        self.budget.nit += 1
        x = self.problem.clip(x)
        known = known or memory.lookup(x)
        memory.iterate = known or memory.iterate
        if self._record is not None:
            self._record(self, known, extra)
        if self.observers:
            state = self.result(known)
            state.update({"x": x, "is_estimate": False, **extra})
            if any([observe(state) for observe in self.observers]):
                memory.halted = known
                raise StopRun(StopReason.CALLBACK)
        self.budget.check_iterations()
        self.budget.check_clock()
        if self._patience is not None and memory.best is not None:
            self._patience.check(self.budget.nit, memory.best_violation, memory.best.fun)
        if self.watch is not None and known is not None:
            self.watch.iterated(known.fun)

    def note_iterate(self, known: Evaluation, nit: int | None = None) -> None:
        """Note an iterate without observers, and the number of iterations if given."""
        self.memory.iterate = known
        if nit is not None:
            self.budget.nit = nit

    def note_iterations(self, nit: int) -> None:
        """Note how many iterations there were, for a solver that counts them itself."""
        self.budget.nit = nit

    def goes_on_from(self, known: Evaluation) -> None:
        """Note from which of several points the algorithm continues, so that it stays known."""
        self.memory.store(known)

    def penalties_seen(self, count: int) -> None:
        """Note that the algorithm recognized ``count`` of its last penalties."""
        self.budget.npenalized -= count

    # What wrappers around a solve set.

    @property
    def watch(self) -> Watch | None:
        """The watch on the algorithm's questions, which may end it."""
        return self.questions.watch

    @contextlib.contextmanager
    def watched(self, watch: Watch) -> Iterator[None]:
        """Let a watch follow the algorithm's questions within a context."""
        self.questions.watch = watch
        try:
            yield
        finally:
            self.questions.watch = None

    def be_observed(self, observer: Observer) -> None:
        """Replace the run's observers by one, before it begins."""
        self.observers = (observer,)

    def record_iterations(self, record: RecordIteration) -> None:
        """Have the end of each iteration recorded, before the run begins."""
        self._record = record

    def start_from(self, x: Array, known: Evaluation | None = None) -> None:
        """Let the algorithm begin at ``x`` when it is restarted, with what is known there."""
        self.questions.problem = replace(self.problem, x0=x.copy(), has_start=True)
        if known is not None:
            self.memory.store(known)

    def use(self, source: GradientSource) -> None:
        """Use another gradient source from here on."""
        self.questions.source = source

    def reroute(self, problem: Problem, evaluator: Evaluator, seed: Any) -> None:
        """Replace the run's functions, evaluator and seed, before it begins."""
        self.questions.problem = problem
        self.questions.reseed(seed)
        self.waves.take_through(evaluator)

    def evaluate_by(self, evaluator: Evaluator, fun: Objective) -> None:
        """Send waves through another evaluator, and let solvers call this objective directly."""
        self.questions.problem = replace(self.problem, fun=fun)
        self.waves.take_through(evaluator)

    # How it ends.

    def execute(self, solve: Callable[["Run"], Outcome]) -> OptimizerResult:
        """Run an algorithm to its end, however it ends.

        Returns its result, or the best point if it was stopped. Exceptions of user functions are
        raised with a note and the result so far in the attribute ``optimizer_result``.
        """
        __tracebackhide__ = True
        try:
            try:
                return self._shown(self._finished(solve(self)))
            except StopRun as stop:
                release(stop)
                return self._shown(self.stopped(stop.reason, advice=stop.advice))
        except BaseException as error:
            if self._returns_on_interrupt and isinstance(error, KeyboardInterrupt):
                return self.stopped(StopReason.INTERRUPTED, is_broken=True)
            reason = StopReason.INTERRUPTED if is_interrupt(error) else StopReason.FAILED
            attach(error, self.stopped(reason, is_broken=True))
            release(error)
            show_user_first(error)
            raise
        finally:
            self.waves.evaluator.close()

    def _shown(self, result: OptimizerResult) -> OptimizerResult:
        """Show a result to the observers that want it, and return it."""
        for observe in self.observers:
            if (on_run_end := getattr(observe, "on_run_end", None)) is not None:
                on_run_end(result)
        return result

    def complete(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the evaluation of its point, evaluated if needed."""
        x = self.problem.clip(np.asarray(outcome.x, dtype=np.float64))
        known = outcome.known or self.memory.lookup(x)
        if known is None:
            # A solver may end at a point that it computed and never evaluated.
            self.value(x)
            known = self.memory.lookup(x)
        return replace(outcome, x=x, known=with_gradient(self.problem.loss, known))

    def _finished(self, outcome: Outcome) -> OptimizerResult:
        """Return the result of an algorithm that ended by itself."""
        if outcome.nit is not None:
            self.budget.nit = self.budget.nit or outcome.nit
        outcome = self.complete(outcome)
        if outcome.known is None:  # a penalty was the answer
            return self.stopped(StopReason.NO_PROGRESS)
        result = self.result(outcome.known)
        result.update(success=outcome.success, status=outcome.status)
        result.update(message=outcome.message, stop=outcome.stop)
        return result

    def stopped(
        self, reason: StopReason, *, is_broken: bool = False, advice: str = ""
    ) -> OptimizerResult:
        """Return the result of a run that was stopped: its best point.

        With `is_broken`, an error ended it, and no other may replace it; see :meth:`result`.
        """
        # SciPy's functions end at the iterate that the callback saw.
        at = self.memory.halted if self.waves.propagates_nonfinite else None
        result = self.result(at or self.memory.best, is_broken=is_broken)
        success = reason in SUCCESSES and self.memory.best_violation <= FEASIBLE
        words = f"{'Ended' if success else 'Stopped'}: {reason.sentence}. {advice}".rstrip()
        result.update(success=success, status=0 if success else -1, message=words, stop=reason)
        return result

    def result(self, at: Evaluation | None, *, is_broken: bool = False) -> OptimizerResult:
        """Return the result so far, at a point; see ``result_so_far``."""
        facts, spent = self.waves.evaluator.facts, (self.budget, self.memory)
        return result_so_far(self.problem, *spent, self.extra, facts, at, is_broken)
