import pickle

import numpy as np
import pytest
from scipy.optimize import minimize

from optimizers.problems import VQE, h2

PAULI = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0 + 0j, -1.0]),
}

# Every axis, strings of odd and even numbers of Y, the identity, and strings that share a basis.
HAMILTONIANS = [
    {"Z": 0.7, "X": -0.4, "Y": 1.3, "I": 0.25},
    {"II": -1.0, "ZI": 0.3, "YY": 0.8, "XY": -0.6, "YX": 0.2, "ZZ": 0.5, "XX": -0.9},
    {"XYZ": 0.4, "YIY": -1.1, "ZZI": 0.6, "IXX": 0.7, "YYX": 0.35, "IIZ": -0.2},
    {"ZZII": -1.0, "IZZI": -1.0, "IIZZ": -1.0, "XIII": -0.5, "IXII": -0.5, "IIXI": -0.5},
    {"ZIIIIX": 0.3, "XXXXXX": -0.8, "YYYYII": 0.5, "IYIIYI": 0.9, "IIIIII": 2.0},
]


def kron_all(factors):
    product = np.eye(1, dtype=complex)
    for factor in factors:
        product = np.kron(product, factor)
    return product


def dense_hamiltonian(hamiltonian):
    return sum(c * kron_all(PAULI[axis] for axis in label) for label, c in hamiltonian.items())


def on_qubit(gates, num_qubits):
    """A tensor product from a mapping of qubit to gate; qubit 0 is the last factor."""
    return kron_all(gates.get(q, PAULI["I"]) for q in reversed(range(num_qubits)))


def dense_state(x, num_qubits, reps):
    """The circuit as a product of dense matrices: nothing shared with the code under test."""
    zero, one = np.diag([1.0 + 0j, 0.0]), np.diag([0.0 + 0j, 1.0])
    state = np.zeros(2**num_qubits, dtype=complex)
    state[0] = 1.0
    layers = np.reshape(x, (reps + 1, num_qubits))
    for layer, angles in enumerate(layers):
        for q, angle in enumerate(angles):
            rotation = np.cos(angle / 2) * PAULI["I"] - 1j * np.sin(angle / 2) * PAULI["Y"]
            state = on_qubit({q: rotation}, num_qubits) @ state
        if layer < reps:
            for q in range(num_qubits - 1):
                idle = on_qubit({q: zero}, num_qubits)
                flip = on_qubit({q: one, q + 1: PAULI["X"]}, num_qubits)
                state = (idle + flip) @ state
    return state


def dense_energy(vqe, x, reps):
    state = dense_state(x, vqe.num_qubits, reps)
    return (state.conj() @ dense_hamiltonian(vqe.hamiltonian) @ state).real


@pytest.mark.parametrize("hamiltonian", HAMILTONIANS, ids=lambda h: f"{len(next(iter(h)))}q")
@pytest.mark.parametrize("reps", [0, 1, 3])
def test_energy_is_that_of_the_dense_matrices(hamiltonian, reps):
    vqe = VQE(hamiltonian, reps=reps, seed=3)
    assert vqe.n == vqe.num_qubits * (reps + 1)
    assert vqe(vqe.x0) == pytest.approx(dense_energy(vqe, vqe.x0, reps), abs=1e-12)


@pytest.mark.parametrize("hamiltonian", HAMILTONIANS, ids=lambda h: f"{len(next(iter(h)))}q")
def test_ground_energy_is_the_least_eigenvalue(hamiltonian):
    spectrum = np.linalg.eigvalsh(dense_hamiltonian(hamiltonian))
    assert VQE(hamiltonian).ground_energy == pytest.approx(spectrum[0], abs=1e-12)


@pytest.mark.parametrize("hamiltonian", HAMILTONIANS, ids=lambda h: f"{len(next(iter(h)))}q")
def test_parameter_shift_gradient_agrees_with_differences(hamiltonian):
    vqe = VQE(hamiltonian, reps=2, seed=5)
    step = 1e-5 * np.eye(vqe.n)
    differences = (vqe(vqe.x0 + step) - vqe(vqe.x0 - step)) / 2e-5
    # Central differences: an error of step**2 and of rounding / step, both about 1e-10.
    np.testing.assert_allclose(vqe.jac(vqe.x0), differences, atol=1e-8)


def test_h2_has_its_published_ground_energy():
    vqe = h2()
    assert (vqe.n, vqe.num_qubits) == (6, 2)
    assert vqe.ground_energy == pytest.approx(-1.857275030202, abs=1e-12)


