"""TensorFlow's graph mode: what TensorFlow 1.15 did, and what is better."""

import logging

import numpy as np
import pytest

from optimizers import LBFGSB, CapabilityError, InvalidInputError, OptimizerWarning, StopReason
from optimizers.external import (
    ExternalOptimizerInterface,
    OptimizerInterface,
    ScipyOptimizerInterface,
)
from tests.external.methods import QUICK, assert_at_ones

tf = pytest.importorskip("tensorflow", reason="needs the extra: tensorflow")
from optimizers.external.tensorflow.graph import PATIENCE, Direct, GraphBackend  # noqa: E402

v1 = tf.compat.v1
EAGER = tf.constant(3.0)


@pytest.fixture(params=["resource", "ref"])
def graph(request):
    with tf.Graph().as_default() as graph:
        graph.use_resource = request.param == "resource"
        yield graph


def variable(value, name=None, dtype=np.float32, **kwargs):
    use_resource = v1.get_default_graph().use_resource
    return v1.Variable(np.asarray(value, dtype), use_resource=use_resource, name=name, **kwargs)


def started():
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    return session


def rosenbrock(x):
    return tf.reduce_sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


class Recorder(ExternalOptimizerInterface):
    def _minimize(self, **given):
        self.given = given
        return given["initial_val"]


@pytest.mark.parametrize(
    ("graph", "method", "options", "n", "accuracy"),
    [
        *(("resource", *row) for row in QUICK),
        *(("ref", *row) for row in QUICK if row[0] in ("L-BFGS-B", "SLSQP", "trust-ncg")),
    ],
    indirect=["graph"],
)
def test_every_method_minimizes_in_single_precision(graph, method, options, n, accuracy):
    x = variable(np.zeros(n))
    interface = ScipyOptimizerInterface(rosenbrock(x), method=method, options=options)
    with started() as session:
        interface.minimize(session)
        assert_at_ones(session.run(x), accuracy)


def test_scalar_vector_and_matrix_together(graph):
    a, b, c = variable(5.0), variable([1.0, 2.0]), variable(np.ones((2, 3)))
    unused, fixed = variable([7.0]), variable(4.0, trainable=False)
    loss = (a - 1) ** 2 + tf.reduce_sum((b - [3, 4]) ** 2) + tf.reduce_sum((c - fixed) ** 2)
    recorder = Recorder(loss)
    with started() as session:
        recorder.minimize(session)
        given = recorder.given
        assert given["initial_val"].tolist() == [5, 1, 2, 1, 1, 1, 1, 1, 1, 7]
        assert given["initial_val"].dtype == np.float32
        value, gradient = given["loss_grad_func"](np.arange(10.0))
        assert value == 1 + 8 + sum((i - 4) ** 2 for i in range(3, 9))
        assert gradient.tolist() == [-2, -4, -4, -2, 0, 2, 4, 6, 8, 0]
        ScipyOptimizerInterface(loss).minimize(session)
        np.testing.assert_allclose(session.run(a), 1.0, atol=1e-5)
        np.testing.assert_allclose(session.run(b), [3, 4], atol=1e-5)
        np.testing.assert_allclose(session.run(c), np.full((2, 3), 4), atol=1e-5)
        assert session.run([unused, fixed])[0].tolist() == [7.0]


def test_mixed_types_are_cast_one_by_one(graph):
    a, b = variable([3.0]), variable([4.0], dtype=np.float64)
    loss = tf.reduce_sum(tf.cast(a, tf.float64) ** 2) + tf.reduce_sum((b - 1 / 3) ** 2)
    recorder = Recorder(loss)
    interface = ScipyOptimizerInterface(loss)
    with started() as session:
        recorder.minimize(session)
        assert recorder.given["initial_val"].dtype == np.float64
        interface.minimize(session)
        np.testing.assert_allclose(session.run(b), 1 / 3, rtol=1e-12)


def test_a_loss_of_a_type_that_numpy_has_not(graph):
    x = v1.Variable(tf.zeros(2, tf.bfloat16), use_resource=graph.use_resource)
    interface = ScipyOptimizerInterface(tf.reduce_sum((x - 3) ** 2))
    with started() as session:
        interface.minimize(session)
        assert [float(value) for value in session.run(x)] == [3.0, 3.0]


