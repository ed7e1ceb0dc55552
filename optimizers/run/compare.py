"""A user's gradient compared with differences of values."""

from typing import NamedTuple

import numpy as np

from optimizers._types import Array
from optimizers.gradients.differences import Differences
from optimizers.gradients.plan import Plan
from optimizers.gradients.source import EPS
from optimizers.run.blocks import question_at
from optimizers.run.memory import Evaluation
from optimizers.run.run import Run

#: Differences with different steps: their distance estimates their error.
_SCHEMES = Differences("3-point", richardson=True), Differences("3-point")
#: A gradient may differ by this many times the error of the differences,
_ERRORS = 10.0
#: and by this fraction of its largest component; along a line by this fraction and by this many
#: rounding errors.
_PART, _OFF, _ROUNDINGS = 1e-6, 1e-2, 1e3
#: How much shorter the second step along the gradient is.
_SHORTER = 0.01
#: How many points are evaluated at most to find the wrong component of a gradient.
_AFFORDABLE = 600


class Compared(NamedTuple):
    """A gradient, its estimate by differences, the error of that, and a tolerance; shape (n,)."""

    given: Array
    estimated: Array
    error: Array
    allowed: Array

    @property
    def excess(self) -> Array:
        """The distance of the two, in units of the tolerance."""
        apart = np.abs(self.given - self.estimated)
        excess: Array = np.divide(apart, self.allowed, out=np.zeros_like(apart), where=apart > 0)
        return excess


def compared(run: Run, x: Array) -> tuple[float, Compared]:
    """Ask for value and gradient at a point and compare them with differences, in one wave.

    Values of lower than double precision need a second one.
    """
    questions, derivatives = run.questions, run.problem.derivatives
    plans = [] if derivatives.is_given else [questions.plan(x)]
    stencils, precision = _stencils(run, x), run.precision
    probes = np.concatenate([stencil.points for stencil in stencils])
    question = question_at(questions.problem, [x], plans, True, list(probes))
    run.waves.take(question.blocks)
    known = questions.evaluation(question, True, False, 0, x)
    if isinstance(known, Exception):
        raise known
    is_precise = run.precision <= max(precision, EPS)
    values = question.blocks[0].values[-len(probes) :] if is_precise else None
    return known.fun, _compared(run, known, stencils, values)


def _compared(run: Run, known: Evaluation, stencils: list[Plan], values: Array | None) -> Compared:
    """Compare a gradient with differences of values, which are evaluated here if needed."""
    if values is None:
        stencils = _stencils(run, known.x)
        values = run.probe(np.concatenate([stencil.points for stencil in stencils]))
    fine, coarse = stencils
    count, precision = len(fine.points), max(run.precision, EPS)
    estimated, other = fine.fold(known.fun, values[:count]), coarse.fold(known.fun, values[count:])
    error = np.abs(estimated - other) + precision * abs(known.fun) * fine.noise
    assert known.jac is not None
    allowed = _ERRORS * error + _PART * float(np.max(np.abs(estimated), initial=0.0))
    return Compared(known.jac, estimated, error, allowed)


def _stencils(run: Run, x: Array) -> list[Plan]:
    problem, precision = run.problem, max(run.precision, EPS)
    return [scheme.plan(x, problem.lower, problem.upper, precision) for scheme in _SCHEMES]


def disagreement(run: Run, known: Evaluation) -> str | None:
    """Return in words how a user's gradient disagrees with values; None if it agrees.

    Four points along the gradient decide; if they disagree, more points find the component.
    """
    problem, slope = run.problem, known.jac
    if slope is None or not problem.derivatives.is_given or not slope.any():
        return None
    with np.errstate(all="ignore"):
        size = np.maximum(1.0, np.abs(known.x))
        step = EPS ** (1 / 3) * size * (slope / np.max(np.abs(slope)))
        steps = np.array([step, _SHORTER * step])
        low, high = (
            np.array([problem.clip(known.x + p) for p in side]) for side in (-steps, steps)
        )
        values = run.probe(np.concatenate([low, high]))
        changes = np.array([known.fun - values[:2], values[2:] - known.fun])
        promised = np.array([known.x - low, high - known.x]) @ slope
        ratio = changes.sum(axis=0) / promised.sum(axis=0)  # 1 if the gradient is right
        one_sided = changes[:, 1] / promised[:, 1]
        rounding = _ROUNDINGS * max(run.precision, EPS) * abs(known.fun) / promised[:, 0].sum()
        limit = _OFF + rounding + _ERRORS * abs(ratio[0] - ratio[1])
    # At a kink, a gradient between the slopes of the two sides is right.
    is_kink = one_sided.min() - _OFF <= 1 <= one_sided.max() + _OFF
    if is_kink or not limit < abs(ratio[0] - 1) < np.inf:
        return None
    words = "The gradient disagrees with the values"
    if 6 * problem.n > min(_AFFORDABLE, run.budget.left):
        return f"{words}: check_gradient(fun, jac, x) shows where."
    found = _compared(run, known, [], None)
    worst = int(found.excess.argmax())
    if found.excess[worst] <= 1:  # the line was too curved to decide
        return None
    names = problem.parameters and problem.parameters.searched
    where = repr(names[worst]) if names else f"component {worst}"
    return (
        f"{words}: {where} is {found.given[worst]:.6g}, but {found.estimated[worst]:.6g} "
        "by differences; check_gradient(fun, jac, x) shows more."
    )
