"""A run handed over to SciPy's global methods: their seeds, waves and endings."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import scipy.optimize
from typing_extensions import override

from optimizers._types import Array
from optimizers.problem.problem import Problem
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.free_variables import FreeVariables
from optimizers.scipy.method import FAR, MOST
from optimizers.scipy.solver import ScipySolver

#: Values of the points of a wave, in the free variables.
Values: TypeAlias = Callable[[Sequence[Array]], list[float]]


class GlobalSolver(ScipySolver):
    """A global method of SciPy's on a run; it asks again for points that are known, as in SciPy."""

    #: Whether a success is that of a local search, which a penalty can mislead.
    _ends_locally = False

    @override
    def _called(
        self,
        run: Run,
        free: FreeVariables,
        value: Callable[[Array], Any],
        gradient: Callable[[Array], Any],
        on_iteration: Callable[..., None],
    ) -> Any:
        def values(points: Sequence[Array]) -> list[float]:
            before = run.budget.npenalized
            answers = run.ask([free.whole(x) for x in points])
            # A penalty is above all values: a search that compares these is not misled.
            if len(points) > 1 or not self._ends_locally:
                run.penalties_seen(run.budget.npenalized - before)
            return [known.fun for known in answers.found if known is not None]

        # What else SciPy passes differs from method to method.
        def on_best(x: Array, *others: Any, **named: Any) -> None:
            on_iteration(np.array(x))

        with run.guard(values) as wave, run.guard(on_best) as note:
            function, given = self._function(run, free, wave)
            given |= {"bounds": free.bounds, "callback": note}
            raw = function(lambda x: wave([x])[0], **self._options(run), **given)
        raw.message = " ".join(np.atleast_1d(raw.message))
        if raw.x is None:  # no point was feasible
            raw.x = free.x0
        return raw

    @abstractmethod
    def _function(
        self, run: Run, free: FreeVariables, values: Values
    ) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Return SciPy's function, and what it gets besides objective, bounds and options."""

    @override
    def _outcome(self, run: Run, raw: Any, free: FreeVariables) -> Outcome:
        outcome = super()._outcome(run, raw, free)
        # To SciPy, the end of dual annealing's iterations is a success.
        is_limit = outcome.success and outcome.stop.is_budget
        return replace(outcome, success=False, status=1) if is_limit else outcome


class EvolutionSolver(GlobalSolver):
    """Differential evolution: a generation is a wave."""

    @override
    def _function(
        self, run: Run, free: FreeVariables, values: Values
    ) -> tuple[Callable[..., Any], dict[str, Any]]:
        given: dict[str, Any] = {"x0": _start(run, free), "rng": run.rng}
        if given["x0"] is not None:
            given["x0"] = _off_the_bounds(given["x0"], run.problem)
        given["constraints"] = _constraints(run, free)
        if self._given.get("updating") != "immediate":
            given["workers"] = lambda function, points: values(points)
        return scipy.optimize.differential_evolution, given

    @override
    def _options(self, run: Run) -> dict[str, Any]:
        return {"updating": "deferred", **super()._options(run)}


class AnnealingSolver(GlobalSolver):
    """Dual annealing."""

    @override
    def _function(
        self, run: Run, free: FreeVariables, values: Values
    ) -> tuple[Callable[..., Any], dict[str, Any]]:
        given = {"x0": _start(run, free), "rng": run.rng, **_limit(run)}
        return scipy.optimize.dual_annealing, given


class DirectSolver(GlobalSolver):
    """DIRECT."""

    @override
    def _function(
        self, run: Run, free: FreeVariables, values: Values
    ) -> tuple[Callable[..., Any], dict[str, Any]]:
        return scipy.optimize.direct, _limit(run)


class ShgoSolver(GlobalSolver):
    """Simplicial homology: the points of an iteration are a wave."""

    _ends_locally = True

    @override
    def _function(
        self, run: Run, free: FreeVariables, values: Values
    ) -> tuple[Callable[..., Any], dict[str, Any]]:
        def mapped(function: Any, points: list[Array]) -> Iterable[Any]:
            # SciPy's name of the objective; constraints have another, and come here too.
            is_objective = getattr(function, "__name__", "") == "func"
            return values(points) if is_objective else map(function, points)

        constraints = _constraints(run, free) or None
        return scipy.optimize.shgo, {"constraints": constraints, "workers": mapped}

    @override
    def _outcome(self, run: Run, raw: Any, free: FreeVariables) -> Outcome:
        if "xl" in raw:
            raw.xl = np.array([free.whole(x) for x in raw.xl])
        return super()._outcome(run, raw, free)


def _start(run: Run, free: FreeVariables) -> Array | None:
    return free.x0 if run.problem.has_start else None


def _off_the_bounds(x: Array, problem: Problem) -> Array:
    """Return a point that SciPy's scaling, which rounds, does not move out of the bounds."""
    lower, upper = problem.box
    rounding = 4 * np.spacing(np.maximum(np.abs(lower), np.abs(upper)))
    margin = np.minimum(rounding, 0.5 * (upper - lower))
    return np.clip(x, lower + margin, upper - margin)


def _limit(run: Run) -> dict[str, int]:
    """Return a limit for SciPy that the run's, if it has one, comes before."""
    limit = run.budget.maxfun
    return {} if limit is None else {"maxfun": min(limit + FAR, MOST)}


def _constraints(run: Run, free: FreeVariables) -> list[Any]:
    """Return the constraints; differential evolution takes none that is a dict."""
    pairs = zip(run.problem.constraints, free.constraints(False), strict=True)
    return [
        scipy.optimize.NonlinearConstraint(own.fun, own.lower, own.upper)
        if isinstance(given, dict)
        else given
        for own, given in pairs
    ]
