"""JAX: minimize, of functions of pytrees."""

import contextlib
import functools
import gc
import sys
import warnings
import weakref
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize

from optimizers import (
    CG,
    LBFGSB,
    TNC,
    CapabilityError,
    History,
    InvalidInputError,
    MissingExtraError,
    NonFiniteValueError,
    NoValueError,
    OptimizerWarning,
    StopReason,
)
from optimizers.external import ScipyOptimizerInterface
from optimizers.external.jax import minimize
from tests.external.methods import QUICK, SECOND_ORDER, assert_at_ones, rosenbrock


def test_without_jax_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(MissingExtraError, match=r"pip install jax"):
        minimize(lambda params: None, [])


jax = pytest.importorskip("jax", reason="needs the extra: jax")
jnp = jax.numpy

MASKED = np.ma.array([1.0, 2.0], mask=[False, True])
Pair = namedtuple("Pair", ["first", "second"])


@contextlib.contextmanager
def x64(on=True):
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", on)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


@contextlib.contextmanager
def compilations():
    """Count what XLA compiles."""
    names = []

    def listen(name, seconds, **_):
        if name.endswith("backend_compile_duration"):
            names.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.clear_event_listeners()


def bowl(params):
    flat = jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(params)])
    return jnp.sum((flat - jnp.arange(1.0, flat.size + 1)) ** 2)


# Accuracy.


@pytest.mark.parametrize(("method", "options", "n", "accuracy"), QUICK)
def test_rosenbrock_in_single_precision(method, options, n, accuracy):
    start = jnp.zeros(n)
    assert start.dtype == jnp.float32
    found, result = minimize(rosenbrock, start, method=method, options=options)
    assert found.dtype == jnp.float32
    assert_at_ones(found, accuracy)
    np.testing.assert_array_equal(found, result.x.astype(np.float32))
    assert (result.nhev > 0) == (method in SECOND_ORDER)


@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG", "SLSQP"])
def test_in_double_precision(method):
    with x64():
        found, result = minimize(rosenbrock, jnp.zeros(5), method=method, tol=1e-12)
        assert found.dtype == jnp.float64
    np.testing.assert_allclose(result.x, 1, rtol=1e-6)
    np.testing.assert_array_equal(found, result.x)


@pytest.mark.parametrize(
    ("dtypes", "packed"),
    [
        (["float64"] * 3, np.float64),
        (["float32"] * 3, np.float32),
        (["float32", "float64", "float32"], np.float64),
        (["bfloat16", "float32", "float16"], np.float32),
    ],
)
def test_structures_and_types_together(dtypes, packed):
    with x64():
        a, b, c = (jnp.zeros(s, d) for s, d in zip([(), (2,), (2, 2)], dtypes, strict=True))
        params = {"a": [a, Pair(b, None)], "c": (c,)}
        found, result = minimize(bowl, params)
        assert jax.tree.structure(found) == jax.tree.structure(params)
        assert [leaf.dtype.name for leaf in jax.tree.leaves(found)] == dtypes
    assert result.jac.shape == (7,)
    np.testing.assert_allclose(found["c"][0].astype(float), [[4, 5], [6, 7]], rtol=1e-2)


@pytest.mark.parametrize("start", [1.0, np.zeros(()), np.zeros(3), [0.5, np.ones(2)]])
def test_numbers_and_arrays_of_numpy(start):
    found, _ = minimize(bowl, start)
    leaves = jax.tree.leaves(found)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    flat = np.concatenate([np.ravel(leaf) for leaf in leaves])
    np.testing.assert_allclose(flat, np.arange(1, flat.size + 1), rtol=1e-5)


def test_the_start_stays_as_it_is():
    start = {"w": np.array([3.0, 4.0])}
    minimize(lambda p: jnp.sum(p["w"] ** 2), start)
    assert start["w"].tolist() == [3.0, 4.0]


