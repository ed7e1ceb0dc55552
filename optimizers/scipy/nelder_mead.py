"""The Nelder-Mead simplex inside bounds: it has volume at the start and at the end.

SciPy clips a simplex to the bounds, which may make it flat: no step leads out of a flat one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.gradients.stencils import inside, offset, room
from optimizers.problem.problem import Problem
from optimizers.run.ahead import AheadEvaluator
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.free_variables import FreeVariables
from optimizers.scipy.simplex import Course, simplex_course
from optimizers.scipy.solver import ScipySolver

#: An edge is too short if it is less than this fraction of what fits.
_LEAST = 0.1
#: How far inside the bounds a flat variable is checked, relative to max(1, abs(x)).
_NEAR = 1e-4
#: How often a search with a flat simplex is restarted.
_RESTARTS = 10


class NelderMeadSolver(ScipySolver):
    """Starts with a simplex that has volume, and restarts if it ends flat at a wrong bound."""

    @override
    def solve(self, run: Run) -> Outcome:
        inner = run.waves.evaluator
        if self._given.get("speculate", 1) > 1 and not run.calls_singly:
            run.waves.take_through(AheadEvaluator(inner, run.budget))
        try:
            outcome = super().solve(run)
            for _ in range(_RESTARTS):
                if not (outcome.success and _falls_inside(run, outcome.x)):
                    break
                run.start_from(outcome.x)
                outcome = super().solve(run)
            return outcome
        finally:
            run.waves.take_through(inner)

    @override
    def _functions(
        self, run: Run, *, is_joint: bool
    ) -> tuple[Callable[[Array], Any], Callable[[Array], Any]]:
        value, gradient = super()._functions(run, is_joint=is_joint)
        evaluator = run.waves.evaluator
        if isinstance(evaluator, AheadEvaluator):
            value = _with_points_ahead(run, evaluator, value, self._course(run))
        return value, gradient

    def _course(self, run: Run) -> Course:
        problem, options = run.problem, self._options(run)
        simplex = options["initial_simplex"]
        if simplex is None:
            simplex = _scipys_simplex(problem.x0)
        lower, upper = problem.box
        return simplex_course(
            _clipped(np.array(simplex, dtype=np.float64), lower, upper),
            lambda points: np.clip(points, lower, upper),
            self._given["speculate"],
            is_adaptive=options.get("adaptive", False),
        )

    @override
    def _outcome(self, run: Run, raw: Any, free: FreeVariables) -> Outcome:
        outcome = super()._outcome(run, raw, free)
        is_ahead = isinstance(run.waves.evaluator, AheadEvaluator)
        # It has not converged to a point that it did not ask for, even if that is better.
        return replace(outcome, x=raw.x) if is_ahead and outcome.success else outcome

    @override
    def _options(self, run: Run) -> dict[str, Any]:
        options, problem = super()._options(run), run.problem
        given = options.get("initial_simplex")
        options.pop("speculate", None)
        if run.nfev:  # the given one would lead back
            options["initial_simplex"] = given = None
        if given is None:
            options["initial_simplex"] = _simplex(problem)
        elif _is_flat(given, problem):
            raise OptionError(
                "initial_simplex has no volume inside the bounds, so that no step leads out of "
                "it: omit it, or move its points apart."
            )
        return options


def _with_points_ahead(
    run: Run, evaluator: AheadEvaluator, value: Callable[[Array], float], course: Course
) -> Callable[[Array], float]:
    """Return the values of a run whose evaluator is told what the method may ask for next."""
    expected = next(course)

    def told(x: Array) -> float:
        nonlocal expected
        known = run.questions.known
        further = {point.tobytes(): point for point in expected[1:] if known(point) is None}
        further.pop(x.tobytes(), None)
        evaluator.ahead = tuple(further.values())
        found = value(x)
        answered = run.memory.lookup(x)
        if not (answered is None or answered is run.memory.last):
            run.goes_on_from(answered)  # it was the incumbent before it was asked for
        expected = course.send(found)
        return found

    return told


def _scipys_simplex(x: Array) -> Array:
    """Return the simplex that SciPy makes from a start."""
    simplex = np.tile(x, (x.size + 1, 1))
    np.fill_diagonal(simplex[1:], np.where(x != 0, (1 + 0.05) * x, 0.00025))
    return simplex


def _simplex(problem: Problem) -> Array | None:
    """Return a simplex with volume inside the bounds, or None if SciPy's own has it."""
    if problem.lower is None or problem.upper is None:
        return None
    x, lower, upper = problem.x0, problem.lower, problem.upper
    below, above = room(x, lower, upper)
    size = np.where(x != 0, 0.05 * x, 0.00025)
    edges = _clipped(x + size, lower, upper) - x
    is_short = np.abs(edges) < _LEAST * np.minimum(np.abs(size), np.maximum(below, above))
    if not is_short.any():
        return None
    edges = np.where(is_short, inside(size, below, above), edges)
    return np.vstack([x, offset(x, np.arange(x.size), edges, lower, upper)[0]])


def _clipped(points: Array, lower: Array, upper: Array) -> Array:
    """Return points, clipped as in SciPy."""
    with np.errstate(invalid="ignore"):
        return np.clip(np.where(points > upper, 2 * upper - points, points), lower, upper)


def _is_flat(given: Any, problem: Problem) -> bool:
    """Return whether a simplex is flat inside the bounds; SciPy rejects wrong shapes."""
    simplex = np.atleast_2d(np.asarray(given, dtype=np.float64))
    if simplex.shape != (problem.n + 1, problem.n):
        return False
    lower, upper = problem.box
    edges = np.diff(_clipped(simplex, lower, upper), axis=0)[:, lower < upper]
    edges /= np.maximum(np.abs(edges).max(axis=0), np.finfo(np.float64).tiny)
    return bool(np.linalg.matrix_rank(edges) < edges.shape[1])


def _falls_inside(run: Run, x: Array) -> bool:
    """Return whether the final simplex is flat, with lower values next to it."""
    problem = run.problem
    lower, upper = problem.box
    simplex: Array = run.extra["final_simplex"][0]
    flat = np.flatnonzero((np.ptp(simplex, axis=0) == 0) & (lower < upper))
    if not flat.size:
        return False
    steps = inside(_NEAR * np.maximum(1.0, np.abs(x)), *room(x, lower, upper))
    values = run.probe(offset(x, flat, steps[flat], lower, upper)[0])
    return bool((values < run.value(x)).any())
