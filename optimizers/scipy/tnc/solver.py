"""TNC on SciPy's kernel: how a run is solved by it."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers._arrays import as_numbers
from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.gradients.differences import Differences
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.fast_path import fast_path
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.free_variables import FreeVariables
from optimizers.scipy.solver import INT_MAX, ScipySolver
from optimizers.scipy.stationary import Evaluate, is_misled, is_stationary
from optimizers.scipy.tnc import codes, kernel as kernels
from optimizers.scipy.tnc.codes import FCONVERGED, LSFAIL, NOPROGRESS, XCONVERGED
from optimizers.scipy.tnc.report import TncReport, report_end, report_version

_FLOAT = np.finfo(np.float64)
#: With smaller or larger scales, steps of the size of the machine precision under- or overflow.
_LEAST, _MOST = float(_FLOAT.tiny / _FLOAT.eps), float(_FLOAT.max * _FLOAT.eps)


class TncSolver(ScipySolver):
    """TNC with the options of one optimizer."""

    @override
    def solve(self, run: Run) -> Outcome:
        options = self._options(run)
        # The kernel's maxfun counts value and gradient as one, whatever they cost, unlike the
        # run's.
        limit = options.pop("maxiter", None)
        limit = _default_limit(run.problem) if limit is None else limit
        messages = codes.mask_of(options.pop("mesg_num", None))
        outcome = solve_tnc(run, {**options, "maxfun": limit}, messages)
        if outcome.stop is StopReason.MAXFUN:
            # The message must say that this limit is not maxfun.
            words = f"maxiter={limit}, which counts value and gradient as one"
            outcome = replace(outcome, message=f"{outcome.message} ({words})")
        return outcome

    @override
    def report(self, run: Run, result: OptimizerResult) -> None:
        report_end(result.message, codes.mask_of(self._given.get("mesg_num")))


def _default_limit(problem: Problem) -> int:
    return max(100, 10 * problem.n)


def solve_tnc(run: Run, options: dict[str, Any], messages: int = codes.MSG_NONE) -> Outcome:
    """Run TNC on a run; an ``accuracy`` of None follows from the difference scheme."""
    problem = run.problem
    report = TncReport(problem, messages) if messages else None
    # The kernel fails with fixed variables: they are removed.
    free = FreeVariables(problem, strip=True)
    options = _checked(options, problem, free)
    report_version(messages)
    evaluate = fast_path(run)
    value, gradient = evaluate(problem.x0)
    run.note_iterate(run.memory.last)
    # The first value shows the precision.
    coarse = Coarse(run, options) if is_coarse(run) else None
    if coarse is not None:
        coarse.set_options(options)
    elif options["accuracy"] is None:
        set_accuracy(options, gradient_error(run, value))
    if report is not None:
        report.iteration(0, problem.x0, value, gradient, run.nfev)
    del gradient  # it may be large, and the kernel asks for the start again

    def note(x: Array) -> None:
        run.note_iterate(_nearest(run, free.whole(x)), run.nit + 1)

    def observe(x: Array) -> None:
        known = _nearest(run, free.whole(x))
        if report is not None and known.jac is not None:
            report.iteration(run.nit + 1, known.x, known.fun, known.jac, run.nfev)
        run.iterated(known.x, known)

    if not free.mask.any():
        return _ended(run, codes.CONSTANT, problem.x0)
    on_iteration = observe if run.is_watched or report is not None else note
    lower = np.full(problem.n, -np.inf) if problem.lower is None else free.part(problem.lower)
    upper = np.full(problem.n, np.inf) if problem.upper is None else free.part(problem.upper)

    def of_free(x: Array) -> tuple[float, Array]:
        value, gradient = evaluate(free.whole(x))
        return value, gradient[free.mask]

    evaluate_free = evaluate if free.is_all else of_free

    def attempt(evaluate: Evaluate, start: Array, options: dict[str, Any]) -> Outcome:
        code, x = kernels.tnc(evaluate, start, lower, upper, options, on_iteration)
        return _ended(run, code, problem.clip(free.whole(x)))

    if coarse is None:
        return attempt(evaluate_free, free.part(problem.x0), options)
    asked = 0

    def counted(x: Array) -> tuple[float, Array]:
        nonlocal asked
        asked += 1
        return evaluate_free(x)

    outcome = attempt(counted, free.part(problem.x0), options)
    left = options["maxfun"] - asked
    if left > 0 and coarse.is_doubtful(outcome):
        # The directions may be wrong because of noise: try again from here with an empty memory.
        outcome = attempt(counted, outcome.x[free.mask], {**options, "maxfun": left})
    code = coarse.verdict(outcome)
    return outcome if code == outcome.status else _as_outcome(code, outcome.x, outcome.known)


def _ended(run: Run, code: int, x: Array) -> Outcome:
    """Return the outcome of the run."""
    known = run.memory.lookup(x)
    if known is None:  # scaling may move the last point by a rounding error
        run.value_and_gradient(x)
        known = run.memory.lookup(x)
    if codes.LOCALMINIMUM <= code <= codes.XCONVERGED and known is not None:
        lacks_progress = code != codes.LOCALMINIMUM
        if not math.isfinite(known.fun) or (lacks_progress and is_misled(run, known)):
            code = codes.NOPROGRESS
    return _as_outcome(code, x, known)


def _as_outcome(code: int, x: Array, known: Evaluation | None) -> Outcome:
    success = codes.LOCALMINIMUM <= code <= codes.XCONVERGED
    return Outcome(x, success, code, codes.RCSTRINGS[code], codes.REASONS[code], known)


def _checked(options: dict[str, Any], problem: Problem, free: FreeVariables) -> dict[str, Any]:
    """Return all options of the kernel; ``accuracy`` may still be None."""
    given = {
        name: value for name, value in options.items() if value is not None or name == "accuracy"
    }
    options = {**kernels.TNC_DEFAULTS, "maxfun": _default_limit(problem), **given}
    for name in ("maxfun", "maxCGit"):
        options[name] = min(int(options[name]), INT_MAX)
    for name in ("scale", "offset"):
        options[name] = _vector(name, options[name], problem.n, free.mask)
    if options["scale"] is not None:
        if not options["scale"].all():
            raise OptionError(
                f"scale is {given['scale']!r}, expected numbers other than zero: equal bounds fix "
                "a variable."
            )
        _check_resolution(options["scale"], problem.x0[free.mask], given["scale"])
        if options["offset"] is None:
            # The kernel's value would be random: use the documented default.
            options["offset"] = _default_offset(problem)[free.mask]
    return options


def _vector(name: str, given: Any, n: int, mask: NDArray[np.bool_]) -> Array | None:
    if given is None:
        return None
    vector = as_numbers(given)
    if vector.ndim == 0:
        vector = np.full(n, vector)
    if vector.shape != (n,) or not np.isfinite(vector).all():
        raise OptionError(f"{name} is {given!r}, expected one finite number or {n} of them.")
    chosen: Array = vector[mask]
    return chosen


def _check_resolution(scale: Array, start: Array, given: Any) -> None:
    """Raise an OptionError if the kernel could not move a variable, or would overflow."""
    size = np.abs(scale)
    # Otherwise a variable would not move, and its gradient, which is scaled too, would count as
    # zero.
    lost = (start + size == start) | (size < _LEAST) | (size > _MOST)
    if lost.any():
        i = int(np.flatnonzero(lost)[0])
        raise OptionError(
            f"scale is {given!r:.200}: a variable at {start[i]} cannot move in steps of "
            f"{scale[i]}. Expected the typical change of each variable."
        )


def _default_offset(problem: Problem) -> Array:
    """Return the middle between two bounds, or the start if there are not two."""
    lower, upper = problem.lower, problem.upper
    if lower is None or upper is None:
        return problem.x0
    with np.errstate(invalid="ignore"):  # infinities of both signs
        middle = lower / 2 + upper / 2
    return np.where(np.isfinite(middle), middle, problem.x0)


def _nearest(run: Run, x: Array) -> Evaluation:
    """Return the evaluation of an iterate: scaling may have moved it by a rounding error."""
    # After a long line search it may be stored only as the best point, or as the last iterate.
    known = run.memory.lookup(x)
    if known is None:
        kept = [known for known in (run.memory.last_good, run.memory.iterate) if known is not None]
        known = min(
            [*kept, *run.memory.recent], key=lambda known: float(np.sum((known.x - x) ** 2))
        )
    return known


_EPS = float(np.finfo(np.float64).eps)


def is_coarse(run: Run) -> bool:
    """Return whether the gradients are differences of values of lower precision than float64."""
    by_differences = not run.problem.derivatives.is_given
    return by_differences and run.precision > _EPS and run.watch is None


def gradient_error(run: Run, value: float) -> float:
    """Return the relative error of gradients by differences, after the value at the start."""
    source = run.source
    is_scheme = isinstance(source, Differences)
    if run.watch is not None:
        scheme = Differences("3-point") if is_scheme else source
        error = scheme.relative_error(run.watch.sigma / max(1.0, abs(value)))
    elif is_coarse(run) and isinstance(source, Differences) and source.scheme != "cs":
        # They are then central in any case, with steps that suit the precision.
        error = Differences("3-point").relative_error(run.precision)
    else:
        error = source.relative_error(run.precision)
    return min(error, 1.0)


def set_accuracy(options: dict[str, Any], error: float) -> None:
    """Set ``accuracy``, and ``gtol`` if not given, for gradients with an error."""
    # Balances noise and curvature of the products; the kernel multiplies it by 1 + norm(x).
    options["accuracy"] = error**0.5 / 3
    if options["gtol"] < 0:
        # The kernel's own default, 1e-2 sqrt(accuracy), assumes a gradient no better than accuracy.
        options["gtol"] = error ** (2 / 3)


class Coarse:
    """Adapts TNC's options to low-precision values, and checks whether these confirm its end."""

    def __init__(self, run: Run, options: dict[str, Any]) -> None:
        self._run = run
        self._root = gradient_error(run, 0.0) ** 0.5
        # Ends for lack of progress, other than by a tolerance of the user.
        goals = {FCONVERGED: "ftol", XCONVERGED: "xtol"}
        self._unasked = {LSFAIL, NOPROGRESS, *(c for c in goals if options[goals[c]] <= 0)}

    def set_options(self, options: dict[str, Any]) -> None:
        """Set those options that are not given; changes ``options``."""
        if options["accuracy"] is None or options["accuracy"] <= 0:
            # Ten times the balance of the errors for derivatives near 1: otherwise, products that
            # are mostly noise cost more evaluations than inaccurate ones.
            options["accuracy"] = 3 * self._root
        own = {
            "gtol": self._root,
            # Without it the kernel uses the accuracy, which ends runs anywhere.
            "ftol": self._run.precision,
            "xtol": self._root**2,
        }
        for name, value in own.items():
            if options[name] < 0:
                options[name] = value

    def is_doubtful(self, outcome: Outcome) -> bool:
        """Return whether the kernel failed where the gradient is visibly not zero."""
        return outcome.status in self._unasked and not self._is_flat(outcome)

    def verdict(self, outcome: Outcome) -> int:
        """Return the return code that the values confirm."""
        if outcome.status not in self._unasked or outcome.known is None:
            return outcome.status
        if not self._is_flat(outcome):
            return NOPROGRESS if outcome.success else outcome.status
        # No visibly lower value can be found, and the gradient may be zero.
        return outcome.status if outcome.success else FCONVERGED

    def _is_flat(self, outcome: Outcome) -> bool:
        known = outcome.known
        if known is None or known.jac is None or not math.isfinite(known.fun):
            return False
        # The error is for derivatives near 1: its square root leaves room for others.
        limit = 2 * self._root * max(1.0, abs(known.fun))
        return is_stationary(self._run.problem, known.x, known.fun, known.jac, limit)