def test_the_points_are_those_of_scipy():
    theirs, ours = [], []

    def fun(x):
        theirs.append(x.tolist())
        return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)

    scipy.optimize.minimize(fun, np.zeros(3), jac=True, method="L-BFGS-B")
    with x64():
        minimize(
            lambda x: (rosenbrock(x), x),
            jnp.zeros(3),
            has_aux=True,
            loss_callback=lambda x: ours.append(x.tolist()),
        )
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


# What is compiled.


def test_a_function_of_jit_is_compiled_once_whatever_the_data():
    traces = []

    @jax.jit
    def loss(params, data, scale):
        traces.append(1)
        return scale * jnp.sum((params["w"] - data) ** 2)

    @jax.jit
    def constraint(params, data, scale):
        return params["w"][0] - data[0]

    start = {"w": jnp.zeros(3)}
    data = [np.full(3, value, np.float32) for value in (1.0, 2.0, 3.0)]
    found, _ = minimize(loss, start, data[0], 1.0)  # and whatever else is compiled on the way
    assert len(traces) == 1
    with compilations() as compiled:
        for target, scale in [(data[1], 2.0), (data[2], 3.0), (data[1], 4.0)]:
            found, result = minimize(loss, start, target, scale)
            np.testing.assert_allclose(found["w"], target, rtol=1e-5)
            assert result.nfev > 1
    assert (len(traces), compiled) == (1, [])
    with compilations() as compiled:
        minimize(loss, start, np.ones(1, np.float32), 1.0)  # of another shape
    assert (len(traces), len(compiled)) == (2, 1)
    minimize(loss, start, data[0], 1.0, equalities=[constraint])
    with compilations() as compiled:
        found, _ = minimize(loss, start, data[1], 1.0, equalities=[constraint])
        np.testing.assert_allclose(found["w"], data[1], rtol=1e-5)
    assert compiled == []


TARGET = 1.0


class Model:
    def __init__(self):
        self.inner, self.targets = SimpleNamespace(target=None), [None]

    def to(self, target):
        self.inner.target = self.targets[0] = target

    def loss(self, x):
        return jnp.sum((x - self.inner.target) ** 2)


@pytest.mark.parametrize("kind", [float, np.array])
@pytest.mark.parametrize(
    "read",
    [
        lambda model, captured: captured(),
        lambda model, captured: model.inner.target,
        lambda model, captured: model.targets[0],
        lambda model, captured: TARGET,
        None,
    ],
    ids=["closure", "nested attribute", "entry of a list", "global", "method"],
)
def test_a_loss_that_has_changed_is_minimized_as_it_is(monkeypatch, kind, read):
    model, target = Model(), None

    def loss(x):
        return jnp.sum((x - read(model, lambda: target)) ** 2)

    for number in (1.0, 2.0):
        target = kind(number)
        model.to(target)
        monkeypatch.setitem(globals(), "TARGET", target)
        fun = model.loss if read is None else loss
        found, result = minimize(fun, jnp.full(2, 5.0))
        np.testing.assert_allclose(found, number, atol=1e-5)
        assert result.fun == pytest.approx(float(fun(found)), abs=1e-9)


def test_a_changed_function_beside_one_of_jit_is_taken_as_it_is():
    @jax.jit
    def loss(x):
        return jnp.sum(x**2)

    for limit in (1.0, 2.0):
        found, _ = minimize(loss, jnp.full(2, 5.0), inequalities=[lambda x: x - limit])  # noqa: B023
        np.testing.assert_allclose(found, limit, atol=1e-5)


def test_arguments_that_changed_are_taken_as_they_are():
    data = np.array([1.0, 2.0])
    for scale in (1.0, 3.0):
        data *= scale
        found, _ = minimize(lambda x, data: jnp.sum((x - data) ** 2), jnp.zeros(2), data)
        np.testing.assert_allclose(found, data, atol=1e-5)


