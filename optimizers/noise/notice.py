"""Noise that nobody spoke of, and values that do not change, are noticed where a run ends.

An end where the objective is still steep, for all that the run has seen of it, is evaluated a
second time: where another value comes of it, no convergence test is borne out. At an end where all
differences are exactly zero, wider ones decide.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimizers._types import Array
from optimizers.errors import warn_user
from optimizers.gradients.differences import Differences
from optimizers.result import StopReason
from optimizers.run.budget import StopRun
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import SAME, Solve

#: An end is steep if its slope, over the size of the variables, makes this part of what the values
#: differ by, of which wild steps do not count;
_STEEP = 0.02
#: where it is not had by differences, if the slope to the nearest point does;
_STEEPER = 3.0
#: and if it makes this part of max(1, abs(f)).
_STATIONARY = 1e-4
#: Two values at a point that differ by less than this part of them are one, but for rounding.
_ROUNDING = 1e-10
#: How often the end is evaluated again: counts of shots may agree by chance.
_AGAIN = 2
_FAILURES = (StopReason.NO_PROGRESS, StopReason.NOISE, StopReason.MAXFUN, StopReason.OTHER)
#: Differences of more than so many times max(1, abs(f)) are those of wild steps.
_WILD = 10.0
#: An end is high if it is above the best point by more than this part of max(1, abs(f)).
_ABOVE = 0.01
#: A slope that rounding hides in a difference of zero matters if it is larger.
_HIDDEN = 1e-5
#: Wider steps than those of differences, relative to max(1, abs(x)).
_WIDER = (1e-4, 1e-3, 1e-2, 1e-1)
_ADVICE = (
    "No end can be told from a minimum by such values alone: give noise='estimate', or take "
    "NoisyLBFGSB, SPSA or NFT, which are made for noise; noise=0 says that there is none."
)
_WITHIN = (
    "The values do not change within the step of the differences, and fall beside it: give noise=, "
    "the standard deviation of a value, or wider steps, jac=Differences(step=...)."
)


def noticed(solve: Solve, looks_for_noise: bool) -> Solve:
    """Return a solve that is not a success where its values do not bear that out, for two reasons.

    Where noise shows, if it is looked for, and where differences are zero for want of resolution.
    """

    def noticing(run: Run) -> Outcome:
        outcome = run.complete(solve(run))
        try:
            if looks_for_noise:
                outcome = _unless_noisy(run, outcome)
            return _unless_flat(run, outcome)
        except StopRun as stop:
            if stop.reason is StopReason.CALLBACK:  # a wish: the run has ended anyway
                return outcome
            words = "There was nothing left to look whether its values bear out the end."
            return _on_best(run, _failed(outcome, stop.reason, words))

    return noticing


def _unless_noisy(run: Run, outcome: Outcome) -> Outcome:
    """Return an outcome as a failure if noise shows, and failures on the best point."""
    known = outcome.known
    doubtful = outcome.success or outcome.stop is StopReason.NO_PROGRESS
    if known is not None and doubtful and (_is_high(run, known) or _is_steep(run, known)):
        difference = _difference(run, known)
        if difference > 0:
            words = f"The objective has noise: two values at x differ by {difference:.1g}."
            warn_user(f"{words} {_ADVICE}")
            outcome = _failed(outcome, StopReason.NOISE, words)
    return _on_best(run, outcome) if outcome.stop in _FAILURES else outcome


def _unless_flat(run: Run, outcome: Outcome) -> Outcome:
    """Return a success as a failure if wider differences than those that are zero belie it."""
    known, problem = outcome.known, run.problem
    if not outcome.success or known is None or problem.derivatives.is_given or problem.is_fixed:
        return outcome
    if _may_be_flat(run, known) and _falls_beside(run, known):
        return _on_best(run, _failed(outcome, StopReason.NO_PROGRESS, _WITHIN))
    return outcome


def _failed(outcome: Outcome, stop: StopReason, words: str) -> Outcome:
    message, status = f"{words} It ended with: {outcome.message}", outcome.status or 1
    return replace(outcome, success=False, status=status, message=message, stop=stop)


def _is_high(run: Run, end: Evaluation) -> bool:
    """Return whether an end is far above the best point that the run has seen."""
    best = run.best
    if best is None or run.problem.constraints:
        return False
    return end.fun - best.fun > _ABOVE * max(1.0, abs(end.fun))


def _is_steep(run: Run, end: Evaluation) -> bool:
    """Return whether the slope at the end belies it, for all that the run has seen."""
    memory, low = run.memory, end.fun if run.best is None else run.best.fun
    size, scale = np.maximum(1.0, np.abs(end.x)), max(1.0, abs(end.fun))
    latest = None
    if not run.problem.derivatives.is_given:
        latest = next((k for k in (end, *reversed(memory.recent)) if k.jac is not None), None)
    with np.errstate(all="ignore"):
        if latest is None or latest.jac is None:
            fall, limit = _next_to(memory.recent, end, size), _STEEPER * (memory.worst - low)
        else:
            away = latest.x - run.problem.clip(latest.x - latest.jac)
            fall = float(np.max(np.abs(away) * size))
            limit = _STEEP * min(memory.worst - low, _WILD * scale)
    return fall > max(limit, _STATIONARY * scale)


def _next_to(recent: Sequence[Evaluation], end: Evaluation, size: Array) -> float:
    """Return the slope to the nearest of recent points, less what a known gradient explains."""
    if not recent or not end.x.size:
        return 0.0
    aways = np.max(np.abs(np.array([seen.x for seen in recent]) - end.x) / size, axis=1)
    aways[aways == 0] = np.inf
    nearest, distance = recent[int(aways.argmin())], float(aways.min())
    explained = 0.0 if end.jac is None else float(end.jac @ (nearest.x - end.x))
    return abs(nearest.fun - end.fun - explained) / distance


def _may_be_flat(run: Run, end: Evaluation) -> bool:
    """Return whether differences may be zero since the values do not show how they change."""
    memory, source = run.memory, run.source
    if memory.best is not None and memory.best.fun == memory.worst:
        return run.nfev > run.problem.n  # a value that never changed
    if end.jac is None or end.jac.any() or not isinstance(source, Differences):
        return False
    if source.kind == "2-point":  # of which even a minimum leaves something
        return True
    hidden = run.precision * abs(end.fun) * float(run.questions.plan(end.x).noise.max(initial=0.0))
    jumps = (seen.jac is not None and _is_steep(run, seen) for seen in memory.recent)
    return hidden > _HIDDEN or any(jumps)


def _difference(run: Run, end: Evaluation) -> float:
    """Return by how much another value at the end differs; zero where none does."""
    for _ in range(_AGAIN):
        again = run.ask([end.x], penalize=False).found[0]
        difference = 0.0 if again is None else abs(again.fun - end.fun)
        if difference > _ROUNDING * abs(end.fun):
            return difference
    return 0.0


def _falls_beside(run: Run, end: Evaluation) -> bool | None:
    """Return whether values fall beside a point, by the shortest step that tells; None: none does.

    All variables move together, each by another part of its size and along two directions, so that
    slopes do not cancel.
    """
    size, number = np.maximum(1.0, np.abs(end.x)), np.arange(end.x.size)
    move = (1 - 0.5 * np.mod(0.618 * number, 1.0)) * size
    moves = [move, -move, move * (-1.0) ** number, -move * (-1.0) ** number]
    for step in _WIDER:
        values = run.probe(np.array([run.problem.clip(end.x + step * move) for move in moves]))
        if (values < end.fun).any():
            return True
        if (values != end.fun).all():
            return False
    return None


def _on_best(run: Run, outcome: Outcome) -> Outcome:
    """Return a failure as one on the best point, if that is visibly better."""
    known, best = outcome.known, run.best
    # Who lets NaN go on to the algorithm, as SciPy does, is told of it.
    if known is None or best is None or np.isnan(known.fun):
        return outcome
    margin = SAME * max(1.0, abs(known.fun))
    return outcome if best.fun >= known.fun - margin else replace(outcome, x=best.x, known=best)
