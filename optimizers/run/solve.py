"""Solves: an algorithm bound to its options, wrapped to confirm its end, or ready to execute."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from optimizers.result import SUCCESSES, OptimizerResult, StopReason
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run

#: An algorithm bound to its options.
Solve: TypeAlias = Callable[[Run], Outcome]

#: How often a run that rejected points restarts from its best point to confirm its end.
_CONFIRMATIONS = 5
#: Values that differ by less than this part of max(1, abs(f)) are no progress.
SAME = 1e-6
#: And at points that differ by this part of max(1, abs(x)), by less than this.
_NEAR, _ALIKE = 1e-4, 1e-5
_MISLED = (
    "Points that were rejected, or are +inf, may have misled the algorithm: start from another "
    "point, or exclude such points by bounds."
)


def confirmed(solve: Solve) -> Solve:
    """Return a solve that restarts from its end while rejected points may have misled it.

    An end after penalties is accepted only if a restart from there meets none, or, for a search
    without gradients, if it finds nothing better.
    """

    def confirming(run: Run) -> Outcome:
        for _ in range(_CONFIRMATIONS):
            misled, began = run.budget.npenalized, run.memory.last_good
            outcome = solve(run)
            end = run.memory.last_good
            if run.budget.npenalized == misled or outcome.stop.is_budget or end is None:
                return outcome
            if outcome.success and began is not None and _is_borne_out(run, began, end):
                return outcome
            run.start_from(end.x)
        misled = run.budget.npenalized
        outcome = solve(run)
        if outcome.success and run.budget.npenalized > misled:
            words = f"{outcome.message.rstrip(' .')}. {_MISLED}"
            return replace(outcome, success=False, message=words, stop=StopReason.NO_PROGRESS)
        return outcome

    return confirming


def _is_borne_out(run: Run, began: Evaluation, end: Evaluation) -> bool:
    """Return whether a search without gradients ended where it began, with no lower value near."""
    scale = max(1.0, abs(end.fun))
    if end.jac is not None or began.fun - end.fun > SAME * scale:
        return False
    steps = np.diag(_NEAR * np.maximum(1.0, np.abs(end.x)))
    values = run.probe(np.array([run.problem.clip(end.x + step) for step in (*steps, *-steps)]))
    # Without nearby values, nothing distinguishes it from any other point.
    return bool(np.isfinite(values).any()) and not (values < end.fun - _ALIKE * scale).any()


def feasible(tolerance: float) -> Callable[[Solve], Solve]:
    """Return the wrapper that accepts a success only where the constraints are met."""

    def wrapped(solve: Solve) -> Solve:
        def checked(run: Run) -> Outcome:
            outcome = solve(run)
            if not (outcome.success or outcome.stop in SUCCESSES):
                return outcome
            missed = run.problem.violation(run.problem.clip(outcome.x))
            if outcome.success and missed <= tolerance:
                return outcome
            words = f"{outcome.message} A constraint is violated by {missed:.3g}."
            failed = replace(outcome, success=False, status=outcome.status or 1)
            return replace(failed, message=words, stop=StopReason.INFEASIBLE)

        return checked

    return wrapped


@dataclass(frozen=True)
class Prepared:
    """A run and how it is executed: the start of minimizing, stepping and lock-step."""

    run: Run
    execute: Callable[[], OptimizerResult]
    #: The name of what only one run at a time may use, such as a library.
    exclusive: str | None
    #: Whether it must not be suspended in a greenlet.
    needs_thread: bool
