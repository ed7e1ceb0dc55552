"""Nelder-Mead inside bounds: its simplex has volume there, at the start and at the end."""

import numpy as np
import pytest
import scipy.optimize

from optimizers import NELDER_MEAD, SciPyOptimizer, TellData
from optimizers.errors import OptionError


def bowl(minimum):
    return lambda x: float(((x - np.asarray(minimum)) ** 2).sum())


#: Minimum, start and bounds: SciPy's own simplex is flat at the start, or ends flat on a bound.
CASES = {
    "on negative lower bounds": ([-1, -1], [-4, -4], [(-4, 0)] * 2),
    "one variable on its bound": ([-1, 0.5], [-4, 0.25], [(-4, 0), (-1, 1)]),
    "next to a bound": ([-1, -1], [-4 + 1e-9, -2], [(-4, 0)] * 2),
    "narrow, from below": ([100.5, 100.25], [100, 100], [(100, 101)] * 2),
    "narrow, from above": ([-100.5, -100.5], [-100, -100.001], [(-101, -100)] * 2),
    "zero on a bound": ([-1, -1], [0, -2], [(-2, 0)] * 2),
    "flat on a wrong edge under way": ([1, 1], [4, 4], [(0, 4)] * 2),
    "three variables": ([-1, 2, -1], [-4, 2, -4], [(-4, 0), (None, None), (-4, None)]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_minimum_is_found_from_a_bound(case):
    minimum, start, bounds = CASES[case]
    result = NELDER_MEAD().minimize(bowl(minimum), start, bounds=bounds)
    assert result.success
    np.testing.assert_allclose(result.x, minimum, atol=1e-3)
    stepper = NELDER_MEAD().stepper(start, bounds=bounds)
    for ask in stepper:
        stepper.tell(ask, TellData([bowl(minimum)(x) for x in ask.x_fun]))
    assert np.array_equal(stepper.result().x, result.x)


def test_a_minimum_on_bounds_is_one():
    result = NELDER_MEAD().minimize(bowl([-5, 3]), [-4, 0], bounds=[(-4, 0), (-2, 2)])
    assert result.success
    np.testing.assert_allclose(result.x, [-4, 2])


def test_a_simplex_that_has_volume_is_scipys():
    start, bounds = [0.5, 0.6], [(0, 1), (-1, 2)]
    ours = NELDER_MEAD().minimize(bowl([0.3, 0.2]), start, bounds=bounds)
    theirs = scipy.optimize.minimize(bowl([0.3, 0.2]), start, method="Nelder-Mead", bounds=bounds)
    assert ours.nfev == theirs.nfev
    assert np.array_equal(ours.x, theirs.x)


@pytest.mark.parametrize(
    "simplex",
    [
        [[0.5, 0.5], [0.5, 0.5], [0.2, 0.5]],
        [[0, 0], [1, 1], [0.5, 0.5]],
        [[0.5, 0.5], [2, 0.5], [3, 0.5]],
        [[-1, 0.5], [-2, 0.1], [-3, 0.7]],  # flat where it is clipped
    ],
)
def test_a_given_simplex_without_volume_is_an_error(simplex):
    optimizer = SciPyOptimizer("Nelder-Mead", options={"initial_simplex": simplex})
    with pytest.raises(OptionError, match="initial_simplex has no volume inside the bounds"):
        optimizer.minimize(bowl([0, 0]), [0.5, 0.5], bounds=[(0, 1)] * 2)


def test_a_variable_without_room_needs_no_volume():
    simplex = [[0.5, 0.5], [0.6, 0.5], [0.7, 0.5]]
    optimizer = SciPyOptimizer("Nelder-Mead", options={"initial_simplex": simplex})
    result = optimizer.minimize(bowl([0, 0]), [0.5, 0.5], bounds=[(0, 1), (0.5, 0.5)])
    np.testing.assert_allclose(result.x, [0, 0.5], atol=1e-3)
