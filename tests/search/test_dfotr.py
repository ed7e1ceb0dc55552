from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import (
    COBYQA,
    DFOTR,
    NELDER_MEAD,
    Differences,
    History,
    OptionError,
    StopReason,
    TellData,
    residuals,
    vectorized,
)
from optimizers.asktell.flow import drive
from optimizers.evaluation.evaluator import Evaluator
from optimizers.problem.problem import Problem
from optimizers.problems.mgh_systems import brown_almost_linear
from optimizers.run.run import Run
from optimizers.search.dfotr.radii import Radii
from optimizers.search.dfotr.search import Search
from optimizers.search.space import Space

BOX = [(-2.0, 0.5), (None, 0.9), (-0.5, None)]
START = [-1.2, 0.4, 0.3]


def noisy(fun, sigma=1e-3, seed=3):
    rng = np.random.default_rng(seed)
    return lambda x: fun(x) + sigma * rng.normal()


def waves_of(optimizer, fun, x0, *args, **settings):
    """Return the waves of a run, each an array of points, and its result."""
    waves = []

    @vectorized
    def recording(points):
        waves.append(points.copy())
        return np.array([fun(point) for point in points])

    return waves, optimizer.minimize(recording, x0, *args, **settings)


@pytest.mark.parametrize("size", [1, 2, 4, 7, 12])
def test_it_finds_the_minimum_in_few_waves(size):
    waves, result = waves_of(DFOTR(batch_size=size), rosen, START, seed=1)
    assert result.stop is StopReason.STEP
    assert result.success
    assert result.x == pytest.approx(np.ones(3), abs=1e-5)
    assert max(map(len, waves[1:])) <= max(size, 3)  # a look for noise has three
    assert result.nfev < 300 * size**0.7
    assert len(waves) < 300 / min(size, 7) ** 0.3


@pytest.mark.parametrize(
    "bounds",
    [[(-1e308, 1e308)] * 2, [(0.0, np.inf), (-np.finfo(float).max, 0.5)], [(0, 5e-324)] * 2],
)
def test_bounds_at_the_ends_of_the_numbers_do_no_harm(bounds):
    x0 = np.clip([0.0, 0.5], *np.transpose(bounds))
    result = DFOTR(seed=1).minimize(lambda x: float(((x - 0.3) ** 2).sum()), x0, bounds=bounds)
    assert result.success
    assert result.x == pytest.approx(np.clip([0.3, 0.3], *np.transpose(bounds)), abs=1e-6)


def test_tiny_values_are_minimized():
    result = DFOTR(seed=1).minimize(lambda x: 1e-300 * rosen(x), [-1.2, 1.0])
    assert result.x == pytest.approx([1.0, 1.0], abs=1e-4)


@pytest.mark.parametrize("size", [1, 5])
def test_bounds_are_kept_and_what_they_fix_stays(size):
    bounds = [*BOX, (7.0, 7.0)]
    waves, result = waves_of(
        DFOTR(batch_size=size), lambda x: rosen(x[:3]) + x[3], [*START, 7.0], None, bounds, seed=2
    )
    points = np.concatenate(waves)
    low, high = (np.array([-2.0, -np.inf, -0.5, 7.0]), np.array([0.5, 0.9, np.inf, 7.0]))
    assert ((low <= points) & (points <= high)).all()
    # On the bound of the first variable the others follow as they can.
    expected = COBYQA().minimize(rosen, START, None, BOX)
    assert result.x[:3] == pytest.approx(expected.x, abs=1e-5)
    assert result.x[0] == 0.5


def test_a_minimum_in_a_corner_and_one_variable():
    result = DFOTR().minimize(lambda x: x @ [1.0, -2.0], [0.3, 0.3], None, [(0, 1), (0, 1)])
    assert result.x.tolist() == [0.0, 1.0]
    assert result.success
    result = DFOTR().minimize(lambda x: np.cosh(x[0] - 3.0), [0.0])
    assert result.x == pytest.approx([3.0], abs=1e-4)


def test_a_box_of_little_room_is_no_hindrance():
    bounds = [(1.0, 1.0 + 1e-9), (-1e6, 1e6)]
    result = DFOTR().minimize(lambda x: (x[1] - 40) ** 2 - 1e9 * x[0], [1.0, 0.0], None, bounds)
    assert result.x[0] == 1.0 + 1e-9
    assert result.x[1] == pytest.approx(40.0, abs=1e-4)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("maxfun", [1, 7, 23])
