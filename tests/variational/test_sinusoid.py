import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from optimizers.variational.sinusoid import lowest, probes


def sinusoid(phase):
    return lambda d: 2.0 + 1.5 * math.cos(d - phase)


@given(st.floats(-math.pi, math.pi), st.floats(-7, 0), st.floats(0, 7))
def test_it_is_the_minimum_in_the_interval(phase, low, high):
    if high - low < 0.05:
        return
    fun = sinusoid(phase)
    at = probes(low, high)
    assert all(low <= offset <= high for offset in at)
    found = lowest([fun(0.0), *map(fun, at)], at, low, high)
    assert low <= found.offset <= high
    grid = min(map(fun, np.linspace(low, high, 2001)))
    # Near probes magnify the rounding of the values, by up to 1 / (high - low)**3.
    allowed = 1e-15 * (1 + 40 / (high - low) ** 3)
    assert fun(found.offset) <= grid + allowed
    assert found.value == pytest.approx(fun(found.offset), abs=allowed)


def test_without_bounds_it_is_the_nearest_minimum():
    for phase in np.linspace(-3, 3, 13):
        fun = sinusoid(phase)
        at = probes(-math.inf, math.inf)
        found = lowest([fun(0.0), *map(fun, at)], at, -math.inf, math.inf)
        assert abs(found.offset) <= math.pi
        assert math.cos(found.offset - phase) == pytest.approx(-1, abs=1e-14)
        assert found.value == pytest.approx(0.5, abs=1e-14)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e300, 5e-324])
def test_a_constant_has_its_minimum_here(value):
    at = (math.pi / 2, -math.pi / 2)
    assert lowest([value] * 3, at, -9, 9) == (0.0, value)
    assert lowest([value, np.nextafter(value, 9), value], at, -9, 9)[1] == value or value == 0.0


def test_an_interval_that_a_probe_cannot_be_told_in_stays():
    assert lowest([1.0, 0.9, 0.8], probes(0.0, 1e-200), 0.0, 1e-200).offset == 0.0
