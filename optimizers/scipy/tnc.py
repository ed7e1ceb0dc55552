"""TNC on SciPy's kernel: how a run is solved by it."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.direct import direct
from optimizers.errors import OptionError
from optimizers.evaluation.differences import Differences
from optimizers.ledger import Evaluation
from optimizers.problem import Problem
from optimizers.result import StopReason
from optimizers.run import Ending, Run
from optimizers.scipy import kernels
from optimizers.scipy.free import FreeVariables
from optimizers.scipy.reports import (
    MSG_ALL,
    MSG_EXIT,
    MSG_INFO,
    MSG_ITER,
    MSG_NONE,
    MSG_VERS,
    TncReport,
)
from optimizers.scipy.stationary import is_misled

INFEASIBLE = -1
LOCALMINIMUM = 0
FCONVERGED = 1
XCONVERGED = 2
MAXFUN = 3
LSFAIL = 4
CONSTANT = 5
NOPROGRESS = 6
USERABORT = 7

RCSTRINGS = {
    INFEASIBLE: "Infeasible (lower bound > upper bound)",
    LOCALMINIMUM: "Local minimum reached (|pg| ~= 0)",
    FCONVERGED: "Converged (|f_n-f_(n-1)| ~= 0)",
    XCONVERGED: "Converged (|x_n-x_(n-1)| ~= 0)",
    MAXFUN: "Max. number of function evaluations reached",
    LSFAIL: "Linear search failed",
    CONSTANT: "All lower bounds are equal to the upper bounds",
    NOPROGRESS: "Unable to progress",
    USERABORT: "User requested end of minimization",
}

_REASONS = {
    INFEASIBLE: StopReason.INFEASIBLE,
    LOCALMINIMUM: StopReason.GRADIENT,
    FCONVERGED: StopReason.FUN,
    XCONVERGED: StopReason.STEP,
    MAXFUN: StopReason.MAXFUN,
    LSFAIL: StopReason.NO_PROGRESS,
    CONSTANT: StopReason.FIXED,
    NOPROGRESS: StopReason.NO_PROGRESS,
    USERABORT: StopReason.CALLBACK,
}


def solve_tnc(run: Run, options: dict[str, Any], messages: int = MSG_NONE) -> Ending:
    """Run TNC on the problem of a run.

    Parameters
    ----------
    run : Run
        The run.
    options : dict
        Options of TNC that differ from :data:`kernels.TNC_DEFAULTS`; None stands for a default:
        for ``maxfun`` max(100, 10 n), for ``accuracy`` what suits the run's difference scheme.
    messages : int, default 0
        What is printed; see :class:`TncReport`.

    Returns
    -------
    Ending
        How it ended.
    """
    problem = run.problem
    report = TncReport(problem, messages) if messages else None
    # The kernel stumbles over a variable without room: such variables are kept from it.
    free = FreeVariables(problem, strip=True)
    mask = free.mask
    given = {
        name: value for name, value in options.items() if value is not None or name == "accuracy"
    }
    options = {**kernels.TNC_DEFAULTS, "maxfun": max(100, 10 * problem.n), **given}
    options["maxfun"], options["maxCGit"] = int(options["maxfun"]), int(options["maxCGit"])
    for name in ("scale", "offset"):
        options[name] = _vector(name, options[name], problem.n, mask)
    if options["scale"] is not None and not options["scale"].all():
        raise OptionError(
            f"scale is {given['scale']!r}, expected numbers other than zero: equal bounds fix a "
            "variable."
        )
    if options["scale"] is not None and options["offset"] is None:
        # The kernel leaves it to chance then: the documented default.
        options["offset"] = _default_offset(problem)[mask]
    evaluate = direct(run)
    value, gradient = evaluate(problem.x0)
    run.iterate = run.last
    if options["accuracy"] is None:  # the first value tells the precision
        error = _gradient_error(run, value)
        # Balances noise and curvature of the products; the kernel multiplies it by 1 + norm(x).
        options["accuracy"] = error**0.5 / 3
        if options["gtol"] < 0:
            # The kernel's own, 1e-2 sqrt(accuracy), supposes a gradient no better than accuracy.
            options["gtol"] = error ** (2 / 3)
    if report is not None:
        report.start()
        report.iteration(0, problem.x0, value, gradient, run.nfev)
    del gradient  # which may be large; the kernel asks for the start once more

    def note(x: Array) -> None:
        run.nit += 1
        run.iterate = _nearest(run, free.whole(x))

    def observe(x: Array) -> None:
        known = _nearest(run, free.whole(x))
        if report is not None and known.jac is not None:
            report.iteration(run.nit + 1, known.x, known.fun, known.jac, run.nfev)
        run.iteration(known.x, known)

    code, x = CONSTANT, problem.x0
    if mask.any():
        on_iteration = observe if run.is_watched or report is not None else note
        code, x = kernels.tnc(_on_free(evaluate, free), *_box(free), options, on_iteration)
        x = problem.clip(free.whole(x))
    known = run.recall(x)
    if known is None:  # scaling may move the last point by a rounding error
        run.value_and_gradient(x)
        known = run.recall(x)
    success = LOCALMINIMUM <= code <= XCONVERGED
    if success and known is not None:
        lacks_progress = code != LOCALMINIMUM
        if not math.isfinite(known.fun) or (lacks_progress and is_misled(run, known)):
            code, success = NOPROGRESS, False
    return Ending(x, success, code, RCSTRINGS[code], _REASONS[code], known)


def tnc_messages(level: int | None) -> int:
    """Return the bit mask for SciPy's integer interface: 0 none, …, 5 all messages."""
    levels = {0: MSG_NONE, 1: MSG_ITER, 2: MSG_INFO, 3: MSG_VERS, 4: MSG_EXIT}
    return MSG_NONE if level is None else levels.get(level, MSG_ALL)