@pytest.mark.parametrize("method", ["TNC", "L-BFGS-B"])
@pytest.mark.parametrize("with_gradient", [True, False])
def test_h2_is_solved_from_its_start(method, with_gradient):
    vqe = h2()
    result = minimize(vqe, vqe.x0, jac=vqe.jac if with_gradient else None, method=method)
    assert 0.0 <= result.fun - vqe.ground_energy + 1e-12 <= 1e-8


def test_shapes_of_points_and_stacks():
    vqe = h2()
    points = np.random.default_rng(1).uniform(-3.0, 3.0, (4, 6))
    one_by_one = np.array([vqe(x) for x in points])
    assert isinstance(vqe(points[0]), float)
    for stack in (points, points.ravel(), points.tolist()):
        energies = vqe(stack)
        assert energies.shape == (4,)
        np.testing.assert_allclose(energies, one_by_one, atol=1e-14)
    assert vqe(points[:1]).shape == (1,)
    assert vqe(points[:0]).shape == (0,)
    gradients = vqe.jac(points)
    assert gradients.shape == (4, 6)
    np.testing.assert_allclose(gradients, [vqe.jac(x) for x in points], atol=1e-14)
    assert vqe.jac(points[0]).shape == (6,)
    assert vqe.jac(points[:0]).shape == (0, 6)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (7,), (2, 5), (6, 1), (1, 1, 6)])
def test_another_shape_is_an_error_that_names_it(shape):
    vqe = h2()
    for function in (vqe, vqe.jac):
        with pytest.raises(ValueError, match=r"expected \(6,\) for one point") as error:
            function(np.zeros(shape))
        assert f"x has shape {shape}" in str(error.value)


def test_points_and_attributes_are_not_shared():
    vqe = h2()
    x = vqe.x0
    before = x.copy()
    vqe(x)
    vqe.jac(x)
    np.testing.assert_array_equal(x, before)
    x[:] = 0.0
    vqe.hamiltonian.clear()
    np.testing.assert_array_equal(vqe.x0, before)
    assert len(vqe.hamiltonian) == 5


def test_start_is_drawn_from_the_seed():
    expected = np.random.default_rng(11).uniform(-np.pi, np.pi, 4)
    np.testing.assert_array_equal(h2(reps=1, seed=11).x0, expected)


def test_sampled_energy_has_the_mean_and_variance_of_its_measurement():
    hamiltonian = {"II": 5.0, "XX": 0.8, "YY": -0.6, "ZZ": 0.5, "IZ": 0.3}
    shots, repeats = 50, 4000
    vqe = VQE(hamiltonian, reps=1, seed=2, shots=shots, noise_seed=9)
    samples = vqe(np.tile(vqe.x0, (repeats, 1)))
    state = dense_state(vqe.x0, 2, 1)
    # Three bases: XX; YY; ZZ together with IZ. The identity has no variance.
    variance = 0.0
    for group in ({"XX": 0.8}, {"YY": -0.6}, {"ZZ": 0.5, "IZ": 0.3}):
        operator = dense_hamiltonian(group)
        mean = (state.conj() @ operator @ state).real
        variance += ((state.conj() @ operator @ operator @ state).real - mean**2) / shots
    # Five standard errors of the mean; a sample variance of near-normal values has a relative
    # standard error of sqrt(2 / repeats), of which again five.
    exact = VQE(hamiltonian, reps=1)(vqe.x0)
    assert abs(samples.mean() - exact) < 5.0 * np.sqrt(variance / repeats)
    assert abs(samples.var() / variance - 1.0) < 5.0 * np.sqrt(2.0 / repeats)


@pytest.mark.parametrize("hamiltonian", HAMILTONIANS, ids=lambda h: f"{len(next(iter(h)))}q")
def test_many_shots_approach_the_exact_energy(hamiltonian):
    exact, noisy = VQE(hamiltonian, seed=4), VQE(hamiltonian, seed=4, shots=10**8, noise_seed=0)
    # No outcome is larger than the sum of the coefficients: a standard deviation of at most 6e-4.
    bound = 5.0 * sum(map(abs, hamiltonian.values())) * 1e-4
    assert abs(exact(exact.x0) - noisy(exact.x0)) < bound
    np.testing.assert_allclose(exact.jac(exact.x0), noisy.jac(exact.x0), atol=bound)


def test_identity_alone_has_no_noise():
    vqe = VQE({"III": 1.5}, shots=1, noise_seed=0)
    assert vqe(vqe.x0) == 1.5
    np.testing.assert_array_equal(vqe.jac(vqe.x0), np.zeros(vqe.n))


