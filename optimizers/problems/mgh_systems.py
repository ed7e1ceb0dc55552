"""Moré, Garbow and Hillstrom's systems of equations of any size, as sums of squares."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev

from .mgh_fixed import MGH
from .reference import Array, ReferenceProblem, SumOfSquares, check_n, published

__all__ = [
    "brown_almost_linear",
    "broyden_banded",
    "broyden_tridiagonal",
    "chebyquad",
    "discrete_boundary_value",
    "discrete_integral_equation",
    "product_of_others",
    "trigonometric",
]


def _trigonometric_residuals(x: Array) -> Array:
    n = x.size
    cosine = np.cos(x)
    return np.asarray(n - cosine.sum() + np.arange(1.0, n + 1.0) * (1.0 - cosine) - np.sin(x))


def _trigonometric_jacobian(x: Array) -> Array:
    sine = np.sin(x)
    return sine + np.diag(np.arange(1.0, x.size + 1.0) * sine - np.cos(x))


def trigonometric(n: int = 10) -> ReferenceProblem:
    """Return the trigonometric function, problem 26.

    Parameters
    ----------
    n : int
        Number of variables. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0 at the origin, and elsewhere; for n = 10 a descent from the start often
        ends in a local minimum of 2.79506e-5.

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> trigonometric(3).fun([0.0, 0.0, 0.0])
    0.0
    """
    check_n("trigonometric", n, n >= 1, "1 or more")
    return ReferenceProblem(
        name="trigonometric",
        objective=SumOfSquares(_trigonometric_residuals, _trigonometric_jacobian),
        start=(1.0 / n,) * n,
        minimum=0.0,
        minimizers=((0.0,) * n,),
        other_minima=(2.79506e-5,) if n == 10 else (),
        source=MGH.format(26),
    )


def _brown_almost_linear_residuals(x: Array) -> Array:
    residuals = x + x.sum() - (x.size + 1.0)
    residuals[-1] = x.prod() - 1.0
    return np.asarray(residuals)


def product_of_others(x: Array) -> Array:
    """Return the gradient of the product of all x: without a division, which a zero would spoil."""
    return np.asarray(np.where(np.eye(x.size) == 1.0, 1.0, x).prod(axis=1))


def _brown_almost_linear_jacobian(x: Array) -> Array:
    jacobian = 1.0 + np.eye(x.size)
    jacobian[-1] = product_of_others(x)
    return jacobian


def brown_almost_linear(n: int = 10) -> ReferenceProblem:
    """Return Brown's almost-linear function, problem 27.

    Parameters
    ----------
    n : int
        Number of variables, 2 or more. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0 at (1, ..., 1) and at another point of the kind (a, ..., a, a**(1 - n)).
        The value 1 at (0, ..., 0, n + 1) is a local minimum.

    Raises
    ------
    ValueError
        If `n` is less than 2.

    Examples
    --------
    >>> brown_almost_linear(3).fun([0.0, 0.0, 4.0])
    1.0
    """
    check_n("brown_almost_linear", n, n >= 2, "2 or more")
    return ReferenceProblem(
        name="brown_almost_linear",
        objective=SumOfSquares(_brown_almost_linear_residuals, _brown_almost_linear_jacobian),
        start=(0.5,) * n,
        minimum=0.0,
        minimizers=((1.0,) * n,),
        other_minima=(1.0,),
        source=MGH.format(27),
    )


def _grid(n: int) -> Array:
    """Return the n inner points of the unit interval's even grid."""
    return np.arange(1.0, n + 1.0) / (n + 1.0)


def _boundary_value_residuals(x: Array) -> Array:
    n = x.size
    padded = np.concatenate([[0.0], x, [0.0]])
    bend = (x + _grid(n) + 1.0) ** 3 / (2.0 * (n + 1.0) ** 2)
    return np.asarray(2.0 * x - padded[:-2] - padded[2:] + bend)


def _boundary_value_jacobian(x: Array) -> Array:
    n = x.size
    slope = 1.5 * ((x + _grid(n) + 1.0) / (n + 1.0)) ** 2
    return np.diag(2.0 + slope) - np.eye(n, k=1) - np.eye(n, k=-1)


def _grid_start(n: int) -> tuple[float, ...]:
    t = _grid(n)
    return tuple((t * (t - 1.0)).tolist())


def discrete_boundary_value(n: int = 10) -> ReferenceProblem:
    """Return the discrete boundary value problem, problem 28.

    Parameters
    ----------
    n : int
        Number of variables, the inner points of the grid. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0.

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> discrete_boundary_value(3).x0
    array([-0.1875, -0.25  , -0.1875])
    """
    check_n("discrete_boundary_value", n, n >= 1, "1 or more")
    return ReferenceProblem(
        name="discrete_boundary_value",
        objective=SumOfSquares(_boundary_value_residuals, _boundary_value_jacobian),
        start=_grid_start(n),
        minimum=0.0,
        source=MGH.format(28),
    )


def _green(t: Array) -> Array:
    """Return Green's function t_j (1 - t_i) for j <= i and t_i (1 - t_j) for j > i."""
    low, high = np.minimum.outer(t, t), np.maximum.outer(t, t)
    return low * (1.0 - high)


