"""Bounds of variables, broadcast to their shapes and packed as the variables are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.errors import CrossedBoundsError, InvalidInputError
from optimizers.external.packing import Packing

#: A pair of bounds for each variable, or None for one that has none.
Matched = Sequence[tuple[Any, Any] | None]


def as_pairs(bounds: Any) -> Iterable[tuple[Any, Any]]:
    """Return the (variable, bounds) pairs of ``var_to_bounds``, a mapping or a sequence of them."""
    if isinstance(bounds, Mapping):
        return list(bounds.items())
    try:
        pairs = list(bounds)
        if all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            return pairs
    except TypeError:
        pass
    raise form_error(bounds)


def form_error(bounds: Any) -> InvalidInputError:
    """Return the error for bounds that do not say for which variables they are."""
    return InvalidInputError(
        f"The bounds are {bounds!r:.200}, expected a dict of variable (or variable.ref()) to "
        "(low, high), or a list of (variable, (low, high)) pairs."
    )


def pack_bounds(packing: Packing, matched: Matched) -> tuple[Array, Array]:
    """Return all bounds as two flat float64 vectors, infinite where there is none.

    They are rounded inward to the variables' types, none of which ends outside its bounds.
    """
    lower, upper = np.full(packing.size, -np.inf), np.full(packing.size, np.inf)
    for i, (part, shape, pair) in enumerate(
        zip(packing.slices, packing.shapes, matched, strict=True)
    ):
        if pair is None:
            continue
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InvalidInputError(
                f"The bounds of variable {i} are {pair!r:.200}, expected a pair (low, high)."
            )
        lower[part] = _side(pair[0], shape, i, -np.inf)
        upper[part] = _side(pair[1], shape, i, np.inf)
        crossed = (lower[part] > upper[part]) | (lower[part] == np.inf) | (upper[part] == -np.inf)
        if crossed.any():
            k = int(np.flatnonzero(crossed)[0])
            raise CrossedBoundsError(
                f"The bounds of element {k} of variable {i} are ({lower[part][k]}, "
                f"{upper[part][k]}): the lower bound is above the upper one or no number lies "
                "between them."
            )
        if packing.held[i] != np.float64:
            lower[part], upper[part] = _inward(lower[part], upper[part], packing.held[i])
    return lower, upper


def _inward(lower: Array, upper: Array, dtype: Any) -> tuple[Array, Array]:
    """Return bounds as numbers of a type with fewer digits, not outside of what they were."""
    with np.errstate(over="ignore", under="ignore"):
        low, high = lower.astype(dtype), upper.astype(dtype)
        low = np.where(low.astype(np.float64) < lower, np.nextafter(low, dtype.type(np.inf)), low)
        up = dtype.type(-np.inf)
        high = np.where(high.astype(np.float64) > upper, np.nextafter(high, up), high)
        # Bounds with no such number between them fix the variable, at the nearest.
        fixed = lower.astype(dtype).astype(np.float64)
    low, high = low.astype(np.float64), high.astype(np.float64)
    crossed = low > high
    return np.where(crossed, fixed, low), np.where(crossed, fixed, high)


def _side(given: Any, shape: tuple[int, ...], i: int, absent: float) -> Array:
    """Return one side of a variable's bounds, flat."""
    if given is None:
        return np.full(int(np.prod(shape, dtype=np.int64)), absent)
    try:
        values = np.asarray(given, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"A bound of variable {i} is {given!r:.200}, expected numbers or None."
        ) from None
    missing = np.isnan(values)
    if missing.any():
        if any(value is not None for value in np.asarray(given, dtype=object)[missing]):
            raise InvalidInputError(
                f"A bound of variable {i} is NaN; write None or an infinity for no bound."
            )
        values = np.where(missing, absent, values)
    try:
        return np.broadcast_to(values, shape).ravel()
    except ValueError:
        raise InvalidInputError(
            f"A bound of variable {i} has shape {values.shape}, expected one that broadcasts to "
            f"the variable's shape {shape}."
        ) from None
