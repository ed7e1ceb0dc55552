"""The result of a run so far, however it ends."""

import contextlib
import math
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers._words import replayed_words
from optimizers.evaluation.answers import own_jacobian
from optimizers.evaluation.evaluator import Facts
from optimizers.evaluation.losses import Loss
from optimizers.problem.derivatives import source_of
from optimizers.problem.problem import Problem
from optimizers.result import Best, OptimizerResult, StopReason
from optimizers.run.budget import Budget
from optimizers.run.memory import Evaluation, Memory

#: The entries of SciPy's methods that are values or derivatives of the objective.
_OF_VALUES = ("hess", "grad", "lagrangian_grad", "funl")
#: A variable is on a bound if it is as near, relative to its size; TRF stays inside.
_ON_BOUND = 1e-8


def result_so_far(
    problem: Problem,
    budget: Budget,
    memory: Memory,
    extra: dict[str, Any],
    facts: Facts,
    at: Evaluation | None,
    is_broken: bool,
) -> OptimizerResult:
    """Return the result so far at a point; None means the start.

    With ``is_broken``, an error is being raised, which no other may replace.
    """
    best = memory.best
    if problem.loss is not None and at is not None:
        at = with_gradient(problem.loss, memory.lookup(at.x) if at.residuals is None else at) or at
    x = problem.x0.copy() if at is None else at.x.copy()
    return OptimizerResult(
        x=x,
        fun=None if at is None else problem.sign * at.fun,
        jac=None if at is None or at.jac is None else problem.sign * at.jac,
        nfev=budget.nfev,
        njev=budget.njev,
        nhev=budget.nhev,
        nit=budget.nit,
        nrejected=budget.nrejected,
        nreplayed=facts.replayed,
        success=False,
        status=-1,
        message="",
        stop=StopReason.OTHER,
        best=None if best is None else Best(best.x.copy(), problem.sign * best.fun),
        elapsed=budget.elapsed,
        **(_fit(problem, at) if problem.loss is not None else {}),
        **({} if budget.shots is None else {"nshots": budget.shots}),
        **({"njobs": budget.njobs} if budget.paid.counts_jobs else {}),
        **({} if facts.known is None else {"nknown": facts.known}),
        **({"maximize": True} if problem.sign < 0 else {}),
        **({"maxcv": _violation(problem, x, is_broken)} if problem.constraints else {}),
        **in_users_sign(extra, problem.sign),
    )


def in_users_sign(extra: dict[str, Any], sign: float) -> dict[str, Any]:
    """Return an algorithm's own entries with values and derivatives in the user's sign."""
    if sign > 0:
        return extra
    turned = {name: sign * extra[name] for name in _OF_VALUES if extra.get(name) is not None}
    if "final_simplex" in extra:
        simplex, values = extra["final_simplex"]
        turned["final_simplex"] = simplex, sign * values
    return {**extra, **turned}


def with_gradient(loss: Loss | None, known: Evaluation | None) -> Evaluation | None:
    """Return an evaluation, with the gradient if the Jacobian of residuals is known."""
    if loss is None or known is None or known.jacobian is None or known.jac is not None:
        return known
    assert known.residuals is not None
    product = known.jacobian.T @ loss.weighted(known.residuals)
    gradient = np.asarray(product, dtype=np.float64).ravel()
    return Evaluation(known.x, known.fun, gradient, known.residuals, known.jacobian)


def _fit(problem: Problem, at: Evaluation | None) -> dict[str, Any]:
    """Return the residuals at a point, and what else their statistics need."""
    residuals, jacobian = (None, None) if at is None else (at.residuals, at.jacobian)
    fit: dict[str, Any] = {"residuals": own_jacobian(residuals), "jacobian": own_jacobian(jacobian)}
    if residuals is not None and not (problem.loss is None or problem.loss.is_linear):
        fit["weights"] = problem.loss.curvature(residuals)
    if jacobian is not None and not problem.derivatives.is_given:
        fit["jacobian_error"] = source_of(problem.derivatives).relative_error()
    if problem.lower is not None and (problem.lower == problem.upper).any():
        fit["fixed"] = problem.lower == problem.upper
    if at is not None and problem.lower is not None and problem.upper is not None:
        near = _ON_BOUND * np.maximum(1.0, np.abs(at.x))
        is_at = np.minimum(at.x - problem.lower, problem.upper - at.x) <= near
        is_at &= problem.lower < problem.upper
        if is_at.any():
            fit["at_bound"] = is_at
    return fit


def gradient_of(known: Evaluation) -> Array:
    """Return the gradient at a point where it is known; the algorithm may change its array."""
    assert known.jac is not None
    return known.jac.copy()


def residuals_of(known: Evaluation, loss: Loss | None, m: int | None) -> Array:
    """Return residuals, half the sum of whose squares is the value: of a penalty all are equal."""
    if known.residuals is None:
        assert m is not None  # no penalty is the first answer
        return np.full(m, math.sqrt(2 / m) * math.sqrt(known.fun))
    if loss is None or loss.is_linear:
        return known.residuals.copy()
    return loss.roots(known.residuals)[0]


def _violation(problem: Problem, x: Array, is_broken: bool) -> float:
    try:
        return problem.violation(x)
    except BaseException:
        if not is_broken:
            raise
        return math.nan


def attach(error: BaseException, result: OptimizerResult) -> None:
    """Give the result so far to an error that ends the run, as an attribute and in a note."""
    found = "no point with a value" if result.best is None else f"best f(x) = {result.fun!r}"
    note = (
        f"The run ended after {result.nfev} evaluation{'s' * (result.nfev != 1)}"
        f"{replayed_words(result)}, {found}; "
        "the result so far is in this exception's attribute 'optimizer_result'."
    )
    # A user's class may reject both; that must not hide the error itself.
    with contextlib.suppress(Exception):
        error.optimizer_result = result  # type: ignore[attr-defined]  # documented attribute
    with contextlib.suppress(Exception):
        error.add_note(note)