def _integral_equation_residuals(x: Array) -> Array:
    t = _grid(x.size)
    return x + _green(t) @ (x + t + 1.0) ** 3 / (2.0 * (x.size + 1.0))


def _integral_equation_jacobian(x: Array) -> Array:
    t = _grid(x.size)
    return np.eye(x.size) + 1.5 / (x.size + 1.0) * _green(t) * (x + t + 1.0) ** 2


def discrete_integral_equation(n: int = 10) -> ReferenceProblem:
    """Return the discrete integral equation, problem 29; its Jacobian is dense.

    Parameters
    ----------
    n : int
        Number of variables, the inner points of the grid. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0.

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> discrete_integral_equation(20).n
    20
    """
    check_n("discrete_integral_equation", n, n >= 1, "1 or more")
    return ReferenceProblem(
        name="discrete_integral_equation",
        objective=SumOfSquares(_integral_equation_residuals, _integral_equation_jacobian),
        start=_grid_start(n),
        minimum=0.0,
        source=MGH.format(29),
    )


def _broyden_tridiagonal_residuals(x: Array) -> Array:
    padded = np.concatenate([[0.0], x, [0.0]])
    return np.asarray((3.0 - 2.0 * x) * x - padded[:-2] - 2.0 * padded[2:] + 1.0)


def _broyden_tridiagonal_jacobian(x: Array) -> Array:
    return np.diag(3.0 - 4.0 * x) - np.eye(x.size, k=-1) - 2.0 * np.eye(x.size, k=1)


def broyden_tridiagonal(n: int = 10) -> ReferenceProblem:
    """Return Broyden's tridiagonal function, problem 30.

    Parameters
    ----------
    n : int
        Number of variables. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0.

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> broyden_tridiagonal(2).fun([-1.0, -1.0])
    13.0
    """
    check_n("broyden_tridiagonal", n, n >= 1, "1 or more")
    return ReferenceProblem(
        name="broyden_tridiagonal",
        objective=SumOfSquares(_broyden_tridiagonal_residuals, _broyden_tridiagonal_jacobian),
        start=(-1.0,) * n,
        minimum=0.0,
        source=MGH.format(30),
    )


def _neighbors(n: int) -> Array:
    """Return 1 where column j is a neighbor of row i: the five before it and the one after."""
    band = np.tri(n, k=1) - np.tri(n, k=-6)
    np.fill_diagonal(band, 0.0)
    return band


def _broyden_banded_residuals(x: Array) -> Array:
    return x * (2.0 + 5.0 * x**2) + 1.0 - _neighbors(x.size) @ (x * (1.0 + x))


def _broyden_banded_jacobian(x: Array) -> Array:
    return np.diag(2.0 + 15.0 * x**2) - _neighbors(x.size) * (1.0 + 2.0 * x)


def broyden_banded(n: int = 10) -> ReferenceProblem:
    """Return Broyden's banded function, problem 31.

    Parameters
    ----------
    n : int
        Number of variables. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0.

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> broyden_banded(1).fun([-1.0])
    36.0
    """
    check_n("broyden_banded", n, n >= 1, "1 or more")
    return ReferenceProblem(
        name="broyden_banded",
        objective=SumOfSquares(_broyden_banded_residuals, _broyden_banded_jacobian),
        start=(-1.0,) * n,
        minimum=0.0,
        source=MGH.format(31),
    )


def _chebyquad_residuals(x: Array) -> Array:
    degree = np.arange(1, x.size + 1)
    even = degree % 2 == 0
    integral = np.where(even, -1.0 / np.where(even, degree**2 - 1.0, 1.0), 0.0)
    return np.asarray(chebyshev.chebvander(2.0 * x - 1.0, x.size)[:, 1:].mean(axis=0) - integral)


def _chebyquad_jacobian(x: Array) -> Array:
    n = x.size
    derivatives = chebyshev.chebder(np.eye(n + 1)[:, 1:], scl=2.0)
    return np.asarray((chebyshev.chebvander(2.0 * x - 1.0, n - 1) @ derivatives).T / n)


def chebyquad(n: int = 8) -> ReferenceProblem:
    """Return Chebyquad, problem 35: the nodes of Chebyshev's quadrature with equal weights.

    Parameters
    ----------
    n : int
        Number of variables, 1 to 10, for which minima are published. Default 8, the smallest for
        which the quadrature does not exist and the minimum is not 0.

    Returns
    -------
    ReferenceProblem
        Its minimum is 0 for n = 1 to 7 and 9, and 3.51687e-3 for n = 8. For n = 10 the paper
        prints 6.50395e-3, which is a local minimum: the value here, 4.77271e-3, is the least that
        many random starts find.

    Raises
    ------
    ValueError
        If no minimum is published for `n`.

    Examples
    --------
    >>> chebyquad(3).x0
    array([0.25, 0.5 , 0.75])
    """
    exact = dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 9), 0.0)
    minimum = published("chebyquad", n, exact | {8: 3.51687e-3, 10: 4.77271e-3})
    return ReferenceProblem(
        name="chebyquad",
        objective=SumOfSquares(_chebyquad_residuals, _chebyquad_jacobian),
        start=tuple(_grid(n).tolist()),
        minimum=minimum,
        digits=6 if minimum else None,
        other_minima=(6.50395e-3,) if n == 10 else (),
        source=MGH.format(35),
    )
