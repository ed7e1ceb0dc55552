"""Compiled functions of TensorFlow, kept so that none is traced twice."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from optimizers.external.frameworks import require
from optimizers.external.sameness import Sameness


class Call:
    """A concrete function, called directly.

    The operation that runs it is called, and not the function itself: what is inside is then run
    one by one, each on all threads. Handing it out to threads that have to wake is most of what an
    evaluation of a small model costs.

    Parameters
    ----------
    concrete : tf.types.experimental.ConcreteFunction
        The function, of tensors.

    Attributes
    ----------
    is_unconnected : bool
        Whether gradients that it returns are all zero, as there are none.
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


#: How many compiled functions are kept, with what they refer to.
_KEPT = 16
_lock = threading.Lock()
_kept: deque[tuple[str, list[Any], Sameness, Any]] = deque(maxlen=_KEPT)


def compiled(
    kind: str, variables: Sequence[Any], functions: Sequence[Any], build: Callable[[], Any]
) -> Any:
    """Return what ``build()`` made before for the same functions of the same variables, or make it.

    Parameters
    ----------
    kind : str
        What is built.
    variables : sequence of tf.Variable
        The variables: the same objects.
    functions : sequence of callables
        What is compiled; the same in the sense of :class:`Sameness`.
    build : callable
        Traces the functions.
    """
    wanted = Sameness(functions)
    with _lock:
        for i, entry in enumerate(_kept):
            its_kind, its_variables, its_functions, made = entry
            if (
                its_kind == kind
                and len(its_variables) == len(variables)
                and all(a is b for a, b in zip(its_variables, variables, strict=True))
                and its_functions == wanted
            ):
                del _kept[i]  # and not by its value: variables compare element by element
                _kept.append(entry)
                return made
    made = build()
    wanted.settle()
    with _lock:
        _kept.append((kind, list(variables), wanted, made))
    return made
