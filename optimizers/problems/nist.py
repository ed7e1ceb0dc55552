"""NIST's nonlinear regressions (StRD): data, models, certified values, and two starts each.

The data are in the public domain: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from .reference import Array

__all__ = ["Fit", "nist_fits"]


@dataclass(frozen=True, eq=False)
class Fit:
    """A model to be fitted to data, and what is known of its parameters.

    Parameters
    ----------
    name : str
        NIST's name.
    level : str
        NIST's level of difficulty: ``"lower"``, ``"average"`` or ``"higher"``.
    model : callable
        ``model(x, *b) -> ndarray`` of shape (m,), as ``curve_fit`` takes it.
    x : ndarray, shape (m,) or (k, m)
        The predictors.
    y : ndarray, shape (m,)
        The responses; for Nelson their logarithms, which is what is fitted.
    starts : tuple of two tuples of float
        A start far from the solution and one that is near.
    certified, deviations : tuple of float
        The parameters and their standard deviations, certified to 11 digits.
    rss : float
        The certified residual sum of squares.

    Examples
    --------
    >>> fit = nist_fits()[0]
    >>> fit
    <Fit Bennett5: m=154, n=3, higher>
    >>> float(np.sum(fit.residuals(fit.certified) ** 2).round(11)) == round(fit.rss, 11)
    True
    """

    name: str
    level: str
    model: Callable[..., Array]
    x: Array
    y: Array
    starts: tuple[tuple[float, ...], tuple[float, ...]]
    certified: tuple[float, ...]
    deviations: tuple[float, ...]
    rss: float

    @property
    def n(self) -> int:
        """The number of parameters."""
        return len(self.certified)

    def residuals(self, b: ArrayLike) -> Array:
        """Return model minus data.

        Parameters
        ----------
        b : array_like, shape (n,)
            The parameters.

        Returns
        -------
        ndarray, shape (m,)
            The residuals; inf or nan beyond the reach of floating point, without a warning.
        """
        with np.errstate(all="ignore"):
            return self.model(self.x, *np.asarray(b, dtype=np.float64)) - self.y

    def digits(self, b: ArrayLike) -> float:
        """Return how many digits of the worst parameter agree with the certified ones.

        Parameters
        ----------
        b : array_like, shape (n,)
            The parameters.

        Returns
        -------
        float
            From 0 to 11, NIST's log relative error.
        """
        certified = np.array(self.certified)
        error = np.max(np.abs((np.asarray(b, dtype=np.float64) - certified) / certified))
        return float(np.clip(-np.log10(max(error, 1e-99)), 0.0, 11.0)) if error < np.inf else 0.0

    def __repr__(self) -> str:
        """Return name, size and level."""
        return f"<Fit {self.name}: m={self.y.size}, n={self.n}, {self.level}>"


def _growth(x: Array, b1: Any, b2: Any) -> Array:
    return np.asarray(b1 * (1.0 - np.exp(-b2 * x)))


def _chwirut(x: Array, b1: Any, b2: Any, b3: Any) -> Array:
    return np.asarray(np.exp(-b1 * x) / (b2 + b3 * x))


def _gauss(x: Array, *b: Any) -> Array:
    first = b[2] * np.exp(-((x - b[3]) ** 2) / b[4] ** 2)
    second = b[5] * np.exp(-((x - b[6]) ** 2) / b[7] ** 2)
    return np.asarray(b[0] * np.exp(-b[1] * x) + first + second)


def _cubic(x: Array, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any, b7: Any) -> Array:
    top = b1 + b2 * x + b3 * x**2 + b4 * x**3
    return np.asarray(top / (1.0 + b5 * x + b6 * x**2 + b7 * x**3))


def _lanczos(x: Array, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any) -> Array:
    return np.asarray(b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x))


def _bennett(x: Array, b1: Any, b2: Any, b3: Any) -> Array:
    return np.asarray(b1 * (b2 + x) ** (-1.0 / b3))


def _dan_wood(x: Array, b1: Any, b2: Any) -> Array:
    return np.asarray(b1 * x**b2)


def _enso(x: Array, *b: Any) -> Array:
    waves = (2.0 * np.pi * x / period for period in (12.0, b[3], b[6]))
    weights = ((b[1], b[2]), (b[4], b[5]), (b[7], b[8]))
    sums = (c * np.cos(t) + s * np.sin(t) for t, (c, s) in zip(waves, weights, strict=True))
    return np.asarray(sum(sums, start=b[0]))


def _eckerle(x: Array, b1: Any, b2: Any, b3: Any) -> Array:
    return np.asarray(b1 / b2 * np.exp(-0.5 * ((x - b3) / b2) ** 2))


def _kirby(x: Array, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any) -> Array:
    return np.asarray((b1 + b2 * x + b3 * x**2) / (1.0 + b4 * x + b5 * x**2))


def _mgh09(x: Array, b1: Any, b2: Any, b3: Any, b4: Any) -> Array:
    return np.asarray(b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4))


def _mgh10(x: Array, b1: Any, b2: Any, b3: Any) -> Array:
    return np.asarray(b1 * np.exp(b2 / (x + b3)))


def _mgh17(x: Array, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any) -> Array:
    return np.asarray(b1 + b2 * np.exp(-x * b4) + b3 * np.exp(-x * b5))


def _misra_b(x: Array, b1: Any, b2: Any) -> Array:
    return np.asarray(b1 * (1.0 - (1.0 + b2 * x / 2.0) ** -2.0))


def _misra_c(x: Array, b1: Any, b2: Any) -> Array:
    return np.asarray(b1 * (1.0 - (1.0 + 2.0 * b2 * x) ** -0.5))


def _misra_d(x: Array, b1: Any, b2: Any) -> Array:
    return np.asarray(b1 * b2 * x / (1.0 + b2 * x))


def _nelson(x: Array, b1: Any, b2: Any, b3: Any) -> Array:
    return np.asarray(b1 - b2 * x[0] * np.exp(-b3 * x[1]))


def _rat42(x: Array, b1: Any, b2: Any, b3: Any) -> Array:
    return np.asarray(b1 / (1.0 + np.exp(b2 - b3 * x)))


def _rat43(x: Array, b1: Any, b2: Any, b3: Any, b4: Any) -> Array:
    return np.asarray(b1 / (1.0 + np.exp(b2 - b3 * x)) ** (1.0 / b4))


def _roszman(x: Array, b1: Any, b2: Any, b3: Any, b4: Any) -> Array:
    return np.asarray(b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi)


_MODELS: Final[dict[str, Callable[..., Array]]] = {
    "Bennett5": _bennett,
    "BoxBOD": _growth,
    "Chwirut1": _chwirut,
    "Chwirut2": _chwirut,
    "DanWood": _dan_wood,
    "ENSO": _enso,
    "Eckerle4": _eckerle,
    "Gauss1": _gauss,
    "Gauss2": _gauss,
    "Gauss3": _gauss,
    "Hahn1": _cubic,
    "Kirby2": _kirby,
    "Lanczos1": _lanczos,
    "Lanczos2": _lanczos,
    "Lanczos3": _lanczos,
    "MGH09": _mgh09,
    "MGH10": _mgh10,
    "MGH17": _mgh17,
    "Misra1a": _growth,
    "Misra1b": _misra_b,
    "Misra1c": _misra_c,
    "Misra1d": _misra_d,
    "Nelson": _nelson,
    "Rat42": _rat42,
    "Rat43": _rat43,
    "Roszman1": _roszman,
    "Thurber": _cubic,
}


@cache
def _tables() -> dict[str, Any]:
    """Return the data, which NIST publishes as one file a problem."""
    tables: dict[str, Any] = json.loads(files(__package__).joinpath("nist.json").read_text("utf-8"))
    return tables


def nist_fits() -> list[Fit]:
    """Return NIST's 27 nonlinear regressions.

    Returns
    -------
    list of Fit
        By name, with fresh arrays each time.

    Examples
    --------
    >>> fits = nist_fits()
    >>> len(fits), sum(fit.level == "higher" for fit in fits)
    (27, 8)
    >>> fits[4].model(fits[4].x, *fits[4].certified).round(2)
    array([2.17, 3.41, 3.58, 4.33, 4.85, 5.7 ])
    """
    fits = []
    for name, model in _MODELS.items():
        table = _tables()[name]
        y = np.array(table["y"], dtype=np.float64)
        fits.append(
            Fit(
                name,
                table["level"],
                model,
                np.array(table["x"], dtype=np.float64),
                np.log(y) if name == "Nelson" else y,
                (tuple(table["starts"][0]), tuple(table["starts"][1])),
                tuple(table["certified"]),
                tuple(table["deviations"]),
                table["rss"],
            )
        )
    return fits
