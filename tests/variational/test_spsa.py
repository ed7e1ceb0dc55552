import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from optimizers import SPSA, OptimizerWarning, OptionError, StopReason, vectorized
from optimizers.problem.problem import Problem
from optimizers.problems import h2
from optimizers.variational.perturbations import Probes

RATES = {"learning_rate": 0.1, "perturbation": 0.1}
X0 = [0.5, -1.0, 2.0]


def bowl(x):
    return float(np.sum(np.asarray(x) ** 2))


class Waves:
    """A vectorized objective that knows the sizes of its waves."""

    def __init__(self, fun=bowl):
        self.sizes, self.fun, self.points = [], fun, []

    @vectorized
    def __call__(self, points):
        self.sizes.append(len(points))
        self.points += list(points.copy())
        return np.array([self.fun(x) for x in points])


# Waves and points.


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, [50, 2, 2, 2, 1]),
        (RATES, [2, 2, 2, 1]),
        ({"resamplings": 4}, [50, 8, 8, 8, 1]),
        ({"resamplings": {2: 3}}, [50, 2, 6, 2, 1]),
        ({"second_order": True}, [50, 4, 4, 4, 1]),
        ({"second_order": True, "resamplings": 2, **RATES}, [8, 8, 8, 1]),
        ({"blocking": True}, [76, 2, 1, 2, 1, 2, 1]),
        ({"blocking": True, "allowed_increase": 1.0}, [51, 2, 1, 2, 1, 2, 1]),
        ({"blocking": True, **RATES}, [26, 2, 1, 2, 1, 2, 1]),
        ({"blocking": True, "allowed_increase": 1.0, **RATES}, [1, 2, 1, 2, 1, 2, 1]),
        ({"last_avg": 2, **RATES}, [2, 2, 2, 1]),
        ({"callback": lambda nfev, x, fun, stepsize, accepted: None}, [50, 2, 1, 2, 1, 2, 1]),
        ({"callback": lambda xk: None}, [50, 2, 2, 2, 1]),
        ({"maxiter": 0}, [1]),
    ],
)
def test_what_does_not_wait_for_each_other_is_one_wave(options, sizes):
    fun = Waves()
    result = SPSA(**{"maxiter": 3, **options}).minimize(fun, X0, seed=1)
    assert fun.sizes == sizes
    assert result.nfev == sum(sizes)
    assert result.stop is StopReason.MAXITER
    assert result.nit == (3 if len(sizes) > 1 else 0)
    assert result.fun == bowl(result.x)


@pytest.mark.parametrize(
    "options",
    [{}, {"blocking": True, "resamplings": 3}, {"second_order": True, "perturbation_dims": 2}],
)
def test_the_same_seed_gives_the_same_run_whoever_evaluates(options):
    optimizer = SPSA(maxiter=15, seed=11, **options)
    serial = optimizer.minimize(bowl, X0)
    assert np.array_equal(optimizer.minimize(Waves(), X0).x, serial.x)
    with ThreadPoolExecutor(4) as pool:
        parallel = optimizer.minimize(bowl, X0, workers=pool)
    assert np.array_equal(parallel.x, serial.x)
    assert parallel.nfev == serial.nfev
    assert not np.array_equal(optimizer.minimize(bowl, X0, seed=12).x, serial.x)


# What is published of it.


