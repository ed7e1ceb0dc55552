import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers.noise.neighborhood import continuation, neighborhood, neighborhood_size, units
from optimizers.noise.steps import LONG_RUNGS, ladder

FEW = settings(deadline=None, max_examples=100)
INF = np.inf
GAPS = st.one_of(st.just(INF), st.just(0.0), st.floats(1e-12, 1e-3), st.floats(0.1, 10))


@st.composite
def boxes(draw):
    x = np.array(draw(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4)))
    lower = x - np.array([draw(GAPS) for _ in x])
    upper = x + np.array([draw(GAPS) for _ in x])
    return x, lower, upper


@given(boxes(), st.integers(0, 2**32 - 1))
@FEW
def test_no_probe_of_ladder_survey_or_outlook_leaves_the_bounds(box, seed):
    x, lower, upper = box
    rng = np.random.default_rng(seed)
    tried = ladder(x, lower, upper)
    steps = tried.choose(0.0, rng.normal(size=len(tried.points)), 1e-3)
    assert (steps > 0).all()
    looked = neighborhood(x, np.diag(steps), lower, upper)
    told = looked.fold(0.0, rng.normal(size=len(looked.points)))
    ahead = continuation(x, looked, *told, lower, upper)
    moves = ahead.units(0.0, rng.normal(size=len(ahead.points)), 1e-3)
    again = neighborhood(x, moves, lower, upper)
    assert len(looked.points) + len(ahead.points) <= neighborhood_size(x.size)
    for points in (tried.points, looked.points, ahead.points, again.points):
        assert (points >= lower).all()
        assert (points <= upper).all()


@pytest.mark.parametrize("sigma", [1e-12, 1e-9, 1e-6, 1e-4])
@pytest.mark.parametrize("stretch", [1.0, 1e-2])
def test_the_chosen_step_errs_by_little_more_than_the_best(sigma, stretch):
    # exp(x / stretch): all derivatives are known, and so is the best of the steps.
    rng = np.random.default_rng(7)
    x = np.zeros(1)
    tried = ladder(x)
    exact = 1 / stretch
    truth = np.exp(tried.points[:, 0] / stretch)
    errors, bests = [], []
    for _ in range(100):
        values = truth + sigma * rng.normal(size=len(truth))
        chosen = tried.choose(1.0, values, sigma)[0]
        pairs = values.reshape(len(tried.steps), 2)
        slopes = {s[0]: (b - a) / (2 * s[0]) for s, (a, b) in zip(tried.steps, pairs, strict=True)}
        errors.append(abs(slopes[chosen] - exact))
        bests.append([abs(slope - exact) for slope in slopes.values()])
    best = np.median(np.array(bests), axis=0).min()
    assert np.median(errors) <= 8 * best + 4 * np.finfo(float).eps * exact / 1e-5


def test_a_step_whose_value_is_not_finite_is_ruled_out():
    tried = ladder(np.zeros(1))
    values = tried.points[:, 0].copy()
    assert tried.choose(0.0, values, 1e-6)[0] == 0.1
    values[:2] = np.inf, np.nan
    assert tried.choose(0.0, values, 1e-6)[0] == 0.01


def test_a_variable_that_hardly_matters_is_flat_and_gets_longer_steps():
    def fun(points):
        return points[:, 0] ** 2 + 1e-10 * points[:, 1] ** 2

    x = np.array([1.0, 1.0])
    tried = ladder(x)
    flat = tried.is_flat(1.0, fun(tried.points), 1e-6)
    np.testing.assert_array_equal(flat, [False, True])
    far = ladder(x, rungs=LONG_RUNGS, wanted=flat)
    assert (far.points[:, 0] == 1.0).all()
    assert len(far.points) == 2 * len(LONG_RUNGS)
    assert far.choose(1.0, fun(far.points), 1e-6)[1] > 1e2


def test_second_differences_are_those_of_the_function():
    x = np.array([1.0, 2.0])
    tried = ladder(x, np.array([-INF, 2.0]), np.array([INF, 2.0]))
    bent = tried.second_differences(5.0, (tried.points**2).sum(axis=1))
    np.testing.assert_allclose(bent[:, 0], [2 * s[0] ** 2 for s in tried.steps], rtol=1e-4)
    assert np.isnan(bent[:, 1]).all()


def test_units_show_well_and_no_more():
    steps = np.array([[1.0, 1.0], [0.1, 0.1], [0.01, 0.01]])
    chosen = units(steps, np.array([[4.0, 1e-4], [0.04, 1e-6], [4e-4, 1e-8]]), sigma=1e-4)
    # 4 h^2 = 30 sigma; and none shows.
    np.testing.assert_allclose(chosen, [np.sqrt(30e-4 / 4), 1.0])


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
@FEW
def test_a_survey_of_a_quadratic_is_exact_along_any_moves(n, seed):
    rng = np.random.default_rng(seed)
    a, b, x = rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=n)
    h, moves = a + a.T, rng.normal(size=(n, n))

    def fun(point):
        return point @ h @ point / 2 + b @ point

    looked = neighborhood(x, moves, None, None)
    gradient, hessian = looked.fold(fun(x), np.array([fun(point) for point in looked.points]))
    np.testing.assert_allclose(gradient, moves @ (h @ x + b), atol=1e-10)
    np.testing.assert_allclose(hessian, moves @ h @ moves.T, atol=1e-10)


def test_a_saddle_point_is_seen_for_what_it_is():
    def fun(points):
        a, b = points.T
        return 50 * (a + b) ** 2 - 1e-2 * (a - b) ** 2

    x, sigma, rng = np.zeros(2), 1e-5, np.random.default_rng(1)
    looked = neighborhood(x, 1e-2 * np.eye(2), None, None)
    told = looked.fold(0.0, fun(looked.points) + sigma * rng.normal(size=len(looked.points)))
    ahead = continuation(x, looked, *told, None, None)
    best = ahead.better(0.0, fun(ahead.points), sigma)
    assert fun(ahead.points[[best]]) < -1e-3


def test_a_saddle_point_next_to_a_bound_is_seen_from_inside():
    def fun(points):
        a, b = points.T
        return 50 * (a + b) ** 2 - 1e-2 * (a - b) ** 2

    sigma, rng, upper = 1e-5, np.random.default_rng(1), np.array([0.0, INF])
    for distance in (0.0, 1e-9, 1e-3):
        x = np.array([-distance, distance])
        bounds, f0 = (np.full(2, -INF), upper), float(fun(x[np.newaxis])[0])
        looked = neighborhood(x, 1e-2 * np.eye(2), *bounds)
        assert (looked.points <= upper).all()
        told = looked.fold(f0, fun(looked.points) + sigma * rng.normal(size=len(looked.points)))
        ahead = continuation(x, looked, *told, *bounds)
        best = ahead.better(f0, fun(ahead.points), sigma)
        assert fun(ahead.points[[best]]) < -1e-3


def test_the_bottom_of_a_bowl_has_nothing_better():
    def fun(points):
        return (points**2).sum(axis=1)

    x, sigma, rng = np.zeros(3), 1e-6, np.random.default_rng(1)
    looked = neighborhood(x, 1e-2 * np.eye(3), None, None)
    told = looked.fold(0.0, fun(looked.points) + sigma * rng.normal(size=len(looked.points)))
    ahead = continuation(x, looked, *told, None, None)
    values = fun(ahead.points) + sigma * rng.normal(size=len(ahead.points))
    assert ahead.better(0.0, values, sigma) is None
    assert not ahead.is_flat(0.0, values, sigma)
