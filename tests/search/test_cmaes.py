import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import cma
import numpy as np
import pytest

from optimizers import CMAES, MissingExtraError, OptionError, StopReason, minimize, vectorized
from optimizers.problems import get_problem

ROSENBROCK = cma.ff.rosen
STARTS = {1: [0.3], 2: [0.3, -0.4], 5: [0.3, -0.4, 0.1, 0.9, -1.0]}


def sphere(x):
    return float(np.sum((np.asarray(x) - 0.2) ** 2))


def valley(x):
    return sphere(x) if len(x) == 1 else float(ROSENBROCK(x))


def recorded(fun):
    """Return a function that keeps the points where it was called, and these."""
    points = []

    def called(x):
        points.append(np.array(x))
        return fun(x)

    return called, points


def by_cma(x0, sigma0, **options):
    """Return the points of cma's own run, and what it found."""
    fun, points = recorded(valley)
    best, strategy = cma.fmin2(fun, x0, sigma0, {"verbose": -10, **options})
    return np.array(points), best, strategy


def vkd():
    return cma.restricted_gaussian_sampler.GaussVkDSampler.extend_cma_options()


BOX = {"bounds": [[-1.0, -1.0, -2.0, 0.5, -np.inf], [0.5, np.inf, 2.0, 1.0, np.inf]]}


@pytest.mark.parametrize(
    ("n", "ours", "theirs"),
    [
        (1, {}, {}),
        (2, {}, {}),
        (5, {}, {}),
        (5, {"popsize": 20}, {"popsize": 20}),
        (5, {"variant": "sep"}, {"CMA_diagonal": True}),
        (5, {"variant": "vkd"}, vkd()),
        (5, {"maxiter": 20}, {"maxiter": 20}),
        (5, {"tolfun": 1e-4, "tolx": 1e-3}, {"tolfun": 1e-4, "tolx": 1e-3}),
        (5, {}, BOX),
    ],
)
def test_the_points_are_those_of_cma_with_the_same_seed(n, ours, theirs):
    expected, best, strategy = by_cma(STARTS[n], 0.5, seed=3, **theirs)
    box = {"bounds": np.transpose(theirs["bounds"])} if "bounds" in theirs else {}
    before = np.random.get_state()[1].copy()
    fun, points = recorded(valley)
    result = CMAES(0.5, noise=0, **ours).minimize(fun, STARTS[n], seed=3, **box)
    assert np.array_equal(points, expected)
    assert np.array_equal(result.x, best)
    assert (result.fun, result.nfev) == (strategy.result.fbest, strategy.result.evaluations)
    assert np.array_equal(np.random.get_state()[1], before), "NumPy's global state has changed"


