"""The interface of objects that follow an algorithm's questions."""

from typing import Protocol


class Watch(Protocol):
    """Follows an algorithm's questions, and may end it; see :mod:`optimizers.noise.stages`."""

    sigma: float

    def asked(self, value: float) -> None:
        """Note a value that was asked for."""

    def iterated(self, value: float) -> None:
        """Note the value at the end of an iteration."""
