import numpy as np
import pytest
from scipy.optimize import rosen, rosen_hess

from optimizers import StopReason, WaveNewton, minimize, vectorized
from optimizers.search.stencil import Stencil

MATRIX = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 2.0]])


def quadratic(x):
    return float(x @ MATRIX @ x / 2 - x.sum())


def waves_of(optimizer, fun, x0, **settings):
    waves = []

    @vectorized
    def recording(points):
        waves.append(points.copy())
        return np.array([fun(point) for point in points])

    return waves, optimizer.minimize(recording, x0, **settings)


@pytest.mark.parametrize(("n", "most"), [(8, 26), (16, 40)])
def test_the_waves_on_rosenbrocks_function_are_few(n, most):
    waves, result = waves_of(WaveNewton(), rosen, np.zeros(n))
    assert result.success
    assert result.fun < 1e-9
    assert len(waves) <= most


@pytest.mark.parametrize("speculate", [0, 1, 2])
def test_a_wave_contains_the_trial_points_and_whole_models(speculate):
    waves, _ = waves_of(WaveNewton(speculate=speculate, maxiter=1), rosen, np.zeros(4))
    model = 2 * 4 + 4 * 3 // 2
    assert len(waves[0]) == 1 + model
    assert 1 <= len(waves[1]) - speculate * model <= 11
    assert [len(wave) for wave in waves[2:]] in ([], [model])
    assert len(waves) == 3 or speculate


def test_a_quadratic_takes_one_iteration():
    result = WaveNewton().minimize(quadratic, [3.0, -2.0, 0.5])
    assert (result.success, result.nit) == (True, 1)
    assert result.x == pytest.approx(np.linalg.solve(MATRIX, np.ones(3)), abs=1e-7)
    assert result.hess == pytest.approx(MATRIX, abs=1e-5)


def test_the_hessian_is_that_at_the_end():
    result = WaveNewton().minimize(rosen, [0.5, 0.5, 0.5])
    assert result.hess == pytest.approx(rosen_hess(result.x), rel=1e-2, abs=1.0)


def test_no_point_leaves_the_bounds_and_a_fixed_variable_stays():
    box = np.array([(-1.5, 0.5), (-1.0, 3.0), (2.0, 2.0), (0.0, 1e-9)])
    waves, result = waves_of(
        WaveNewton(), lambda x: rosen(x[:2]) + x[2] - x[3], [-1.5, 2.0, 2.0, 0.0], bounds=box
    )
    points = np.concatenate(waves)
    assert ((points >= box[:, 0]) & (points <= box[:, 1])).all()
    assert result.success
    assert result.x == pytest.approx([0.5, 0.25, 2.0, 1e-9], abs=1e-6)
    assert not result.hess[2].any()
    assert not result.hess[:, 2].any()


def test_a_maximum_between_bounds_is_left_by_its_curvature():
    result = WaveNewton().minimize(lambda x: -float(x @ x), [0.0, 0.0], bounds=[(-1, 2), (-1, 1)])
    assert result.fun == pytest.approx(-5.0)


def test_infinite_values_are_gone_around():
    def fun(x):
        return np.inf if x[0] < 0.5 else 10 * (x[0] - 1) ** 2 + x[1] ** 4 + x[0] * x[1]

    result = WaveNewton().minimize(fun, [3.0, 4.0])
    slopes = [20 * (result.x[0] - 1) + result.x[1], 4 * result.x[1] ** 3 + result.x[0]]
    assert slopes == pytest.approx([0, 0], abs=1e-4)


def test_without_values_around_the_start_there_is_no_progress():
    result = WaveNewton().minimize(lambda x: 1.0 if (x == 1).all() else np.inf, [1.0, 1.0])
    assert (result.stop, result.fun) == (StopReason.NO_PROGRESS, 1.0)


@pytest.mark.parametrize("size", [1e-150, 1e-10, 1e10, 1e150])
def test_the_size_of_values_does_not_matter(size):
    plain = WaveNewton().minimize(rosen, [-1.2, 1.0])
    times = WaveNewton().minimize(lambda x: size * rosen(x), [-1.2, 1.0])
    assert times.x == pytest.approx(plain.x, abs=1e-4)
    assert times.success


def test_a_maximum_has_the_hessian_of_the_objective():
    result = minimize(lambda x: -quadratic(x), np.zeros(3), method="WaveNewton", maximize=True)
    assert result.fun == pytest.approx(np.linalg.solve(MATRIX, np.ones(3)).sum() / 2)


def test_the_model_is_exact_for_quadratics_at_a_bound_too():
    high = np.array([1.0, np.inf, 2.0])
    point = np.array([1.0, 5.0, 2.0 - 1e-3])
    stencil = Stencil(point, np.full(3, 0.1), np.full(3, -np.inf), high)
    values = np.array([quadratic(x) for x in stencil.points])
    model = stencil.fit(quadratic(point), values)
    assert model.gradient == pytest.approx(MATRIX @ point - 1, abs=1e-9)
    assert model.hessian == pytest.approx(MATRIX, abs=1e-9)
    assert (stencil.points <= high).all()


def test_a_side_without_values_is_replaced_by_the_other():
    stencil = Stencil(np.zeros(2), np.full(2, 0.5), np.full(2, -np.inf), np.full(2, np.inf))
    values = np.array([3 * x[0] - 2 * x[1] for x in stencil.points])
    values[0] = np.nan
    model = stencil.fit(0.0, values)
    assert model.gradient == pytest.approx([3, -2])
    assert not model.hessian.any()
    values[2] = np.nan
    assert stencil.fit(0.0, values) is None