@pytest.mark.parametrize(("alpha", "gamma"), [(0.602, 0.101), (1.0, 1 / 6)])
def test_errors_on_a_noisy_quadratic_fall_as_published(alpha, gamma):
    # On f = curvature |x|^2 / 2 with noise sigma the mean of |x_k|^2 obeys an exact recursion, for
    # the signs' squares are 1: see below. Spall (1992) says that it falls as k^-(alpha - 2 gamma).
    n, runs, last, curvature, sigma, a, c = 10, 25, 300, 1.0, 0.1, 0.8, 0.5
    expected = [0.0]
    for k in range(1, 200_000):
        rate, size = a / k**alpha, c / k**gamma
        kept = 1 - 2 * rate * curvature + n * (rate * curvature) ** 2
        expected.append(kept * expected[-1] + n * (rate * sigma / size) ** 2 / 2)
    slope = np.log(expected[-1] / expected[len(expected) // 10]) / np.log(10)
    assert slope == pytest.approx(-(alpha - 2 * gamma), abs=0.01)
    # And his variance: with alpha = 1 steps shrink as fast as the error, which beta+ corrects.
    beta = alpha - 2 * gamma if alpha == 1 else 0
    variance = n * a**2 * sigma**2 / (2 * c**2) / (2 * a * curvature - beta)
    assert expected[-1] * (len(expected) ** (alpha - 2 * gamma)) == pytest.approx(variance, 0.02)

    squares = np.zeros((runs, last))
    for run in range(runs):
        noise, row = np.random.default_rng([5, run]), []
        SPSA(
            maxiter=last,
            learning_rate=lambda: (a / k**alpha for k in range(1, last + 1)),
            perturbation=lambda: (c / k**gamma for k in range(1, last + 1)),
        ).minimize(
            vectorized(
                lambda x, noise=noise: (
                    curvature * (x**2).sum(axis=1) / 2 + noise.normal(0, sigma, len(x))
                )
            ),
            np.zeros(n),
            seed=run,
            callback=lambda xk, row=row: row.append(xk @ xk),
        )
        squares[run] = row
    for k in (30, 100, 300):
        found, error = squares[:, k - 1].mean(), squares[:, k - 1].std() / np.sqrt(runs)
        # With other seeds, one of two times three such figures would be beyond four standard
        # errors in some 2000 tests.
        assert found == pytest.approx(expected[k], abs=4 * error)


def test_the_sampled_hessian_of_a_quadratic_is_right_on_average():
    matrix = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 2.0]])
    seen, samples = [], 20_000
    SPSA(
        maxiter=1,
        second_order=True,
        resamplings=samples,
        regularization=0.0,
        lse_solver=lambda hessian, gradient: seen.append(hessian) or gradient,
        seed=3,
        **RATES,
    ).minimize(vectorized(lambda x: np.einsum("ki,ij,kj->k", x, matrix, x) / 2), X0)
    (mean,) = seen
    # The running mean begins with the identity. An entry of a sample has at most the variance
    # |matrix|^2: of nine entries one is beyond five standard errors in some 200 000 tests.
    margin = 5 * np.linalg.norm(matrix) / np.sqrt(samples)
    assert np.abs(2 * mean - np.eye(3) - matrix).max() < margin


@pytest.mark.parametrize("seed", range(3))
def test_second_order_minds_scales_that_first_order_does_not(seed):
    # Curvatures 100 and 1: first order may not go faster, or it diverges.
    def fun(x):
        return float(50 * x[0] ** 2 + x[1] ** 2 / 2)

    settings = {"blocking": True, "perturbation": 0.01, "seed": seed}
    first = SPSA(maxiter=300, learning_rate=0.015, **settings).minimize(fun, [1.0, 1.0])
    settings.update(second_order=True, resamplings=2)
    second = SPSA(maxiter=100, learning_rate=0.3, **settings).minimize(fun, [1.0, 1.0])
    assert first.nfev == second.nfev == 26 + 900
    assert second.fun < first.fun / 10


# Steps.


def test_one_variable_moves_as_by_central_differences():
    seen = []
    SPSA(maxiter=20, resamplings=2, **RATES).minimize(
        lambda x: float(np.cos(x[0])), [1.0], callback=lambda xk: seen.append(xk[0])
    )
    x = 1.0
    for found in seen:
        x += 0.1 * np.sin(x) * np.sin(0.1) / 0.1
        assert found == pytest.approx(x, rel=1e-12)


