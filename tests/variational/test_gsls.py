import inspect
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers import GSLS, OptionError, StopReason, TellData, vectorized
from optimizers.problem.problem import Problem
from optimizers.variational.gsls import Sphere


def bowl(x):
    return float(np.sum((x - 1) ** 2))


def waves_of(optimizer, x0, fun=bowl, **settings):
    """Return the waves of a run, each an array of points, and its result."""
    waves = []

    @vectorized
    def recording(points):
        waves.append(points.copy())
        return np.array([fun(point) for point in points])

    result = optimizer.minimize(recording, x0, **settings)
    return waves, result


@pytest.mark.parametrize(("factor", "size"), [(1, 3), (2, 6), (0.5, 2), (0.1, 1), (1.7, 5)])
def test_an_iteration_is_a_wave_of_samples_and_a_candidate(factor, size):
    optimizer = GSLS(maxiter=4, sample_size_factor=factor)
    waves, result = waves_of(optimizer, [3.0, 4.0, 5.0], seed=1)
    assert [len(wave) for wave in waves] == [1 + size, 1, *[size, 1] * 3]
    assert result.nfev == 1 + 4 * (size + 1)
    assert result.nit == 4


def test_samples_are_on_the_sphere():
    waves, _ = waves_of(GSLS(maxiter=1, sampling_radius=0.25), [3.0, 4.0, 5.0], seed=1)
    distances = np.linalg.norm(waves[0][1:] - [3.0, 4.0, 5.0], axis=1)
    assert distances == pytest.approx([0.25] * 3, rel=1e-12)


def test_the_estimate_has_the_gradient_as_its_mean_and_the_variance_that_is_known():
    # For a linear function with gradient g, N samples err by (n - 1) |g|^2 / N in the mean square.
    n, size, runs = 5, 10, 2000
    g = np.arange(1.0, n + 1)
    sphere = Sphere(Problem(bowl, np.zeros(n)), 0.1, 50)
    estimates = []
    for seed in range(runs):
        directions = sphere.directions(np.zeros(n), size, np.random.default_rng(seed))
        estimates.append(sphere.gradient(directions, 0.1 * directions @ g))
    errors = np.array(estimates) - g
    square = (errors**2).sum(axis=1)
    expected = (n - 1) * (g @ g) / size
    # 2000 squares, whose standard deviation is below their mean: 5 standard errors are 0.11 of it.
    assert square.mean() == pytest.approx(expected, rel=0.11)
    # The mean of 2000 errs by the square root of that over 2000 in each direction, at most.
    assert np.linalg.norm(errors.mean(axis=0)) < 5 * np.sqrt(expected / runs)


def test_the_step_is_that_of_the_estimate_and_failed_samples_stay():
    # The values are told by hand: each candidate is refused, so samples are added to samples.
    radius, x, alpha = 0.5, np.array([1.0, 2.0]), 0.01
    directions, values = np.empty((0, 2)), np.empty(0)
    rng = np.random.default_rng(3)
    with GSLS(maxiter=3, sampling_radius=radius).stepper(x, seed=8) as stepper:
        for k in range(3):
            ask = stepper.ask()
            told = rng.normal(size=2)
            # The first samples come with the start.
            stepper.tell(ask, TellData(told if k else [10.0, *told]))
            directions = np.concatenate([directions, (ask.x_fun[-2:] - x) / radius])
            values = np.concatenate([values, told])
            g = 2 / len(values) * ((values - 10.0) / radius) @ directions
            ask = stepper.ask()
            assert ask.x_fun[0] == pytest.approx(x - alpha * g, rel=1e-12)
            promised = 0.1 * alpha * float(g @ g)
            stepper.tell(ask, TellData([np.nextafter(10.0 - 0.99 * promised, 11.0)]))
            alpha *= 0.4
        result = stepper.result()
    assert np.array_equal(result.x, x)
    assert (result.fun, result.stop) == (10.0, StopReason.MAXITER)


def test_a_step_that_is_taken_lengthens_the_next_and_forgets_the_samples():
    waves, result = waves_of(GSLS(maxiter=2, sampling_radius=1e-3), [3.0, 4.0], seed=1)
    first, candidate, again, last = waves
    center, samples = first[:1], first[1:]
    g = 1e3 * (np.array([bowl(x) for x in samples]) - bowl(center[0]))
    g = g @ (samples - center) / 1e-3
    assert candidate[0] == pytest.approx(center[0] - 0.01 * g, rel=1e-9)
    g = 1e3 * (np.array([bowl(x) for x in again]) - bowl(candidate[0]))
    g = g @ (again - candidate) / 1e-3
    assert last[0] == pytest.approx(candidate[0] - 0.01 / 0.8 * g, rel=1e-9)
    assert np.array_equal(result.x, last[0])


