"""TensorFlow's variables: which ones, and how they lie in a vector."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from optimizers.errors import InvalidInputError, warn_user
from optimizers.external.frameworks import is_keras
from optimizers.external.packing import Packing


def own(variable: Any) -> Any:
    """Return TensorFlow's variable for one of Keras, or for itself."""
    return variable.value if is_keras(variable) else variable


def checked(var_list: Sequence[Any]) -> list[Any]:
    """Return TensorFlow's own variables, each of which must be of real floats and a fixed shape."""
    variables: list[Any] = []
    for i, given in enumerate(var_list):
        variable = own(given)
        if not isinstance(variable, tf.Variable):
            raise InvalidInputError(
                f"var_list[{i}] is {given!r:.200}, expected a tf.Variable or one of Keras."
            )
        if not (variable.dtype.base_dtype.is_floating and variable.shape.is_fully_defined()):
            raise InvalidInputError(
                f"var_list[{i}], {variable.name}, has dtype {variable.dtype.base_dtype.name} and "
                f"shape {variable.shape}, expected real floats and a fixed shape."
            )
        if any(variable is known for known in variables):
            raise InvalidInputError(f"var_list[{i}], {variable.name}, is there twice.")
        variables.append(variable)
    if not variables:
        raise InvalidInputError(
            "There is no variable to optimize: pass them in var_list, or make them trainable."
        )
    return variables


def watched(loss: Callable[[], Any]) -> list[Any]:
    """Return the trainable variables that a function reads, in the order of their creation."""
    with tf.GradientTape() as tape:
        loss()
    return list(tape.watched_variables())


def packing_of(variables: Sequence[Any]) -> Packing:
    """Return how variables lie in a vector."""
    return Packing(
        [tuple(variable.shape.as_list()) for variable in variables],
        [variable.dtype.base_dtype.as_numpy_dtype for variable in variables],
    )


def packed(tensors: Sequence[Any], dtype: Any) -> Any:
    """Return tensors as one flat tensor of a type, inside a graph or function."""
    flat = [tf.reshape(tf.cast(tf.convert_to_tensor(tensor), dtype), [-1]) for tensor in tensors]
    return flat[0] if len(flat) == 1 else tf.concat(flat, 0)


def for_host(loss: Any) -> Any:
    """Return a loss in a type that NumPy has as a float, inside a graph or function."""
    return tf.cast(loss, tf.float32) if loss.dtype == tf.bfloat16 else loss


def filled(gradients: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], bool]:
    """Return gradients with zeros in the place of those that are None, and whether all are."""
    dense = [
        tf.zeros(v.shape, v.dtype.base_dtype) if g is None else tf.convert_to_tensor(g)
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
        f"TensorFlow does not differentiate an operation of the loss twice: {error}. There are no "
        "exact Hessian-vector products; methods do without."
    )
