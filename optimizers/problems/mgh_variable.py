"""Moré, Garbow and Hillstrom's minimization problems of any number of variables."""

from __future__ import annotations

from typing import Final

import numpy as np

from .mgh_fixed import MGH
from .reference import Array, ReferenceProblem, SumOfSquares, check_n, published

__all__ = [
    "POWELL_SINGULAR",
    "ROSENBROCK",
    "extended_powell_singular",
    "extended_rosenbrock",
    "penalty_1",
    "penalty_2",
    "variably_dimensioned",
    "watson",
]


def _rosenbrock_residuals(x: Array) -> Array:
    odd, even = x[0::2], x[1::2]
    return np.column_stack([10.0 * (even - odd**2), 1.0 - odd]).ravel()


def _rosenbrock_jacobian(x: Array) -> Array:
    jacobian = np.zeros((x.size, x.size))
    odd = np.arange(0, x.size, 2)
    jacobian[odd, odd] = -20.0 * x[odd]
    jacobian[odd, odd + 1] = 10.0
    jacobian[odd + 1, odd] = -1.0
    return jacobian


def _rosenbrock(name: str, n: int, number: int) -> ReferenceProblem:
    return ReferenceProblem(
        name=name,
        objective=SumOfSquares(_rosenbrock_residuals, _rosenbrock_jacobian),
        start=(-1.2, 1.0) * (n // 2),
        minimum=0.0,
        minimizers=((1.0,) * n,),
        source=MGH.format(number),
    )


ROSENBROCK: Final = _rosenbrock("rosenbrock", 2, 1)


def extended_rosenbrock(n: int = 10) -> ReferenceProblem:
    """Return n/2 independent copies of Rosenbrock's function, problem 21.

    Parameters
    ----------
    n : int
        Number of variables, even. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0 at (1, ..., 1).

    Raises
    ------
    ValueError
        If `n` is not even and positive.

    Examples
    --------
    >>> extended_rosenbrock(4).x0
    array([-1.2,  1. , -1.2,  1. ])
    """
    check_n("extended_rosenbrock", n, n >= 2 and n % 2 == 0, "an even number, 2 or more")
    return _rosenbrock("extended_rosenbrock", n, 21)


_ROOT_5: Final = np.sqrt(5.0)
_ROOT_10: Final = np.sqrt(10.0)


def _powell_singular_residuals(x: Array) -> Array:
    x1, x2, x3, x4 = x.reshape(-1, 4).T
    return np.column_stack(
        [x1 + 10.0 * x2, _ROOT_5 * (x3 - x4), (x2 - 2.0 * x3) ** 2, _ROOT_10 * (x1 - x4) ** 2]
    ).ravel()


def _powell_singular_jacobian(x: Array) -> Array:
    jacobian = np.zeros((x.size, x.size))
    first = np.arange(0, x.size, 4)
    middle = 2.0 * (x[first + 1] - 2.0 * x[first + 2])
    outer = 2.0 * _ROOT_10 * (x[first] - x[first + 3])
    jacobian[first, first] = 1.0
    jacobian[first, first + 1] = 10.0
    jacobian[first + 1, first + 2] = _ROOT_5
    jacobian[first + 1, first + 3] = -_ROOT_5
    jacobian[first + 2, first + 1] = middle
    jacobian[first + 2, first + 2] = -2.0 * middle
    jacobian[first + 3, first] = outer
    jacobian[first + 3, first + 3] = -outer
    return jacobian


def _powell_singular(name: str, n: int, number: int) -> ReferenceProblem:
    return ReferenceProblem(
        name=name,
        objective=SumOfSquares(_powell_singular_residuals, _powell_singular_jacobian),
        start=(3.0, -1.0, 0.0, 1.0) * (n // 4),
        minimum=0.0,
        minimizers=((0.0,) * n,),
        source=MGH.format(number),
    )


POWELL_SINGULAR: Final = _powell_singular("powell_singular", 4, 13)


def extended_powell_singular(n: int = 12) -> ReferenceProblem:
    """Return n/4 independent copies of Powell's singular function, problem 22.

    Parameters
    ----------
    n : int
        Number of variables, a multiple of 4. Default 12.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0 at the origin, where the Hessian is singular.

    Raises
    ------
    ValueError
        If `n` is not a positive multiple of 4.

    Examples
    --------
    >>> extended_powell_singular(8).n
    8
    """
    check_n("extended_powell_singular", n, n >= 4 and n % 4 == 0, "a multiple of 4")
    return _powell_singular("extended_powell_singular", n, 22)


_SMALL: Final = np.sqrt(1e-5)


def _penalty_1_residuals(x: Array) -> Array:
    return np.append(_SMALL * (x - 1.0), x @ x - 0.25)


def _penalty_1_jacobian(x: Array) -> Array:
    return np.vstack([_SMALL * np.eye(x.size), 2.0 * x])


def penalty_1(n: int = 4) -> ReferenceProblem:
    """Return penalty function I, problem 23.

    Parameters
    ----------
    n : int
        Number of variables: 4 (the default) or 10, for which minima are published.

    Returns
    -------
    ReferenceProblem
        Its minimum is 2.24997e-5 for n = 4 and 7.08765e-5 for n = 10.

    Raises
    ------
    ValueError
        If no minimum is published for `n`.

    Examples
    --------
    >>> penalty_1(10).minimum
    7.08765e-05
    """
    return ReferenceProblem(
        name="penalty_1",
        objective=SumOfSquares(_penalty_1_residuals, _penalty_1_jacobian),
        start=tuple(float(j) for j in range(1, n + 1)),
        minimum=published("penalty_1", n, {4: 2.24997e-5, 10: 7.08765e-5}),
        digits=6,
        source=MGH.format(23),
    )


def _penalty_2_residuals(x: Array) -> Array:
    n = x.size
    level = np.exp(np.arange(1.0, n + 1.0) / 10.0)
    grown = np.exp(x / 10.0)
    return np.concatenate(
        [
            [x[0] - 0.2],
            _SMALL * (grown[1:] + grown[:-1] - level[1:] - level[:-1]),
            _SMALL * (grown[1:] - np.exp(-0.1)),
            [np.arange(n, 0.0, -1.0) @ x**2 - 1.0],
        ]
    )


def _penalty_2_jacobian(x: Array) -> Array:
    n = x.size
    slope = np.diag(_SMALL * np.exp(x / 10.0) / 10.0)
    return np.vstack(
        [np.eye(1, n), slope[1:] + slope[:-1], slope[1:], 2.0 * np.arange(n, 0.0, -1.0) * x]
    )


def penalty_2(n: int = 4) -> ReferenceProblem:
    """Return penalty function II, problem 24.

    Parameters
    ----------
    n : int
        Number of variables: 4 (the default) or 10, for which minima are published.

    Returns
    -------
    ReferenceProblem
        Its minimum is 9.37629e-6 for n = 4 and 2.93660e-4 for n = 10.

    Raises
    ------
    ValueError
        If no minimum is published for `n`.

    Examples
    --------
    >>> penalty_2().x0
    array([0.5, 0.5, 0.5, 0.5])
    """
    return ReferenceProblem(
        name="penalty_2",
        objective=SumOfSquares(_penalty_2_residuals, _penalty_2_jacobian),
        start=(0.5,) * n,
        minimum=published("penalty_2", n, {4: 9.37629e-6, 10: 2.93660e-4}),
        digits=6,
        source=MGH.format(24),
    )


def _variably_dimensioned_residuals(x: Array) -> Array:
    away = x - 1.0
    weighted = np.arange(1.0, x.size + 1.0) @ away
    return np.concatenate([away, [weighted, weighted**2]])


def _variably_dimensioned_jacobian(x: Array) -> Array:
    j = np.arange(1.0, x.size + 1.0)
    return np.vstack([np.eye(x.size), j, 2.0 * (j @ (x - 1.0)) * j])


def variably_dimensioned(n: int = 10) -> ReferenceProblem:
    """Return the variably dimensioned function, problem 25.

    Parameters
    ----------
    n : int
        Number of variables. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0 at (1, ..., 1).

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> variably_dimensioned(4).x0
    array([0.75, 0.5 , 0.25, 0.  ])
    """
    check_n("variably_dimensioned", n, n >= 1, "1 or more")
    return ReferenceProblem(
        name="variably_dimensioned",
        objective=SumOfSquares(_variably_dimensioned_residuals, _variably_dimensioned_jacobian),
        start=tuple(1.0 - j / n for j in range(1, n + 1)),
        minimum=0.0,
        minimizers=((1.0,) * n,),
        source=MGH.format(25),
    )


_WATSON_T: Final = np.arange(1.0, 30.0) / 29.0


def _watson_powers(n: int) -> tuple[Array, Array]:
    powers = np.vander(_WATSON_T, n, increasing=True)
    slopes = np.zeros_like(powers)
    slopes[:, 1:] = powers[:, :-1] * np.arange(1.0, n)
    return powers, slopes


def _watson_residuals(x: Array) -> Array:
    powers, slopes = _watson_powers(x.size)
    return np.append(slopes @ x - (powers @ x) ** 2 - 1.0, [x[0], x[1] - x[0] ** 2 - 1.0])


def _watson_jacobian(x: Array) -> Array:
    powers, slopes = _watson_powers(x.size)
    ends = np.zeros((2, x.size))
    ends[0, 0] = 1.0
    ends[1, :2] = -2.0 * x[0], 1.0
    return np.vstack([slopes - 2.0 * (powers @ x)[:, None] * powers, ends])


_WATSON_MINIMA: Final = {6: 2.28767e-3, 9: 1.39976e-6, 12: 4.72238e-10}


def watson(n: int = 6) -> ReferenceProblem:
    """Return Watson's function, problem 20: a differential equation fitted by a polynomial.

    Parameters
    ----------
    n : int
        Number of variables: 6 (the default), 9 or 12, for which minima are published.

    Returns
    -------
    ReferenceProblem
        Its minimum is 2.28767e-3 for n = 6, 1.39976e-6 for n = 9 and 4.72238e-10 for n = 12.

    Raises
    ------
    ValueError
        If no minimum is published for `n`.

    Examples
    --------
    >>> watson().fun([0.0] * 6)
    30.0
    """
    return ReferenceProblem(
        name="watson",
        objective=SumOfSquares(_watson_residuals, _watson_jacobian),
        start=(0.0,) * n,
        minimum=published("watson", n, _WATSON_MINIMA),
        digits=6,
        source=MGH.format(20),
    )
