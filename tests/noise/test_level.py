import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers.noise.level import estimate_noise, plan_noise

INF = np.inf
FEW = settings(deadline=None, max_examples=100)

POINTS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5).map(np.array)
GAPS = st.one_of(st.just(INF), st.just(0.0), st.floats(1e-12, 1e-3), st.floats(0.1, 10))


@given(POINTS, st.data(), st.integers(0, 2**32 - 1))
@FEW
def test_the_points_stay_inside_the_bounds(x, data, seed):
    below = np.array([data.draw(GAPS) for _ in x])
    above = np.array([data.draw(GAPS) for _ in x])
    lower, upper = x - below, x + above
    points = plan_noise(x, np.random.default_rng(seed), lower, upper).points
    assert (points >= lower).all()
    assert (points <= upper).all()
    assert len(points) in (0, 16)


def test_the_points_are_equally_spaced_on_a_line_through_the_point():
    x = np.array([1.0, -20.0, 0.0])
    points = plan_noise(x, np.random.default_rng(2)).points
    for table, spacing in ((points[:8], 1e-7), (points[8:], 1e-4)):
        np.testing.assert_array_equal(table[0], x)
        np.testing.assert_allclose(
            np.diff(table, axis=0), table[1:2] - x + np.zeros((7, 1)), rtol=1e-6
        )
        relative = (table[1] - x) / np.maximum(1, abs(x))
        assert np.linalg.norm(relative) == pytest.approx(spacing, rel=1e-6)


def test_the_direction_is_the_seeds():
    x = np.ones(4)
    one, same, other = (plan_noise(x, np.random.default_rng(s)).points for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_nothing_free_tells_nothing():
    x = np.ones(2)
    plan = plan_noise(x, np.random.default_rng(0), x, x)
    assert plan.points.shape == (0, 2)
    estimate = plan.fold(np.empty(0))
    assert not estimate.is_known
    assert math.isnan(estimate.sigma)


@pytest.mark.parametrize("sigma", [1e-12, 1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("level", [0.0, 1.0, -1e3])
def test_known_noise_is_estimated_within_a_factor_of_three(sigma, level):
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        plan = plan_noise(np.array([0.5, -1.0]), rng)
        smooth = np.exp(plan.points[:, 0]) + level + np.sin(plan.points[:, 1])
        estimate = plan.fold(smooth + sigma * rng.normal(size=16))
        found.append(estimate.sigma / sigma)
    found = np.array(found)
    assert np.isfinite(found).mean() > 0.9
    known = found[np.isfinite(found)]
    if level == -1e3 and sigma == 1e-12:  # the values' own rounding is larger by far
        assert 0.1 < np.median(known) < 10
        return
    assert 0.7 < np.median(known) < 1.4
    assert ((known > 1 / 3) & (known < 3)).mean() > 0.95


def test_noise_of_uniform_and_of_rounded_values_is_found_too():
    rng = np.random.default_rng(0)
    uniform = [estimate_noise(rng.uniform(size=8)).sigma for _ in range(300)]
    assert np.nanmedian(uniform) == pytest.approx(1 / math.sqrt(12), rel=0.2)
    # Values cut to single precision change only from far point to far point.
    x = np.array([0.7])
    plan = plan_noise(x, rng)
    estimate = plan.fold(np.sin(plan.points[:, 0]).astype(np.float32).astype(np.float64))
    assert estimate.is_known
    assert 1e-9 < estimate.sigma < 1e-6


def test_no_noise_is_rounding_or_not_known():
    plan = plan_noise(np.array([1.0, 2.0]), np.random.default_rng(0))
    estimate = plan.fold((plan.points**2).sum(axis=1))
    assert not estimate.is_known or estimate.sigma < 1e-14


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros(8), "equal"),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 1.0], "equal"),
        ([1.0, 2.0, np.nan, 1.0, 3.0, 2.0, 3.0, 1.0], "finite"),
        ([1.0, 2.0, np.inf, 1.0, 3.0, 2.0, 3.0, 1.0], "finite"),
        (np.exp(np.arange(8.0)), "smooth"),
        (np.arange(8.0) ** 9, "smooth"),
    ],
)
def test_it_says_why_it_cannot_tell(values, reason):
    estimate = estimate_noise(np.array(values))
    assert not estimate.is_known
    assert reason in estimate.reason
    assert math.isnan(estimate.sigma)


def test_the_first_order_is_the_textbook_estimate():
    # Alternating values: each difference of order k is 2^k, so sigma_k^2 = 4^k (k!)^2 / (2k)!.
    values = np.array([1.0, -1.0] * 4)
    assert estimate_noise(values).sigma == pytest.approx(math.sqrt(4 / 2))
