"""What a flow yields and is sent, and what drives it: its questions are answered by a run."""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.evaluation.wave import Block
from optimizers.result import StopReason
from optimizers.run.memory import Evaluation, StopRun
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run


@dataclass(frozen=True, eq=False)
class Step:
    """The end of an iteration, for those who watch.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The iterate.
    fun : float, optional
        The objective there, if it was evaluated.
    jac : ndarray of float64, shape (n,), optional
        The gradient there, if it was.
    extra : dict
        Further entries of what callbacks see, such as ``stepsize``.
    """

    x: Array
    fun: float | None = None
    jac: Array | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Products:
    """A question for one call of the problem's ``hessp``; told is what it returns, as ``fun``.

    It is counted in ``nhev`` and recorded in journals. An algorithm that needs another function of
    two points, such as a fidelity, puts it in the place of ``hessp`` in its ``_problem``.

    Parameters
    ----------
    x, p : ndarray of float64 of one dimension
        The arguments.
    """

    x: Array
    p: Array


@dataclass(frozen=True, eq=False)
class Told:
    """The answer to a flow's question; its arrays are the flow's own.

    Parameters
    ----------
    fun : float, or ndarray of float64 of shape (k,)
        The value, or one for each of k points; what ``hessp`` returned.
    jac : ndarray of float64, shape (n,) or (k, n), or None
        The gradient, if that was asked for.
    known : ndarray of bool, shape (k,), or None
        Of a wave: which points were evaluated. The others were rejected; their values are
        penalties, worse than all others, or NaN where gradients were asked for.
    errors : ndarray of float64, shape (k,), or None
        Of a wave of values: their standard errors, as the objective told them; NaN elsewhere.
    """

    fun: Any
    jac: Any = None
    known: NDArray[np.bool_] | None = None
    errors: Array | None = None


#: What an algorithm is: it yields questions and the ends of iterations, and is sent the answers.
#: ``AskData(points)`` asks for values, shape (k, n) or (n,), in one wave; ``AskData(x, x)`` for
#: value and gradient at a point, or at each of several, with the gradients' probes in that wave.
#: ``Products(x, p)`` asks for a call of ``hessp``.
#: Where the run is stopped, a StopRun is raised at the yield: a flow that has a better estimate
#: than the best point evaluated catches it, and returns that.
Flow: TypeAlias = Generator[AskData | Products | Step, Told, Outcome]


def drive(run: Run, flow: Flow) -> Outcome:
    """Run a flow to its end.

    Parameters
    ----------
    run : Run
        Who answers.
    flow : generator
        The flow, at its start.

    Returns
    -------
    Outcome
        What it returns.
    """
    answer: Any = None
    stop: StopRun | None = None
    try:
        while True:
            try:
                asked = flow.send(answer) if stop is None else flow.throw(stop)
            except StopIteration as end:
                return _without_penalty(run, _checked(end.value))
            answer = stop = None
            try:
                if isinstance(asked, Step):
                    _note(run, asked)
                else:
                    answer = _answered(run, asked)
            except StopRun as reason:  # a flow that knows better than the best sample catches it
                stop = reason
    finally:
        flow.close()


def _checked(outcome: Any) -> Outcome:
    """Return what a flow returned, if it did not forget to."""
    if isinstance(outcome, Outcome):
        return outcome
    raise TypeError(f"A flow returned {outcome!r}, expected an Outcome, such as ended(x, stop).")


def _note(run: Run, step: Step) -> None:
    """Tell the observers of a step."""
    known = run.lookup(step.x) if step.fun is None else Evaluation(step.x, step.fun, step.jac)
    if known is not None and _is_penalty(run, known):
        known = None
    elif known is None and run.wants_values:
        known = Evaluation(step.x, float(_values(run, step.x[np.newaxis]).fun[0]))
    run.iteration(step.x, known, **step.extra)


def _without_penalty(run: Run, outcome: Outcome) -> Outcome:
    """Return an outcome on a point that was rejected as one on the best that was not."""
    known, last_good = outcome.known, run.last_good
    if known is None or last_good is None or not _is_penalty(run, known):
        return outcome
    return replace(outcome, x=last_good.x, known=last_good)


def _is_penalty(run: Run, known: Evaluation) -> bool:
    """Return whether an answer stands for an evaluation that was rejected: it is above all."""
    return known.fun > run.worst


def _answered(run: Run, ask: AskData | Products) -> Told:
    """Return what a flow asks."""
    if isinstance(ask, Products):
        assert run.problem.hessp is not None
        try:
            return Told(run.counted_hessian(run.problem.hessp)(ask.x, ask.p))
        except StopIteration:  # as from the objective
            raise StopRun(StopReason.CALLBACK) from None
    points = ask.x_fun if isinstance(ask, AskData) else None
    if points is None:
        raise TypeError(f"A flow asked {ask!r}, expected AskData(points), Products or Step.")
    if points.ndim == 1:
        if ask.x_jac is not None:
            return Told(*run.value_and_gradient(points))
        return Told(float(_values(run, points[np.newaxis]).fun[0]))
    return _values(run, points) if ask.x_jac is None else _gradients(run, points)


def _gradients(run: Run, points: Array) -> Told:
    """Return values and gradients of a wave; NaN where an evaluation is rejected."""
    misled = run.npenalized
    found = run.values_and_gradients(list(points))
    if len(found) < len(points):  # the budget allows no more
        raise StopRun(StopReason.MAXFUN)
    run.npenalized = misled  # it is told which were rejected
    told = Told(np.full(len(points), np.nan), np.full(points.shape, np.nan))
    for row, known in enumerate(found):
        if known is not None:
            told.fun[row], told.jac[row] = known.fun, known.jac
    return replace(told, known=np.array([known is not None for known in found]))


def _values(run: Run, points: Array) -> Told:
    """Return the values of a wave; penalties where an evaluation is rejected."""
    problem = run.problem
    points = np.array([problem.clip(x) for x in points])
    left = run.limit - run.nfev
    is_last = len(points) > left > 0
    if is_last:  # what the budget allows: the most wanted come first
        points = points[: int(left)]
    block = Block(points)
    try:
        if problem.jac is True:
            _call_each(run, block)
        else:
            run.take([block], is_first_needed=False)
    except Exception as failure:
        run.rejected(points[0], failure)  # raises: it says more, and knows a wish to stop
        raise
    values = block.values
    known = np.ones(len(values), dtype=bool)
    known[list(block.failures)] = False
    if known.any():  # what a rejected point steps back to, and an end may be on
        best = int(np.flatnonzero(known)[np.argmin(values[known])])
        run.store(Evaluation(points[best].copy(), float(values[best])))
    for row, error in block.failures.items():
        values[row] = run.rejected(points[row], error).fun
    if is_last:
        raise StopRun(StopReason.MAXFUN)
    return Told(values, known=known, errors=block.errors)


def _call_each(run: Run, block: Block) -> None:
    """Evaluate points of an objective that returns its gradient too, which is of no use."""
    for row, x in enumerate(block.points):
        try:
            block.values[row], _ = run.call(x)
        except Exception as error:
            block.failures[row] = error
            if not run.rejects:
                raise