def test_trial_points_are_fed_and_the_variables_keep_their_values(graph):
    x = variable([3.0, 4.0])
    interface = ScipyOptimizerInterface(tf.reduce_sum(x**2))
    seen = []
    with started() as session:
        interface.minimize(
            session,
            fetches=[x, x + 0],
            loss_callback=lambda *fetched: seen.append((*fetched, session.run(x))),
        )
        assert all(held.tolist() == [3.0, 4.0] for _, _, held in seen)
        assert all(np.array_equal(a, b) for a, b, _ in seen)
        assert not np.array_equal(seen[-1][0], [3.0, 4.0])
        np.testing.assert_allclose(session.run(x), 0, atol=1e-6)


def test_callbacks_in_their_order(graph):
    x, seen = variable([3.0, 4.0]), []
    loss = tf.reduce_sum(x**2)
    interface = ScipyOptimizerInterface(
        loss, inequalities=None, var_to_bounds={x.ref(): (-9, None)}
    )
    with started() as session:
        result = interface.minimize(
            session,
            fetches=[loss],
            step_callback=lambda xk: seen.append(("S", xk.shape)),
            loss_callback=lambda value: seen.append(("L", float(value))),
        )
    assert result is None
    assert "".join(event for event, _ in seen) == "LLSLS"
    assert seen[0] == ("L", 25.0)
    assert seen[2] == ("S", (2,))


def test_a_finalized_graph_repeated_calls_and_no_growth(graph):
    x, data = variable(np.zeros(2)), v1.placeholder(tf.float32, [2])
    loss = tf.reduce_sum((x - data) ** 2)
    interface = ScipyOptimizerInterface(
        loss, inequalities=[x[0] - 0.5], equalities=[x[1] - data[1]], method="trust-constr"
    )
    with started() as session:
        graph.finalize()
        count = len(graph.get_operations())
        for target in ([2.0, 3.0], [0.0, 1.0]):
            interface.minimize(session, {data: target}, fetches=[loss], loss_callback=lambda v: 0)
            np.testing.assert_allclose(session.run(x), [max(target[0], 0.5), target[1]], atol=1e-2)
        assert len(graph.get_operations()) == count


def test_the_default_session(graph):
    x = variable([3.0])
    interface = ScipyOptimizerInterface(tf.reduce_sum(x**2))
    with pytest.raises(InvalidInputError, match="no session"):
        interface.minimize()
    with started() as session:
        interface.minimize()
        assert abs(session.run(x)[0]) < 1e-6


def test_the_users_feed_wins_over_trial_points(graph):
    x, y = variable([3.0]), variable([4.0])
    total = tf.reduce_sum(x + y)
    interface = ScipyOptimizerInterface(total**2)
    with started() as session:
        recorder, seen = Recorder(total**2), []
        recorder.minimize(session, feed_dict={graph.as_graph_element(x): [5.0]})
        recorder.minimize(session, feed_dict={x: [5.0]})
        loss, gradient = recorder.given["loss_grad_func"](np.array([1.0, 2.0]))
        assert (loss, gradient.tolist()) == (49.0, [14.0, 14.0])
        interface.minimize(session, {x: [5.0]}, [total], loss_callback=seen.append)
        assert seen[0] == 9.0


class Session:
    """Passes on to a session, and keeps what it is asked."""

    def __init__(self, session):
        self.session, self.runs = session, []

    def run(self, fetches, feed_dict=None, **kwargs):
        self.runs.append((feed_dict, kwargs))
        return self.session.run(fetches, feed_dict, **kwargs)


