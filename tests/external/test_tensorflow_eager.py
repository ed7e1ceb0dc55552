"""TensorFlow's eager mode: losses that are functions, and models of Keras 3."""

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from optimizers import (
    LBFGSB,
    InvalidInputError,
    MissingExtraError,
    NoValueError,
    OptimizerWarning,
    StopReason,
)
from optimizers.external import (
    ExternalOptimizerInterface,
    OptimizerInterface,
    ScipyOptimizerInterface,
)
from optimizers.external.tensorflow import minimize
from tests.external.methods import QUICK, assert_at_ones


def test_without_tensorflow_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install tensorflow"):
        minimize(lambda: 0.0, [])


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow", reason="needs the extra: tensorflow")


@pytest.fixture
def rosen(tf):
    def rosen(x):
        return tf.reduce_sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return rosen


@pytest.mark.parametrize(("method", "options", "n", "accuracy"), QUICK)
def test_every_method_minimizes_in_single_precision(tf, rosen, method, options, n, accuracy):
    x = tf.Variable(np.zeros(n, np.float32))
    ScipyOptimizerInterface(lambda: rosen(x), [x], method=method, options=options).minimize()
    assert_at_ones(x.numpy(), accuracy)


def test_variables_of_any_shape_and_float(tf):
    a, b = tf.Variable(5.0), tf.Variable([1.0, 2.0], dtype=tf.float64)
    c, d = tf.Variable(tf.ones((2, 3), tf.float16)), tf.Variable([3.0], dtype=tf.bfloat16)
    unused = tf.Variable([7.0])

    def loss():
        parts = [(a - 1) ** 2, (b - [3, 4]) ** 2, (c - 2) ** 2, (d - 1) ** 2]
        return tf.add_n([tf.reduce_sum(tf.cast(part, tf.float64)) for part in parts])

    interface = ScipyOptimizerInterface(loss, [a, b, c, d, unused])
    interface.minimize()
    assert interface.result_.x.dtype == np.float64
    np.testing.assert_allclose(a.numpy(), 1, atol=1e-5)
    np.testing.assert_allclose(b.numpy(), [3, 4], atol=1e-5)
    np.testing.assert_allclose(c.numpy(), np.full((2, 3), 2), atol=1e-2)
    assert abs(float(d[0]) - 1) < 0.1
    assert unused.numpy().tolist() == [7.0]


def test_a_loss_of_a_type_that_numpy_has_not(tf):
    x = tf.Variable(tf.zeros(2, tf.bfloat16))
    ScipyOptimizerInterface(lambda: tf.reduce_sum((x - 3) ** 2), [x]).minimize()
    assert [float(value) for value in x.numpy()] == [3.0, 3.0]


def test_by_default_the_variables_are_those_that_the_loss_reads(tf):
    x, other = tf.Variable([3.0]), tf.Variable([4.0])
    fixed = tf.Variable([1.0], trainable=False)
    ScipyOptimizerInterface(lambda: tf.reduce_sum((x - fixed) ** 2)).minimize()
    np.testing.assert_allclose([*x, *fixed, *other], [1.0, 1.0, 4.0], atol=1e-5)


class Recorder(ExternalOptimizerInterface):
    def _minimize(self, **given):
        self.given = given
        return given["initial_val"]


def test_the_hook(tf):
    x = tf.Variable([3.0, 4.0])
    recorder = Recorder(lambda: tf.reduce_sum(x**2), [x], inequalities=[lambda: x[0], lambda: x**2])
    recorder.minimize()
    given = recorder.given
    assert given["initial_val"].dtype == np.float32
    loss, gradient = given["loss_grad_func"](np.array([1.0, 2.0]))
    assert isinstance(loss, np.float32)
    gradient += 1  # the caller's own
    assert (loss, gradient.tolist()) == (5.0, [3.0, 5.0])
    scalar, vector = given["inequality_funcs"]
    assert scalar(np.ones(2)).tolist() == [1.0]
    assert vector(np.array([2.0, 3.0])).tolist() == [4.0, 9.0]
    scalar, vector = given["inequality_grad_funcs"]
    assert scalar(np.ones(2)).tolist() == [[1.0, 0.0]]
    assert vector(np.array([2.0, 3.0])).tolist() == [[4.0, 0.0], [0.0, 6.0]]


