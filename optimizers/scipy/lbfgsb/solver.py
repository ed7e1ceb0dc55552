"""L-BFGS-B on SciPy's kernel: how a run is solved by it."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from optimizers._types import Array
from optimizers.options.settings import check_option
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.fast_path import direct
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.lbfgsb import kernel as kernels
from optimizers.scipy.lbfgsb.inverse_hessian import LbfgsInvHessProduct
from optimizers.scipy.lbfgsb.public import LbfgsbEnd, PublicLbfgsb
from optimizers.scipy.lbfgsb.report import LbfgsbReport
from optimizers.scipy.lbfgsb.speculation import line_search
from optimizers.scipy.lbfgsb.values_first import values_first
from optimizers.scipy.stationary import gradient_norm, is_misled, is_stationary

_ABNORMAL = 2
_WHOLE = ("maxcor", "maxls", "maxiter", "iprint", "speculate")
_STATIONARY_WORDS = "CONVERGENCE: NORM OF PROJECTED GRADIENT <= PGTOL"


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
    speculate : int, default 1
        How many steps of a line search are tried at a time; see :func:`line_search`.
    values_first : bool, default False
        Whether gradients of steps that are too long are saved where points wait for workers; see
        :func:`values_first`.
    """

    maxcor: int = 10
    ftol: float = 2.220446049250313e-09
    gtol: float = 1e-5
    maxls: int = 20
    maxiter: int = 15000
    iprint: int = -1
    restart: bool = False
    speculate: int = 1
    values_first: bool = False

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """Return the options that a user gives; None stands for a default.

        Raises
        ------
        OptionError
            If one has a value that cannot be used.
        """
        options: dict[str, Any] = {}
        for name, value in given.items():
            if value is not _DEFAULTS.get(name):
                check_option(name, value)
                if value is not None:
                    options[name] = int(value) if name in _WHOLE else value
        return cls(**options)


_DEFAULTS = {option.name: option.default for option in fields(LbfgsbOptions)}


def solve_lbfgsb(run: Run, options: LbfgsbOptions) -> Outcome:
    """Run L-BFGS-B on the problem of a run.

    Parameters
    ----------
    run : Run
        The run.
    options : LbfgsbOptions
        The options.

    Returns
    -------
    Outcome
        How it ended. The run's ``extra`` gets ``hess_inv``, however the run ends.
    """
    return LbfgsbSolver(options)(run)


class LbfgsbSolver:
    """L-BFGS-B on a run.

    Parameters
    ----------
    options : LbfgsbOptions
        The options.
    """

    def __init__(self, options: LbfgsbOptions) -> None:
        self._options = options
        self._report: LbfgsbReport | None = None
        # The kernel, and a second one after a restart; and the iterations before each.
        self._made: list[kernels.LbfgsbKernel | PublicLbfgsb] = []
        self._before: list[int] = []

    def __call__(self, run: Run) -> Outcome:
        """Run the algorithm to its end."""
        problem, options, made = run.problem, self._options, self._made
        evaluate = direct(run)
        if not made:
            report = LbfgsbReport(problem, options.iprint) if options.iprint > 0 else None
            value, gradient = evaluate(problem.x0)
            run.iterate = run.last
            if report is not None:
                report.iteration(0, problem.x0, value, gradient, run.nfev)
            self._report = report
            del gradient  # which may be large; the kernel asks for the start once more
            if problem.is_fixed:
                run.extra["hess_inv"] = LbfgsInvHessProduct(*np.zeros((2, 0, problem.n)))
                return _ended(run, LbfgsbEnd(problem.x0, 0, 0, _STATIONARY_WORDS))
            self._make(run, problem.x0)
        end = self._solved(0, run, evaluate)
        if not options.restart:
            return _ended(run, end)
        if run.nit < options.maxiter and _is_doubtful(problem, made[0], end, options):
            value = float(made[0].f)
            if len(made) == 1:
                self._make(run, end.x)
            again = self._solved(1, run, evaluate, (value, made[0].g.copy()))
            if again.status != _ABNORMAL:
                end = again
            elif float(made[1].f) < value:
                end = replace(end, x=again.x)  # it cannot go on from there: the doubted end stands
        if _is_doubtful(problem, made[-1], end, options):
            norm = gradient_norm(problem, end.x, made[-1].g)
            end = replace(end, message=f"{end.message}, AT |PROJ G| = {norm:.1E}")
        return _ended(run, end)

    def _make(self, run: Run, start: Array) -> None:
        options, problem = self._options, run.problem
        settings = options.maxcor, options.ftol, options.gtol, options.maxls
        self._made.append(kernels.lbfgsb(start, problem.lower, problem.upper, *settings))
        self._before.append(run.nit)

    def _solved(
        self,
        i: int,
        run: Run,
        evaluate: Callable[[Array], tuple[float, Array]],
        first: tuple[float, Array] | None = None,
    ) -> LbfgsbEnd:
        """Run a kernel to its end, whose first question may have an answer already."""
        options, kernel, before = self._options, self._made[i], self._before[i]
        search = line_search(run, options.speculate, options.maxls)
        if search is None and options.values_first:
            search = values_first(run)
        on_iteration = _observer(run, self._report)
        try:
            kernel.run(evaluate, options.maxiter - before, on_iteration, first, search)
        except BaseException:
            self._keep(run, before + kernel.iterations)
            raise
        self._keep(run, before + kernel.iterations)
        return kernel.end()

    def _keep(self, run: Run, nit: int) -> None:
        """Let the run have what was learnt, also when it is stopped."""
        run.nit = nit
        pairs = functools.partial(_curved_pairs, tuple(self._made), self._options.maxcor)
        run.extra["hess_inv"] = LbfgsInvHessProduct.later(run.problem.n, pairs)


def _is_doubtful(
    problem: Problem,
    kernel: kernels.LbfgsbKernel | PublicLbfgsb,
    end: LbfgsbEnd,
    options: LbfgsbOptions,
) -> bool:
    """Return whether a kernel ended for lack of progress where the gradient is large."""
    return "REDUCTION" in end.message and not is_stationary(
        problem, end.x, float(kernel.f), kernel.g, options.gtol
    )


def _ended(run: Run, end: LbfgsbEnd) -> Outcome:
    """Return the outcome in the run's terms."""
    known = run.lookup(end.x)
    if known is not None and not math.isfinite(known.fun):
        words = f"ABNORMAL: THE OBJECTIVE IS {known.fun}".upper()
        return Outcome(end.x, False, 2, words, StopReason.FAILED, known)
    reason = _reason(end)
    if known is not None and reason is StopReason.FUN and is_misled(run, known):
        words = "ABNORMAL: NO PROGRESS AFTER VALUES THAT ARE NAN"
        return Outcome(end.x, False, 2, words, StopReason.NO_PROGRESS, known)
    return Outcome(end.x, end.status == 0, end.status, end.message, reason, known)


def _curved_pairs(
    made: Sequence[kernels.LbfgsbKernel | PublicLbfgsb], m: int
) -> tuple[Array, Array]:
    """Return the last pairs of a run's kernels, without those whose curvature rounding took."""
    found = [kernel.pairs() for kernel in made]
    sk, yk = found[-1]
    if len(found) > 1:
        sk, yk = (np.concatenate(parts)[-m:] for parts in zip(*found, strict=True))
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
    norm = math.nan
    if result.jac is not None:
        norm = gradient_norm(run.problem, result.x, result.jac)
    LbfgsbReport(run.problem, iprint).end(
        result.nit, result.x, result.fun, norm, result.nfev, result.message
    )
