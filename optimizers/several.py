"""Several points with their gradients in one wave, of which the algorithm takes what it likes.

None of them is needed: with ``on_failure="reject"`` one that fails is left out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from optimizers._types import Array
from optimizers.evaluation.blocks import Question
from optimizers.evaluation.stencils import Plan
from optimizers.ledger import Evaluation

if TYPE_CHECKING:
    from optimizers.run import Run


def several(run: "Run", points: Sequence[Array]) -> list[Evaluation | None]:
    """Evaluate points with their gradients; see :meth:`Run.values_and_gradients`.

    Parameters
    ----------
    run : Run
        The run.
    points : sequence of ndarray of float64, shape (n,)
        The points, the most wanted first.

    Returns
    -------
    list of Evaluation or None
        For each point that the budget allows; None for one that is rejected.
    """
    xs = [run.problem.clip(x) for x in points]
    is_given = run.problem.jac is True or callable(run.problem.jac)
    plans = [] if is_given else [run.plan(x) for x in xs]
    costs = [1 + len(plan.points) for plan in plans] or [1] * len(xs)
    # At least one: if the budget does not even allow that, it ends the run.
    count = max(1, int(np.searchsorted(np.cumsum(costs), run.limit - run.nfev, side="right")))
    xs, misled = xs[:count], run.nmisled
    # A random plan is drawn once, here: one more would be another run than on workers.
    is_serial = run.calls_singly and not run.differences.is_random
    if is_serial or run.problem.jac is True or count == 1:
        found = [_alone(run, x) for x in xs]
    else:
        found = _together(run, xs, plans[:count])
    # The algorithm does not notice a point that is left out, unless all are.
    run.nmisled = misled + all(known is None for known in found)
    return found


def _alone(run: "Run", x: Array) -> Evaluation | None:
    """Evaluate one point in a wave of its own."""
    kept = run.best, run.best_violation
    try:
        known = Evaluation(x, *run.joint(x))
    except Exception as error:
        run.rejected(x, error)
        run.best, run.best_violation = kept  # neither it nor its probes are candidates
        return None
    run.remember(known)
    return known


def _together(run: "Run", xs: list[Array], plans: list[Plan]) -> list[Evaluation | None]:
    """Evaluate points in one wave."""
    kept, precision = (run.best, run.best_violation), run.precision
    question = Question(xs, plans, run.problem.jac if callable(run.problem.jac) else None)
    run.take(question.blocks, is_first_needed=False)
    # Answers that are coarser than was thought: those probes were too near.
    is_coarse = run.precision > precision and run.differences.heeds_precision
    is_coarse = is_coarse and question.is_joint
    answers = [_evaluation(run, question, i, x, is_coarse) for i, x in enumerate(xs)]
    found: list[Evaluation | None] = []
    for x, answer in zip(xs, answers, strict=True):
        if isinstance(answer, Exception):
            run.rejected(x, answer)
            found.append(None)
            continue
        if run.anchor is None:
            run.remember(answer)  # what those behind it step back to, if they are rejected
        found.append(answer)
    if None in found:
        run.best, run.best_violation = kept
        for i, known in enumerate(found):
            if known is not None:
                run.weigh_part(*question.candidates(i))
    for known in found:
        if known is not None:
            run.remember(known)
    return found


def _evaluation(
    run: "Run", question: Question, i: int, x: Array, is_coarse: bool
) -> Evaluation | Exception:
    """Return what came of one point, or why there is nothing."""
    value = question.value(i)
    try:
        failure = question.failure(i)
        if failure is not None:
            raise failure
        if not question.plans:
            gradient = question.rest(i)[0].copy()
        elif is_coarse:
            gradient = run.probed(run.plan(x), value)
        else:
            gradient = run.fold(question.plans[i], value, question.rest(i))
    except Exception as error:
        return error
    return Evaluation(x, value, gradient)