def test_budgets_are_hard_and_the_best_is_returned(maxfun, size):
    seen = []
    result = DFOTR(batch_size=size).minimize(
        lambda x: seen.append(rosen(x)) or seen[-1], START, maxfun=maxfun
    )
    assert len(seen) == result.nfev == maxfun
    assert result.stop is StopReason.MAXFUN
    assert result.fun == min(seen)


def test_the_first_wave_is_the_start_and_a_step_along_each_variable():
    waves, _ = waves_of(DFOTR(rhobeg=0.2), rosen, [0.5, -3.0], maxfun=3)
    assert waves[0] == pytest.approx(np.array([[0.5, -3.0], [0.7, -3.0], [0.5, -2.4]]))
    waves, _ = waves_of(DFOTR(batch_size=5), rosen, [0.5, -3.0], maxfun=5)
    assert len(waves[0]) == 5


@pytest.mark.parametrize("size", [1, 4])
def test_a_region_without_values_is_left_alone(size):
    def fun(x):
        return np.nan if x[0] > 0.8 or x[1] < -1 else rosen(x)

    result = DFOTR(batch_size=size, on_failure="reject").minimize(fun, [-1.2, 1.0], seed=1)
    assert result.x[0] == pytest.approx(0.8, abs=1e-3)
    assert result.nrejected > 0


def test_overflow_and_a_slope_without_end_are_survived():
    result = DFOTR().minimize(lambda x: -np.exp(min(x[0], 600.0)) + x[1] ** 2, [0.0, 1.0])
    assert result.x[0] >= 600.0
    slope = DFOTR(maxiter=300).minimize(lambda x: -x[0], [0.0, 0.0])
    assert slope.fun < -1e9
    assert slope.stop is StopReason.MAXITER


@pytest.mark.parametrize("size", [1, 6])
def test_in_noise_it_starts_anew_and_ends_by_saying_so(size):
    result = DFOTR(batch_size=size).minimize(noisy(rosen), START, seed=1)
    assert result.stop is StopReason.NOISE
    assert result.success
    assert result.noise == pytest.approx(1e-3, rel=0.9)
    assert rosen(result.x) < 0.01
    fewer = DFOTR(batch_size=size, restarts=0).minimize(noisy(rosen), START, seed=1)
    assert fewer.stop is StopReason.NOISE
    assert fewer.nfev < result.nfev


def test_values_that_are_nothing_but_noise_are_no_success():
    rng = np.random.default_rng(5)
    result = DFOTR(seed=1).minimize(lambda x: 5.0 + rng.normal(), [1.0, 2.0, 3.0])
    assert result.stop is StopReason.NOISE
    assert not result.success


def test_noise_that_is_told_saves_looking_for_it():
    def looks(**settings):
        waves, _ = waves_of(DFOTR(), rosen, [-1.2, 1.0], seed=1, **settings)
        return sum(len(wave) == 3 for wave in waves[1:])

    assert looks() == 2  # none there, twice
    assert looks(noise=0) == 0
    rng = np.random.default_rng(6)
    seen = []

    def with_error(x):
        seen.append(x)
        return rosen(x) + 1e-3 * rng.normal(), 1e-3

    result = DFOTR().minimize(with_error, START, seed=1)
    assert result.stop is StopReason.NOISE
    assert result.noise == 1e-3


def test_rough_values_are_noise_though_they_repeat():
    result = DFOTR(seed=1).minimize(lambda x: np.round(rosen(x), 4), [-1.2, 1.0])
    assert result.stop in (StopReason.NOISE, StopReason.STEP)
    assert rosen(result.x) < 1e-2


@pytest.mark.parametrize("fun", [rosen, lambda x: rosen(x) + 1e-3 * np.sin(1e9 * x.sum())])
def test_the_same_seed_is_the_same_run_whoever_evaluates(fun, tmp_path):
    optimizer = DFOTR(batch_size=4, maxfun=150, seed=3)
    alone = optimizer.minimize(fun, START, None, BOX)
    with ThreadPoolExecutor(3) as pool:
        together = optimizer.minimize(fun, START, None, BOX, workers=pool)
    stepper = optimizer.stepper(START, bounds=BOX)
    for ask in stepper:
        stepper.tell(ask, TellData([fun(x) for x in ask.x_fun]))
    path = tmp_path / "run.jsonl"
    optimizer.minimize(fun, START, None, BOX, journal=path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:60]))
    resumed = optimizer.minimize(fun, START, None, BOX, journal=path)
    assert resumed.nreplayed > 30
    for other in (together, stepper.result(), resumed):
        assert other.x.tolist() == alone.x.tolist()
        assert (other.nfev, other.nit, other.stop) == (alone.nfev, alone.nit, alone.stop)