def _gradient_error(run: Run, value: float) -> float:
    """Return the relative error of gradients by the run's differences, noise included."""
    if run.stage is None:
        error = run.differences.relative_error(run.precision)
    else:
        error = Differences("3-point").relative_error(run.stage.sigma / max(1.0, abs(value)))
    return min(error, 1.0)


def _vector(name: str, given: Any, n: int, mask: NDArray[np.bool_]) -> Array | None:
    if given is None:
        return None
    try:
        vector = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):  # no numbers
        vector = np.array([np.nan])
    if vector.ndim == 0:
        vector = np.full(n, vector)
    if vector.shape != (n,) or not np.isfinite(vector).all():
        raise OptionError(f"{name} is {given!r}, expected one finite number or {n} of them.")
    chosen: Array = vector[mask]
    return chosen


def _default_offset(problem: Problem) -> Array:
    """Return the middle between two bounds, and the start where there are no two."""
    lower, upper = problem.lower, problem.upper
    if lower is None or upper is None:
        return problem.x0
    boxed = np.isfinite(lower) & np.isfinite(upper)
    middle = np.where(boxed, lower, 0.0) / 2 + np.where(boxed, upper, 0.0) / 2
    return np.where(boxed, middle, problem.x0)


def _box(free: FreeVariables) -> tuple[Array, Array, Array]:
    """Return start and bounds of the free variables, without copies, which may be large."""
    problem, mask = free.problem, free.mask
    lower, upper = problem.lower, problem.upper
    if lower is None or upper is None:
        return problem.x0, np.full(problem.n, -np.inf), np.full(problem.n, np.inf)
    if free.is_all:
        return problem.x0, lower, upper
    return problem.x0[mask], lower[mask], upper[mask]


def _on_free(
    evaluate: Callable[[Array], tuple[float, Array]], free: FreeVariables
) -> Callable[[Array], tuple[float, Array]]:
    """Return ``evaluate`` as a function of the free variables alone."""
    if free.is_all:
        return evaluate

    def evaluate_free(x: Array) -> tuple[float, Array]:
        value, gradient = evaluate(free.whole(x))
        return value, gradient[free.mask]

    return evaluate_free


def _nearest(run: Run, x: Array) -> Evaluation:
    """Return the evaluation of an iterate: scaling may have moved it by a rounding error."""
    # After a long line search it may be remembered only as the best, or as the last iterate.
    kept = [known for known in (run.anchor, run.iterate) if known is not None]
    return run.recall(x) or min(
        [*kept, *run.recent], key=lambda known: float(np.sum((known.x - x) ** 2))
    )


def report_end(message: str, messages: int) -> None:
    """Print why a run ended, whatever ended it, if the mask asks for it."""
    if messages & MSG_EXIT:
        print(f"tnc: {message}")
