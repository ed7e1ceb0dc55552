import numpy as np
import pytest

import optimizers
from optimizers import AQGD, Differences, OptionError, StopReason, vectorized
from optimizers.problems import h2

START = np.array([0.4, -0.9, 1.3])
AMPLITUDES = np.array([1.0, 0.5, 0.8])


def waves_of(x):
    return float(np.sum(AMPLITUDES * np.cos(x)))


def slopes(x):
    return -AMPLITUDES * np.sin(x)


def iterates_of(optimizer, fun=waves_of, x0=START, jac=None, **settings):
    iterates = []
    result = optimizer.minimize(fun, x0, jac, callback=iterates.append, **settings)
    return np.array(iterates), result


def test_iterates_are_those_of_the_closed_form():
    x, direction, expected = START.copy(), np.zeros(3), []
    for rate, momentum in [(0.3, 0.5)] * 4 + [(0.1, 0.0)] * 3:
        direction = (1 - momentum) * slopes(x) + momentum * direction
        x = x - rate * direction
        expected.append(x)
    optimizer = AQGD(maxiter=[4, 3], eta=[0.3, 0.1], momentum=[0.5, 0.0])
    for jac in (None, slopes):  # parameter shift is exact: its rounding is all that differs
        iterates, result = iterates_of(optimizer, jac=jac)
        np.testing.assert_allclose(iterates, expected, rtol=0, atol=1e-13)
        assert (result.stop, result.nit) == (StopReason.MAXITER, 7)


@pytest.mark.parametrize(
    "epochs", [{}, {"maxiter": [9, 40], "eta": [0.4, 0.2], "momentum": [0.5, 0.1]}]
)
def test_iterates_are_those_of_qiskit(epochs):
    algorithms = pytest.importorskip(
        "qiskit_algorithms.optimizers", reason="needs the extra: qiskit"
    )
    points = []
    theirs = algorithms.AQGD(**epochs)
    their = theirs.minimize(lambda x: points.append(x.copy()) or waves_of(x), START.copy())
    iterates, _ = iterates_of(AQGD(**epochs))
    expected = [*points[:: 2 * 3 + 1][1:], their.x]
    size = min(len(iterates), len(expected))
    assert size > 15
    np.testing.assert_allclose(iterates[:size], expected[:size], rtol=0, atol=1e-12)


def test_a_value_and_all_shifts_are_one_wave():
    waves = []

    @vectorized
    def fun(points):
        waves.append(points.copy())
        return np.cos(points) @ AMPLITUDES

    result = AQGD(maxiter=2).minimize(fun, START)
    assert [len(wave) for wave in waves] == [7, 7, 1]
    assert result.nfev == 15
    assert np.array_equal(waves[0][0], START)
    shifts = np.abs(waves[0][1:] - START).max(axis=1)
    assert shifts == pytest.approx(np.pi / 2)
    waves.clear()
    assert AQGD(maxiter=2).minimize(fun, START, Differences()).nfev == 9


def test_groups_are_qiskits_last_argument():
    lengths = []

    def grouped(stack):  # as Qiskit's hands them over, one row too
        lengths.append(len(stack))
        return [waves_of(x) for x in stack]

    AQGD(1, 1.0, 1e-6, 0.25, 1e-6, 10, 4).minimize(grouped, START)
    assert lengths == [4, 3, 1]


def test_it_converges_when_a_step_is_short():
    iterates, result = iterates_of(AQGD(eta=0.5, tol=0.0, param_tol=1e-4))
    assert (result.stop, result.success) == (StopReason.STEP, True)
    steps = np.abs(np.diff(iterates, axis=0)).max(axis=1)
    assert steps[-1] < 1e-4 <= steps[:-1].min()
    assert result.nfev == 7 * result.nit + 1
    assert result.fun == waves_of(result.x) == pytest.approx(-AMPLITUDES.sum(), abs=1e-6)


@pytest.mark.parametrize("averaging", [1, 3, 10])
def test_it_converges_when_the_average_of_values_stands(averaging):
    optimizer = AQGD(eta=0.1, tol=1e-3, param_tol=0.0, averaging=averaging)
    iterates, result = iterates_of(optimizer)
    assert (result.stop, result.success) == (StopReason.FUN, True)
    values = [waves_of(x) for x in [START, *iterates]]
    means = np.convolve(values, np.full(averaging, 1 / averaging), "valid")
    changes = np.abs(np.diff(means))
    assert changes[-1] < 1e-3 <= changes[:-1].min()
    assert result.jac is not None


def test_the_start_is_not_changed():
    # Qiskit's changes it in place.
    start = START.copy()
    AQGD(maxiter=3).minimize(waves_of, start)
    assert np.array_equal(start, START)
    AQGD(maxiter=3).minimize(waves_of, [1, 2, 3])  # whole numbers are numbers


def test_probes_stay_inside_bounds_and_steps_are_projected():
    seen = []

    def fun(x):
        seen.append(x)
        return waves_of(x)

    bounds = [(0, 2), (-2.0, 4.0), (None, None)]
    result = AQGD(eta=0.4).minimize(fun, START, bounds=bounds)
    low, high = np.array([(0, 2), (-2, 4), (-np.inf, np.inf)]).T
    assert np.all((np.array(seen) >= low) & (np.array(seen) <= high))
    assert result.success
    assert result.x == pytest.approx([2.0, -2.0, np.pi], abs=1e-2)


