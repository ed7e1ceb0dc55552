"""A wrapper of a solve, whose gradient source first learns from values what it needs to know."""

import functools

from optimizers.gradients.source import GradientSource, Learning
from optimizers.run.assumed import named
from optimizers.run.blocks import values_at
from optimizers.run.budget import StopRun
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Solve


def learned(solve: Solve) -> Solve:
    """Return a solve whose gradient source first finds out what it needs to know."""

    def learning(run: Run) -> Outcome:
        problem, noise = run.problem, run.noise
        asking = run.source.learning(
            problem.x0,
            *problem.box,
            None if isinstance(noise, str) else noise,
            functools.partial(named, problem),
        )
        if asking is not None and not problem.is_fixed:
            run.use(_found(run, asking))
        return solve(run)

    return learning


def _found(run: Run, asking: Learning) -> GradientSource:
    """Answer the questions of a source, and return the one to use."""
    points = next(asking)
    while True:
        block = values_at(run.problem, points)
        reason = run.waves.over(block)
        if reason is not None:
            run.value(run.problem.x0)
            raise StopRun(
                reason,
                f"Finding the frequencies takes {len(points)} points, but {run.budget.left:.0f} "
                f"are left: pass them, or raise {reason.value}.",
            )
        values = run.waves.probe(block)
        try:
            points = asking.send((values, block.errors))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a generator's
