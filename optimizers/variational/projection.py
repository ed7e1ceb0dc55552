"""Steps inside bounds, for algorithms whose steps have a momentum."""

import numpy as np

from optimizers._types import Array
from optimizers.problem.problem import Problem


def stepped(problem: Problem, x: Array, step: Array, gradient: Array) -> tuple[Array, bool]:
    """Return where ``x - step`` leads inside the bounds, and whether only momentum keeps it there.

    That is where a bound cuts the step short along a variable that the gradient would move away
    from it: then a short step is no sign of convergence.
    """
    wanted = x - step
    new = problem.clip(wanted)
    return new, bool(np.any((new != wanted) & (step * gradient < 0)))
