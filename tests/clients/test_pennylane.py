"""QNodes of PennyLane's as objectives, with their shots and their gradients."""

import functools
import warnings

import numpy as np
import pytest
import scipy.optimize

from optimizers import (
    COBYLA,
    LBFGSB,
    SLSQP,
    InvalidValueError,
    NewtonCG,
    minimize_lbfgsb,
    vectorized,
)
from optimizers.problem.problem import Problem
from tests.clients.table import NOISY_ROWS, ROWS

#: What draws by shots says so.
pytestmark = pytest.mark.filterwarnings("ignore:The objective has noise")

qml = pytest.importorskip("pennylane", reason="needs the extra: pennylane")
pnp = qml.numpy

H2 = qml.Hamiltonian(
    [-1.052373245772859, 0.397937424843, -0.397937424843, -0.011280104256, 0.180931199784],
    [qml.Identity(0), qml.Z(1), qml.Z(0), qml.Z(0) @ qml.Z(1), qml.X(0) @ qml.X(1)],
)
GROUND = -1.857275030202
X0 = np.full(6, 0.3)

every = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def qnode(**further):
    """Return the energy of H2 at six angles, and its device; it also takes a stack of points."""
    device = qml.device("default.qubit", wires=2, seed=1)

    @qml.qnode(device, **further)
    def energy(x):
        for layer in range(3):
            for wire in range(2):
                qml.RY(x[..., 2 * layer + wire], wires=wire)
            if layer < 2:
                qml.CZ(wires=[0, 1])
        return qml.expval(H2)

    return energy, device


@every
def test_a_qnode_is_an_objective(row):
    energy, device = qnode()
    with qml.Tracker(device) as tracker:
        result = row.make().minimize(energy, X0)
    assert result.success is not row.is_limited
    assert result.fun == pytest.approx(GROUND, abs=row.accuracy)
    assert type(result.fun) is float
    assert type(result.x) is np.ndarray
    assert tracker.totals["simulations"] == result.nfev


def test_a_qnode_that_is_vectorized_once_takes_a_point_as_before():
    energy, device = qnode()
    expected = COBYLA(maxfun=9).minimize(energy, X0)
    vector = vectorized(energy)
    assert vector.device is device
    assert LBFGSB().minimize(vector, X0).fun == pytest.approx(GROUND, abs=1e-6)
    assert COBYLA(maxfun=9).minimize(energy, X0).fun == expected.fun
    assert COBYLA(maxfun=9).minimize(qml.set_shots(energy, None), X0).nfev == 9


@pytest.mark.parametrize("interface", ["auto", "autograd"])
def test_its_tensors_without_dimensions_are_values(interface):
    energy, _ = qnode(interface=interface)
    start = pnp.array(X0, requires_grad=True)
    assert isinstance(energy(start), pnp.tensor)
    assert energy(start).shape == ()
    result = LBFGSB().minimize(lambda x: energy(pnp.array(x, requires_grad=True)), start)
    assert result.fun == pytest.approx(GROUND, abs=1e-6)
    assert type(result.fun) is float
    assert type(result.x) is type(result.best.x) is np.ndarray
    assert start.requires_grad
    np.testing.assert_array_equal(start, X0)


@pytest.mark.parametrize("method", ["backprop", "adjoint", "parameter-shift"])
@pytest.mark.parametrize("start", [X0, pnp.array(X0, requires_grad=True)], ids=["array", "tensor"])
def test_its_gradient_is_a_jac(method, start):
    energy, _ = qnode(diff_method=method)
    result = LBFGSB().minimize(energy, start, qml.grad(energy))
    assert result.fun == pytest.approx(GROUND, abs=1e-8)
    assert result.njev > 0
    by_number = LBFGSB().minimize(energy, start, qml.grad(energy, argnums=0))
    np.testing.assert_array_equal(result.x, by_number.x)


@every
def test_its_gradient_is_of_use_to_those_that_take_one(row):
    energy, _ = qnode()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = row.make(maxfun=20).minimize(energy, X0, jac=qml.grad(energy))
    assert (result.njev > 0) == row.takes_gradient
    assert ["ignores jac" in str(one.message) for one in seen] == [True] * (not row.takes_gradient)


def test_its_gradient_comes_with_the_value_of_its_forward_pass():
    energy, device = qnode()

    def both(x):
        gradient = qml.grad(energy)
        slope = gradient(pnp.array(x, requires_grad=True))
        return gradient.forward, slope

    with qml.Tracker(device) as tracker:
        result = LBFGSB().minimize(both, X0, jac=True)
    assert result.fun == pytest.approx(GROUND, abs=1e-8)
    assert tracker.totals["batches"] == result.nfev


def encoded():
    """Return an energy of two angles that also depends on data; its minimum is -1."""

    @qml.qnode(qml.device("default.qubit", wires=1))
    def energy(x, data):
        qml.RX(data, wires=0)
        qml.RY(x[0], wires=0)
        qml.RX(x[1], wires=0)
        return qml.expval(qml.PauliZ(0))

    return energy


DATA = {"number": 0.4, "trained": pnp.array(0.4), "fixed": pnp.array(0.4, requires_grad=False)}
#: By both arguments PennyLane does not differentiate if one of them is fixed.
ARGUMENTS = [
    pytest.param(data, argnums, id=f"{name}-{argnums}")
    for name, data in DATA.items()
    for argnums in (None, 0, [0], [0, 1])
    if (name, argnums) != ("fixed", [0, 1])
]


