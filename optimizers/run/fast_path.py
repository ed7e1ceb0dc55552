"""The fast path from a solver's question to the user's functions, without unneeded layers.

A solver may ask every few microseconds, so each call and each array counts here. One function does
for the usual case what the door does for all cases: value and gradient, or either alone.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from optimizers._types import Array
from optimizers.evaluation.answers import (
    DIFFERENCES,
    as_gradient,
    as_measure,
    as_value,
    non_finite,
    precision_of,
    unpack,
)
from optimizers.evaluation.marks import at_probes, has_errors, is_vectorized
from optimizers.gradients.differences import Differences
from optimizers.problem.derivatives import Given, Joint
from optimizers.run.memory import NOWHERE, Evaluation, Memory, PlainEvaluation
from optimizers.run.run import Run
from optimizers.run.waves import Waves

_EPS = float(np.finfo(np.float64).eps)


def fast_path(
    run: Run, reuse: Literal["last", True] = "last", *, keeps: bool = False
) -> Callable[[Array], tuple[float, Array]]:
    """Return the fastest equivalent of a question for value and gradient, with ``reuse``.

    It neither changes nor keeps ``x``, or with ``keeps`` it may keep it: then points are within the
    bounds, and do not change later. The gradient belongs to the run: do not change it.
    """
    problem, waves, derivatives = run.problem, run.waves, run.problem.derivatives
    if not _is_usual(run):
        return _door(run, reuse)
    if not derivatives.is_given:
        # Listeners see a point and its probes as one wave.
        is_single = reuse == "last" and not waves.evaluator.is_listened
        return _forward(run) if is_single else _door(run, reuse)
    budget, memory = run.budget, run.memory
    fun: Any = problem.fun
    jac: Any = derivatives.jac
    n, limit, propagates = problem.n, budget.limit, waves.propagates_nonfinite
    is_joint, is_timed = isinstance(derivatives, Joint), budget.is_timed
    lower, upper, recent = problem.lower, problem.upper, memory.recent
    # Looked up once; the inner function finds them among its own variables.
    store, ndarray, shape, float64 = recent.append, np.ndarray, (n,), np.dtype(np.float64)
    isfinite, minimum, maximum, record = np.isfinite, np.minimum, np.maximum, tuple.__new__
    plain: Any = PlainEvaluation
    questions, looks_back = run.questions, reuse is True
    first, known_at = memory.last.x.item(0), questions.known

    def evaluate(x: Array) -> tuple[float, Array]:
        nonlocal first
        if looks_back:
            x = problem.clip(x)
            found = known_at(x)
            if found is not None and found.jac is not None:
                return found.fun, found.jac
        # A kernel that steps back asks for its last point again.
        head = x.item(0)
        if head == first and memory.last.is_at(x) and memory.last.jac is not None:
            return memory.last.fun, memory.last.jac
        if memory.is_extreme:
            questions.check_finite(x)
        if budget.nfev >= limit:
            raise budget.full()
        if is_timed:
            budget.check_clock()
        if not keeps:
            x = x.copy()
            if lower is not None and upper is not None:
                maximum(minimum(x, upper, out=x), lower, out=x)
                head = x.item(0)
        first = head
        budget.nfev += 1
        value = math.nan
        try:
            if is_joint:
                budget.njev += 1
                both = fun(x.copy())
                value, gradient = both if type(both) is tuple and len(both) == 2 else unpack(both)
            else:
                value = fun(x.copy())
            if type(value) is not float:
                value = as_value(value) if is_joint else as_measure(value, n, has_errors(fun))[0]
            if value - value != 0.0:
                if not propagates:
                    raise non_finite(value, memory.sign)
                memory.has_nan = memory.has_nan or math.isnan(value)
            if not is_joint:
                budget.njev += 1
                gradient = jac(x.copy())
            if type(gradient) is ndarray and gradient.dtype is float64 and gradient.shape == shape:
                if not propagates and b"\0" in isfinite(gradient).tobytes():
                    as_gradient(gradient, n)  # raises the error
                gradient = gradient.copy()
            else:
                gradient = as_gradient(gradient, n, finite=not propagates)
        except BaseException as error:
            best = memory.best
            if type(value) is float and math.isfinite(value):
                memory.update_incumbent(x, value)  # only the gradient failed
            if not isinstance(error, Exception):
                raise
            penalty = _penalty(waves, x, error)
            memory.best = best  # a point that failed is no candidate
            return penalty
        known = memory.last = record(plain, (x, value, gradient))
        store(known)
        # As in Memory.update_incumbent and Memory.store; there are no constraints here.
        best = memory.best
        if value > memory.worst:
            memory.worst = value
        if best is None or value < best[1] or best[1] != best[1]:
            memory.best = memory.last_good = known
        return value, gradient

    return evaluate


def _penalty(waves: Waves, x: Array, error: Exception) -> tuple[float, Array]:
    """Return value and gradient of the penalty for a point that failed, or raise its error."""
    penalty = waves.penalty_for(x, error, needs_gradient=True)
    assert penalty.jac is not None
    return penalty.fun, penalty.jac


def _absolute_step(run: Run) -> float | None:
    """Return the step of one-sided differences, if that is absolute and the same for all."""
    source = run.source
    if not isinstance(source, Differences) or source.scheme != "2-point":
        return None
    h = np.asarray(0.0 if source.step is None else source.step, dtype=np.float64)
    return None if h.ndim or not h > 0.0 else float(h)


def fast_value(run: Run) -> Callable[[Array], float]:
    """Return the fastest equivalent of :meth:`Run.value` for this run."""
    problem, waves, questions, memory = run.problem, run.waves, run.questions, run.memory
    if not _is_direct(run) or isinstance(problem.derivatives, Joint):
        return run.value
    budget, facts, fun, n = run.budget, waves.evaluator.facts, problem.fun, problem.n
    limit, is_timed = budget.limit, budget.is_timed

    def evaluate(x: Array) -> float:
        x = problem.clip(x)
        known = questions.known(x)
        if known is not None:
            return known.fun
        if memory.is_extreme:
            questions.check_finite(x)
        if budget.nfev >= limit:
            raise budget.full()
        if is_timed:
            budget.check_clock()
        budget.nfev += 1
        try:
            value = fun(x.copy())
            if type(value) is not float:
                facts.precision = max(facts.precision, precision_of(value))
                value, _ = as_measure(value, n, has_errors(fun))
            is_finite = value - value == 0.0
            if not (is_finite or waves.propagates_nonfinite):
                raise non_finite(value, memory.sign)
        except Exception as error:
            return waves.penalty_for(x, error).fun
        if is_finite:
            memory.update_incumbent(x, value)
        memory.store(Evaluation(x, value, questions.orphaned(x)))
        return value

    return evaluate


def fast_gradient(run: Run) -> Callable[[Array], Array]:
    """Return the fastest equivalent of :meth:`Run.gradient` for this run."""
    problem, waves, questions, memory = run.problem, run.waves, run.questions, run.memory
    if not _is_direct(run) or not isinstance(problem.derivatives, Given):
        return run.gradient
    jac = problem.derivatives.function

    def evaluate(x: Array) -> Array:
        x = problem.clip(x)
        known = memory.answer(x)
        if known is not None and known.jac is not None:
            return known.jac.copy()
        if memory.is_extreme:
            questions.check_finite(x)
        run.budget.check_clock()
        run.budget.njev += 1
        try:
            gradient = waves.as_gradient(jac(x.copy()), problem.n)
        except Exception as error:
            penalty = questions.penalty_for_gradient(x, error, known)
            assert penalty.jac is not None
            return penalty.jac.copy()
        questions.note_gradient(x, gradient, known)
        return gradient.copy()

    return evaluate


def is_joint(run: Run, *, needs_both: bool = False) -> bool:
    """Return whether a gradient is best asked for with each value, even if it is not needed there.

    So it is if that costs no additional gradient or saves calls, and if a bad gradient must be
    known before the value is accepted. A random gradient is requested in the same way wherever it
    is evaluated. ``needs_both`` says that each point needs both.
    """
    derivatives = run.problem.derivatives
    return (
        isinstance(derivatives, Joint)
        or ((needs_both or not run.saves_points) and not isinstance(derivatives, Given))
        or run.penalizes
        or (run.source.is_random and not derivatives.is_given)
    )


def is_direct(run: Run) -> bool:
    """Return whether each question is one or two calls in this thread, without a watch."""
    derivatives = run.problem.derivatives
    is_vector = isinstance(derivatives, Given) and is_vectorized(derivatives.function)
    waves, evaluator = run.waves, run.waves.evaluator
    is_followed = run.watch is not None or waves.target is not None or evaluator.is_informed
    is_followed = is_followed or run.budget.paid.counts_jobs
    return evaluator.facts.is_direct and not (is_vector or is_followed)


def _is_direct(run: Run) -> bool:
    """Return whether that is so and each answer is a value."""
    return run.problem.loss is None and is_direct(run)


def _is_usual(run: Run) -> bool:
    """Return whether the fast path can answer value and gradient."""
    problem = run.problem
    if not _is_direct(run) or problem.constraints or problem.n == 0:
        return False
    return problem.derivatives.is_given or _absolute_step(run) is not None


def _door(
    run: Run, reuse: Literal["last", True] = "last"
) -> Callable[[Array], tuple[float, Array]]:
    """Return the function for all cases; it asks as the fast path would."""
    reuse = reuse if _is_usual(run) else True

    def evaluate(x: Array) -> tuple[float, Array]:
        (known,) = run.ask([x], gradients=True, reuse=reuse).found
        assert known is not None
        assert known.jac is not None
        return known.fun, known.jac

    return evaluate


def _forward(run: Run) -> Callable[[Array], tuple[float, Array]]:
    """Return the fastest equivalent where the gradient is by one-sided absolute steps."""
    problem, waves, h = run.problem, run.waves, _absolute_step(run)
    assert h is not None
    if waves.penalizes:  # a probe that fails has another in its place
        return _door(run)
    budget, memory, facts = run.budget, run.memory, waves.evaluator.facts
    fun, n, limit, upper = problem.fun, problem.n, budget.limit, problem.upper
    propagates, is_timed, door = waves.propagates_nonfinite, budget.is_timed, _door(run)
    probe: Any = at_probes(fun)

    def evaluate(x: Array) -> tuple[float, Array]:
        moved = x + h
        steps = moved - x
        # Everything unusual takes the slow path.
        if (
            facts.precision > _EPS
            or memory.is_extreme
            or memory.last is NOWHERE  # the first value shows the precision
            or memory.last.is_at(x)
            or budget.nfev + n + 1 > limit
            or is_timed
            or not steps.all()
            or (upper is not None and (moved > upper).any())
        ):
            return door(x)
        x = x.copy()
        values: list[float] = []
        failures: dict[int, Exception] = {}
        count, best = budget.nfev, memory.best
        try:
            probes = moved.tolist()
            for i in range(-1, n):
                point = x.copy()
                if i >= 0:
                    point[i] = probes[i]
                count += 1
                value = fun(point) if i < 0 else probe(point)
                if type(value) is not float:
                    value, _ = as_measure(value, n, has_errors(fun))
                values.append(value)
                if value - value != 0.0 and not propagates:
                    error = non_finite(value, memory.sign)
                    if i < 0 or not waves.has_penalty(error):
                        raise error
                    failures[i] = error  # another probe takes its place
            if not failures:
                budget.ndifferences += 1
                differences = (np.array(values[1:]) - values[0]) / steps
                gradient = as_gradient(differences, n, finite=not propagates, name=DIFFERENCES)
        except Exception as error:
            return _penalty(waves, x, error)
        finally:
            budget.nfev = count
            _update_incumbents(memory, x, moved, values)
        if failures:
            questions, told = run.questions, np.array(values[1:])
            try:
                gradient = questions.mended(questions.plan(x), values[0], told, failures)
            except Exception as error:
                penalty = _penalty(waves, x, error)
                memory.best = best
                return penalty
        memory.store(Evaluation(x, values[0], gradient))
        return values[0], gradient

    return evaluate


def _update_incumbents(memory: Memory, x: Array, moved: Array, values: list[float]) -> None:
    """Make the values at ``x``, and at those of its probes that are known, candidates."""
    known = values
    if not math.isfinite(sum(values)):
        known = [value for value in values if math.isfinite(value)]
    for value in (min(known), max(known)) if known else ():
        i = values.index(value)
        point = x.copy()
        if i:
            point[i - 1] = moved[i - 1]
        memory.update_incumbent(point, value)
