"""What variables hold while a callback looks, and after a run that fails."""

import math
import warnings

import numpy as np
import pytest

from optimizers import LBFGSB, NELDER_MEAD, SPSA, OptimizerWarning, TrustConstr
from optimizers.external import (
    ExternalOptimizerInterface,
    OptimizerInterface,
    ScipyOptimizerInterface,
)


def numpys(start):
    w = np.array(start)

    def loss():
        with np.errstate(invalid="ignore", divide="ignore"):
            value = 50 * (w[0] - 1) ** 4 - np.log(w[1]) + w[1] + np.sqrt(w[0] - 0.9)
            slopes = 200 * (w[0] - 1) ** 3 + 0.5 / np.sqrt(w[0] - 0.9), 1 - 1 / w[1]
        return value, [np.array(slopes)]

    return loss, w, w.copy


def torchs(start):
    torch = pytest.importorskip("torch", reason="needs the extra: torch")
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)

    def loss():
        return 50 * (w[0] - 1) ** 4 - torch.log(w[1]) + w[1] + torch.sqrt(w[0] - 0.9)

    return loss, w, lambda: w.detach().numpy().copy()


def tensorflows(start):
    tf = pytest.importorskip("tensorflow", reason="needs the extra: tensorflow")
    w = tf.Variable(start, dtype=tf.float64)

    def loss():
        return 50 * (w[0] - 1) ** 4 - tf.math.log(w[1]) + w[1] + tf.sqrt(w[0] - 0.9)

    return loss, w, w.numpy


BASES = {"numpy": numpys, "torch": torchs, "tensorflow": tensorflows}
EVERY = [(framework, "BFGS") for framework in BASES]


@pytest.mark.parametrize(
    ("framework", "method"),
    [*EVERY, ("numpy", "CG"), ("numpy", "SLSQP"), ("numpy", "Newton-CG"), ("torch", "CG")],
)
def test_a_run_that_fails_leaves_its_best_point_and_says_so(framework, method):
    loss, w, held = BASES[framework]([3.0, 0.5])
    interface = ScipyOptimizerInterface(loss, [w], method=method)
    with pytest.warns(OptimizerWarning, match=f"{method} ended .* is nan .* best point"):
        interface.minimize()
    result = interface.result_
    assert not result.success
    assert math.isfinite(result.fun)
    assert result.fun == result.best.fun < 60
    np.testing.assert_array_equal(held(), result.x)
    np.testing.assert_array_equal(held(), result.best.x)


@pytest.mark.parametrize("method", ["L-BFGS-B", "TNC"])
def test_a_run_that_fails_at_a_finite_loss_leaves_its_best_point_too(method):
    loss, w, held = numpys([3.0, 0.5])
    interface = ScipyOptimizerInterface(loss, [w], method=method)
    interface.minimize()
    assert not interface.result_.success
    assert loss()[0] == interface.result_.fun == interface.result_.best.fun
    np.testing.assert_array_equal(held(), interface.result_.x)


@pytest.mark.parametrize(("framework", "method"), [*EVERY, ("numpy", "CG")])
def test_a_run_that_finds_nothing_leaves_the_start_and_says_so(framework, method):
    loss, w, held = BASES[framework]([3.0, -0.5])
    interface = ScipyOptimizerInterface(loss, [w], method=method)
    with pytest.warns(OptimizerWarning, match=f"{method} found no point with a finite loss"):
        interface.minimize()
    assert held().tolist() == interface.result_.x.tolist() == [3.0, -0.5]
    assert not interface.result_.success


class Lost(ExternalOptimizerInterface):
    """Walks off to nowhere, after some steps if it may take any."""

    def _minimize(self, initial_val, loss_grad_func, optimizer_kwargs, **given):
        for step in range(optimizer_kwargs["steps"]):
            loss_grad_func(initial_val - 0.1 * step)
        return initial_val * np.nan


@pytest.mark.parametrize(("steps", "expected"), [(0, [3.0, 0.5]), (3, [2.8, 0.3]), (9, [2.6, 0.1])])
def test_an_algorithm_of_ones_own_that_returns_nan(steps, expected):
    loss, w, held = numpys([3.0, 0.5])
    with pytest.warns(OptimizerWarning, match="_minimize returned numbers that are not finite"):
        Lost(loss, [w], steps=steps).minimize()
    np.testing.assert_allclose(held(), expected)


def test_graph_mode_keeps_what_the_method_ends_on_as_tensorflow_1_did():
    tf = pytest.importorskip("tensorflow", reason="needs the extra: tensorflow")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        w = tf.compat.v1.get_variable("w", initializer=np.array([3.0, 0.5]))
        loss = 50 * (w[0] - 1) ** 4 - tf.math.log(w[1]) + w[1] + tf.sqrt(w[0] - 0.9)
        session.run(w.initializer)
        seen = []
        interface = ScipyOptimizerInterface(loss, method="CG")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            interface.minimize(session, step_callback=lambda xk: seen.append(session.run(w)))
        assert np.isnan(session.run(loss))
        assert {tuple(held) for held in seen} == {(3.0, 0.5)}


OPTIMIZERS = {
    "SPSA": SPSA(maxiter=5, learning_rate=0.01, perturbation=0.01, seed=1),
    "NELDER_MEAD": NELDER_MEAD(maxiter=15),
    "TrustConstr": TrustConstr(maxiter=15),
    "LBFGSB": LBFGSB(maxiter=5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("framework", BASES)
def test_a_callback_finds_the_iterate_in_the_variables(framework, name):
    loss, w, held = BASES[framework]([1.5, 0.5])
    seen = []

    def step(xk):
        seen.append((held(), xk))

    def callback(intermediate_result):
        seen.append((held(), intermediate_result.x))

    given = {"optimizer": OPTIMIZERS[name], "callback": callback, "on_failure": "reject"}
    OptimizerInterface(loss, [w], **given).minimize()
    alone = len(seen)
    OptimizerInterface(loss, [w], **given).minimize(step_callback=step)
    assert 0 < alone < len(seen)
    for values, xk in seen:
        np.testing.assert_array_equal(values, xk)


def test_a_callback_of_qiskits_form_goes_with_a_step():
    loss, w, held = numpys([1.5, 0.5])
    seen = []

    def callback(nfev, x, fun, stepsize, accepted):
        seen.append((held().tolist(), x.tolist(), fun))

    optimizer = SPSA(maxiter=5, learning_rate=0.01, perturbation=0.01, seed=1, callback=callback)
    steps = []
    interface = OptimizerInterface(loss, [w], optimizer=optimizer, on_failure="reject")
    interface.minimize(step_callback=steps.append)
    assert [x for _, x, _ in seen] == [held for held, _, _ in seen] == [x.tolist() for x in steps]
    assert np.isfinite([fun for _, _, fun in seen]).all()
