"""Support levels: what an algorithm declares that it can take."""

from abc import ABC
from enum import IntEnum
from typing import Any, TypeAlias

from typing_extensions import override


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


def levels(
    *,
    gradient: SupportLevel,
    bounds: SupportLevel = SupportLevel.supported,
    initial_point: SupportLevel = SupportLevel.required,
    constraints: SupportLevel = SupportLevel.not_supported,
    hessian: SupportLevel = SupportLevel.not_supported,
) -> SupportLevels:
    """Return a level for each of the capabilities; the defaults are those of most algorithms."""
    given = (gradient, bounds, initial_point, constraints, hessian)
    return dict(zip(CAPABILITIES, given, strict=True))


class _Level(property):
    """The property that is a level."""

    def __init__(self, what: str) -> None:
        words = what.replace("_", " ")
        super().__init__(lambda self: self._level(what), doc=f"Returns {words} support level.")

    @override  # for type checkers, who read it from objects alone
    def __get__(  # type: ignore[override]
        self, instance: Any, owner: type | None = None, /
    ) -> SupportLevel:
        level: SupportLevel = super().__get__(instance, owner)
        return level


# What `is_..._ignored` and so on look for, and what their docstrings add.
_HOW = {
    "ignored": ((SupportLevel.ignored,), ""),
    "supported": (tuple(SupportLevel)[1:], ": it may be given, though perhaps to no effect"),
    "required": ((SupportLevel.required,), ""),
}


class _Is(property):
    """The property that says whether something is ignored, supported or required."""

    def __init__(self, what: str, how: str) -> None:
        levels, more = _HOW[how]
        doc = f"Returns is {what.replace('_', ' ')} {how}{more}."
        super().__init__(lambda self: self._level(what) in levels, doc=doc)

    @override  # for type checkers, who read it from objects alone
    def __get__(  # type: ignore[override]
        self, instance: Any, owner: type | None = None, /
    ) -> bool:
        answer: bool = super().__get__(instance, owner)
        return answer


class Declaring(ABC):
    """Something that declares what it can take, by the attribute ``support_levels``."""

    #: A level for each of the capabilities; one that is absent is not supported.
    support_levels: SupportLevels

    def get_support_level(self) -> SupportLevels:
        """Return what the algorithm can take.

        Returns
        -------
        dict of str to SupportLevel
            A level for ``"gradient"``, ``"bounds"`` and ``"initial_point"``, and beyond Qiskit
            for ``"constraints"`` and ``"hessian"``: a copy of the attribute ``support_levels``.

        Raises
        ------
        TypeError
            If the class neither has that attribute nor overrides this method.
        """
        declared = getattr(self, "support_levels", None)
        if declared is None:
            raise TypeError(
                f"{type(self).__name__} declares no support_levels, expected a dict of the levels "
                f"for {', '.join(CAPABILITIES)}."
            )
        return {what: declared.get(what, SupportLevel.not_supported) for what in CAPABILITIES}

    def _level(self, what: str) -> SupportLevel:
        return self.get_support_level().get(what, SupportLevel.not_supported)

    gradient_support_level = _Level("gradient")
    is_gradient_ignored = _Is("gradient", "ignored")
    is_gradient_supported = _Is("gradient", "supported")
    is_gradient_required = _Is("gradient", "required")

    bounds_support_level = _Level("bounds")
    is_bounds_ignored = _Is("bounds", "ignored")
    is_bounds_supported = _Is("bounds", "supported")
    is_bounds_required = _Is("bounds", "required")

    initial_point_support_level = _Level("initial_point")
    is_initial_point_ignored = _Is("initial_point", "ignored")
    is_initial_point_supported = _Is("initial_point", "supported")
    is_initial_point_required = _Is("initial_point", "required")
