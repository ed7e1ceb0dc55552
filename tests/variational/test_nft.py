import numpy as np
import pytest

import optimizers
from optimizers import (
    NFT,
    OptimizerWarning,
    OptionError,
    StopReason,
    UnknownOptionError,
    vectorized,
)
from optimizers.problems import h2

START = np.array([0.4, -0.9, 1.3, 2.9])
AMPLITUDES = np.array([1.0, 0.5, 0.8, 2.0])
PHASES = np.array([0.3, -2.0, 1.0, 0.1])


def separable(x):
    return float(np.sum(AMPLITUDES * np.cos(x - PHASES))) + 0.25


def iterates_of(optimizer, fun=separable, x0=START, **settings):
    iterates = []
    result = optimizer.minimize(fun, x0, callback=iterates.append, **settings)
    return np.array(iterates), result


def modulo(angles):
    """Return angles as points of the circle, which do not tell 2 pi from 0."""
    return np.exp(1j * np.asarray(angles))


def test_one_sweep_is_exact_on_separable_sinusoids():
    result = NFT(maxiter=4).minimize(separable, START)
    assert result.fun == pytest.approx(0.25 - AMPLITUDES.sum(), abs=1e-14)
    np.testing.assert_allclose(modulo(result.x), -modulo(PHASES), atol=1e-7)
    # The value at the start, a pair for each variable, and the value at the end.
    assert (result.nfev, result.nit, result.stop) == (10, 4, StopReason.MAXITER)


@pytest.mark.parametrize("reset_interval", [0, 1, 5, 32])
def test_iterates_are_those_of_qiskit(reset_interval):
    algorithms = pytest.importorskip(
        "qiskit_algorithms.optimizers", reason="needs the extra: qiskit"
    )
    energy, points = h2(), []

    def fun(x):
        points.append(x.copy())
        return energy(x)

    theirs = algorithms.NFT(maxiter=50, reset_interval=reset_interval)
    last = theirs.minimize(fun, energy.x0.copy())
    result = NFT(maxiter=50, reset_interval=reset_interval).minimize(energy, energy.x0)
    assert result.nfev == len(points)
    # Qiskit takes minima in (-pi / 2, 3 pi / 2) around the point, and not in (-pi, pi].
    np.testing.assert_allclose(modulo(result.x), modulo(last.x), atol=1e-6)
    assert result.fun == pytest.approx(last.fun, abs=1e-12)


@pytest.mark.parametrize(
    ("reset_interval", "sizes"), [(3, [3, 2, 2, 3]), (1, [3] * 4), (0, [3, 2, 2, 2])]
)
def test_a_pair_is_one_wave_with_the_value_where_that_is_reset(reset_interval, sizes):
    waves = []

    @vectorized
    def fun(points):
        waves.append(points.copy())
        return np.array([separable(x) for x in points])

    result = NFT(maxiter=4, reset_interval=reset_interval).minimize(fun, START)
    assert [len(wave) for wave in waves] == [*sizes, 1]
    assert result.nfev == sum(sizes) + 1
    assert np.array_equal(waves[0][0], START)
    shifts = waves[0][1:] - START
    np.testing.assert_allclose(
        shifts, np.pi / 2 * np.array([[1, 0, 0, 0], [-1, 0, 0, 0]]), atol=1e-15
    )


def test_an_iteration_is_the_update_of_one_variable():
    iterates, result = iterates_of(NFT(maxiter=6))
    assert len(iterates) == result.nit == 6
    changed = np.diff(np.vstack([START, iterates]), axis=0) != 0
    assert [np.flatnonzero(row).tolist() for row in changed[:4]] == [[0], [1], [2], [3]]
    estimates = []
    NFT(maxiter=6).minimize(
        separable, START, callback=lambda intermediate_result: estimates.append(intermediate_result)
    )
    for state in estimates:
        assert state.estimate == pytest.approx(separable(state.x), abs=1e-13)


@pytest.mark.parametrize("maxfev", [*range(1, 14), 1024])
def test_maxfev_is_a_hard_limit_that_ends_on_the_iterate(maxfev):
    points = []

    def fun(x):
        points.append(x)
        return separable(x)

    iterates, result = iterates_of(NFT(maxfev=maxfev), fun)
    assert len(points) == result.nfev <= maxfev
    assert result.nfev >= maxfev - 3
    assert result.stop is StopReason.MAXFUN
    assert np.array_equal(result.x, iterates[-1] if len(iterates) else START)
    assert result.fun == separable(result.x)


@pytest.mark.parametrize("maxfun", range(1, 12))
def test_a_budget_of_the_run_is_spent_and_ends_on_the_best(maxfun):
    points = []
    result = NFT().minimize(lambda x: points.append(x) or separable(x), START, maxfun=maxfun)
    assert len(points) == result.nfev == maxfun
    assert result.stop is StopReason.MAXFUN
    assert result.fun == min(map(separable, points))
    assert NFT(maxfev=5).minimize(separable, START, maxfun=maxfun).nfev <= min(5, maxfun)


def test_without_limits_a_callback_ends_it():
    seen = []
    optimizer = NFT(maxfev=None)
    result = optimizer.minimize(
        separable, START, callback=lambda xk: seen.append(1) or len(seen) == 600
    )
    assert (result.stop, result.nit) == (StopReason.CALLBACK, 600)
    assert result.nfev > 1024


