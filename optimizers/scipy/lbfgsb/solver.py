"""L-BFGS-B on SciPy's kernel: how a run is solved by it."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._arrays import check_memory
from optimizers._types import Array
from optimizers.errors import OptionError, warn_user
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.fast_path import fast_path
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.lbfgsb import available
from optimizers.scipy.lbfgsb.inverse_hessian import LbfgsInvHessProduct
from optimizers.scipy.lbfgsb.kernel import LbfgsbKernel
from optimizers.scipy.lbfgsb.line_search import LineSearch
from optimizers.scipy.lbfgsb.native import NativeLbfgsb, is_native
from optimizers.scipy.lbfgsb.public import LbfgsbEnd, PublicLbfgsb
from optimizers.scipy.lbfgsb.relaxed import axis_pairs, relaxed
from optimizers.scipy.lbfgsb.report import LbfgsbReport
from optimizers.scipy.options import LbfgsbOptions
from optimizers.scipy.solver import ScipySolver
from optimizers.scipy.stationary import gradient_norm, is_misled, is_stationary

#: Any way to run L-BFGS-B.
Kernel = LbfgsbKernel | PublicLbfgsb | NativeLbfgsb

_ABNORMAL = 2
#: The meaning of parts of its message.
_REASONS = {
    "REDUCTION OF F": StopReason.FUN,
    "PROJECTED GRADIENT": StopReason.GRADIENT,
    "ITERATIONS": StopReason.MAXITER,
}
_STATIONARY_WORDS = "CONVERGENCE: NORM OF PROJECTED GRADIENT <= PGTOL"


class LbfgsbSolver(ScipySolver):
    """L-BFGS-B with the options of one optimizer."""

    @override
    def solve(self, run: Run) -> Outcome:
        given = self._options(run)  # without maxfun: the run's budget
        for name in ("ftol", "gtol"):
            if given.get(name) is not None and not given[name] >= 0:
                raise OptionError(f"{name} is {given[name]!r}, expected a number >= 0.")
        # A given tolerance is used as it is.
        own = {"restart": self._tol is None, "values_first": True, "solver": "auto"}
        given = {**own, **given}
        return solve_lbfgsb(run, LbfgsbOptions.checked(**given))

    @override
    def report(self, run: Run, result: OptimizerResult) -> None:
        iprint = self._given.get("iprint")
        report_end(run, result, -1 if iprint is None else int(iprint))


def solve_lbfgsb(run: Run, options: LbfgsbOptions) -> Outcome:
    """Run L-BFGS-B on a run, whose ``extra`` gets ``hess_inv``, however it ends."""
    problem, m = run.problem, options.maxcor
    make = NativeLbfgsb if is_native(run, options) else available.lbfgsb
    evaluate = fast_path(run, keeps=make is NativeLbfgsb)
    check_memory(f"L-BFGS-B with maxcor={m}", 2 * m * problem.n + 11 * m * m, "10 are usual")
    report = LbfgsbReport(problem, options.iprint) if options.iprint > 0 else None
    value, gradient = evaluate(problem.x0)
    run.note_iterate(run.memory.last)
    if report is not None:
        report.iteration(0, problem.x0, value, gradient, run.nfev)
    taught = _taught(run, options, make, value, gradient)
    del gradient  # it may be large, and the kernel asks for the start again
    if problem.is_fixed:
        run.extra["hess_inv"] = LbfgsInvHessProduct(*np.zeros((2, 0, problem.n)))
        return _ended(run, LbfgsbEnd(problem.x0, 0, 0, _STATIONARY_WORDS))
    on_iteration = _observer(run, report)
    search = None if make is NativeLbfgsb else _search(run, options)
    made: list[Kernel] = []  # a second one after a restart

    def attempt(start: Array, first: tuple[float, Array] | None = None) -> LbfgsbEnd:
        kernel: Kernel | None = None if made else taught
        kernel = kernel or make(start, problem.lower, problem.upper, options)
        before = run.nit
        made.append(kernel)
        try:
            kernel.run(evaluate, options.maxiter - before, on_iteration, first, search)
        finally:  # the run keeps what was learned even if it is stopped
            run.note_iterations(before + kernel.iterations)
            pairs = functools.partial(_curved_pairs, tuple(made), options.maxcor)
            run.extra["hess_inv"] = LbfgsInvHessProduct.later(problem.n, pairs)
        return kernel.end()

    end = attempt(problem.x0)
    if not options.restart:
        return _ended(run, end)
    if run.nit < options.maxiter and _is_doubtful(problem, made[0], end, options):
        value = float(made[0].f)
        again = attempt(end.x, (value, made[0].g.copy()))
        if again.status != _ABNORMAL:
            end = again
        elif float(made[1].f) < value:
            end = replace(end, x=again.x)  # it cannot continue from there: keep the end
    if _is_doubtful(problem, made[-1], end, options):
        norm = gradient_norm(problem, end.x, made[-1].g)
        end = replace(end, message=f"{end.message}, AT |PROJ G| = {norm:.1E}")
    return _ended(run, end)


def _search(run: Run, options: LbfgsbOptions) -> Callable[[LbfgsbKernel], None] | None:
    """Return what answers the line search of SciPy's kernel; None for its own search."""
    search = line_search(run, options.speculate, options.maxls)
    if search is None and run.watch is not None and run.watch.curvature is not None:
        search = relaxed(run, run.watch, options.maxls)
    if search is None and options.values_first:
        search = values_first(run)
    return search


