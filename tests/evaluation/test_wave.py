import math

import numpy as np
import pytest

from optimizers import LBFGSB, InvalidValueError, vectorized
from optimizers.evaluation.wave import Block, Cost, RetryBudget, SharedRetryBudget
from optimizers.lockstep.merge import MergedBlock


def test_a_retry_budget_is_spent_once():
    budget, block = RetryBudget(Cost(3, math.inf)), Block(np.zeros((4, 2)))
    assert budget.grants(block, slice(0, 2))
    assert not budget.grants(block, slice(2, 4))
    assert budget.grants(block, slice(2, 3))
    assert budget.grants(Block(np.zeros((9, 2)), len, "jac"), slice(0, 9))  # no evaluation


def test_each_run_has_a_retry_budget_and_all_have_one():
    parts = [(np.zeros((2, 2)), 0, 0, 0), (np.zeros((3, 2)), 1, 0, 0)]
    block = MergedBlock(Block(np.zeros((2, 2))), parts, [0, 1])
    budget = SharedRetryBudget([Cost(1, math.inf), Cost(5, math.inf)], Cost(4, math.inf))
    assert not budget.grants(block, slice(0, 2))
    assert budget.grants(block, slice(1, 3))
    assert not budget.grants(block, slice(0, 1))
    assert not budget.grants(block, slice(2, 5))  # of all, two are left
    assert budget.grants(block, slice(2, 4))


def test_a_retry_budget_is_spent_in_shots_too():
    block = Block(np.zeros((4, 2)))
    block.shots = np.array([1, 10, 100, 5])
    budget = RetryBudget(Cost(math.inf, 110))
    assert budget.grants(block, slice(1, 3))
    assert not budget.grants(block, slice(3, 4))


def test_a_vectorized_objective_gets_stacks_also_with_its_gradient():
    shapes = []

    @vectorized
    def both(points):
        shapes.append(points.shape)
        return (points**2).sum(axis=1), 2 * points

    @vectorized
    def value(points):
        return (points**2).sum(axis=1)

    @vectorized
    def gradient(points):
        shapes.append(points.shape)
        return 2 * points

    for fun, jac in ((both, True), (value, gradient)):
        result = LBFGSB().minimize(fun, [3.0, 4.0], jac)
        assert result.x == pytest.approx(0)
        assert set(shapes) == {(1, 2)}
        shapes.clear()
        results = LBFGSB().minimize_many(fun, [[3.0, 4.0], [1.0, 0.5]], jac)
        assert shapes[0] == (2, 2)
        assert results[0].x == pytest.approx(0)
        shapes.clear()


def test_too_few_gradients_are_a_named_error():
    @vectorized
    def few(points):
        return (points**2).sum(axis=1), np.zeros((7, 3))

    with pytest.raises(InvalidValueError, match="a row for each"):
        LBFGSB().minimize_many(few, np.ones((2, 3)), True)
