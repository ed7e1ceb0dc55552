"""Error bars for a scalar objective: its Hessian at a minimum, from points evaluated together."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import LbfgsInvHessProduct

from optimizers._arrays import as_numbers
from optimizers._types import Array, BoundsLike, Objective
from optimizers.covariance import ErrorBars, covariance_of_hessian, spread
from optimizers.errors import InvalidInputError, warn_user
from optimizers.fitting.hessian import CurvatureProbe
from optimizers.options.table import FLAG, number
from optimizers.problem.parameters import parameters_of
from optimizers.result import OptimizerResult, StopReason

#: x is a minimum up to this decrease of the quadratic model in units of ``scale``.
_FALL = 0.01
#: Steps of a run shorter than this fraction of a variable do not show its curvature.
_SHORT = 1e-3
_TINY = float(np.finfo(np.float64).tiny)


def error_bars(
    result: Any,
    fun: Objective,
    bounds: BoundsLike = None,
    *,
    scale: float | None = None,
    guess: ArrayLike | None = None,
    both_sides: bool = True,
    **settings: Any,
) -> ErrorBars:
    """Return the standard errors of fitted variables, from one wave of points.

    The Hessian at the minimum comes from values at points that are evaluated together. Its steps
    follow from the precision of the values and from the curvature, known from ``guess`` or the
    result's ``hess_inv`` or ``hess``. If it is unknown and the first steps are far too short or
    long, a second wave has better ones.

    Parameters
    ----------
    result : OptimizerResult, OptimizeResult or array_like of shape (n,)
        The result of a minimization, by this package or another one; or the minimum itself.
    fun : callable
        The objective, in any form that :meth:`Optimizer.minimize` accepts, without its gradient.
    bounds : sequence of (low, high), array_like of shape (n, 2), Bounds or None
        Bounds; no point outside of them is evaluated. Variables with equal bounds are fixed.
        Variables at a bound get the error that they have without it, and a warning.
    scale : float, optional
        By how much the objective rises at one standard error: 0.5, the default for an objective
        that returns a number, for a negative log likelihood (or a log likelihood that was
        maximized: it falls by that); 1.0 for chi squared and for minus twice the log likelihood.
        For residuals, 0.5 if they are divided by their standard deviations; by default these are
        estimated from their scatter, as in a result's ``errors``: ``0.5 * chi2 / dof``. The
        covariance is ``2 * scale`` times the inverse Hessian. It is what iminuit calls
        ``errordef``.
    guess : float or array_like of shape (n,), optional
        Rough standard errors, correct within a factor of ten.
    both_sides : bool, default True
        Whether pairs of variables are displaced to both sides: 1 + n + n**2 points in total. If
        not, there are 1 + 2 n + n (n - 1) / 2, and the off-diagonal entries of the Hessian have
        errors of about 1e-5 of the diagonal, instead of 1e-7.
    **settings
        Settings of the run, such as ``workers``, ``journal`` and ``noise``; see
        :class:`RunSettings`.

    Returns
    -------
    ErrorBars
        Errors, covariance and Hessian. An OptimizerWarning is issued if the Hessian is singular or
        not positive definite, where errors are NaN; if ``x`` is not the minimum; or if a limit of
        the run left points unevaluated.

    Raises
    ------
    InvalidInputError, OptionError, UnknownOptionError
        Before the first evaluation, if an argument cannot be used.

    Examples
    --------
    Decay times, and their mean with its error, ``mean / sqrt(count)``:

    >>> import numpy as np
    >>> from optimizers import LBFGSB
    >>> times = np.array([0.3, 1.2, 2.6, 0.7, 1.9, 4.1, 0.9, 0.3])
    >>> def minus_log_likelihood(x):
    ...     return len(times) * np.log(x[0]) + times.sum() / x[0]
    >>> found = LBFGSB().minimize(minus_log_likelihood, [1.0], bounds=[(0.01, None)])
    >>> bars = error_bars(found, minus_log_likelihood)
    >>> found.x.round(4), bars.errors.round(4), bars.nfev
    (array([1.5]), array([0.5303]), 3)
    """
    if scale is not None:
        number(0, np.inf, "()")("scale", scale)
    FLAG("both_sides", both_sides)
    x, known = (result.x, result) if hasattr(result, "x") else (result, {})
    if known.get("maximize"):
        settings.setdefault("maximize", True)
    parameters, about = parameters_of(x), as_numbers(known.get("fun"))
    at = np.array(x, dtype=np.float64, ndmin=1) if parameters is None else parameters.x0
    n = at.size
    near = float(about) if about.ndim == 0 and np.isfinite(about) else 0.0
    probe = CurvatureProbe(_sizes(guess, known, n), near, both_sides, **settings)
    found = probe.minimize(fun, x, bounds=bounds)
    free = found.get("free", np.arange(0))
    covariance, hessian = np.zeros((n, n)), np.zeros((n, n))
    spare = np.inf
    if scale is None:
        scale, spare = _scale_of(found)
    if "hessian" in found:
        inverse = covariance_of_hessian(found.hessian, found.precision)
        sign = -1.0 if found.get("maximize") else 1.0
        hessian[np.ix_(free, free)] = sign * found.hessian
        covariance[np.ix_(free, free)] = 2 * scale * inverse
        _warn_of(found, inverse, scale)
    elif found.stop is not StopReason.FIXED:
        hessian[:] = covariance[:] = np.nan
        warn_user(f"The Hessian is not known: {found.stop.sentence}.")
    errors = np.sqrt(np.diag(covariance))
    value = np.nan if found.fun is None else found.fun
    return ErrorBars(at, errors, covariance, hessian, value, scale, found.nfev, spare)


def _scale_of(found: OptimizerResult) -> tuple[float, float]:
    """Return the rise of the objective at one standard error, and its degrees of freedom."""
    if found.get("residuals") is None:
        return 0.5, np.inf
    return spread(found) / 2, max(found.dof, 0)


def _warn_of(found: OptimizerResult, inverse: Array, scale: float) -> None:
    """Warn where the errors are not known, or the point is not a minimum."""
    is_lost = np.isnan(np.diag(inverse))
    lost = found.free[is_lost].tolist()
    slope = np.where(found.at_bound, 0.0, found.gradient)
    if found.at_bound.any():
        which = found.free[found.at_bound].tolist()
        warn_user(f"x{which} are at a bound: their errors ignore it.")
    if np.isnan(scale):
        return  # a warning said why
    if np.isnan(found.hessian).any():
        warn_user("Values at points near x are missing: the errors are NaN.")
    elif is_lost.all():
        warn_user(
            "The Hessian is not positive definite: x is not a minimum, or the objective does not "
            "determine the variables. The errors are NaN."
        )
    elif lost:
        warn_user(f"The Hessian is singular: the objective does not determine x{lost} (NaN).")
    elif (fall := float(slope @ inverse @ slope) / 2) > _FALL * scale:
        warn_user(
            f"x is not the minimum: by its slope and curvature the objective falls by {fall:.2g} "
            f"near it, and rises by {scale} at one standard error."
        )


def _sizes(guess: ArrayLike | None, result: Any, n: int) -> Array | None:
    """Return roughly where the objective has risen by one half along each variable, if known.

    That is less than a standard error where variables are correlated.
    """
    if guess is not None:
        sizes = as_numbers(guess)
        if sizes.shape not in ((), (n,)) or not ((sizes > 0) & (sizes < np.inf)).all():
            raise InvalidInputError(
                f"guess is {guess!r:.200}, expected finite numbers > 0, one or {n}."
            )
        return np.broadcast_to(sizes, n).copy()
    for name in ("hess", "hess_inv"):
        matrix = result.get(name)
        if isinstance(matrix, LbfgsInvHessProduct):
            matrix = _without_short(matrix, as_numbers(result.get("x_flat", result.get("x"))))
        matrix = as_numbers(matrix)
        if np.shape(matrix) == (n, n) and np.isfinite(matrix).all():
            with np.errstate(all="ignore"):
                inverse = np.linalg.pinv(matrix) if name == "hess_inv" else matrix
                sizes = 1 / np.sqrt(np.diag(inverse))
            return np.where(np.isfinite(sizes), sizes, np.nan)
    return None


def _without_short(product: Any, x: Array) -> Array | None:
    """Return an inverse Hessian without short steps, over which gradients do not show it."""
    if product.shape[0] != x.size or not len(product.sk):
        return None
    steps, changes = np.asarray(product.sk), np.asarray(product.yk)
    is_long = (np.abs(steps) > _SHORT * np.maximum(np.abs(x), _TINY)).any(axis=1)
    if not is_long.any():
        return None
    dense: Array = LbfgsInvHessProduct(steps[is_long], changes[is_long]).todense()
    return dense
