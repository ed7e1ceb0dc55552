"""L-BFGS-B on SciPy's kernel: how a run is solved by it."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.direct import direct
from optimizers.errors import OptionError
from optimizers.ledger import Evaluation
from optimizers.result import OptimizerResult, StopReason
from optimizers.run import Ending, Run
from optimizers.scipy import kernels
from optimizers.scipy.inverse_hessian import LbfgsInvHessProduct
from optimizers.scipy.public import LbfgsbEnd, PublicLbfgsb
from optimizers.scipy.reports import LbfgsbReport, projected_gradient
from optimizers.scipy.speculation import line_search
from optimizers.scipy.values_first import values_first

_STATIONARY_WORDS = "CONVERGENCE: NORM OF PROJECTED GRADIENT <= PGTOL"

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
    speculate: int = 1

    def __post_init__(self) -> None:
        for name in ("maxcor", "maxls", "speculate"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)!r}, expected at least 1.")


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
    value, gradient = evaluate(problem.x0)
    run.iterate = run.last
    report = LbfgsbReport(problem, options.iprint)
    report.iteration(0, problem.x0, value, gradient, run.nfev)
    if problem.is_fixed:
        run.extra["hess_inv"] = LbfgsInvHessProduct(*np.zeros((2, 0, problem.n)))
        return _ended(run, LbfgsbEnd(problem.x0, 0, 0, _STATIONARY_WORDS))
    first = value, gradient
    on_iteration = _observer(run, report if options.iprint > 0 else None)
    search = line_search(run, options.speculate, options.maxls) or values_first(run)
    start = problem.x0
    for attempt in (1, 2):
        settings = options.maxcor, options.ftol, options.gtol, options.maxls
        kernel = kernels.lbfgsb(start, problem.lower, problem.upper, *settings)
        before = run.nit
        try:
            kernel.run(evaluate, options.maxiter - before, on_iteration, first, search)
        finally:
            run.nit = before + kernel.iterations
            end = kernel.end()
            # Also when stopped.
            run.extra["hess_inv"] = LbfgsInvHessProduct.later(
                problem.n, functools.partial(_curved_pairs, kernel)
            )
        doubtful = options.restart and attempt == 1 and run.nit < options.maxiter
        if not (doubtful and _is_doubtful(run, end, float(kernel.f), kernel.g, options.gtol)):
            break
        start, first = end.x, (float(kernel.f), kernel.g.copy())
    return _ended(run, end)


def _is_doubtful(run: Run, end: LbfgsbEnd, f: float, g: Array, gtol: float) -> bool:
    """Return whether the run ended for lack of progress in f where the gradient is large."""
    limit = max(_STATIONARY * max(1.0, abs(f)), gtol)
    return "REDUCTION" in end.message and _norm(run, end.x, g) > limit


def _norm(run: Run, x: Array, g: Array) -> float:
    return float(np.max(np.abs(projected_gradient(run.problem, x, g)), initial=0.0))


def _ended(run: Run, end: LbfgsbEnd) -> Ending:
    """Return the ending in the run's terms."""
    known = run.recall(end.x)
    if known is not None and math.isnan(known.fun):
        words = "ABNORMAL: THE OBJECTIVE IS NAN"
        return Ending(end.x, False, 2, words, StopReason.FAILED, known)
    return Ending(end.x, end.status == 0, end.status, end.message, _reason(end), known)


def _curved_pairs(kernel: kernels.LbfgsbKernel | PublicLbfgsb) -> tuple[Array, Array]:
    """Return a kernel's pairs without those whose curvature is lost in rounding."""
    sk, yk = kernel.pairs()
    curved = np.einsum("ij,ij->i", sk, yk) != 0
    return (sk, yk) if curved.all() else (sk[curved], yk[curved])


def _observer(run: Run, report: LbfgsbReport | None) -> Callable[[Any], None]:
    def note(kernel: Any) -> None:
        run.iterate = run.last

    def observe(kernel: Any) -> None:
        known = Evaluation(kernel.x.copy(), float(kernel.f), kernel.g.copy())
        if report is not None:
            report.iteration(run.nit + 1, known.x, known.fun, kernel.g, run.nfev)
        run.iteration(known.x, known)

    return observe if report is not None or run.is_watched else note


def _reason(end: LbfgsbEnd) -> StopReason:
    for words, reason in (
        ("REDUCTION OF F", StopReason.FUN),
        ("PROJECTED GRADIENT", StopReason.GRADIENT),
        ("ITERATIONS", StopReason.MAXITER),
    ):
        if words in end.message:
            return reason
    return StopReason.NO_PROGRESS


def report_end(run: Run, result: OptimizerResult, iprint: int) -> None:
    """Print the last line of a run, whatever ended it, if the level asks for it."""
    if iprint < 0 or result.fun is None:
        return
    norm = math.nan if result.jac is None else _norm(run, result.x, result.jac)
    LbfgsbReport(run.problem, iprint).end(
        result.nit, result.x, result.fun, norm, result.nfev, result.message
    )