def test_it_comes_to_the_minimum_of_a_quadratic():
    for seed in range(10):
        result = GSLS().minimize(bowl, [3.0, -4.0, 0.5], seed=seed)
        assert result.success
        # The estimate errs by about the radius, 1e-6; 1e-4 in x is far from that.
        assert result.x == pytest.approx([1.0] * 3, abs=1e-4)


@pytest.mark.parametrize("maxfun", range(1, 12))
def test_the_budget_is_hard(maxfun):
    for optimizer in (GSLS(max_eval=maxfun), GSLS(maxfun=maxfun), GSLS(50, maxfun, maxfun=90)):
        waves, result = waves_of(optimizer, [3.0, 4.0, 5.0], seed=1)
        assert sum(map(len, waves)) == result.nfev == maxfun
        assert result.stop is StopReason.MAXFUN
        assert result.fun == min(bowl(x) for wave in waves for x in wave)


# Bounds may be as far away as numbers go.
sides = [st.one_of(st.none(), st.floats(-3, 3), st.just(far)) for far in (-1e308, 1e308)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(*sides), min_size=3, max_size=3), st.floats(1e-9, 4.0), st.integers(0, 3))
def test_all_points_are_within_the_bounds(pairs, radius, attempts):
    bounds = [
        (high, low) if low is not None and high is not None and low > high else (low, high)
        for low, high in pairs
    ]
    low = np.array([-np.inf if a is None else a for a, _ in bounds])
    high = np.array([np.inf if b is None else b for _, b in bounds])
    x0 = np.clip([0.5, -0.5, 2.0], low, high)
    optimizer = GSLS(
        maxiter=30, sampling_radius=radius, max_failed_rejection_sampling=attempts, maxfun=100
    )
    waves, result = waves_of(optimizer, x0, bounds=bounds, seed=2)
    for wave in waves:
        assert (wave >= low).all()
        assert (wave <= high).all()
    assert bowl(result.x) <= bowl(x0)


def test_a_fixed_variable_takes_no_part():
    bounds = [(None, None), (2.0, 2.0), (0.0, None)]
    waves, result = waves_of(GSLS(), [3.0, 2.0, 0.5], bounds=bounds, seed=1)
    assert len(waves[0]) == 1 + 2
    assert all((wave[:, 1] == 2.0).all() for wave in waves)
    assert result.x == pytest.approx([1.0, 2.0, 1.0], abs=1e-4)
    # The estimate is that of the two variables alone.
    sphere = Sphere(Problem(bowl, np.zeros(2), None, np.zeros(2), np.array([0.0, 1.0])), 0.1, 5)
    directions = sphere.directions(np.zeros(2), 7, np.random.default_rng(1))
    assert np.array_equal(directions, [[0.0, 1.0]] * 7)
    assert sphere.gradient(directions, 0.1 * directions @ [5.0, 3.0]) == pytest.approx([0.0, 3.0])


def test_a_corner_is_come_to_and_left():
    corner = [(2.0, None), (2.0, None), (2.0, None)]
    result = GSLS().minimize(bowl, [3.0, 2.5, 2.0], bounds=corner, seed=1)
    assert result.x.tolist() == [2.0, 2.0, 2.0]
    # Of five variables in a corner one direction in 32 leads inside: they are flipped.
    ways = [(0.0, None)] * 5
    result = GSLS(max_failed_rejection_sampling=1).minimize(bowl, [0.0] * 5, bounds=ways, seed=1)
    assert result.x == pytest.approx([1.0] * 5, abs=1e-4)


def test_less_room_than_the_radius_is_room_enough():
    bounds = [(0.0, 1e-3), (None, None)]
    waves, result = waves_of(GSLS(sampling_radius=0.01), [5e-4, 0.0], bounds=bounds, seed=1)
    assert all((wave[:, 0] >= 0).all() and (wave[:, 0] <= 1e-3).all() for wave in waves)
    # Samples so far away see the curvature: the estimate errs by about the radius.
    assert result.x == pytest.approx([1e-3, 1.0], abs=0.02)


def test_samples_that_are_rounded_to_their_centre_are_no_convergence():
    result = GSLS().minimize(bowl, [1e12, 1e12], seed=1)
    assert (result.success, result.stop, result.nfev) == (False, StopReason.NO_PROGRESS, 1)
    assert "rounded to x itself" in result.message