def test_a_trust_region_shortens_steps_before_the_rate():
    steep = lambda x: 100 * float(x[0])  # noqa: E731  # short
    sizes = []
    SPSA(
        maxiter=3,
        trust_region=True,
        callback=lambda nfev, x, fun, stepsize, accepted: sizes.append(stepsize),
        **RATES,
    ).minimize(steep, [0.0])
    assert sizes == pytest.approx([0.1] * 3)


def test_some_dimensions_are_perturbed_at_a_time():
    fun = Waves()
    SPSA(maxiter=40, perturbation_dims=2, seed=1, **RATES).minimize(fun, np.zeros(5))
    pairs = np.array(fun.points[:80]).reshape(40, 2, 5)
    moved = (pairs[:, 0] != pairs[:, 1]).sum(axis=0)
    assert ((pairs[:, 0] != pairs[:, 1]).sum(axis=1) == 2).all()
    assert moved.sum() == 80
    assert moved.min() >= 6  # of 16 on average, with a deviation of 3
    with pytest.raises(OptionError, match="perturbation_dims is 0"):
        SPSA(perturbation_dims=0)


def test_the_end_is_the_mean_of_the_last_points():
    seen = []
    result = SPSA(maxiter=10, last_avg=4, seed=1, **RATES).minimize(
        bowl, X0, callback=lambda xk: seen.append(xk)
    )
    assert result.x == pytest.approx(np.mean(seen[-4:], axis=0), rel=1e-14)
    assert result.fun == bowl(result.x)


def test_rates_are_calibrated_to_the_slope_at_the_start():
    # The first step has the length 2 pi / 10 in each variable, on average over directions.
    rates, sizes = SPSA.calibrate(lambda x: 5 * x[0], [1.0], c=0.1, stability_constant=9, seed=1)
    first, second = rates(), sizes()
    assert [next(first) for _ in range(2)] == pytest.approx(
        [np.pi / 25 / k**0.602 for k in (10, 11)]
    )
    assert [next(second) for _ in range(2)] == pytest.approx([0.1, 0.1 / 2**0.101])
    modelled, _ = SPSA.calibrate(lambda x: 5 * x[0], [1.0], target_magnitude=50, modelspace=True)
    assert next(modelled()) == pytest.approx(2.0)
    grouped = []
    SPSA.calibrate(lambda x: grouped.append(x.size) or list(x), [1.0], max_evals_grouped=10, seed=1)
    assert grouped == [10] * 5


def test_a_run_finds_what_calibrate_finds_with_its_seed():
    def first_step(**rates):
        steps = []
        SPSA(
            maxiter=1,
            callback=lambda n, x, fun, stepsize, accepted: steps.append(stepsize),
            **rates,
        ).minimize(lambda x: 5 * x[0], [1.0], seed=5)
        return steps

    rates, sizes = SPSA.calibrate(lambda x: 5 * x[0], [1.0], seed=5)
    assert first_step() == first_step(learning_rate=rates, perturbation=sizes)
    assert first_step() == pytest.approx([np.pi / 5])
    assert SPSA.calibrate(bowl, X0, seed=5) == SPSA.calibrate(bowl, X0, seed=5)
    assert SPSA.calibrate(bowl, X0, seed=5) != SPSA.calibrate(bowl, X0, seed=6)


def test_a_flat_start_is_warned_of():
    with pytest.warns(OptimizerWarning, match="slope 0 at the start"):
        result = SPSA(maxiter=2, seed=1).minimize(lambda x: 1.0, X0)
    assert result.x == pytest.approx(X0)


def test_the_deviation_is_that_of_repeated_values():
    noise, sizes = np.random.default_rng(1), []

    def fun(flat):
        sizes.append(flat.size)
        return noise.normal(0, 0.3, flat.size)

    # Of 400 values: 0.3 within five of its standard errors.
    assert SPSA.estimate_stddev(fun, [1.0], 400, 100) == pytest.approx(0.3, abs=5 * 0.3 / 28)
    assert sizes == [100] * 4


