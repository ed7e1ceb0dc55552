"""The starts of many runs: a box, points drawn in it, and the best of them."""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from optimizers._arrays import as_numbers
from optimizers._types import Array, BoundsLike
from optimizers.errors import InvalidInputError
from optimizers.evaluation.evaluator import Evaluator
from optimizers.problem.bounds import as_bounds
from optimizers.problem.problem import Problem
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Solve

#: How many starts are drawn at a time: a power of 2, as Sobol's points are balanced then.
_DRAWN = 64
#: How many points a run explores, times its number: as many as variables, up to this.
_EXPLORED = 4
#: How many runs advance together if nothing limits how many points are evaluated at once.
_SLOTS = 16
#: About as many iterations a run takes at least.
_RUN = 20
_SAMPLERS = {"sobol": "Sobol", "halton": "Halton", "lhs": "LatinHypercube"}


def start_in(bounds: BoundsLike) -> tuple[Any, BoundsLike]:
    """Return a start, with the structure of the variables, and bounds; from bounds alone."""
    if isinstance(bounds, Mapping):
        return _lows(bounds), bounds
    lower, upper = box_of(bounds)
    return lower, np.column_stack([lower, upper])


def _lows(given: Any, name: str = "") -> Any:
    """Return the lower ones of bounds in a dict, in the structure of the variables."""
    if isinstance(given, Mapping):
        return {k: _lows(each, f"{name}.{k}" if name else str(k)) for k, each in given.items()}
    pairs = as_numbers(given)
    if pairs.ndim > 1 and pairs.shape[-1] == 2:
        return pairs[..., 0]
    if not isinstance(given, list | tuple | np.ndarray) or len(given) != 2:
        raise InvalidInputError(
            f"bounds of {name} is {given!r:.200}, expected a pair (low, high) of numbers, or an "
            "array of pairs; if the variables are something else, describe them by x0."
        )
    return given[1] if given[0] is None else given[0]  # a missing one is an error later


def box_of(bounds: BoundsLike) -> tuple[Array, Array]:
    """Return finite lower and upper bounds."""
    pairs: Any = bounds
    count = len(np.atleast_1d(bounds.lb)) if hasattr(bounds, "lb") else None
    if count is None:
        try:
            pairs = [] if bounds is None else [*bounds]
        except TypeError:
            raise InvalidInputError(
                f"bounds is {bounds!r}, expected finite (low, high) pairs."
            ) from None
        count = len(pairs)
    lower, upper = as_bounds(pairs, count)
    if lower is None or upper is None or not np.isfinite([lower, upper]).all():
        raise InvalidInputError(
            f"bounds is {bounds!r:.200}, expected finite bounds on both sides of each variable, "
            "since starts are drawn between them."
        )
    return lower, upper


def starts_of(sampler: Any, lower: Array, upper: Array, seed: Any) -> Iterator[Array]:
    """Yield an infinite sequence of starts between bounds."""
    from scipy.stats import qmc  # importing it takes longer than all of this package

    if isinstance(sampler, qmc.QMCEngine):
        engine = copy.deepcopy(sampler)
        if engine.d != len(lower):
            raise InvalidInputError(
                f"sampler draws points of {engine.d} variables, expected {len(lower)}, the number "
                "of bounds."
            )
    elif isinstance(sampler, str) and sampler in _SAMPLERS:
        engine = getattr(qmc, _SAMPLERS[sampler])(len(lower), rng=seed)
    else:
        raise InvalidInputError(
            f"sampler is {sampler!r}, expected one of {tuple(_SAMPLERS)} or a QMCEngine."
        )
    while True:
        points = np.asarray(engine.random(_DRAWN), dtype=np.float64)
        yield from np.ascontiguousarray(np.clip(lower + points * (upper - lower), lower, upper))


def explored_of(points: Iterator[Array], n: int) -> Iterator[Array]:
    """Yield the points that each run explores, shape (k, n): it starts from the best of them.

    They are more for each doubling of the number of runs, and one in between: a constant share of
    the evaluations, and most starts are spread evenly, as the rule that ends the search assumes.
    """
    for number in itertools.count(1):
        is_power = number & (number - 1) == 0
        count = number * min(_EXPLORED, n) if is_power else 1
        yield np.array([*itertools.islice(points, count)])


def explored(points: Array) -> Callable[[Solve], Solve]:
    """Return the wrapper that evaluates points in one wave, and starts from the best of them."""

    def wrapped(solve: Solve) -> Solve:
        def solving(run: Run) -> Outcome:
            some = points[: int(min(len(points), max(1, run.budget.left - 1)))]
            values = run.probe(some)
            missed = np.array([run.problem.violation(x) for x in some])
            run.start_from(some[np.lexsort((values, missed))[0]])  # NaN comes last
            return solve(run)

        return solving

    return wrapped


def probes_of(problem: Problem) -> int:
    """Return how many points a gradient takes, about."""
    return 1 if problem.derivatives.is_given else problem.n + 1


def room_for(problem: Problem, evaluator: Evaluator, budget: int) -> dict[str, float]:
    """Return how many runs advance together, and how many points a round has.

    That is one run if points are evaluated one by one. More runs than the budget can bring to their
    ends would end none of them.
    """
    width, each = evaluator.points_at_once, _RUN * probes_of(problem)
    return {"slots": max(1, min(width, _SLOTS, budget // each)), "width": width}
