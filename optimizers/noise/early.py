"""The first stages of a run on a noisy objective, which begin with a quick measurement.

The steps of their differences follow the noise, which is taken to go with the value. Where progress
stalls, the next stage begins with another quick measurement. Only if that does not help, the noise
is worth the points that the tables of the later stages take.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.gradients.differences import Differences, Scheme
from optimizers.gradients.source import EPS
from optimizers.noise.quick import COARSE, Quick, plan_quick, steps_for
from optimizers.noise.stage import Stage, StageOver, end_of
from optimizers.problem.derivatives import By
from optimizers.run.blocks import values_at
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Solve

#: This many stages in a row without visible progress are the last.
_PATIENCE = 2
#: A stage is progress if it gains more than this many standard deviations.
_GAIN = 2.0
#: This many evaluations in one iteration without visible progress end a stage.
_IDLE_ASKS = 6
#: Noise that is larger than expected by more than this factor does not go with the value.
_TRUSTED = 3.0
_TINY = 1e-300


@dataclass(frozen=True)
class Early:
    """Where the early stages began and ended; the outcome, if they end the run."""

    first: Evaluation
    #: The standard deviation of the first value.
    sigma: float
    end: Evaluation
    outcome: Outcome | None = None


class EarlyStage(Stage):
    """A stage whose noise goes with the value, and the steps of differences with the noise."""

    _idle_asks = _IDLE_ASKS

    def __init__(
        self, run: Run, start: Evaluation, quick: Quick, floor: float, entries: Sequence[str]
    ) -> None:
        super().__init__(quick.sigma, start.fun)
        self.curvature = quick.curvature
        self._run, self._quick, self._floor, self._entries = run, quick, floor, entries
        self._start = start
        self.follow(start)

    @override
    def asked(self, value: float) -> None:
        super().asked(min(value, self.last))  # one above the iterate is no progress either

    @override
    def iterated(self, value: float) -> None:
        super().iterated(value)
        if self._run.memory.iterate is not None:
            self.follow(self._run.memory.iterate)

    def follow(self, at: Evaluation) -> None:
        """Take the noise at an iterate, and use steps that suit it."""
        run, size, first = self._run, abs(at.fun), abs(self._start.fun)
        part = size / first if size < first else 1.0
        self.sigma = max(self._quick.sigma * part, self._floor, EPS * size, _TINY)
        run.extra.update(dict.fromkeys(self._entries, self.sigma))
        # One-sided differences, unless the user has named others.
        is_central = run.problem.derivatives == By(scheme="3-point")
        scheme: Scheme = "3-point" if is_central else "2-point"
        run.use(Differences(scheme, step=steps_for(at.x, self._quick.bends, self.sigma, scheme)))


def early_stages(
    run: Run, solve: Solve, price: int, entries: Sequence[str] = ("noise",)
) -> Early | None:
    """Run an algorithm in early stages; None if the first measurement does not tell enough.

    They go on where the budget does not allow what follows, which takes ``price`` points. The
    noise becomes these entries of the result.
    """
    x = run.problem.x0
    found = _measured(run, x, None, COARSE * np.maximum(1.0, np.abs(x)))
    begun, floor, idle = None, 0.0, 0
    while found is not None:
        start, quick = found
        begun = begun or (start, quick.sigma)
        run.start_from(start.x, start)
        stage, outcome = EarlyStage(run, start, quick, floor, entries), None
        visible = _GAIN * stage.sigma
        with run.watched(stage), contextlib.suppress(StageOver):
            outcome = solve(run)
        if outcome is not None and outcome.stop.is_budget:
            return Early(*begun, start, outcome)
        end = end_of(run, outcome, start)
        idle = 0 if start.fun - end.fun > visible else idle + 1
        if idle >= _PATIENCE and run.budget.left >= price:
            return Early(*begun, end)
        stage.follow(end)
        found = _measured(run, end.x, end, steps_for(end.x, quick.bends, stage.sigma, "3-point"))
        if found is not None and found[1].sigma > _TRUSTED * stage.sigma:
            floor = found[1].sigma
    return None if begun is None else Early(*begun, end)


def _measured(
    run: Run, x: Array, known: Evaluation | None, steps: Array
) -> tuple[Evaluation, Quick] | None:
    """Measure a point, whose value may be known, in one wave; None if that does not tell enough."""
    problem = run.problem
    plan = plan_quick(x, steps, run.rng, problem.lower, problem.upper)
    wave = plan.points if known is not None else np.concatenate([x[np.newaxis], plan.points])
    if known is None:
        cost = run.waves.cost([run.waves.measured(values_at(problem, wave))])
        if run.budget.over(cost) is not None:
            run.value(x)  # the budget allows only the start
    values = run.probe(wave)
    if known is None:
        known, values = Evaluation(x, float(values[0])), values[1:]
    if not (np.isfinite(known.fun) and np.isfinite(values).all()):
        return None
    quick = plan.fold(known.fun, values)
    return None if quick is None else (Evaluation(x, known.fun, quick.gradient), quick)
