"""Univariate marginal distributions, fitted to the best of each generation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.asktell.messages import AskData
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.options.table import Option, limit, number, whole
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels

#: The standard deviation of the first generation, and its minimum in all others.
_SPREAD = 0.5
_LEAST_SPREAD = 0.3
#: The maximum spread as a fraction of the distance of the bounds.
_ROOM = 0.25
#: The fraction of the selected individuals that the next generation keeps.
_ELITE = 0.4
#: The fraction of the generations in a row that may be without a better individual.
_IDLE = 5


class UMDA(FlowOptimizer):
    r"""Continuous univariate marginal distribution algorithm (UMDA), a search by populations.

    A generation is drawn from a normal distribution for each variable, and evaluated in one wave.
    The best of it, and of those kept from the last one, give the next mean and standard deviation;
    the best of these are kept. The first generation is ``x0`` and points drawn around it.

    The standard deviation is 0.5 at first, and at least 0.3 afterwards, which suits angles: the
    search does not settle, so start another optimizer from its result. Within bounds it is at most
    a quarter of their distance at first, and at least three fifths of that; points drawn outside
    are moved to the bound. The run converges when ``maxiter / 5`` generations in a row bring no
    improvement, and ends at the best individual of all.

    References
    ----------
    .. [1] P. Larranaga and J. A. Lozano (eds.), "Estimation of Distribution Algorithms: A New Tool
       for Evolutionary Computation", Kluwer (2002).
    .. [2] V. P. Soloviev, P. Larranaga and C. Bielza, "Quantum parametric circuit optimization
       with estimation of distribution algorithms", GECCO Companion (2022) 2247-2250.

    Examples
    --------
    >>> def fun(x):
    ...     return float(np.sum(1 - np.cos(x - 1)))
    >>> result = UMDA(size_gen=40).minimize(fun, [0.0, 3.0], seed=1)
    >>> result.stop.name, result.x.round(1)
    ('FUN', array([1., 1.]))
    """

    traits = Traits(
        "Many minima and cheap values: a population in one wave.",
        parallel=True,
        global_search=True,
        random=True,
    )

    _callback_form = ("nfev", "x", "fun")

    _declared: tuple[Option, ...] = (
        Option("maxiter", 100, limit(1)).means("Maximum number of generations, at least 1."),
        Option("size_gen", 20, whole(1)).means(
            "The number of new individuals of a generation, at least 1."
        ),
        Option("alpha", 0.5, number(0, 1, "(]")).means(
            "The fraction of ``size_gen`` that is selected, above 0 and at most 1."
        ),
    )
    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(  # type: ignore[misc]  # callback, a setting of each run, has Qiskit's place
        self,
        maxiter: int = 100,
        size_gen: int = 20,
        alpha: float = 0.5,
        callback: Callable[..., Any] | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), callback=callback, **settings)

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        mean, (low, high) = problem.x0, problem.box
        spread = np.minimum(_SPREAD, _ROOM * high - _ROOM * low)
        least = _LEAST_SPREAD / _SPREAD * spread
        selected = max(1, int(self.alpha * self.size_gen))
        elite, values = np.empty((0, problem.n)), np.empty(0)
        best, fun, idle, allowed = problem.x0, np.inf, 0, max(1, self.maxiter // _IDLE)
        for k in range(self.maxiter):
            drawn = problem.clip(mean + spread * run.rng.normal(size=(self.size_gen, problem.n)))
            if k == 0:
                drawn[0] = problem.x0
            told = yield AskData(drawn)
            # Individuals whose evaluation failed are not selected.
            pool = np.concatenate([elite, drawn[told.known]])
            values = np.concatenate([values, told.fun[told.known]])
            order = np.argsort(values, kind="stable")[:selected]
            pool, values = pool[order], values[order]
            idle += 1
            if len(values):
                mean, spread = pool.mean(axis=0), np.maximum(pool.std(axis=0), least)
                if values[0] < fun:
                    best, fun, idle = pool[0], float(values[0]), 0
            kept = int(_ELITE * len(values))
            elite, values = pool[:kept], values[:kept]
            known = fun if fun < np.inf else None
            yield Step(best, known)
            if idle >= allowed:
                words = f"No better individual in {idle} generations."
                return ended(best, StopReason.FUN, known, words=words)
        return ended(best, StopReason.MAXITER, known)
