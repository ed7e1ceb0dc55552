"""Feeding trial points: which tensors of a graph stand for the variables' values."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Self

import tensorflow as tf
from numpy.typing import NDArray

from optimizers.external.tensorflow.variables import own

# Operations on a resource that do not depend on its value.
_BLIND = ("ReadVariableOp", "VariableShape", "VarIsInitializedOp", "AssignVariableOp")


class Feeding:
    """How variables get their trial values; ``assigned`` are those that cannot be fed."""

    # A variable of TensorFlow 1's kind is a tensor that can be fed. One of TensorFlow 2's is a
    # resource: each operation that reads it has a tensor of its own, which is fed. Where something
    # else reads it (a gather, a function), nothing can be fed: such a variable is assigned.

    def __init__(self, graph: Any, variables: Sequence[Any], tensors: Sequence[Any]) -> None:
        self._graph, self._variables = graph, variables
        self._known = _ancestors([tensor.op for tensor in tensors], set())
        self.user: dict[Any, Any] = {}
        self._look()

    def _look(self) -> None:
        """Find what stands for each variable."""
        self._fed: list[list[Any]] = []
        assigned = []
        for i, variable in enumerate(self._variables):
            if not _is_resource(variable):
                self._fed.append([self._graph.as_graph_element(variable)])
                continue
            readers = [op for op in variable.handle.consumers() if op in self._known]
            if any(op.type not in _BLIND for op in readers):
                assigned.append(i)
            self._fed.append([op.outputs[0] for op in readers if op.type == "ReadVariableOp"])
        self.assigned = tuple(assigned)

    def bound(self, feed_dict: dict[Any, Any], fetches: Sequence[Any]) -> Self:
        """Return the feeding of one minimization, whose user feeds and fetches something too."""
        bound = copy.copy(self)
        if fetches:
            bound._known = set(self._known)
            _ancestors(list(self._operations(fetches)), bound._known)
            bound._look()
        bound.user = dict(feed_dict)
        bound._fed, assigned = list(bound._fed), set(bound.assigned)
        for key, value in feed_dict.items():
            for i, variable in enumerate(self._variables):
                # The user's value stands for the variable wherever it is read.
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
        """Return the feed for trial values; the user's feed wins over them."""
        feed = {
            tensor: part
            for tensors, part in zip(self._fed, parts, strict=True)
            for tensor in tensors
        }
        feed.update(self.user)
        return feed


def _is_resource(variable: Any) -> bool:
    return hasattr(variable, "handle") and variable.handle.dtype == tf.resource


def _ancestors(operations: list[Any], known: set[Any]) -> set[Any]:
    """Add all operations that some depend on to those that are known."""
    waiting = [op for op in operations if op not in known]
    known.update(waiting)
    while waiting:
        op = waiting.pop()
        for before in (*(tensor.op for tensor in op.inputs), *op.control_inputs):
            if before not in known:
                known.add(before)
                waiting.append(before)
    return known