def test_a_run_is_quiet(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CMAES(maxiter=5, seed=1, variant="vkd").minimize(valley, STARTS[5])
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", [0, 7, 2**40, [1, 2], None])
def test_the_run_depends_on_nothing_but_the_seed(seed):
    runs = [CMAES(maxiter=4).minimize(valley, STARTS[5], seed=seed).x for _ in range(2)]
    assert np.array_equal(*runs) == (seed is not None)


def test_a_generator_is_a_seed():
    x, y = (
        CMAES(maxiter=4).minimize(valley, STARTS[5], seed=np.random.default_rng(1)).x
        for _ in range(2)
    )
    assert np.array_equal(x, y)


@pytest.mark.parametrize("budget", [1, 7, 23])
@pytest.mark.parametrize("options", [{}, {"noise": 1.0}, {"restarts": "bipop", "popsize": 2}])
def test_a_budget_is_hard_and_the_best_point_is_returned(budget, options):
    fun, points = recorded(valley)
    result = CMAES(seed=1, **options).minimize(fun, STARTS[5], maxfun=budget)
    assert len(points) == result.nfev == budget
    assert result.stop is StopReason.MAXFUN
    assert result.fun == min(map(valley, points)) == valley(result.x)


def test_a_generation_is_a_wave():
    sizes = []

    @vectorized
    def stack(points):
        sizes.append(len(points))
        return np.array([valley(x) for x in points])

    alone = CMAES(0.5, popsize=9, maxiter=6, seed=2).minimize(valley, STARTS[5])
    together = CMAES(0.5, popsize=9, maxiter=6, seed=2).minimize(stack, STARTS[5])
    assert sizes == [9] * 6 + [2], "the last wave has the mean, and the best point again"
    with ThreadPoolExecutor(4) as pool:
        by_workers = CMAES(0.5, popsize=9, maxiter=6, seed=2).minimize(
            valley, STARTS[5], workers=pool
        )
    for other in (together, by_workers):
        assert np.array_equal(alone.x, other.x)
        assert (alone.fun, alone.nfev, alone.nit) == (other.fun, other.nfev, other.nit)


def test_points_are_within_the_bounds_and_fixed_variables_are_left_out():
    fun, points = recorded(valley)
    bounds = [(0.3, 0.5), (-0.4, -0.4), (0.0, 2.0), (None, 0.9), (-1.0, 1e-3)]
    result = CMAES(seed=4).minimize(fun, STARTS[5], bounds=bounds, maxfun=3000)
    low, high = [b[0] if b[0] is not None else -np.inf for b in bounds], [b[1] for b in bounds]
    assert (np.array(points) >= low).all()
    assert (np.array(points) <= high).all()
    assert {x[1] for x in points} == {-0.4}
    assert result.x[0] == pytest.approx(0.3, abs=1e-6)
    assert result.success


def test_the_first_distribution_follows_the_bounds_or_the_start():
    bounds = [(0, 1000), (5, 5.001), (None, None), (-1, None)]
    optimizer, history = CMAES(popsize=2000, maxiter=1, seed=1), []

    @vectorized
    def kept(points):
        history.append(points)
        return points[:, 0]

    optimizer.minimize(kept, [500, 5.0005, 40, 0.2], bounds=bounds)
    spread = history[0].std(axis=0)
    # Reflection at the bounds makes it narrower.
    assert spread[0] / 1000 == pytest.approx(spread[1] / 0.001, rel=0.1)
    assert 0.2 < spread[0] / 1000 < 0.3
    assert spread[2] == pytest.approx(0.3 * 40, rel=0.1)
    assert 0.2 < spread[3] < 0.32


@pytest.mark.parametrize(("fun", "low"), [(lambda x: float(x[0]), -2.0), (sphere, 0.2)])
@pytest.mark.parametrize("seed", range(1, 5))
def test_a_single_variable_may_have_bounds(fun, low, seed):
    # The steps become longer than cma allows within the bounds.
    result = CMAES(seed=seed).minimize(fun, [1.5], bounds=[(-2, 2)])
    assert result.success
    np.testing.assert_allclose(result.x, [low], atol=1e-4)


def test_extreme_boxes_are_searched():
    result = CMAES(seed=1).minimize(
        lambda x: float(np.sum(np.abs(x))), [1e-170, 1e200], bounds=[(0, 1e-167), (-1e300, 1e300)],
        maxfun=2000,
    )  # fmt: skip
    assert abs(result.x[1]) < 1e290


@pytest.mark.parametrize("kind", ["ipop", "bipop"])
def test_restarts_change_the_population_and_find_the_global_minimum(kind):
    sizes = []

    @vectorized
    def stack(points):
        sizes.append(len(points))
        return np.array([cma.ff.rastrigin(x) for x in points])

    result = CMAES(restarts=kind, noise=0, seed=2).minimize(
        stack, [3.0, 2.0, -1.0], bounds=[(-5, 5)] * 3, maxfun=20000, f_target=1e-6
    )
    assert result.stop is StopReason.TARGET
    runs = [size for size, after in itertools.pairwise(sizes) if after == 1]
    assert runs[:2] == [7, 14]
    if kind == "ipop":
        assert runs == [7 * 2**i for i in range(len(runs))]
    alone = CMAES(seed=2).minimize(
        lambda x: float(cma.ff.rastrigin(x)), [3.0, 2.0, -1.0], bounds=[(-5, 5)] * 3
    )
    assert alone.fun > 0.9


def test_maxiter_is_that_of_all_restarts():
    result = CMAES(restarts="ipop", maxiter=150, tolfun=1e-3, seed=2).minimize(valley, STARTS[2])
    assert result.nit == 150
    assert result.success, "the best of the searches had converged"


def test_restarts_without_bounds_begin_around_the_start():
    fun, points = recorded(lambda x: float(cma.ff.rastrigin(x)))
    CMAES(0.5, restarts="bipop", seed=2, noise=0).minimize(fun, [8.0, 8.0], maxfun=3000)
    assert np.array(points).max() < 30


def test_a_run_resumes_from_its_journal(tmp_path):
    path, whole = tmp_path / "run.jsonl", CMAES(seed=5, maxiter=30, restarts="bipop")
    expected = whole.minimize(valley, STARTS[2])
    fun, points = recorded(valley)

    def killed(x):
        if len(points) == 100:
            raise KeyboardInterrupt
        return fun(x)

    with pytest.raises(KeyboardInterrupt):
        whole.minimize(killed, STARTS[2], journal=path)
    resumed, rest = recorded(valley)
    result = whole.minimize(resumed, STARTS[2], journal=path, journal_check="off")
    assert np.array_equal(result.x, expected.x)
    assert result.nfev == expected.nfev == len(points) + len(rest)


def test_failed_points_have_the_last_ranks():
    def fun(x):
        return np.nan if x[0] > 0.5 else valley(x)

    result = CMAES(0.5, seed=1).minimize(fun, STARTS[2], on_failure="reject")
    assert result.success
    assert result.nrejected > 0
    assert result.x == pytest.approx([0.5, 0.25], abs=1e-3)
    assert result.nfev < 2000, "the run is not repeated to confirm its end"


def test_nothing_but_failures_is_no_success():
    values = iter([1.0, 2.0])
    result = CMAES(seed=1).minimize(
        lambda x: next(values, np.nan), STARTS[2], on_failure="reject", maxfun=5000
    )
    assert not result.success
    assert "failed" in result.message
    assert result.fun == 1.0


@pytest.mark.parametrize(
    ("fun", "options", "stop", "words"),
    [
        (sphere, {"tolfun": 1e-3}, StopReason.FUN, "no longer falls"),
        (sphere, {"tolfun": 0, "tolx": 1e-3}, StopReason.STEP, "step is smaller"),
        (sphere, {"maxiter": 3}, StopReason.MAXITER, "iterations"),
        (lambda x: float(x[0]), {"sigma0": 1e-3}, StopReason.NO_PROGRESS, "sigma0 is too small"),
    ],
)
def test_the_result_says_why_it_ended(fun, options, stop, words):
    result = CMAES(seed=1, **options).minimize(fun, STARTS[2])
    assert result.stop is stop
    assert words in result.message


def noisy(sigma, seed=1):
    rng = np.random.default_rng(seed)
    return lambda x: valley(x) + sigma * rng.normal()


def test_noise_is_treated_if_it_is_declared():
    gaps = {}
    for noise in (0, "estimate", 0.1):
        found = [
            CMAES(noise=noise, seed=seed).minimize(noisy(0.1, seed), STARTS[5], maxfun=6000)
            for seed in (1, 2, 3)
        ]
        gaps[noise] = np.median([valley(result.x) for result in found])
    assert gaps["estimate"] < gaps[0] / 5
    assert gaps[0.1] < gaps[0] / 5
    assert found[0].noise == pytest.approx(0.1, rel=0.5)


def test_an_end_in_noise_is_a_success_if_the_value_has_fallen():
    result = CMAES(noise="estimate", seed=1, tolfun=0.5).minimize(noisy(0.05), STARTS[5])
    assert result.stop is StopReason.NOISE
    assert result.success
    worse = CMAES(noise="estimate", seed=1, tolfun=1e9).minimize(noisy(1e3), STARTS[5])
    assert worse.stop is StopReason.NOISE
    assert not worse.success


def test_standard_errors_are_noise_and_the_setting_of_a_run_comes_first():
    def told(x):
        return valley(x), 0.05

    calls = {}
    for name, settings in {"auto": {}, "none": {"noise": 0}}.items():
        fun, points = recorded(told)
        CMAES(seed=1, popsize=10).minimize(fun, STARTS[5], maxfun=100, **settings)
        calls[name] = len(points) - len({x.tobytes() for x in points})
    assert calls["auto"] > 5
    assert calls["none"] == 0


def test_noise_that_nobody_declared_is_no_success():
    result = CMAES(seed=1, tolx=0.02).minimize(noisy(1e-3), STARTS[2])
    assert result.stop is StopReason.NOISE
    assert not result.success
    assert "noise='estimate'" in result.message


def test_known_points_give_mean_and_covariance():
    problem = get_problem("rosenbrock")
    rng = np.random.default_rng(0)
    points = rng.normal([0.8, 0.64], 0.1, size=(60, 2))
    values = np.array([problem.fun(x) for x in points])
    fun, calls = recorded(problem.fun)
    optimizer = CMAES(popsize=200, maxiter=1, seed=1)
    optimizer.minimize(fun, None, known=(points, values))
    first = np.array(calls[:200])
    good = points[np.argsort(values)[:6]]
    assert first.mean(axis=0) == pytest.approx(good.mean(axis=0), abs=0.02)
    wanted = np.cov(good.T, bias=True) + 0.03**2 * np.eye(2)
    assert np.cov(first.T) == pytest.approx(wanted, rel=0.4)
    start, calls = recorded(problem.fun)
    optimizer.minimize(start, [-1.0, 1.0], known=(points, values))
    assert np.array(calls[:200]).mean(axis=0) == pytest.approx([-1.0, 1.0], abs=0.1)


def test_without_cma_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cma", None)
    fun, points = recorded(valley)
    with pytest.raises(MissingExtraError, match="pip install cma"):
        CMAES().minimize(fun, STARTS[2])
    assert not points


@pytest.mark.parametrize(
    "options",
    [
        {"sigma0": 0}, {"sigma0": np.inf}, {"popsize": 1}, {"restarts": "often"}, {"noise": -1},
        {"noise": "much"}, {"variant": "lm"}, {"maxiter": 0}, {"tolfun": -1.0},
    ],
    ids=str,
)  # fmt: skip
def test_options_are_checked(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        CMAES(**options)


def test_it_is_found_by_name():
    result = minimize(valley, STARTS[2], method="cma-es", seed=1)
    assert result.success
    assert result.x == pytest.approx([1.0, 1.0], abs=1e-4)
