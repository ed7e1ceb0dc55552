"""Algorithms of which only one run may stand still at a time: who it is, and an error for others.

To wait for it would be to wait for a caller who may be the one that waits.
"""

from collections.abc import Callable

from optimizers.errors import StepperError
from optimizers.result import OptimizerResult
from optimizers.run.run import Run

# The run that is held from outside, by what it alone may use.
_HELD: dict[str, Run] = {}


def check_free(name: str, run: Run) -> None:
    """Raise an error if another run that is held from outside has what a run needs."""
    if _HELD.get(name, run) is not run:
        raise StepperError(
            f"Another run of {name.upper()} is held by a stepper, and this version of SciPy can "
            "have only one under way: end that one first, or take SciPy 1.16 or newer."
        )


def held(
    name: str | None, run: Run, solve: Callable[[], OptimizerResult]
) -> Callable[[], OptimizerResult]:
    """Return what executes a run that is held from outside, and alone may use something."""
    if name is None:
        return solve

    def alone() -> OptimizerResult:
        check_free(name, run)
        _HELD[name] = run
        try:
            return solve()
        finally:
            del _HELD[name]

    return alone
