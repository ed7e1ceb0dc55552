"""PennyLane: its gradients, at NumPy points."""

import functools
import sys
from collections.abc import Mapping
from typing import Any

from optimizers._types import Array
from optimizers.errors import InvalidValueError

#: A hint about empty gradients: one inside a user's function cannot be fixed here.
HINT = " PennyLane's qml.grad needs argnums=0 for that."


class Trainable:
    """A PennyLane derivative that is called with a tensor that requires a gradient.

    By default it differentiates only with respect to these: for a plain array it returns ``()``.
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
        # With respect to several arguments: further ones may require a gradient too.
        place = sum(bool(getattr(one, "requires_grad", False)) for one in self.before)
        if place < len(found):
            return found[place]
        raise InvalidValueError(
            f"{self.gradient!r:.200} returned {len(found)} derivatives, but none with respect to "
            f"the variables: pass argnums={len(self.before)}."
        )


def trainable(derivative: Any) -> Any:
    """Return a derivative, wrapped in :class:`Trainable` if it is PennyLane's."""
    if isinstance(derivative, functools.partial):
        inner = trainable(derivative.func)
        if isinstance(inner, Trainable):
            return Trainable(inner.gradient, derivative.args, derivative.keywords)
    # A caller that passes one of its objects has imported it.
    pennylane = sys.modules.get("pennylane")
    kinds = [getattr(pennylane, name, None) for name in ("grad", "jacobian")]
    is_one = any(isinstance(kind, type) and isinstance(derivative, kind) for kind in kinds)
    return Trainable(derivative) if is_one else derivative
