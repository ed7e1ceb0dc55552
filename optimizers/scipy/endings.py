"""The ends of runs of SciPy's methods in SciPy's terms: codes, messages and NaNs."""

import numpy as np

from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.method import Method

#: SciPy's messages for limits that are counted here.
_WORDS = {
    StopReason.MAXFUN: "Maximum number of function evaluations has been exceeded.",
    StopReason.MAXITER: "Maximum number of iterations has been exceeded.",
}


def tell_as_scipy(info: Method, run: Run, result: OptimizerResult) -> None:
    """Give a result SciPy's code, message and counts, and NaN as gradient of removed variables."""
    problem = run.problem
    result.njev += run.budget.ndifferences
    if info.counts_next and result.stop is StopReason.CALLBACK:
        result.nit += 1
    codes = {stop: code for code, stop in info.stops.items()}
    if result.stop is StopReason.CALLBACK:
        result.status, result.message = info.callback_ending
    elif result.status == -1 and result.stop in _WORDS and result.stop in codes:
        result.status, words = codes[result.stop], f"Stopped: {result.stop.sentence}."
        result.message = result.message.replace(words, _WORDS[result.stop])
    if result.jac is not None and _takes_out(info, problem):
        assert problem.lower is not None
        result.jac = np.where(problem.lower == problem.upper, np.nan, result.jac)
        if "hess_inv" in result:
            result.hess_inv = None


def all_fixed(problem: Problem) -> Outcome:
    """Return the outcome of a run whose bounds leave no variable free."""
    words = "All independent variables were fixed by bounds"
    if problem.constraints:
        missed = problem.violation(problem.x0)
        words += (
            f", but they do not satisfy the constraints exactly. (Maximum violation: {missed})"
            if missed
            else " at values that satisfy the constraints"
        )
    return Outcome(problem.x0, True, 0, f"{words}.", StopReason.FIXED)


def _takes_out(info: Method, problem: Problem) -> bool:
    """Return whether SciPy removes variables that the bounds fix."""
    if info.scipy_removes is None or problem.lower is None or problem.is_fixed:
        return False
    if not (problem.lower == problem.upper).any():
        return False
    differs = not problem.derivatives.is_given or not all(c.has_jac for c in problem.constraints)
    return differs or info.scipy_removes == "always"