# Where Qiskit errs.


def test_the_checker_sees_every_step_and_the_end_is_the_last_accepted_point():
    rows, shown = [], []

    def checker(nfev, x, fun, stepsize, accepted):
        rows.append((nfev, x, fun, stepsize, accepted))
        return len(rows) == 12

    noise = np.random.default_rng(2)
    result = SPSA(
        maxiter=50,
        blocking=True,
        allowed_increase=0.0,
        termination_checker=checker,
        callback=lambda nfev, x, fun, stepsize, accepted: shown.append((nfev, *x, accepted)),
        **RATES,
    ).minimize(lambda x: bowl(x) + noise.normal(0, 0.5), [1.0, 1.0], seed=3)
    accepted = [row for row in rows if row[4]]
    assert 0 < len(accepted) < 12
    assert shown == [(row[0], *row[1], row[4]) for row in rows]
    assert result.stop is StopReason.CALLBACK
    assert not result.success
    assert np.array_equal(result.x, accepted[-1][1])
    assert result.fun == accepted[-1][2]
    values = [row[2] for row in accepted]
    assert values == sorted(values, reverse=True)
    assert [row[0] for row in rows] == list(range(4, 38, 3))
    assert result.nfev == 37


def test_without_a_value_the_checker_gets_the_mean_of_the_wave():
    means = []
    fun = Waves()
    SPSA(
        maxiter=3, resamplings=2, termination_checker=lambda n, x, f, s, a: means.append(f), **RATES
    )
    SPSA(
        maxiter=3, resamplings=2, termination_checker=lambda *row: means.append(row[2]), **RATES
    ).minimize(fun, X0, seed=1)
    points = np.array(fun.points[:12]).reshape(3, 4, 3)
    assert means == pytest.approx([np.mean([bowl(x) for x in wave]) for wave in points])


@pytest.mark.parametrize("second_order", [False, True])
def test_a_second_run_starts_anew(second_order):
    noise = np.random.default_rng(1)
    optimizer = SPSA(maxiter=5, blocking=True, second_order=second_order)
    before = optimizer.settings
    optimizer.minimize(lambda x: bowl(x) + noise.normal(), X0, seed=1)
    assert optimizer.settings == before
    assert optimizer.allowed_increase is optimizer.learning_rate is None
    again = optimizer.minimize(bowl, X0, seed=1)
    fresh = SPSA(maxiter=5, blocking=True, second_order=second_order).minimize(bowl, X0, seed=1)
    assert np.array_equal(again.x, fresh.x)
    assert again.nfev == fresh.nfev


def test_whole_numbers_lists_and_factories_are_rates():
    start = np.array([1, 2])
    options = {"maxiter": 4, "perturbation": 1}
    expected = SPSA(learning_rate=1.0, **{**options, "perturbation": 1.0}).minimize(
        bowl, start, seed=1
    )
    for rates in (1, [1] * 4, np.ones(4, int), lambda: iter([1] * 4)):
        optimizer = SPSA(learning_rate=rates, **options)
        assert np.array_equal(optimizer.minimize(bowl, start, seed=1).x, expected.x)
        assert SPSA(**optimizer.settings) == optimizer
    assert optimizer.settings["learning_rate"] is rates
    assert start.tolist() == [1, 2]
    json.dumps(SPSA().settings)


def test_what_the_user_changes_later_has_no_effect():
    samples, matrix = {1: 2}, np.eye(3)
    optimizer = SPSA(resamplings=samples, initial_hessian=matrix, second_order=True, maxiter=3)
    samples[1], matrix[0, 0] = 7, 9.0
    fun = Waves()
    optimizer.minimize(fun, X0, seed=1)
    assert fun.sizes == [50, 8, 4, 4, 1]
    assert np.array_equal(optimizer.initial_hessian, np.eye(3))


# Bounds and rejected points.


