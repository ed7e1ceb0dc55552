"""The rows of SciPy's global methods in the table of its methods."""

import functools
from typing import Any

import numpy as np

from optimizers._arrays import as_numbers
from optimizers.options.table import TRUTH, Option, choice, expecting, number, real, whole
from optimizers.result import StopReason as Stop
from optimizers.scipy.global_solver import (
    AnnealingSolver,
    DirectSolver,
    EvolutionSolver,
    ShgoSolver,
)
from optimizers.scipy.method import Method
from optimizers.scipy.options import like
from optimizers.support import SupportLevel as Level

_STRATEGIES = tuple(
    f"{name}{cross}"
    for name in ("best1", "best2", "rand1", "rand2", "randtobest1", "currenttobest1")
    for cross in ("bin", "exp")
)
_SAMPLERS = ("latinhypercube", "sobol", "halton", "random")
_FRACTION = number(0, 1)


def _is_mutation(value: Any) -> bool:
    ends = value if isinstance(value, list | tuple) else [value]
    return len(ends) <= 2 and all(0 <= real(end) < 2 for end in ends)


def _is_population(value: Any) -> bool:
    if isinstance(value, str):
        return value in _SAMPLERS
    return bool(np.ndim(value) == 2 and np.isfinite(as_numbers(value)).all())


_STRATEGY = expecting(
    "str or callable",
    f"a callable or one of {', '.join(_STRATEGIES)}",
    lambda value: callable(value) or (isinstance(value, str) and value in _STRATEGIES),
)
_INIT = expecting(
    "str or array_like of shape (S, n)",
    f"points of shape (S, n), or one of {', '.join(_SAMPLERS)}",
    _is_population,
)
_MUTATION = expecting(
    "float or (float, float)", "a number in [0, 2), or a pair of them", _is_mutation
)

# Each searches in a box, and its own local search takes its differences itself.
_global = functools.partial(Method, gradient=Level.ignored, bounds=Level.required)

GLOBAL_METHODS: dict[str, Method] = {
    "differential_evolution": _global(
        solver=EvolutionSolver,
        options=(
            Option("strategy", "best1bin", _STRATEGY).means("How trial points are made."),
            like("maxiter", default=1000).means("Maximum number of generations."),
            Option("popsize", 15, whole(1)).means("Points of a generation for each variable."),
            like("tol").means(
                "The search has converged when the standard deviation of the population's values "
                "is at most ``atol`` and this part of their mean; 0.01 by default."
            ),
            Option("atol", 0.0, number(0)).means("See ``tol``."),
            Option("mutation", (0.5, 1), _MUTATION).means(
                "Differential weight; of a pair, each generation draws a number between."
            ),
            Option("recombination", 0.7, _FRACTION).means("Probability of crossover."),
            Option("polish", True, TRUTH).means(
                "Let L-BFGS-B, or trust-constr if there are constraints, go on from the end."
            ),
            Option("init", "latinhypercube", _INIT).means(
                "The first population, or how it is drawn: "
                '``"latinhypercube"``, ``"sobol"``, ``"halton"`` or ``"random"``.'
            ),
            Option("updating", "deferred", choice("deferred", "immediate")).means(
                'With ``"deferred"`` a generation is one wave. With ``"immediate"``, SciPy\'s '
                "default, each point depends on the one before, and none are evaluated together."
            ),
        ),
        constraints=Level.supported,
        initial_point=Level.supported,
        tol=("tol",),
        stops={0: Stop.CONVERGED},
        words={"iterations": Stop.MAXITER, "not satisfy": Stop.INFEASIBLE},
    ),
    "dual_annealing": _global(
        solver=AnnealingSolver,
        options=(
            like("maxiter", default=1000).means(
                "Maximum number of iterations, of two points for each variable and perhaps a local "
                "search."
            ),
            Option("initial_temp", 5230.0, number(0.01, 5e4, "(]")).means(
                "Initial temperature: a higher one searches more widely."
            ),
            Option("restart_temp_ratio", 2e-5, number(0, 1, "()")).means(
                "The annealing begins anew when the temperature has fallen to this part."
            ),
            Option("visit", 2.62, number(1, 3, "(]")).means(
                "How heavy the tail of the distribution of steps is."
            ),
            Option("accept", -5.0, number(-1e4, -5, "(]")).means(
                "How likely a worse point is accepted: less for a lower number."
            ),
            Option("no_local_search", False, TRUTH).means("Whether to leave out local searches."),
        ),
        initial_point=Level.supported,
        strips_fixed=True,
        words={"iteration": Stop.MAXITER, "function call": Stop.MAXFUN},
    ),
    "direct": _global(
        solver=DirectSolver,
        options=(
            Option("eps", 1e-4, number(0)).means(
                "How much less than the lowest value a rectangle must promise to be divided."
            ),
            like("maxiter", default=1000).means("Maximum number of iterations."),
            Option("locally_biased", True, TRUTH).means(
                "Whether to prefer the neighborhood of the best point: quicker, unless there are "
                "many minima."
            ),
            Option("vol_tol", 1e-16, _FRACTION).means(
                "Stop when the rectangle of the best point is this part of the box."
            ),
            Option("len_tol", 1e-6, _FRACTION).means(
                "Stop when half the longest side of that rectangle, or half its diagonal if not "
                "``locally_biased``, is this part of the box's."
            ),
        ),
        initial_point=Level.ignored,
        strips_fixed=True,
        stops={
            1: Stop.MAXFUN,
            2: Stop.MAXITER,
            4: Stop.CONVERGED,
            5: Stop.CONVERGED,
            -100: Stop.FAILED,
        },
    ),
    "shgo": _global(
        solver=ShgoSolver,
        options=(
            Option("n", 100, whole(1)).means(
                "Points of an iteration, with ``simplicial`` 2**n + 1 unless another number is "
                "given."
            ),
            Option("iters", 1, whole(1)).means("Number of iterations."),
            Option("sampling_method", "simplicial", choice("simplicial", "halton", "sobol")).means(
                "Where points are placed."
            ),
        ),
        constraints=Level.supported,
        initial_point=Level.ignored,
        strips_fixed=True,
        words={"feasible": Stop.NO_PROGRESS},
    ),
}
