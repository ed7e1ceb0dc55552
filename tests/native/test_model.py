"""The quadratic model: as the textbook's dense matrices have it."""

import numpy as np
import pytest

from optimizers.native import cauchy, hessian as hessian_module
from optimizers.native.arrays import Arrays
from optimizers.native.bounded import Bounded
from optimizers.native.cauchy import Way, cauchy_point
from optimizers.native.hessian import Hessian
from optimizers.native.memory import Memory, Pair
from optimizers.native.subspace import subspace_minimum
from optimizers.native.unbounded import Unbounded
from tests.native.driving import pairs_of

N = 7


def updated_hessian(steps, changes):
    """Return the BFGS matrix B, by updates of the dense one."""
    n = steps.shape[1]
    matrix = np.eye(n) * (changes[-1] @ changes[-1]) / (changes[-1] @ steps[-1])
    for s, y in zip(steps, changes, strict=True):
        b = matrix @ s
        matrix = matrix - np.outer(b, b) / (s @ b) + np.outer(y, y) / (s @ y)
    return matrix


def as_pair(s, y, g):
    """Return the pair that ends at the gradient ``g``, as a step of 0.5."""
    return Pair(2.0 * s, 0.5, g - y, float(s @ y))


@pytest.mark.parametrize("dtype", [None, np.dtype(np.float32)])
@pytest.mark.parametrize("count", [1, 3, 4, 9])
@pytest.mark.parametrize("m", [1, 4])
def test_a_direction_without_bounds_is_that_of_the_dense_matrix(m, count, dtype) -> None:
    steps, changes, _ = pairs_of(N, count, seed=count)
    model, g = Unbounded(np.zeros(N), m, dtype), np.ones(N)
    for s, y in zip(steps, changes, strict=True):
        pair = as_pair(s, y, g + y)
        pair = pair._replace(gradient=g)  # the last direction was at this very gradient
        model.direction(np.zeros(N), g)
        g = g + y
        model.learn(g, pair)
    x = np.arange(float(N))
    found = model.direction(x, g)
    expected = -np.linalg.solve(updated_hessian(steps[-m:], changes[-m:]), g)
    tolerance = 1e-9 if dtype is None else 1e-4
    assert found.along == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert found.end == pytest.approx(x + found.along, rel=1e-12)
    assert found.slope == pytest.approx(found.along @ g, rel=1e-12)


def taught(steps, changes, m, free=None, dtype=None):
    """Return a model that learned pairs; ``free`` are the free variables before each, and after."""
    model = Hessian(Arrays(np.zeros(N), 3), m, dtype)
    for i, (s, y) in enumerate(zip(steps, changes, strict=True)):
        if free is not None:
            model.free(free[i])
        model.learn(y, as_pair(s, y, y), np.zeros(N))
    model.update()
    return model


def rows_of(model):
    """Return W' as a dense matrix."""
    return model.columns(np.arange(N))


