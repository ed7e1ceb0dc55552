import inspect
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers import UMDA, OptionError, StopReason, vectorized


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


def test_a_generation_is_a_wave_and_none_is_evaluated_again():
    waves, result = waves_of(UMDA(maxiter=7, size_gen=12), [3.0, 4.0], seed=1)
    assert [len(wave) for wave in waves] == [12] * result.nit
    assert result.nfev == 12 * result.nit
    points = np.concatenate(waves)
    assert len(np.unique(points, axis=0)) == len(points)
    assert result.fun == min(bowl(point) for point in points)


def test_the_first_generation_is_around_the_start():
    waves, _ = waves_of(UMDA(maxiter=1, size_gen=4000), [30.0, -40.0], seed=1)
    assert waves[0][0].tolist() == [30.0, -40.0]
    # 4000 numbers: five standard errors are 0.04 for the mean, 0.028 for the deviation.
    assert waves[0].mean(axis=0) == pytest.approx([30.0, -40.0], abs=0.04)
    assert waves[0].std(axis=0) == pytest.approx([0.5, 0.5], abs=0.028)


def test_the_next_distribution_is_that_of_the_selected():
    waves, _ = waves_of(UMDA(maxiter=2, size_gen=4000, alpha=0.25), [5.0, 1.0], seed=1)
    ranked = waves[0][np.argsort([bowl(x) for x in waves[0]])]
    selected = ranked[:1000]
    assert waves[1].mean(axis=0) == pytest.approx(selected.mean(axis=0), abs=0.04)
    expected = np.maximum(selected.std(axis=0), 0.3)
    assert expected[0] == 0.3 < expected[1]  # the least, and what is selected has
    assert waves[1].std(axis=0) == pytest.approx(expected, rel=0.06)


def test_the_mean_moves_to_the_minimum_of_a_quadratic():
    for seed in range(10):
        waves, result = waves_of(UMDA(maxiter=60, size_gen=30), [4.0, -3.0, 0.0], seed=seed)
        # 15 are selected, of deviation 0.3 at most: five standard errors of their mean are 0.4.
        assert waves[-1].mean(axis=0) == pytest.approx([1.0] * 3, abs=0.6)
        assert result.fun < 0.1


def test_the_start_does_count():
    # 0.3 a generation is the least that the mean can move; far minima need many.
    near = UMDA(maxiter=5).minimize(bowl, [1.2, 0.8], seed=1)
    far = UMDA(maxiter=5).minimize(bowl, [50.0, 50.0], seed=1)
    assert near.fun < bowl(np.array([1.2, 0.8]))
    assert near.fun < 0.08 < 1000 < far.fun


def test_it_ends_when_a_fifth_of_the_generations_bring_nothing_better():
    result = UMDA(maxiter=40, size_gen=3).minimize(lambda x: 1.0, [3.0], seed=1)
    assert (result.nit, result.stop, result.success) == (1 + 8, StopReason.FUN, True)
    assert result.x.tolist() == [3.0]
    assert result.message.startswith("No better individual in 8 generations. All 57 values were")
    assert UMDA(maxiter=3, size_gen=3).minimize(lambda x: 1.0, [3.0]).nit == 2


def test_callbacks_see_the_best_so_far():
    rows, states = [], []
    optimizer = UMDA(maxiter=6, size_gen=5, callback=lambda n, x, f: rows.append((n, x, f)))
    result = optimizer.minimize(bowl, [3.0, 2.0], seed=1)
    assert [row[0] for row in rows] == [5 * (k + 1) for k in range(result.nit)]
    assert all(fun == bowl(x) for _, x, fun in rows)
    values = [row[2] for row in rows]
    assert values == sorted(values, reverse=True)
    assert np.array_equal(rows[-1][1], result.x)

    def by_name(intermediate_result):
        states.append(intermediate_result.fun)

    assert optimizer.minimize(bowl, [3.0, 2.0], seed=1, callback=by_name).nfev == result.nfev
    assert states == values
    stopped = optimizer.minimize(bowl, [3.0, 2.0], seed=1, callback=lambda n, x, f: n >= 10)
    assert (stopped.nfev, stopped.stop) == (10, StopReason.CALLBACK)