def test_callbacks_in_their_order_and_fetches(tf):
    x, seen = tf.Variable([3.0, 4.0]), []
    interface = ScipyOptimizerInterface(lambda: tf.reduce_sum(x**2), [x])
    interface.minimize(
        fetches=[x, lambda: {"double": 2 * x}],
        step_callback=lambda xk: seen.append(("S", xk)),
        loss_callback=lambda *fetched: seen.append(("L", *fetched)),
    )
    assert "".join(event[0] for event in seen) == "LLSLS"
    assert seen[0][1].tolist() == [3.0, 4.0]
    assert seen[0][2]["double"].tolist() == [6.0, 8.0]


def test_an_interface_traces_its_functions_once(tf):
    x, traces = tf.Variable([3.0, 4.0]), []

    def traced(name, tensor):
        traces.append(name)
        return tensor

    def fetch():
        return traced("fetch", tf.reduce_sum(x))

    interface = ScipyOptimizerInterface(
        lambda: traced("loss", tf.reduce_sum((x - 1) ** 2)),
        [x],
        inequalities=[lambda: traced("constraint", x[0] - 2)],
    )
    for _ in range(3):
        x.assign([3.0, 4.0])
        interface.minimize()
        np.testing.assert_allclose(x.numpy(), [2, 1], atol=1e-5)
    assert traces == ["loss", "constraint", "constraint"]  # values and Jacobian
    for _ in range(3):
        interface.minimize(fetches=[fetch], loss_callback=lambda value: None)
    assert traces[3:] == ["loss", "fetch"]
    interface.minimize(fetches=[x], loss_callback=lambda value: None)
    assert traces[5:] == ["loss"]


def test_an_interface_traces_second_derivatives_once(tf):
    x, traces = tf.Variable([3.0, 4.0]), []

    def loss():
        traces.append(1)
        return tf.reduce_sum((x - 1) ** 2)

    interface = ScipyOptimizerInterface(loss, [x], method="Newton-CG")
    for _ in range(3):
        interface.minimize()
    assert len(traces) == 2


TARGET = 1.0


class Layer:
    def __init__(self):
        self.target, self.targets, self.inner = None, [None], SimpleNamespace(target=None)


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (lambda layer, value: setattr(layer, "target", value), lambda layer: layer.target),
        (
            lambda layer, value: setattr(layer.inner, "target", value),
            lambda layer: layer.inner.target,
        ),
        (lambda layer, value: layer.targets.__setitem__(0, value), lambda layer: layer.targets[0]),
        (lambda layer, value: globals().update(TARGET=value), lambda layer: TARGET),
    ],
    ids=["attribute", "nested attribute", "entry of a list", "global"],
)
@pytest.mark.parametrize("kind", ["number", "array", "tensor"])
def test_a_loss_that_has_changed_is_minimized_as_it_is(tf, write, read, kind):
    x, layer = tf.Variable([5.0]), Layer()
    value = {"number": float, "array": lambda t: np.full(1, t, np.float32), "tensor": tf.constant}

    def loss():
        return tf.reduce_sum((x - read(layer)) ** 2)

    for target in (1.0, 2.0):
        write(layer, value[kind](target))
        x.assign([5.0])
        result = minimize(loss, [x])
        np.testing.assert_allclose(x.numpy(), target, atol=1e-5)
        assert result.fun == pytest.approx(float(loss()), abs=1e-9)


def test_what_else_has_changed_is_taken_as_it_is(tf):
    x, layer = tf.Variable([5.0]), Layer()
    for limit in (1.0, 2.0):
        layer.target = limit
        seen = []
        minimize(
            lambda: tf.reduce_sum(x**2),
            [x],
            inequalities=[lambda: x - layer.target],
            fetches=[lambda: tf.constant(layer.target)],
            loss_callback=seen.append,
        )
        np.testing.assert_allclose(x.numpy(), limit, atol=1e-5)
        assert set(seen) == {limit}


