"""Structure: the user's variables, such as a dict of arrays, and their flat vector."""

import operator
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers.errors import (
    CapabilityError,
    InvalidInputError,
    InvalidValueError,
    MissingExtraError,
    nearest_names,
)
from optimizers.problem.leaf import NUMBERS, Leaf, is_container, is_plain, is_vector, leaf_of
from optimizers.problem.param import Param, is_table

#: The optree namespace in which dataclasses are registered.
_NAMESPACE = "optimizers"
#: How many names are shown.
_SHOWN = 6


class Structure:
    """How the leaves make up the user's variables."""

    def __init__(self, x0: Any) -> None:
        #: As the user gave it.
        self.x0 = x0
        self._keys: tuple[Any, ...] | None = None
        self._spec: Any = None
        if type(x0) is dict and not any(map(is_container, x0.values())):
            self._keys = tuple(x0)
            paths, given = [(key,) for key in x0], [*x0.values()]
        elif not is_container(x0) or is_vector(x0):
            paths, given = [tuple[Any, ...]()], [x0]
        else:
            self._spec, paths, given = _by_optree(x0)
        self.leaves: list[Leaf] = []
        self.size = 0
        for path, value in zip(paths, given, strict=True):
            leaf = leaf_of(path, value, self.size)
            self.leaves.append(leaf)
            self.size += leaf.size
        #: The leaves as the user gave them, each with its place.
        self.given = [*zip(self.leaves, given, strict=True)]
        if is_vector(x0):
            self.given = [(Leaf((i,), (), i, is_number=True), one) for i, one in enumerate(x0)]
        self._is_of_numbers = all(leaf.is_number for leaf in self.leaves)
        # For a flat dict of numbers: all of them.
        self._numbers_of: Any = None
        if self._keys is not None and self._is_of_numbers and self.size > 1:
            self._numbers_of = operator.itemgetter(*self._keys)

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the same structure: optree in a worker may not know its classes."""
        return Structure, (self.x0,)

    @property
    def precision(self) -> float:
        """The relative precision with which the objective gets points: float32 is coarser."""
        return max((leaf.precision for leaf in self.leaves), default=0.0)

    def name_of(self, at: int | np.integer[Any]) -> str:
        """Return the name of a variable, by its index in the vector."""
        leaf = next(leaf for leaf in self.leaves if at < leaf.where.stop)
        return leaf.name_of(int(at) - leaf.start)

    def places(self, name: str, what: str) -> NDArray[np.intp]:
        """Return the places of a leaf, or of an entry of one, by its name."""
        for leaf in self.leaves:
            if leaf.name == name:
                return np.arange(leaf.where.start, leaf.where.stop)
        names = [self.name_of(at) for at in range(self.size)]
        if name in names:
            return np.array([names.index(name)])
        known = dict.fromkeys([*(leaf.name for leaf in self.leaves), *names])
        raise InvalidInputError(
            f"{what} names {name!r}, which is not a part of x0. {nearest_names(name, known)}"
        )

    def point(self, x: NDArray[Any]) -> Any:
        """Return the structure at a point, shape (n,), or with stacked leaves for points (k, n)."""
        if self._is_of_numbers and x.ndim == 1:
            if self._keys is not None:
                return dict(zip(self._keys, x.tolist(), strict=True))
            return self.built(x.tolist())
        return self.built([leaf.of(x) for leaf in self.leaves])

    def checked_point(self, x: NDArray[Any]) -> Any:
        """Return the same; raise an error if the vector holds several points."""
        if x.shape[-1] != self.size:
            raise flat_group(x.size // max(1, self.size))
        return self.point(x)

    def built(self, parts: Sequence[Any]) -> Any:
        """Return the structure with the given leaves."""
        if self._keys is not None:
            return dict(zip(self._keys, parts, strict=True))
        return parts[0] if self._spec is None else self._spec.unflatten(parts)

    def values(self, tree: Any, name: str) -> NDArray[np.float64]:
        """Return the float64 vector of a structure of numbers, or of one number for all."""
        if isinstance(tree, NUMBERS):
            tree = np.full(self.size, tree)
        elif _is_flat_list(tree) and len(tree) == self.size:
            tree = np.asarray(tree)
        try:
            found = np.array(self.vector(tree, name), dtype=np.float64).reshape(self.size)
        except InvalidValueError as error:
            raise InvalidInputError(str(error)) from None
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(
                f"{name} is {tree!r:.200}, expected numbers in the structure of x0: {error}"
            ) from None
        return found

    def rows(self, tree: Any, name: str) -> NDArray[Any]:
        """Return a matrix, shape (n, n), whose rows and columns are in the structure."""
        found = self.vector(tree, name) if np.ndim(tree) >= 2 else None
        if found is None:
            parts = zip(self.leaves, self.parts(tree, name), strict=True)
            blocks = [np.reshape(self.vector(p, name), (leaf.size, -1)) for leaf, p in parts]
            found = np.concatenate(blocks)
        return np.reshape(found, (-1, self.size))

    def parts(self, tree: Any, name: str) -> list[Any]:
        """Return the parts of another structure that correspond to the leaves."""
        try:
            if self._keys is not None:
                if len(tree) != len(self._keys):
                    raise KeyError
                return [tree[key] for key in self._keys]
            return [tree] if self._spec is None else self._spec.flatten_up_to(tree)
        except (KeyError, TypeError, ValueError, IndexError):
            raise InvalidValueError(
                f"{name} is {tree!r:.200}, expected the structure of x0: {self.x0!r:.200}."
            ) from None

    def vector(self, tree: Any, name: str) -> Any:
        """Return the vector (n,) of a structure, or (..., n) if its leaves have axes in front.

        Anything that has n columns already, such as a sparse matrix, is returned unchanged.
        """
        if self._numbers_of is not None and type(tree) is dict:  # the fastest way
            try:
                quick = np.array(self._numbers_of(tree))
                if quick.ndim == 1 and len(tree) == self.size and quick.dtype.kind in "fc":
                    return quick
            except (KeyError, ValueError):  # the error is raised below
                pass
        shape = () if is_table(tree) else getattr(tree, "shape", ())
        is_array = self._spec is None and self._keys is None
        own = self.leaves[0].shape if is_array else ()
        if shape and shape[-1] == self.size and not (own and shape[-len(own) :] == own):
            return tree
        rows = []
        for leaf, part in zip(self.leaves, self.parts(tree, name), strict=True):
            array = leaf.array(part)
            lead = array.shape[: max(0, array.ndim - len(leaf.shape))]
            if is_array and array.size == leaf.size:
                lead = ()
            elif lead + leaf.shape != array.shape:
                raise InvalidValueError(
                    f"{name} has shape {array.shape} for {leaf.name}, expected {leaf.shape}."
                )
            rows.append(array.reshape(*lead, leaf.size))
        try:
            return np.concatenate(rows, axis=-1) if rows else np.zeros(0)
        except ValueError as error:
            raise InvalidValueError(f"{name} is {tree!r:.200}: {error}.") from None


def flat_group(count: int) -> CapabilityError:
    """Return the error for several points in one flat vector."""
    return CapabilityError(
        f"The objective would get {count} points in one flat vector, but x0 is a structure: remove "
        "max_evals_grouped, or mark the objective with vectorized."
    )


def _is_flat_list(x: Any) -> bool:
    return isinstance(x, list | tuple) and is_plain(x)


def _by_optree(x0: Any) -> tuple[Any, list[tuple[Any, ...]], list[Any]]:
    """Return optree's treespec, and the leaves with their paths."""
    try:
        import optree
    except ImportError as error:
        raise MissingExtraError(
            f"x0 is {x0!r:.200}: a structure, other than an array or a flat dict of numbers and "
            "arrays, needs optree: pip install optree."
        ) from error
    typed: Any = optree

    def registered(node: Any) -> bool:
        if is_container(node) and typed.tree_is_leaf(node, none_is_leaf=True, namespace=_NAMESPACE):
            typed.register_pytree_node(type(node), _fields, _made(type(node)), namespace=_NAMESPACE)
        return False

    # Names and vector have the order in which the user wrote a dict.
    with typed.dict_insertion_ordered(True, namespace=_NAMESPACE):
        leaves, spec = typed.tree_flatten(x0, registered, none_is_leaf=True, namespace=_NAMESPACE)
    # Fields of named tuples and dataclasses are numbers in optree, and names for the user.
    paths = [
        tuple(getattr(entry, "field", None) or entry.entry for entry in accessor)
        for accessor in spec.accessors()
    ]
    return spec, paths, leaves