# Bounds may be as far away as numbers go.
sides = [st.one_of(st.none(), st.floats(-3, 3), st.just(far)) for far in (-1e308, 1e308)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(*sides), min_size=3, max_size=3))
def test_all_points_are_within_the_bounds(pairs):
    bounds = [
        (high, low) if low is not None and high is not None and low > high else (low, high)
        for low, high in pairs
    ]
    low = np.array([-np.inf if a is None else a for a, _ in bounds])
    high = np.array([np.inf if b is None else b for _, b in bounds])
    x0 = np.clip([0.5, -0.5, 2.0], low, high)
    waves, result = waves_of(UMDA(maxiter=6, size_gen=6), x0, bounds=bounds, seed=2)
    for wave in waves:
        assert (wave >= low).all()
        assert (wave <= high).all()
    assert bowl(result.x) <= bowl(x0)


def test_within_bounds_the_spread_is_a_part_of_the_room():
    bounds = [(0.0, 0.1), (None, None), (2.0, 2.0)]
    optimizer = UMDA(maxiter=30, size_gen=2000)
    waves, _ = waves_of(optimizer, [0.05, 0.0, 2.0], lambda x: (x[0] - 0.05) ** 2, bounds=bounds)
    # 0.025, cut off at two standard deviations, which takes 0.04 of it; then three fifths of it.
    assert waves[0].std(axis=0) == pytest.approx([0.024, 0.5, 0.0], rel=0.1)
    assert waves[-1].std(axis=0)[0] == pytest.approx(0.015, rel=0.1)


def test_individuals_that_are_rejected_are_not_selected():
    def walled(x):
        return np.nan if x[0] > 0.0 else float(np.sum((x - 0.2) ** 2))

    optimizer = UMDA(maxiter=20, size_gen=30, alpha=1.0, on_failure="reject")
    waves, result = waves_of(optimizer, [0.0, 0.0], walled, seed=1)
    assert result.nrejected > 0
    assert result.x[0] <= 0.0
    # Even if all are to be selected: of one generation's, about half.
    first = waves[0][waves[0][:, 0] <= 0.0]
    expected = first.mean(axis=0)
    # 30 around that, of deviation 0.5 at most: four standard errors.
    assert waves[1].mean(axis=0) == pytest.approx(expected, abs=0.37)


def test_a_seed_is_a_run():
    with ThreadPoolExecutor(4) as pool:
        optimizer = UMDA(maxiter=6, seed=9)
        first = optimizer.minimize(bowl, [3.0, 4.0])
        for other in (
            optimizer.minimize(bowl, [3.0, 4.0]),
            optimizer.minimize(bowl, [3.0, 4.0], workers=pool),
            optimizer.minimize(vectorized(lambda xs: [bowl(x) for x in xs]), [3.0, 4.0]),
        ):
            assert np.array_equal(first.x, other.x)
    assert not np.array_equal(first.x, optimizer.minimize(bowl, [3.0, 4.0], seed=10).x)


@pytest.mark.parametrize("size", [1, 2])
def test_few_are_enough(size):
    result = UMDA(size_gen=size).minimize(bowl, [3.0, 4.0], seed=1)
    assert result.fun < bowl(np.array([3.0, 4.0]))


@pytest.mark.parametrize("given", [{"maxiter": 0}, {"size_gen": 0}, {"size_gen": 2.5},
                                   {"alpha": 0}, {"alpha": 1.1}, {"alpha": "half"}])  # fmt: skip
def test_what_cannot_be_used_is_an_error_at_once(given):
    (name,) = given
    with pytest.raises(OptionError, match=name):
        UMDA(**given)
    with pytest.raises(ValueError, match=name):  # as in Qiskit
        setattr(UMDA(), name, given[name])


class TestAgainstQiskit:
    @pytest.fixture
    def theirs(self):
        reason = "needs the extra: qiskit"
        return pytest.importorskip("qiskit_algorithms.optimizers", reason=reason).UMDA

    def test_the_constructor_is_the_same(self, theirs):
        def arguments(cls):
            parameters = list(inspect.signature(cls.__init__).parameters.values())
            return [(p.name, p.default) for p in parameters if p.name != "settings"]

        assert arguments(UMDA) == arguments(theirs)
        assert theirs().settings.items() <= UMDA().settings.items() | {("callback", None)}

    def test_from_pi_its_first_generation_is_the_same(self, theirs):
        from qiskit_algorithms.utils import algorithm_globals

        points = []

        def recording(x):
            points.append(np.array(x))
            return bowl(x)

        algorithm_globals.random_seed = 4
        theirs(maxiter=1).minimize(recording, np.array([50.0, 50.0]))
        waves, _ = waves_of(UMDA(maxiter=1, seed=4), [np.pi, np.pi])
        assert np.array_equal(waves[0][1:], points[1:])
        assert waves[0][0].tolist() == [np.pi, np.pi]