def test_the_feed_is_in_every_evaluation_and_run_kwargs_in_the_write_alone(graph):
    x, scale = variable([3.0]), v1.placeholder(tf.float32)
    interface = ScipyOptimizerInterface(scale * tf.reduce_sum(x**2), inequalities=[x * scale - 1])
    with started() as session:
        spy, metadata = Session(session), v1.RunMetadata()
        interface.minimize(spy, {scale: 2.0}, run_metadata=metadata)
        np.testing.assert_allclose(session.run(x), 0.5, rtol=1e-5)
    *evaluations, (_, kwargs) = spy.runs
    assert kwargs == {"run_metadata": metadata}
    assert all(feed[scale] == 2.0 and not kwargs for feed, kwargs in evaluations)


@pytest.mark.parametrize("size", [3, 40])
def test_equalities_and_inequalities_as_vectors(graph, size):
    x = variable(np.zeros(size), dtype=np.float64)
    interface = ScipyOptimizerInterface(
        tf.reduce_sum((x - 1) ** 2),
        equalities=[tf.reduce_sum(x[:2]) - 1],
        inequalities=[2 - 4 * x, x[2] + 5],
    )
    with started() as session:
        interface.minimize(session)
        np.testing.assert_allclose(session.run(x), 0.5, atol=1e-6)
        recorder = Recorder(tf.reduce_sum(x), inequalities=[x**2])
        recorder.minimize(session)
        point = np.arange(float(size))
        (jacobian,) = recorder.given["inequality_grad_funcs"]
        np.testing.assert_allclose(jacobian(point), np.diag(2 * point))
        np.testing.assert_allclose(recorder.given["inequality_funcs"][0](point), point**2)


@pytest.mark.parametrize("method", ["L-BFGS-B", "TNC", "SLSQP", "trust-constr"])
def test_bounds(graph, method):
    a, b = variable(2.0), variable(np.full((2, 2), 3.0))
    loss = a**2 + tf.reduce_sum(b**2)
    interface = ScipyOptimizerInterface(
        loss, var_to_bounds=[(a, (1, np.inf)), (b, ([[1.5], [2.5]], None))], method=method
    )
    with started() as session:
        interface.minimize(session)
        np.testing.assert_allclose(session.run(a), 1, atol=1e-2)
        np.testing.assert_allclose(session.run(b), [[1.5, 1.5], [2.5, 2.5]], atol=1e-2)


def test_bounds_of_what_is_not_optimized_are_an_error(graph):
    x, y = variable([1.0]), variable([2.0])
    with pytest.raises(InvalidInputError, match="not one of the 1 optimized variables"):
        ScipyOptimizerInterface(tf.reduce_sum(x), [x], var_to_bounds={y.ref(): (0, 1)})
    with pytest.raises(ValueError, match="broadcasts"):
        ScipyOptimizerInterface(tf.reduce_sum(x), [x], var_to_bounds={x.ref(): ([1, 2], None)})
    with pytest.raises(CapabilityError, match="BFGS cannot honor bounds"):
        ScipyOptimizerInterface(
            tf.reduce_sum(x), [x], var_to_bounds={x.ref(): (0, 1)}, method="BFGS"
        )


@pytest.mark.parametrize("where", ["loss", "loss_callback", "step_callback", "constraint"])
@pytest.mark.parametrize("call", [1, 3])
def test_an_exception_leaves_the_variables_as_they_were(graph, where, call):
    x, calls = variable([3.0, 4.0]), []

    def check(value):
        calls.append(1)
        if len(calls) >= call:
            raise ZeroDivisionError
        return value

    def checked(tensor):
        check_op = tf.numpy_function(check, [tensor], tensor.dtype)
        with tf.control_dependencies([check_op]):
            return tf.identity(tensor)

    loss, constraint = tf.reduce_sum((x - 1) ** 4), x[0] + 2 - tf.reduce_sum(x**2) / 9
    if where == "loss":
        loss = checked(loss)
    if where == "constraint":
        constraint = checked(constraint)
    interface = ScipyOptimizerInterface(loss, inequalities=[constraint])
    callbacks = {where: lambda *args: check(0)} if where.endswith("callback") else {}
    with started() as session:
        with pytest.raises((ZeroDivisionError, tf.errors.OpError)):
            interface.minimize(session, **callbacks)
        assert len(calls) >= call
        assert session.run(x).tolist() == [3.0, 4.0]


