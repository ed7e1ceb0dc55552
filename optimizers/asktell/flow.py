"""What a flow yields and receives, and its driver, which answers its questions with a run."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from optimizers._shown import short
from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.evaluation.answers import own_jacobian
from optimizers.result import StopReason
from optimizers.run.answers import Answers
from optimizers.run.budget import StopRun
from optimizers.run.fast_fit import fit_functions
from optimizers.run.fast_path import fast_path
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.results import gradient_of
from optimizers.run.run import Run


@dataclass(frozen=True, eq=False)
class Step:
    """The end of an iteration, for observers.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The iterate.
    fun : float, optional
        The objective there, if it was evaluated.
    jac : ndarray of float64, shape (n,), optional
        The gradient there, if it was evaluated.
    extra : dict
        Further entries of the state that callbacks get, such as ``stepsize``.
    estimate : float, optional
        The algorithm's estimate of the objective there, if it was not evaluated. Callbacks see it
        as ``fun``, with ``is_estimate`` True.
    end : ndarray of float64, shape (n,), optional
        Where the algorithm would end after this iteration, such as the mean of several iterates;
        ``x`` by default.
    """

    x: Array
    fun: float | None = None
    jac: Array | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    estimate: float | None = None
    end: Array | None = None

    __repr__ = short

    @property
    def value(self) -> float:
        """The estimate of the objective, or else its value; NaN if there is neither."""
        value = self.fun if self.estimate is None else self.estimate
        return np.nan if value is None else value


@dataclass(frozen=True, eq=False)
class Products:
    """A question for one call of the problem's ``hessp``; the answer has its result as ``fun``.

    It is counted in ``nhev`` and recorded in journals. An algorithm that needs another function of
    two points, such as a fidelity, replaces ``hessp`` by it in its ``_problem``.

    Parameters
    ----------
    x, p : ndarray of float64 of one dimension
        The arguments.
    """

    x: Array
    p: Array


@dataclass(frozen=True, eq=False)
class Told:
    """The answer to a flow's question; its arrays belong to the flow.

    Parameters
    ----------
    fun : float, or ndarray of float64 of shape (k,)
        The value, or one for each of k points; or what ``hessp`` returned.
    jac : ndarray of float64, shape (n,) or (k, n), or None
        The gradient, if it was requested.
    known : ndarray of bool, shape (k,), or None
        For a wave: which points were evaluated. The others were rejected; their values are
        penalties, worse than all others, or NaN if gradients were requested.
    errors : ndarray of float64, shape (k,), or None
        For a wave of values: their standard errors as the objective returned them; NaN elsewhere.
    residuals : ndarray of float64, shape (m,) or (k, m), or None
        The residuals, if the objective returns these; NaN at a rejected point.
    jacobian : ndarray of float64, shape (m, n) or (k, m, n), or None
        Their Jacobian, if the gradient was requested. At a single point it is what a user's ``jac``
        returned, which may be a sparse matrix or a LinearOperator.
    """

    fun: Any
    jac: Any = None
    known: NDArray[np.bool_] | None = None
    errors: Array | None = None
    residuals: Array | None = None
    jacobian: Any = None

    __repr__ = short


#: The type of an algorithm: it yields questions and the ends of iterations, and receives the
#: answers. ``AskData(points)`` asks for values, shape (k, n) or (n,), in one wave; ``AskData(x,
#: x)`` for value and gradient at a point, or at each of several, with the gradients' probes in that
#: wave; ``AskData(None, x)`` for the gradient at a point whose value is known. ``Products(x, p)``
#: asks for a call of ``hessp``. When the run is stopped, StopRun is raised at the yield: a flow
#: that has a better end than the best evaluated point can catch it and return that; or its class
#: sets ``ends_on_iterate``.
Flow: TypeAlias = Generator[AskData | Products | Step, Told, Outcome]

_T = TypeVar("_T")
#: A part of a flow, which returns something else than its end.
Asking: TypeAlias = Generator[AskData | Products | Step, Told, _T]


def drive(run: Run, flow: Flow) -> Outcome:
    """Run a flow to its end.

    Parameters
    ----------
    run : Run
        The run that answers.
    flow : generator
        The flow, at its start.

    Returns
    -------
    Outcome
        What it returns.
    """
    answer: Any = None
    stop: StopRun | None = None
    first: Step | None = None
    last: Step | None = None
    both = fast_path(run, reuse=True)
    fit = None if run.problem.loss is None else fit_functions(run, is_joint=False)
    try:
        while True:
            try:
                asked = flow.send(answer) if stop is None else flow.throw(stop)
            except StopIteration as end:
                return _without_penalty(run, _checked(end.value))
            answer = stop = None
            try:
                if isinstance(asked, Step):
                    first, last = first or asked, asked
                    _note(run, asked)
                else:
                    answer = _answered(run, asked, both, fit)
            except StopRun as reason:  # a flow with a better estimate catches it
                stop = reason
                stop.steps = None if first is None else (first, last)
    finally:
        flow.close()
        stop = None  # its traceback has this frame: the cycle would keep the objective alive


def _checked(outcome: Any) -> Outcome:
    """Return a flow's outcome; raise an error if it returned something else."""
    if isinstance(outcome, Outcome):
        return outcome
    raise TypeError(f"A flow returned {outcome!r}, expected an Outcome, such as ended(x, stop).")


