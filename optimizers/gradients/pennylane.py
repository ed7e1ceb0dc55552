"""PennyLane: its gradients, at points of NumPy."""

import sys
from typing import Any

from optimizers._types import Array


class Trainable:
    """A ``pennylane.grad`` that is called with a tensor that requires a gradient.

    Left to itself it differentiates by no other arguments: at a plain array it returns ``()``.
    """

    def __init__(self, gradient: Any) -> None:
        self.gradient = gradient

    def __call__(self, x: Array) -> Any:
        """Return the gradient at a point."""
        from pennylane import numpy

        return self.gradient(numpy.array(x, requires_grad=True))


def trainable(jac: Any) -> Any:
    """Return a gradient as it was given, or as :class:`Trainable` if it is PennyLane's."""
    # Whoever hands over one of its objects has imported it.
    pennylane = sys.modules.get("pennylane")
    kind = getattr(pennylane, "grad", None)
    return Trainable(jac) if isinstance(kind, type) and isinstance(jac, kind) else jac
