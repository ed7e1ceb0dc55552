"""TensorFlow's eager mode: the loss is a function of the variables that it reads."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import InvalidInputError
from optimizers.external.backend import Backend, Weighted, check_functions, returned, shape_error
from optimizers.external.tensorflow.variables import (
    checked,
    constraints_of,
    filled,
    for_host,
    own,
    packed,
    packing_of,
    shapes_of,
    unpacked,
    warn_no_hessp,
    watched,
)

#: Up to this many elements, joining gradients inside the function is cheaper than after it: it
#: needs fewer calls, but the framework copies in threads that have to wake up.
_SMALL = 10_000


class Call:
    """A concrete function, called by the operation that runs it.

    Its operations then run one by one: waking threads is most of the cost of a small model.
    """

    #: Whether all gradients in it are None.
    is_unconnected = False

    def __init__(self, concrete: Any) -> None:
        self._concrete = concrete  # keeps it alive
        self._types = [tensor.dtype for tensor in concrete.outputs]

    def __call__(self, *tensors: Any) -> list[Any]:
        """Return the function's result as a flat list of tensors."""
        if not self._types:
            return []
        found: list[Any] = tf.raw_ops.StatefulPartitionedCall(
            args=[*tensors, *self._concrete.captured_inputs], Tout=self._types, f=self._concrete
        )
        return found

    def structured(self, flat: list[Any]) -> Any:
        """Return a flat list of outputs in the structure of the function's result."""
        return tf.nest.pack_sequence_as(
            self._concrete.structured_outputs, flat, expand_composites=True
        )


