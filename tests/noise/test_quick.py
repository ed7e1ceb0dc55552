import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers.noise.quick import plan_quick, steps_for

FEW = settings(deadline=None, max_examples=100)
INF = np.inf
GAPS = st.one_of(st.just(INF), st.just(0.0), st.floats(1e-12, 1e-3), st.floats(0.1, 10))
POINTS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5).map(np.array)


@given(POINTS, st.data(), st.integers(0, 2**32 - 1))
@FEW
def test_the_points_stay_inside_the_bounds(x, data, seed):
    lower = x - np.array([data.draw(GAPS) for _ in x])
    upper = x + np.array([data.draw(GAPS) for _ in x])
    plan = plan_quick(x, np.full(x.size, 0.1), np.random.default_rng(seed), lower, upper)
    assert (plan.points >= lower).all()
    assert (plan.points <= upper).all()
    assert len(plan.points) <= 2 * x.size + 3


@pytest.mark.parametrize("n", [1, 4])
def test_a_quadratic_is_measured_exactly(n):
    rng = np.random.default_rng(n)
    x, slope, bends = rng.normal(size=(3, n))
    plan = plan_quick(x, np.full(n, 0.1), rng)
    assert len(plan.points) == 2 * n + 3

    def fun(point):
        return 1.0 + slope @ (point - x) + 0.5 * bends @ (point - x) ** 2

    found = plan.fold(fun(x), np.array([fun(point) for point in plan.points]))
    np.testing.assert_allclose(found.gradient, slope, atol=1e-12)
    np.testing.assert_allclose(found.bends, abs(bends), rtol=1e-10)
    assert found.sigma < 1e-8
    # No step along a variable is longer than half of its size.
    assert (abs(slope / found.curvature) <= 0.5 * np.maximum(1, abs(x)) * (1 + 1e-12)).all()
    assert (found.curvature >= bends * (1 - 1e-10)).all()


def test_a_fixed_variable_has_no_probe_and_no_slope():
    x, lower, upper = np.ones(3), np.array([-INF, 1.0, 0.0]), np.array([INF, 1.0, 2.0])
    plan = plan_quick(x, np.full(3, 0.1), np.random.default_rng(0), lower, upper)
    assert len(plan.points) == 2 * 2 + 3
    assert (plan.points[:, 1] == 1.0).all()
    found = plan.fold(3.0, (plan.points**2).sum(axis=1))
    np.testing.assert_allclose(found.gradient, [2.0, 0.0, 2.0], atol=1e-12)
    assert found.bends[1] == 0.0


@pytest.mark.parametrize("sigma", [1e-6, 1e-2])
def test_noise_is_estimated_within_its_order(sigma):
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        plan = plan_quick(np.ones(3), np.full(3, 0.1), rng)
        values = (plan.points**2).sum(axis=1) + sigma * rng.normal(size=len(plan.points))
        found.append(plan.fold(3.0 + sigma * rng.normal(), values).sigma)
    assert sigma / 2 < np.median(found) < sigma
    assert np.quantile(found, 0.1) > sigma / 10


def test_equal_values_on_the_line_tell_nothing():
    plan = plan_quick(np.ones(3), np.full(3, 0.1), np.random.default_rng(0))
    values = np.round((plan.points**2).sum(axis=1), 3)  # as of counts
    assert plan.fold(3.0, values) is None


def test_the_steps_balance_noise_and_curvature():
    x, bends, sigma = np.array([1.0, 30.0]), np.array([2.0, 8.0]), 1e-6
    # One-sided: the step of Moré and Wild.
    np.testing.assert_allclose(
        steps_for(x, bends, sigma, "2-point"), 8**0.25 * np.sqrt(sigma / bends)
    )
    np.testing.assert_allclose(
        steps_for(x, bends, sigma, "3-point"), 1.5 * np.sqrt(3 * sigma / bends)
    )
    # Where nothing is known of the curvature, and where the noise is large, steps are not longer
    # than the variables.
    np.testing.assert_allclose(steps_for(x, 0 * bends, sigma, "2-point"), [0.3, 9.0])
    np.testing.assert_allclose(steps_for(x, bends, 1e6, "3-point"), [0.3, 9.0])
