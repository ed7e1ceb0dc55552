"""The flow of L-BFGS-B: as SciPy's kernel, within the bounds, on arrays of any library."""

import sys

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings, strategies as st

from optimizers.errors import MissingExtraError
from optimizers.native import bounded as bounded_module, hessian as hessian_module
from optimizers.native.lbfgsb import Lbfgsb
from optimizers.problems import all_problems
from optimizers.result import StopReason
from tests.native.driving import run, valley

START = np.tile([-1.2, 1.0], 5)


def quadratic(n: int, seed: int, condition: float = 100.0):
    """Return a convex quadratic function with its gradient."""
    rng = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(rng.normal(size=(n, n)))
    matrix = vectors * condition ** rng.uniform(0, 1, n) @ vectors.T
    target = rng.normal(size=n)

    def both(x):
        way = matrix @ (x - target)
        return 0.5 * float((x - target) @ way), way

    return both


def box_of(bounds):
    """Return bounds as two arrays."""
    pairs = [(-np.inf if a is None else a, np.inf if b is None else b) for a, b in bounds]
    return tuple(np.array(pairs).T.copy())


def projected(x, g, lower, upper) -> float:
    return float(np.max(np.abs(x - np.clip(x - g, lower, upper)), initial=0.0))


@pytest.mark.parametrize("is_bounded", [False, True])
@pytest.mark.parametrize("maxcor", [1, 3, 10])
def test_points_are_those_of_scipy(maxcor: int, is_bounded: bool) -> None:
    lower, upper = np.full(10, -1.5), np.where(np.arange(10) % 2, 0.8, 2.0)
    box = (lower, upper) if is_bounded else ()
    start = np.clip(START, *box) if is_bounded else START
    state, asked = Lbfgsb(start, *box, maxcor=maxcor), []

    def noted(x):
        asked.append(x.copy())
        return valley(x)

    reason, points = run(state, valley)
    raw = scipy.optimize.minimize(
        noted,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(*box, strict=True)) if is_bounded else None,
        options={"maxcor": maxcor, "ftol": 1e7 * np.finfo(float).eps},
    )
    assert reason is StopReason.FUN
    for ours, theirs in zip(points[:20], asked[:20], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    assert state.f == pytest.approx(raw.fun, rel=1e-6, abs=1e-5)
    assert len(points) == pytest.approx(raw.nfev, rel=0.15)


def test_it_solves_the_bundled_problems_as_scipy_does() -> None:
    ours = theirs = 0
    for problem in all_problems():
        box = () if problem.bounds is None else box_of(problem.bounds)
        state = Lbfgsb(np.array(problem.x0, dtype=float), *box)
        _, points = run(state, lambda x, p=problem: (p.fun(x), p.jac(x)))
        raw = scipy.optimize.minimize(
            problem.fun, problem.x0, jac=problem.jac, bounds=problem.bounds, method="L-BFGS-B"
        )
        ours, theirs = ours + len(points), theirs + raw.nfev
        assert state.f <= raw.fun + 1e-4 * max(1.0, abs(raw.fun)), problem.name
    assert ours <= 1.03 * theirs


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_point_leaves_the_bounds_and_the_end_is_a_minimum(data: st.DataObject) -> None:
    n, seed = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    lower, upper = np.sort(rng.normal(size=(2, n)), axis=0)
    kind = rng.integers(0, 5, n)
    lower[kind == 0], upper[kind == 1] = -np.inf, np.inf
    lower[kind == 2], upper[kind == 2] = -np.inf, np.inf
    equal = kind == 3
    lower[equal] = upper[equal] = rng.integers(-1, 2, n)[equal]
    start = np.clip(rng.normal(size=n), lower, upper)
    if data.draw(st.booleans()):
        start = np.clip(np.where(rng.random(n) < 0.5, lower, upper), -5.0, 5.0)
        start = np.clip(start, lower, upper)
    both = quadratic(n, seed, data.draw(st.sampled_from([1.0, 100.0, 1e6])))
    dtype = data.draw(st.sampled_from([None, np.dtype(np.float32)]))
    maxcor = data.draw(st.sampled_from([1, 2, 10]))
    state = Lbfgsb(start, lower, upper, maxcor=maxcor, ftol=0.0, gtol=1e-7, memory_dtype=dtype)
    first = both(start)
    reason, points = run(state, both, 3000)
    for x in points:
        assert (lower <= x).all()
        assert (x <= upper).all()
    assert reason is not StopReason.MAXITER
    assert projected(state.x, state.g, lower, upper) <= 1e-5 * max(1.0, np.abs(first[1]).max())


@pytest.mark.parametrize("block", [3, 8192])
def test_blocks_and_chunks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lower, upper = np.full(50, -2.0), np.where(np.arange(50) % 3, 2.0, 0.7)
    start, both = np.clip(np.linspace(-2, 2, 50), lower, upper), quadratic(50, 1)
    whole = Lbfgsb(start, lower, upper)
    expected = run(whole, both)
    monkeypatch.setattr(bounded_module, "_BLOCK", block)
    monkeypatch.setattr(hessian_module, "CHUNK", 2)
    state = Lbfgsb(start, lower, upper)
    found = run(state, both)
    assert len(found[1]) == len(expected[1])
    assert state.x == pytest.approx(whole.x, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("is_bounded", [False, True])
def test_single_precision_of_the_memory_costs_hardly_more(is_bounded: bool) -> None:
    both = quadratic(200, 2)
    box = (np.full(200, -1.0), np.full(200, 1.0)) if is_bounded else ()
    counts = []
    for dtype in (None, np.dtype(np.float32)):
        state = Lbfgsb(np.zeros(200), *box, gtol=1e-6, ftol=0.0, memory_dtype=dtype)
        reason, points = run(state, both)
        assert reason is StopReason.GRADIENT
        counts.append(len(points))
    assert counts[1] <= 1.2 * counts[0]


def test_a_search_comes_back_from_where_the_objective_is_not_finite() -> None:
    def both(x):
        return (float(np.sum(x - np.log(x))), 1.0 - 1.0 / x) if (x > 0).all() else (np.nan, x)

    for box in ((), (np.full(3, -5.0), np.full(3, 9.0))):
        state = Lbfgsb(np.full(3, 8.0), *box)
        reason, points = run(state, both)
        assert reason in (StopReason.GRADIENT, StopReason.FUN)
        assert state.x == pytest.approx(np.ones(3), abs=1e-3)
        assert any((x <= 0).any() for x in points) or box


@pytest.mark.parametrize("size", [1e-320, 1e-160, 1e-100, 1e100, 1e160, 1e300])
@pytest.mark.parametrize("is_bounded", [False, True])
def test_values_of_any_size_end_without_a_warning(size: float, is_bounded: bool) -> None:
    def both(x):
        with np.errstate(all="ignore"):
            return size * float(x @ x + np.sum(x**4)), size * (2 * x + 4 * x**3)

    box = (np.full(5, -9.0), np.array([9.0, 9.0, 2.0, 2.0, np.inf])) if is_bounded else ()
    state = Lbfgsb(np.arange(-2.0, 3.0).clip(-9, 2), *box, gtol=0.0, ftol=0.0)
    _, points = run(state, both, 200)
    assert state.f <= both(points[0])[0]
    assert all(np.isfinite(x).all() for x in points)


def test_a_wrong_gradient_ends_the_run_where_it_was() -> None:
    state = Lbfgsb(np.ones(3))
    reason, points = run(state, lambda x: (float(x @ x), -x))
    assert reason is StopReason.NO_PROGRESS
    assert np.array_equal(state.x, np.ones(3))
    assert len(points) == 21


def test_limits_and_goals_end_a_run_in_the_order_of_scipy() -> None:
    assert run(Lbfgsb(START), valley, 0)[0] is StopReason.MAXITER
    state = Lbfgsb(START)
    assert run(state, valley, 3)[0] is StopReason.MAXITER
    assert state.iterations == 3
    assert run(Lbfgsb(np.ones(4)), valley)[0] is StopReason.GRADIENT


def run_to(box, iterations: int):
    state = Lbfgsb(START, *box, maxcor=4)
    run(state, valley, iterations)
    return state.x


def test_its_pairs_are_those_of_scipy() -> None:
    for box in ((), (np.full(10, -1.5), np.full(10, 1.5))):
        options = {"maxcor": 4, "maxiter": 9}
        bounds = scipy.optimize.Bounds(*box) if box else None
        raw = scipy.optimize.minimize(
            valley, START, jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        state = Lbfgsb(START, *box, maxcor=4)
        run(state, valley, 9)
        sk, yk = state.pairs()
        # SciPy's has not the last one.
        assert sk[:-1] == pytest.approx(raw.hess_inv.sk[1:], rel=1e-5, abs=1e-8)
        assert yk[:-1] == pytest.approx(raw.hess_inv.yk[1:], rel=1e-5, abs=1e-6)
        assert state.x - sk[-1] - sk[-2] - sk[-3] - sk[-4] == pytest.approx(
            run_to(box, 5), rel=1e-6, abs=1e-8
        )


def test_pairs_that_it_is_taught_are_used_from_the_first_step_on() -> None:
    both, rng = quadratic(4, 5), np.random.default_rng(0)
    x = rng.normal(size=4)
    pairs = []
    for _ in range(4):
        step = rng.normal(size=4)
        pairs.append((step, both(x + step)[1] - both(x)[1]))
    for box in ((), (np.full(4, -9.0), np.full(4, 9.0))):
        state, plain = Lbfgsb(x, *box), Lbfgsb(x, *box)
        state.learn(pairs)
        assert len(run(state, both)[1]) < len(run(plain, both)[1])
        assert state.f == pytest.approx(0.0, abs=1e-8)


def numpys(dtype: str):
    return lambda x: np.asarray(x, dtype=dtype)


def torchs(dtype: str):
    torch = pytest.importorskip("torch")
    return lambda x: torch.asarray(x, dtype=getattr(torch, dtype))


def jaxs(dtype: str):
    jax = pytest.importorskip("jax")
    return lambda x: jax.numpy.asarray(x, dtype=dtype)


@pytest.mark.parametrize("is_bounded", [False, True])
@pytest.mark.parametrize(
    ("library", "dtype"),
    [
        (numpys, "float32"),
        (numpys, "float64"),
        (torchs, "float32"),
        (torchs, "float64"),
        (jaxs, "float32"),  # double precision is a setting of a whole process
    ],
)
def test_arrays_of_any_library_go_the_same_way(library, dtype: str, is_bounded: bool) -> None:
    make = library(dtype)
    lower, upper = np.full(30, -1.0), np.where(np.arange(30) % 2, 0.5, np.inf)
    target, scale = np.linspace(-2, 2, 30), np.linspace(1, 20, 30)
    box = (make(lower), make(upper)) if is_bounded else ()
    goal, weights = make(target), make(scale)

    def both(x):
        way = weights * (x - goal)
        return (x - goal) @ way / 2 + ((x - goal) ** 4).sum(), way + 4 * (x - goal) ** 3

    gtol = 1e-3 if dtype == "float64" else 0.1
    state = Lbfgsb(make(np.zeros(30)), *box, gtol=gtol)
    reason, points = run(state, both)
    assert reason in (StopReason.GRADIENT, StopReason.FUN)
    assert type(points[-1]) is type(goal)
    assert points[-1].dtype == goal.dtype
    expected = np.clip(target, lower, upper) if is_bounded else target
    assert np.asarray(state.x) == pytest.approx(expected, abs=2e-2 if dtype == "float64" else 0.1)
    double = Lbfgsb(np.zeros(30), *((lower, upper) if is_bounded else ()), gtol=gtol)
    weights, goal = scale, target
    assert len(points) == pytest.approx(len(run(double, both)[1]), abs=3)
    sk, yk = state.pairs()
    assert sk.dtype == np.float64
    assert sk.shape == yk.shape


def test_numpy_needs_no_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    assert run(Lbfgsb(START), valley)[0] is StopReason.FUN
    with pytest.raises(MissingExtraError, match="pip install array-api-compat"):
        Lbfgsb(torch.zeros(3))