def test_terms_of_one_basis_are_measured_together():
    # In a common eigenstate of all strings, |00>, their sum is certain even with a single shot;
    # strings of one basis give values that belong together.
    vqe = VQE({"ZZ": 1.0, "ZI": 1.0, "IZ": 1.0}, reps=0, shots=1, noise_seed=0)
    assert vqe(np.zeros(2)) == 3.0
    # One shot gives one of 3, -1 and -1, -1: sampled apart there would be values such as 1.
    values = {vqe(np.array([1.2, 2.0])) for _ in range(60)}
    assert values == {3.0, -1.0}


def test_noise_is_reproduced_by_its_seed():
    first, again, other = (h2(shots=100, noise_seed=seed) for seed in (1, 1, 2))
    points = np.tile(first.x0, (20, 1))
    expected = first(points)
    # A stack draws the same samples as its points one after another.
    np.testing.assert_array_equal([again(x) for x in points], expected)
    assert not np.array_equal(other(points), expected)
    assert len(set(expected)) > 1


@pytest.mark.parametrize("shots", [None, 100])
def test_copies_by_pickle_agree(shots):
    vqe = h2(shots=shots, noise_seed=3)
    copy = pickle.loads(pickle.dumps(vqe))
    assert repr(copy) == repr(vqe)
    assert copy(vqe.x0) == vqe(vqe.x0)
    np.testing.assert_array_equal(copy.jac(vqe.x0), vqe.jac(vqe.x0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hamiltonian": {}}, "one and the same length"),
        ({"hamiltonian": {"": 1.0}}, "one and the same length"),
        ({"hamiltonian": {"X": 1.0, "XX": 1.0}}, "one and the same length"),
        ({"hamiltonian": {"XA": 1.0}}, "label 'XA'"),
        ({"hamiltonian": {"X": 1j}}, "a finite real number"),
        ({"hamiltonian": {"X": np.nan}}, "a finite real number"),
        ({"hamiltonian": {"X": 1.0}, "reps": -1}, "reps=-1"),
        ({"hamiltonian": {"X": 1.0}, "shots": 0}, "shots=0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VQE(**arguments)


def test_repr():
    assert repr(h2(shots=10)) == "<VQE: 2 qubits, 5 terms, reps=2, n=6, shots=10>"
    assert h2(shots=10).shots == 10


# Standard errors.


def test_errors_come_with_sampled_energies_only():
    assert isinstance(h2(errors=True)(h2().x0), float)
    plain, told = h2(shots=50, noise_seed=3), h2(shots=50, noise_seed=3, errors=True)
    value, error = told(told.x0)
    assert value == plain(plain.x0)
    assert type(value) is type(error) is float
    stack = np.tile(told.x0, (4, 1)) + np.arange(4)[:, None]
    values, errors = told(stack)
    assert values.shape == errors.shape == (4,)
    np.testing.assert_array_equal(values, plain(stack))
    np.testing.assert_array_equal(told(stack.ravel())[0], plain(stack.ravel()))
    np.testing.assert_array_equal(told.jac(told.x0), plain.jac(plain.x0))


def test_errors_are_the_deviation_of_repeated_energies():
    energy = h2(shots=200, noise_seed=5, errors=True)
    values, errors = energy(np.tile(energy.x0, (4000, 1)))
    # The deviation of 4000 normal numbers is known to about 1.1 %.
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.05)


def test_a_single_shot_does_not_know_its_error():
    value, error = h2(shots=1, errors=True)(h2().x0)
    assert np.isfinite(value)
    assert np.isnan(error)


def test_an_energy_without_scatter_has_no_error():
    assert VQE({"ZZ": 1.0}, reps=0, shots=10, errors=True)(np.zeros(2)) == (1.0, 0.0)


def test_measured_energies_have_the_shots_that_are_asked_for():
    from optimizers.evaluation.marks import is_vectorized, takes_shots
    from optimizers.problems import ising

    energy = ising(noise_seed=1)
    assert is_vectorized(energy.measured)
    assert takes_shots(energy.measured)
    points, shots = np.tile(energy.x0, (4000, 1)), np.tile([10, 1000], 2000)
    values, errors = energy.measured(points, shots)
    for few in (0, 1):  # errors as they are found among many
        found, told = values[few::2].std(), np.sqrt(np.mean(errors[few::2] ** 2))
        assert found == pytest.approx(told, rel=0.05)
    assert values.mean() == pytest.approx(energy(energy.x0), abs=0.02)
    assert np.isnan(energy.measured(points[:1], np.array([1]))[1])
    fixed = ising(shots=50, noise_seed=3, errors=True)(energy.x0)
    chosen = ising(noise_seed=3).measured(energy.x0[np.newaxis], np.array([50]))
    assert [part[0] for part in chosen] == list(fixed)
