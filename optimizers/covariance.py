"""From first or second derivatives at a minimum to the covariance of the fitted variables.

Pure functions of arrays. Variables are scaled first, so that their units do not matter; the
covariance of those that the data do not determine is NaN.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from optimizers._types import Array
from optimizers.errors import InvalidInputError, warn_user

_EPS = float(np.finfo(np.float64).eps)
#: What a journal keeps of a fit in the place of its Jacobian, which may be large.
UNSCALED = "unscaled_covariance"
#: A variable is not determined if undetermined directions have at least this share of it.
_PART = 1e-6
#: A singular value is taken for zero if it is less than this many times the Jacobian's error.
_TIMES = 10.0


@dataclass(frozen=True, eq=False)
class ErrorBars:
    """What :func:`error_bars` found.

    Attributes
    ----------
    x : ndarray of float64, shape (n,)
        The minimum; without the variables that are fixed or tied by a :class:`Param`.
    errors : ndarray of float64, shape (n,)
        The standard errors of the variables; 0 for one that is fixed, NaN for one that the
        objective does not determine.
    covariance : ndarray of float64, shape (n, n)
        Their covariance.
    hessian : ndarray of float64, shape (n, n)
        The objective's second derivatives; 0 for variables that are fixed.
    fun : float
        The objective at the minimum.
    scale : float
        By how much the objective rises at one standard error.
    nfev : int
        Points at which the objective was evaluated.
    dof : float
        The degrees of freedom, where ``scale`` is estimated from the scatter of residuals; infinite
        otherwise.
    start : object
        The minimum in the structure of the variables, with their Params; ``x`` if it is a vector.
    names : sequence of str or None
        The names of the variables in a structure.
    """

    x: Array
    errors: Array
    covariance: Array
    hessian: Array
    fun: float
    scale: float
    nfev: int
    dof: float = np.inf
    start: Any = None
    names: Sequence[str] | None = None

    @property
    def correlation(self) -> Array:
        """The correlation of the variables, shape (n, n); NaN where an error is 0 or NaN."""
        with np.errstate(invalid="ignore"):
            correlation: Array = self.covariance / np.outer(self.errors, self.errors)
        return correlation

    def confidence(self, level: float = 0.95) -> Array:
        """Return a confidence interval for each variable.

        Parameters
        ----------
        level : float, default 0.95
            The probability.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            Lower and upper ends, by the quantiles of Student's t distribution with ``dof`` degrees
            of freedom, or of the normal distribution where ``dof`` is infinite.
        """
        half = quantile(level, self.dof) * self.errors
        return np.column_stack([self.x - half, self.x + half])


def chi2(fit: Mapping[str, Any]) -> float:
    """Return twice the value at the solution: without a loss, the sum of squared residuals."""
    return 2 * float(fit["fun"])


def dof(fit: Mapping[str, Any]) -> int:
    """Return the degrees of freedom of a fit: its residuals minus its free variables."""
    fixed = fit.get("fixed")
    count = np.size(fit.get("x_flat", fit["x"])) - (0 if fixed is None else np.count_nonzero(fixed))
    return int(fit["residuals"].size - count)


def spread(fit: Mapping[str, Any], tell: Callable[[str], object] = warn_user) -> float:
    """Return the variance of the data by the scatter of the residuals; NaN, and why is told."""
    spare = dof(fit)
    if spare > 0:
        return chi2(fit) / spare
    m = fit["residuals"].size
    tell(
        f"There are {m} residuals and {m - spare} free variables: the variance cannot be estimated "
        "from as few residuals, and the errors are NaN. Divide the residuals by the standard "
        "deviations of the data, and pass absolute_sigma=True to confidence, or scale=0.5 to "
        "error_bars."
    )
    return np.nan


def covariance(
    fit: Mapping[str, Any],
    *,
    absolute_sigma: bool = False,
    tell: Callable[[str], object] = warn_user,
) -> Array:
    """Return the covariance of the variables of a fit; it is told which are NaN, and why."""
    n, weights, known = np.size(fit.get("x_flat", fit["x"])), fit.get("weights"), fit.get(UNSCALED)
    fixed = np.zeros(n, bool) if fit.get("fixed") is None else np.asarray(fit["fixed"], bool)
    found = np.zeros((n, n))
    free = np.flatnonzero(~fixed)
    found[np.ix_(free, free)] = np.nan
    if known is None and fit.get("jacobian") is None:
        why, what = "", "Use an optimizer that uses gradients, or call error_bars(result, fun)."
        if fit.get("noise"):
            why, what = ", as the objective has noise", "Call error_bars(result, fun, guess=...)."
        tell(f"The Jacobian at x is not known{why}: the errors are NaN. {what}")
        return found
    unit = 1.0 if absolute_sigma else spread(fit, tell)
    if np.isnan(unit):
        return found
    if known is None:
        jacobian = as_dense(fit["jacobian"])[:, free]
        if weights is not None:
            jacobian = jacobian * np.sqrt(weights)[:, np.newaxis]
        inverse = covariance_of_jacobian(jacobian, fit.get("jacobian_error", 0.0))
    else:
        inverse = known[np.ix_(free, free)]
    lost = free[np.isnan(np.diag(inverse))].tolist()
    if lost:
        tell(f"The Jacobian is singular: the data do not determine x{lost} (NaN).")
    found[np.ix_(free, free)] = unit * inverse
    return found


def errors(
    fit: Mapping[str, Any],
    *,
    absolute_sigma: bool = False,
    tell: Callable[[str], object] = warn_user,
) -> Array:
    """Return the standard errors of the variables of a fit."""
    return np.sqrt(np.diag(covariance(fit, absolute_sigma=absolute_sigma, tell=tell)))


#: The entries of a fit that are computed on demand.
STATISTICS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    found.__name__: found for found in (chi2, dof, covariance, errors)
}


def covariance_of_jacobian(jacobian: Any, error: float = 0.0) -> Array:
    """Return the inverse of J'J, shape (n, n), by singular values of J with scaled columns.

    Singular values near ``error``, the relative error of J, are taken for zero too.
    """
    matrix = as_dense(jacobian)
    size = _one_for_zero(np.linalg.norm(matrix, axis=0))
    _, values, vectors = np.linalg.svd(matrix / size, full_matrices=False)
    least = max(_EPS * max(matrix.shape), _TIMES * error)
    known = values > least * values.max(initial=0.0)
    return _inverse(values[known] ** 2, vectors[known], size)


def covariance_of_hessian(hessian: Array, precision: float) -> Array:
    """Return the inverse of a Hessian, shape (n, n).

    With the diagonal scaled to 1, eigenvalues up to ``precision`` are taken for zero. All entries
    are NaN where an eigenvalue is clearly negative (not a minimum) or the Hessian has NaN.
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
    """Return the inverse of a matrix that has these eigenvalues and rows of eigenvectors."""
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
    """Return the half-width of a confidence interval in standard errors."""
    if not (isinstance(level, float | np.floating) and 0 < level < 1):
        raise InvalidInputError(f"level is {level!r}, expected a number between 0 and 1.")
    probability = (1 + float(level)) / 2
    return float(ndtri(probability) if dof == np.inf else stdtrit(dof, probability))


def _one_for_zero(size: Array) -> Array:
    return np.where(size > 0, size, 1.0)