def test_a_flat_direction_stays_put():
    with np.errstate(all="raise"):
        iterates, result = iterates_of(NFT(maxiter=6), lambda x: float(np.cos(x[0])), [0.5, 7.0])
        assert np.all(iterates[:, 1] == 7.0)
        assert abs(result.x[0]) == pytest.approx(np.pi)
        assert np.all(iterates_of(NFT(maxiter=6), lambda x: 1.5)[0] == START)
        # What differs by rounding alone is flat too.
        values = iter([1.5, np.nextafter(1.5, 2), 1.5] * 2)
        assert NFT(maxiter=1).minimize(lambda x: next(values), START).x.tolist() == START.tolist()


@pytest.mark.parametrize(
    "bounds",
    [
        [(None, None)] * 4,
        [(-3, 4), (-4, 3), (0, 5), (-1, 6)],
        [(0, 1), (-1, 0), (1.3, 3), (2.5, 2.9)],
        [(0.4, None), (None, -0.9), (1.3, 1.3), (-20, 20)],
    ],
)
def test_bounds_hold_for_probes_and_minima(bounds):
    seen = []

    def fun(x):
        seen.append(x)
        return separable(x)

    result = NFT(maxiter=8).minimize(fun, START, bounds=bounds)
    low = np.array([-np.inf if b[0] is None else b[0] for b in bounds])
    high = np.array([np.inf if b[1] is None else b[1] for b in bounds])
    assert np.all((np.array(seen) >= low) & (np.array(seen) <= high))
    for i, (lowest, highest) in enumerate(zip(low, high, strict=True)):
        grid = np.linspace(max(lowest, -20), min(highest, 20), 40001)
        best = np.min(np.cos(grid - PHASES[i]))
        assert np.cos(result.x[i] - PHASES[i]) <= best + 1e-9


def test_the_start_is_not_changed():
    # Qiskit's changes it in place.
    start = START.copy()
    NFT(maxiter=3).minimize(separable, start)
    assert np.array_equal(start, START)
    NFT(maxiter=3).minimize(separable, [1, 2, 3, 4])  # whole numbers are numbers


def test_a_rejected_probe_leaves_the_point_where_it_is():
    calls = []

    def fun(x):
        calls.append(x)
        return np.nan if len(calls) in (4, 7) else separable(x)

    iterates, result = iterates_of(NFT(maxiter=8), fun, on_failure="reject")
    assert result.nrejected == 2
    # The second iteration's and the third's probe: what is known best is x, or the other probe.
    for before, after in ((iterates[0], iterates[1]), (iterates[1], iterates[2])):
        assert separable(after) <= separable(before)
    # The two variables that were passed by come right in the next sweep.
    assert result.fun == pytest.approx(0.25 - AMPLITUDES.sum(), abs=1e-13)


def test_a_minimum_where_the_objective_fails_is_left_again():
    def fun(x):
        return np.nan if abs(abs(x[0]) - np.pi) < 0.4 else float(np.cos(x[0]) + np.cos(x[1]))

    result = NFT(maxiter=12, reset_interval=2).minimize(fun, [0.5, 0.5], on_failure="reject")
    assert result.nrejected > 0
    assert result.fun == fun(result.x) < fun(np.array([0.5, 0.5]))


def test_it_minimises_the_energy_of_a_molecule():
    energy = h2()
    result = NFT(maxiter=60).minimize(energy, energy.x0)
    assert result.fun == pytest.approx(energy.ground_energy, abs=1e-9)


def test_a_gradient_is_ignored_with_a_warning():
    with pytest.warns(OptimizerWarning, match="ignores jac"):
        NFT(maxiter=1).minimize(separable, START, lambda x: x)


def test_rotosolve_is_another_name():
    assert optimizers.Rotosolve is NFT
    assert optimizers.find("rotosolve") is NFT
    assert "Rotosolve" not in optimizers.available()


def test_options_win_over_defaults_as_for_scipys_methods():
    given = {"maxiter": 5, "reset_interval": 7}
    optimizer = NFT(options=given)
    assert optimizer == NFT(5, reset_interval=7)
    assert given == {"maxiter": 5, "reset_interval": 7}
    assert NFT(**optimizer.settings) == optimizer
    with pytest.raises(OptionError, match="given maxiter twice, as 4 and as 5"):
        NFT(4, options=given)
    with pytest.raises(UnknownOptionError, match="Did you mean 'maxfev'"):
        NFT(options={"maxfevs": 3})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"maxfev": 0}, "maxfev is 0"),
        ({"maxiter": -1}, "maxiter is -1"),
        ({"reset_interval": -1}, "reset_interval is -1"),
        ({"reset_interval": 1.5}, "reset_interval is 1.5"),
    ],
)
def test_what_cannot_be_used_is_an_error_at_once(given, words):
    with pytest.raises(OptionError, match=words):
        NFT(**given)
    with pytest.raises(OptionError, match=words):
        NFT(options=given)
    optimizer = NFT()
    with pytest.raises(OptionError, match=words):
        optimizer.set_options(**given)
    assert optimizer == NFT()


def test_disp_prints_the_end(capsys):
    NFT(maxiter=2, disp=True).minimize(separable, START)
    assert "NFT" in capsys.readouterr().out
