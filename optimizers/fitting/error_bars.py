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
from optimizers.problem.leaf import is_plain
from optimizers.problem.parameters import Parameters, parameters_of, start_of
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
    guess : float, array_like of shape (n,), or in the structure of x, optional
        Rough standard errors, correct within a factor of ten. In a dict, variables that are fixed
        may be missing.
    both_sides : bool, default True
        Whether pairs of variables are displaced to both sides: 1 + n + n**2 points in total. If
        not, there are 1 + 2 n + n (n - 1) / 2, and the off-diagonal entries of the Hessian have
        errors of about 1e-5 of the diagonal, instead of 1e-7.
    **settings
        Settings of the run, such as ``workers`` and ``journal``; see :class:`RunSettings`.
        ``noise``, the standard deviation of a value, is by default that of the result; with noise,
        pass ``guess`` too.

    Returns
    -------
    ErrorBars
        Errors, covariance and Hessian. An OptimizerWarning is issued if the Hessian is singular or
        not positive definite, where errors are NaN; if ``x`` is not the minimum; if there is noise
        that was not given; or if a limit of the run left points unevaluated.

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
    known = result if hasattr(result, "x") else {}
    if known.get("maximize"):
        settings.setdefault("maximize", True)
    if known.get("noise"):
        settings.setdefault("noise", known["noise"])
    start, about = start_of(result, bounds), as_numbers(known.get("fun"))
    parameters = parameters_of(start)
    at = np.array(start, dtype=np.float64, ndmin=1) if parameters is None else parameters.x0
    n = at.size
    near = float(about) if about.ndim == 0 and np.isfinite(about) else 0.0
    sizes = _sizes(None if guess is None else _flat(guess, parameters, n), known, n)
    probe = CurvatureProbe(sizes, near, both_sides, **settings)
    found = probe.minimize(fun, start, bounds=bounds)
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
        _warn_of(found, inverse, scale, settings.get("noise") or 0.0)
    elif found.stop is not StopReason.FIXED:
        hessian[:] = covariance[:] = np.nan
        is_noisy = found.stop is StopReason.NOISE
        words = found.message if is_noisy else f"{found.stop.sentence}."
        warn_user(f"The Hessian is not known: {words}")
    errors = np.sqrt(np.diag(covariance))
    value = np.nan if found.fun is None else found.fun
    names = None if parameters is None else parameters.names
    bars = errors, covariance, hessian, value, scale, found.nfev, spare
    return ErrorBars(at, *bars, at if parameters is None else start, names)


def _scale_of(found: OptimizerResult) -> tuple[float, float]:
    """Return the rise of the objective at one standard error, and its degrees of freedom."""
    if found.get("residuals") is None:
        return 0.5, np.inf
    return spread(found) / 2, max(found.dof, 0)


def _warn_of(found: OptimizerResult, inverse: Array, scale: float, noise: float) -> None:
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
    elif is_lost.all() and noise > 0:
        warn_user(
            f"The noise of {noise:.2g} hides the curvature: the errors are NaN. The objective "
            f"rises by {scale:.2g} at one standard error: pass guess, the approximate errors, or "
            "evaluate it with less noise."
        )
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


def _flat(guess: Any, parameters: Parameters | None, n: int) -> Array:
    """Return the guess for each variable."""
    given = guess
    if parameters is not None and not is_plain(guess):
        start = parameters.point(parameters.x0)
        both = isinstance(guess, dict) and isinstance(start, dict)
        given = parameters.free_part({**start, **guess} if both else guess, "guess")
    sizes = as_numbers(given)
    if sizes.shape not in ((), (n,)) or not ((sizes > 0) & (sizes < np.inf)).all():
        raise InvalidInputError(
            f"guess is {guess!r:.200}, expected finite numbers > 0, one or {n}."
        )
    return np.broadcast_to(sizes, n).copy()


def _sizes(guess: Array | None, result: Any, n: int) -> Array | None:
    """Return roughly where the objective has risen by one half along each variable, if known.

    That is less than a standard error where variables are correlated.
    """
    if guess is not None:
        return guess
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
