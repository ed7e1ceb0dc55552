"""L-BFGS-B on SciPy's kernel: how a run is solved by it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.direct import direct, first_known
from optimizers.ledger import Evaluation
from optimizers.result import StopReason
from optimizers.run import Ending, Run
from optimizers.scipy import kernels
from optimizers.scipy.inverse_hessian import LbfgsInvHessProduct
from optimizers.scipy.reports import LbfgsbReport, projected_gradient

#: A projected gradient above this part of max(1, |f|) belies a stop for lack of progress in f.
_STATIONARY = 1e-4


@dataclass(frozen=True)
class LbfgsbOptions:
    """The options of L-BFGS-B, with SciPy's names and defaults.

    Parameters
    ----------
    maxcor, ftol, gtol, maxls, maxiter, iprint
        As in :func:`minimize_lbfgsb`.
    restart : bool, default False
        Whether a stop by ``ftol`` where the projected gradient is large is doubted once: the run
        goes on from there with an empty memory.
    """

    maxcor: int = 10
    ftol: float = 2.220446049250313e-09
    gtol: float = 1e-5
    maxls: int = 20
    maxiter: int = 15000
    iprint: int = -1
    restart: bool = False


def solve_lbfgsb(run: Run, options: LbfgsbOptions) -> Ending:
    """Run L-BFGS-B on the problem of a run.

    Parameters
    ----------
    run : Run
        The run.
    options : LbfgsbOptions
        The options.

    Returns
    -------
    Ending
        How it ended. The run's ``extra`` gets ``hess_inv``, however the run ends.
    """
    problem = run.problem
    evaluate = direct(run)
    report = LbfgsbReport(problem, options.iprint) if options.iprint >= 0 else None
    on_iteration = None if report is None and not run.is_watched else _observer(run, report)
    start = problem.x0
    if report is not None:
        evaluate = _reported_first(run, report, evaluate)
    for attempt in (1, 2):
        settings = options.maxcor, options.ftol, options.gtol, options.maxls
        kernel = kernels.lbfgsb(start, problem.lower, problem.upper, *settings)
        before = run.nit
        try:
            kernel.run(evaluate, options.maxiter - before, on_iteration)
        finally:
            run.nit = before + kernel.iterations
            end = kernel.end()
            run.extra["hess_inv"] = LbfgsInvHessProduct(end.sk, end.yk)
        f, g = float(kernel.f), kernel.g
        norm = float(np.max(np.abs(projected_gradient(problem, end.x, g)), initial=0.0))
        doubtful = "REDUCTION" in end.message and norm > max(
            _STATIONARY * max(1.0, abs(f)), options.gtol
        )
        if attempt == 2 or not (options.restart and doubtful and run.nit < options.maxiter):
            break
        start, evaluate = end.x, first_known(f, g.copy(), evaluate)
    success, message, status = end.status == 0, end.message, end.status
    if math.isnan(f):
        success, status, message = False, 2, "ABNORMAL: THE OBJECTIVE IS NAN"
    if report is not None:
        report.end(run.nit, end.x, f, norm, run.nfev, message)
    known = run.recall(end.x) or Evaluation(end.x, f, g.copy())
    return Ending(end.x, success, status, message, _reason(message, status), known)


def _observer(run: Run, report: LbfgsbReport | None) -> Callable[[Any], None]:
    def observe(kernel: Any) -> None:
        known = Evaluation(kernel.x.copy(), float(kernel.f), kernel.g.copy())
        if report is not None:
            report.iteration(run.nit + 1, known.x, known.fun, kernel.g, run.nfev)
        run.iteration(known.x, known)

    return observe


def _reported_first(
    run: Run, report: LbfgsbReport, evaluate: Callable[[Array], tuple[float, Array]]
) -> Callable[[Array], tuple[float, Array]]:
    """Return ``evaluate`` whose first answer, that at the start, is reported as iteration 0."""

    def reported(x: Array) -> tuple[float, Array]:
        is_first = run.nfev == 0
        value, gradient = evaluate(x)
        if is_first:
            report.iteration(0, x, value, gradient, run.nfev)
        return value, gradient

    return reported


def _reason(message: str, status: int) -> StopReason:
    for words, reason in (
        ("REDUCTION OF F", StopReason.FUN),
        ("PROJECTED GRADIENT", StopReason.GRADIENT),
        ("ITERATIONS", StopReason.MAXITER),
        ("NAN", StopReason.FAILED),
    ):
        if words in message:
            return reason
    return StopReason.NO_PROGRESS
