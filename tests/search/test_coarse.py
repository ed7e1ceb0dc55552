"""Variables and values of unusual sizes: what the searches say of them."""

import numpy as np
import pytest

from optimizers import DFOTR, ImFil, StopReason

BOTH = pytest.mark.parametrize("make", [DFOTR, ImFil])


def bowl(size):
    return lambda x: float(((np.asarray(x) / size - 1) ** 2).sum())


@BOTH
def test_a_start_smaller_than_the_last_step_is_named_and_scale_helps(make):
    start = [3e-10, -2e-10]
    result = make(seed=0).minimize(bowl(1e-10), start)
    assert np.array_equal(result.x, start)
    assert "x0[0], 3e-10, is smaller than the last step" in result.message
    scaled = make(seed=0).minimize(bowl(1e-10), start, scale="start")
    np.testing.assert_allclose(scaled.x, 1e-10, rtol=1e-3)
    assert "smaller than the last step" not in scaled.message


@BOTH
@pytest.mark.parametrize(
    ("size", "start", "bounds"),
    [
        (1.0, [3e-10, -2e-10], None),  # it moves on
        (1.0, [1.0, 1.0], None),  # the minimum
        (1e-10, [3e-10, 5e-11], [(0, 4e-10)] * 2),  # sizes are those of the bounds
    ],
)
def test_other_ends_are_not_suspected(make, size, start, bounds):
    result = make(seed=0).minimize(bowl(size), start, bounds=bounds)
    assert result.success
    assert "smaller than the last step" not in result.message


@pytest.mark.parametrize("size", [1e-300, 1e-100, 1e99, 1e120, 1e160, 1e300])
def test_values_too_far_apart_for_a_model_are_not_taken_for_noise(size):
    result = DFOTR(seed=0, maxfun=400).minimize(lambda x: size * bowl(1.0)(x), [3.0, -2.0])
    if result.success:
        np.testing.assert_allclose(result.x, [1.0, 1.0], atol=1e-5)
    else:
        assert result.stop is StopReason.NO_PROGRESS
        assert "divide the objective" in result.message
    assert result.success == (size < 1e100)
