"""Sampled curvature: the running mean of Hessians, and preconditioned steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._arrays import as_numbers
from optimizers._types import Array
from optimizers.errors import OptionError


class SmoothedHessian:
    """The running mean of sampled Hessians in one run, and the steps preconditioned by it."""

    def __init__(
        self,
        n: int,
        initial: Any,
        regularization: float | None,
        solver: Callable[[Array, Array], Any] | None,
    ) -> None:
        #: The mean, shape (n, n).
        self.matrix: Array = np.eye(n) if initial is None else np.array(initial, np.float64)
        # As in Qiskit.
        self._regularization = 0.01 if regularization is None else regularization
        self._solver = solver or np.linalg.solve

    def add(self, sample: Array, k: int) -> None:
        """Add the sample of iteration ``k``, from 1, to the mean."""
        self.matrix = (k * self.matrix + sample) / (k + 1)

    def conditioned(self, gradient: Array) -> Array:
        """Return a gradient's step, preconditioned by the curvature made positive definite."""
        values, vectors = np.linalg.eigh(self.matrix)
        positive = (vectors * np.abs(values)) @ vectors.T
        positive[np.diag_indices_from(positive)] += self._regularization
        step = np.real(np.asarray(self._solver(positive, gradient.copy())))
        is_own = self._solver is np.linalg.solve  # a gradient that overflows it leads nowhere
        if step.shape != gradient.shape or not (is_own or np.isfinite(step).all()):
            raise OptionError(
                f"lse_solver returned {step!r:.200}, expected finite numbers in the shape of the "
                f"gradient, {gradient.shape}."
            )
        return np.asarray(step, dtype=np.float64)


def check_initial_hessian(given: Any, n: int | None = None) -> None:
    """Raise an OptionError if an option is not a symmetric matrix of the size, if that is known."""
    if given is None:
        return
    matrix = as_numbers(given)
    expected = f"expected a symmetric matrix of shape ({'n, n' if n is None else f'{n}, {n}'})"
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or n not in (None, len(matrix)):
        raise OptionError(f"initial_hessian has shape {matrix.shape}, {expected}.")
    if not (np.isfinite(matrix).all() and np.allclose(matrix, matrix.T)):
        raise OptionError(f"initial_hessian is {given!r:.200}, {expected}.")
