"""A run on a noisy objective in stages, each with steps that suit the local noise.

A stage starts the algorithm where the last one ended. It ends when its progress falls below the
noise. Then noise and steps are measured again, since both change along the path; when a stage gains
nothing more, the neighborhood of its end is searched for what the algorithm's own test cannot see,
and only if nothing better is found is the run a success.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optimizers._types import Array
from optimizers.gradients.differences import Differences
from optimizers.gradients.source import EPS
from optimizers.noise.early import early_stages
from optimizers.noise.level import TABLES, plan_noise
from optimizers.noise.neighborhood import (
    UNIT,
    VISIBLE,
    continuation,
    neighborhood,
    neighborhood_size,
    units,
)
from optimizers.noise.stage import Stage, StageOver, end_of
from optimizers.noise.steps import LONG_RUNGS, RUNGS, ladder
from optimizers.problem.derivatives import By
from optimizers.result import StopReason
from optimizers.run.blocks import values_at
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Solve

#: The maximum number of stages.
_STAGES = 20
#: A stage that gained more than this many standard deviations is worth another one.
_GAIN = 10.0
#: And more than this fraction of max(1, abs(f)): noise that falls with the value never ends.
_NEGLIGIBLE = 1e-8
#: A given or earlier measured value is kept if a new measurement is within this factor of it.
_TRUSTED = 3.0
#: How often the neighborhood is searched, each time in better units.
_LOOKS = 3
#: The search may take as many points as the run so far, or this many.
_AFFORDABLE = 1000
#: And what fraction of its points must have a finite value.
_SEEN = 0.5


def in_stages(noise: float | None, has_user_steps: bool) -> Callable[[Solve], Solve]:
    """Return the wrapper that runs an algorithm on a noisy objective; None measures the noise.

    The outcome is a success only if nothing better is visible near its end.
    """
    return lambda solve: lambda run: _solve_in_stages(run, solve, noise, has_user_steps)


def _solve_in_stages(run: Run, solve: Solve, noise: float | None, has_user_steps: bool) -> Outcome:
    if run.problem.is_fixed:
        return solve(run)
    surroundings = _Surroundings(run, noise, has_user_steps)
    early = None
    if noise is None and not (has_user_steps or run.problem.constraints):
        early = early_stages(run, solve, measurement_size(run.problem.n))
    if early is not None and early.outcome is not None:
        return early.outcome
    if early is not None:
        first = early.first.fun
        start = surroundings.measure(early.end.x, early.end)
        run.start_from(start.x)
    else:
        start = surroundings.measure(run.problem.x0, None)
        first = start.fun
    if run.problem.constraints:
        # Better values may violate the constraints: the algorithm's own end is kept, unchecked.
        only = solve(run)
        if not only.success:
            return only
        message = f"{only.message} With constraints and noise, this end is not checked."
        return replace(only, success=False, message=message, stop=StopReason.NOISE)
    for _ in range(_STAGES):
        outcome: Outcome | None = None
        stage = Stage(surroundings.sigma, start.fun)
        with run.watched(stage), contextlib.suppress(StageOver):
            outcome = solve(run)
        if outcome is not None and outcome.stop.is_budget:
            return outcome
        end = end_of(run, outcome, start)
        before = surroundings.sigma
        end = surroundings.measure(end.x, end)
        sigma = surroundings.sigma
        changed = not before / _TRUSTED <= sigma <= before * _TRUSTED
        gained = start.fun - end.fun
        start = end
        better = _best_of(run, end, sigma)
        is_idle = gained <= _negligible(end.fun) or (gained <= _GAIN * sigma and not changed)
        if better is end and is_idle:
            if not surroundings.shows_better(end, first):
                break
            better = _best_of(run, end, sigma)
        if better is not end:
            start = surroundings.measure(better.x, better)
        run.start_from(start.x)
    return surroundings.outcome(start)


def _best_of(run: Run, end: Evaluation, sigma: float) -> Evaluation:
    """Return the best point of the run if it is visibly better: it may be a probe."""
    best = run.best
    margin = max(VISIBLE * sigma, _negligible(end.fun))
    return best if best is not None and best.fun < end.fun - margin else end


def _negligible(value: float) -> float:
    """Return the decrease from ``value`` that is not worth another stage."""
    return _NEGLIGIBLE * max(1.0, abs(value))


def measurement_size(n: int) -> int:
    """Return the maximum number of points of a measurement."""
    return TABLES + 2 * n * len(RUNGS)


class _Surroundings:
    """Measurements around the ends of stages."""

    def __init__(self, run: Run, noise: float | None, has_user_steps: bool) -> None:
        self._run = run
        self._given = noise
        self._has_user_steps = has_user_steps
        self.sigma = noise or 0.0
        self._verdict = "the neighborhood was not searched"
        self._is_minimum = False
        self._units = np.empty(0)

    def measure(self, x: Array, known: Evaluation | None) -> Evaluation:
        """Measure noise and steps at a point, in one wave; return its evaluation."""
        run, problem = self._run, self._run.problem
        lower, upper = problem.lower, problem.upper
        # The given noise is accepted at the start.
        believed = known is None and self._given is not None
        table = plan_noise(x, run.rng, lower, upper)
        line = np.empty((0, x.size)) if believed else table.points
        tried = ladder(x, lower, upper)
        center = np.empty((0, x.size)) if known is not None else x[np.newaxis]
        wave = np.concatenate([center, line, tried.points])
        if known is None and run.waves.over(values_at(problem, wave)) is not None:
            run.value(x)  # the budget allows only the start
        values = run.probe(wave)
        if known is None:
            known = Evaluation(x, float(values[0]))
            values = values[1:]
            if not np.isfinite(known.fun):  # as for any failed start
                known = Evaluation(x, run.value(x))
        if not believed:
            estimate = table.fold(values[: len(line)])
            rounding = EPS * max(abs(known.fun), 1e-300)
            measured = max(estimate.sigma, rounding) if estimate.is_known else rounding
            if not (estimate.is_known or self.sigma == 0.0):
                measured = self.sigma
            close = self.sigma / _TRUSTED <= measured <= self.sigma * _TRUSTED
            self.sigma = self.sigma if close else measured
        run.extra["noise"] = self.sigma
        values = values[len(line) :]
        bent = tried.second_differences(known.fun, values)
        self._units = units(np.array(tried.steps), bent, self.sigma)
        steps = tried.choose(known.fun, values, self.sigma)
        flat = tried.is_flat(known.fun, values, self.sigma)
        if lower is not None and upper is not None:
            flat &= lower < upper
        if flat.any():
            far = ladder(x, lower, upper, LONG_RUNGS, flat)
            values = run.probe(far.points)
            steps = np.where(flat, far.choose(known.fun, values, self.sigma), steps)
            self._units = np.where(flat, steps, self._units)
        is_one_sided = problem.derivatives == By(scheme="2-point")
        if is_one_sided:
            # The units' second differences are known, and with them the step of Moré and Wild.
            steps = 8**0.25 / UNIT**0.5 * self._units
        if not self._has_user_steps:
            run.use(Differences("2-point" if is_one_sided else "3-point", step=steps))
        return known

    def shows_better(self, end: Evaluation, first: float) -> bool:
        """Search around the end of a stage; a better point becomes the run's best."""
        run, x = self._run, end.x
        bounds = run.problem.lower, run.problem.upper
        if _LOOKS * neighborhood_size(run.problem.n) > max(run.nfev, _AFFORDABLE):
            self._verdict = "its neighborhood was not searched, since there are too many variables"
            return False
        moves, is_flat = np.diag(self._units), True
        for _ in range(_LOOKS):
            looked = neighborhood(x, moves, *bounds)
            told = looked.fold(end.fun, run.probe(looked.points))
            ahead = continuation(x, looked, *told, *bounds)
            values = run.probe(ahead.points)
            best = ahead.better(end.fun, values, self.sigma)
            if best is not None and values[best] < end.fun - _negligible(end.fun):
                return True
            if np.isfinite(values).mean() < _SEEN:
                self._verdict = "too few points of its neighborhood have a finite value"
                return False
            is_flat &= ahead.is_flat(end.fun, values, self.sigma)
            moves = ahead.units(end.fun, values, self.sigma)
        self._is_minimum = not is_flat or first - end.fun > _GAIN * self.sigma
        self._verdict = (
            "no better point is visible near this one"
            if self._is_minimum
            else "the objective shows nothing but noise here"
        )
        return False

    def outcome(self, end: Evaluation) -> Outcome:
        """Return the outcome of the run."""
        stop = StopReason.CONVERGED if self._is_minimum else StopReason.NOISE
        message = f"Progress is below the noise of {self.sigma:.1e}: {self._verdict}."
        return Outcome(end.x, self._is_minimum, 0 if self._is_minimum else 1, message, stop, end)