def _fields(node: Any) -> tuple[list[Any], None, list[str]]:
    names = [field.name for field in fields(node) if field.init]
    return [getattr(node, name) for name in names], None, names


def _made(cls: type) -> Any:
    names = [field.name for field in fields(cls) if field.init]
    return lambda _, parts: cls(**dict(zip(names, parts, strict=True)))


class Names(Sequence[str]):
    """The names of variables; each is made on demand, since there may be 10^6."""

    def __init__(self, structure: Structure, places: NDArray[np.intp]) -> None:
        self._structure, self._places = structure, places

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    @override
    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self._structure.name_of(place) for place in self._places[at]]
        return self._structure.name_of(self._places[at])

    def start_at(self, x: Any, *, has_bounds: bool) -> Any:
        """Return a start at a point, in plain units; what was fixed, tied or bounded is so."""
        structure = self._structure
        values, is_fixed = structure.values(x, "x"), np.ones(structure.size, dtype=np.bool_)
        is_fixed[self._places] = False
        parts = []
        for leaf, given in structure.given:
            value, fixed = leaf.of(values), is_fixed[leaf.where].reshape(leaf.shape)
            if isinstance(given, Param):
                low, high = (given.lower, given.upper) if has_bounds else (None, None)
                value = Param(value, low, high, given.tie is None and fixed, tie=given.tie)
            elif fixed.any() and leaf.table is None:
                value = Param(value, fixed=fixed)
            parts.append(value)
        return parts if is_vector(structure.x0) else structure.built(parts)

    @override
    def __repr__(self) -> str:
        dots = ", ..." if len(self) > _SHOWN else ""
        return f"[{', '.join(self[:_SHOWN])}{dots}]"
