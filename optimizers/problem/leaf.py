"""Leaves: the numbers, arrays and tables that make up a start."""

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._arrays import as_real
from optimizers.errors import CapabilityError
from optimizers.problem.param import Param, is_pandas, is_table

NUMBERS = int | float | complex | np.generic


def is_plain(x0: Any) -> bool:
    """Return whether a start is a number, a vector, or anything else that is not a structure."""
    if isinstance(x0, list | tuple) and not hasattr(x0, "_fields"):
        return not any(map(_is_part, x0)) if set(map(type, x0)) - {float, int} else True
    if x0 is None or isinstance(x0, NUMBERS | str | bytes | range):
        return True
    return not is_container(x0) and _ndim(x0) < 2


def _is_part(x: Any) -> bool:
    return not isinstance(x, NUMBERS | str) and (is_container(x) or _ndim(x) > 0)


def _ndim(x: Any) -> int:
    if isinstance(x, Param) or is_pandas(x) or _is_foreign(x):
        return 2
    shape = getattr(x, "shape", None)
    return len(shape) if isinstance(shape, tuple) else 0


def _is_foreign(x: Any) -> bool:
    """Return whether something is an array of a library other than NumPy."""
    return hasattr(x, "new_tensor") or (  # torch
        hasattr(x, "__array_namespace__") and not isinstance(x, np.ndarray | np.generic)
    )


def is_vector(x0: Any) -> bool:
    """Return whether a start is a list of numbers, some of which are Params."""
    return (
        isinstance(x0, list | tuple)
        and not hasattr(x0, "_fields")
        and any(isinstance(one, Param) for one in x0)
        and all(map(_is_number, x0))
    )


def _is_number(x: Any) -> bool:
    return isinstance(x, NUMBERS) or (isinstance(x, Param) and np.ndim(x.numbers) == 0)


def is_container(x: Any) -> bool:
    """Return whether something has parts, as far as is known without importing optree."""
    if isinstance(x, Mapping | list | tuple):
        return True
    if isinstance(x, type | Param | np.ndarray | NUMBERS) or x is None:
        return False
    optree: Any = sys.modules.get("optree")
    return is_dataclass(x) or (optree is not None and not optree.tree_is_leaf(x))


def joined(name: str, key: Any) -> str:
    """Return the name of a part, as it is written in Python."""
    if isinstance(key, str):
        return f"{name}.{key}" if name else key
    place = ",".join(map(str, key)) if isinstance(key, tuple) else repr(key)
    return f"{name or 'x'}[{place}]"


def as_array(raw: Any) -> Any:
    """Return a torch tensor as an array, to know its precision; anything else unchanged."""
    return np.asarray(raw.detach().cpu()) if hasattr(raw, "detach") else raw


@dataclass(frozen=True, eq=False)
class Leaf:
    """A number, an array or a table in a structure, and its place in the vector."""

    path: tuple[Any, ...]
    shape: tuple[int, ...]
    start: int
    #: The number of its variables.
    size: int = 1
    is_number: bool = False
    #: The index of a table or a pandas Series.
    table: Any = None
    #: An array of a library other than NumPy, as the user gave it.
    like: Any = None

    @property
    def name(self) -> str:
        """Its name."""
        return functools.reduce(joined, self.path, "") or "x"

    @property
    def precision(self) -> float:
        """The relative precision with which the objective gets it."""
        if self.like is None:
            return 0.0
        return float(np.finfo(np.asarray(as_array(self.like)).dtype).eps)

    @property
    def where(self) -> slice:
        """Its place in the vector."""
        return slice(self.start, self.start + self.size)

    def name_of(self, at: int) -> str:
        """Return the name of one of its entries."""
        if self.table is not None:
            label = self.table.index[at]
            labels = label if isinstance(label, tuple) else (label,)
            parts = (part.item() if isinstance(part, np.generic) else part for part in labels)
            return functools.reduce(joined, (*self.path, *parts), "")
        if not self.shape:
            return self.name
        return joined(self.name, tuple(map(int, np.unravel_index(at, self.shape))))

    def of(self, x: NDArray[Any]) -> Any:
        """Return its value at a point of the structure, or at a stack of points."""
        lead = x.shape[:-1]
        if self.is_number:
            return x[..., self.start] if lead else x[self.start].item()
        part = x[..., self.where].reshape((*lead, *self.shape))
        if self.table is not None:
            if lead:
                raise CapabilityError(
                    "A vectorized objective cannot take a stack of tables: pass a dict of arrays "
                    "as x0, or an objective of one point."
                )
            if is_table(self.table):
                return self.table.assign(value=part)
            return type(self.table)(part, index=self.table.index, name=self.table.name)
        if self.like is None:
            return part
        if hasattr(self.like, "new_tensor"):  # torch
            return self.like.new_tensor(part)
        return self.like.__array_namespace__().asarray(part, dtype=self.like.dtype)

    def array(self, part: Any) -> NDArray[Any]:
        """Return the corresponding part of another structure as an array.

        A table that has the same labels in another order is read by these.
        """
        part = part["value"] if is_table(part) else part
        if self.table is not None and is_pandas(part):
            own, other = self.table.index, part.index
            if not own.equals(other) and own.is_unique and other.is_unique:
                part = part.reindex(own) if set(own) == set(other) else part
        return np.asarray(_numbers(part))


def leaf_of(path: tuple[Any, ...], value: Any, start: int) -> Leaf:
    """Return the leaf for a user's value."""
    if is_pandas(value):
        return Leaf(path, (len(value),), start, len(value), table=value)
    name = functools.reduce(joined, path, "") or "x0"
    array = as_real(name, _numbers(value), "a number or an array")
    own = value.numbers if isinstance(value, Param) else value
    like = own if _is_foreign(own) else None
    if like is not None and array.dtype.kind != "f":  # whole numbers would remain integers
        like = like * 1.0
    is_number = array.ndim == 0 and like is None
    return Leaf(path, array.shape, start, array.size, is_number, like=like)


def _numbers(value: Any) -> Any:
    """Return a leaf, or the corresponding part of another structure, in a form for an array."""
    if is_vector(value):
        return [_numbers(one) for one in value]
    return as_array(value.numbers if isinstance(value, Param) else value)
