"""SciPy's functional interfaces of TNC."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from optimizers._types import Array, ArrayLike, BoundsLike, Objective
from optimizers.errors import CrossedBoundsError, NoValueError
from optimizers.evaluation.arguments import as_arguments
from optimizers.gradients.source import Jacobian
from optimizers.options.table import LEVEL, NUMBER
from optimizers.problem.bounds import as_start
from optimizers.result import OptimizerResult, StopReason
from optimizers.scipy.functions import FaceCall, check_passed_on, gradient_of, set_tolerance
from optimizers.scipy.options import check_option
from optimizers.scipy.tnc.codes import INFEASIBLE, MAXFUN, MSG_ALL, RCSTRINGS, USERABORT, mask_of
from optimizers.scipy.tnc.kernel import TNC_DEFAULTS
from optimizers.scipy.tnc.report import report_end, report_version
from optimizers.scipy.tnc.solver import solve_tnc

_OPTIONS = tuple(name for name in TNC_DEFAULTS if name != "maxfun")
_STOPPED = {StopReason.MAXFUN: MAXFUN, StopReason.CALLBACK: USERABORT}


def minimize_tnc(
    fun: Objective,
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    jac: Jacobian = None,
    bounds: BoundsLike = None,
    eps: ArrayLike = 1e-8,
    scale: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    mesg_num: int | None = None,
    maxCGit: int = -1,  # noqa: N803  # SciPy's name
    eta: float = -1,
    stepmx: float = 0,
    accuracy: float = 0,
    minfev: float = 0,
    ftol: float = -1,
    xtol: float = -1,
    gtol: float = -1,
    rescale: float = -1,
    disp: bool = False,
    callback: Callable[..., Any] | None = None,
    maxfun: int | None = None,
    **unknown_options: Any,
) -> OptimizerResult:
    """Minimize a scalar function of one or more variables using a truncated Newton algorithm.

    Usable as ``scipy.optimize.minimize(..., method=minimize_tnc)``.

    Parameters
    ----------
    fun, x0, args, jac, bounds, eps, callback
        As in :func:`minimize_lbfgsb`; ``fun`` returning None ends the run.
    scale, offset : float or array_like of shape (n,), optional
        The factor of each variable, and the offset that is subtracted from it. By default up - low
        and (up + low) / 2 for variables between two bounds, 1 + abs(x) and x for the others.
    mesg_num : int, optional
        0 no message, 1 a line per iteration, 2 information, 3 version, 4 reason for the end, 5 all.
    maxCGit : int, default -1
        Maximum number of Hessian-vector products per iteration; 0: steepest descent; negative:
        max(1, min(50, n / 2)).
    eta, stepmx : float, default -1 and 0
        Severity of the line search, outside 0 to 1: 0.25; its maximum step, if too small, 10.
    accuracy : float, default 0
        Relative precision of the Hessian's differences; at most the machine precision: its root.
        If gradients are differences of values in single precision, the defaults of this and of the
        goals below are adapted, and the run is a success only if the gradient may be zero.
    minfev : float, default 0
        Estimate of the minimum.
    ftol, xtol, gtol : float, default -1
        Precision goals of f, of the scaled x, and of the scaled projected gradient.
    rescale : float, default -1
        Scaling factor (in log10) that triggers a rescaling of f; negative: 1.3.
    disp : bool, default False
        Print all messages.
    maxfun : int, optional
        The maximum number of evaluated points, including those of differences: a hard limit. By
        default the kernel stops after max(100, 10 n) evaluations of value and gradient.
    **unknown_options
        As in :func:`minimize_lbfgsb`; ``tol`` stands for ``xtol`` too.

    Returns
    -------
    OptimizerResult
        With TNC's return code as ``status``. ``fun`` is None if there is no value: if ``fun``
        returned None at the start, or the bounds are crossed.

    Raises
    ------
    InvalidInputError, OptionError, UnknownOptionError
        Before the first evaluation, if an argument cannot be used.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> minimize(rosen, [-1.2, 1.0], jac=rosen_der, method=minimize_tnc).x.round(2)
    array([1., 1.])
    """
    given = locals()
    passed_on = check_passed_on(minimize_tnc, unknown_options)
    LEVEL("mesg_num", mesg_num)
    LEVEL("disp", disp)
    messages = MSG_ALL if mesg_num is None and disp else mask_of(mesg_num)
    call = FaceCall(fun, x0, args, jac, bounds, callback, maxfun, eps, passed_on)
    return _minimize(call, {name: given[name] for name in _OPTIONS}, messages)


def fmin_tnc(
    func: Objective,
    x0: ArrayLike,
    fprime: Callable[..., Any] | None = None,
    args: Sequence[Any] = (),
    approx_grad: bool | int = 0,
    bounds: BoundsLike = None,
    epsilon: ArrayLike = 1e-8,
    scale: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    messages: int | None = MSG_ALL,
    maxCGit: int = -1,  # noqa: N803  # SciPy's name
    maxfun: int | None = None,
    eta: float = -1,
    stepmx: float = 0,
    accuracy: float = 0,
    fmin: float = 0,
    ftol: float = -1,
    xtol: float = -1,
    pgtol: float = -1,
    rescale: float = -1,
    disp: int | None = None,
    callback: Callable[..., Any] | None = None,
) -> tuple[Array, int, int]:
    """Minimize a function with variables subject to bounds, using gradient information.

    Parameters
    ----------
    func, x0, fprime, args, approx_grad, epsilon
        As in :func:`fmin_l_bfgs_b`; ``func`` returning None ends the run.
    messages, disp : int
        What to print: a bit mask, see MSGS, all by default; or a level, from 0 for none to 5 for
        all.
    fmin, pgtol : float, default 0 and -1
        Estimate of the minimum, and precision goal of the scaled projected gradient.
    bounds, scale, offset, maxCGit, maxfun, eta, stepmx, accuracy, ftol, xtol, rescale, callback
        As in :func:`minimize_tnc`.

    Returns
    -------
    x : ndarray of float64, shape (n,)
        The solution.
    nfeval, rc : int
        The number of points evaluated, and the return code, see RCSTRINGS.

    Examples
    --------
    >>> func = lambda x: ((x[0] - 1) ** 2, [2 * (x[0] - 1)])
    >>> x, nfeval, rc = fmin_tnc(func, [3.0], messages=0)
    >>> x.round(5), RCSTRINGS[rc]
    (array([1.]), 'Local minimum reached (|pg| ~= 0)')
    """
    given = {**locals(), "minfev": fmin, "gtol": pgtol}
    LEVEL("messages", messages)
    LEVEL("disp", disp)
    NUMBER("fmin", fmin)
    NUMBER("pgtol", pgtol)
    mask = MSG_ALL if messages is None else int(messages)
    mask = mask if disp is None else mask_of(disp)
    jac = gradient_of(func, fprime, approx_grad, epsilon)
    call = FaceCall(func, x0, as_arguments(args), jac, bounds, callback, maxfun, epsilon, {})
    result = _minimize(call, {name: given[name] for name in _OPTIONS}, mask)
    return result.x, result.nfev, result.status


def _minimize(call: FaceCall, options: dict[str, Any], messages: int) -> OptimizerResult:
    set_tolerance(call.passed_on.get("tol"), options, dict.fromkeys(("ftol", "xtol", "gtol"), -1.0))
    for name, value in options.items():
        if value is not TNC_DEFAULTS[name]:  # those need no check
            options[name] = check_option(name, value)
    options["maxfun"] = check_option("maxfun", call.maxfun)
    try:
        run = call.run("tnc")
    except CrossedBoundsError:
        report_version(messages)
        report_end(RCSTRINGS[INFEASIBLE], messages)
        return _infeasible(call.x0)
    try:
        result = run.execute(lambda run: solve_tnc(run, options, messages))
    except NoValueError as error:
        if error.function != "fun":
            raise
        # None ends the run, as SciPy documents.
        result = cast(Any, error).optimizer_result
        result.stop = StopReason.CALLBACK
    if result.stop in _STOPPED:
        result.status = _STOPPED[result.stop]
        result.message = RCSTRINGS[result.status]
    report_end(result.message, messages)
    return result


def _infeasible(x0: ArrayLike) -> OptimizerResult:
    return OptimizerResult(
        x=as_start(np.ravel(np.asarray(x0))),
        fun=None,
        jac=None,
        **dict.fromkeys(("nfev", "njev", "nhev", "nit", "nrejected", "nreplayed"), 0),
        success=False,
        status=INFEASIBLE,
        message=RCSTRINGS[INFEASIBLE],
        stop=StopReason.INFEASIBLE,
        best=None,
        elapsed=0.0,
    )
