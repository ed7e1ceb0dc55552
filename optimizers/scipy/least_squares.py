"""SciPy's methods for residuals: the trust regions of ``least_squares``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import Unpack

from optimizers._types import ArrayLike
from optimizers.scipy.scipy_optimizer import SciPyOptimizer, SciPySettings
from optimizers.support import Traits


class _LeastSquares(SciPyOptimizer):
    """The common constructor of these classes."""

    def __init__(
        self,
        ftol: float | None = 1e-8,
        xtol: float | None = 1e-8,
        gtol: float | None = 1e-8,
        x_scale: ArrayLike | str | None = None,
        loss: str | Callable[..., Any] | None = None,
        f_scale: float | None = None,
        max_nfev: int | None = None,
        diff_step: ArrayLike | None = None,
        tr_solver: str | None = None,
        tr_options: dict[str, Any] | None = None,
        jac_sparsity: Any = None,
        verbose: int = 0,
        disp: bool = False,
        tol: float | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class TRF(_LeastSquares):
    """Trust-region reflective least squares, with bounds: :func:`scipy.optimize.least_squares`.

    The objective returns residuals, shape (m,), and need not be marked by :func:`residuals`.

    References
    ----------
    .. [1] M. A. Branch, T. F. Coleman and Y. Li, "A subspace, interior, and conjugate gradient
       method for large-scale bound-constrained minimization problems", SIAM Journal on Scientific
       Computing 21 (1999) 1-23.

    Examples
    --------
    >>> TRF().minimize(lambda x: [10 * (x[1] - x[0] ** 2), 1 - x[0]], [-1.2, 1.0]).x.round(6)
    array([1., 1.])
    """

    traits = Traits(
        "Fits: residuals, with bounds, many variables or a sparse Jacobian.", parallel=True
    )

    _method_name = "trf"


class DOGBOX(_LeastSquares):
    """Dogleg least squares in a rectangular trust region: :func:`scipy.optimize.least_squares`.

    The objective returns residuals, shape (m,), and need not be marked by :func:`residuals`.

    References
    ----------
    .. [1] C. Voglis and I. E. Lagaris, "A rectangular trust region dogleg approach for
       unconstrained and bound constrained nonlinear optimization" (2004).

    Examples
    --------
    >>> fun = lambda x: [10 * (x[1] - x[0] ** 2), 1 - x[0]]
    >>> DOGBOX().minimize(fun, [-1.2, 1.0], bounds=[(None, 0.8), (None, None)]).x.round(6)
    array([0.8 , 0.64])
    """

    traits = Traits("Fits: residuals, with bounds, few variables.", parallel=True)

    _method_name = "dogbox"
