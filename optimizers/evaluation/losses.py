"""Losses: how a vector of residuals becomes the value that is minimized, as in SciPy.

References
----------
.. [1] B. Triggs et al., "Bundle adjustment: a modern synthesis", Vision Algorithms (1999).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._arrays import as_real
from optimizers._types import Array
from optimizers.errors import InvalidInputError, InvalidValueError, nearest_names
from optimizers.evaluation.answers import as_numeric

_EPS = float(np.finfo(np.float64).eps)


def _huber(z: Array) -> tuple[Array, Array, Array]:
    far, root = z > 1, np.sqrt(np.maximum(z, 1.0))
    return np.where(far, 2 * root - 1, z), 1 / root, np.where(far, -0.5 / root**3, 0.0)


#: From the squares of the scaled residuals to rho, its first derivative and its second.
_RHO: dict[str, Callable[[Array], Any]] = {
    "linear": lambda z: (z, np.ones_like(z), np.zeros_like(z)),
    "soft_l1": lambda z: (2 * (np.sqrt(1 + z) - 1), (1 + z) ** -0.5, -0.5 * (1 + z) ** -1.5),
    "huber": _huber,
    "cauchy": lambda z: (np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2),
    "arctan": lambda z: (np.arctan(z), 1 / (1 + z**2), -2 * z / (1 + z**2) ** 2),
}


@dataclass(frozen=True)
class Loss:
    """The loss of residuals, half the sum of ``f_scale**2 * rho((r / f_scale)**2)``."""

    rho: str | Callable[..., Any] = "linear"
    f_scale: float = 1.0

    def __post_init__(self) -> None:
        if not (callable(self.rho) or (isinstance(self.rho, str) and self.rho in _RHO)):
            raise InvalidInputError(
                f"loss is {self.rho!r}, expected one of {tuple(_RHO)}, or a callable "
                f"rho(z) -> (3, m). {nearest_names(str(self.rho), _RHO)}"
            )
        scale = as_real("f_scale", self.f_scale, "a number > 0")
        if scale.ndim or not 0 < scale < math.inf:
            raise InvalidInputError(f"f_scale is {self.f_scale!r}, expected a number > 0.")
        object.__setattr__(self, "f_scale", float(scale))

    @property
    def is_linear(self) -> bool:
        """Whether it is half the sum of squares."""
        return isinstance(self.rho, str) and self.rho == "linear"

    def value(self, residuals: NDArray[Any]) -> Any:
        """Return the value; +inf if a residual is infinite or huge, whatever the others are."""
        with np.errstate(over="ignore"):
            value = 0.5 * residuals.dot(residuals).item()
        if value - value != 0.0:
            is_huge = np.isinf(residuals).any() or not np.isnan(residuals).any()
            return math.inf if is_huge else math.nan
        if self.is_linear or isinstance(value, complex):
            return value
        return 0.5 * self.f_scale**2 * float(np.sum(self._rho_of(residuals)[0]))

    def weighted(self, residuals: Array) -> Array:
        """Return the vector that the transposed Jacobian maps to the gradient, shape (m,)."""
        return residuals if self.is_linear else self._rho_of(residuals)[1] * residuals

    def curvature(self, residuals: Array, least: float = 0.0) -> Array:
        """Return the weights of the residuals in the Gauss-Newton Hessian [1]_, shape (m,).

        Each is at least the fraction ``least`` of the slope.
        """
        _, slope, bend = self._rho_of(residuals)
        with np.errstate(over="ignore", invalid="ignore"):
            weights = slope + 2 * bend * (residuals / self.f_scale) ** 2
        floored: Array = np.fmax(weights, np.fmax(least * slope, _EPS))
        return floored

    def roots(self, residuals: Array) -> tuple[Array, Array]:
        """Return residuals whose half sum of squares is the value, and their slopes."""
        rho, slope, _ = self._rho_of(residuals)
        with np.errstate(invalid="ignore"):
            roots = np.copysign(self.f_scale * np.sqrt(rho), residuals)
        far = roots != 0
        slopes = np.where(far, slope * residuals / np.where(far, roots, 1.0), np.sqrt(slope))
        return roots, slopes

    def _rho_of(self, residuals: Array) -> Array:
        z = (residuals / self.f_scale) ** 2
        if isinstance(self.rho, str):
            with np.errstate(over="ignore", invalid="ignore"):
                return np.array(_RHO[self.rho](z))
        found = as_numeric(self.rho(z), "loss", np.float64)
        if found.shape != (3, z.size):
            raise InvalidValueError(
                f"loss returned shape {found.shape}, expected {(3, z.size)}: rho, its first and "
                "its second derivative, at each of the squares."
            )
        return found

    def answer(
        self, raw: Any, count: int, dtype: type[np.generic], *, is_stack: bool = False
    ) -> NDArray[Any]:
        """Return what an objective returned for ``count`` points as an answer."""
        if isinstance(raw, np.ndarray) and raw.dtype.kind == "c" and dtype is np.float64:
            raise InvalidValueError(
                "fun returned complex residuals, expected real ones: return real and imaginary "
                "parts one after the other, as np.concatenate([r.real, r.imag])."
            )
        rows = as_numeric(raw, "fun", dtype)
        if rows.ndim == 1 and count == 1 and not is_stack:
            rows = rows[np.newaxis]
        if rows.ndim != 2 or len(rows) != count or not rows.size:
            is_single = count == 1 and not is_stack
            shape = "(m,)" if is_single else f"({count}, m), a row for each point"
            hint = (
                " If it returns a value, remove the mark residuals, and use an optimizer that "
                "does not require residuals."
            )
            hint = hint if rows.size <= count else ""
            raise InvalidValueError(
                f"fun returned shape {np.shape(raw)}, expected residuals of shape {shape}.{hint}"
            )
        answer = np.empty((count, 2 + rows.shape[1]), dtype=dtype)
        answer[:, 0], answer[:, 1], answer[:, 2:] = list(map(self.value, rows)), math.nan, rows
        return answer
