"""Whether a point may be a minimum, so that an end there is accepted."""

from collections.abc import Callable

import numpy as np

from optimizers._types import Array
from optimizers.problem.problem import Problem
from optimizers.run.memory import Evaluation
from optimizers.run.run import Run

#: ``evaluate(x) -> (value, gradient)``; it must not change ``x``, which belongs to the solver.
Evaluate = Callable[[Array], tuple[float, Array]]

#: A projected gradient above this fraction of max(1, |f|) contradicts a stop for lack of progress.
_STATIONARY = 1e-4


def is_stationary(problem: Problem, x: Array, f: float, gradient: Array, gtol: float = 0) -> bool:
    """Return whether a point may be a minimum: its projected gradient is small or below gtol."""
    limit = max(_STATIONARY * max(1.0, abs(f)), gtol)
    return gradient_norm(problem, x, gradient) <= limit


def gradient_norm(problem: Problem, x: Array, gradient: Array) -> float:
    """Return the largest component of ``x - P(x - gradient)``, P projecting onto the bounds."""
    with np.errstate(all="ignore"):  # infinities, and numbers that overflow, may be among them
        projected = gradient if problem.lower is None else x - problem.clip(x - gradient)
        return float(np.max(np.abs(projected), initial=0.0))


def is_misled(run: Run, known: Evaluation) -> bool:
    """Return whether comparisons with NaN may have misled a run."""
    if known.jac is not None and is_stationary(run.problem, known.x, known.fun, known.jac):
        return False
    # The latest gradients are enough: checking each one would cost more.
    return run.memory.has_nan or any(
        seen.jac is not None and np.isnan(seen.jac).any() for seen in run.memory.recent
    )
