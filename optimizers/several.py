"""Several points with their gradients in one wave, of which the algorithm takes what it likes.

None of them is needed: with ``on_failure="reject"`` one that fails is left out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.evaluation.differences import Plan
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
    plans = [] if _is_given(run) else [run.plan(x) for x in xs]
    costs = [1 + len(plan.points) for plan in plans] or [1] * len(xs)
    # At least one: if the budget does not even allow that, it ends the run.
    count = max(1, int(np.searchsorted(np.cumsum(costs), run.limit - run.nfev, side="right")))
    xs, plans, misled = xs[:count], plans[:count], run.nmisled
    if run.calls_points or run.problem.jac is True or count == 1:
        found = [_alone(run, x) for x in xs]
    else:
        found = _Wave(run, xs, plans).evaluations()
    # The algorithm does not notice a point that is left out, unless all are.
    run.nmisled = misled + all(known is None for known in found)
    return found


def _is_given(run: "Run") -> bool:
    return run.problem.jac is True or callable(run.problem.jac)


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


class _Wave:
    """Points that are evaluated together.

    Parameters
    ----------
    run : Run
        The run.
    xs : list of ndarray of float64, shape (n,)
        The points.
    plans : list of Plan
        The probes of each; none if the gradient is the user's.
    """

    def __init__(self, run: "Run", xs: list[Array], plans: list[Plan]) -> None:
        self._run = run
        self._kept = run.best, run.best_violation
        self._xs = xs
        self._plans = plans
        self._answered: list[tuple[NDArray[Any], NDArray[Any]]] = []
        #: Why points have no value or gradient, by their number.
        self._failures: dict[int, Exception] = {}
        precision = run.precision
        joint = bool(plans) and plans[0].points.dtype != np.complex128
        blocks = [x[np.newaxis] for x in xs]
        if joint:
            pairs = zip(blocks, plans, strict=True)
            blocks = [np.concatenate([block, plan.points]) for block, plan in pairs]
        answers = self._evaluate(blocks)
        self._values = [float(answer[0]) for answer in answers]
        self._probes = [answer[1:] for answer in answers]
        if joint and run.precision > precision:
            # The answers are coarser than was thought: those probes were too near.
            self._plans = [run.plan(x) for x in xs]
        if self._plans is not plans or (plans and not joint):
            self._probes = self._evaluate([plan.points for plan in self._plans])

    def _evaluate(self, blocks: list[NDArray[Any]]) -> list[NDArray[Any]]:
        values, failures = self._run.try_wave(np.concatenate(blocks), is_first_needed=False)
        ends = np.cumsum([len(block) for block in blocks])
        for row, error in failures.items():
            self._failures.setdefault(int(np.searchsorted(ends, row, side="right")), error)
        parts = np.split(values, ends[:-1])
        self._answered += zip(blocks, parts, strict=True)
        return parts

    def evaluations(self) -> list[Evaluation | None]:
        """Return what came of each point; None for one that is rejected."""
        run = self._run
        found = [self._evaluation(i) for i in range(len(self._xs))]
        if None in found:
            run.best, run.best_violation = self._kept
            for i, (block, values) in enumerate(self._answered):
                if found[i % len(found)] is not None and block.dtype != np.complex128:
                    good = np.isfinite(values)
                    run.weigh_part(block[good], values[good])
        for known in found:
            if known is not None:
                run.remember(known)
        return found

    def _evaluation(self, i: int) -> Evaluation | None:
        run, x, value, probes = self._run, self._xs[i], self._values[i], self._probes[i]
        try:
            if i in self._failures:
                raise self._failures[i]
            gradient = run.fold(self._plans[i], value, probes) if self._plans else run.call_jac(x)
        except Exception as error:
            run.rejected(x, error)
            return None
        return Evaluation(x, value, gradient)
