import warnings

import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import (
    BFGS,
    CG,
    LBFGSB,
    SLSQP,
    TNC,
    NoisyLBFGSB,
    StopReason,
    TrustConstr,
    vectorized,
)
from optimizers.problems import more_wild_problems

CLASSES = [LBFGSB, NoisyLBFGSB, BFGS, CG, SLSQP, TNC, TrustConstr]


def noisy(fun, points, relative=1e-3, sigma=0.0, seed=0):
    """Return an objective with seeded noise that notes its points."""
    rng = np.random.default_rng(seed)

    def blurred(x):
        points.append(x.copy())
        z = rng.normal()
        return fun(x) * (1 + relative * z) + sigma * z

    return blurred


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(("n", "count"), [(2, 8), (5, 14), (10, 24)])
def test_the_first_step_follows_one_wave(cls, n, count):
    rng, waves = np.random.default_rng(n), []

    @vectorized
    def fun(points):
        waves.append(points.copy())
        values = np.array([1.0 + rosen(x) for x in points])
        return values * (1 + 1e-3 * rng.normal(size=len(points)))

    x0 = np.full(n, -1.2)
    cls(noise="estimate", seed=0).minimize(fun, x0, maxfun=count + n + 1)
    assert len(waves[0]) == count
    assert count <= 3 * (n + 1)
    assert np.array_equal(waves[0][0], x0)
    # The next point is a step: further than the points of the line, along no single variable.
    step = waves[1][0] - x0
    assert np.count_nonzero(step) == n
    assert np.max(abs(step)) > 1e-3


@pytest.mark.parametrize("cls", [LBFGSB, NoisyLBFGSB])
def test_few_points_solve_most_problems(cls):
    solved = 0
    for number, problem in enumerate(more_wild_problems()):  # 53 of them
        points = []
        fun = noisy(problem.fun, points, seed=number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # some overflow far away
            cls(noise="estimate", seed=0, on_failure="reject").minimize(
                fun, problem.x0, maxfun=10 * (problem.n + 1)
            )
            first, best = problem.fun(problem.x0), min(map(problem.fun, points))
        assert len(points) <= 10 * (problem.n + 1)
        solved += best <= problem.minimum + 0.1 * (first - problem.minimum)
    assert solved >= 43


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("maxfun", [1, 7, 8, 23])
def test_the_budget_is_hard(cls, maxfun):
    points = []
    result = cls(noise="estimate", seed=0).minimize(
        noisy(rosen, points), [-1.2, 1.0], maxfun=maxfun
    )
    assert result.nfev == len(points) <= maxfun
    assert result.stop is StopReason.MAXFUN
    # A wave that is not affordable is not begun.
    assert maxfun >= 8 or len(points) == 1


def test_the_budget_of_a_small_run_leads_away_from_the_start():
    x0, points = np.resize([-1.2, 1.0], 24), []
    for cls in (LBFGSB, NoisyLBFGSB):
        result = cls(noise="estimate", seed=0).minimize(noisy(rosen, points), x0, maxfun=200)
        assert rosen(result.x) < 0.2 * rosen(x0)
        # The tables would take 256 points: early stages spend the rest.
        assert result.nfev > 200 - 51


def test_noisy_lbfgsb_ends_at_an_iterate_with_its_error():
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)

    result = NoisyLBFGSB(noise="estimate", seed=0).minimize(
        noisy(rosen, []), [-1.2, 1.0], maxfun=40, callback=callback
    )
    assert result.stop is StopReason.MAXFUN
    assert any(np.array_equal(result.x, state.x) for state in seen)
    assert result.fun_error == result.noise > 0
    assert all(state.fun_error > 0 for state in seen)


