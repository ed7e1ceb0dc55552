"""The interface of objects that follow an algorithm's questions."""

from typing import Protocol

from optimizers._types import Array


class Watch(Protocol):
    """Follows an algorithm's questions, and may end it; see :mod:`optimizers.noise.stages`."""

    #: The standard deviation of the values' noise.
    sigma: float
    #: The size of the second derivatives along the variables at the start, shape (n,), to scale the
    #: first step: where a stage begins so quickly, gradients are rough, and any step is good enough
    #: whose value is not visibly too high. None where they are accurate.
    curvature: Array | None

    def asked(self, value: float) -> None:
        """Note a value that was asked for."""

    def iterated(self, value: float) -> None:
        """Note the value at the end of an iteration."""
