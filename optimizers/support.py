"""Support levels: what an algorithm declares that it can take."""

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
