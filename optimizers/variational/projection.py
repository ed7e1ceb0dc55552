"""Steps inside bounds, for algorithms whose steps have a momentum."""

import numpy as np

from optimizers._types import Array
from optimizers.problem.problem import Problem


def stepped(problem: Problem, x: Array, step: Array, gradient: Array) -> tuple[Array, bool]:
    """Return ``x - step`` inside the bounds, and whether only momentum keeps it at a bound.

    If the gradient would move a variable away from its bound, a short step is not convergence.
    """
    wanted = x - step
    new = problem.clip(wanted)
    return new, bool(np.any((new != wanted) & (step * gradient < 0)))
