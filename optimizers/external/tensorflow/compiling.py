"""Compiled functions of TensorFlow."""

from typing import Any

from optimizers.external.frameworks import require


class Call:
    """A concrete function, called directly; ``is_unconnected`` if all gradients in it are None.

    The operation that runs it is called, and not the function itself: what is inside is then run
    one by one. Waking threads is most of what an evaluation of a small model costs.
    """

    is_unconnected = False

    def __init__(self, concrete: Any) -> None:
        self._concrete = concrete  # lives as long as this
        self._types = [tensor.dtype for tensor in concrete.outputs]
        self._run = require("tensorflow").raw_ops.StatefulPartitionedCall

    def __call__(self, *tensors: Any) -> list[Any]:
        """Return what the function does, as a flat list of tensors."""
        concrete = self._concrete
        if not self._types:
            return []
        arguments = [*tensors, *concrete.captured_inputs]
        found: list[Any] = self._run(args=arguments, Tout=self._types, f=concrete)
        return found

    def structured(self, flat: list[Any]) -> Any:
        """Return a flat list of outputs in the structure that the function returns."""
        return require("tensorflow").nest.pack_sequence_as(
            self._concrete.structured_outputs, flat, expand_composites=True
        )
