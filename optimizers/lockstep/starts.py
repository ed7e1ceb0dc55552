"""Where many runs start, and with which seeds."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from optimizers._types import Array, ArrayLike
from optimizers.errors import InvalidInputError, OptionError, warn_user
from optimizers.problem.problem import Problem


def as_starts(given: ArrayLike) -> Array:
    """Return the starts of many runs as a float64 array of its own, shape (B, n)."""
    try:
        raw = np.asarray(given)
        if raw.dtype.kind not in "biuf":
            raise ValueError(f"it has dtype {raw.dtype}")
    except ValueError as error:
        raise InvalidInputError(
            f"X0 is {given!r:.200} ({error}), expected an array of real numbers of shape (B, n)."
        ) from None
    if raw.ndim != 2 or len(raw) == 0:
        raise InvalidInputError(
            f"X0 has shape {raw.shape}, expected (B, n): a row for each of B >= 1 starts. A single "
            "start is [x0]."
        )
    starts = np.array(raw, dtype=np.float64, order="C")
    bad = np.argwhere(~np.isfinite(starts))
    if len(bad):
        i, j = bad[0]
        raise InvalidInputError(f"X0[{i}, {j}] is {starts[i, j]}, expected finite numbers.")
    return starts


def inside_all(starts: Array, problem: Problem) -> list[Array]:
    """Return the starts inside the bounds; one warning says if others than the first were outside.

    The first is the problem's own, and was looked at with it.
    """
    if problem.lower is None or problem.upper is None:
        return [start.copy() for start in starts]
    clipped = np.clip(starts, problem.lower, problem.upper)
    moved = np.argwhere(clipped != starts)
    moved = moved[moved[:, 0] > 0]
    if len(moved):
        i, j = moved[0]
        warn_user(
            f"Outside the bounds, besides X0[0] if that was: {len(np.unique(moved[:, 0]))} of the "
            f"other starts, first X0[{i}, {j}] = {starts[i, j]}; they were clipped to them, "
            f"X0[{i}, {j}] = {clipped[i, j]}."
        )
    return list(clipped)


def seeds_from(seed: Any) -> Iterator[Any]:
    """Yield a seed for each run: the given one for the first, then children spawned from it."""
    yield seed
    while seed is None:
        yield None
    try:
        generator = np.random.default_rng(seed)
        while True:
            yield from generator.spawn(1)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"seed is {seed!r}, from which no others can be spawned ({error}): pass a whole "
            "number, a SeedSequence or a Generator made by numpy.random.default_rng."
        ) from None
