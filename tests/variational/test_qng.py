import numpy as np
import pytest
from scipy.linalg import expm

import optimizers
from optimizers import (
    QNG,
    QNSPSA,
    InvalidInputError,
    InvalidValueError,
    NonFiniteValueError,
    OptionError,
    ParameterShift,
    StopReason,
    vectorized,
)
from optimizers.problems import h2
from optimizers.variational.metric import FidelityMetric, as_blocks, natural
from tests.making import fidelity

PAULI = [np.array(rows) for rows in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]])]
#: What generates the rotation of each angle, in the order of the circuit.
GENERATORS = [
    *(np.kron(PAULI[k], np.eye(2)) for k in (1, 0)),
    *(np.kron(np.eye(2), PAULI[k]) for k in (1, 2)),
    np.kron(PAULI[2], PAULI[2]),
    np.kron(PAULI[0], PAULI[1]),
]
X0 = np.array([0.4, -0.7, 1.1, 0.3, 0.9, -0.2])


def state(x):
    """Return the state after rotations by each generator in turn."""
    vector = np.array([1.0, 0, 0, 0], dtype=complex)
    for angle, generator in zip(x, GENERATORS, strict=True):
        vector = expm(-0.5j * angle * generator) @ vector
    return vector


def metric(x):
    """Return the metric of Fubini and Study, from derivatives of the state."""
    whole, derivatives = state(x), []
    for i in range(len(x)):
        # A rotation by pi more is twice the derivative.
        derivatives.append(state(x + np.pi * np.eye(len(x))[i]) / 2)
    d = np.array(derivatives)
    berry = d.conj() @ whole
    return np.real(d.conj() @ d.T - np.outer(berry, berry.conj()))


def energy(x):
    found = state(x)
    observable = np.kron(PAULI[2], np.eye(2)) + 0.5 * np.kron(PAULI[0], PAULI[0])
    return float(np.real(found.conj() @ observable @ found))


OVERLAP = QNSPSA.get_fidelity(state)


def measured(blocks=None, shift=np.pi / 2, x=X0):
    shifted = FidelityMetric(as_blocks(blocks, len(x)), shift)
    points = shifted.points(x)
    return len(points), shifted.fold(OVERLAP(np.tile(x, (len(points), 1)), points), len(x))


@pytest.mark.parametrize("shift", [np.pi / 2, 1.0, 0.1])
def test_the_metric_of_fidelities_is_that_of_the_states(shift):
    count, found = measured(shift=shift)
    np.testing.assert_allclose(found, metric(X0), atol=1e-12 / shift**2)
    assert count == 2 * 6**2


def test_the_metric_of_blocks_is_part_of_it():
    blocks = [(0, 1), (2, 3, 5), (4,)]
    count, found = measured(blocks)
    assert count == 2 * (2**2 + 3**2 + 1)
    for block in blocks:
        np.testing.assert_allclose(
            found[np.ix_(block, block)], metric(X0)[np.ix_(block, block)], atol=1e-12
        )
    assert np.count_nonzero(found) <= 14
    np.testing.assert_allclose(measured("diagonal")[1], np.diag(np.diag(metric(X0))), atol=1e-12)


