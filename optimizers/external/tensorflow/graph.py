"""TensorFlow's graph mode: the loss is a tensor, and a session evaluates it."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import InvalidInputError
from optimizers.external.backend import Backend, Weighted, scalar, shape_error
from optimizers.external.tensorflow.variables import (
    Feeding,
    checked,
    constraints_of,
    filled,
    for_host,
    own,
    packed,
    packing_of,
    unpacked,
    warn_no_hessp,
)

#: Up to this many values of a constraint, each gradient has separate operations.
_UNROLLED = 16


class GraphBackend(Backend):
    """A symbolic loss. All operations are built here; nothing else ever adds one."""

    logger = "tensorflow"
    keeps_values = True

    def __init__(
        self,
        loss: Any,
        var_list: Sequence[Any] | None,
        constraints: Sequence[Any],
        second_order: bool = False,
    ) -> None:
        v1 = tf.compat.v1
        for tensor in (loss, *constraints):
            if not tf.is_symbolic_tensor(tensor):
                eager = " an eager tensor, which is only a value," if tf.is_tensor(tensor) else ""
                raise InvalidInputError(
                    f"{tensor!r:.200},{eager} was given as a loss or constraint, expected a tensor "
                    "of the graph, like the others; or functions, if the loss is one."
                )
        if loss.shape.num_elements() not in (1, None):
            raise shape_error(loss.shape)
        # The caller's control dependencies must not become the solver's.
        with loss.graph.as_default(), loss.graph.control_dependencies(None):
            if var_list is None:
                var_list = v1.trainable_variables()
            self.variables, self.ignored = checked(var_list, True), constraints_of(var_list)
            self.packing = packing_of(self.variables)
            with v1.name_scope("external_optimizer"):
                self._build(loss, constraints, second_order)
        tensors = [*self._both, *self._values, *self._jacobians, *self._products]
        self._feeding = Feeding(loss.graph, self.variables, tensors)
        self._session: Any = None
        self._run_kwargs: dict[str, Any] = {}
        #: The number of evaluations of the loss, and the faster way to evaluate it.
        self._count = 0
        self._direct: Direct | None = None

    def _build(self, loss: Any, constraints: Sequence[Any], second_order: bool) -> None:
        variables, dtype = self.variables, tf.as_dtype(self.packing.dtype)
        self._packed = packed(variables, dtype)
        self._placeholders = [
            tf.compat.v1.placeholder(v.dtype.base_dtype, v.shape) for v in variables
        ]
        self._updates = [
            tf.compat.v1.assign(variable, new)
            for variable, new in zip(variables, self._placeholders, strict=True)
        ]
        gradients, self.is_unconnected = filled(tf.gradients(loss, list(variables)), variables)
        self._both = [for_host(loss), packed(gradients, dtype)]
        self._values = [tf.reshape(constraint, [-1]) for constraint in constraints]
        self._jacobians = [_jacobian(values, variables, dtype) for values in self._values]
        self._products: list[Any] = []
        #: The weights of each constraint's values, for its Hessian-vector products.
        self._weights: list[Any] = []
        if second_order:
            self._vector = tf.compat.v1.placeholder(dtype, [self.packing.size])
            self._weights = [tf.compat.v1.placeholder(dtype, [None]) for _ in constraints]
            try:
                self._products = [self._product(gradients)]
                for values, weights in zip(self._values, self._weights, strict=True):
                    weighted = tf.reduce_sum(tf.cast(values, dtype) * weights)
                    self._products.append(self._product(_gradients(weighted, variables)))
                self.has_hessp = True
            except (LookupError, NotImplementedError, TypeError) as error:
                warn_no_hessp(error)

    def _product(self, gradients: Sequence[Any]) -> Any:
        """Return the derivative of gradients along the fed vector."""
        dtype = self._vector.dtype
        parts = unpacked(self._vector, self.variables, self.packing)
        terms = [
            tf.reduce_sum(tf.cast(gradient * part, dtype))
            for gradient, part in zip(gradients, parts, strict=True)
        ]
        return packed(_gradients(tf.add_n(terms), self.variables), dtype)

    @override
    def bind(
        self,
        session: Any,
        feed_dict: Mapping[Any, Any] | None,
        fetches: Sequence[Any],
        run_kwargs: Mapping[str, Any],
    ) -> Self:
        session = session or tf.compat.v1.get_default_session()
        if session is None:
            raise InvalidInputError(
                "The loss is a tensor of a graph, but there is no session: pass session, or call "
                "minimize inside `with tf.compat.v1.Session():`."
            )
        bound = copy.copy(self)
        bound._session = session
        bound._fetches = list(fetches)
        bound._run_kwargs = dict(run_kwargs)
        bound._feeding = self._feeding.bound(dict(feed_dict or {}), bound._fetches)
        return bound

    @override
    def resolve(self, variable: Any) -> Any:
        return own(variable)

    def _run(
        self, tensors: list[Any], x: NDArray[Any], extra: Mapping[Any, Any] | None = None
    ) -> list[NDArray[Any]]:
        """Evaluate tensors at a trial point: the variables keep their values."""
        feed = {**self._fed(x), **(extra or {})}
        values: list[NDArray[Any]] = self._session.run(tensors, feed_dict=feed)
        return values

    def _fed(self, x: NDArray[Any]) -> dict[Any, Any]:
        """Return the feed of a trial point; variables that cannot be fed are assigned."""
        parts = self.packing.split(x)
        if self._feeding.assigned:
            self._write([(i, parts[i]) for i in self._feeding.assigned])
        return self._feeding.feed(parts)

    def _write(self, parts: Sequence[tuple[int, Any]], **run_kwargs: Any) -> None:
        self._session.run(
            [self._updates[i].op for i, _ in parts],
            feed_dict={self._placeholders[i]: part for i, part in parts},
            **run_kwargs,
        )

    @override
    def initial(self) -> NDArray[Any]:
        value: NDArray[Any] = self._session.run(self._packed, feed_dict=self._feeding.user)
        return value

    @override
    def loss_grad(self, x: NDArray[Any]) -> tuple[Any, ...]:
        loss, gradient, *fetched = self._evaluated(x)
        return scalar(loss), gradient, *fetched

    def _evaluated(self, x: NDArray[Any]) -> list[Any]:
        """Return the loss, its gradient and the fetches, in the fastest way."""
        tensors, feed = [*self._both, *self._fetches], self._fed(x)
        self._count += 1
        if self._count == PATIENCE:
            self._direct = Direct.of(self._session, tensors, feed)
        if self._direct is not None:
            try:
                return self._direct(feed)
            except tf.errors.OpError:
                self._direct = None  # errors of `run` say where the operation was made
        values: list[Any] = self._session.run(tensors, feed_dict=feed)
        return values

    @override
    def constraint_values(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        return self._run(self._values, x)

    @override
    def constraint_jacobians(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        return self._run(self._jacobians, x)

    @override
    def hessp(self, x: NDArray[Any], p: NDArray[Any], of: Weighted | None = None) -> NDArray[Any]:
        product, extra = self._products[0], {self._vector: self.packing.vector(p)}
        if of is not None:
            i, v = of
            product, extra = self._products[1 + i], {**extra, self._weights[i]: v}
        return self._run([product], x, extra)[0]

    @override
    def commit(self, x: NDArray[Any]) -> None:
        self._write(list(enumerate(self.packing.split(x))), **self._run_kwargs)

    @override
    def rollback(self, x: NDArray[Any]) -> None:
        parts = self.packing.split(x)
        if self._feeding.assigned:
            self._write([(i, parts[i]) for i in self._feeding.assigned])


def _gradients(target: Any, variables: Sequence[Any]) -> list[Any]:
    """Return the gradient with respect to each variable, zero where there is none."""
    return filled(tf.gradients(target, list(variables)), variables)[0]


def _jacobian(values: Any, variables: Sequence[Any], dtype: Any) -> Any:
    """Return the Jacobian of a vector, shape (m, n)."""
    count = values.shape.num_elements()
    if count is not None and count <= _UNROLLED:
        rows = [packed(_gradients(values[i], variables), dtype) for i in range(count)]
        size = sum(v.shape.num_elements() for v in variables)
        return tf.stack(rows) if rows else tf.zeros([0, size], dtype)
    m = tf.size(values)
    rows = tf.TensorArray(dtype, m)
    return tf.while_loop(
        lambda i, _: i < m,
        lambda i, rows: (i + 1, rows.write(i, packed(_gradients(values[i], variables), dtype))),
        [tf.constant(0), rows],
    )[1].stack()


#: This many evaluations use ``Session.run`` first, since building the faster way costs as much as a
#: few of them.
PATIENCE = 50


class Direct:
    """Tensors of a session, evaluated without the lookups of ``Session.run`` at each call.

    TensorFlow's public way is for tensors without a feed; Keras used this one.
    """

    def __init__(self, session: Any, tensors: Sequence[Any], fed: Sequence[Any]) -> None:
        from tensorflow.core.protobuf import config_pb2

        names = list(dict.fromkeys(tensor.name for tensor in tensors))
        self._places = [names.index(tensor.name) for tensor in tensors]
        self._types = [tensor.dtype.as_numpy_dtype for tensor in fed]
        options = config_pb2.CallableOptions(feed=[tensor.name for tensor in fed], fetch=names)
        self._call = session._make_callable_from_options(options)

    @classmethod
    def of(cls, session: Any, tensors: Sequence[Any], feed: Mapping[Any, Any]) -> Self | None:
        """Return an object that evaluates tensors with such a feed; None if ``run`` may differ."""
        has_same_answer = (
            _is_plain(session)
            and all(_is_array(session.graph, key, value) for key, value in feed.items())
            and all(tf.is_symbolic_tensor(t) and t.graph is session.graph for t in tensors)
            and all(tensor.dtype.as_numpy_dtype is not np.object_ for tensor in tensors)
            and {tensor.name for tensor in tensors}.isdisjoint(key.name for key in feed)
        )
        if not has_same_answer:
            return None
        try:
            return cls(session, tensors, list(feed))
        except Exception:  # a private interface may raise anything; `run` remains
            return None

    def __call__(self, feed: Mapping[Any, Any]) -> list[Any]:
        """Return the values. Fed arrays are copied, as in ``run``, since they may be fetched."""
        values = [
            np.asarray(value).astype(dtype)
            for value, dtype in zip(feed.values(), self._types, strict=True)
        ]
        found = self._call(*values)
        return [found[place] for place in self._places]


def _is_plain(session: Any) -> bool:
    """Return whether a session is TensorFlow's own, with its original ``run``."""
    v1 = tf.compat.v1
    run = getattr(type(session), "run", None)
    return (
        type(session) in (v1.Session, v1.InteractiveSession)
        and "run" not in vars(session)
        and getattr(run, "__qualname__", "") == "BaseSession.run"
        and not hasattr(run, "__wrapped__")
    )


def _is_array(graph: Any, key: Any, value: Any) -> bool:
    """Return whether ``run`` would accept a feed, other than a list, whose shape may change."""
    if not (
        tf.is_symbolic_tensor(key)
        and key.graph is graph
        and graph.is_feedable(key)
        and (key.dtype.is_floating or key.dtype.is_integer or key.dtype.is_bool)
        and isinstance(value, np.ndarray | np.generic | float | int)
    ):
        return False
    array = np.asarray(value)
    if array.dtype.kind in "OSU" or not key.shape.is_compatible_with(array.shape):
        return False
    return not isinstance(value, int) or bool(array.astype(key.dtype.as_numpy_dtype) == value)
