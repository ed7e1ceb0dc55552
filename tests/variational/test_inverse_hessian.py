import numpy as np
import pytest

from optimizers import LbfgsInvHessProduct
from optimizers.variational.noisy_search import CompactInverse


def pairs(rng, n, m):
    matrix = rng.normal(size=(n, n))
    hessian = matrix @ matrix.T + np.eye(n)
    steps = rng.normal(size=(m, n))
    return steps, steps @ hessian


@pytest.mark.parametrize(("n", "m"), [(6, 0), (6, 1), (6, 4), (30, 10)])
def test_it_is_the_two_loop_recursion(n, m):
    # SciPy's operator begins with the identity.
    rng = np.random.default_rng(n + m)
    steps, bends = pairs(rng, n, m)
    inverse = CompactInverse(
        np.ones(n), list(zip(steps, bends, strict=True)), np.ones(n, dtype=bool)
    )
    expected = LbfgsInvHessProduct(steps, bends).todense()
    # Some 10 pairs of condition up to 100: products of numbers of size 10 lose 1e-12.
    assert np.array([inverse.product(row) for row in np.eye(n)]) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )
    assert inverse.diagonal == pytest.approx(np.diag(expected), rel=1e-9, abs=1e-9)


def test_variables_that_may_not_move_have_zeros_and_the_others_their_own_inverse():
    rng = np.random.default_rng(1)
    steps, bends = pairs(rng, 5, 3)
    free = np.array([True, False, True, True, False])
    initial = np.array([0.5, 1.0, 2.0, 0.1, 3.0])
    inverse = CompactInverse(initial, list(zip(steps, bends, strict=True)), free)
    kept = [(s[free], y[free]) for s, y in zip(steps, bends, strict=True)]
    small = CompactInverse(initial[free], kept, np.ones(3, dtype=bool))
    vector = rng.normal(size=5)
    assert inverse.product(vector)[free] == pytest.approx(small.product(vector[free]))
    assert inverse.product(vector)[~free] == pytest.approx([0.0, 0.0])
    assert inverse.diagonal[~free] == pytest.approx([0.0, 0.0])


def test_a_pair_without_curvature_along_the_free_variables_is_left_out():
    pair = np.array([1.0, 1.0]), np.array([-1.0, 3.0])
    inverse = CompactInverse(np.ones(2), [pair], np.array([True, False]))
    assert inverse.product(np.array([2.0, 5.0])) == pytest.approx([2.0, 0.0])
