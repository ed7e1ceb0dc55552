"""What runs an algorithm: bound to its options, confirming its end, or ready to execute."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from optimizers.result import SUCCESSES, OptimizerResult, StopReason
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run

#: An algorithm bound to its options.
Solve: TypeAlias = Callable[[Run], Outcome]

#: How often a run that rejected points starts again from its best point, to confirm its end.
_CONFIRMATIONS = 5


def confirmed(solve: Solve) -> Solve:
    """Return a solve that starts again from its end while rejected points may have misled it.

    An end that penalties led to is believed only if a fresh start from there meets none.
    """

    def confirming(run: Run) -> Outcome:
        for _ in range(_CONFIRMATIONS):
            misled = run.budget.npenalized
            outcome = solve(run)
            if (
                run.budget.npenalized == misled
                or outcome.stop.is_budget
                or run.memory.last_good is None
            ):
                return outcome
            run.start_from(run.memory.last_good.x)
        misled = run.budget.npenalized
        outcome = solve(run)
        if outcome.success and run.budget.npenalized > misled:
            words = "Rejected points may have misled the algorithm."
            return replace(outcome, success=False, message=f"{outcome.message} {words}")
        return outcome

    return confirming


def feasible(tolerance: float) -> Callable[[Solve], Solve]:
    """Return the wrapper that believes a success only where the constraints are met."""

    def wrapped(solve: Solve) -> Solve:
        def checked(run: Run) -> Outcome:
            outcome = solve(run)
            if not (outcome.success or outcome.stop in SUCCESSES):
                return outcome
            missed = run.problem.violation(run.problem.clip(outcome.x))
            if outcome.success and missed <= tolerance:
                return outcome
            words = f"{outcome.message} A constraint is missed by {missed:.3g}."
            failed = replace(outcome, success=False, status=outcome.status or 1)
            return replace(failed, message=words, stop=StopReason.INFEASIBLE)

        return checked

    return wrapped


@dataclass(frozen=True)
class Prepared:
    """A run and how it is executed; what minimizing, stepping and lock-step start from."""

    run: Run
    execute: Callable[[], OptimizerResult]
    #: What only one run at a time may use, such as a library.
    exclusive: str | None
    #: Whether it must not be put aside in a greenlet.
    needs_thread: bool
