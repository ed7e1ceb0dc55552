"""PennyLane: its gradients, at points of NumPy."""

import functools
import sys
from collections.abc import Mapping
from typing import Any

from optimizers._types import Array
from optimizers.errors import InvalidValueError

#: What to do where a gradient is empty: one inside a function of the user's cannot be mended here.
HINT = " A qml.grad of PennyLane's needs argnums=0 for that."


class Trainable:
    """A derivative of PennyLane's that is called with a tensor that requires a gradient.

    Left to itself it differentiates by no other arguments: at a plain array it returns ``()``.
    """

    def __init__(
        self, gradient: Any, before: tuple[Any, ...] = (), named: Mapping[str, Any] | None = None
    ) -> None:
        self.gradient, self.before, self.named = gradient, before, named or {}

    def __call__(self, x: Array, *after: Any) -> Any:
        """Return the gradient at a point."""
        from pennylane import numpy

        given = (*self.before, numpy.array(x, requires_grad=True), *after)
        found = self.gradient(*given, **self.named)
        if not isinstance(found, tuple):
            return found
        # By several arguments: those among the further ones that require a gradient, too.
        place = sum(bool(getattr(one, "requires_grad", False)) for one in self.before)
        if place < len(found):
            return found[place]
        raise InvalidValueError(
            f"{self.gradient!r:.200} returned {len(found)} derivatives, and none by the variables: "
            f"name them by argnums={len(self.before)}."
        )


def trainable(derivative: Any) -> Any:
    """Return a derivative as it was given, or as :class:`Trainable` if it is PennyLane's."""
    if isinstance(derivative, functools.partial):
        inner = trainable(derivative.func)
        if isinstance(inner, Trainable):
            return Trainable(inner.gradient, derivative.args, derivative.keywords)
    # Whoever hands over one of its objects has imported it.
    pennylane = sys.modules.get("pennylane")
    kinds = [getattr(pennylane, name, None) for name in ("grad", "jacobian")]
    is_one = any(isinstance(kind, type) and isinstance(derivative, kind) for kind in kinds)
    return Trainable(derivative) if is_one else derivative