def _note(run: Run, step: Step) -> None:
    """Notify the observers of a step."""
    memory = run.memory
    known = memory.lookup(step.x)
    if step.fun is not None:
        # What is kept of an objective of residuals has these too.
        is_kept = known is not None and known.residuals is not None and known.fun == step.fun
        if step.jac is not None or not is_kept:
            known = Evaluation(step.x, step.fun, step.jac)
    if known is not None and memory.is_penalty(known):
        known = None
    elif known is None and run.wants_values:
        known = run.ask([step.x]).found[0]
    extra = step.extra
    if known is None and step.estimate is not None and not np.isnan(step.estimate):
        extra = {**extra, "fun": run.problem.sign * step.estimate, "is_estimate": True}
    run.iterated(step.x, known, **extra)


def _without_penalty(run: Run, outcome: Outcome) -> Outcome:
    """Replace an outcome at a penalty by one at the best evaluated point."""
    known, last_good = outcome.known, run.memory.last_good
    if known is None or last_good is None or not run.memory.is_penalty(known):
        return outcome
    return replace(outcome, x=last_good.x, known=last_good)


def _answered(
    run: Run,
    ask: AskData | Products,
    both: Callable[[Array], tuple[float, Array]],
    fit: tuple[Callable[[Array], Any], Callable[[Array], Any]] | None,
) -> Told:
    """Return the answer to a flow's question."""
    if isinstance(ask, Products):
        assert run.problem.hessp is not None
        try:
            return Told(run.counted_hessian(run.problem.hessp)(ask.x, ask.p))
        except StopIteration:  # as from the objective
            raise StopRun(StopReason.CALLBACK) from None
    points, shots = (ask.x_fun, ask.shots) if isinstance(ask, AskData) else (None, None)
    if points is None and isinstance(ask, AskData) and ask.x_jac is not None:
        if fit is not None:
            return Told(None, jacobian=own_jacobian(fit[1](ask.x_jac)))
        (known,) = run.ask([ask.x_jac], values=False, gradients=True).found
        assert known is not None
        return Told(known.fun, known.jac)
    if points is None:
        raise TypeError(f"A flow asked {ask!r}, expected AskData(points), Products or Step.")
    wants_gradients = ask.x_jac is not None
    has_residuals = run.problem.loss is not None
    if points.ndim == 1:
        if wants_gradients and not has_residuals and shots is None:
            value, gradient = both(points)
            return Told(value, gradient.copy())
        if fit is not None and not wants_gradients and shots is None:
            residuals = fit[0](points).copy()
            assert run.problem.loss is not None
            return Told(run.problem.loss.value(residuals), residuals=residuals)
        reuse = wants_gradients and shots is None
        (known,) = run.ask([points], gradients=wants_gradients, reuse=reuse, shots=shots).found
        assert known is not None
        if not has_residuals:
            return Told(known.fun, gradient_of(known) if wants_gradients else None)
        return Told(known.fun, known.jac, residuals=_residuals(run, known), jacobian=known.jacobian)
    how: dict[str, Any] = {"gradients": wants_gradients, "penalize": not wants_gradients}
    answers = run.ask(list(points), shots=shots, **how)
    fun, jac = np.full(len(points), np.nan), np.full(points.shape, np.nan)
    for row, known in enumerate(answers.found):
        if known is not None:
            fun[row] = known.fun
            if wants_gradients:
                jac[row] = known.jac
    further = _further(run, answers, wants_gradients) if has_residuals else {}
    if wants_gradients:
        return Told(fun, jac, known=answers.known, **further)
    return Told(fun, known=answers.known, errors=answers.errors, **further)


def _residuals(run: Run, known: Evaluation | None) -> Array:
    """Return a copy of the residuals at a point; NaN if it was rejected."""
    if known is None or known.residuals is None:
        return np.full(run.memory.m or 0, np.nan)
    return known.residuals.copy()


def _further(run: Run, answers: Answers, wants_gradients: bool) -> dict[str, Any]:
    """Return the further fields of an answer if the objective returns residuals."""
    residuals = np.array([_residuals(run, known) for known in answers.found])
    if not wants_gradients:
        return {"residuals": residuals}
    shape = residuals.shape[1], run.problem.n
    jacobians = np.full((len(residuals), *shape), np.nan)
    for row, known in enumerate(answers.found):
        if known is not None and known.jacobian is not None:
            jacobians[row] = known.jacobian @ np.eye(shape[1])
    return {"residuals": residuals, "jacobian": jacobians}
