"""A solve whose end is confirmed: rejected points may have misled it."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from optimizers.run.outcome import Outcome
from optimizers.run.run import Run

#: What runs an algorithm on a run.
Solve: TypeAlias = Callable[[Run], Outcome]

#: How often a run that rejected points starts again from its best point, to confirm its end.
_CONFIRMATIONS = 5


def confirmed(solve: Solve) -> Solve:
    """Return a solve that starts again from its end while rejected points may have misled it.

    A stand-in is not the objective: an end that rejections led to is believed when a fresh start
    from there comes to the same without any, or at the latest after a few.
    """

    def confirming(run: Run) -> Outcome:
        for _ in range(_CONFIRMATIONS):
            misled = run.npenalized
            outcome = solve(run)
            if run.npenalized == misled or outcome.stop.is_budget or run.last_good is None:
                return outcome
            run.problem = replace(run.problem, x0=run.last_good.x.copy())
        misled = run.npenalized
        outcome = solve(run)
        if outcome.success and run.npenalized > misled:
            words = "Rejected points may have misled the algorithm."
            return replace(outcome, success=False, message=f"{outcome.message} {words}")
        return outcome

    return confirming