def test_samples_that_are_rejected_are_left_out_of_the_estimate():
    def walled(x):
        return np.nan if x[0] > 3.0 else float(x @ x)  # the start is on the wall

    optimizer = GSLS(maxiter=1, sampling_radius=1e-3, sample_size_factor=6)
    waves, result = waves_of(optimizer, [3.0, 4.0], walled, seed=1, on_failure="reject")
    first, candidate = waves[:2]
    center, samples = first[:1], first[1:]
    known = samples[samples[:, 0] <= 3.0]
    assert 0 < len(known) < len(samples) == 12
    differences = np.array([walled(x) for x in known]) - 25.0
    g = 2 / len(known) * differences / 1e-3 @ ((known - center) / 1e-3)
    assert candidate[0] == pytest.approx(center[0] - 0.01 * g, rel=1e-9)
    assert result.nrejected >= len(samples) - len(known)


def test_a_wave_that_is_rejected_as_a_whole_is_a_step_that_failed():
    calls = []

    def first_only(x):
        calls.append(x)
        return 1.0 if len(calls) == 1 else np.nan

    result = GSLS(maxiter=2).minimize(first_only, [1.0, 2.0], seed=1, on_failure="reject")
    assert (result.fun, result.success) == (1.0, False)
    assert result.x.tolist() == [1.0, 2.0]


def test_a_start_that_is_rejected_gives_way_to_the_best_sample():
    def but_the_start(x):
        return np.nan if x.tolist() == [3.0, 4.0, 5.0] else bowl(x)

    options = {"seed": 1, "on_failure": "reject"}
    waves, _ = waves_of(GSLS(maxiter=50), [3.0, 4.0, 5.0], **options)
    other = GSLS(maxiter=50).minimize(but_the_start, [3.0, 4.0, 5.0], **options)
    assert np.isfinite(other.fun)
    assert other.fun < min(bowl(x) for x in waves[0])


def test_a_seed_is_a_run():
    with ThreadPoolExecutor(4) as pool:
        optimizer = GSLS(maxiter=30, seed=9)
        first = optimizer.minimize(bowl, [3.0, 4.0])
        for other in (
            optimizer.minimize(bowl, [3.0, 4.0]),
            optimizer.minimize(bowl, [3.0, 4.0], workers=pool),
            optimizer.minimize(vectorized(lambda xs: [bowl(x) for x in xs]), [3.0, 4.0]),
        ):
            assert np.array_equal(first.x, other.x)
            assert first.nfev == other.nfev
    assert not np.array_equal(first.x, optimizer.minimize(bowl, [3.0, 4.0], seed=10).x)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampling_radius", 0.0),
        ("sample_size_factor", 0),
        ("initial_step_size", -1.0),
        ("step_size_multiplier", 1.0),
        ("armijo_parameter", 0.0),
        ("min_step_size", -1e-3),
        ("min_gradient_norm", "small"),
        ("max_failed_rejection_sampling", 1.5),
        ("max_eval", 0),
        ("maxiter", None),
    ],
)
def test_what_cannot_be_used_is_an_error_at_once(name, value):
    with pytest.raises(OptionError, match=name):
        GSLS(**{name: value})


def test_disp_prints_how_it_ended(capsys):
    GSLS(maxiter=2, disp=True).minimize(bowl, [3.0, 4.0], seed=1)
    assert "GSLS: The budget of iterations is used up." in capsys.readouterr().out


class TestAgainstQiskit:
    @pytest.fixture
    def theirs(self):
        reason = "needs the extra: qiskit"
        return pytest.importorskip("qiskit_algorithms.optimizers", reason=reason).GSLS

    def test_the_constructor_is_the_same(self, theirs):
        def arguments(cls):
            parameters = list(inspect.signature(cls.__init__).parameters.values())
            return [(p.name, p.default) for p in parameters if p.name != "settings"]

        assert arguments(GSLS) == arguments(theirs)
        assert theirs().settings.items() <= GSLS().settings.items()

    def test_the_samples_are_the_same_and_the_end_is_nearer(self, theirs):
        from qiskit_algorithms.utils import algorithm_globals

        points = []

        def recording(x):
            points.append(np.array(x))
            return bowl(x)

        algorithm_globals.random_seed = 4
        stalled = theirs().minimize(recording, np.array([3.0, 4.0, 5.0]))
        waves, result = waves_of(GSLS(seed=4), [3.0, 4.0, 5.0])
        assert np.array_equal(np.concatenate(waves)[:5], points[:5])
        # Theirs asks for a decrease by the norm and not its square: with a gradient below the
        # Armijo parameter, 0.1, no step is accepted. That is at (0.1 / 2)**2 / 2 about.
        assert stalled.fun > 1e-4
        assert result.fun < 1e-8