def test_models_of_keras(tf):
    import keras

    keras.utils.set_random_seed(0)
    inputs = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    targets = tf.constant(np.sin(3 * inputs))
    model = keras.Sequential([keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])
    model.build((None, 1))

    def loss():
        return tf.reduce_mean((model(inputs) - targets) ** 2)

    kernel = model.layers[0].kernel
    result = minimize(loss, model.trainable_variables, bounds=[(kernel, (-2, 2))])
    assert result.fun < 1e-3
    assert np.abs(kernel.numpy()).max() <= 2.0
    assert float(loss()) == pytest.approx(result.fun, rel=1e-3)


@pytest.mark.parametrize("key", ["pair", "ref"])
@pytest.mark.parametrize("method", ["L-BFGS-B", "TNC", "SLSQP"])
def test_bounds(tf, key, method):
    a, b = tf.Variable(2.0), tf.Variable([[3.0, 3.0], [3.0, 3.0]])
    bounds = {"a": (1, np.inf), "b": ([[1.5], [2.5]], None)}
    pairs = [(a, bounds["a"]), (b, bounds["b"])]
    given = pairs if key == "pair" else {v.ref(): pair for v, pair in pairs}
    minimize(lambda: a**2 + tf.reduce_sum(b**2), [a, b], given, method=method)
    np.testing.assert_allclose(a.numpy(), 1, atol=1e-5)
    np.testing.assert_allclose(b.numpy(), [[1.5, 1.5], [2.5, 2.5]], atol=1e-5)


def of_itself(tf):
    return tf.Variable([3.0, 4.0], constraint=lambda t: tf.clip_by_value(t, 0.0, np.inf))


def of_keras(tf):
    import keras

    layer = keras.layers.Dense(1, kernel_constraint=keras.constraints.NonNeg())
    layer.build((None, 2))
    return layer.kernel


@pytest.mark.parametrize("make", [of_itself, of_keras])
def test_a_constraint_of_a_variables_own_is_not_dropped_in_silence(tf, make):
    w, free = make(tf), tf.Variable(1.0)

    def loss():
        return tf.reduce_sum((w + 1.0) ** 2) + free**2

    with pytest.warns(
        OptimizerWarning, match=r"var_list\[1\], has its own constraint, .* var_to_bounds"
    ):
        minimize(loss, [free, w], options={"maxiter": 1})
    w.assign(np.ones(w.shape))
    minimize(loss, [free, w], [(w, (0, None))])
    np.testing.assert_array_equal(w.numpy(), 0.0)


@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG", "trust-constr"])
def test_variables_of_unknown_static_length(tf, method):
    row = tf.Variable(np.zeros((3, 1)), shape=tf.TensorShape([None, 1]))
    any_shape = tf.Variable(np.ones((2, 2)), shape=tf.TensorShape(None))
    unused = tf.Variable(np.ones(2), shape=tf.TensorShape([None]))

    def loss():
        target = tf.cast(tf.range(tf.shape(row)[0]), tf.float64)[:, None]
        return tf.reduce_sum((row - target) ** 2) + tf.reduce_sum(any_shape**2)

    given = {"equalities": [lambda: tf.reduce_sum(row) - 3]} if method == "trust-constr" else {}
    result = minimize(loss, [row, any_shape, unused], method=method, **given)
    assert result.success
    np.testing.assert_allclose(row.numpy(), [[0], [1], [2]], atol=1e-6)
    np.testing.assert_allclose(any_shape.numpy(), np.zeros((2, 2)), atol=1e-6)
    row.assign(np.zeros((5, 1)))
    minimize(loss, [row], [(row, (None, 3))])
    np.testing.assert_allclose(row.numpy().ravel(), [0, 1, 2, 3, 3], atol=1e-6)


def test_a_length_that_has_changed_is_an_error(tf):
    row = tf.Variable(np.ones(3), shape=tf.TensorShape([None]))
    interface = ScipyOptimizerInterface(lambda: tf.reduce_sum(row**2), [row])
    interface.minimize()
    row.assign(np.ones(5))
    with pytest.raises(InvalidInputError, match=r"shape \(5,\), but had \(3,\)"):
        interface.minimize()
    assert row.numpy().tolist() == [1.0] * 5


