"""Support levels: what an algorithm declares that it can take."""

from abc import ABC, abstractmethod
from enum import IntEnum
from typing import TypeAlias


class SupportLevel(IntEnum):
    """What an algorithm does with a gradient, bounds, an initial point, and so on.

    Examples
    --------
    >>> SupportLevel.required > SupportLevel.supported
    True
    """

    not_supported = 0
    """Must not be given: an error."""
    ignored = 1
    """May be given and has no effect: one warning says so."""
    supported = 2
    """Is used when given."""
    required = 3
    """Must be given: an error before the first evaluation otherwise."""


#: Qiskit's name for :class:`SupportLevel`.
OptimizerSupportLevel = SupportLevel

#: What :meth:`Optimizer.get_support_level` returns; a name that is absent is not supported.
SupportLevels: TypeAlias = dict[str, SupportLevel]

#: The things that an algorithm declares a level for. The first three are Qiskit's.
CAPABILITIES = ("gradient", "bounds", "initial_point", "constraints", "hessian")


class Declaring(ABC):
    """Something that declares what it can take."""

    @abstractmethod
    def get_support_level(self) -> SupportLevels:
        """Return what the algorithm can take.

        Returns
        -------
        dict of str to SupportLevel
            A level for ``"gradient"``, ``"bounds"`` and ``"initial_point"``, and beyond Qiskit
            for ``"constraints"`` and ``"hessian"`` (absent: not supported).
        """

    def _level(self, what: str) -> SupportLevel:
        return self.get_support_level().get(what, SupportLevel.not_supported)

    @property
    def gradient_support_level(self) -> SupportLevel:
        """Returns gradient support level."""
        return self._level("gradient")

    @property
    def is_gradient_ignored(self) -> bool:
        """Returns is gradient ignored."""
        return self._level("gradient") == SupportLevel.ignored

    @property
    def is_gradient_supported(self) -> bool:
        """Returns is gradient supported: it may be given, though perhaps to no effect."""
        return self._level("gradient") != SupportLevel.not_supported

    @property
    def is_gradient_required(self) -> bool:
        """Returns is gradient required."""
        return self._level("gradient") == SupportLevel.required

    @property
    def bounds_support_level(self) -> SupportLevel:
        """Returns bounds support level."""
        return self._level("bounds")

    @property
    def is_bounds_ignored(self) -> bool:
        """Returns is bounds ignored."""
        return self._level("bounds") == SupportLevel.ignored

    @property
    def is_bounds_supported(self) -> bool:
        """Returns is bounds supported: it may be given, though perhaps to no effect."""
        return self._level("bounds") != SupportLevel.not_supported

    @property
    def is_bounds_required(self) -> bool:
        """Returns is bounds required."""
        return self._level("bounds") == SupportLevel.required

    @property
    def initial_point_support_level(self) -> SupportLevel:
        """Returns initial point support level."""
        return self._level("initial_point")

    @property
    def is_initial_point_ignored(self) -> bool:
        """Returns is initial point ignored."""
        return self._level("initial_point") == SupportLevel.ignored

    @property
    def is_initial_point_supported(self) -> bool:
        """Returns is initial point supported: it may be given, though perhaps to no effect."""
        return self._level("initial_point") != SupportLevel.not_supported

    @property
    def is_initial_point_required(self) -> bool:
        """Returns is initial point required."""
        return self._level("initial_point") == SupportLevel.required
