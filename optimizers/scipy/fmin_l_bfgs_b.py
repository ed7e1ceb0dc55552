"""SciPy's functional interfaces of L-BFGS-B."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optimizers._types import Array, ArrayLike, BoundsLike, Objective
from optimizers.evaluation.arguments import as_arguments
from optimizers.gradients.source import Jacobian
from optimizers.options.table import LEVEL, NUMBER, whole
from optimizers.result import OptimizerResult, StopReason
from optimizers.scipy.functions import FaceCall, check_passed_on, gradient_of, set_tolerance
from optimizers.scipy.lbfgsb.solver import report_end, solve_lbfgsb
from optimizers.scipy.options import LbfgsbOptions

_EPS = float(np.finfo(np.float64).eps)

_TOLERANCES = {"ftol": LbfgsbOptions.ftol, "gtol": LbfgsbOptions.gtol}

_STOPPED = {
    StopReason.MAXFUN: (1, "STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT"),
    StopReason.MAXITER: (1, "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"),
    StopReason.CALLBACK: (2, "STOP: CALLBACK REQUESTED HALT"),
}


def minimize_lbfgsb(
    fun: Objective,
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    jac: Jacobian = None,
    bounds: BoundsLike = None,
    disp: int | bool | None = None,
    maxcor: int = 10,
    ftol: float = LbfgsbOptions.ftol,
    gtol: float = LbfgsbOptions.gtol,
    eps: ArrayLike = 1e-8,
    maxfun: int = 15000,
    maxiter: int = 15000,
    iprint: int | None = None,
    callback: Callable[..., Any] | None = None,
    maxls: int = 20,
    *,
    restart: bool = False,
    **unknown_options: Any,
) -> OptimizerResult:
    """Minimize a scalar function of one or more variables using the L-BFGS-B algorithm.

    Usable as ``scipy.optimize.minimize(..., method=minimize_lbfgsb)``.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float``, or ``-> (float, gradient)`` with ``jac=True``.
    x0 : array_like of shape (n,)
        The start.
    args : tuple, default ()
        Further arguments of ``fun`` and ``jac``.
    jac : callable, {"2-point", "3-point", "cs"}, GradientSource, True or None
        The gradient. None means one-sided differences with the step ``eps``. Name a scheme in a
        direct call: :func:`scipy.optimize.minimize` passes None to a custom method instead.
    bounds : sequence of (low, high), array_like of shape (n, 2), Bounds or None
        The bounds; None or an infinity for no bound on that side.
    disp : int or bool, optional
        If zero, no output; a positive number overrides ``iprint``.
    maxcor : int, default 10
        The number of steps that approximate the Hessian.
    ftol : float, default 2.2e-9
        Stop when ``(f_k - f_{k+1}) / max(|f_k|, |f_{k+1}|, 1) <= ftol``.
    gtol : float, default 1e-5
        Stop when the largest component of the projected gradient is at most this.
    eps : float or array_like of shape (n,), default 1e-8
        Absolute step of the differences.
    maxfun, maxiter : int, default 15000
        The maximum number of evaluated points, including those of differences (a hard limit), and
        of iterations; with 0 only the start is evaluated.
    iprint : int, optional
        Negative or None: no output. 0: one line at the last iteration. 0 < iprint < 99: also f and
        ``|proj g|`` every iprint iterations. 99: details of every iteration except vectors. 100:
        also changes of the active set and the final x. Above 100: also x and g.
    callback : callable, optional
        ``callback(xk)`` or ``callback(intermediate_result)``, after each iteration.
    maxls : int, default 20
        The maximum number of evaluations in a line search.
    restart : bool, default False
        Whether to restart once after a stop by ``ftol`` with a large projected gradient.
    **unknown_options
        Options that :func:`scipy.optimize.minimize` passes on: ``tol`` (for those of ``ftol`` and
        ``gtol`` that have their defaults), ``finite_diff_rel_step``, ``workers``.

    Returns
    -------
    OptimizerResult
        The result, with ``hess_inv``, a :class:`LbfgsInvHessProduct` that includes the final step.

    Raises
    ------
    InvalidInputError, OptionError, UnknownOptionError
        Before the first evaluation, if an argument cannot be used.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> minimize(rosen, [-1.2, 1.0], jac=rosen_der, method=minimize_lbfgsb).x.round(4)
    array([1., 1.])
    """
    arguments = locals()
    passed_on = check_passed_on(minimize_lbfgsb, unknown_options)
    LEVEL("disp", disp)
    given = {name: arguments[name] for name in ("maxcor", "ftol", "gtol", "maxls", "restart")}
    given.update(maxiter=maxiter, iprint=iprint if disp is None else disp or -1)
    set_tolerance(passed_on.get("tol"), given, _TOLERANCES)
    options = LbfgsbOptions.checked(**given)
    call = FaceCall(fun, x0, args, jac, bounds, callback, maxfun, eps, passed_on)
    run = call.run("l-bfgs-b")
    result = run.execute(lambda run: solve_lbfgsb(run, options))
    if result.status == -1:
        result.status, result.message = _STOPPED.get(result.stop, (2, result.message))
    report_end(run, result, options.iprint)
    return result


#: SciPy's own name for :func:`minimize_lbfgsb`.
_minimize_lbfgsb = minimize_lbfgsb


def fmin_l_bfgs_b(
    func: Objective,
    x0: ArrayLike,
    fprime: Callable[..., Any] | None = None,
    args: Sequence[Any] = (),
    approx_grad: bool | int = 0,
    bounds: BoundsLike = None,
    m: int = 10,
    factr: float = 1e7,
    pgtol: float = 1e-5,
    epsilon: ArrayLike = 1e-8,
    iprint: int | None = None,
    maxfun: int = 15000,
    maxiter: int = 15000,
    disp: int | bool | None = None,
    callback: Callable[..., Any] | None = None,
    maxls: int = 20,
) -> tuple[Array, float, dict[str, Any]]:
    """Minimize a function func using the L-BFGS-B algorithm.

    Parameters
    ----------
    func, fprime : callable
        ``func(x, *args)`` and ``fprime(x, *args)``: value and gradient. With neither ``fprime`` nor
        ``approx_grad``, ``func`` returns both.
    approx_grad : bool, default False
        Whether to approximate the gradient by differences with the step ``epsilon``.
    args : sequence, default ()
        Further arguments. As in SciPy's function, a list or an array is unpacked too; for the other
        functions and the classes anything but a tuple is a single argument.
    x0, bounds, maxfun, maxiter, disp, iprint, callback, maxls
        As in :func:`minimize_lbfgsb`.
    m : int, default 10
        The number of steps that approximate the Hessian.
    factr : float, default 1e7
        ``ftol`` in units of the machine precision.
    pgtol : float, default 1e-5
        Stop when the largest component of the projected gradient is at most this.
    epsilon : float or array_like of shape (n,), default 1e-8
        Step of the differences.

    Returns
    -------
    x, f : ndarray of float64, shape (n,), and float
        Estimated position of the minimum, and the value there; NaN if stopped before the first.
    d : dict
        ``warnflag`` (0 converged, 1 too many evaluations or iterations, 2 stopped for the reason
        in ``task``), ``task``, ``grad`` (NaN if it was not evaluated at x, as when ``maxfun`` ends
        a run with differences), ``funcalls`` (points evaluated) and ``nit``.

    Examples
    --------
    >>> x, f, d = fmin_l_bfgs_b(lambda x: (x[0] - 1) ** 2, [3.0], approx_grad=True)
    >>> x.round(5), d["warnflag"]
    (array([1.]), 0)
    """
    whole(1)("m", m)
    NUMBER("factr", factr)
    NUMBER("pgtol", pgtol)
    jac = gradient_of(func, fprime, approx_grad, epsilon)
    options: dict[str, Any] = {"maxcor": m, "ftol": factr * _EPS, "gtol": pgtol, "eps": epsilon}
    options.update(maxfun=maxfun, maxiter=maxiter, maxls=maxls, iprint=iprint, disp=disp)
    result = minimize_lbfgsb(
        func, x0, as_arguments(args), jac, bounds, callback=callback, **options
    )
    information = {
        "warnflag": result.status,
        "task": result.message,
        "grad": np.full(result.x.size, np.nan) if result.jac is None else result.jac,
        "funcalls": result.nfev,
        "nit": result.nit,
    }
    return result.x, math.nan if result.fun is None else result.fun, information
