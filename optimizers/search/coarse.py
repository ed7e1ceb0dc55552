"""What to say of a search whose steps were all longer than the variables of its start."""

import numpy as np

from optimizers._types import Array
from optimizers.problem.problem import Problem


def words_if_coarse(problem: Problem, x: Array, steps: Array) -> str:
    """Return the message of an end by the last steps, shape (n,), at the start; empty elsewhere.

    Steps are relative to at least 1, so that nothing is seen of variables that are much smaller.
    """
    sizes = np.abs(problem.x0)
    is_small = (sizes > 0.0) & (sizes < steps)
    if not (is_small.any() and np.array_equal(x, problem.x0)):
        return ""
    i = int(is_small.argmax())
    return (
        "The step is smaller than its tolerance, and the search ends where it began. "
        f"x0[{i}], {problem.x0[i]:.3g}, is smaller than the last step, {steps[i]:.1g}: if the "
        "variables are that small, pass scale='start'."
    )
