"""The quickest way from a solver's question to the user's functions: no layer that is not needed.

A compiled solver asks every few microseconds, so each call and each array counts here. What
:meth:`Run.value_and_gradient` does for all cases is done in one function for the usual one.
"""

import functools
import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.evaluation.answers import as_gradient, as_value, non_finite, unpack
from optimizers.evaluation.evaluator import is_vectorized
from optimizers.evaluation.uncertainty import as_measure
from optimizers.gradients.differences import Differences
from optimizers.result import StopReason
from optimizers.run.memory import NOWHERE, Evaluation, StopRun
from optimizers.run.run import Run

_FLOAT64 = np.dtype(np.float64)
_EPS = float(np.finfo(np.float64).eps)
#: Above this many variables a new array costs more than copying into an old one.
_LARGE = 10_000


def direct(run: Run) -> Callable[[Array], tuple[float, Array]]:
    """Return the quickest equivalent of ``run.value_and_gradient`` for this run.

    Parameters
    ----------
    run : Run
        The run.

    Returns
    -------
    callable
        ``evaluate(x) -> (value, gradient)``. ``x`` is neither changed nor kept; the gradient is
        not to be changed, and holds until the next call.
    """
    problem = run.problem
    if not run.calls_points or problem.constraints or problem.n == 0 or run.stage is not None:
        return _door(run)
    if is_vectorized(problem.jac):
        return _door(run)
    if not (callable(problem.jac) or problem.jac is True):
        return _forward(run)
    fun: Any = problem.fun
    jac: Any = problem.jac
    n, limit, propagates_nonfinite = problem.n, run.limit, run.propagates_nonfinite
    is_joint, is_timed = jac is True, run.deadline < math.inf
    lower, upper, recent = problem.lower, problem.upper, run.recent
    # Looked up once; the inner function finds them among its own variables.
    remember, ndarray, shape, float64 = recent.append, np.ndarray, (n,), _FLOAT64
    isfinite, minimum, maximum, record = np.isfinite, np.minimum, np.maximum, tuple.__new__
    spare: list[Array] | None = [] if n > _LARGE else None
    first = run.last.x.item(0)

    def evaluate(x: Array) -> tuple[float, Array]:
        # A kernel that steps back asks for its last point again.
        nonlocal first
        head = x.item(0)
        if head == first and run.last.is_at(x) and run.last.jac is not None:
            return run.last.fun, run.last.jac
        if run.nfev >= limit:
            raise StopRun(StopReason.MAXFUN)
        if is_timed:
            run.check_clock()
        if spare:
            copy = spare.pop()
            copy[...] = x
            x = copy
        else:
            x = x.copy()
        if lower is not None and upper is not None:
            maximum(minimum(x, upper, out=x), lower, out=x)
            head = x.item(0)
        first = head
        run.nfev += 1
        value = math.nan
        try:
            if is_joint:
                run.njev += 1
                both = fun(x.copy())
                value, gradient = both if type(both) is tuple and len(both) == 2 else unpack(both)
            else:
                value = fun(x.copy())
            if type(value) is not float:
                value = as_value(value) if is_joint else as_measure(value, n)[0]
            if value - value != 0.0:
                if not propagates_nonfinite:
                    raise non_finite(value)
                run.has_passed = run.has_passed or math.isnan(value)
            if not is_joint:
                run.njev += 1
                gradient = jac(x.copy())
            if type(gradient) is ndarray and gradient.dtype is float64 and gradient.shape == shape:
                if not propagates_nonfinite and b"\0" in isfinite(gradient).tobytes():
                    as_gradient(gradient, n)  # raises, with the words
                if spare:
                    copy = spare.pop()
                    copy[...] = gradient
                    gradient = copy
                else:
                    gradient = gradient.copy()
            else:
                gradient = as_gradient(gradient, n, finite=not propagates_nonfinite)
        except Exception as error:
            best = run.best
            if type(value) is float and math.isfinite(value):
                run.update_incumbent(x, value)  # only the gradient failed
            penalty = run.rejected(x, error)
            if penalty.jac is None:
                raise
            run.best = best  # a point that is rejected is no candidate
            return penalty.fun, penalty.jac
        else:
            known = run.last = record(Evaluation, (x, value, gradient))
            if spare is not None and len(recent) == recent.maxlen:
                spare.extend(_retired(run))
            remember(known)
            # As in Memory.update_incumbent and Ledger.store; there are no constraints here.
            best = run.best
            if value > run.worst:
                run.worst = value
            if best is None or value < best[1] or best[1] != best[1]:
                run.best = run.last_good = known
            return value, gradient

    return evaluate