def test_stop_iteration_commits_the_best_point(graph):
    x, seen = variable([-1.2, 1.0]), []
    loss = rosenbrock(x)

    def stop(value, point):
        seen.append((value, point.tolist()))
        if len(seen) == 6:
            raise StopIteration

    interface = ScipyOptimizerInterface(loss)
    with started() as session:
        interface.minimize(session, fetches=[loss, x], loss_callback=stop)
        assert len(seen) == 6
        assert interface.result_.stop is StopReason.CALLBACK
        assert session.run(x).tolist() == min(seen)[1]


def test_any_optimizer(graph):
    from optimizers import NewtonCG

    x = variable([0.0, 0.0])
    interface = OptimizerInterface(rosenbrock(x), optimizer=NewtonCG(), maxfun=1000)
    with started() as session:
        interface.minimize(session)
        np.testing.assert_allclose(session.run(x), 1.0, atol=1e-3)
    assert interface.result_.nhev > 0


def test_hessian_vector_products_are_exact(graph):
    class Curious(Recorder):
        def _uses_hessp(self):
            return True

    a, b = variable(1.0), variable([1.0, 2.0])
    recorder = Curious(a * b[0] ** 2 + b[1] ** 3)
    with started() as session:
        recorder.minimize(session)
        product = recorder.given["loss_grad_func"].hessp(
            np.array([3.0, 4, 5]), np.array([1.0, 2, 3])
        )
    assert product.tolist() == [8 * 2, 8 * 1 + 6 * 2, 30 * 3]


def test_a_loss_that_is_no_scalar_or_no_variables_are_errors(graph):
    x = variable([1.0, 2.0])
    with pytest.raises(InvalidInputError, match="expected a scalar"):
        ScipyOptimizerInterface(x * 2)
    with pytest.raises(InvalidInputError, match="no variable"):
        ScipyOptimizerInterface(tf.reduce_sum(x), [])
    with pytest.raises(InvalidInputError, match="listed twice"):
        ScipyOptimizerInterface(tf.reduce_sum(x), [x, x])


def test_an_eager_tensor_is_no_loss_and_the_summary_is_logged(graph, caplog):
    x = variable([1.0])
    for given in ((EAGER, [x]), (tf.reduce_sum(x**2), [x], [EAGER])):
        with pytest.raises(InvalidInputError, match="an eager tensor, which is only a value"):
            ScipyOptimizerInterface(*given)
    interface = ScipyOptimizerInterface(tf.reduce_sum(x**2), [x])
    with caplog.at_level(logging.INFO, "tensorflow"), started() as session:
        interface.minimize(session)
    assert [
        r.name for r in caplog.records if r.getMessage().startswith("Optimization terminated with:")
    ] == ["tensorflow"]


def test_a_constraint_of_a_variables_own_and_no_shape(graph):
    x = variable([1.0], constraint=abs)
    with pytest.warns(OptimizerWarning, match="has its own constraint"):
        ScipyOptimizerInterface(tf.reduce_sum(x), [x])
    y = v1.Variable([1.0], shape=[None], validate_shape=False, use_resource=graph.use_resource)
    with pytest.raises(InvalidInputError, match="known in the graph"):
        ScipyOptimizerInterface(tf.reduce_sum(y), [y])


