"""Steps inside bounds, for algorithms whose steps have a momentum."""

from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.options.settings import is_number
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


def check_fraction(name: str, value: Any) -> None:
    """Raise an OptionError if an option is no number of [0, 1)."""
    if not (is_number(value) and 0 <= value < 1):
        raise OptionError(f"{name} is {value!r}, expected a number in [0, 1).")
