"""TensorFlow's variables: their choice, their layout in a vector, and feeding them to a graph."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import tensorflow as tf
from numpy.typing import NDArray

from optimizers.errors import InvalidInputError, warn_user
from optimizers.external.bounds import Packing
from optimizers.external.frameworks import is_keras


def own(variable: Any) -> Any:
    """Return TensorFlow's variable for a Keras variable, or the variable itself."""
    return variable.value if is_keras(variable) else variable


def checked(var_list: Sequence[Any], needs_shape: bool = False) -> list[Any]:
    """Return TensorFlow's own variables, which must be real floats.

    With ``needs_shape``, as in a graph, their shapes must be known before they have values.
    """
    variables: list[Any] = []
    for i, given in enumerate(var_list):
        variable = own(given)
        if not isinstance(variable, tf.Variable):
            raise InvalidInputError(
                f"var_list[{i}] is {given!r:.200}, expected a tf.Variable or a Keras variable."
            )
        if not variable.dtype.base_dtype.is_floating:
            raise InvalidInputError(
                f"var_list[{i}], {variable.name}, has dtype {variable.dtype.base_dtype.name}, "
                "expected real floats."
            )
        if needs_shape and not variable.shape.is_fully_defined():
            raise InvalidInputError(
                f"var_list[{i}], {variable.name}, has shape {variable.shape}, expected a shape "
                "that is known in the graph: create it with a shape, or minimize in eager mode."
            )
        if any(variable is known for known in variables):
            raise InvalidInputError(
                f"var_list[{i}], {variable.name}, is listed twice: list it once."
            )
        variables.append(variable)
    if not variables:
        raise InvalidInputError(
            "There are no variables to optimize: pass them in var_list, or make them trainable."
        )
    return variables


def constraints_of(var_list: Sequence[Any]) -> dict[int, str]:
    """Return, by position, the constraints of variables, which only TensorFlow's optimizers use."""
    return {
        i: f"{given.name}, var_list[{i}], has its own constraint, {given.constraint!r:.100}"
        for i, given in enumerate(var_list)
        if getattr(given, "constraint", None) is not None
    }


def watched(loss: Callable[[], Any]) -> list[Any]:
    """Return the trainable variables that a function reads, in the order of their creation."""
    with tf.GradientTape() as tape:
        loss()
    return list(tape.watched_variables())


def shapes_of(variables: Sequence[Any]) -> list[tuple[int, ...]]:
    """Return the shapes of variables: the declared ones, or those of the current values."""
    return [
        tuple(v.shape.as_list() if v.shape.is_fully_defined() else tf.shape(v).numpy().tolist())
        for v in variables
    ]


def packing_of(variables: Sequence[Any]) -> Packing:
    """Return the layout of variables in a vector."""
    return Packing(
        shapes_of(variables), [variable.dtype.base_dtype.as_numpy_dtype for variable in variables]
    )


def packed(tensors: Sequence[Any], dtype: Any) -> Any:
    """Return tensors as one flat tensor of a type, inside a graph or function."""
    flat = [tf.reshape(tf.cast(tf.convert_to_tensor(tensor), dtype), [-1]) for tensor in tensors]
    return flat[0] if len(flat) == 1 else tf.concat(flat, 0)


def for_host(loss: Any) -> Any:
    """Return a loss in a type that NumPy has as a float, inside a graph or function."""
    return tf.cast(loss, tf.float32) if loss.dtype == tf.bfloat16 else loss


def filled(gradients: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], bool]:
    """Return gradients with zeros instead of None, and whether all were None."""
    dense = [
        tf.convert_to_tensor(g)
        if g is not None
        else tf.zeros(v.shape, v.dtype.base_dtype)
        if v.shape.is_fully_defined()
        else tf.zeros_like(v)
        for g, v in zip(gradients, variables, strict=True)
    ]
    return dense, all(gradient is None for gradient in gradients)


