"""Stretch: the free variables, transformed and scaled one by one."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidInputError, nearest_names

#: From a value to the searched one, and back.
Pair: TypeAlias = tuple[Callable[[float], float], Callable[[float], float]]
#: The step of differences, and how often at most a bound is moved by one unit in the last place.
_H, _NUDGES = 1e-3, 100
#: The relative and the absolute tolerance of a value that is transformed and back.
_BACK, _TINY = 1e-6, 1e-300


@dataclass(frozen=True)
class Transform:
    """A change of variables: the function ``to``, its inverse ``back``, and its slope."""

    name: str
    to: Callable[[Array], Array]
    back: Callable[[Array], Array]
    slope: Callable[[Array], Array]


# Functions with names, which pickle.


def _expit(z: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-z)))


def _expit_slope(z: Array) -> Array:
    return _expit(z) * _expit(-z)


def _logit(x: Array) -> Array:
    return np.asarray(np.log(x) - np.log1p(-x))


def _softplus(z: Array) -> Array:
    return np.asarray(np.logaddexp(0.0, z))


def _softplus_inverse(x: Array) -> Array:
    return np.asarray(x + np.log(-np.expm1(-x)))


TRANSFORMS = {
    "log": Transform("log", np.log, np.exp, np.exp),
    "logit": Transform("logit", _logit, _expit, _expit_slope),
    "softplus": Transform("softplus", _softplus_inverse, _softplus, _expit),
}


class Each:
    """A function of numbers, applied to each entry of an array; it pickles if the function does."""

    def __init__(self, function: Callable[[float], float]) -> None:
        self._function = function

    def __call__(self, x: Array) -> Array:
        """Return the function of each entry; NaN where it has no value."""
        return np.array([self._one(one) for one in x.ravel().tolist()]).reshape(x.shape)

    def _one(self, x: float) -> float:
        try:
            return float(self._function(x))
        except (ValueError, ArithmeticError):  # as math.log(0.0)
            return math.nan


class Slope:
    """The derivative of a function by fourth-order differences."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function

    def __call__(self, z: Array) -> Array:
        """Return the derivative at each entry."""
        h, f = _H * np.maximum(1.0, np.abs(z)), self._function
        return np.asarray((8 * (f(z + h) - f(z - h)) - (f(z + 2 * h) - f(z - 2 * h))) / (12 * h))


def as_transform(given: Any) -> Transform | None:
    """Return the change of variables that a user specified, or raise an InvalidInputError."""
    if given is None:
        return None
    if isinstance(given, str) and given in TRANSFORMS:
        return TRANSFORMS[given]
    if isinstance(given, tuple) and len(given) == 2 and all(map(callable, given)):
        to, back = given
        name = getattr(to, "__name__", "transform")
        return Transform(name, Each(to), Each(back), Slope(Each(back)))
    raise InvalidInputError(
        f"transform is {given!r:.200}, expected one of {tuple(TRANSFORMS)}, or a tuple (forward, "
        f"inverse) of two functions of a number. {nearest_names(str(given), TRANSFORMS)}"
    )


@dataclass
class Stretch:
    """The map from free variables ``x`` to searched ones, ``z``, and back, entry by entry."""

    #: The factor of each variable, after the transforms.
    scale: Array
    #: Which variables have which transform, with the offset and the width of a logit's range.
    transforms: list[tuple[NDArray[np.intp], Transform, Array, Array]] = field(default_factory=list)

    def add(self, at: NDArray[np.intp], transform: Transform, lower: Array, upper: Array) -> None:
        """Add a transform of some variables, with their bounds."""
        offset, width = np.zeros(at.size), np.ones(at.size)
        if transform.name == "logit":
            offset = np.where(np.isfinite(lower), lower, 0.0)
            width = np.where(np.isfinite(upper), upper, 1.0) - offset
        self.transforms.append((at, transform, offset, width))

    def takes(self, x: Array) -> NDArray[np.bool_]:
        """Return which variables their transforms can represent."""
        z = self.to(x)
        with np.errstate(all="ignore"):
            differs = np.abs(self.back(z) - x) > _BACK * np.maximum(np.abs(x), _TINY)
        return np.isfinite(z) & ~differs

    def names(self, names: list[str]) -> list[str]:
        """Return the names of the searched variables."""
        names = names.copy()
        for at, transform, _, _ in self.transforms:
            for i in at:
                names[i] = f"{transform.name}({names[i]})"
        pairs = zip(names, self.scale.tolist(), strict=True)
        return [name if scale == 1.0 else f"{name} / {scale:.6g}" for name, scale in pairs]

    def to(self, x: Array) -> Array:
        """Return the searched variables; infinite or NaN where a transform has no value."""
        z = x.copy()
        with np.errstate(all="ignore"):
            for at, transform, offset, width in self.transforms:
                z[..., at] = transform.to((z[..., at] - offset) / width)
        return z / self.scale

    def back(self, z: NDArray[Any]) -> NDArray[Any]:
        """Return the free variables; complex steps, which are tiny, follow the slope."""
        x = z * self.scale
        for at, transform, offset, width in self.transforms:
            part = x[..., at]
            with np.errstate(over="ignore"):
                real = transform.back(part.real.copy())
            if x.dtype.kind == "c":
                real = real + 1j * part.imag * transform.slope(part.real.copy())
            x[..., at] = offset + width * real
        return x

    def slope(self, z: NDArray[Any]) -> Array:
        """Return the derivatives of the free variables with respect to the searched ones."""
        if not self.transforms:
            return self.scale
        slope = np.array(np.broadcast_to(self.scale, z.shape))
        for at, transform, _, width in self.transforms:
            part = transform.slope((z.real * self.scale)[..., at])
            slope[..., at] *= width * part
        return slope

    def limits(self, x0: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Return bounds on the searched variables that keep the free ones inside theirs."""
        falls = self.slope(self.to(x0)) < 0
        first, second = np.where(falls, upper, lower), np.where(falls, lower, upper)
        low, high = (
            np.where(np.isfinite(side), self.to(np.where(np.isfinite(side), side, x0)), infinity)
            for side, infinity in ((first, -np.inf), (second, np.inf))
        )
        # Where a transform has no value, there is no bound.
        low[np.isnan(low)], high[np.isnan(high)] = -np.inf, np.inf
        for z, inward in ((low, np.inf), (high, -np.inf)):
            for _ in range(_NUDGES):  # only by rounding
                x = self.back(np.where(np.isfinite(z), z, 0.0))
                out = np.isfinite(z) & ((x < lower) | (x > upper))
                if not out.any():
                    break
                z[out] = np.nextafter(z[out], inward)
        return low, high
