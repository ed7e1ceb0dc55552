"""Checks of arrays that NumPy does not make: what users give, and what does not fit in memory."""

import functools
import os
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidInputError, TooLargeError


def as_real(name: str, given: Any, expected: str) -> NDArray[Any]:
    """Return what was given as an array of real numbers, or raise an InvalidInputError."""
    try:
        if is_masked(given):
            raise ValueError("it has masked entries")
        array = np.asarray(given)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"it has dtype {array.dtype}")
    except ValueError as error:
        why = f"{name} is {given!r:.200} ({error}), expected {expected}."
        raise InvalidInputError(why) from None
    return array


def as_numbers(given: Any) -> Array:
    """Return a copy of what was given as an array of numbers, or one nan if it is not one."""
    try:
        array = np.asarray(np.nan if is_masked(given) else given)
        return np.array(array if array.dtype.kind in "biuf" else np.nan, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array(np.nan)


def is_masked(given: Any) -> bool:
    """Return whether an array, or one in a list, has a mask: NumPy would use the masked values."""
    if isinstance(given, list | tuple):
        for _ in range(2):  # in pairs of bounds too, of which there may be many
            kinds = set(map(type, given))
            if not kinds or kinds - {list, tuple}:
                break
            given = [*chain.from_iterable(given)]
        return any(map(_may_be_masked, kinds)) and any(map(is_masked, given))
    return _may_be_masked(type(given)) and bool(np.any(getattr(given, "mask", False)))


def _may_be_masked(kind: type) -> bool:
    return issubclass(kind, np.ndarray) and kind is not np.ndarray


def is_whole(given: object) -> bool:
    """Return whether a value is a whole number; NumPy's timedeltas and Python's bools are not."""
    return isinstance(given, int | np.integer) and not isinstance(given, bool | np.timedelta64)


def rotate(rows: Array, first: int) -> None:
    """Rotate rows in place, so that row ``first`` becomes row 0."""
    if rows.size <= 100_000:
        rows[...] = np.concatenate((rows[first:], rows[:first]))
        return
    # By three reversals, two rows at a time: a second copy would be large.
    for part in (rows[:first], rows[first:], rows):
        for i in range(len(part) // 2):
            part[[i, -1 - i]] = part[[-1 - i, i]]


def check_memory(what: str, count: float, advice: str) -> None:
    """Raise a TooLargeError if that many numbers in double precision do not fit in memory."""
    needed, memory = 8 * min(count, 1e300), machine_memory()
    if needed > memory:
        raise TooLargeError(
            f"{what} needs {needed / 2**30:.1f} GiB, and the machine has {memory / 2**30:.1f} GiB: "
            f"{advice}."
        )


@functools.cache
def machine_memory() -> int:
    """Return the machine's memory in bytes; 8 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
