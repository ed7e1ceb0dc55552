"""Evaluating the same tensors of a graph many times, with the same tensors fed."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

#: So many evaluations go through ``Session.run`` first: what is faster has to be made by then, for
#: as long as some of them take.
PATIENCE = 50


class Direct:
    """Tensors of a session, evaluated without what ``Session.run`` looks up at each call.

    TensorFlow's public way is for tensors without a feed; this one is what Keras took.
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
        """Return the way to evaluate tensors with such a feed; None where ``run`` may differ."""
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
        except Exception:  # it is no public way: whatever it may be, there is the other
            return None

    def __call__(self, feed: Mapping[Any, Any]) -> list[Any]:
        """Return the values. Those fed are copied, as by ``run``: what is fetched may be they."""
        values = [
            np.asarray(value).astype(dtype)
            for value, dtype in zip(feed.values(), self._types, strict=True)
        ]
        found = self._call(*values)
        return [found[place] for place in self._places]


def _is_plain(session: Any) -> bool:
    """Return whether a session is TensorFlow's own, and its ``run`` is neither replaced."""
    v1 = tf.compat.v1
    run = getattr(type(session), "run", None)
    return (
        type(session) in (v1.Session, v1.InteractiveSession)
        and "run" not in vars(session)
        and getattr(run, "__qualname__", "") == "BaseSession.run"
        and not hasattr(run, "__wrapped__")
    )


def _is_array(graph: Any, key: Any, value: Any) -> bool:
    """Return whether ``run`` would take a feed, and it is no list, whose shape may change."""
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