@pytest.mark.parametrize("count", [1, 4, 9])
@pytest.mark.parametrize("m", [1, 4])
def test_the_compact_form_is_the_dense_matrix(m: int, count: int) -> None:
    steps, changes, _ = pairs_of(N, count, seed=count)
    model = taught(steps, changes, m)
    w = rows_of(model)
    found = model.scale * np.eye(N) - w.T @ model.middle @ w
    assert found == pytest.approx(updated_hessian(steps[-m:], changes[-m:]), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("chunk", [2, 4096])
def test_the_split_by_free_variables_is_kept(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hessian_module, "CHUNK", chunk)
    steps, changes, _ = pairs_of(N, 9, seed=3)
    free = np.random.default_rng(0).random((10, N)) < 0.5
    model = taught(steps, changes, 4, free)
    model.free(free[9])
    s, y, f = steps[-4:], changes[-4:], free[9]
    expected = (s @ s.T, np.tril(s @ y.T, -1), (y * f) @ y.T, (s * f) @ y.T, (s * ~f) @ s.T)
    for found, wanted in zip(model.parts, expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def along_the_path(matrix, x, g, lower, upper):
    """Return the first minimum of the model along the projected path, segment by segment."""
    t, z = 0.0, np.zeros(N)
    room = np.where(g > 0, x - lower, upper - x)
    ends = np.where(g == 0, np.inf, room / np.maximum(np.abs(g), 1e-300))
    for end in [*np.unique(ends[ends > 0]), np.inf]:
        d = np.where(ends > t, -g, 0.0)
        slope, curvature = g @ d + d @ matrix @ z, d @ matrix @ d
        if slope >= 0:
            return z, ends > t
        if t - slope / curvature <= end:
            return z - slope / curvature * d, ends > t
        z, t = z + (end - t) * d, end
    raise AssertionError


@pytest.mark.parametrize("chunk", [1, 3, 4096])
@pytest.mark.parametrize("seed", range(30))
def test_cauchy_point_and_subspace_minimum_are_those_of_the_dense_model(
    seed: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cauchy, "CHUNK", chunk)
    rng = np.random.default_rng(seed)
    steps, changes, _ = pairs_of(N, 1 + seed % 5, seed)
    model = taught(steps, changes, 4)
    matrix = updated_hessian(steps[-4:], changes[-4:])
    lower, upper = -rng.uniform(0, 0.3, N), rng.uniform(0, 0.3, N)
    if seed % 3 == 0:  # several meet their bounds at once
        lower[:], upper[:] = -0.1, 0.1
    x, g = np.zeros(N), rng.normal(size=N)
    if seed % 3 == 0:
        g = np.sign(g)
    upper[1] = np.inf
    x[2] = upper[2]
    g[2], g[4] = -1.0, 0.0
    region = Bounded(x, 4, None, lower, upper)
    region.gradient_norm(x, g)
    way = region._way
    assert way is not None
    point = cauchy_point(Arrays(x, 3), model, way, model.products(way.moving))
    z, free = along_the_path(matrix, x, g, lower, upper)
    at_point = np.where(way.breaks > point.step, -point.step * g, z)
    assert np.array_equal(way.breaks > point.step, free | (g == 0))
    assert at_point == pytest.approx(z, rel=1e-9, abs=1e-9)
    assert point.slope == pytest.approx(g @ z, rel=1e-9)

    free = way.breaks > point.step
    model.free(free)
    of_steps, of_changes = subspace_minimum(model, point)
    s, y = steps[-4:], changes[-4:]
    way_of_free = of_steps @ s + of_changes @ y - g / model.scale
    held = np.where(free, 0.0, z)
    f = np.flatnonzero(free)
    expected = np.linalg.solve(matrix[np.ix_(f, f)], -(g + matrix @ held)[f])
    assert way_of_free[f] == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_a_memory_returns_its_pairs_oldest_first() -> None:
    steps, changes, _ = pairs_of(N, 6, seed=0)
    for dtype, tolerance in ((None, 1e-15), (np.dtype(np.float32), 1e-6)):
        memory = Memory(Arrays(np.zeros(N), 3), 4, dtype)
        for s, y in zip(steps, changes, strict=True):
            pair = as_pair(s, y, y)._replace(gradient=np.zeros(N))
            memory.add(pair)
            memory.write(slice(0, N), y, pair)
        found = memory.pairs()
        assert found[0] == pytest.approx(steps[-4:], rel=tolerance)
        assert found[1] == pytest.approx(changes[-4:], rel=tolerance)


def test_no_variable_that_moves_is_a_cauchy_point_at_the_start() -> None:
    model = Hessian(Arrays(np.zeros(N), 3), 4)
    model.update()
    point = cauchy_point(
        Arrays(np.zeros(N), 3), model, Way(np.zeros(N), np.zeros(N), 0.0), np.zeros(0)
    )
    assert (point.step, point.slope) == (0.0, 0.0)
