"""A solve whose end is confirmed: rejected points may have misled it."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from optimizers.run.outcome import Ending
from optimizers.run.run import Run

#: What runs an algorithm on a run.
Solve: TypeAlias = Callable[[Run], Ending]

#: How often a run that rejected points starts again from its best point, to confirm its end.
_CONFIRMATIONS = 5


def confirmed(solve: Solve) -> Solve:
    """Return a solve that starts again from its end while rejected points may have misled it.

    A stand-in is not the objective: an end that rejections led to is believed when a fresh start
    from there comes to the same without any, or at the latest after a few.
    """

    def confirming(run: Run) -> Ending:
        for _ in range(_CONFIRMATIONS):
            misled = run.nmisled
            ending = solve(run)
            if run.nmisled == misled or ending.stop.is_budget or run.anchor is None:
                return ending
            run.problem = replace(run.problem, x0=run.anchor.x.copy())
        misled = run.nmisled
        ending = solve(run)
        if ending.success and run.nmisled > misled:
            words = "Rejected points may have misled the algorithm."
            return replace(ending, success=False, message=f"{ending.message} {words}")
        return ending

    return confirming
