"""Undeclared noise, and values that do not change, are detected where a run ends.

An end where the objective still looks steep is evaluated a second time: if the value differs, no
convergence test is reliable. At an end where all differences are exactly zero, wider ones decide.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimizers._types import Array
from optimizers.errors import warn_user
from optimizers.gradients.differences import Differences
from optimizers.result import SUCCESSES, StopReason
from optimizers.run.budget import StopRun
from optimizers.run.compare import disagreement
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import SAME, Solve

#: An end is steep if its slope, over the size of the variables, is this fraction of the range of
#: the values, without wild steps;
_STEEP = 0.02
#: if it is not from differences, if the slope to the nearest point is;
_STEEPER = 3.0
#: and if it is this fraction of max(1, abs(f)).
_STATIONARY = 1e-4
#: Two values at a point that differ by less than this fraction are equal up to rounding.
_ROUNDING = 1e-10
#: How often the end is evaluated again, and a step is tried: counts of shots may agree by chance.
_AGAIN = 2
#: How many steps of different lengths have to lead up on all sides.
_RISES = 3
#: Reasons to stop where no step led down, none by much, or only a short one was left.
_STALLS = (StopReason.NO_PROGRESS, StopReason.FUN, StopReason.STEP, StopReason.CONVERGED)
#: A fall of less than this fraction of max(1, abs(f)) does not count.
_STILL = 1e-8
#: A gradient at a success is clearly not small if it is more than this fraction of max(1, abs(f)).
_PLAIN = 0.5
_FAILURES = (StopReason.NO_PROGRESS, StopReason.NOISE, StopReason.MAXFUN, StopReason.OTHER)
#: Differences of more than this many times max(1, abs(f)) come from wild steps.
_WILD = 10.0
#: An end is high if it is above the best point by more than this fraction of max(1, abs(f)).
_ABOVE = 0.01
#: A slope matters if it is larger than this; so does one that rounding hides in a zero difference.
_HIDDEN = 1e-5
#: Wider steps than those of differences, relative to max(1, abs(x)).
_WIDER = (1e-4, 1e-3, 1e-2, 1e-1, 0.3)
#: Within what distance, relative to the size of the variables, a lower value contradicts an end; at
#: least this many times the distance of the nearest evaluated point, up to a limit;
_NEAR, _TIMES, _FAR = 1e-3, 10.0, 0.1
#: and if it is more than this fraction of what the slope predicts.
_EXPECTED = 0.5
_ADVICE = (
    "Such values do not show whether the end is a minimum: pass noise='estimate', or use "
    "NoisyLBFGSB, SPSA or NFT, which are made for noise, or LM for residuals; noise=0 means that "
    "there is none."
)
_WITHIN = (
    "The values do not change within the step of the differences or of the algorithm, but fall "
    "outside of it: pass their standard deviation, noise=, or wider steps, "
    "jac=Differences(step=...)."
)
_ABOVE_START = (
    "The end is above the start: the gradient is not that of the objective, or steps are too long."
)
_FALLING = (
    "The objective is lower near this end, along its gradient: rounding blurs its differences, or "
    "it is too steep for the first step. Scale it, or pass jac or wider steps."
)
_EMPTY = "x0 is empty: there is no variable to search."
_NONE_FREE = "All variables of x0 are fixed."


def noticed(solve: Solve, looks_for_noise: bool) -> Solve:
    """Return a solve that is a success only if its values confirm that.

    It is a failure if noise is visible (where that is checked), if differences are zero for lack of
    resolution, or if values fall along the gradient near the end.
    """

    def noticing(run: Run) -> Outcome:
        outcome = _on_a_value(run, run.complete(solve(run)))
        wrong = run.questions.assumed.contradiction
        if outcome.success and wrong is not None:
            outcome = _failed(outcome, StopReason.NO_PROGRESS, wrong)
        try:
            if looks_for_noise:
                outcome = _unless_noisy(run, outcome)
            outcome = _with_gradient(run, _unless_falling(run, _unless_flat(run, outcome)))
            outcome = _told(run, outcome)
            # A point of the check may be better than the end.
            return _on_best(run, outcome) if outcome.stop is StopReason.NO_PROGRESS else outcome
        except StopRun as stop:
            if stop.reason in SUCCESSES:  # the goal was reached near the end
                raise
            if stop.reason is StopReason.CALLBACK:  # a request to stop: the run has ended anyway
                return outcome
            words = "No budget was left to check whether the values confirm the end."
            return _on_best(run, _failed(outcome, stop.reason, words))

    return noticing


def _on_a_value(run: Run, outcome: Outcome) -> Outcome:
    """Return an outcome at the best point if a penalty was the answer at its own."""
    good, best = run.memory.last_good, run.best
    if outcome.known is not None or best is None:
        return outcome
    known = good if good is not None and good.is_at(best.x) else best
    stop = StopReason.NO_PROGRESS
    return Outcome(best.x, False, outcome.status or 1, outcome.message, stop, known)


def _unless_noisy(run: Run, outcome: Outcome) -> Outcome:
    """Return an outcome as a failure if noise is visible, and failures at the best point."""
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
    """Return a success as a failure if wider differences than those that are zero contradict it."""
    known, problem = outcome.known, run.problem
    if not outcome.success or known is None or problem.derivatives.is_given or problem.is_fixed:
        return outcome
    if _may_be_flat(run, known) and _falls_beside(run, known):
        return _on_best(run, _failed(outcome, StopReason.NO_PROGRESS, _WITHIN))
    return outcome


def _unless_falling(run: Run, outcome: Outcome) -> Outcome:
    """Return a success by a short or no step, or high up, as a failure if a step leads down."""
    known = outcome.known
    if not outcome.success or known is None or run.problem.constraints or run.problem.is_fixed:
        return outcome
    last = _nearest(run.memory.recent, known, np.maximum(1.0, np.abs(known.x)))[1]
    is_high, start = _is_high(run, known), run.problem.x0
    if is_high and run.probe(start[np.newaxis])[0] < known.fun:
        return _on_best(run, _failed(outcome, StopReason.NO_PROGRESS, _ABOVE_START))
    is_doubtful = (
        (outcome.stop is StopReason.STEP and last * _TIMES <= _FAR)
        or (outcome.stop is not StopReason.GRADIENT and known.is_at(start))
        or is_high
    )
    if is_doubtful and _falls_along_gradient(run, known, min(max(_NEAR, _TIMES * last), _FAR)):
        return _on_best(run, _failed(outcome, StopReason.NO_PROGRESS, _FALLING))
    return outcome


def _with_gradient(run: Run, outcome: Outcome) -> Outcome:
    """Return an end that stalls on a slope as a failure if the gradient is wrong."""
    known = outcome.known
    if known is None or known.jac is None or outcome.stop not in _STALLS:
        return outcome
    scale = max(1.0, abs(known.fun))
    limit = _STATIONARY * scale
    if outcome.stop is StopReason.FUN:  # a larger last decrease met a tolerance
        last = _nearest(run.memory.recent, known, np.maximum(1.0, np.abs(known.x)))[0]
        if last is not None and abs(last.fun - known.fun) > _STILL * scale:
            return outcome
    if outcome.success:
        limit = max(limit, min(_STEEP * (run.memory.worst - known.fun), _PLAIN * scale))
    with np.errstate(all="ignore"):
        away = known.x - run.problem.clip(known.x - known.jac)
        move = away * (_NEAR / max(1.0, float(np.max(np.abs(away), initial=0.0))))
    if not float(np.max(np.abs(away), initial=0.0)) > limit:
        return outcome
    # Constraints can keep an end on a slope: then a step down it violates one.
    if outcome.success and not run.memory.is_feasible(run.problem.clip(known.x - move)):
        return outcome
    try:
        words = disagreement(run, known)
    except StopRun as stop:
        if stop.reason in SUCCESSES:
            raise
        return outcome
    return outcome if words is None else _failed(outcome, StopReason.NO_PROGRESS, words)


def _told(run: Run, outcome: Outcome) -> Outcome:
    """Return a success that says where nothing was there to search: no variables, or one value."""
    problem, memory, known = run.problem, run.memory, outcome.known
    if problem.n == 0:
        is_empty = problem.parameters is None or problem.parameters.structure.size == 0
        return replace(outcome, message=_EMPTY if is_empty else _NONE_FREE)
    if not outcome.success or known is None or run.best is None or problem.is_fixed:
        return outcome
    has_moved = any(not seen.is_at(known.x) for seen in memory.recent)
    has_moved |= not problem.derivatives.is_given and run.nfev > problem.n
    if not has_moved or run.best.fun != memory.worst:
        return outcome
    words = f"All {run.nfev} values were equal: fun may not depend on x, or only in coarse steps."
    return replace(outcome, message=f"{outcome.message.rstrip(' .')}. {words}")


def _failed(outcome: Outcome, stop: StopReason, words: str) -> Outcome:
    message, status = f"{words} It ended with: {outcome.message}", outcome.status or 1
    return replace(outcome, success=False, status=status, message=message, stop=stop)


def _is_high(run: Run, end: Evaluation) -> bool:
    """Return whether an end is far above the best point of the run."""
    best = run.best
    if best is None or run.problem.constraints:
        return False
    return end.fun - best.fun > _ABOVE * max(1.0, abs(end.fun))


def _is_steep(run: Run, end: Evaluation) -> bool:
    """Return whether the slope at the end contradicts it, given all evaluations of the run."""
    memory, size, scale = run.memory, np.maximum(1.0, np.abs(end.x)), max(1.0, abs(end.fun))
    spread, latest = memory.worst - (end if run.best is None else run.best).fun, None
    if not run.problem.derivatives.is_given:
        spread = min(spread, _WILD * scale)
        latest = next((k for k in (end, *reversed(memory.recent)) if k.jac is not None), None)
    with np.errstate(all="ignore"):
        if latest is None or latest.jac is None:
            fall, part = _next_to(memory.recent, end, size), _STEEPER
        else:
            away = latest.x - run.problem.clip(latest.x - latest.jac)
            fall, part = float(np.max(np.abs(away) * size)), _STEEP
    return fall > max(part * spread, _STATIONARY * scale)


def _next_to(recent: Sequence[Evaluation], end: Evaluation, size: Array) -> float:
    """Return the slope to the nearest recent point, minus what a known gradient explains."""
    nearest, distance = _nearest(recent, end, size)
    if nearest is None or nearest.is_at(end.x):
        return 0.0
    explained = 0.0 if end.jac is None else float(end.jac @ (nearest.x - end.x))
    return abs(nearest.fun - end.fun - explained) / distance


def _nearest(
    recent: Sequence[Evaluation], end: Evaluation, size: Array
) -> tuple[Evaluation | None, float]:
    """Return the nearest recent point that is not the end, and its distance."""
    if not recent or not end.x.size:
        return None, 0.0
    aways = np.max(np.abs(np.array([seen.x for seen in recent]) - end.x) / size, axis=1)
    aways[aways == 0] = np.inf
    return recent[int(aways.argmin())], float(aways.min())


def _may_be_flat(run: Run, end: Evaluation) -> bool:
    """Return whether differences may be zero because the values lack resolution."""
    memory, source = run.memory, run.source
    if memory.best is not None and memory.best.fun == memory.worst:
        return run.nfev > run.problem.n  # a value that never changed
    if end.jac is None:  # only values: how many of the last are equal?
        same = sum(seen.fun == end.fun for seen in memory.recent)
        return same > max(1, len(memory.recent) // 2)
    if not isinstance(source, Differences):
        return False
    if end.jac.any():  # as large as a jump of coarse values
        return _is_coarse(run) and _is_steep(run, end)
    if source.kind == "2-point":  # these are not zero even at a minimum
        return True
    jumps = (seen.jac is not None and _is_steep(run, seen) for seen in memory.recent)
    return _hidden(run, end) > _HIDDEN or any(jumps)


def _is_coarse(run: Run) -> bool:
    """Return whether different recent points have exactly equal values, as counts do."""
    seen = {(known.x.tobytes(), known.fun) for known in run.memory.recent}
    return len({fun for _, fun in seen}) < len(seen)


def _hidden(run: Run, end: Evaluation) -> float:
    """Return the slope that rounding hides in differences at the end."""
    noise = float(run.questions.plan(end.x).noise.max(initial=0.0))
    return run.precision * abs(end.fun) * noise


def _difference(run: Run, end: Evaluation) -> float:
    """Return by how much another value at the end differs; zero if none does."""
    for _ in range(_AGAIN):
        again = run.ask([end.x], penalize=False).found[0]
        difference = 0.0 if again is None else abs(again.fun - end.fun)
        if difference > _ROUNDING * abs(end.fun):
            return difference
    return 0.0


def _falls_beside(run: Run, end: Evaluation) -> bool:
    """Return whether values fall near a point, by the shortest steps that show a change.

    All variables move together, each by a different fraction of its size and along three
    directions, so that slopes do not cancel. With fewer steps, coarse values may rise on all
    sides by chance.
    """
    size, number = np.maximum(1.0, np.abs(end.x)), np.arange(end.x.size)
    move = (1 - 0.5 * np.mod(0.618 * number, 1.0)) * size
    signs = [np.ones(number.size), (-1.0) ** number, (-1.0) ** (number // 2)]
    moves = [side * sign * move for sign in signs for side in (1, -1)]
    # A search without gradients ends where values differ by less than its tolerance.
    margin, rises = 0.0 if end.jac is not None else SAME * max(1.0, abs(end.fun)), 0
    for step in _WIDER:
        values = run.probe(np.array([run.problem.clip(end.x + step * move) for move in moves]))
        if (values < end.fun - margin).any():
            return True
        rises += bool((values != end.fun).all())
        if rises == _RISES:
            break
    return False


def _falls_along_gradient(run: Run, end: Evaluation, distance: float) -> bool:
    """Return whether a step against a seemingly steep gradient leads down as the slope predicts."""
    memory, problem, size = run.memory, run.problem, np.maximum(1.0, np.abs(end.x))
    slope = next((k.jac for k in (end, *reversed(memory.recent)) if k.jac is not None), None)
    if slope is None:
        return False
    hidden = 0.0 if problem.derivatives.is_given else _TIMES * _hidden(run, end)
    with np.errstate(all="ignore"):
        spread = min(memory.worst - end.fun, _WILD * max(1.0, abs(end.fun)))
        move = problem.clip(end.x - np.copysign(size, slope)) - end.x
        falls = -slope * move  # by each variable, moved by its size or to its bound
        steepest = float(falls.max(initial=0.0))
        if not max(_STEEP * spread, _ROUNDING * abs(end.fun), _HIDDEN) < steepest < np.inf:
            return False
        if steepest <= hidden:  # it does not show which way is down
            return _falls_beside(run, end)
        x = problem.clip(end.x + distance * (falls / steepest) * move)
        expected = float(slope @ (end.x - x))
        return bool(end.fun - run.probe(x[np.newaxis])[0] > _EXPECTED * expected)


def _on_best(run: Run, outcome: Outcome) -> Outcome:
    """Return a failure at the best point, if that is visibly better."""
    known, best = outcome.known, run.best
    # A caller that passes NaN on to the algorithm, as SciPy does, gets it.
    if known is None or best is None or np.isnan(known.fun):
        return outcome
    margin = SAME * max(1.0, abs(known.fun))
    return outcome if best.fun >= known.fun - margin else replace(outcome, x=best.x, known=best)
