import sys

import numpy as np
import pytest

from optimizers import (
    QNSPSA,
    SPSA,
    InvalidValueError,
    MissingExtraError,
    NonFiniteValueError,
    OptionError,
    StopReason,
    vectorized,
)
from optimizers.problems import h2
from tests.making import fidelity

RATES = {"learning_rate": 0.1, "perturbation": 0.1}
X0 = [0.5, -1.0, 2.0]


def bowl(x):
    return float(x @ x)


def exact_metric(energy, x):
    """Return the metric of Fubini and Study: for real states, the products of derivatives."""
    # A rotation by an angle more, of pi, is twice the derivative by it.
    derivatives = energy.states(x + np.pi * np.eye(energy.n)) / 2
    return derivatives @ derivatives.T


# The metric.


def test_the_sampled_metric_is_the_exact_one_on_average():
    energy, samples, batches = h2(), 1000, 20
    overlap = QNSPSA.get_fidelity(vectorized(energy.states))
    seen = []
    for seed in range(batches):
        QNSPSA(
            overlap,
            maxiter=1,
            resamplings=samples,
            blocking=False,
            regularization=0.0,
            lse_solver=lambda metric, gradient: seen.append(metric) or gradient,
            seed=seed,
            learning_rate=0.1,
            perturbation=0.01,
        ).minimize(vectorized(energy), energy.x0)
    # The running mean begins with the identity.
    means = 2 * np.array(seen) - np.eye(energy.n)
    error = means.std(axis=0, ddof=1) / np.sqrt(batches)
    off = np.abs(means.mean(axis=0) - exact_metric(energy, energy.x0))
    # The bias of a step c is about c^2 = 1e-4. With other seeds, one of 21 entries would be beyond
    # five of its standard errors, estimated from 20 batches, in about 600 tests.
    assert (off <= 5 * error + 1e-4).all()
    assert error.max() < 0.01


def test_four_fidelities_tell_the_metric_of_one_variable():
    # cos^2 of half the distance: the metric is a quarter, up to the square of the step.
    seen = []
    QNSPSA(
        fidelity,
        maxiter=1,
        learning_rate=0.1,
        perturbation=0.01,
        regularization=0.0,
        lse_solver=lambda metric, gradient: seen.append(metric) or gradient,
    ).minimize(bowl, [0.3])
    assert 2 * seen[0] - 1 == pytest.approx(np.array([[0.25]]), rel=1e-4)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_the_ground_of_a_molecule(seed):
    energy = h2()
    overlap = QNSPSA.get_fidelity(vectorized(energy.states))
    result = QNSPSA(overlap, maxiter=300, resamplings=2, seed=seed).minimize(energy, energy.x0)
    assert result.fun - energy.ground_energy < 0.01


# Waves and counts.


def test_fidelities_of_an_iteration_are_one_wave_of_their_own():
    waves, sizes = [], []

    @vectorized
    def overlap(x, y):
        waves.append((x.copy(), y.copy()))
        return np.cos((x - y) / 2).prod(axis=1) ** 2

    @vectorized
    def fun(points):
        sizes.append(len(points))
        return (points**2).sum(axis=1)

    result = QNSPSA(overlap, maxiter=3, resamplings={1: 2}, seed=1).minimize(fun, X0)
    assert sizes == [76, 4, 1, 2, 1, 2, 1]
    assert result.nfev == sum(sizes)
    assert [len(x) for x, _ in waves] == [8, 4, 4]
    assert result.nhev == 3
    assert (waves[0][0] == X0).all()
    assert np.array_equal(
        QNSPSA(fidelity, maxiter=3, resamplings={1: 2}, seed=1).minimize(fun, X0).x, result.x
    )


