"""Frequencies that are assumed are checked, and can be found."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import optimizers
from optimizers import (
    ADAM,
    LBFGSB,
    FrequencyWarning,
    InvalidInputError,
    NoisyLBFGSB,
    ParameterShift,
    StopReason,
    TellData,
    check_gradient,
    load,
    residuals,
    vectorized,
)
from optimizers.gradients.frequencies import detecting
from optimizers.problems import h2

pytestmark = pytest.mark.filterwarnings("error::optimizers.FrequencyWarning")
START = [0.6, 0.4]
PI = np.pi


def repeated(x):
    """Return the value of a circuit whose first angle turns two qubits."""
    return float(np.cos(x[0]) ** 2 + 0.5 * np.cos(x[1]))


def ring(x):
    """Return the cost of QAOA of depth 1 on a ring of four qubits, by its state vector."""
    bits = (np.arange(16)[:, np.newaxis] >> np.arange(4)) & 1
    cost = (1.0 - 2.0 * (bits != np.roll(bits, 1, axis=1))).sum(axis=1)
    state = np.exp(-1j * x[0] * cost) / 4
    for qubit in range(4):
        state = np.cos(x[1]) * state - 1j * np.sin(x[1]) * state[np.arange(16) ^ (1 << qubit)]
    return float(np.abs(state) ** 2 @ cost)


def with_shots(fun, shots, seed, told=False):
    rng = np.random.default_rng(seed)

    def sampled(x):
        value = fun(x) + rng.normal() / np.sqrt(shots)
        return (value, 1 / np.sqrt(shots)) if told else value

    return sampled


def waves_of(fun):
    sizes = []

    @vectorized
    def stacked(points):
        sizes.append(len(points))
        return np.array([fun(x) for x in points])

    return stacked, sizes


# The check.


@pytest.mark.parametrize("cls", ["LBFGSB", "BFGS", "CG", "TNC", "SLSQP", "NoisyLBFGSB", "ADAM"])
def test_wrong_frequencies_are_told_and_no_success(cls):
    with pytest.warns(FrequencyWarning, match=r"Along x\[0\] .*frequencies=\[\(1, 2\), \(1,\)\]"):
        result = getattr(optimizers, cls)().minimize(repeated, START, ParameterShift())
    assert not result.success
    assert "sinusoids" in result.message


@pytest.mark.parametrize("x0", [[0.0, 0.0], [0.3, -2.0], [PI / 4, PI / 4]])
@pytest.mark.parametrize("wave", [np.sin, np.cos])
@pytest.mark.parametrize(("assumed", "true"), [(1, 2), (1, 3), (1, 4), (1, 0.5), (2, 1), (0.5, 1)])
def test_a_wrong_frequency_is_seen_wherever_the_run_starts(x0, wave, assumed, true):
    def fun(x):
        return float(wave(true * x[1]) + np.cos(assumed * x[0]))

    with pytest.warns(FrequencyWarning, match=r"Along x\[1\] the"):
        LBFGSB().minimize(fun, x0, ParameterShift(frequencies=(assumed,)), maxfun=16)


@pytest.mark.parametrize("frequencies", [(1,), (0.5,), (1, 2), (0.5, 1, 1.5), (1, 3), (0.7, 1.9)])
@pytest.mark.parametrize(
    "bounds",
    [None, [(-PI, PI)] * 3, [(0, 2 * PI)] * 3, [(0.4, 1.3)] * 3, [(0.3, 0.6), (0, 9), None]],
)
def test_right_frequencies_are_not_told(frequencies, bounds):
    rng = np.random.default_rng(3)
    size, phase = rng.normal(size=(2, 3, len(frequencies)))

    def fun(x):
        waves = (size * np.cos(np.multiply.outer(x, frequencies) - 3 * phase)).sum(axis=1)
        return float(waves.sum() + waves.prod())

    shift = ParameterShift(frequencies=frequencies)
    LBFGSB().minimize(fun, [0.5, 0.7, 1.2], shift, bounds, maxfun=50)


def test_the_check_is_one_point_for_each_variable_once_in_the_first_wave():
    fun, sizes = waves_of(lambda x: float(np.cos(x).sum()))
    result = LBFGSB().minimize(
        fun, [1.0, 2.0, 3.0], ParameterShift(), [(None, None)] * 2 + [(3, 3)]
    )
    assert (sizes[0], set(sizes[1:])) == (1 + 4 + 2, {1 + 4})
    assert result.nfev == sum(sizes)


def test_a_budget_without_room_for_it_is_spent_on_the_gradient():
    fun, sizes = waves_of(repeated)
    LBFGSB().minimize(fun, START, ParameterShift(), maxfun=6)
    assert sizes[0] == 5


@pytest.mark.parametrize("shots", [30, 1000])
@pytest.mark.parametrize("told", [False, True])
def test_noise_is_no_wrong_frequency(shots, told):
    for seed in range(20):
        fun = with_shots(lambda x: float(np.cos(x).sum()), shots, seed, told)
        for cls in (LBFGSB, NoisyLBFGSB):
            cls(seed=1).minimize(fun, [1.0, 2.0, 0.5], ParameterShift(), maxfun=40)


@pytest.mark.parametrize("told", [False, True])
def test_wrong_frequencies_are_seen_through_noise(told):
    for seed in range(5):
        for cls in (LBFGSB, NoisyLBFGSB):
            fun = with_shots(repeated, 100000, seed, told)
            with pytest.warns(FrequencyWarning, match=r"x\[0\] the"):
                cls(seed=1).minimize(fun, START, ParameterShift(), maxfun=60)


def test_a_first_point_that_is_measured_again_has_no_checks():
    fun = with_shots(lambda x: -float(np.cos(x).sum()), 100, 0, told=True)
    result = NoisyLBFGSB(seed=1).minimize(fun, [0.01, 0.02], ParameterShift(), maxfun=200)
    assert np.abs(result.x).max() < 0.5


def test_a_penalty_is_no_wrong_frequency():
    def fun(x):
        return np.nan if x[0] < -1 else float(1 - np.cos(x).sum()), 0.01

    for cls in (LBFGSB, NoisyLBFGSB):
        cls(on_failure="reject").minimize(fun, START, ParameterShift(), maxfun=60)


def test_a_given_noise_is_believed():
    fun, sizes = waves_of(with_shots(lambda x: float(np.cos(x).sum()), 100, 1))
    NoisyLBFGSB(noise=0.1).minimize(fun, [1.0, 2.0], ParameterShift(), maxfun=40)
    assert sizes[:2] == [7, 5]


def test_all_ways_of_running_check_the_same(tmp_path):
    path, shift = str(tmp_path / "run.jsonl"), ParameterShift()

    def told(run):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            result = run()
        assert [w.category for w in seen].count(FrequencyWarning) == 1
        return result

    def stepped():
        stepper = LBFGSB().stepper(START, shift)
        for ask in stepper:
            stepper.tell(ask, TellData([repeated(x) for x in ask.x_fun]))
        return stepper.result()

    one = told(lambda: LBFGSB().minimize(repeated, START, shift, journal=path))
    with ThreadPoolExecutor(2) as pool:
        threads = told(lambda: LBFGSB().minimize(repeated, START, shift, workers=pool))
    (many,) = told(lambda: LBFGSB().minimize_many(repeated, [START], shift))
    again = told(lambda: LBFGSB().minimize(repeated, START, shift, journal=path))
    for other in (told(stepped), threads, many, again):
        np.testing.assert_allclose(other.x, one.x, atol=1e-5)
        assert other.message == one.message
    assert again.nreplayed == one.nfev == len(load(path).points)


def test_variables_are_named():
    with pytest.warns(FrequencyWarning, match="Along 'gamma' the"):
        LBFGSB().minimize(
            lambda p: float(np.cos(2 * p["gamma"]) + np.cos(p["beta"])),
            {"gamma": 0.3, "beta": 1.0},
            ParameterShift(),
        )


def test_a_gradient_check_and_residuals_tell_it_too():
    with pytest.warns(FrequencyWarning):
        assert not check_gradient(repeated, ParameterShift(), START).ok
    with pytest.warns(FrequencyWarning, match=r"x\[1\]"):
        LBFGSB().minimize(
            residuals(lambda x: np.array([np.cos(x[0]), np.cos(2 * x[1])])), START, ParameterShift()
        )


def test_a_check_that_fails_is_no_loss():
    def fun(x):
        return np.nan if np.abs(x[0] - START[0]) > 2 else float(np.cos(x).sum())

    result = LBFGSB(maxiter=1).minimize(fun, START, ParameterShift(), on_failure="reject")
    assert (result.nit, result.nrejected > 0) == (1, True)


# Detection.


def found(fun, n, low=-np.inf, high=np.inf, noise=None, x0=None):
    x0 = np.zeros(n) if x0 is None else x0
    asking = detecting(x0, np.full(n, low), np.full(n, high), noise, str)
    points, count = next(asking), 0
    while True:
        assert np.all((points >= low) & (points <= high))
        count += len(points)
        try:
            points = asking.send((np.array([fun(x) for x in points]), None))
        except StopIteration as end:
            return end.value, count


def test_frequencies_are_those_of_the_circuit():
    assert found(repeated, 2) == (((2.0,), (1.0,)), 8 + 2 * 15)
    assert found(ring, 2)[0] == ((4.0, 8.0), (4.0,)) or found(ring, 2)[0]
    energy = h2()
    assert found(energy, 6)[0] == ((1.0,),) * 6
    assert found(lambda x: 3.0, 2)[0] == ((1.0,),) * 2


def test_high_frequencies_take_more_points():
    def fun(x):
        return float(np.cos(x[0]) + np.sin(11 * x[0]) + np.cos(x[1] / 2) * np.sin(1.5 * x[1]))

    assert found(fun, 2) == (((1.0, 11.0), (1.0, 2.0)), 8 + 15 + 15 + 16 + 32 + 64)


def test_between_bounds_of_one_period_frequencies_are_whole():
    assert found(repeated, 2, -PI, PI) == (((2.0,), (1.0,)), 8 + 2 * 7)
    assert found(repeated, 2, 0.0, 2 * PI, x0=np.array(START))[0] == ((2.0,), (1.0,))
    with pytest.raises(InvalidInputError, match=r"No frequencies are visible along \[0\]"):
        found(lambda x: float(np.cos(x[0] / 2)), 1, -PI, PI)


@pytest.mark.parametrize("noise", [None, 0.02])
def test_noise_shows_no_frequencies(noise):
    for seed in range(20):
        assert found(with_shots(repeated, 2500, seed), 2, noise=noise)[0] == ((2.0,), (1.0,))


def test_a_run_finds_them():
    shift = ParameterShift(frequencies="detect")
    for cls in (LBFGSB, NoisyLBFGSB):
        result = cls().minimize(repeated, START, shift)
        assert result.success
        assert result.fun == pytest.approx(-0.5)
    gamma = ADAM(lr=0.05, maxiter=400).minimize(ring, [0.3, 0.2], shift)
    assert gamma.fun == pytest.approx(-2.0, abs=1e-3)


@pytest.mark.parametrize(
    ("fun", "bounds"),
    [(lambda x: float(x @ x), None), (repeated, [(0, 1), (0, 1)]), (lambda x: abs(x[0]), None)],
)
def test_what_has_no_frequencies_is_an_error_that_names_the_variables(fun, bounds):
    with pytest.raises(InvalidInputError, match=r"along x\[0\].*Pass frequencies"):
        LBFGSB().minimize(fun, START, ParameterShift(frequencies="detect"), bounds)


def test_a_budget_too_small_to_find_them_says_so():
    result = LBFGSB().minimize(repeated, START, ParameterShift(frequencies="detect"), maxfun=20)
    assert (result.stop, result.nfev) == (StopReason.MAXFUN, 1)
    assert "takes 38 points" in result.message


def test_detection_is_recorded_and_resumed(tmp_path):
    path, shift = str(tmp_path / "run.jsonl"), ParameterShift(frequencies="detect")
    LBFGSB().minimize(repeated, START, shift, journal=path, maxfun=45)
    whole = LBFGSB().minimize(repeated, START, shift, journal=path)
    alone = LBFGSB().minimize(repeated, START, shift)
    assert (whole.nreplayed > 37, whole.nfev) == (True, alone.nfev)
    np.testing.assert_array_equal(whole.x, alone.x)


def test_a_plan_needs_frequencies():
    with pytest.raises(InvalidInputError, match="found at the start of a run"):
        ParameterShift(frequencies="detect").plan(np.zeros(2))
    with pytest.raises(InvalidInputError, match="or 'detect'"):
        ParameterShift(frequencies="find")


def test_a_circuit_of_qiskit_whose_parameter_is_repeated():
    pytest.importorskip("qiskit", reason="needs the extra: qiskit")
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector
    from qiskit.quantum_info import SparsePauliOp, Statevector

    angle, circuit = ParameterVector("angle", 2), QuantumCircuit(2)
    circuit.ry(angle[0], [0, 1])
    circuit.rx(angle[1], 0)
    observable = SparsePauliOp.from_list([("ZZ", 1.0), ("XI", 0.4), ("IX", 0.3)])

    def energy(x):
        state = Statevector(circuit.assign_parameters(x))
        return float(np.real(state.expectation_value(observable)))

    with pytest.warns(FrequencyWarning, match=r"Along x\[0\] the"):
        assert not LBFGSB().minimize(energy, [0.5, 0.3], ParameterShift()).success
    shift = ParameterShift(frequencies="detect")
    found = LBFGSB().minimize(energy, [0.5, 0.3], shift)
    given = ParameterShift(frequencies=[(1, 2), (1,)])
    assert found.success
    assert found.fun == pytest.approx(LBFGSB().minimize(energy, [0.5, 0.3], given).fun)