@pytest.mark.parametrize("blocks", [None, "diagonal", [(0, 1, 2), (3, 4, 5)]])
def test_steps_are_those_of_the_formula(blocks):
    optimizer = QNG(metric, maxiter=5, learning_rate=0.1, regularization=0.02, blocks=blocks)
    result = optimizer.minimize(energy, X0, ParameterShift())
    by_fidelity = QNG(**{**optimizer.settings, "metric": "fidelity", "fidelity": OVERLAP})
    same = by_fidelity.minimize(energy, X0, ParameterShift())
    x = X0.copy()
    for _ in range(5):
        whole = metric(x)
        for i in range(6):
            for j in range(6):
                is_kept = blocks is None or (i == j if blocks == "diagonal" else i // 3 == j // 3)
                whole[i, j] *= is_kept
        shifts = np.pi / 2 * np.eye(6)
        slope = np.array([energy(x + s) - energy(x - s) for s in shifts]) / 2
        x = x - 0.1 * np.linalg.solve(whole + 0.02 * np.eye(6), slope)
    np.testing.assert_allclose(result.x, x, atol=1e-9)
    np.testing.assert_allclose(same.x, x, atol=1e-9)
    assert (result.nhev, same.nhev, result.nit) == (5, 5, 5)
    assert result.stop is StopReason.MAXITER


def test_steps_are_pennylanes():
    qml = pytest.importorskip("pennylane", reason="needs the extra: pennylane")
    from pennylane import numpy as pnp

    device = qml.device("default.qubit", wires=2)

    @qml.qnode(device)
    def circuit(x):
        qml.RY(x[0], wires=0)
        qml.RX(x[1], wires=1)
        qml.CNOT(wires=[0, 1])
        qml.RY(x[2], wires=1)
        qml.RZ(x[3], wires=0)
        return qml.expval(qml.PauliZ(0) @ qml.PauliX(1) + 0.5 * qml.PauliZ(1))

    theirs = qml.QNGOptimizer(stepsize=0.1, approx="block-diag", lam=0.01)
    point = pnp.array([0.3, 0.9, -0.4, 1.2], requires_grad=True)
    tensor = qml.metric_tensor(circuit, approx="block-diag")
    ours = QNG(
        lambda x: tensor(pnp.array(x, requires_grad=True)),
        maxiter=3,
        learning_rate=0.1,
        regularization=0.01,
    )
    result = ours.minimize(lambda x: float(circuit(x)), point, ParameterShift())
    for _ in range(3):
        point = theirs.step(circuit, point)
    np.testing.assert_allclose(result.x, point, atol=1e-7)


def test_it_takes_fewer_steps_than_gradient_descent():
    problem = h2()
    overlap = QNSPSA.get_fidelity(vectorized(problem.states))
    given = problem, problem.x0, ParameterShift()
    natural_one = QNG(fidelity=overlap, learning_rate=0.1, maxiter=60).minimize(*given)
    plain = optimizers.GradientDescent(learning_rate=0.1, maxiter=60).minimize(*given)
    assert natural_one.fun - problem.ground_energy < 0.1 * (plain.fun - problem.ground_energy)


def test_it_converges_where_the_gradient_is_small():
    result = QNG(metric, learning_rate=0.3, maxiter=500, tol=1e-4).minimize(
        energy, X0, ParameterShift()
    )
    assert (result.success, result.stop) == (True, StopReason.GRADIENT)


def test_directions_without_a_change_are_left_out():
    flat = np.diag([0.25, 0.0])
    np.testing.assert_allclose(natural(flat, [1.0, 1.0], 0.0), [4.0, 0.0])
    np.testing.assert_allclose(natural(np.diag([0.25, -0.1]), [1.0, 1.0], 0.25), [2.0, 4.0])


def test_named_variables_and_bounds(tmp_path):
    def fun(p):
        return float(np.cos(p["a"]) + np.cos(p["b"]))

    calls = []

    def unit(p):
        calls.append(dict(p))
        return np.eye(2)

    path = str(tmp_path / "run.jsonl")
    given = fun, {"a": 1.0, "b": 2.0}, ParameterShift(), {"a": (0, 2), "b": (0, 9)}
    optimizer = QNG(unit, learning_rate=0.5, maxiter=50)
    result = optimizer.minimize(*given, journal=path)
    assert result.x["a"] == 2.0
    assert result.x["b"] == pytest.approx(np.pi, abs=1e-4)

    assert len(calls) == result.nhev
    again = optimizer.minimize(*given, journal=path)
    assert (again.x, again.nreplayed, len(calls)) == (result.x, result.nfev, result.nhev)


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (np.eye(3), InvalidValueError),
        (np.full((2, 2), np.nan), NonFiniteValueError),
        ([[1.0, 0.5], [0.0, 1.0]], InvalidValueError),
    ],
)
def test_a_metric_that_cannot_be_used_is_an_error(found, error):
    with pytest.raises(error, match="metric returned"):
        QNG(lambda x: found).minimize(lambda x: float(np.cos(x).sum()), [1.0, 2.0])


def test_mistakes_are_errors_before_the_first_evaluation():
    def never(x):
        raise AssertionError

    with pytest.raises(OptionError, match="QNG has no metric: pass metric"):
        QNG().minimize(never, [1.0])
    with pytest.raises(InvalidInputError, match="each of the variables 0 to 1 in one block"):
        QNG(fidelity=fidelity, blocks=[(0,), (0,)]).minimize(never, [1.0, 2.0])
    for options in ({"metric": 3}, {"blocks": "layers"}, {"blocks": [1]}, {"shift": 4}):
        with pytest.raises(OptionError):
            QNG(**options)
