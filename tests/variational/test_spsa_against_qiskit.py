"""Against Qiskit, in one variable: there no random direction matters."""

import numpy as np
import pytest

from optimizers import QNSPSA, SPSA
from tests.making import fidelity


def rows_of(make, fun):
    """Return what a callback of Qiskit's sees: point, value, length of the step, acceptance."""
    rows = []

    def callback(nfev, x, value, stepsize, accepted):
        rows.append((float(x[0]), float(value), float(stepsize), float(accepted)))

    make(callback).minimize(fun, np.array([1.7]))
    return rows


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"trust_region": True, "resamplings": 2},
        {"blocking": True, "allowed_increase": 0.01, "learning_rate": 2.5, "perturbation": 0.1},
        {"second_order": True, "hessian_delay": 3, "learning_rate": 0.3, "perturbation": 0.1},
        {"second_order": True, "regularization": 0.5, "initial_hessian": np.array([[2.0]])},
    ],
)
def test_iterates_of_one_variable_are_those_of_qiskit(options):
    theirs = pytest.importorskip("qiskit_algorithms.optimizers", reason="needs the extra: qiskit")

    def fun(x):
        return float(2 * (x[0] - 0.3) ** 2)

    ours, other = (
        rows_of(lambda callback, cls=cls: cls(maxiter=12, callback=callback, **options), fun)
        for cls in (SPSA, theirs.SPSA)
    )
    assert len(ours) == len(other) == 12
    np.testing.assert_allclose(np.array(ours), np.array(other), rtol=1e-7, atol=1e-10)


def test_natural_iterates_of_one_variable_are_those_of_qiskit():
    theirs = pytest.importorskip("qiskit_algorithms.optimizers", reason="needs the extra: qiskit")
    ours, other = (
        rows_of(
            lambda callback, cls=cls: cls(fidelity, maxiter=12, callback=callback),
            lambda x: float(2 * (x[0] - 0.3) ** 2),
        )
        for cls in (QNSPSA, theirs.QNSPSA)
    )
    np.testing.assert_allclose(np.array(ours), np.array(other), rtol=1e-7, atol=1e-10)
