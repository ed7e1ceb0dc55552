"""NFT, or Rotosolve: one variable after another, each to the minimum of its sinusoid."""

from __future__ import annotations

import math
from itertools import count, takewhile
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.options.settings import DISP, GROUPED, OPTIONS
from optimizers.options.table import Option, limit, whole
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels
from optimizers.variational.sinusoid import lowest, probes


class NFT(FlowOptimizer):
    """Nakanishi-Fujii-Todo, or Rotosolve: each variable in turn to the minimum of its sinusoid.

    The objective is assumed to be a sinusoid of frequency 1 along each variable, like the energy of
    a circuit whose parameters are angles of Pauli rotations. Then its value and those at ``x ± pi /
    2`` determine its minimum along a variable [1]_ [2]_. The pair travels in one wave; the value is
    known from the previous minimum. With bounds, probes are moved between them, and the sinusoid is
    minimized there.

    Notes
    -----
    There is no convergence test: its own limits end the run at the last ``x``; a run that is
    stopped from outside ends at the best evaluated point. In a callback that takes
    ``intermediate_result``, its entry ``fun`` is the predicted value at ``x``, as ``is_estimate``
    says.

    References
    ----------
    .. [1] K. M. Nakanishi, K. Fujii and S. Todo, "Sequential minimal optimization for
       quantum-classical hybrid algorithms", Physical Review Research 2 (2020) 043158.
    .. [2] M. Ostaszewski, E. Grant and M. Benedetti, "Structure optimization for parameterized
       quantum circuits", Quantum 5 (2021) 391.

    Examples
    --------
    >>> from optimizers.problems import h2
    >>> energy = h2()
    >>> result = NFT(maxiter=60).minimize(energy, energy.x0)
    >>> round(result.fun, 6), result.nfev  # two per iteration, two resets, and the end
    (-1.857275, 123)
    """

    traits = Traits(
        "Circuits whose values are sinusoids of each angle; shots, small budgets.",
        noise=True,
        parallel=True,
    )

    _declared: tuple[Option, ...] = (
        Option("maxiter", None, limit(0)).means(
            "Maximum number of iterations: updates of one variable. No limit by default."
        ),
        Option("maxfev", 1024, limit(1).or_none).means(
            "Maximum number of points at which the objective is evaluated: a hard limit, or None "
            "for none. The last evaluation is the value at the end."
        ),
        DISP,
        Option("reset_interval", 32, whole(0)).means(
            "The value is evaluated instead of predicted once in this many iterations; 0 means at "
            "the start only. In between, errors of the predicted values accumulate, especially "
            "noise."
        ),
    )
    _arguments = (OPTIONS, GROUPED)
    support_levels = levels(gradient=SupportLevel.ignored)
    takes_angles = True

    def __init__(
        self,
        maxiter: int | None = None,
        maxfev: int | None = 1024,
        disp: bool = False,
        reset_interval: int = 32,
        options: dict[str, Any] | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _budget(self, maxfun: int | None) -> int | None:
        return self._within("maxfev", maxfun)

    def _has_ended(self, run: Run, cost: int) -> bool:
        """Return whether its own limit leaves no points for a wave and the value at the end."""
        own = math.inf if self.maxfev is None else self.maxfev
        return bool(own == run.budget.limit and own - run.nfev < cost + 1)

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        x, interval = problem.x0, self.reset_interval
        maxiter = math.inf if self.maxiter is None else self.maxiter
        low, high = problem.box
        free = np.flatnonzero(low < high)
        evaluated, known, stop = (x, math.nan), None, StopReason.MAXITER
        for k in takewhile(lambda k: k < maxiter, count()):
            i = free[k % len(free)]
            if (interval > 0 and k % interval == 0) or run.budget.left <= 2:
                known = None  # evaluated again; or first, if it is the last point of the run
            if self._has_ended(run, 3 if known is None else 2):
                stop = StopReason.MAXFUN
                break
            sides = float(low[i] - x[i]), float(high[i] - x[i])
            at = probes(*sides)
            points = np.array([x, *(_moved(x, i, offset, low, high) for offset in at)])
            told = yield AskData(points if known is None else points[1:])
            reckoned: list[float] = [] if known is None else [float(known)]
            values = np.array([*reckoned, *told.fun])
            best = int(np.argmin(values))  # among the known ones, if any
            is_whole = bool(np.all(told.known))
            if not reckoned and np.any(told.known) and not values[best] > evaluated[1]:
                evaluated = points[best], float(values[best])
            if is_whole:
                found = lowest(values.tolist(), at, *sides)
                x, known = _moved(x, i, found.offset, low, high), found.value
            elif reckoned:  # a penalty is not on the sinusoid: keep the best known point
                x, known = points[best], float(values[best])
            else:
                x, known = evaluated
            yield Step(x, extra={"estimate": known}, estimate=known)
        return ended(x, stop)


def _moved(x: Array, i: int, offset: float, low: Array, high: Array) -> Array:
    """Return a point that differs in one variable, within bounds despite rounding."""
    moved = x.copy()
    moved[i] = min(max(x[i] + offset, low[i]), high[i])
    return moved


#: The name that Ostaszewski et al. gave :class:`NFT`.
Rotosolve = NFT
