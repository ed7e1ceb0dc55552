"""Difference schemes: a gradient becomes points, and their values become the gradient.

Pure functions of arrays: nothing here calls the objective. The probes lie inside the bounds:
a step that would leave them changes its side, or shrinks when neither side has room.

References
----------
.. [1] W. H. Press et al., "Numerical Recipes", section 5.7: step sizes of the order of the
   square root (one-sided) or cube root (central) of the precision.
.. [2] W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real
   functions", SIAM Review 40 (1998) 110-112.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimizers._types import Array
from optimizers.errors import InvalidInputError

Scheme = Literal["2-point", "3-point", "cs"]
SCHEMES: tuple[Scheme, ...] = ("2-point", "3-point", "cs")

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
#: The default relative step is the precision to this power: where truncation meets rounding.
_POWER = {"2-point": 1 / 2, "3-point": 1 / 3, "cs": 1 / 2}


@dataclass(frozen=True)
class Plan:
    """The probes of one gradient, and how their values become it.

    Parameters
    ----------
    points : ndarray of float64, or complex128 for the complex step, shape (k, n)
        Where the objective is wanted besides the point itself.
    fold : callable
        ``fold(f0, values) -> gradient``: takes the value at the point itself and the values at
        ``points``, shape (k,), and returns the gradient, shape (n,).
    """

    points: NDArray[Any]
    fold: Callable[[float, NDArray[Any]], Array]


@dataclass(frozen=True)
class Differences:
    """A difference scheme with its steps.

    Parameters
    ----------
    scheme : {"2-point", "3-point", "cs"}, default "2-point"
        One-sided, central, or complex-step differences. The complex step needs an objective
        that takes and returns complex numbers.
    step : float or array_like of shape (n,), optional
        Absolute steps, one for all variables or one for each.
    relative_step : float or array_like of shape (n,), optional
        Steps relative to ``abs(x)``; where ``x`` is zero the default step is taken. Without
        either, the step is the square root (cube root for ``"3-point"``) of the machine
        precision times ``max(1, abs(x))``, as in SciPy.

    Raises
    ------
    InvalidInputError
        If the scheme is unknown, or a step is not a finite number other than zero.

    Examples
    --------
    >>> plan = Differences("3-point").plan(np.array([1.0]))
    >>> plan.points.shape
    (2, 1)
    >>> plan.fold(1.0, (plan.points**2).ravel()).round(9)
    array([2.])
    """

    scheme: Scheme = "2-point"
    step: ArrayLike | None = None
    relative_step: ArrayLike | None = None

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InvalidInputError(
                f"jac is {self.scheme!r}, expected a callable, True or one of {SCHEMES}."
            )
        for name in ("step", "relative_step"):
            given = getattr(self, name)
            if given is None:
                continue
            try:
                steps = np.asarray(given, dtype=np.float64)
            except (TypeError, ValueError):  # no numbers
                steps = np.array(np.nan)
            if not np.isfinite(steps).all() or (steps == 0).any():
                raise InvalidInputError(
                    f"The difference {name.replace('_', ' ')} is {given!r}, expected finite "
                    "numbers other than zero."
                )

    def plan(
        self,
        x: Array,
        lower: Array | None = None,
        upper: Array | None = None,
        precision: float = _EPS,
    ) -> Plan:
        """Return the probes for the gradient at ``x`` and the way to fold their values.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            The point, inside the bounds.
        lower, upper : ndarray of float64, shape (n,), optional
            The bounds; infinite where there is none.
        precision : float, optional
            The relative precision of the objective's values. When they are coarser than double
            precision, one-sided differences become central and no step is shorter than the
            default for that precision.

        Returns
        -------
        Plan
            At most n probes ("3-point": 2 n). A variable whose bounds are equal gets no probe
            and a zero in the gradient.

        Raises
        ------
        InvalidInputError
            If the steps do not fit the number of variables.
        """
        scheme = self.scheme
        if precision > _EPS and scheme == "2-point":
            scheme = "3-point"
        h = self._steps(x, scheme, precision)
        if scheme == "cs":
            if lower is not None and upper is not None:
                h = np.where(lower == upper, 0.0, h)
            return self._complex(x, np.abs(h))
        if scheme == "3-point":
            return self._central(x, np.abs(h), lower, upper)
        if lower is not None or upper is not None:
            h = _inside(h, *_room(x, lower, upper), 1)
        return self._one_sided(x, h, lower, upper)

    def _steps(self, x: Array, scheme: Scheme, precision: float) -> Array:
        default: Array = np.copysign(precision ** _POWER[scheme] * np.maximum(1.0, np.abs(x)), x)
        if self.step is not None:
            h = self._per_variable(self.step, x)
        elif self.relative_step is not None:
            h = self._per_variable(self.relative_step, x) * x
        else:
            h = default
        # A step that is lost in the rounding of x would divide by zero, and one without a full
        # mantissa by too little.
        lost = np.abs(h) < _TINY
        if scheme != "cs":
            lost |= ((x + h) - x == 0) | ((x - h) - x == 0)
            if precision > _EPS:
                lost |= np.abs(h) < np.abs(default)
        steps: Array = np.where(lost, default, h)
        return steps

    def _per_variable(self, given: ArrayLike, x: Array) -> Array:
        steps = np.asarray(given, dtype=np.float64)
        if steps.shape not in ((), (1,), x.shape):
            raise InvalidInputError(
                f"Difference steps have shape {steps.shape}, expected one number or {x.shape}."
            )
        return np.broadcast_to(steps, x.shape)

    @staticmethod
    def _complex(x: Array, h: Array) -> Plan:
        moved = np.flatnonzero(h)
        points = x + 1j * np.diag(h)[moved]

        def fold(f0: float, values: NDArray[Any]) -> Array:
            gradient = np.zeros_like(x)
            gradient[moved] = values.imag / h[moved]
            return gradient

        return Plan(points, fold)

    @staticmethod
    def _one_sided(x: Array, h: Array, lower: Array | None, upper: Array | None) -> Plan:
        moved = np.flatnonzero(h)
        points, taken = _offset(x, moved, h[moved], lower, upper)

        def fold(f0: float, values: Array) -> Array:
            gradient = np.zeros_like(x)
            gradient[moved] = (values - f0) / taken
            return gradient

        return Plan(points, fold)

    @staticmethod
    def _central(x: Array, h: Array, lower: Array | None, upper: Array | None) -> Plan:
        # Central where both sides have room; else three points on the roomier side.
        below, above = _room(x, lower, upper)
        central = (h <= below) & (h <= above)
        far = np.where(central, h, _inside(2 * h, below, above, 1))
        moved = np.flatnonzero(far)
        far, central = far[moved], central[moved]
        first, d1 = _offset(x, moved, np.where(central, -far, far / 2), lower, upper)
        second, d2 = _offset(x, moved, far, lower, upper)
        # Between bounds one rounding apart there is room for one probe only.
        two = (d1 != 0) & (d1 != d2)
        first, d1, central = first[two], d1[two], central[two]

        def fold(f0: float, values: Array) -> Array:
            f1, f2 = values[: len(d1)], values[len(d1) :]
            slope = (f2 - f0) / d2
            near, span = (f1 - f0) / d1, d2[two] - d1
            one_sided = near + (near - slope[two]) * (d1 / span)
            slope[two] = np.where(central, (f2[two] - f1) / span, one_sided)
            gradient = np.zeros_like(x)
            gradient[moved] = slope
            return gradient

        return Plan(np.concatenate([first, second]), fold)


def _room(x: Array, lower: Array | None, upper: Array | None) -> tuple[Array, Array]:
    below = np.full_like(x, np.inf) if lower is None else x - lower
    above = np.full_like(x, np.inf) if upper is None else upper - x
    return below, above


def _inside(h: Array, below: Array, above: Array, count: int) -> Array:
    """Return steps of which ``count`` fit between the bounds.

    On the side of ``h`` if that has room, else on the side that has more of it, shortened if
    need be; zero where the bounds leave none.
    """
    forward = h > 0
    room, other = np.where(forward, (above, below), (below, above))
    keep = (room >= count * np.abs(h)) | (room >= other)
    size = np.minimum(np.abs(h), np.where(keep, room, other) / count)
    steps: Array = np.where(forward == keep, size, -size)
    return steps


def _offset(
    x: Array, columns: NDArray[np.intp], steps: Array, lower: Array | None, upper: Array | None
) -> tuple[Array, Array]:
    """Return one point for each step, and the steps as they are after rounding."""
    moved = x[columns] + steps
    if lower is not None and upper is not None:
        # x + (upper - x) may round to beyond the bound.
        moved = np.clip(moved, lower[columns], upper[columns])
    points = np.repeat(x[np.newaxis], len(columns), axis=0)
    points[np.arange(len(columns)), columns] = moved
    return points, moved - x[columns]