def _door(run: Run) -> Callable[[Array], tuple[float, Array]]:
    """Return the way for all cases."""
    return functools.partial(run.value_and_gradient, as_scipy=True)


def _retired(run: Run) -> tuple[Array, ...]:
    """Return the arrays of the oldest point remembered, to be used again if nothing needs it."""
    oldest = run.recent[0]
    if oldest.jac is None or any(oldest is kept for kept in (run.best, run.last_good, run.iterate)):
        return ()
    return oldest.x, oldest.jac


def _forward(run: Run) -> Callable[[Array], tuple[float, Array]]:
    """Return the quickest equivalent where the gradient is by one-sided absolute steps."""
    problem, differences = run.problem, run.differences
    if not isinstance(differences, Differences):
        return _door(run)
    h = np.asarray(0.0 if differences.step is None else differences.step, dtype=np.float64)
    if differences.scheme != "2-point" or h.ndim or not h > 0.0:
        return _door(run)
    fun, n, limit, propagates_nonfinite, upper = (
        problem.fun,
        problem.n,
        run.limit,
        run.propagates_nonfinite,
        problem.upper,
    )
    # The first variables of the points remembered: another point mostly differs there.
    heads = deque((known.x.item(0) for known in run.recent), run.recent.maxlen)

    def is_known(x: Array) -> bool:
        head, iterate, last_good, best = x.item(0), run.iterate, run.last_good, run.best
        is_near = (
            head in heads
            or (iterate is not None and iterate[0].item(0) == head)
            or (last_good is not None and last_good[0].item(0) == head)
            or (best is not None and best[0].item(0) == head)
        )
        heads.append(head)
        return is_near and run.lookup(x) is not None

    def evaluate(x: Array) -> tuple[float, Array]:
        moved = x + h
        steps = moved - x
        # All that is not usual goes the long way.
        if (
            is_known(x)
            or run.precision > _EPS
            or run.rejects  # a probe that fails has another in its place
            or run.nfev + n + 1 > limit
            or run.deadline < math.inf
            or not steps.all()
            or (upper is not None and (moved > upper).any())
        ):
            return run.value_and_gradient(x)
        x, best = x.copy(), run.best
        values: list[float] = []
        if run.last is NOWHERE:
            try:
                values.append(run.call(x)[0])
                # The first value tells the precision.
                coarse = run.probed(run.plan(x), values[0]) if run.precision > _EPS else None
            except Exception as error:
                run.rejected(x, error)
                raise
            if coarse is not None:
                run.store(Evaluation(x, values[0], coarse))
                return values[0], coarse
        count = run.nfev
        try:
            probes = moved.tolist()
            for i in range(len(values) - 1, n):
                point = x.copy()
                if i >= 0:
                    point[i] = probes[i]
                count += 1
                value = fun(point)
                if type(value) is not float:
                    value, _ = as_measure(value, n)
                values.append(value)
                if value - value != 0.0 and not propagates_nonfinite:
                    raise non_finite(value)
            gradient = as_gradient(
                (np.array(values[1:]) - values[0]) / steps, n, finite=not propagates_nonfinite
            )
        except BaseException as error:
            run.nfev = count
            _update_incumbents(run, x, moved, values)
            if not isinstance(error, Exception):
                raise
            penalty = run.rejected(x, error)
            if penalty.jac is None:
                raise
            run.best = best  # a point that is rejected is no candidate, nor are its probes
            return penalty.fun, penalty.jac
        run.nfev = count
        _update_incumbents(run, x, moved, values)
        run.store(Evaluation(x, values[0], gradient))
        return values[0], gradient

    return evaluate


def _update_incumbents(run: Run, x: Array, moved: Array, values: list[float]) -> None:
    """Weigh the values at ``x`` and at as many of its probes as there are."""
    known = values
    if not math.isfinite(sum(values)):
        known = [value for value in values if math.isfinite(value)]
    for value in (min(known), max(known)) if known else ():
        i = values.index(value)
        point = x.copy()
        if i:
            point[i - 1] = moved[i - 1]
        run.update_incumbent(point, value)
