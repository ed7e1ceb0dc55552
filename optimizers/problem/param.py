"""Param: a variable, or an array of variables, with all of its properties in one place."""

import math
from dataclasses import dataclass
from typing import Any

from optimizers._types import ArrayLike
from optimizers.errors import InvalidInputError
from optimizers.problem.stretch import Pair, as_transform


@dataclass(frozen=True, eq=False)
class Param:
    """A variable, or an array of variables, as a leaf of ``x0``; the objective gets its value.

    Parameters
    ----------
    value : float or array_like
        The start.
    lower, upper : float or array_like, optional
        Its bounds; None or an infinity for no bound on that side.
    fixed : bool or array_like of bool, default False
        Whether it keeps its value.
    scale : float or array_like, optional
        The size of a typical change: the algorithm searches the value, transformed if there is a
        ``transform``, divided by ``scale``.
    transform : {"log", "logit", "softplus"} or (forward, inverse), optional
        What the algorithm searches in its place: its logarithm; the logit of its position between
        its bounds, 0 and 1 by default; the inverse of ``log(1 + exp(z))``; or ``forward(value)``,
        with monotonic functions of a number.
    tie : str, optional
        The name of another parameter, such as ``"a.b[2]"``, that always has the same value.

    Raises
    ------
    InvalidInputError
        If ``transform`` is none of these, or ``tie`` is not a name.

    Examples
    --------
    >>> from optimizers import LBFGSB, Param
    >>> def misfit(p):
    ...     return (p["rate"] * p["time"] - 6.0) ** 2 + (p["rate"] - 3.0) ** 2
    >>> start = {"rate": Param(1.0, lower=0.0, transform="log"), "time": Param(2.0, fixed=True)}
    >>> result = LBFGSB().minimize(misfit, start)
    >>> {name: round(value, 3) for name, value in result.x.items()}
    {'rate': 3.0, 'time': 2.0}
    """

    value: ArrayLike
    lower: ArrayLike | None = None
    upper: ArrayLike | None = None
    fixed: Any = False
    scale: ArrayLike | None = None
    transform: str | Pair | None = None
    tie: str | None = None

    def __post_init__(self) -> None:
        as_transform(self.transform)
        if not isinstance(self.tie, str | None):
            raise InvalidInputError(
                f"tie is {self.tie!r}, expected the name of another parameter, such as 'a.b[2]'."
            )

    @property
    def numbers(self) -> Any:
        """The value; NaN if it is tied to another."""
        return math.nan if self.value is None and self.tie is not None else self.value


def is_table(x: Any) -> bool:
    """Return whether something is a pandas DataFrame, without importing pandas."""
    is_pandas = type(x).__module__.partition(".")[0] == "pandas"
    if not (is_pandas and hasattr(x, "columns")):
        return False
    if "value" not in x.columns:
        raise InvalidInputError(
            f"x0 is a table with the columns {list(x.columns)}, expected value, and optionally "
            "lower and upper."
        )
    return True


def is_pandas(x: Any) -> bool:
    """Return whether something is a pandas DataFrame or Series, without importing pandas."""
    is_known = type(x).__module__.partition(".")[0] == "pandas"
    return is_table(x) or (is_known and hasattr(x, "index"))