def test_nested_arguments_of_a_function_of_jit_are_taken_as_they_are():
    @jax.jit
    def loss(x, data, scale):
        return scale * jnp.sum((x - data["inner"][0] - data["list"][1]) ** 2)

    data = {"inner": (1.0, None), "list": [0, np.zeros(2)]}
    for target in (1.0, 2.0, 3.0):
        data["inner"] = (target, None)
        data["list"][1] += 1
        found, _ = minimize(loss, jnp.zeros(2), data, jnp.float32(target))
        np.testing.assert_allclose(found, 2 * target, atol=1e-4)
    for target in (1.0, 2.0):  # a new function each time, of the same code
        found, _ = minimize(jax.jit(functools.partial(loss, data=data, scale=target)), jnp.zeros(2))
        np.testing.assert_allclose(found, 6.0, atol=1e-4)
        data["list"][1] -= 1
        found, _ = minimize(functools.partial(loss, data=data, scale=target), jnp.zeros(2))
        np.testing.assert_allclose(found, 5.0, atol=1e-4)
        data["list"][1] += 1


def test_one_compilation_for_a_new_function():
    minimize(lambda x: jnp.sum(x**2), jnp.ones(3))
    for method, programs in [("L-BFGS-B", 1), ("Newton-CG", 2), ("SLSQP", 1)]:
        with compilations() as compiled:
            minimize(lambda x: jnp.sum(x**4), jnp.ones(3), method=method)
        assert len(compiled) == programs, method
    with compilations() as compiled:
        minimize(lambda x: jnp.sum(x**4), jnp.ones(3), equalities=[lambda x: x[0] - 1])
    assert len(compiled) == 3


def test_each_precision_has_its_own():
    traces = []

    @jax.jit
    def loss(x):
        traces.append(x.dtype)
        return jnp.sum(x**2)

    for on in (False, True, False, True):
        with x64(on):
            minimize(loss, np.ones(2))
    assert traces == [jnp.float32, jnp.float64]


def test_functions_that_have_no_hash():
    class Loss:
        __hash__ = None

        def __call__(self, x):
            return jnp.sum((x - 2) ** 2)

    found, _ = minimize(Loss(), 0.0)
    assert found == 2


class Data:
    values = np.arange(3.0)


def run_with(data, wrap, how):
    def values(x):
        return jnp.sum((x - data.values) ** 2)

    def limit(x):
        return x[0] - data.values[0]

    def stop(params):
        raise ZeroDivisionError

    fun = wrap((lambda x: (values(x), x)) if how == "aux" else values)
    given = {
        "constrained": {"equalities": [wrap(limit)], "method": "trust-constr"},
        "Newton-CG": {"method": "Newton-CG"},
        "aux": {"has_aux": True},
        "error": {"step_callback": stop},
    }.get(how, {})
    with contextlib.suppress(ZeroDivisionError):
        minimize(fun, np.ones(3), **given)


@pytest.mark.parametrize("wrap", [jax.jit, lambda fun: fun], ids=["jit", "plain"])
@pytest.mark.parametrize("how", ["quietly", "constrained", "Newton-CG", "aux", "error"])
def test_what_a_function_reads_is_not_kept(wrap, how):
    data = Data()
    kept = weakref.ref(data)
    gc.collect()
    gc.disable()  # nobody waits for the collector
    try:
        run_with(data, wrap, how)
        del data
        assert kept() is None
    finally:
        gc.enable()


# Derivatives.


def test_hessian_vector_products_are_exact():
    from optimizers.external.jax.backend import JaxBackend

    with x64():
        params = {"a": jnp.zeros(2), "b": jnp.zeros(1, jnp.float32)}
        backend = JaxBackend(
            lambda p: rosenbrock(jnp.concatenate([p["a"], p["b"]])), params, (), False, []
        )
        x, p = np.array([0.8, -0.2, 1.5]), np.array([1.0, -2.0, 3.0])
        found = backend.hessp(x, p)
    np.testing.assert_allclose(found, scipy.optimize.rosen_hess_prod(x, p), rtol=1e-6)