def test_an_unmarked_fidelity_gets_groups_of_pairs_as_in_qiskit():
    shapes = []

    def overlap(x, y):
        shapes.append(x.shape)
        return np.cos((x - y) / 2).prod(axis=-1) ** 2

    def fun(x):  # an objective as for Qiskit's: one point, or a stack
        return (x**2).sum(axis=-1)

    alone = QNSPSA(overlap, maxiter=2, seed=1).minimize(fun, X0)
    assert shapes == [(3,)] * 8
    shapes.clear()
    grouped = QNSPSA(overlap, maxiter=2, seed=1, max_evals_grouped=3).minimize(fun, X0)
    assert shapes == [(3, 3), (1, 3)] * 2
    assert np.array_equal(grouped.x, alone.x)
    # One that takes pairs alone shows it at the first call.
    pairs = QNSPSA(fidelity, maxiter=2, seed=1, max_evals_grouped=50).minimize(fun, X0)
    assert np.array_equal(pairs.x, alone.x)


@pytest.mark.parametrize("given", [{}, {"journal": "run.jsonl"}, {"max_evals_grouped": 2}])
def test_the_fidelity_of_a_circuit_draws_from_the_runs_seed(given, tmp_path, monkeypatch):
    circuits = pytest.importorskip("qiskit.circuit", reason="needs the extra: qiskit")
    monkeypatch.chdir(tmp_path)
    angle = circuits.ParameterVector("p", 2)
    circuit = circuits.QuantumCircuit(1)
    circuit.ry(angle[0], 0)
    circuit.rx(angle[1], 0)
    overlap = QNSPSA.get_fidelity(circuit)

    def ends(seed, **further):
        optimizer = QNSPSA(overlap, maxiter=6, seed=seed, **further)
        return optimizer.minimize(lambda x: np.cos(x).sum(axis=-1), [0.4, 0.3]).x.tolist()

    expected = ends(2)
    assert ends(2, **given) == expected
    assert ends(3) != expected
    assert ends(np.random.default_rng(2)) == expected
    if "journal" in given:  # what was cut off is drawn as before
        lines = (tmp_path / "run.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "run.jsonl").write_text("".join(lines[: len(lines) - 8]))
        assert ends(2, **given) == expected


def test_the_gradient_is_that_of_spsa():
    # Without effect of the metric, for the delay: the steps are those of SPSA that draws as many.
    plain = SPSA(maxiter=10, blocking=True, second_order=True, hessian_delay=10, seed=4)
    natural = QNSPSA(fidelity, maxiter=10, hessian_delay=10, seed=4)
    assert np.array_equal(natural.minimize(bowl, X0).x, plain.minimize(bowl, X0).x)


def test_fidelities_are_recorded_in_a_journal(tmp_path):
    calls = []

    def overlap(x, y):
        calls.append(x)
        return fidelity(x, y)

    optimizer = QNSPSA(overlap, maxiter=4, seed=1, journal=tmp_path / "run.jsonl")
    first = optimizer.minimize(bowl, X0)
    assert len(calls) == 16
    again = optimizer.minimize(lambda x: pytest.fail("it is recorded"), X0, journal_check="off")
    assert len(calls) == 16
    assert np.array_equal(again.x, first.x)
    assert again.nhev == first.nhev == 4


# What goes wrong.


def test_without_a_fidelity_there_is_no_run():
    assert QNSPSA().is_bounds_supported
    with pytest.raises(OptionError, match="get_fidelity"):
        QNSPSA().minimize(pytest.fail, X0)
    with pytest.raises(OptionError, match=r"fidelity is 0\.5"):
        QNSPSA(0.5)


def test_a_failing_fidelity_ends_the_run_with_its_error_and_the_result_so_far():
    calls = []

    def failing(x, y):
        calls.append(x)
        if len(calls) > 4:
            raise ZeroDivisionError("no overlap")
        return fidelity(x, y)

    with pytest.raises(ZeroDivisionError, match="no overlap") as raised:
        QNSPSA(failing, maxiter=5, on_failure="reject", seed=1).minimize(bowl, X0)
    result = raised.value.optimizer_result
    assert (result.stop, result.nit, result.nfev) == (StopReason.FAILED, 1, 76 + 3 + 2)


@pytest.mark.parametrize(
    ("overlap", "error", "words"),
    [
        (lambda x, y: np.nan, NonFiniteValueError, "fidelity returned nan"),
        (lambda x, y: "much", InvalidValueError, "much"),
        (vectorized(lambda x, y: np.ones(3)), InvalidValueError, "wave of fidelities"),
    ],
)
def test_a_fidelity_that_is_none_is_said_so(overlap, error, words):
    with pytest.raises(error, match=words):
        QNSPSA(overlap, maxiter=5).minimize(bowl, X0)


def test_it_has_not_the_options_of_spsa_that_qiskit_leaves_out():
    optimizer = QNSPSA(fidelity, maxiter=9)
    assert "trust_region" not in optimizer.settings
    assert QNSPSA(**optimizer.settings) == optimizer
    with pytest.raises(AttributeError):
        optimizer.trust_region = True
    with pytest.raises(OptionError, match="without perturbation"):
        QNSPSA(fidelity, learning_rate=0.1)


# Where fidelities come from.


def test_the_fidelity_of_states_prepares_each_once():
    energy, prepared = h2(), []

    def state(x):
        prepared.append(x)
        return energy.states(x) * np.exp(1j * x[0])  # a phase that does not matter

    overlap = QNSPSA.get_fidelity(state)
    points = np.random.default_rng(1).normal(size=(3, 6))
    start = np.tile(energy.x0, (3, 1))
    found = overlap(start, points)
    assert len(prepared) == 4
    expected = [(energy.states(energy.x0) @ energy.states(point)) ** 2 for point in points]
    assert found == pytest.approx(expected)
    assert QNSPSA.get_fidelity(vectorized(energy.states))(start, points) == pytest.approx(expected)
    assert overlap(energy.x0, energy.x0) == pytest.approx([1.0])
    with pytest.raises(OptionError, match="no effect on a function"):
        QNSPSA.get_fidelity(state, object())
    with pytest.raises(OptionError, match="expected a Qiskit circuit"):
        QNSPSA.get_fidelity(3)
    with pytest.raises(InvalidValueError, match="state returned the shape"):
        QNSPSA.get_fidelity(lambda x: 1.0)(start, points)


def test_without_qiskit_the_error_names_the_extra(monkeypatch):
    class Circuit:
        num_parameters = 2

    monkeypatch.setitem(sys.modules, "qiskit.primitives", None)
    with pytest.raises(MissingExtraError, match=r"pip install qiskit qiskit-algorithms"):
        QNSPSA.get_fidelity(Circuit())


def test_the_fidelity_of_a_circuit_is_one_job_for_all_pairs():
    pytest.importorskip("qiskit_algorithms", reason="needs the extra: qiskit")
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector
    from qiskit.primitives import StatevectorSampler

    class Counting(StatevectorSampler):
        jobs = 0

        def run(self, pubs, *, shots=None):
            Counting.jobs += 1
            return super().run(pubs, shots=shots)

    angles = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(angles[0], 0)
    circuit.ry(angles[1], 1)
    overlap = QNSPSA.get_fidelity(circuit, Counting(default_shots=20_000, seed=1))
    xs, ys = np.zeros((3, 2)), np.array([[0.0, 0.0], [1.0, 0.0], [0.5, -2.0]])
    # Of 20000 shots: within five standard errors of a frequency.
    expected = [fidelity(x, y) for x, y in zip(xs, ys, strict=True)]
    assert overlap(xs, ys) == pytest.approx(expected, abs=5 * 0.5 / 20_000**0.5)
    assert Counting.jobs == 1
    result = QNSPSA(overlap, maxiter=3, seed=1).minimize(lambda x: float(np.cos(x).sum()), [1, 2])
    assert (Counting.jobs, result.nhev) == (4, 3)
    assert QNSPSA.get_fidelity(circuit)(xs[0], xs[0]) == pytest.approx([1.0])
