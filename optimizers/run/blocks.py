"""The blocks of a wave that ask for points of a problem."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.evaluation.wave import Block, Cost, Question
from optimizers.gradients.plan import Plan
from optimizers.problem.derivatives import Given, Joint
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.waves import Waves


def values_at(problem: Problem, points: Array) -> Block:
    """Return the block that asks for values only, even if the objective returns more."""
    if isinstance(problem.derivatives, Joint):
        return Block(points, problem.fun, "both")
    return Block(points)


def question_at(
    problem: Problem,
    xs: Sequence[Array],
    plans: Sequence[Plan],
    gradients: bool,
    further: Sequence[Array] = (),
    shots: NDArray[np.int64] | None = None,
) -> Question:
    """Return the blocks that ask for points, and where each point is in them."""
    if isinstance(problem.derivatives, Joint):
        return Question(xs, both=problem.fun, further=further)
    if isinstance(problem.derivatives, Given) and gradients:
        return Question(xs, gradient=problem.derivatives.function, further=further, shots=shots)
    return Question(xs, plans, further=further, shots=shots)


def affordable(
    problem: Problem,
    waves: Waves,
    xs: Sequence[Array],
    plans: Sequence[Plan],
    shots: NDArray[np.int64] | None = None,
) -> tuple[int, StopReason | None]:
    """Return how many of the points, with the probes of their plans, the budget allows.

    If it does not allow all, also say which limit that is.
    """
    budget, total = waves.budget, Cost(0)
    is_plain = not waves.prices_points and shots is None
    if is_plain and not plans:  # the usual case is fast
        reason = budget.over(Cost(len(xs)))
        return len(xs) if reason is None else int(min(budget.left, len(xs))), reason
    for i, x in enumerate(xs):
        if is_plain:
            total += Cost(1 + len(plans[i].points))
        else:
            own = None if shots is None else shots[i : i + 1]
            asked = question_at(problem, [x], plans[i : i + 1], False, shots=own)
            total += waves.cost([waves.measured(block) for block in asked.blocks])
        reason = budget.over(total)
        if reason is not None:
            return i, reason
    return len(xs), None