def test_a_leaf_that_the_loss_does_not_depend_on_stays():
    found, result = minimize(
        lambda p: jnp.sum(p["used"] ** 2), {"unused": jnp.full(2, 3.0), "used": jnp.ones(2)}
    )
    assert found["unused"].tolist() == [3.0, 3.0]
    assert result.jac[:2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("method", [None, "SLSQP", "trust-constr", "COBYLA", "COBYQA"])
def test_equality_and_inequality_with_bounds(method):
    def loss(p, shift):
        return jnp.sum((p["w"] - shift) ** 2) + jnp.sum(p["b"] ** 2)

    found, result = minimize(
        loss,
        {"w": jnp.array([3.0, 1.0]), "b": jnp.full((1, 2), 4.0)},
        jnp.zeros(2),
        bounds={"w": None, "b": (0.5, [[None, 9.0]])},
        equalities=[lambda p, shift: jnp.sum(p["w"] - shift) - 3],
        inequalities=[lambda p, shift: {"one": p["w"][0] - 2, "two": p["w"][1:] - shift[:1]}],
        method=method,
    )
    np.testing.assert_allclose(found["w"], [2, 1], atol=3e-3)
    np.testing.assert_allclose(found["b"], [[0.5, 0.5]], atol=3e-3)
    assert result.maxcv < 1e-2


@pytest.mark.parametrize("m", [1, 2, 7])
def test_jacobians_are_exact(m):
    from optimizers.external.jax.backend import JaxBackend

    matrix = np.arange(3.0 * m, dtype=np.float32).reshape(m, 3)
    params = {"a": jnp.zeros(2), "b": jnp.zeros((1, 1))}
    backend = JaxBackend(
        lambda p, a: p["b"].sum(),
        params,
        (matrix,),
        False,
        [lambda p, a: a @ jnp.concatenate([p["a"], p["b"][0]]), lambda p, a: p["a"][1] ** 2],
    )
    x = np.array([1.0, 2.0, 3.0])
    values, jacobians = backend.constraint_values(x), backend.constraint_jacobians(x)
    np.testing.assert_allclose(values[0], matrix @ x)
    np.testing.assert_allclose(jacobians[0], matrix)
    assert values[1].tolist() == [4.0]
    assert jacobians[1].tolist() == [[0.0, 4.0, 0.0]]


# aux, callbacks.


@pytest.mark.parametrize("method", ["L-BFGS-B", "CG", "Nelder-Mead"])
def test_aux_belongs_to_the_point_that_is_returned(method):
    found, result = minimize(
        lambda x: (rosenbrock(x), {"twice": 2 * x}), jnp.zeros(2), has_aux=True, method=method
    )
    np.testing.assert_array_equal(result.aux["twice"], 2 * found)


def test_callbacks():
    steps, seen = [], []
    minimize(
        lambda p: (jnp.sum(p["w"] ** 2), "not" and p["w"][0]),
        {"w": jnp.array([3.0, 4.0])},
        has_aux=True,
        step_callback=steps.append,
        loss_callback=seen.append,
    )
    assert [step["w"].shape for step in steps] == [(2,)] * len(steps)
    assert seen[0] == 3.0
    calls = []
    minimize(lambda x: x**2, 2.0, loss_callback=lambda: calls.append(1))
    assert calls


def test_stop_iteration_ends_on_the_best_point():
    values = []

    def stop(value):
        values.append(float(value))
        if len(values) == 5:
            raise StopIteration

    found, result = minimize(
        lambda x: (rosenbrock(x),) * 2, jnp.array([-1.2, 1.0]), has_aux=True, loss_callback=stop
    )
    assert result.stop is StopReason.CALLBACK
    assert result.fun == min(values) == float(result.aux)
    np.testing.assert_array_equal(found, result.x.astype(np.float32))


def test_a_run_that_fails_returns_its_best_point():
    def loss(w):
        return 50 * (w[0] - 1) ** 4 - jnp.log(w[1]) + w[1] + jnp.sqrt(w[0] - 0.9)

    with x64():
        with pytest.warns(OptimizerWarning, match="best point found"):
            found, result = minimize(loss, np.array([3.0, 0.5]), method="BFGS")
        assert float(loss(found)) == pytest.approx(result.best.fun)
    assert not result.success


@pytest.mark.parametrize("which", ["step_callback", "loss_callback"])
def test_exceptions_reach_the_caller(which):
    with pytest.raises(KeyError):
        minimize(lambda x: x**2, 2.0, **{which: lambda *_: {}["key"]})


def test_any_optimizer_with_callback_budget_and_time():
    history = History()
    found, result = minimize(rosenbrock, jnp.zeros(3), optimizer=TNC(callback=history), maxfun=6)
    assert (result.nfev, result.stop) == (6, StopReason.MAXFUN)
    assert len(history.x) > 0
    np.testing.assert_array_equal(found, result.best.x.astype(np.float32))
    _, result = minimize(rosenbrock, jnp.zeros(3), optimizer=LBFGSB(), timeout=1e-9)
    assert result.stop is StopReason.TIMEOUT


# Bounds and errors.


def test_bounds_in_the_structure_of_the_parameters():
    params = Pair(jnp.zeros((2, 2)), [jnp.full(3, 7.0), 0.0])
    bounds = Pair((None, [[1.0], [2.5]]), [(jnp.array([2.0, 7.0, 0.0]), None), None])
    found, _ = minimize(bowl, params, bounds=bounds)
    np.testing.assert_allclose(found.first, [[1, 1], [2.5, 2.5]], rtol=1e-5)
    np.testing.assert_allclose(found.second[0], [5, 7, 7], rtol=1e-5)
    found, _ = minimize(bowl, jnp.zeros(2), bounds=(None, 1.5))
    np.testing.assert_allclose(found, [1, 1.5], rtol=1e-5)


@pytest.mark.parametrize(
    "bounds", [(0, 1), {"w": (0, 1)}, {"w": (0, 1), "c": (0, 1)}, [(0, 1), (0, 1)]]
)
def test_bounds_of_another_structure(bounds):
    with pytest.raises(InvalidInputError, match=r"at the leaves \['b'\], \['w'\]"):
        minimize(bowl, {"w": jnp.zeros(2), "b": 0.0}, bounds=bounds)


@pytest.mark.parametrize(
    "leaf", [3, np.arange(2), "a", True, 1j, np.array(["a"]), object(), MASKED]
)
def test_parameters_that_cannot_be_fitted(leaf):
    with pytest.raises(InvalidInputError, match=r"(?s)params\['w'\] is .* real floats: .* partial"):
        minimize(bowl, {"w": leaf})


@pytest.mark.parametrize("leaf", [jnp.tanh, "a", object(), {1}, MASKED])
@pytest.mark.parametrize("wrap", [jax.jit, lambda fun: fun], ids=["jit", "plain"])
def test_arguments_that_are_no_arrays(leaf, wrap):
    with pytest.raises(InvalidInputError, match=r"(?s)args\[1\]\['act'\] is .* Close over"):
        minimize(wrap(lambda x, *args: jnp.sum(x**2)), jnp.ones(2), 1.0, {"act": leaf})


def test_what_the_message_advises_works():
    def fun(x, scale, act):
        return scale * act(x) ** 2

    found, _ = minimize(functools.partial(fun, act=jnp.tanh), 3.0, 2.0)
    assert abs(found) < 1e-3
    found, _ = minimize(lambda x, scale: fun(x, scale, jnp.sin), 1.0, 2.0)
    assert abs(found) < 1e-3


@pytest.mark.parametrize(
    "fun",
    [
        lambda x, n: jnp.sum(x + jnp.ones(n)),
        lambda x, n: jnp.sum(x) if n > 1 else x[0],
        jax.jit(lambda x, n: jnp.sum(x[:n] ** 2), static_argnums=1),
    ],
    ids=["size", "flag", "static"],
)
def test_an_argument_that_must_be_a_number_of_pythons(fun):
    with pytest.raises((TypeError, ValueError, IndexError)) as caught:
        minimize(fun, jnp.ones(2), 2)
    assert "close over a value" in "".join(caught.value.__notes__)


def test_arguments_are_what_they_were_when_the_run_began():
    data = np.zeros(1040, np.float32)
    start = (
        -data.ctypes.data // 4 % 16
    )  # at a multiple of 64 bytes JAX would take the memory itself
    data = data[start : start + 1024]

    def spoil(params):
        data[:] = 7

    found, _ = minimize(lambda x, d: jnp.sum((x - d[0]) ** 2), 5.0, data, step_callback=spoil)
    assert abs(found) < 1e-3


def test_further_errors():
    with pytest.raises(InvalidInputError, match="no arrays"):
        minimize(bowl, {})
    with pytest.raises(InvalidInputError, match="sum it"):
        minimize(lambda x: x, jnp.zeros(2))
    with pytest.raises(InvalidInputError, match="expected a function"):
        minimize(3.0, jnp.zeros(2))
    with pytest.raises(InvalidInputError, match="expected a function"):
        minimize(bowl, jnp.zeros(2), equalities=[jnp.zeros(2)])
    with pytest.raises(CapabilityError, match="CG cannot honor bounds"):
        minimize(bowl, jnp.zeros(2), bounds=(0, 1), optimizer=CG())
    with pytest.raises(InvalidInputError, match=r"optimizers\.external\.jax\.minimize"):
        ScipyOptimizerInterface(lambda: 0.0, [jnp.zeros(2)])


def test_a_loss_of_one_element_is_a_scalar():
    found, _ = minimize(lambda x: (x - 1) ** 2, jnp.zeros(1))
    np.testing.assert_allclose(found, 1, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_leaves_of_few_digits_stay_inside_bounds_that_they_cannot_hold(dtype):
    start = {"a": jnp.array([2.0, -2.0], dtype), "b": jnp.array(2.0, "float32")}
    bounds = {"a": ([0.7, None], [None, -0.3]), "b": (0.7, None)}

    def loss(params):
        return jnp.sum(params["a"].astype("float32") ** 2) + params["b"] ** 2

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _ = minimize(loss, start, bounds=bounds)
        found, _ = minimize(loss, found, bounds=bounds)
    assert float(found["a"][0]) >= 0.7
    assert float(found["a"][1]) <= -0.3
    assert float(found["b"]) >= 0.7


@pytest.mark.parametrize(
    "given",
    [[(0, 1), (2, 3)], ((0, 1), (2, 3)), [[0, 1], [2, 3]], [(None, 1.0), (np.float64(2), np.inf)]],
)
def test_bounds_that_may_be_scipys_are_refused(given):
    calls = []
    for params, bounds in ((jnp.zeros(2), given), ({"w": np.zeros(2)}, {"w": given})):
        with pytest.raises(InvalidInputError, match=r"as in SciPy.*np\.array"):
            minimize(calls.append, params, bounds=bounds)
    assert not calls


@pytest.mark.parametrize(
    "given",
    [(np.array([0, 1]), np.array([2, 3])), ([0, 1], [2, 3]), [np.array([0, 1]), np.array([2, 3])]],
)
def test_bounds_that_are_sides(given):
    found, _ = minimize(lambda x: jnp.sum((x + 1) ** 2), jnp.ones(2), bounds=given)
    assert found.tolist() == [0.0, 1.0]


def test_bounds_of_two_leaves_are_pairs():
    start = [jnp.array(0.5), jnp.array(2.5)]
    found, _ = minimize(lambda x: x[0] ** 2 + x[1] ** 2, start, bounds=[(0.25, 1), (2, 3)])
    assert [float(leaf) for leaf in found] == [0.25, 2.0]


def square(params):
    return jnp.sum(params**2)


@pytest.mark.parametrize(
    ("fun", "has_aux", "words"),
    [
        (lambda x: (square(x), x), False, r"a tuple of 2, .*has_aux=True"),
        (lambda x: (square(x), 1.0), False, r"a tuple of 2, .*has_aux=True"),
        (jax.value_and_grad(square), False, r"jax.value_and_grad\(f\), pass f itself"),
        (square, True, r"one value, expected \(loss, aux\): remove has_aux=True"),
        (lambda x: (square(x), x, x), True, "a tuple of 3, expected"),
        (lambda x: {"loss": square(x)}, False, "a dict, expected a scalar loss"),
        (lambda x: jnp.sum(x > 0), False, "type int32, expected a real float"),
        (lambda x: 3, False, "type int32, expected a real float"),
        (lambda x: square(x) + 1j, False, "type complex64, expected a real float"),
        (lambda x: 3.0, False, "does not depend on the variables"),
        (lambda x: jnp.sum(jnp.round(x)), False, "rounding"),
        (lambda x: jax.lax.stop_gradient(square(x)), False, "does not depend on"),
        (jax.jit(lambda x: jnp.cos(1.0)), False, "does not depend on"),
    ],
)
def test_what_a_loss_returns_by_mistake(fun, has_aux, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidInputError, match=words):
            minimize(fun, jnp.ones(2), has_aux=has_aux)


def test_functions_without_a_return():
    for has_aux in (False, True):
        with pytest.raises(NoValueError, match="The loss returned None: is a return missing"):
            minimize(lambda x: None, jnp.ones(2), has_aux=has_aux)
    with pytest.raises(NoValueError, match="A constraint returned None: is a return missing"):
        minimize(square, jnp.ones(2), equalities=[lambda x: None])


@pytest.mark.parametrize(
    "around",
    [
        jax.jit,
        jax.checkpoint,
        lambda f: lambda x: jax.lax.scan(lambda c, y: (c + y**2, None), 0.0, x)[0],
        lambda f: lambda x: jnp.sum(jax.vmap(lambda y: f(y[None]))(x)),
        lambda f: lambda x: jax.lax.cond(x[0] > 0, f, lambda y: f(y), x),
        lambda f: lambda x: jax.lax.fori_loop(0, 2, lambda i, s: s + x[i] ** 2, 0.0),
        lambda f: lambda x: jnp.array([f(x), 1.0])[0],
    ],
)
@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG", "Nelder-Mead"])
def test_losses_that_are_connected_in_other_ways(around, method):
    found, _ = minimize(around(square), jnp.ones(2), method=method)
    np.testing.assert_allclose(found, [0, 0], atol=1e-3)


def test_a_method_without_gradients_needs_none():
    found, _ = minimize(
        lambda x: jnp.sum(jnp.round(x * 1e4) ** 2), jnp.ones(2), method="Nelder-Mead"
    )
    np.testing.assert_allclose(found, [0, 0], atol=1e-3)


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "Nelder-Mead"])
def test_a_start_at_infinity_is_named(method):
    for loss in (lambda x: jnp.inf, lambda x: jnp.sum(x**2 - jnp.log(x))):
        with pytest.raises(NonFiniteValueError, match="The loss is inf at the start"):
            minimize(loss, jnp.zeros(2), method=method)


def test_args_follow_the_parameters():
    with pytest.raises(InvalidInputError, match=r"minimize\(fun, params, \*args\)"):
        minimize(square, jnp.ones(2), args=(3,))


@pytest.mark.parametrize(
    "around", [jax.jit, jax.vmap, lambda f: jax.grad(lambda x: jnp.sum(f(x)[0]))]
)
def test_it_is_not_to_be_traced(around):
    with pytest.raises(InvalidInputError, match=r"outside of jax.jit, grad and vmap"):
        around(lambda x: minimize(square, x))(jnp.ones((2, 2)))
    with pytest.raises(InvalidInputError, match=r"outside of jax.jit, grad and vmap"):
        around(lambda x: minimize(lambda p, x: square(p - x), jnp.ones(2), x))(jnp.ones((2, 2)))
