"""Several points with their gradients in one wave, of which the algorithm takes what it likes.

None of them is needed: with ``on_failure="reject"`` one that fails is left out.
"""

from collections.abc import Sequence

import numpy as np

from optimizers._types import Array
from optimizers.gradients.stencils import Plan
from optimizers.run.memory import Evaluation
from optimizers.run.questions import WaveTaker


def several(run: WaveTaker, points: Sequence[Array]) -> list[Evaluation | None]:
    """Evaluate points with their gradients; see :meth:`Run.values_and_gradients`.

    Parameters
    ----------
    run : WaveTaker
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
    xs, misled = xs[:count], run.npenalized
    # A random plan is drawn once, here: one more would be another run than on workers.
    is_serial = run.calls_singly and not run.differences.is_random
    if is_serial or run.problem.jac is True or count == 1:
        found = [_alone(run, x) for x in xs]
    else:
        found = _together(run, xs, plans[:count])
    # The algorithm does not notice a point that is left out, unless all are.
    run.npenalized = misled + all(known is None for known in found)
    return found


def _alone(run: WaveTaker, x: Array) -> Evaluation | None:
    """Evaluate one point in a wave of its own."""
    kept = run.best, run.best_violation
    try:
        known = Evaluation(x, *run.joint(x))
    except Exception as error:
        run.rejected(x, error)
        run.best, run.best_violation = kept  # neither it nor its probes are candidates
        return None
    run.store(known)
    return known


def _together(run: WaveTaker, xs: list[Array], plans: list[Plan]) -> list[Evaluation | None]:
    """Evaluate points in one wave."""
    kept = run.best, run.best_violation
    question, answers = run.together(xs, plans)
    found: list[Evaluation | None] = []
    for x, answer in zip(xs, answers, strict=True):
        if isinstance(answer, Exception):
            run.rejected(x, answer)
            found.append(None)
            continue
        if run.last_good is None:
            run.store(answer)  # what those behind it step back to, if they are rejected
        found.append(answer)
    if None in found:
        run.best, run.best_violation = kept
        for i, known in enumerate(found):
            if known is not None:
                run.update_incumbents(*question.candidates(i))
    for known in found:
        if known is not None:
            run.store(known)
    return found
