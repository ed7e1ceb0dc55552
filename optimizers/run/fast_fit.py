"""The fast path from a solver's question for residuals, or their Jacobian, to the functions.

The counterpart of :mod:`optimizers.run.fast_path`, for fewer cases: the overhead of a question
matters less here.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.evaluation.answers import non_finite
from optimizers.evaluation.marks import Marked
from optimizers.evaluation.wave import Cost
from optimizers.problem.derivatives import Given
from optimizers.run.fast_path import is_direct
from optimizers.run.memory import Evaluation
from optimizers.run.run import Run


def fit_functions(
    run: Run, *, is_joint: bool
) -> tuple[Callable[[Array], Any], Callable[[Array], Any]]:
    """Return residuals and Jacobian as a solver calls them, both in one evaluation if joint.

    Where there are none, residuals are infinite. The arrays belong to the run: do not change them.
    """
    if not is_joint and _is_usual(run):
        return _direct(run)

    def residuals(x: Array) -> Array:
        (known,) = run.ask([x], gradients=is_joint, reuse=True).found
        return _residuals(run, known)

    def jacobian(x: Array) -> Any:
        (known,) = run.ask([x], values=False, gradients=True).found
        assert known is not None
        return known.jacobian

    return residuals, jacobian


def _residuals(run: Run, known: Evaluation | None) -> Array:
    if known is None or known.residuals is None:  # a penalty
        return np.full(run.memory.m or 0, np.inf)
    return known.residuals


def _is_usual(run: Run) -> bool:
    """Return whether each question is one call in this thread, without watch or listener."""
    problem, is_heard = run.problem, run.waves.evaluator.is_listened
    is_given = isinstance(problem.derivatives, Given)
    return is_direct(run) and is_given and not (is_heard or problem.constraints)


def _direct(run: Run) -> tuple[Callable[[Array], Any], Callable[[Array], Any]]:
    problem, waves, budget, memory = run.problem, run.waves, run.budget, run.memory
    fun, loss, n, propagates = problem.fun, problem.loss, problem.n, waves.propagates_nonfinite
    jac: Any = problem.derivatives.jac
    while type(fun) is Marked:  # its marks are known
        fun = fun.__wrapped__
    has_box, is_timed, limit = problem.lower is not None, budget.is_timed, budget.limit
    ndarray, float64, record = np.ndarray, np.dtype(np.float64), tuple.__new__
    assert loss is not None
    value_of = None if loss.is_linear else loss.value

    def residuals(x: Array) -> Any:
        x = problem.clip(x) if has_box else x.copy()
        if memory.last.is_at(x):
            return _residuals(run, memory.last)
        if memory.is_extreme:
            run.questions.check_finite(x)
        if budget.nfev >= limit or is_timed:
            budget.check(Cost(1))
        budget.nfev += 1
        try:
            found = fun(x.copy())
            if type(found) is ndarray and found.dtype is float64 and found.ndim == 1 and len(found):
                found = found.copy()
            else:
                found = loss.answer(found, 1, np.float64)[0, 2:]
            if len(found) != memory.m:
                memory.note_count(len(found))
            value = 0.5 * found.dot(found).item() if value_of is None else value_of(found)
            if value - value != 0.0:
                value = loss.value(found)  # NaN or +inf
                if not propagates:
                    raise non_finite(value)
                memory.has_nan = memory.has_nan or math.isnan(value)
        except Exception as error:
            return _residuals(run, waves.penalty_for(x, error))
        known = memory.last = record(Evaluation, (x, value, None))
        known.residuals = found
        memory.recent.append(known)
        # As in Memory.update_incumbent and Memory.store; there are no constraints here.
        best = memory.best
        if value > memory.worst:
            memory.worst = value
        if best is None or value < best.fun or best.fun != best.fun:
            memory.best = memory.last_good = known
        return found

    def jacobian(x: Array) -> Any:
        x = problem.clip(x) if has_box else x
        known = memory.last if memory.last.is_at(x) else memory.lookup(x)
        if known is None or known.residuals is None:
            (known,) = run.ask([x], values=False, gradients=True).found
        if known is None or known.jacobian is not None:
            return None if known is None else known.jacobian
        if is_timed:
            budget.check_clock()
        budget.njev += 1
        try:
            found = jac(x.copy())
            if type(found) is ndarray and found.dtype is float64 and found.shape == (memory.m, n):
                found = found.copy()
                flat = found.ravel()
                size = flat.dot(flat)  # faster than checking each: finite if all are small
            else:
                size = math.nan
            if size - size != 0.0:
                found = waves.as_jacobian(found, n)
        except Exception as error:
            return run.questions.penalty_for_gradient(x, error, known).jacobian
        known.jacobian = found  # the gradient is computed on demand
        return found

    return residuals, jacobian