def test_what_cannot_be_fed_is_assigned_and_put_back():
    with tf.Graph().as_default():
        table, w = (v1.Variable(value, use_resource=True) for value in (np.eye(3), [1.0, 2.0]))

        @tf.function
        def inside():
            return tf.reduce_sum((w - 2) ** 2)

        rows = tf.nn.embedding_lookup(table, [0, 2])
        loss = tf.reduce_sum((rows - 1) ** 2) + tf.cast(inside(), tf.float64)
        interface = ScipyOptimizerInterface(loss)
        with started() as session:
            with pytest.raises(KeyError):
                interface.minimize(session, step_callback=lambda x: {}["key"])
            assert session.run(w).tolist() == [1.0, 2.0]
            assert session.run(table).tolist() == np.eye(3).tolist()
            interface.minimize(session)
            np.testing.assert_allclose(session.run(w), 2.0, atol=1e-4)
            np.testing.assert_allclose(
                session.run(table), [[1, 1, 1], [0, 1, 0], [1, 1, 1]], atol=1e-4
            )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_control_flow(version):
    was_v2 = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if version == "v2" else v1.disable_control_flow_v2)()
    try:
        with tf.Graph().as_default():
            w = v1.Variable([3.0, 1.0], use_resource=True)
            total = tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s + w**2), [0, w * 0])[1]
            branch = tf.cond(total[0] > 0, lambda: w + 1, lambda: w - 1)
            loss = tf.reduce_sum(total) + 0 * tf.reduce_sum(branch)
            interface = ScipyOptimizerInterface(loss, inequalities=[tf.tile(w, [10]) - 0.5])
            with started() as session:
                interface.minimize(session)
                np.testing.assert_allclose(session.run(w), 0.5, atol=1e-4)
    finally:
        (v1.enable_control_flow_v2 if was_v2 else v1.disable_control_flow_v2)()


def loss_with_feed():
    """Return a variable, a placeholder, and the sum of (variable - placeholder)^2."""
    x, target = variable([3.0, 4.0]), v1.placeholder(tf.float32, [2])
    return x, target, tf.reduce_sum((x - target) ** 2)


def counting(monkeypatch):
    """Return a list that gets an entry for each faster way that is made."""
    made, of = [], Direct.of
    monkeypatch.setattr(Direct, "of", lambda *given: made.append(of(*given)) or made[-1])
    return made


@pytest.mark.parametrize("number", [3, 3.0, True, np.float64(3), np.array(3)])
def test_numbers_are_fed_on_the_faster_way(graph, monkeypatch, number):
    x, target, loss = loss_with_feed()
    scale = v1.placeholder(tf.float32, [])
    backend, made = GraphBackend(loss * scale, [x], []), counting(monkeypatch)
    with started() as session:
        bound = backend.bind(session, {target: np.zeros(2), scale: number}, [], {})
        values = [bound.loss_grad(np.array([1.0, 2.0]))[0] for _ in range(2 * PATIENCE)]
    assert values == [5 * number] * len(values)
    assert made[0] is not None


def test_a_feed_that_run_refuses_is_refused(graph):
    x, target, loss = loss_with_feed()
    scale = v1.placeholder(tf.int8, [])
    backend = GraphBackend(loss * tf.cast(scale, tf.float32), [x], [])
    with started() as session:
        wrong = [{target: np.zeros(3), scale: 3}, {target: np.zeros(2), scale: 300}]
        assert not any(Direct.of(session, backend._both, feed) for feed in wrong)
        assert Direct.of(session, backend._both, {target: np.zeros(2), scale: 100})


@pytest.mark.parametrize("more", [False, True])
def test_many_evaluations_take_the_faster_way_to_the_same_values(graph, monkeypatch, more):
    x, target, loss = loss_with_feed()
    wanted = np.array([1.0, 2.0])  # of another type than the placeholder, and changed on the way
    backend = GraphBackend(loss, [x], [])
    made = counting(monkeypatch)
    fetches = [loss, target, target + 0.0] if more else []
    with started() as session:
        graph.finalize()
        bound = backend.bind(session, {target: wanted}, fetches if not more else fetches[::2], {})
        point = np.array([0.5, -1.0])
        for i in range(2 * PATIENCE):
            wanted[0] = i
            value, slope, *fetched = bound.loss_grad(point)
            assert isinstance(value, np.float32)
            assert slope.dtype == np.float32
            assert value == np.float32((0.5 - i) ** 2 + 9)
            assert slope.tolist() == [1 - 2 * i, -6]
            if more:
                assert fetched[0] == value
                assert fetched[1].tolist() == [i, 2]
            slope[:] = 0  # it is the caller's
            assert point.tolist() == [0.5, -1.0]
        assert session.run(x).tolist() == [3.0, 4.0]
    assert [direct is not None for direct in made] == [True]


class Counted(v1.Session):
    count = 0

    def run(self, *args, **kwargs):
        self.count += 1
        return super().run(*args, **kwargs)


