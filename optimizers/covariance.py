"""From first or second derivatives at a minimum to the covariance of what was fitted.

Pure functions of arrays. Variables are scaled first, so that their units do not matter; those that
the data do not determine have NaN.
"""

from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from optimizers._types import Array
from optimizers.errors import InvalidInputError

_EPS = float(np.finfo(np.float64).eps)
#: A variable is not determined if directions that nothing is known of have this part in it.
_PART = 1e-6


def covariance_of_jacobian(jacobian: Any) -> Array:
    """Return the inverse of J'J, shape (n, n), by the singular values of J with scaled columns."""
    matrix = as_dense(jacobian)
    size = _one_for_zero(np.linalg.norm(matrix, axis=0))
    _, values, vectors = np.linalg.svd(matrix / size, full_matrices=False)
    known = values > _EPS * max(matrix.shape) * values.max(initial=0.0)
    return _inverse(values[known] ** 2, vectors[known], size)


def covariance_of_hessian(hessian: Array, precision: float) -> Array:
    """Return the inverse of a Hessian, shape (n, n).

    Eigenvalues, once its diagonal is 1, of up to ``precision`` are taken for zero. All is NaN where
    one is below, as at no minimum, or an entry of the Hessian is NaN.
    """
    size = _one_for_zero(np.sqrt(np.abs(np.diag(hessian))))
    scaled = hessian / np.outer(size, size)
    if not np.isfinite(scaled).all():
        return np.full(hessian.shape, np.nan)
    values, vectors = np.linalg.eigh(scaled)
    if (values < -precision).any():
        return np.full(hessian.shape, np.nan)
    known = values > precision
    return _inverse(values[known], vectors.T[known], size)


def _inverse(values: Array, vectors: Array, size: Array) -> Array:
    """Return what eigenvalues and rows of eigenvectors are the inverse of."""
    half = vectors / np.sqrt(values)[:, np.newaxis] / size
    inverse: Array = half.T @ half
    unknown = 1 - (vectors**2).sum(axis=0) > _PART**2
    inverse[unknown] = inverse[:, unknown] = np.nan
    return inverse


def as_dense(jacobian: Any) -> Array:
    """Return a Jacobian as an array, whether it is one, a sparse matrix or an operator."""
    if hasattr(jacobian, "toarray"):
        jacobian = jacobian.toarray()
    elif not isinstance(jacobian, np.ndarray):
        jacobian = jacobian @ np.eye(jacobian.shape[1])
    dense: Array = np.asarray(jacobian, dtype=np.float64)
    return dense


def quantile(level: float, dof: float = np.inf) -> float:
    """Return how many standard errors to each side a confidence interval has."""
    if not (isinstance(level, float | np.floating) and 0 < level < 1):
        raise InvalidInputError(f"level is {level!r}, expected a number between 0 and 1.")
    probability = (1 + float(level)) / 2
    return float(ndtri(probability) if dof == np.inf else stdtrit(dof, probability))


def _one_for_zero(size: Array) -> Array:
    return np.where(size > 0, size, 1.0)