def test_equality_and_inequality(tf):
    x = tf.Variable(np.zeros(3))
    result = minimize(
        lambda: tf.reduce_sum((x - 1) ** 2),
        [x],
        equalities=[lambda: x[0] + x[1] - 1],
        inequalities=[lambda: 0.25 - x[1:]],
    )
    np.testing.assert_allclose(x.numpy(), [0.75, 0.25, 0.25], atol=1e-6)
    assert result.maxcv < 1e-6


@pytest.mark.parametrize("where", ["loss", "loss_callback", "step_callback", "constraint"])
@pytest.mark.parametrize("call", [1, 3])
def test_an_exception_leaves_the_variables_as_they_were(tf, where, call):
    x, calls = tf.Variable([3.0, 4.0]), []

    def check(value):
        calls.append(1)
        if len(calls) >= call:
            raise ZeroDivisionError
        return value

    def checked(name, tensor):
        if name != where:
            return tensor
        with tf.control_dependencies([tf.numpy_function(check, [tensor], tensor.dtype)]):
            return tf.identity(tensor)

    interface = ScipyOptimizerInterface(
        lambda: checked("loss", tf.reduce_sum((x - 1) ** 4)),
        [x],
        inequalities=[lambda: checked("constraint", x[0] + 2 - tf.reduce_sum(x**2) / 9)],
    )
    callbacks = {where: lambda *args: check(0)} if where.endswith("callback") else {}
    with pytest.raises((ZeroDivisionError, tf.errors.OpError)):
        interface.minimize(**callbacks)
    assert len(calls) >= call
    assert x.numpy().tolist() == [3.0, 4.0]


def test_a_summary_is_logged_where_tensorflow_1_did(tf, caplog):
    x = tf.Variable([3.0])
    with caplog.at_level(logging.INFO, "tensorflow"):
        result = minimize(lambda: tf.reduce_sum(x**2), [x])
    (record,) = [r for r in caplog.records if r.name == "tensorflow"]
    assert record.levelno == logging.INFO
    first, *lines = record.getMessage().splitlines()
    assert first == "Optimization terminated with:"
    assert [line.split(": ", 1)[1] for line in lines] == [
        *(result.message, str(result.fun), str(result.nit), str(result.nfev))
    ]


def test_stop_iteration_commits_the_best_point(tf, rosen):
    x, seen = tf.Variable([-1.2, 1.0]), []

    def stop(value, point):
        seen.append((value, point.tolist()))
        if len(seen) == 6:
            raise StopIteration

    result = minimize(lambda: rosen(x), [x], fetches=[lambda: rosen(x), x], loss_callback=stop)
    assert len(seen) == 6
    assert result.stop is StopReason.CALLBACK
    assert x.numpy().tolist() == min(seen)[1]


def test_any_optimizer_with_its_budget(tf, rosen):
    x = tf.Variable([0.0, 0.0])
    result = minimize(lambda: rosen(x), [x], optimizer=LBFGSB(), maxfun=5)
    assert (result.nfev, result.stop) == (5, StopReason.MAXFUN)
    np.testing.assert_array_equal(x.numpy(), result.best.x.astype(np.float32))
    OptimizerInterface(lambda: rosen(x), [x], optimizer=LBFGSB()).minimize()
    np.testing.assert_allclose(x.numpy(), 1, atol=1e-3)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-exact"])
def test_second_derivatives_are_exact(tf, method):
    x = tf.Variable([3.0, 4.0], dtype=tf.float64)
    scale = np.array([1.0, 10.0])
    result = minimize(lambda: tf.reduce_sum(scale * x**2), [x], method=method)
    assert result.nhev > 0
    np.testing.assert_allclose(x.numpy(), 0, atol=1e-6)


def test_without_second_derivatives_there_is_a_warning(tf):
    x = tf.Variable([3.0, 4.0], dtype=tf.float64)

    @tf.custom_gradient
    def square(x):
        def backward(upstream):
            return upstream * tf.raw_ops.PreventGradient(input=2 * x, message="not twice")

        return x**2, backward

    def loss():
        return tf.reduce_sum(square(tf.convert_to_tensor(x)))

    with pytest.warns(OptimizerWarning, match="not twice"):
        minimize(loss, [x], method="Newton-CG")
    np.testing.assert_allclose(x.numpy(), 0, atol=1e-4)


