"""The box: a start and bounds as users write them, as vectors of float64."""

from operator import countOf, itemgetter
from typing import Any

import numpy as np
from scipy.optimize import Bounds

from optimizers._arrays import as_real, is_masked
from optimizers._types import Array, ArrayLike, BoundsLike
from optimizers.errors import (
    AmbiguousBoundsWarning,
    CrossedBoundsError,
    InvalidInputError,
    warn_user,
)

#: SciPy's message, which programs look for.
_COUNT = "The number of bounds is not compatible with the length of `x0`."


def as_start(x0: ArrayLike | None) -> Array:
    """Return a copy of a start as a float64 vector; a number means one variable."""
    raw = as_real("x0", x0, "a number or a vector of real numbers")
    if raw.ndim > 1:
        raise InvalidInputError(
            f"'x0' must only have one dimension, but has shape {raw.shape}: pass x0.ravel()."
        )
    start = np.array(raw, dtype=np.float64, ndmin=1)
    if not np.isfinite(start).all():
        index = int(np.flatnonzero(~np.isfinite(start))[0])
        raise InvalidInputError(f"x0[{index}] is {start[index]}, expected finite numbers.")
    return start


def as_bounds(bounds: BoundsLike, n: int) -> tuple[Array | None, Array | None]:
    """Return bounds as two vectors, or two Nones when no variable has any.

    None or an infinity in a pair means no bound on that side; the vectors have infinities there.
    """
    if bounds is None:
        return None, None
    if is_masked((bounds.lb, bounds.ub) if isinstance(bounds, Bounds) else bounds):
        raise InvalidInputError(
            f"bounds is {bounds!r:.200}, which has masked entries: use None or an infinity for no "
            "bound."
        )
    if isinstance(bounds, Bounds):
        try:
            lower = np.array(np.broadcast_to(bounds.lb, n), dtype=np.float64)
            upper = np.array(np.broadcast_to(bounds.ub, n), dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise InvalidInputError(
                f"{_COUNT} They have shapes {np.shape(bounds.lb)} and {np.shape(bounds.ub)}, "
                f"expected one number or {n} each."
            ) from None
    elif (sides := sides_of(bounds)) is not None:
        lows, highs = sides
        lows, highs = -np.inf if lows is None else lows, np.inf if highs is None else highs
        return as_bounds(Bounds(lows, highs), n)
    else:
        lower, upper = _columns(bounds, n) or _pairs(bounds, n)
    # Few passes: there may be 10^6 variables. NaN fails the comparison too.
    highest, lowest = lower.max(initial=-np.inf), upper.min(initial=np.inf)
    if highest == np.inf or lowest == -np.inf or not (lower <= upper).all():
        raise _named_error(lower, upper)
    if n == 2 and not isinstance(bounds, Bounds):
        check_reading(bounds, lower, upper)
    if highest == -np.inf and lowest == np.inf:
        return None, None
    return lower, upper


def middle(bounds: BoundsLike) -> Array:
    """Return the middle of finite bounds, where a start is not needed and was not given."""
    sides: Any = (bounds.lb, bounds.ub) if isinstance(bounds, Bounds) else sides_of(bounds)
    n = len(bounds) if sides is None else max(map(np.size, sides))
    lower, upper = as_bounds(bounds, n)
    if lower is None or upper is None or not np.isfinite([lower, upper]).all():
        raise InvalidInputError(
            f"x0 is None and bounds is {bounds!r:.200}: pass finite bounds for each variable, or a "
            "start."
        )
    return 0.5 * lower + 0.5 * upper


def sides_of(bounds: Any) -> tuple[Any, Any] | None:
    """Return the lower and the upper bounds of an object that has both, such as optimagic's."""
    if not (hasattr(bounds, "lower") and hasattr(bounds, "upper")) or callable(bounds.lower):
        return None  # as a string's are
    return bounds.lower, bounds.upper


def check_reading(bounds: Any, lower: Array, upper: Array) -> None:
    """Warn if two pairs are likely to be meant as lows and highs, as ``least_squares`` takes them.

    So they are written as a tuple of two lists or arrays; or as pairs they leave nothing free.
    """
    if not isinstance(bounds, list | tuple | np.ndarray):
        return
    if any(row is None or isinstance(row, tuple) for row in bounds):
        return  # tuples are pairs
    if (type(bounds) is tuple or (lower == upper).all()) and _are_sides(lower, upper):
        pairs = [(lower[i].item(), upper[i].item()) for i in range(2)]
        warn_user(
            f"bounds is {bounds!r:.200}, which is taken for a (low, high) pair of each variable: "
            f"x[0] within {pairs[0]}, x[1] within {pairs[1]}. If it is all lows and all highs, as "
            "in scipy.optimize.least_squares, write Bounds(lows, highs); if not, write the pairs "
            "as tuples.",
            AmbiguousBoundsWarning,
        )


def _are_sides(lower: Array, upper: Array) -> bool:
    """Return whether two pairs are other bounds, and not fixed ones, if read as lows and highs."""
    # None is minus infinity among lows, and infinity among highs.
    low = -np.inf if upper[0] == np.inf else upper[0]
    high = np.inf if lower[1] == -np.inf else lower[1]
    is_same = upper[0] == lower[1] or (low, high) == (-np.inf, np.inf)
    is_box = lower[0] <= high and low <= upper[1]
    is_free = lower[0] < high or low < upper[1]
    return bool(is_box and is_free and not is_same)


def _named_error(lower: Array, upper: Array) -> InvalidInputError:
    """Return the error for bounds that cannot be used."""
    for side, values in (("lower", lower), ("upper", upper)):
        if np.isnan(values).any():
            return InvalidInputError(
                f"The {side} bound of variable {int(np.flatnonzero(np.isnan(values))[0])} is NaN: "
                "use None or an infinity for no bound."
            )
    i = int(np.flatnonzero((lower > upper) | (lower == np.inf) | (upper == -np.inf))[0])
    hint = ""
    if lower.size == 2 and _are_sides(lower, upper):
        hint = " All lows and all highs are Bounds(lows, highs)."
    return CrossedBoundsError(
        "An upper bound is less than the corresponding lower bound, or no number lies between "
        f"them: bounds[{i}] is ({lower[i]}, {upper[i]}).{hint}"
    )


def inside(x0: Array, lower: Array | None, upper: Array | None) -> Array:
    """Return the start inside the bounds; a start outside is clipped, and a warning says so."""
    if lower is None or upper is None:
        return x0
    clipped: Array = np.maximum(x0, lower)
    np.minimum(clipped, upper, out=clipped)
    differs = clipped != x0
    if differs.any():
        moved = np.flatnonzero(differs)
        i = int(moved[0])
        warn_user(
            f"x0 is outside the bounds in {moved.size} variable(s), first x0[{i}] = {x0[i]}; "
            f"it was clipped to x0[{i}] = {clipped[i]}."
        )
    return clipped


def _columns(bounds: Any, n: int) -> tuple[Array, Array] | None:
    """Return the bounds in a list of pairs; None if they have any other form.

    It takes a third of the time of :func:`_pairs`: there may be 10^6 pairs.
    """
    if type(bounds) not in (list, tuple) or len(bounds) != n or n == 0:
        return None
    kind = type(bounds[0])
    if kind not in (list, tuple) or countOf(map(type, bounds), kind) != n:
        return None
    if countOf(map(len, bounds), 2) != n:
        return None
    columns = []
    try:
        for side, infinity in ((0, -np.inf), (1, np.inf)):
            column = np.fromiter(map(itemgetter(side), bounds), np.float64, count=n)
            # Reads None as NaN; if all NaN are None, no closer look is needed.
            missing = np.isnan(column)
            if missing.any():
                if countOf(map(itemgetter(side), bounds), None) != np.count_nonzero(missing):
                    return None
                column[missing] = infinity
            columns.append(column)
    except (TypeError, ValueError, OverflowError):  # not numbers
        return None
    return columns[0], columns[1]


def _pairs(bounds: Any, n: int) -> tuple[Array, Array]:
    try:
        # float conversion reads None as NaN, in compiled code.
        bounds = bounds if hasattr(bounds, "__len__") else list(bounds)
        if isinstance(bounds, list | tuple) and len(bounds) == n:  # None for a pair: none for it
            bounds = [(None, None) if pair is None else pair for pair in bounds]
        if getattr(bounds, "dtype", np.dtype(float)).kind == "c":
            raise ValueError("complex")
        pairs = np.asarray(bounds, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInputError(
            f"bounds is {bounds!r:.200}, expected a list of (low, high) pairs, an (n, 2) array "
            "or scipy.optimize.Bounds."
        ) from None
    is_one = n == 1 and pairs.shape == (2,)  # the pair of the only variable
    if pairs.shape != (n, 2) and not is_one and not (n == 0 and pairs.size == 0):
        raise InvalidInputError(
            f"{_COUNT} They have shape {pairs.shape}, expected ({n}, 2): one (low, high) pair for "
            "each variable. Pass two vectors as Bounds(lows, highs)."
        )
    lower, upper = pairs.reshape(n, 2).T.copy()
    if np.isnan(pairs).any():
        # None and NaN became the same, but only None means no bound.
        entries = np.array(bounds, dtype=object).reshape(n, 2)
        absent = np.equal(entries, np.array(None, dtype=object)).astype(bool)
        lower[absent[:, 0]], upper[absent[:, 1]] = -np.inf, np.inf
    return lower, upper
