"""By shots: how their number reaches an objective that takes it, in a last column of the points."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidValueError
from optimizers.evaluation.marks import marked_like, takes_shots


class ByShots:
    """An objective that takes shots, called with rows of a point and its shots.

    So all evaluators pass them on without knowing. An object, so that it pickles.
    """

    def __init__(self, fun: Callable[..., Any]) -> None:
        self._fun = fun
        self.__wrapped__ = fun
        marked_like(self, fun)

    def __call__(self, rows: Array) -> Any:
        """Return values and standard errors at one row, or at each of a stack."""
        shots = rows[..., -1].astype(np.int64)
        raw = self._fun(rows[..., :-1].copy(), int(shots) if rows.ndim == 1 else shots)
        count = 1 if rows.ndim == 1 else len(rows)
        return self._later(raw, count) if hasattr(raw, "__await__") else checked(raw, count)

    async def _later(self, raw: Any, count: int) -> Any:
        return checked(await raw, count)


def checked(raw: Any, count: int) -> Any:
    """Return what an objective that takes shots returned, if it is values and their errors."""
    if isinstance(raw, tuple) and len(raw) == 2 and np.size(raw[0]) == np.size(raw[1]) == count:
        return raw
    expected = "(value, standard error)"
    if count > 1:
        expected = f"a tuple of {count} values and their {count} standard errors"
    raise InvalidValueError(
        f"fun is marked by shots and returned {raw!r:.200}, expected {expected}, with NaN for an "
        "error that is not known."
    )


def by_shots(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Return what evaluators call in the place of an objective."""
    return ByShots(fun) if takes_shots(fun) else fun


def with_shots(points: NDArray[Any], shots: NDArray[np.int64] | None) -> NDArray[Any]:
    """Return points as they are sent: with their shots, if there are any."""
    return points if shots is None else np.column_stack([points, shots])
