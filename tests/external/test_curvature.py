"""The Hessians of constraints are exact: what trust-constr needs to end."""

import numpy as np
import pytest
from scipy.optimize import BFGS

from optimizers import TrustConstr
from optimizers.external import OptimizerInterface, ScipyOptimizerInterface

START = np.array([0.5, 0.3, -0.2, 0.8])
#: Rosenbrock's function on the sphere of radius 2, where two more conditions do not hold by luck;
#: an approximation of the constraints' curvature needs more than 50 iterations.
LOWEST = 145.1710902245045


def loss(x):
    return 100 * ((x[1:] - x[:-1] ** 2) ** 2) + (1 - x[:-1]) ** 2


def torchs(make, dtype="float64"):
    torch = pytest.importorskip("torch", reason="needs the extra: torch")
    w = torch.tensor(START, dtype=getattr(torch, dtype), requires_grad=True)
    interface = make(
        lambda: loss(w).sum(),
        [w],
        equalities=[lambda: (w**2).sum() - 4],
        inequalities=[lambda: torch.stack([4 - w[0] * w[1] ** 3, torch.exp(w[2]) - 0.1])],
    )
    interface.minimize()
    return interface.result_


def tensorflows(make, dtype="float64"):
    tf = pytest.importorskip("tensorflow", reason="needs the extra: tensorflow")
    w = tf.Variable(START, dtype=dtype)
    interface = make(
        lambda: tf.reduce_sum(loss(w)),
        [w],
        equalities=[lambda: tf.reduce_sum(w**2) - 4],
        inequalities=[lambda: tf.stack([4 - w[0] * w[1] ** 3, tf.exp(w[2]) - 0.1])],
    )
    interface.minimize()
    return interface.result_


def graphs(make, dtype="float64"):
    tf = pytest.importorskip("tensorflow", reason="needs the extra: tensorflow")
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        w = tf.compat.v1.get_variable("w", initializer=START.astype(dtype))
        interface = make(
            tf.reduce_sum(loss(w)),
            [w],
            equalities=[tf.reduce_sum(w**2) - 4],
            inequalities=[tf.stack([4 - w[0] * w[1] ** 3, tf.exp(w[2]) - 0.1])],
        )
        session.run(w.initializer)
        graph.finalize()
        interface.minimize(session)
        return interface.result_


BASES = {"torch": torchs, "tensorflow": tensorflows, "graph": graphs}


def scipys(*args, **kwargs):
    kwargs = {"method": "trust-constr", "options": {"maxiter": 40}, **kwargs}
    return ScipyOptimizerInterface(*args, **kwargs)


def own(*args, **kwargs):
    return OptimizerInterface(*args, **kwargs, optimizer=TrustConstr(maxiter=40))


@pytest.mark.parametrize("make", [scipys, own])
@pytest.mark.parametrize("framework", BASES)
def test_constraints_are_differentiated_twice(framework, make):
    result = BASES[framework](make)
    assert result.success
    assert result.fun == pytest.approx(LOWEST, abs=1e-9)


@pytest.mark.parametrize("framework", BASES)
def test_in_single_precision(framework):
    result = BASES[framework](scipys, "float32")
    assert result.fun == pytest.approx(LOWEST, rel=1e-4)


@pytest.mark.parametrize("framework", BASES)
def test_a_hessian_of_the_loss_that_is_given_leaves_those_of_the_constraints(framework):
    result = BASES[framework](lambda *a, **k: scipys(*a, **k, hess=BFGS()))
    assert result.fun == pytest.approx(LOWEST, abs=1e-6)


def test_in_jax():
    jax = pytest.importorskip("jax", reason="needs the extra: jax")
    from optimizers.external.jax import minimize

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        _, result = minimize(
            lambda w, radius: loss(w).sum(),
            START,
            2.0,
            equalities=[lambda w, radius: (w**2).sum() - radius**2],
            inequalities=[lambda w, _: (4 - w[0] * w[1] ** 3, jax.numpy.exp(w[2]) - 0.1)],
            method="trust-constr",
            options={"maxiter": 40},
        )
    finally:
        jax.config.update("jax_enable_x64", before)
    assert result.success
    assert result.fun == pytest.approx(LOWEST, abs=1e-9)


def test_constraints_without_curvature():
    torch = pytest.importorskip("torch", reason="needs the extra: torch")
    w = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    interface = scipys(lambda: (w**4).sum(), [w], equalities=[lambda: w.sum() - 2])
    interface.minimize()
    np.testing.assert_allclose(w.detach(), [1, 1], atol=1e-6)
