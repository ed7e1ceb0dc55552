"""Large convex quadratics with bounds, after Moré and Toraldo (1991).

Their minima were computed with an active-set method, to eleven digits.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from .reference import Array, Bound, ReferenceProblem, published

__all__ = ["FAMILIES", "boxqp", "large_problems", "obstacle", "torsion"]

_SOURCE: Final = "Moré and Toraldo, SIAM Journal on Optimization 1 (1991) 93-113, {}"
_TORSION: Final = {400: -0.416112871792, 2500: -0.41808763202}
_OBSTACLE: Final = {400: 6.83623529653, 2500: 7.28912399727}
_BOXQP: Final = {1000: -13213.7925127}


class _Grid:
    """x A x / 2 - c h^2 sum(x) with the Laplacian A of a square grid, zero at its boundary."""

    def __init__(self, k: int, load: float) -> None:
        self._k, self._load = k, load / (k + 1) ** 2

    def _product(self, x: Array) -> Array:
        field = np.zeros((self._k + 2, self._k + 2))
        field[1:-1, 1:-1] = x.reshape(self._k, self._k)
        beside = field[:-2, 1:-1] + field[2:, 1:-1] + field[1:-1, :-2] + field[1:-1, 2:]
        return np.asarray(4.0 * x - beside.ravel())

    def value(self, x: Array) -> float:
        return float(x @ self._product(x) / 2.0 - self._load * x.sum())

    def gradient(self, x: Array) -> Array:
        return self._product(x) - self._load


class _Reflected:
    """x A x / 2 - b x with A = Q D Q': Q is a product of three reflections."""

    def __init__(self, n: int, condition: float) -> None:
        rng = np.random.default_rng(0)
        normals = rng.normal(size=(3, n))
        self._normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        self._scales = np.logspace(0.0, math.log10(condition), n)
        self._b = rng.normal(size=n) * condition**0.5

    def _product(self, x: Array) -> Any:
        for normal in self._normals:
            x = x - 2.0 * (normal @ x) * normal
        x = self._scales * x
        for normal in self._normals[::-1]:
            x = x - 2.0 * (normal @ x) * normal
        return x

    def value(self, x: Array) -> float:
        return float(x @ self._product(x) / 2.0 - self._b @ x)

    def gradient(self, x: Array) -> Array:
        return np.asarray(self._product(x) - self._b)


def torsion(n: int = 400) -> ReferenceProblem:
    """Return the elastic-plastic torsion of a square bar on a grid of n inner points.

    Parameters
    ----------
    n : int, default 400
        The number of variables: 400 or 2500.

    Examples
    --------
    >>> torsion().n
    400
    """
    minimum = published("torsion", n, _TORSION)
    distances = np.minimum(_inner(n), 1.0 - _inner(n))
    limits = np.minimum.outer(distances, distances).ravel()
    return _bounded("torsion", n, _Grid(math.isqrt(n), 5.0), limits, -limits, limits, minimum)


def obstacle(n: int = 400) -> ReferenceProblem:
    """Return a membrane between two obstacles on a grid of n inner points.

    Parameters
    ----------
    n : int, default 400
        The number of variables: 400 or 2500.

    Examples
    --------
    >>> problem = obstacle()
    >>> problem.bounds[0][0] == float(problem.x0[0])
    True
    """
    minimum = published("obstacle", n, _OBSTACLE)
    waves = np.outer(np.sin(9.2 * _inner(n)), np.sin(9.3 * _inner(n))).ravel()
    low, high = waves**3, waves**2 + 0.02
    return _bounded("obstacle", n, _Grid(math.isqrt(n), 1.0), low, low, high, minimum)


def boxqp(n: int = 1000) -> ReferenceProblem:
    """Return a random quadratic of condition 1000 between -1 and 1.

    Parameters
    ----------
    n : int, default 1000
        The number of variables: 1000.

    Examples
    --------
    >>> boxqp().bounds[0]
    (-1.0, 1.0)
    """
    minimum, ones = published("boxqp", n, _BOXQP), np.ones(n)
    return _bounded("boxqp", n, _Reflected(n, 1e3), 0.0 * ones, -ones, ones, minimum)


def large_problems() -> list[ReferenceProblem]:
    """Return the large problems with bounds: convex quadratics of 400 to 2500 variables.

    Returns
    -------
    list of ReferenceProblem
        Each with `bounds`; the start lies within them.

    Examples
    --------
    >>> [(problem.name, problem.n) for problem in large_problems()]
    [('torsion', 400), ('torsion', 2500), ('obstacle', 400), ('obstacle', 2500), ('boxqp', 1000)]
    """
    return [torsion(), torsion(2500), obstacle(), obstacle(2500), boxqp()]


def _inner(n: int) -> Array:
    k = math.isqrt(n)
    return np.arange(1, k + 1) / (k + 1)


def _bounded(
    name: str,
    n: int,
    objective: _Grid | _Reflected,
    start: Array,
    low: Array,
    high: Array,
    minimum: float,
) -> ReferenceProblem:
    box: tuple[Bound, ...] = tuple(zip(low.tolist(), high.tolist(), strict=True))
    source = _SOURCE.format(name)
    return ReferenceProblem(
        name, objective, tuple(start.tolist()), minimum, source, digits=11, box=box
    )


#: By name.
FAMILIES: Final = {"boxqp": boxqp, "obstacle": obstacle, "torsion": torsion}
