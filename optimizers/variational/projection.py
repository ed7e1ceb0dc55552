"""Steps inside bounds, for algorithms whose steps have a momentum."""

import numpy as np

from optimizers._types import Array
from optimizers.problem.problem import Problem


def stepped(problem: Problem, x: Array, step: Array, gradient: Array) -> tuple[Array, bool]:
    """Return where a step leads inside the bounds, and whether only its momentum keeps it there.

    Parameters
    ----------
    problem : Problem
        Whose bounds.
    x : ndarray of float64, shape (n,)
        The point.
    step : ndarray of float64, shape (n,)
        What is subtracted from it.
    gradient : ndarray of float64, shape (n,)
        The gradient there.

    Returns
    -------
    new : ndarray of float64, shape (n,)
        The point of the box that is nearest to ``x - step``.
    is_held : bool
        Whether a bound cuts the step short along a variable that the gradient would move away
        from that bound: then a short step is no sign of convergence.
    """
    wanted = x - step
    new = problem.clip(wanted)
    return new, bool(np.any((new != wanted) & (step * gradient < 0)))
