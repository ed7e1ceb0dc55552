"""qiskit_machine_learning trains with our optimizers, and assigns them its callback."""

import numpy as np
import pytest

from optimizers import COBYLA, LBFGSB, SLSQP, History, InvalidInputError
from tests.clients.table import ROWS

algorithms = pytest.importorskip(
    "qiskit_machine_learning.algorithms", reason="needs the extra: qiskit"
)

from qiskit.circuit.library import real_amplitudes, zz_feature_map  # noqa: E402  # needs the extra
from qiskit.primitives import StatevectorEstimator, StatevectorSampler  # noqa: E402
from qiskit_machine_learning.neural_networks import EstimatorQNN  # noqa: E402

POINTS = np.random.default_rng(0).uniform(-1, 1, (4, 2))
LABELS = (POINTS[:, 0] > 0).astype(int)
X0 = np.full(4, 0.1)

# It deprecates an argument, also where it is left out.
pytestmark = pytest.mark.filterwarnings("ignore:The num_qubits argument:DeprecationWarning")


def classifier(optimizer, **further):
    return algorithms.VQC(
        feature_map=zz_feature_map(2),
        ansatz=real_amplitudes(2, reps=1),
        optimizer=optimizer,
        initial_point=X0,
        sampler=StatevectorSampler(seed=1),
        **further,
    )


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_classifier_is_trained_and_its_callback_sees_each_iteration(row, recwarn):
    seen = []
    model = classifier(
        row.make(maxfun=8), callback=lambda weights, loss: seen.append((weights, loss))
    )
    model.fit(POINTS, LABELS)
    # It always hands over its gradient.
    ignored = [str(one.message) for one in recwarn if "ignores jac" in str(one.message)]
    assert len(ignored) == (not row.takes_gradient)
    result = model.fit_result
    assert len(seen) == result.nit
    assert all(weights.shape == (4,) and isinstance(loss, float) for weights, loss in seen)
    assert result.nfev <= 8
    np.testing.assert_array_equal(model.weights, result.x)
    assert model.predict(POINTS).shape == LABELS.shape


def test_it_takes_a_bare_callable_too():
    model = classifier(LBFGSB(maxiter=2).minimize, callback=lambda weights, loss: None)
    model.fit(POINTS, LABELS)
    assert model.fit_result.nit == 2
    assert np.array_equal(model.weights, classifier(LBFGSB(maxiter=2)).fit(POINTS, LABELS).weights)


def test_its_callback_may_end_the_training():
    model = classifier(LBFGSB(), callback=lambda weights, loss: True)
    assert model.fit(POINTS, LABELS).fit_result.nit == 1


def test_a_callback_of_ours_goes_to_the_optimizer_once_the_model_is_made():
    # The model assigns its own callback when it is made, None included.
    optimizer, history = LBFGSB(maxiter=2, callback=lambda xk: None), History()
    model = classifier(optimizer)
    assert optimizer.callback is None
    optimizer.callback = history
    model.fit(POINTS, LABELS)
    assert len(history.fun) == model.fit_result.nit == 2


def test_a_callback_that_cannot_be_called_so_is_an_error_when_the_model_is_made():
    with pytest.raises(InvalidInputError, match=r"expected callback\(xk\), callback\(xk, fun\)"):
        classifier(COBYLA(), callback=lambda count, weights, loss: None)


def test_a_warm_start_goes_on_from_the_weights():
    model = classifier(SLSQP(maxiter=2), warm_start=True)
    first = model.fit(POINTS, LABELS).fit_result
    second = model.fit(POINTS, LABELS).fit_result
    assert second.fun <= first.fun


def test_a_trained_model_is_stored_with_its_optimizer(tmp_path):
    model = classifier(LBFGSB(maxiter=1)).fit(POINTS, LABELS)
    model.to_dill(tmp_path / "model")
    again = algorithms.VQC.from_dill(tmp_path / "model")
    assert again.optimizer == LBFGSB(maxiter=1)
    np.testing.assert_array_equal(again.weights, model.weights)


def test_a_regressor_is_trained():
    circuit = zz_feature_map(2).compose(real_amplitudes(2, reps=1))
    network = EstimatorQNN(
        circuit=circuit,
        input_params=list(circuit.parameters)[-2:],
        weight_params=list(circuit.parameters)[:4],
        estimator=StatevectorEstimator(seed=1),
        input_gradients=False,
    )
    values, seen = np.sin(POINTS[:, 0]), []
    model = algorithms.NeuralNetworkRegressor(
        network,
        optimizer=LBFGSB(maxiter=3),
        initial_point=X0,
        callback=lambda weights, loss: seen.append(loss),
    )
    model.fit(POINTS, values)
    assert len(seen) == 3
    assert seen[-1] == model.fit_result.fun < seen[0]
