"""A tiny problem that shows whether SciPy's kernels, which are not public, behave as expected."""

import numpy as np

from optimizers._types import Array

START = np.full(3, 0.9)
BOX = (np.zeros(3), np.array([1.0, 1.0, np.inf]))
END = np.array([1.0, 0.5, 0.0])

#: The problem's start and bounds.
PROBLEM = (START, *BOX)


def trial(x: Array) -> tuple[float, Array]:
    """Return a quadratic whose minimum in the unit box is (1, 0.5, 0)."""
    away = x - np.array([2.0, 0.5, -1.0])
    return float(away.dot(away)), 2 * away


def is_end(x: Array) -> bool:
    """Return whether ``x`` is the minimum in the box."""
    return np.allclose(x, END, atol=1e-6)