def test_momentum_into_a_bound_is_no_convergence():
    optimizer = AQGD(eta=0.9, momentum=0.8, tol=1e-12, averaging=1)
    iterates, result = iterates_of(
        optimizer,
        lambda x: float((x[0] - 0.3) ** 2) / 2,
        [3.0],
        lambda x: x - 0.3,
        bounds=[(0, None)],
    )
    assert np.count_nonzero(iterates == 0.0) >= 2
    assert result.success
    assert result.x == pytest.approx([0.3], abs=1e-2)


def test_a_rejected_point_makes_no_jump():
    def fun(x):
        return np.nan if x[0] > 1.5 else float((x[0] - 2) ** 2) / 2

    iterates, result = iterates_of(
        AQGD(maxiter=60, eta=0.2), fun, [0.0], lambda x: x - 2, on_failure="reject"
    )
    assert np.abs(np.diff(iterates, axis=0)).max() < 1.0
    assert result.nrejected > 0
    assert result.fun == fun(result.x) < 0.25


def test_it_minimises_the_energy_of_a_molecule():
    energy = h2()
    result = AQGD(eta=0.4).minimize(energy, energy.x0)
    assert result.success
    assert result.fun == pytest.approx(energy.ground_energy, abs=1e-4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"momentum": 1.0}, r"momentum is 1.0, expected a number in \[0, 1\)"),
        ({"momentum": -0.1}, "momentum is -0.1"),
        ({"maxiter": [10, 20]}, "expected the same length"),
        ({"eta": [0.1, 0.2]}, "expected the same length"),
        ({"maxiter": []}, "one for each epoch"),
        ({"eta": "fast"}, "one for each epoch"),
        ({"eta": [np.nan]}, "expected a number"),
        ({"maxiter": [1.5]}, "maxiter is 1.5"),
        ({"maxiter": -1}, "maxiter is -1"),
        ({"averaging": 0}, "averaging is 0"),
        ({"param_tol": -1.0}, "param_tol is -1.0"),
        ({"tol": -1.0}, "tol is -1.0"),
    ],
)
def test_what_cannot_be_used_is_an_error_at_once(given, words):
    with pytest.raises(OptionError, match=words):
        AQGD(**given)
    optimizer = AQGD()
    with pytest.raises(OptionError, match=words):
        optimizer.set_options(**given)
    assert optimizer == AQGD()


def test_epochs_are_the_optimizers_own():
    rates = [0.1, 0.2]
    optimizer = AQGD([5, 5], rates, momentum=[0.1, 0.2])
    rates[0] = 7.0
    optimizer.settings["eta"][0] = 8.0
    assert optimizer.eta == [0.1, 0.2]
    assert AQGD(**optimizer.settings) == optimizer
    optimizer.set_options(maxiter=[3, 3])
    assert optimizer.maxiter == [3, 3]


def test_no_steps_are_the_value_at_the_start():
    result = AQGD(maxiter=0).minimize(waves_of, START)
    assert (result.nfev, result.nit, result.stop) == (1, 0, StopReason.MAXITER)


@pytest.mark.parametrize("averaging", [1, 2, 4, 10])
def test_a_cycle_between_corners_is_no_convergence(averaging):
    def steep(x):
        return 50 * float(((x - 0.3) ** 2).sum())

    result = AQGD(eta=1.0, averaging=averaging).minimize(
        steep, [0.4, 0.2], "3-point", bounds=[(-3, 3)] * 2
    )
    assert not result.success
    assert result.best.fun <= steep(np.array([0.4, 0.2]))


def test_values_that_agree_by_chance_are_no_convergence():
    for seed in range(6):
        energy = h2(shots=100, noise_seed=seed)
        result = AQGD(maxiter=60).minimize(energy, energy.x0)
        assert (result.success, result.stop) == (False, StopReason.MAXITER)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
@pytest.mark.parametrize("name", ["AQGD", "ADAM", "GradientDescent", "LBFGSB"])
def test_differences_that_overflow_are_those_of_a_bad_point(name, jac):
    rates = {"AQGD": {"eta": 1.0}, "ADAM": {"lr": 1.0}, "GradientDescent": {"learning_rate": 1.0}}
    optimizer = getattr(optimizers, name)(**rates.get(name, {}))

    def cliff(x):
        return (x[0] - 2) ** 2 if x[0] < 0.3 else 1e305 * (2 + np.sin(1e9 * np.tanh(x[0])))

    result = optimizer.minimize(cliff, [0.0], jac, maxfun=60)
    assert np.isfinite(result.fun)


def test_a_start_whose_differences_overflow_is_named():
    with pytest.raises(
        optimizers.NonFiniteValueError, match=r"gradient source .* This is the start"
    ):
        AQGD().minimize(lambda x: 1e305 * np.sign(x[0]), [-1e-9], "3-point")
