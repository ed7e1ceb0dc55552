"""Bounds on variables in a structure: in the same structure, or by name."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds

from optimizers._types import Array, BoundsLike
from optimizers.errors import CrossedBoundsError, InvalidInputError, warn_user
from optimizers.problem.bounds import check_reading, sides_of
from optimizers.problem.leaf import Leaf, joined
from optimizers.problem.param import Param, is_table
from optimizers.problem.structure import Structure


class Limits:
    """Lower and upper bounds of all variables of a structure, infinite where there is none."""

    def __init__(self, structure: Structure, bounds: BoundsLike = None) -> None:
        self._structure = structure
        self.lower = np.full(structure.size, -np.inf)
        self.upper = np.full(structure.size, np.inf)
        self.keep_feasible: Any = False
        # What was given as pairs, and for which leaf.
        self._pairs = list[tuple[Leaf, Any]]()
        # Those in the start.
        self._told = np.zeros(structure.size, dtype=np.bool_)
        for leaf, given in structure.given:
            if isinstance(given, Param):
                self._put(leaf, given.lower, given.upper)
            elif is_table(given):
                self._put(leaf, *(_column(given, side) for side in ("lower", "upper")))
        self._told = np.isfinite(self.lower) | np.isfinite(self.upper)
        self._take(bounds)

    def _take(self, bounds: BoundsLike) -> None:
        if isinstance(bounds, Bounds):
            whole = Leaf((), self._shape, 0, self._structure.size)
            self._put(whole, bounds.lb, bounds.ub)
            self.keep_feasible = np.ravel(np.broadcast_to(bounds.keep_feasible, self._shape))
        elif (sides := sides_of(bounds)) is not None:
            self._side("lower", "", sides[0])
            self._side("upper", "", sides[1])
        else:
            self._set("", bounds)

    def _side(self, side: Literal["lower", "upper"], name: str, given: Any) -> None:
        """Set the bounds on one side of a part of the structure; missing entries have none."""
        if given is None:
            return
        if isinstance(given, Mapping):
            for key, inner in given.items():
                self._side(side, joined(name, key), inner)
            return
        leaf, array = self._leaf(name), getattr(self, side)
        if leaf is None and not name:
            self._check_new(slice(None))
            array[:] = self._structure.values(given, f"{side} bounds")
            return
        for inside in self._inside(name) if leaf is None else [leaf]:
            self._check_new(inside.where)
            try:
                numbers = np.asarray(given, dtype=np.float64)
                array[inside.where] = np.broadcast_to(numbers, inside.shape).reshape(-1)
            except (TypeError, ValueError):
                raise InvalidInputError(
                    f"{side} bounds is {given!r:.200} for {inside.name}, expected numbers in the "
                    "structure of x0."
                ) from None

    def follow(self, sources: NDArray[np.intp]) -> None:
        """Apply the bounds of variables to those that they are tied to."""
        self._check()
        np.maximum.at(self.lower, sources, self.lower)
        np.minimum.at(self.upper, sources, self.upper)
        self.lower, self.upper = self.lower[sources], self.upper[sources]
        self._check()

    def _check(self) -> None:
        lower, upper = self.lower, self.upper
        bad = ~(lower <= upper) | (lower == np.inf) | (upper == -np.inf)
        for side, values in (("lower", lower), ("upper", upper)):
            for at in np.flatnonzero(np.isnan(values))[:1]:
                raise InvalidInputError(
                    f"The {side} bound of {self._structure.name_of(at)} is NaN: use an infinity "
                    "for no bound."
                )
        for at in np.flatnonzero(bad)[:1]:
            raise CrossedBoundsError(
                f"The bounds of {self._structure.name_of(at)} are ({lower[at]}, {upper[at]}): the "
                "lower bound is above the upper one, or no number is between them."
            )

    def start(self, x: Array) -> Array:
        """Return a start inside the bounds; warnings say if it was outside, or they are unclear."""
        name_of = self._structure.name_of
        for at in np.flatnonzero(~np.isfinite(x))[:1]:
            raise InvalidInputError(f"x0: {name_of(at)} is {x[at]}, expected finite numbers.")
        for leaf, pairs in self._pairs:
            if leaf.size == 2:
                check_reading(pairs, self.lower[leaf.where], self.upper[leaf.where])
        clipped = np.clip(x, self.lower, self.upper)
        for at in np.flatnonzero(clipped != x)[:1]:
            warn_user(
                f"x0 is outside the bounds in {np.count_nonzero(clipped != x)} variable(s), first "
                f"{name_of(at)} = {x[at]}; it was clipped to {name_of(at)} = {clipped[at]}."
            )
        return clipped

    @property
    def _shape(self) -> tuple[int, ...]:
        leaves = self._structure.leaves
        return leaves[0].shape if len(leaves) == 1 else (self._structure.size,)

    def _set(self, name: str, given: Any) -> None:
        if given is None:
            return
        if is_dataclass(given):
            given = {field.name: getattr(given, field.name) for field in fields(given)}
        leaf = self._leaf(name)
        if isinstance(given, Mapping):
            for key, inner in given.items():
                self._set(joined(name, key), inner)
        elif leaf is not None:
            self._put_pairs(leaf, given)
        elif hasattr(given, "_asdict"):
            self._set(name, given._asdict())
        elif isinstance(given, list | tuple) and len(given) == 2 and all(map(_is_number, given)):
            for inside in self._inside(name):
                self._put(inside, *given)
        elif isinstance(given, list | tuple):
            for key, inner in enumerate(given):
                self._set(joined(name, key), inner)
        elif np.shape(given) == (self._structure.size, 2):
            size = self._structure.size
            self._put(Leaf((), (size,), 0, size), *np.asarray(given).T)
        else:
            raise self._refused(given)

    def _leaf(self, name: str) -> Leaf | None:
        """Return the leaf of that name, or the entry of one; None for a part that has leaves."""
        structure = self._structure
        for leaf in structure.leaves:
            if leaf.name == name or not (name or leaf.path):
                return leaf
        if not name or self._inside(name):
            return None
        return Leaf((name,), (), int(structure.places(name, "bounds")[0]), is_number=True)

    def _inside(self, name: str) -> list[Leaf]:
        """Return the leaves in a part of the structure."""
        return [
            leaf
            for leaf in self._structure.leaves
            if not name or leaf.name.startswith((f"{name}.", f"{name}["))
        ]

    def _put_pairs(self, leaf: Leaf, given: Any) -> None:
        if isinstance(given, Bounds):
            self._put(leaf, given.lb, given.ub)
            return
        try:
            shape = np.shape(given)
        except ValueError:  # a number and an array
            shape = ()
        if shape in ((*leaf.shape, 2), (leaf.size, 2)):
            lows, highs = np.array(given, dtype=object).reshape(-1, 2).T.tolist()
            lower = [-np.inf if low is None else low for low in lows]
            upper = [np.inf if high is None else high for high in highs]
            self._put(replace(leaf, shape=(leaf.size,)), lower, upper)
            self._pairs.append((leaf, given))
        elif isinstance(given, list | tuple) and len(given) == 2:
            self._put(leaf, *given)
        else:
            raise self._refused(given, leaf.name)

    def _put(self, leaf: Leaf, lower: Any, upper: Any) -> None:
        self._check_new(leaf.where)
        for array, side, infinity in ((self.lower, lower, -np.inf), (self.upper, upper, np.inf)):
            try:
                numbers = np.asarray(infinity if side is None else side, dtype=np.float64)
                array[leaf.where] = np.broadcast_to(numbers, leaf.shape).reshape(-1)
            except (TypeError, ValueError):
                raise self._refused((lower, upper), leaf.name) from None

    def _check_new(self, where: slice) -> None:
        if self._told[where].any():
            at = int(np.flatnonzero(self._told[where])[0]) + (where.start or 0)
            raise InvalidInputError(
                f"bounds of {self._structure.name_of(at)} were given twice, in x0 and as bounds: "
                "give them once."
            )

    def _refused(self, given: Any, name: str = "") -> InvalidInputError:
        where = f" for {name}" if name else ""
        return InvalidInputError(
            f"bounds is {given!r:.200}{where}, expected the structure of x0 with a pair (low, "
            "high) for each number or array, or a dict from names to pairs."
        )


def _column(table: Any, side: str) -> Any:
    """Return the bounds in a table, by our or optimagic's name, or None."""
    names = [name for name in (side, f"{side}_bound") if name in table.columns]
    if len(names) > 1:
        raise InvalidInputError(
            f"x0 is a table with the columns {' and '.join(names)}: remove one of them."
        )
    return table[names[0]] if names else None


def as_box(lower: Array, upper: Array, keep_feasible: Any) -> Bounds | None:
    """Return bounds as SciPy's; None if there are none."""
    if not (np.isfinite(lower).any() or np.isfinite(upper).any()):
        return None
    return Bounds(lower, upper, keep_feasible)


def _is_number(x: Any) -> bool:
    return x is None or isinstance(x, int | float | np.generic)