def test_probes_at_a_bound_are_divided_by_what_is_left():
    points = []
    result = SPSA(maxiter=1, **RATES).minimize(
        lambda x: points.append(x.copy()) or 3 * x[0], [1.0], bounds=[(0.2, 1.0)]
    )
    assert sorted(float(x[0]) for x in points[:2]) == pytest.approx([0.9, 1.0])
    assert result.x == pytest.approx([0.7])


def test_steps_end_at_the_bounds_and_fixed_variables_stay():
    fun = Waves(lambda x: float(np.sum((x - 3) ** 2)))
    bounds = [(None, 2), (1, 1), (0, 2)]
    result = SPSA(maxiter=100, seed=1, **RATES).minimize(fun, [1.0, 1.0, 1.0], bounds=bounds)
    assert result.x.tolist() == [2, 1, 2]
    points = np.array(fun.points)
    assert (points[:, 1] == 1).all()
    assert points.max() <= 2


@pytest.mark.parametrize("bounds", [None, [(-1, 1)] * 3, [(0, None), (None, 0.05), (0, 0)]])
def test_shifted_pairs_differ_by_one_shift_inside_the_bounds(bounds):
    problem = Problem(bowl, np.zeros(3))
    if bounds is not None:
        problem = Problem.check(
            "SPSA", SPSA().get_support_level(), bowl, np.zeros(3), bounds=bounds
        )
    rng = np.random.default_rng(1)
    probes = Probes.drawn(problem, rng, problem.x0, 0.1, 200, is_shifted=True)
    points = probes.all
    assert np.allclose(points[:, 2] - points[:, 0], points[:, 3] - points[:, 1], atol=1e-15)
    for point in points.reshape(-1, 3):
        assert np.allclose(problem.clip(point), point, atol=1e-15)
    matrix = np.diag([2.0, 3.0, 0.0])
    values = np.einsum("kmi,ij,kmj->km", points, matrix, points) / 2
    mean = probes.mean_curvature(values, np.ones(200, dtype=bool))
    # The diagonal is what two variables' pairs tell of it, their products averaged to zero.
    assert np.diag(mean) == pytest.approx([2, 3, 0], abs=1.5)


def test_pairs_with_a_rejected_point_are_left_out():
    def fun(x):
        return np.nan if x[0] > 1.05 and x[1] > 0 else float(x @ [1.0, 2.0])

    seen = []
    result = SPSA(maxiter=1, resamplings=40, seed=1, **RATES).minimize(
        fun, [1.0, 0.0], on_failure="reject", callback=lambda xk: seen.append(xk)
    )
    # Left are the pairs along (1, -1), whose slope is -1 along it.
    assert 0 < result.nrejected < 40
    assert result.x == pytest.approx([1.0 + 0.1, 0.0 - 0.1])
    assert result.stop is StopReason.MAXITER


def test_where_no_pair_is_left_the_step_is_zero():
    calls = []

    def fun(x):
        calls.append(x)
        return np.nan if 3 <= len(calls) <= 4 else bowl(x)

    steps = []
    result = SPSA(maxiter=3, **RATES).minimize(
        fun,
        X0,
        seed=1,
        on_failure="reject",
        callback=lambda intermediate_result: steps.append(intermediate_result.stepsize),
    )
    assert steps[1] == 0.0
    assert min(steps[0], steps[2]) > 0
    assert (result.nrejected, result.nit) == (2, 3)


