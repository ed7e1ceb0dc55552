"""Support levels: what an algorithm declares that it supports."""

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, Self, TypeAlias, TypeVar

from typing_extensions import override

_T = TypeVar("_T")


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

#: What :meth:`Optimizer.get_support_level` returns; a name that is absent is not supported, except
#: that residuals are.
SupportLevels: TypeAlias = dict[str, SupportLevel]

#: The things that an algorithm declares a level for. The first three are Qiskit's.
CAPABILITIES = ("gradient", "bounds", "initial_point", "constraints", "hessian", "residuals")
#: The levels that are not declared: any algorithm can minimize half the sum of squared residuals.
_ABSENT = {
    **dict.fromkeys(CAPABILITIES, SupportLevel.not_supported),
    "residuals": SupportLevel.supported,
}


def absent_level(what: str) -> SupportLevel:
    """Return the level of a capability that is not declared."""
    return _ABSENT.get(what, SupportLevel.not_supported)


def levels(
    *,
    gradient: SupportLevel,
    bounds: SupportLevel = SupportLevel.supported,
    initial_point: SupportLevel = SupportLevel.required,
    constraints: SupportLevel = SupportLevel.not_supported,
    hessian: SupportLevel = SupportLevel.not_supported,
    residuals: SupportLevel = SupportLevel.supported,
) -> SupportLevels:
    """Return a level for each of the capabilities; the defaults are those of most algorithms."""
    given = (gradient, bounds, initial_point, constraints, hessian, residuals)
    return dict(zip(CAPABILITIES, given, strict=True))


class _Declared(property, Generic[_T]):
    """A property that says something about a level."""

    def __init__(self, answer: Callable[[Any], _T], words: str) -> None:
        super().__init__(answer)
        self.__doc__ = words  # Python 3.11 drops the argument ``doc`` of a subclass

    @override  # for type checkers, which read it from objects only
    def __get__(  # type: ignore[override]
        self, instance: Any, owner: type | None = None, /
    ) -> _T:
        answer: _T = super().__get__(instance, owner)
        return answer


def _level_of(what: str) -> _Declared[SupportLevel]:
    words = what.replace("_", " ")
    return _Declared(lambda self: self._level(what), f"Returns {words} support level.")


# What `is_..._ignored` and so on look for, and what their docstrings add.
_HOW = {
    "ignored": ((SupportLevel.ignored,), ""),
    "supported": (tuple(SupportLevel)[1:], ": it may be given, though perhaps to no effect"),
    "required": ((SupportLevel.required,), ""),
}


def _is(what: str, how: str) -> _Declared[bool]:
    levels, more = _HOW[how]
    doc = f"Returns is {what.replace('_', ' ')} {how}{more}."
    return _Declared(lambda self: self._level(what) in levels, doc)


@dataclass(frozen=True)
class Traits:
    """What an algorithm is for, and how it works.

    Parameters
    ----------
    purpose : str
        One sentence: which problems it is for.
    noise : bool, default False
        Whether it handles noise in the values.
    parallel : bool, default False
        Whether it asks for several points at a time, including those of differences.
    global_search : bool, default False
        Whether it searches beyond the minimum nearest to the start.
    random : bool, default False
        Whether it draws random numbers, so that its path depends on the seed.
    """

    purpose: str = ""
    noise: bool = False
    parallel: bool = False
    global_search: bool = False
    random: bool = False


#: The names of the traits that are true or false.
TRAITS = ("noise", "parallel", "global_search", "random")


class Declaring(ABC):
    """Something that declares its capabilities in the attribute ``support_levels``."""

    #: What it is for, and how it works.
    traits = Traits()

    #: A level for each of the capabilities; one that is absent is not supported, except residuals.
    support_levels: SupportLevels

    @classmethod
    def _kinds(cls) -> dict[str, Self]:
        """Return an object of each kind that the class has, by its name; a single one has none."""
        return {"": cls()}

    def get_support_level(self) -> SupportLevels:
        """Return what the algorithm supports.

        Returns
        -------
        dict of str to SupportLevel
            A level for ``"gradient"``, ``"bounds"`` and ``"initial_point"``, and beyond Qiskit
            for ``"constraints"``, ``"hessian"`` and ``"residuals"``: a copy of the attribute
            ``support_levels``. Where residuals are required, an objective is assumed to return
            residuals even if it is not marked by :func:`residuals`.

        Raises
        ------
        TypeError
            If the class has no such attribute and does not override this method.
        """
        declared = getattr(self, "support_levels", None)
        if declared is None:
            raise TypeError(
                f"{type(self).__name__} declares no support_levels, expected a dict of the levels "
                f"for {', '.join(CAPABILITIES)}."
            )
        return {what: declared.get(what, absent) for what, absent in _ABSENT.items()}

    def _level(self, what: str) -> SupportLevel:
        return self.get_support_level().get(what, absent_level(what))

    gradient_support_level = _level_of("gradient")
    is_gradient_ignored = _is("gradient", "ignored")
    is_gradient_supported = _is("gradient", "supported")
    is_gradient_required = _is("gradient", "required")

    bounds_support_level = _level_of("bounds")
    is_bounds_ignored = _is("bounds", "ignored")
    is_bounds_supported = _is("bounds", "supported")
    is_bounds_required = _is("bounds", "required")

    initial_point_support_level = _level_of("initial_point")
    is_initial_point_ignored = _is("initial_point", "ignored")
    is_initial_point_supported = _is("initial_point", "supported")
    is_initial_point_required = _is("initial_point", "required")