@pytest.mark.parametrize("kind", ["wrapper", "subclass", "instance", "patched", "old"])
def test_sessions_of_another_kind_are_run_each_time(graph, monkeypatch, kind):
    x, target, loss = loss_with_feed()
    backend, made = GraphBackend(loss, [x], []), counting(monkeypatch)
    with started() as started_session:
        session, runs, run = started_session, [], started_session.run
        if kind == "wrapper":
            session = Session(started_session)
        elif kind == "subclass":
            session = Counted(graph=graph)
            session.run(v1.global_variables_initializer())
        elif kind == "instance":
            session.run = lambda *args, **kwargs: runs.append(0) or run(*args, **kwargs)
        elif kind == "patched":
            monkeypatch.setattr(
                v1.Session, "run", lambda self, *a, **k: runs.append(0) or run(*a, **k)
            )
        else:
            monkeypatch.delattr(v1.Session.__bases__[0], "_make_callable_from_options")
        bound = backend.bind(session, {target: np.zeros(2)}, [], {})
        for _ in range(2 * PATIENCE):
            assert bound.loss_grad(np.ones(2))[0] == 2
        assert kind not in ("instance", "patched") or len(runs) == 2 * PATIENCE
        assert kind != "subclass" or session.count == 2 * PATIENCE + 1
    assert made == [None]


@pytest.mark.parametrize("kind", ["list", "fetched itself", "structure", "operation"])
def test_what_only_run_takes_goes_through_run(graph, monkeypatch, kind):
    x, target, loss = loss_with_feed()
    scale = v1.placeholder(tf.float32, [])
    scaled = loss * scale
    backend, made = GraphBackend(scaled, [x], []), counting(monkeypatch)
    feed = {target: [1, 2] if kind == "list" else np.zeros(2, np.float32), scale: 3}
    fetches = {"fetched itself": [target], "structure": [{"a": loss}], "operation": [loss.op]}
    with started() as session:
        bound = backend.bind(session, feed, fetches.get(kind, []), {})
        answers = [bound.loss_grad(np.array([1.0, 2.0])) for _ in range(2 * PATIENCE)]
    assert {answer[0] for answer in answers} == {0 if kind == "list" else 15}
    assert made == [None]


def test_an_error_on_the_faster_way_is_that_of_run(graph, monkeypatch):
    x, target, _ = loss_with_feed()
    checked = v1.debugging.check_numerics(tf.reduce_sum(1 / (x - target)), "no number")
    backend, made = GraphBackend(checked, [x], []), counting(monkeypatch)
    with started() as session:
        bound = backend.bind(session, {target: np.zeros(2)}, [], {})
        for _ in range(PATIENCE):
            bound.loss_grad(np.ones(2))
        with pytest.raises(tf.errors.InvalidArgumentError, match="defined at"):
            bound.loss_grad(np.zeros(2))
        assert bound.loss_grad(np.ones(2))[0] == 2
    assert made[0] is not None


def test_a_loss_without_a_gradient_is_an_error(graph):
    x, y = variable([1.0, 2.0]), variable(1.0)
    interface = ScipyOptimizerInterface(tf.constant(3.0) + tf.stop_gradient(y), [x, y])
    with started() as session, pytest.raises(InvalidInputError, match="does not depend on"):
        interface.minimize(session)


def test_a_hook_gets_zeros_for_a_loss_without_a_gradient(graph):
    x = variable([1.0, 2.0])

    class Hook(ExternalOptimizerInterface):
        def _minimize(self, initial_val, loss_grad_func, **given):
            assert loss_grad_func(initial_val)[1].tolist() == [0.0, 0.0]
            return initial_val

    interface = Hook(tf.constant(3.0), [x])
    with started() as session:
        interface.minimize(session)


def test_settings_of_the_run_are_the_constructors(graph):
    x = variable([1.0, 2.0])
    interface = OptimizerInterface(tf.reduce_sum(x**2), [x], optimizer=LBFGSB())
    with started() as session, pytest.raises(InvalidInputError, match="setting of the run"):
        interface.minimize(session, timeout=3)