def unpacked(vector: Any, variables: Sequence[Any], packing: Packing) -> list[Any]:
    """Return the parts of a flat tensor in the shapes and types of variables."""
    parts = tf.split(vector, [part.stop - part.start for part in packing.slices])
    return [
        tf.cast(tf.reshape(part, shape), variable.dtype.base_dtype)
        for part, shape, variable in zip(parts, packing.shapes, variables, strict=True)
    ]


def warn_no_hessp(error: Exception) -> None:
    """Warn that there are no Hessian-vector products, and why."""
    warn_user(
        "TensorFlow cannot differentiate an operation of the loss or of a constraint twice: "
        f"{error}. There are no exact Hessian-vector products; methods run without them."
    )


# Operations on a resource that do not depend on its value.
_BLIND = ("ReadVariableOp", "VariableShape", "VarIsInitializedOp", "AssignVariableOp")


class Feeding:
    """Feeds trial values to variables; ``assigned`` are those that cannot be fed."""

    # A TensorFlow 1 variable is a tensor that can be fed. A TensorFlow 2 variable is a resource:
    # each operation that reads it has its own tensor, which is fed. If something else reads it (a
    # gather, a function), it cannot be fed, and is assigned.

    def __init__(self, graph: Any, variables: Sequence[Any], tensors: Sequence[Any]) -> None:
        self._graph, self._variables = graph, variables
        self._known = _ancestors([tensor.op for tensor in tensors], set())
        self.user: dict[Any, Any] = {}
        self._look()

    def _look(self) -> None:
        """Find the tensors of each variable."""
        self._fed: list[list[Any]] = []
        assigned = []
        for i, variable in enumerate(self._variables):
            if getattr(getattr(variable, "handle", None), "dtype", None) != tf.resource:
                self._fed.append([self._graph.as_graph_element(variable)])
                continue
            readers = [op for op in variable.handle.consumers() if op in self._known]
            if any(op.type not in _BLIND for op in readers):
                assigned.append(i)
            self._fed.append([op.outputs[0] for op in readers if op.type == "ReadVariableOp"])
        self.assigned = tuple(assigned)

    def bound(self, feed_dict: dict[Any, Any], fetches: Sequence[Any]) -> Self:
        """Return the feeding of one minimization, with the user's feeds and fetches."""
        bound = copy.copy(self)
        if fetches:
            bound._known = set(self._known)
            _ancestors(list(self._operations(fetches)), bound._known)
            bound._look()
        bound.user = dict(feed_dict)
        bound._fed, assigned = list(bound._fed), set(bound.assigned)
        for key, value in feed_dict.items():
            for i, variable in enumerate(self._variables):
                # The user's value replaces the variable wherever it is read.
                if own(key) is variable:
                    bound.user.update(dict.fromkeys(bound._fed[i], value))
                    bound._fed[i] = []
                    assigned.discard(i)
        bound.assigned = tuple(sorted(assigned))
        return bound

    def _operations(self, fetches: Sequence[Any]) -> Iterable[Any]:
        for fetch in tf.nest.flatten(fetches, expand_composites=True):
            element = self._graph.as_graph_element(own(fetch))
            yield getattr(element, "op", element)

    def feed(self, parts: Sequence[NDArray[Any]]) -> dict[Any, Any]:
        """Return the feed for trial values; the user's feed takes precedence."""
        feed = {
            tensor: part
            for tensors, part in zip(self._fed, parts, strict=True)
            for tensor in tensors
        }
        feed.update(self.user)
        return feed


def _ancestors(operations: list[Any], known: set[Any]) -> set[Any]:
    """Add all operations that the given ones depend on to the known ones."""
    waiting = [op for op in operations if op not in known]
    known.update(waiting)
    while waiting:
        op = waiting.pop()
        for before in (*(tensor.op for tensor in op.inputs), *op.control_inputs):
            if before not in known:
                known.add(before)
                waiting.append(before)
    return known