def test_as_many_points_as_workers():
    with ThreadPoolExecutor(3) as pool:
        result = DFOTR(batch_size="workers").minimize(rosen, START, workers=pool, seed=3)
    assert result.nfev == DFOTR(batch_size=3).minimize(rosen, START, seed=3).nfev
    waves, _ = waves_of(DFOTR(batch_size="workers"), rosen, START, seed=3)
    assert max(map(len, waves)) == 7
    alone = DFOTR(batch_size="workers").minimize(rosen, START, seed=3)
    assert alone.nfev == DFOTR().minimize(rosen, START, seed=3).nfev


def test_a_hundred_variables():
    problem = brown_almost_linear(100)
    result = DFOTR(batch_size=10).minimize(noisy(problem.fun), problem.x0, maxfun=400, seed=1)
    assert problem.fun(result.x) < 1e-2 * problem.fun(problem.x0)


def test_residuals_are_returned_with_the_value():
    fun = residuals(lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]))
    result = DFOTR().minimize(fun, [-1.2, 1.0])
    assert result.residuals == pytest.approx([0.0, 0.0], abs=1e-6)


def test_points_that_are_known_are_where_it_begins():
    rng = np.random.default_rng(4)
    problem = Problem.check("any", DFOTR().get_support_level(), rosen, [-1.2, 1.0])
    space = Space(problem, 0.1)
    known = rng.uniform([-2.0, -1.0], [1.5, 3.0], (60, 2))
    values = np.array([rosen(point) for point in known])

    def spent(count):
        run = Run(problem, Evaluator(rosen), Differences(), maxfun=200, f_target=1e-6, seed=1)
        start = (known[:count], values[:count]) if count else None
        search = Search(space, Radii(0.1, 1e-8), 1, 5, 0, run.rng)

        def flow():
            yield from search.steps(1000, start)

        result = run.execute(lambda run: drive(run, flow()))
        assert result.stop is StopReason.TARGET
        return result.nfev

    assert spent(60) < 0.7 * spent(0)
    assert spent(1) <= spent(0) + 30  # the rest of the directions is asked for


def test_points_of_another_algorithm_are_its_first_model():
    history = History()
    first = NELDER_MEAD().minimize(rosen, [-1.2, 1.0], maxfun=60, callback=history)
    cold = DFOTR(seed=1).minimize(rosen, first.x, f_target=1e-6)
    warm = DFOTR(seed=1).minimize(rosen, None, known=history, f_target=1e-6)
    assert (cold.stop, warm.stop) == (StopReason.TARGET, StopReason.TARGET)
    assert warm.nfev < cold.nfev


def test_a_second_run_costs_what_the_first_lacked():
    first = DFOTR(seed=1).minimize(rosen, START, maxfun=30, callback=(history := History()))
    again = DFOTR(seed=1).minimize(rosen, START, maxfun=30, known=history)
    whole = DFOTR(seed=1).minimize(rosen, START, maxfun=60)
    assert (first.nfev, again.nfev, again.nknown) == (30, 30, 30)
    assert again.x.tolist() == whole.x.tolist()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size is 0, expected a whole number >= 1"),
        ({"batch_size": "all"}, "batch_size is 'all', expected a whole number >= 1 or 'workers'"),
        ({"rhobeg": 0}, r"rhobeg is 0, expected a number in \[1e-12, 1e\+12\]"),
        ({"restarts": -1}, "restarts is -1, expected a whole number >= 0"),
    ],
)
def test_options_that_cannot_be_used_are_named(options, words):
    with pytest.raises(OptionError, match=words):
        DFOTR(**options)


def test_a_tolerance_is_the_last_radius():
    coarse = DFOTR()(rosen, [-1.2, 1.0], tol=1e-3, seed=1)
    assert coarse.nfev < DFOTR().minimize(rosen, [-1.2, 1.0], seed=1).nfev
    assert coarse.success
    assert DFOTR(rhoend=0).minimize(rosen, [-1.2, 1.0], seed=1).success
    first = DFOTR(rhoend=9.0).minimize(rosen, [-1.2, 1.0], seed=1)
    assert first.success
    assert first.nfev < coarse.nfev