@pytest.mark.parametrize("cls", [LBFGSB, NoisyLBFGSB])
@pytest.mark.parametrize("end", [0.0, -3.0])
def test_noise_that_does_not_go_with_the_value_is_noticed(cls, end):
    # Values fall to zero, or past it, where noise in proportion would vanish.
    def bowl(x):
        return end + (x[0] - 1) ** 2 + 10 * (x[1] + 0.5) ** 2

    for seed in range(3):
        fun = noisy(bowl, [], relative=0.0, sigma=1e-4, seed=seed)
        result = cls(noise="estimate", seed=seed).minimize(fun, [4.0, 2.0])
        assert bowl(result.x) - end < 1e-3
        assert 2e-5 < result.noise < 5e-4


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1e-5])
def test_noise_may_be_a_function_of_the_point(scale):
    def fun(x):
        clean = 1.0 + (x[0] - 1) ** 2 + 10 * (x[1] + 0.5) ** 2
        return clean + 1e-4 * np.sin((x[0] - 0.7 * x[1]) / scale)

    for seed in range(3):
        result = LBFGSB(noise="estimate", seed=seed).minimize(fun, [4.0, 2.0], maxfun=60)
        assert fun(result.x) - 1.0 < 0.01 * (fun(np.array([4.0, 2.0])) - 1.0)


def test_a_start_in_a_corner_and_fixed_variables():
    bounds, points = [(0.0, 1.0), (-0.5, 0.25), (2.0, 2.0), (None, 3.0)], []

    def fun(x):
        return 1.0 + (x[0] - 2) ** 2 + (x[1] + x[3]) ** 2 + x[2] + (x[3] - 1) ** 2

    result = LBFGSB(noise="estimate", seed=0).minimize(
        noisy(fun, points, 1e-5), [0.0, 0.25, 2.0, 3.0], None, bounds
    )
    low, high = np.array([0, -0.5, 2, -np.inf]), np.array([1, 0.25, 2, 3])
    assert all((low <= x).all() and (x <= high).all() for x in points)
    # Three free variables: 2 * 3 + 4 points, the trial among them is the next.
    assert sum(np.count_nonzero(x != points[0]) == 1 for x in points[:10]) == 6
    np.testing.assert_allclose(result.x, [1.0, -0.5, 2.0, 0.75], atol=0.03)


def test_to_maximize_is_to_minimize_the_negative():
    ends = [
        LBFGSB(noise="estimate", seed=0).minimize(
            noisy(lambda x, sign=sign: sign * (1 + rosen(x)), []),
            [-1.2, 1.0],
            maxfun=60,
            maximize=sign < 0,
        )
        for sign in (1, -1)
    ]
    np.testing.assert_array_equal(ends[0].x, ends[1].x)
    assert ends[0].fun == -ends[1].fun


def test_a_known_start_is_not_evaluated_again():
    points, x0 = [], np.array([-1.2, 1.0])
    known = x0[np.newaxis], np.array([rosen(x0)])
    result = LBFGSB(noise="estimate", seed=0).minimize(
        noisy(rosen, points), x0, known=known, maxfun=7
    )
    assert result.nknown == 1
    assert len(points) == 7  # the rest of the wave of eight


def test_a_first_wave_with_a_failure_is_followed_by_the_tables():
    points = []

    def fun(x):  # not defined beyond a line that a long step crosses
        points.append(x.copy())
        return 1.0 + x @ x if x[0] < 2.05 else np.nan

    result = LBFGSB(noise="estimate", seed=0, on_failure="reject").minimize(fun, [2.0, 1.0])
    assert result.success
    np.testing.assert_allclose(result.x, [0.0, 0.0], atol=1e-4)
    spacing = np.linalg.norm(points[9] - points[8])  # after 8 points: the first table
    assert spacing < 1e-5


def test_named_central_differences_are_central_from_the_start():
    points, x0 = [], np.array([4.0, 2.0])

    def bowl(x):
        return 3.0 + (x - 1) @ (x - 1)

    LBFGSB(noise="estimate", seed=0).minimize(noisy(bowl, points, 1e-6), x0, "3-point", maxfun=13)
    at, probes = points[8], np.array(points[9:13])
    assert len(points) == 13
    np.testing.assert_allclose(probes.mean(axis=0), at)
