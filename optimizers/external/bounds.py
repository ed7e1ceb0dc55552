"""Variables as one flat vector, row-major and in list order, and their bounds as two."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import CrossedBoundsError, InvalidInputError, InvalidValueError

#: ``rounded(values, toward)``, float64 numbers rounded to a type toward an infinity.
Rounded: TypeAlias = Callable[[Array, float], Array]


def rounded_to(dtype: Any) -> Rounded:
    """Return a function that rounds to a type of NumPy, or to one registered with it."""
    dtype = np.dtype(dtype)

    def rounded(values: Array, toward: float) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            near = values.astype(dtype)
            exact = near.astype(np.float64)
            is_short = exact < values if toward > 0 else exact > values
            near = np.where(is_short, np.nextafter(near, dtype.type(toward)), near)
        return near.astype(np.float64)

    return rounded


class Packing:
    """The layout of variables in one flat vector: in their common dtype, or float64.

    ``rounded`` round to the framework's types, if these are less precise than ``dtypes``.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, ...]],
        dtypes: Sequence[Any],
        rounded: Sequence[Rounded] | None = None,
    ) -> None:
        self.shapes = tuple(tuple(int(length) for length in shape) for shape in shapes)
        self.dtypes = tuple(np.dtype(dtype) for dtype in dtypes)
        self.rounded = [rounded_to(dtype) for dtype in dtypes] if rounded is None else rounded
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in self.shapes]
        ends = np.cumsum([0, *sizes]).tolist()
        self.slices = tuple(itertools.starmap(slice, itertools.pairwise(ends)))
        self.size: int = ends[-1]
        kinds = set(self.dtypes)
        is_one = len(kinds) == 1 and self.dtypes[0].kind == "f"  # bfloat16 is not a NumPy type
        self.dtype: np.dtype[Any] = self.dtypes[0] if is_one else np.dtype(np.float64)

    def vector(self, x: Any) -> NDArray[Any]:
        """Return a flat vector in ``dtype``, without a copy if it has that type."""
        given: NDArray[Any] = np.asarray(x)
        if given.shape != (self.size,) or given.dtype.kind not in "biuf":
            raise InvalidInputError(
                f"The packed vector has shape {given.shape} and dtype {given.dtype}, expected "
                f"({self.size},) real numbers, one for each element of the variables."
            )
        return given.astype(self.dtype, copy=False)

    def split(self, x: Any) -> list[NDArray[Any]]:
        """Return the variables' values in a vector, in their shapes and types, perhaps as views."""
        x = self.vector(x)
        parts = [x[s].reshape(shape) for s, shape in zip(self.slices, self.shapes, strict=True)]
        return [
            part.astype(dtype, copy=False) for part, dtype in zip(parts, self.dtypes, strict=True)
        ]

    def join(self, arrays: Sequence[Any]) -> NDArray[Any]:
        """Return the variables' values as one new flat vector."""
        if any(np.ma.is_masked(array) for array in arrays):
            raise InvalidValueError("An array has masked elements, expected only numbers.")
        flat = [np.ravel(np.asarray(array, dtype=self.dtype)) for array in arrays]
        sizes = [part.size for part in flat]
        expected = [s.stop - s.start for s in self.slices]
        if sizes != expected:
            raise InvalidValueError(
                f"Arrays of {sizes} elements were given for variables of {expected}, expected one "
                "array for each variable, of its shape."
            )
        return np.concatenate(flat) if flat else np.empty(0, self.dtype)


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
    """Return the error for bounds that do not name their variables."""
    return InvalidInputError(
        f"The bounds are {bounds!r:.200}, expected a dict of variable (or variable.ref()) to "
        "(low, high), or a list of (variable, (low, high)) pairs."
    )


def pack_bounds(packing: Packing, matched: Matched) -> tuple[Array, Array]:
    """Return all bounds as two flat float64 vectors, infinite where there is none.

    They are rounded inward to the variables' types, so that no variable ends outside its bounds.
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
                f"{upper[part][k]}): the lower bound is above the upper one or no number is "
                "between them."
            )
        held = packing.rounded[i]
        low, high = held(lower[part], np.inf), held(upper[part], -np.inf)
        # Bounds without such a number between them fix the variable at the nearest one.
        with np.errstate(invalid="ignore"):
            nearer = np.where(lower[part] - high <= low - lower[part], high, low)
        is_fixed = low > high
        lower[part], upper[part] = (np.where(is_fixed, nearer, side) for side in (low, high))
    return lower, upper


def _side(given: Any, shape: tuple[int, ...], i: int, absent: float) -> Array:
    """Return one side of a variable's bounds, flat."""
    if given is None:
        return np.full(int(np.prod(shape, dtype=np.int64)), absent)
    if np.ma.is_masked(given):
        raise InvalidInputError(
            f"A bound of variable {i} has masked elements: use None or an infinity for no bound."
        )
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
                f"A bound of variable {i} is NaN: use None or an infinity for no bound."
            )
        values = np.where(missing, absent, values)
    try:
        return np.broadcast_to(values, shape).ravel()
    except ValueError:
        raise InvalidInputError(
            f"A bound of variable {i} has shape {values.shape}, expected one that broadcasts to "
            f"the variable's shape {shape}."
        ) from None