def _taught(
    run: Run, options: LbfgsbOptions, make: Callable[..., Kernel], value: float, gradient: Array
) -> Kernel | None:
    """Return a kernel at the start that has pairs of known gradients; None if there are none."""
    problem = run.problem
    pairs = run.known_points.pairs(problem.x0, gradient, options.maxcor)
    if not pairs and run.watch is not None and run.watch.curvature is not None:
        pairs = axis_pairs(problem.x0, run.watch.curvature, options.maxcor)
    if not pairs or options.maxiter == 0 or (make is available.lbfgsb and not available.learns()):
        return None
    kernel = make(problem.x0, problem.lower, problem.upper, options)
    assert not isinstance(kernel, PublicLbfgsb)
    return kernel if kernel.learn(value, gradient, pairs) else None


def _is_doubtful(problem: Problem, kernel: Kernel, end: LbfgsbEnd, options: LbfgsbOptions) -> bool:
    """Return whether a kernel ended for lack of progress where the gradient is large."""
    return "REDUCTION" in end.message and not is_stationary(
        problem, end.x, float(kernel.f), kernel.g, options.gtol
    )


def _ended(run: Run, end: LbfgsbEnd) -> Outcome:
    """Return the outcome of the run."""
    known = run.memory.lookup(end.x)
    if known is not None and not math.isfinite(known.fun):
        words = f"ABNORMAL: THE OBJECTIVE IS {known.fun}".upper()
        return Outcome(end.x, False, 2, words, StopReason.FAILED, known)
    reasons = (reason for words, reason in _REASONS.items() if words in end.message)
    reason = next(reasons, StopReason.NO_PROGRESS)
    if known is not None and reason is StopReason.FUN and is_misled(run, known):
        words = "ABNORMAL: NO PROGRESS AFTER VALUES THAT ARE NAN"
        return Outcome(end.x, False, 2, words, StopReason.NO_PROGRESS, known)
    # SciPy says only ABNORMAL if a line search finds nothing; so do its functions here.
    is_silent = end.message.endswith(": ") and not run.waves.propagates_nonfinite
    words = f"{end.message.rstrip()} THE LINE SEARCH FOUND NO LOWER POINT"
    words = words if is_silent else end.message
    return Outcome(end.x, end.status == 0, end.status, words, reason, known)