def test_a_function_of_tensorflow_is_a_loss(tf):
    x = tf.Variable([3.0])

    @tf.function
    def loss():
        total = tf.constant(0.0)
        for i in tf.range(3):
            if i > 0:
                total += tf.reduce_sum(x**2)
        return total

    minimize(loss, [x])
    np.testing.assert_allclose(x.numpy(), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda tf, x: (x[0] ** 2, [x]), "in eager mode, where a tensor is only a value"),
        (lambda tf, x: (x[0] ** 2,), "in eager mode, where a tensor is only a value"),
        (lambda tf, x: (lambda: x, [x]), "expected a scalar"),
        (lambda tf, x: (lambda: 0.0, [x, x]), "listed twice"),
        (lambda tf, x: (lambda: 0.0, [x, tf.constant(1.0)]), "expected a tf.Variable"),
        (lambda tf, x: (lambda: 0.0, [tf.Variable(1)]), "expected real floats"),
        (lambda tf, x: (lambda: 0.0, []), "expected a tensor"),
        (lambda tf, x: (lambda: 0.0, [x], [x[0]]), "a tensor is only a value"),
    ],
)
def test_what_cannot_be_used_is_an_error(tf, arguments, words):
    x = tf.Variable([3.0, 4.0])
    with pytest.raises(InvalidInputError, match=words):
        ScipyOptimizerInterface(*arguments(tf, x)).minimize()
    assert x.numpy().tolist() == [3.0, 4.0]


def test_what_belongs_to_graph_mode_is_an_error(tf):
    x = tf.Variable([3.0])
    interface = ScipyOptimizerInterface(lambda: tf.reduce_sum(x**2), [x])
    with pytest.raises(InvalidInputError, match="feed_dict was given"):
        interface.minimize(feed_dict={"a": 1})
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session, pytest.raises(InvalidInputError, match=r"session was given, .* in eager mode"):
        interface.minimize(session)


@pytest.mark.parametrize("kind", ["constant", "numpy", "count", "round"])
def test_a_loss_without_a_gradient_is_an_error(tf, kind):
    x, y = tf.Variable([1.0, 2.0]), tf.Variable(1.0)
    losses = {
        "constant": lambda: tf.constant(3.0),
        "numpy": lambda: tf.reduce_sum(tf.constant([1.0, 2.0]) ** 2),
        "count": lambda: tf.math.count_nonzero(x > 0),
        "round": lambda: tf.reduce_sum(tf.stop_gradient(x) ** 2) + tf.stop_gradient(y),
    }
    called = []
    with pytest.raises(InvalidInputError, match="does not depend on the variables"):
        minimize(losses[kind], [x, y], loss_callback=lambda: called.append(1))
    assert not called
    assert x.numpy().tolist() == [1.0, 2.0]


def test_a_method_without_gradients_needs_none(tf):
    x = tf.Variable([1.0, 2.0])
    minimize(lambda: tf.stop_gradient(tf.reduce_sum(x**2)), [x], method="Nelder-Mead")
    np.testing.assert_allclose(x.numpy(), [0, 0], atol=1e-3)


def test_functions_without_a_return(tf):
    x = tf.Variable([1.0, 2.0])
    with pytest.raises(NoValueError, match="The loss returned None: is a return missing"):
        minimize(lambda: None, [x])
    with pytest.raises(NoValueError, match="A constraint returned None"):
        minimize(lambda: tf.reduce_sum(x**2), [x], equalities=[lambda: None])


def test_a_model_or_a_variable_in_the_place_of_a_list(tf):
    x = tf.Variable([1.0, 2.0])
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    with pytest.raises(InvalidInputError, match=r"pass model\.trainable_variables"):
        minimize(lambda: tf.reduce_sum(x**2), model)
    with pytest.raises(InvalidInputError, match=r"pass \[variable\]"):
        minimize(lambda: tf.reduce_sum(x**2), x)


def test_a_tensor_is_no_fetch(tf):
    x = tf.Variable([1.0, 2.0])
    with pytest.raises(InvalidInputError, match="a tensor is only a value"):
        minimize(lambda: tf.reduce_sum(x**2), [x], fetches=[x + 1])
