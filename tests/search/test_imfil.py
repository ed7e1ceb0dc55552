import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import ImFil, StopReason, find, vectorized, with_errors


def bowl(x):
    return float(np.sum((x - [1.0, -2.0]) ** 2))


def waves_of(optimizer, fun, x0, **settings):
    waves = []

    @vectorized
    def recording(points):
        waves.append(points.copy())
        return np.array([fun(point) for point in points])

    return waves, optimizer.minimize(recording, x0, **settings)


def test_a_quadratic_is_found_exactly_since_central_differences_are_exact():
    result = ImFil().minimize(bowl, [3.0, 3.0], bounds=[(-5, 5), (-5, 5)])
    assert result.stop is StopReason.STEP
    assert result.x == pytest.approx([1, -2], abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_ripples_with_many_local_minima_are_filtered_out(seed):
    def rippled(x):  # slopes of the ripples are up to 20, those of the bowl at most 12
        return bowl(x) + 0.1 * float(np.sum(1 - np.cos(200 * (x - [1.0, -2.0]))))

    start = np.random.default_rng(seed).uniform(-5, 5, 2)
    result = ImFil().minimize(rippled, start, bounds=[(-5, 5), (-5, 5)])
    assert np.abs(result.x - [1, -2]).max() < 0.3


def test_the_minimum_on_bounds_is_found_and_no_point_leaves_them():
    box = np.array([(-1.5, 0.5), (-1.0, 3.0), (2.0, 2.0)])
    fun = lambda x: rosen(x[:2]) + x[2]  # noqa: E731  # the minimum within is (0.5, 0.25)
    waves, result = waves_of(ImFil(), fun, [-1.0, 2.0, 2.0], bounds=box)
    points = np.concatenate(waves)
    assert ((points >= box[:, 0]) & (points <= box[:, 1])).all()
    assert result.x == pytest.approx([0.5, 0.25, 2.0], abs=1e-3)


def test_an_iteration_is_a_stencil_and_four_trials():
    waves, _ = waves_of(ImFil(), bowl, [3.0, 3.0], bounds=[(-5, 5), (-5, 5)])
    x = waves[0][0]
    around = x + 5.0 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])  # half of the width
    inside = around[(np.abs(around) <= 5).all(axis=1)]
    assert waves[0] == pytest.approx(np.array([x, *inside]))
    assert all(len(wave) <= 5 for wave in waves)
    assert max(len(np.unique(wave, axis=0)) for wave in waves[1::2]) == 4


@pytest.mark.parametrize("budget", [1, 7, 23])
def test_both_limits_of_points_are_hard(budget):
    for limits in ({"maxiter": budget}, {"maxfun": budget}):
        result = ImFil(**limits).minimize(rosen, [-1.2, 1.0], bounds=[(-2, 2)] * 2)
        assert (result.nfev, result.stop) == (budget, StopReason.MAXFUN)


@pytest.mark.parametrize("how", ["errors", "told", "measured"])
def test_steps_that_show_only_noise_end_the_run(how):
    rng = np.random.default_rng(1)

    def measured(x):
        value = bowl(x) + 0.01 * rng.normal()
        return (value, 0.01) if how == "errors" else value

    told = {"noise": 0.01} if how == "told" else {}
    result = ImFil(**told).minimize(measured, [3.0, 3.0], bounds=[(-5, 5), (-5, 5)])
    assert (result.stop, result.success) == (StopReason.NOISE, True)
    assert np.abs(result.x - [1, -2]).max() < 0.5
    noisy = with_errors(lambda x: (0.01 * rng.normal(), 0.01))
    flat = ImFil().minimize(noisy, [0.0], bounds=[(-1, 1)])
    assert (flat.stop, flat.success) == (StopReason.NOISE, False)


@pytest.mark.parametrize("size", [1e-150, 1e-6, 1e5, 1e150])
def test_the_path_does_not_depend_on_the_size_of_the_values(size):
    plain = ImFil().minimize(rosen, [-1.2, 1.0], bounds=[(-2, 2)] * 2)
    times = ImFil().minimize(lambda x: size * rosen(x), [-1.2, 1.0], bounds=[(-2, 2)] * 2)
    assert times.x == pytest.approx(plain.x, abs=1e-3)


def test_a_start_at_infinity_is_left():
    result = ImFil().minimize(lambda x: bowl(x) if x[0] < 3 else np.inf, [3.5, 0.0])
    assert result.x == pytest.approx([1, -2], abs=1e-6)


def test_failed_points_have_no_part_in_the_slope():
    def fun(x):
        return np.nan if x[0] > 2.5 else bowl(x)

    result = ImFil(on_failure="reject").minimize(fun, [2.4, 3.0], bounds=[(-5, 5), (-5, 5)])
    assert result.x == pytest.approx([1, -2], abs=1e-6)


def test_qiskits_name_finds_it():
    assert find("IMFIL") is ImFil