def _curved_pairs(made: Sequence[Kernel], m: int) -> tuple[Array, Array]:
    """Return the last pairs of a run's kernels that did not lose their curvature to rounding."""
    found = [kernel.pairs() for kernel in made]
    sk, yk = found[-1]
    if len(found) > 1:
        sk, yk = (np.concatenate(parts)[-m:] for parts in zip(*found, strict=True))
    curved = np.einsum("ij,ij->i", sk, yk) != 0
    return (sk, yk) if curved.all() else (sk[curved], yk[curved])


def _observer(run: Run, report: LbfgsbReport | None) -> Callable[[Any], None]:
    def note(kernel: Any) -> None:
        run.note_iterate(run.memory.last, run.nit + 1)

    def observe(kernel: Any) -> None:
        known = Evaluation(kernel.x.copy(), float(kernel.f), kernel.g.copy())
        if report is not None:
            report.iteration(run.nit + 1, known.x, known.fun, kernel.g, run.nfev)
        run.iterated(known.x, known)

    return observe if report is not None or run.is_watched else note


def report_end(run: Run, result: OptimizerResult, iprint: int) -> None:
    """Print the last line of a run, however it ended, if the level includes it."""
    if iprint < 0 or result.fun is None:
        return
    norm = math.nan
    if result.jac is not None:
        norm = gradient_norm(run.problem, result.x, result.jac)
    LbfgsbReport(run.problem, iprint).end(
        result.nit, result.x, result.fun, norm, result.nfev, result.message
    )


def line_search(run: Run, speculate: int, maxls: int) -> Callable[[LbfgsbKernel], None] | None:
    """Return a line search that tries ``speculate`` steps at a time; None for the kernel's own."""
    if speculate == 1:
        return None
    if not available.line_search_is_replaceable():
        warn_user(
            f"speculate={speculate} is not supported by the L-BFGS-B kernel of this SciPy: steps "
            "are tried one at a time."
        )
        return None

    def search(kernel: LbfgsbKernel) -> None:
        ray = kernel.ray()
        line = LineSearch(ray.value, ray.slope, ray.first, ray.longest)
        known: dict[float, tuple[Evaluation, Array]] = {}
        left = maxls
        while line.acceptable() is None and left > 0:
            steps = line.steps(min(speculate, left))
            if not steps:
                break
            left -= len(steps)
            points = [ray.point(step) for step in steps]
            found = run.ask(points, gradients=True, penalize=False, optional=True).found
            # The budget may have been too small for all.
            for step, answer in zip(steps, found, strict=False):
                if answer is None or answer.jac is None:
                    line.reject(step)
                else:
                    known[step] = answer, answer.jac
                    line.tell(step, answer.fun, float(answer.jac.dot(ray.direction)))
        taken = line.acceptable() or line.lowest()
        if taken is None:
            kernel.give_up()
            return
        answer, gradient = known[taken.step]
        run.goes_on_from(answer)
        kernel.accept(taken.step, answer.x, answer.fun, gradient)

    return search


def values_first(run: Run) -> Callable[[LbfgsbKernel], None] | None:
    """Return a function that answers the line search without needless gradients, or None."""
    # Random probes must be the same for any workers.
    has_probes = not (run.problem.derivatives.is_given or run.source.is_random)
    is_narrow = run.waves.evaluator.facts.width < run.problem.n + 1  # points wait for workers
    if not (has_probes and is_narrow and available.steps_back_by_value()):
        return None

    def answer(kernel: LbfgsbKernel) -> None:
        limit = kernel.decrease_limit
        (known,) = run.ask(
            [kernel.x], gradients=True, reuse=True, skip_gradient_if=lambda value: value > limit
        ).found
        assert known is not None
        if known.jac is None:
            kernel.step_back(known.fun)
        else:
            kernel.f[...], kernel.g[...] = known.fun, known.jac

    return answer