@pytest.mark.parametrize(("data", "argnums"), ARGUMENTS)
def test_its_gradient_takes_further_arguments_and_is_by_the_variables(data, argnums):
    energy, start = encoded(), [0.3, 0.2]
    gradient = qml.grad(energy, argnums=argnums)
    known = functools.partial(energy, data=data)
    further = {"fun": energy, "x0": start, "jac": gradient, "args": (data,)}
    runs = [
        LBFGSB()(**further),
        scipy.optimize.minimize(method=LBFGSB(), **further),
        LBFGSB(args=(data,)).minimize(energy, start, gradient),
        LBFGSB().minimize(known, start, LBFGSB.wrap_function(gradient, (data,))),
        minimize_lbfgsb(**further),
    ]
    if argnums in (None, 0):
        runs.append(LBFGSB().minimize(known, start, functools.partial(gradient, data=data)))
    if argnums is None:
        swapped = qml.grad(lambda data, x: energy(x, data))
        runs.append(LBFGSB().minimize(known, start, functools.partial(swapped, data)))
    for result in runs:
        assert result.fun == pytest.approx(-1.0, abs=1e-6)
        assert result.njev > 0


def test_a_gradient_by_something_else_says_which_argnums_are_meant():
    energy = encoded()
    gradient = qml.grad(lambda data, x: energy(x, data), argnums=[0])
    with pytest.raises(
        InvalidValueError, match="none with respect to the variables: pass argnums=1"
    ):
        LBFGSB().minimize(
            lambda x: energy(x, 0.4), [0.3, 0.2], functools.partial(gradient, pnp.array(0.4))
        )


def test_its_gradient_is_the_jac_of_a_constraint():
    energy, _ = qnode()
    constraint = {"type": "ineq", "fun": lambda x: energy(x) + 1.5, "jac": qml.grad(energy)}
    result = SLSQP().minimize(energy, X0, qml.grad(energy), constraints=constraint)
    assert result.fun == pytest.approx(-1.5, abs=1e-5)


def test_its_jacobian_of_the_gradient_is_a_hess():
    energy, _ = qnode(max_diff=2)
    result = NewtonCG(maxiter=2).minimize(
        energy, X0 + 0.5, qml.grad(energy), hess=qml.jacobian(qml.grad(energy))
    )
    assert result.nhev > 0
    assert result.fun < energy(X0 + 0.5)


def test_runs_that_advance_together_take_its_gradient():
    energy, _ = qnode()
    results = LBFGSB().minimize_many(energy, [X0, X0 + 0.1], qml.grad(energy))
    np.testing.assert_allclose([one.fun for one in results], GROUND, atol=1e-8)


def test_what_differentiates_by_nothing_is_an_error_after_pennylanes_word():
    energy, _ = qnode()
    with (
        pytest.warns(UserWarning, match="no trainable parameters"),
        pytest.raises(InvalidValueError, match=r"jac returned shape \(0,\), expected \(6,\)"),
    ):
        LBFGSB().minimize(energy, X0, jac=lambda x: qml.grad(energy)(x))


def test_any_other_gradient_is_left_alone():
    def jac(x):
        return 2 * x

    problem = Problem.check("Method", LBFGSB().get_support_level(), np.sum, X0, jac)
    assert problem.derivatives.jac is jac


def test_a_wave_is_one_execution_on_the_device():
    energy, device = qnode()
    with qml.Tracker(device) as tracker:
        result = LBFGSB().minimize(vectorized(energy), X0)
    assert result.fun == pytest.approx(GROUND, abs=1e-8)
    asked = result.nfev // 7
    assert tracker.totals["batches"] == tracker.totals["simulations"] == asked
    alone = LBFGSB().minimize(qnode()[0], X0)
    assert (alone.nfev, alone.nit) == (result.nfev, result.nit)


@pytest.mark.parametrize("row", NOISY_ROWS.values(), ids=NOISY_ROWS)
def test_its_shots_are_noise(row):
    energy, device = qnode()
    sampled = qml.set_shots(energy, shots=1000)
    with qml.Tracker(device) as tracker:
        result = row.make_noisy(maxfun=row.budget).minimize(sampled, X0)
    assert tracker.totals["batches"] == result.nfev <= row.budget
    if row.takes_gradient:  # the others may take the first noise for a minimum
        assert energy(result.x) == pytest.approx(GROUND, abs=0.3)


def test_noise_is_measured_and_steps_suit_it():
    energy, _ = qnode()
    sampled = qml.set_shots(energy, shots=1000)
    naive = LBFGSB(maxfun=400).minimize(sampled, X0)
    aware = LBFGSB(noise="estimate", maxfun=400).minimize(sampled, X0)
    assert 0.001 < aware.noise < 0.1
    assert energy(aware.x) < GROUND + 0.05 < energy(naive.x)


def test_a_gradient_drawn_by_shots_is_a_jac():
    energy, _ = qnode(diff_method="parameter-shift")
    sampled = qml.set_shots(energy, shots=1000)
    result = COBYLA(maxfun=100).minimize(sampled, X0)
    assert energy(result.x) < GROUND + 0.2
    result = LBFGSB(maxiter=20).minimize(sampled, X0, qml.grad(sampled))
    assert result.njev > 1
    assert energy(result.x) < GROUND + 0.2
