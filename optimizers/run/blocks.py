"""The blocks of a wave that ask for points of a problem."""

import itertools
from collections.abc import Iterable, Sequence

from optimizers._types import Array
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.wave import Block, Question
from optimizers.gradients.plan import Plan
from optimizers.problem.derivatives import Given, Joint
from optimizers.problem.problem import Problem


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
) -> Question:
    """Return the blocks that ask for points, and where each point is in them."""
    if isinstance(problem.derivatives, Joint):
        return Question(xs, both=problem.fun, further=further)
    if isinstance(problem.derivatives, Given) and gradients:
        return Question(xs, gradient=problem.derivatives.function, further=further)
    return Question(xs, plans, further=further)


def affordable(
    problem: Problem, evaluator: Evaluator, left: float, xs: Sequence[Array], plans: Sequence[Plan]
) -> int:
    """Return how many of the points, with the probes of their plans, a budget allows."""
    costs: Iterable[int]
    if evaluator.is_informed:
        asked = (question_at(problem, [x], plans[i : i + 1], False) for i, x in enumerate(xs))
        costs = (sum(map(evaluator.cost, question.blocks)) for question in asked)
    elif plans:
        costs = (1 + len(plan.points) for plan in plans)
    else:
        return len(xs) if len(xs) <= left else int(left)
    return sum(cost <= left for cost in itertools.accumulate(costs))