class EagerBackend(Backend):
    """A function of variables, by default those that it reads, compiled once."""

    logger = "tensorflow"

    def __init__(
        self,
        loss: Callable[[], Any],
        var_list: Sequence[Any] | None,
        constraints: Sequence[Callable[[], Any]],
        second_order: bool = False,
    ) -> None:
        check_functions(
            (loss, *constraints),
            "without arguments: TensorFlow runs in eager mode, where a tensor is only a value",
        )
        given = watched(loss) if var_list is None else var_list
        self.variables, self.ignored = checked(given), constraints_of(given)
        self.packing = packing_of(self.variables)
        self._dtype = tf.as_dtype(self.packing.dtype)
        self._is_small = self.packing.size <= _SMALL
        self._loss, self._constraints = loss, list(constraints)
        self._second_order = second_order
        #: Compiled functions, including fetches; shared with bound copies, so that they are
        #: compiled once.
        self._calls: dict[str, tuple[list[Any], Any]] = {}

    @override
    def prepare(self, fetches: list[Any]) -> None:
        for fetch in fetches:
            if tf.is_tensor(fetch) and not isinstance(own(fetch), tf.Variable):
                raise InvalidInputError(
                    f"{fetch!r:.200} was given in fetches, but in eager mode a tensor is only a "
                    "value: pass a function without arguments that computes it."
                )
        super().prepare(fetches)
        for variable, shape, now in zip(
            self.variables, self.packing.shapes, shapes_of(self.variables), strict=True
        ):
            if now != shape:
                raise InvalidInputError(
                    f"{variable.name} has shape {now}, but had {shape} when the interface was "
                    "made: make another interface, or call "
                    "optimizers.external.tensorflow.minimize."
                )
        self._both = self._compiled("both", self._trace_both, fetches)
        self.is_unconnected = self._both.is_unconnected
        if self._second_order:
            try:
                #: The products of the loss' Hessian, and of each constraint's.
                self._products = self._compiled("products", self._trace_products)
                self.has_hessp = True
            except (LookupError, NotImplementedError, TypeError) as error:
                warn_no_hessp(error)

    @override
    def resolve(self, variable: Any) -> Any:
        return own(variable)

    @override
    def initial(self) -> NDArray[Any]:
        return self.packing.join([variable.numpy() for variable in self.variables])

    @override
    def loss_grad(self, x: NDArray[Any]) -> tuple[Any, ...]:
        flat = self._both(tf.constant(self.packing.vector(x)))
        loss, count = flat[0].numpy(), 1 if self._is_small else len(self.variables)
        gradient = flat[1].numpy() if self._is_small else self._joined(flat[1 : 1 + count])
        if not self._fetches:
            return loss, gradient
        fetched = self._both.structured(flat)[1 + count :]
        return loss, gradient, *(tf.nest.map_structure(_value, fetch) for fetch in fetched)

    def _joined(self, tensors: list[Any]) -> NDArray[Any]:
        """Return tensors as one vector, copied once."""
        joined = np.empty(self.packing.size, self.packing.dtype)
        for part, tensor in zip(self.packing.slices, tensors, strict=True):
            joined[part] = np.ravel(memoryview(tensor))
        return joined

    @override
    def constraint_values(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        return self._evaluated(self._compiled("values", self._trace_values), x)

    @override
    def constraint_jacobians(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        return self._evaluated(self._compiled("jacobians", self._trace_jacobians), x)

    @override
    def hessp(self, x: NDArray[Any], p: NDArray[Any], of: Weighted | None = None) -> NDArray[Any]:
        if of is None:
            return self._evaluated(self._products[0], x, p)[0]
        return self._evaluated(self._products[1 + of[0]], x, p, of[1])[0]

    def _evaluated(self, call: Call, *vectors: NDArray[Any]) -> list[NDArray[Any]]:
        tensors = call(*(tf.constant(vector, self._dtype) for vector in vectors))
        return [tensor.numpy() for tensor in tensors]

    @override
    def commit(self, x: NDArray[Any]) -> None:
        for variable, part in zip(self.variables, self.packing.split(x), strict=True):
            variable.assign(part)

    # Compiled functions. Each one first assigns the trial point to the variables.

    def _compiled(self, kind: str, trace: Callable[[], Any], fetches: Sequence[Any] = ()) -> Any:
        """Return the result of ``trace()``, which is repeated if the fetches have changed."""
        known, call = self._calls.get(kind, ([], None))
        if call is None or [id(fetch) for fetch in known] != [id(fetch) for fetch in fetches]:
            call = trace()
            self._calls[kind] = list(fetches), call
        return call

    def _trace(self, function: Callable[..., Any], *others: int | None) -> Call:
        """Return a compiled function of a packed vector, and of others of given lengths."""
        specs = [tf.TensorSpec([n], self._dtype) for n in (self.packing.size, *others)]

        def at(x: Any, *others: Any) -> Any:
            parts = unpacked(x, self.variables, self.packing)
            for variable, part in zip(self.variables, parts, strict=True):
                variable.assign(part, read_value=False)
            return function(*others)

        return Call(tf.function(at, autograph=False).get_concrete_function(*specs))

    def _trace_both(self) -> Call:
        is_unconnected = False

        def both() -> Any:
            nonlocal is_unconnected
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(self.variables)
                loss = _scalar(self._loss())
            gradients, is_unconnected = filled(tape.gradient(loss, self.variables), self.variables)
            loss = for_host(loss)
            fetched = [fetch() if callable(fetch) else own(fetch) for fetch in self._fetches]
            fetched = tf.nest.map_structure(tf.identity, fetched)
            if self._is_small:
                return loss, packed(gradients, self._dtype), *fetched
            return loss, *(tf.cast(gradient, self._dtype) for gradient in gradients), *fetched

        call = self._trace(both)
        call.is_unconnected = is_unconnected
        return call

    def _trace_products(self) -> list[Call]:
        def weighted(constraint: Callable[[], Any], v: Any) -> Any:
            return tf.reduce_sum(tf.cast(_vector(constraint), self._dtype) * v)

        constraints = [partial(weighted, constraint) for constraint in self._constraints]
        return [
            self._trace_product(lambda: _scalar(self._loss())),
            *(self._trace_product(constraint, None) for constraint in constraints),
        ]

    def _trace_product(self, function: Callable[..., Any], *others: int | None) -> Call:
        def product(p: Any, *given: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as outer:
                outer.watch(self.variables)
                with tf.GradientTape(watch_accessed_variables=False) as inner:
                    inner.watch(self.variables)
                    value = function(*given)
                gradients = inner.gradient(value, self.variables, unconnected_gradients="zero")
                slope = tf.reduce_sum(packed(gradients, self._dtype) * p)
            curvatures = outer.gradient(slope, self.variables, unconnected_gradients="zero")
            return packed(curvatures, self._dtype)

        return self._trace(product, self.packing.size, *others)

    def _trace_values(self) -> Call:
        return self._trace(lambda: [_vector(constraint) for constraint in self._constraints])

    def _trace_jacobians(self) -> Call:
        def jacobian(constraint: Callable[[], Any]) -> Any:
            with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
                tape.watch(self.variables)
                values = _vector(constraint)
            blocks = tape.jacobian(values, self.variables, unconnected_gradients="zero")
            rows = [tf.size(values), -1]
            return tf.concat([tf.reshape(tf.cast(b, self._dtype), rows) for b in blocks], 1)

        return self._trace(lambda: [jacobian(c) for c in self._constraints])


def _vector(constraint: Callable[[], Any]) -> Any:
    """Return the values of a constraint as one vector."""
    return tf.reshape(returned(constraint(), "A constraint"), [-1])


def _scalar(loss: Any) -> Any:
    """Return a loss as a scalar tensor."""
    tensor = tf.convert_to_tensor(returned(loss, "The loss"))
    if tensor.shape.num_elements() not in (1, None):
        raise shape_error(tensor.shape)
    return tf.reshape(tensor, [])


def _value(tensor: Any) -> Any:
    return tensor.numpy() if hasattr(tensor, "numpy") else tensor