def test_a_proposed_point_that_is_rejected_is_not_accepted():
    rows = []
    result = SPSA(
        maxiter=4,
        blocking=True,
        on_failure="reject",
        termination_checker=lambda *row: rows.append(row),
        **RATES,
    ).minimize(lambda x: np.nan if abs(x[0] - 0.8) < 1e-9 else float(x[0] ** 2), [1.0])
    assert [row[4] for row in rows] == [False] * 4
    # The mean of the wave stands for the value that there is not.
    assert [row[2] for row in rows] == pytest.approx([(1.1**2 + 0.9**2) / 2] * 4)
    assert (result.x.tolist(), result.fun, result.nrejected) == ([1.0], 1.0, 4)
    assert result.stop is StopReason.MAXITER


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"learning_rate": 0.1}, "without perturbation"),
        ({"perturbation": 0.1}, "without learning_rate"),
        ({"learning_rate": [0.1] * 9, "perturbation": 0.1}, "at least maxiter = 10"),
        ({"learning_rate": 0.1, "perturbation": 0.0}, "numbers > 0"),
        ({"learning_rate": 0.1, "perturbation": "wide"}, "expected a number"),
        ({"blocking": 1}, "blocking is 1"),
        ({"last_avg": 0}, "last_avg is 0"),
        ({"resamplings": 0}, "resamplings is 0"),
        ({"resamplings": {1: 0}}, r"resamplings\[1\] is 0"),
        ({"resamplings": {0: 1}}, "an iteration of resamplings is 0"),
        ({"allowed_increase": "some"}, "allowed_increase"),
        ({"regularization": -1}, "regularization is -1"),
        ({"hessian_delay": -1}, "hessian_delay"),
        ({"initial_hessian": [[1.0, 2.0]]}, r"shape \(1, 2\)"),
        ({"initial_hessian": [[1.0, 2.0], [0.0, 1.0]]}, "symmetric"),
        ({"lse_solver": 3}, "lse_solver is 3"),
        ({"termination_checker": True}, "termination_checker is True"),
    ],
)
def test_what_cannot_be_used_is_an_error_at_once(given, words):
    with pytest.raises(OptionError, match=words):
        SPSA(maxiter=10, **given)


def test_rates_may_be_set_one_after_the_other_but_not_run_alone():
    optimizer = SPSA(maxiter=2)
    optimizer.learning_rate = 0.1
    with pytest.raises(OptionError, match="without perturbation"):
        optimizer.minimize(bowl, X0)
    optimizer.perturbation = 0.1
    assert optimizer.minimize(bowl, X0).nfev == 5
    with pytest.raises(OptionError, match="expected at most the number of variables, 3"):
        SPSA(perturbation_dims=4).minimize(pytest.fail, X0)
    with pytest.raises(OptionError, match=r"returned -1\.0 in iteration 1"):
        SPSA(learning_rate=0.1, perturbation=lambda: iter([-1])).minimize(bowl, X0)
    with pytest.raises(OptionError, match="expected a symmetric matrix of shape"):
        SPSA(initial_hessian=np.eye(2)).minimize(bowl, X0)


def test_a_molecule_measured_with_shots_comes_near_its_ground():
    energy = h2(shots=1000, noise_seed=3)
    result = SPSA(maxiter=300, seed=5).minimize(energy, energy.x0)
    assert h2()(result.x) - energy.ground_energy < 0.05
    assert result.nfev == 50 + 600 + 1


@pytest.mark.parametrize("kind", [float, np.float32])
@pytest.mark.parametrize("offset", [0.0, 3.0, 1e6])
@pytest.mark.parametrize("modelspace", [False, True])
def test_the_slope_at_a_stationary_start_is_no_rounding(kind, offset, modelspace):
    points = []

    def fun(x):
        points.append(x)
        return kind((x[0] - 1) ** 2 + 2 * (x[1] + 2) ** 2 + offset)

    start = [1.0, -2.0]
    for seed in range(3):
        with pytest.warns(OptimizerWarning, match="slope 0 at the start"):
            rates, _ = SPSA.calibrate(fun, start, seed=seed, modelspace=modelspace)
        assert next(rates()) == pytest.approx(2 * np.pi / 10)
        with pytest.warns(OptimizerWarning, match="slope 0 at the start"):
            SPSA(maxiter=20).minimize(fun, start, seed=seed)
    assert np.abs(points).max() < 1e3
