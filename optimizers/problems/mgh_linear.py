"""Moré, Garbow and Hillstrom's linear least-squares problems, of full rank and of rank one."""

from __future__ import annotations

import numpy as np

from .mgh_fixed import MGH
from .reference import Array, ReferenceProblem, SumOfSquares, check_n

__all__ = ["linear_full_rank", "linear_rank_1", "linear_rank_1_zeros"]

# The paper leaves the number of equations open; here there are twice as many as variables, so that
# no minimum is 0.


def _full_rank_jacobian(x: Array) -> Array:
    m, n = 2 * x.size, x.size
    return np.eye(m, n) - 2.0 / m


def _full_rank_residuals(x: Array) -> Array:
    return _full_rank_jacobian(x) @ x - 1.0


def linear_full_rank(n: int = 10) -> ReferenceProblem:
    """Return the linear function of full rank, problem 32, with m = 2n equations.

    Parameters
    ----------
    n : int
        Number of variables. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is m - n = n at (-1, ..., -1).

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> linear_full_rank(3).fun([-1.0, -1.0, -1.0])
    3.0
    """
    check_n("linear_full_rank", n, n >= 1, "1 or more")
    return ReferenceProblem(
        name="linear_full_rank",
        objective=SumOfSquares(_full_rank_residuals, _full_rank_jacobian),
        start=(1.0,) * n,
        minimum=float(n),
        minimizers=((-1.0,) * n,),
        source=MGH.format(32) + " (m = 2n)",
    )


def _rank_1_jacobian(x: Array) -> Array:
    n = x.size
    return np.outer(np.arange(1.0, 2.0 * n + 1.0), np.arange(1.0, n + 1.0))


def _rank_1_residuals(x: Array) -> Array:
    return _rank_1_jacobian(x) @ x - 1.0


def linear_rank_1(n: int = 10) -> ReferenceProblem:
    """Return the linear function of rank one, problem 33, with m = 2n equations.

    Parameters
    ----------
    n : int
        Number of variables. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is m (m - 1) / (2 (2m + 1)), on the plane sum of j x_j = 3 / (2m + 1).

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> linear_rank_1(1).minimum
    0.2
    """
    check_n("linear_rank_1", n, n >= 1, "1 or more")
    m = 2 * n
    return ReferenceProblem(
        name="linear_rank_1",
        objective=SumOfSquares(_rank_1_residuals, _rank_1_jacobian),
        start=(1.0,) * n,
        minimum=m * (m - 1) / (2 * (2 * m + 1)),
        minimizers=((3.0 / (2 * m + 1),) + (0.0,) * (n - 1),),
        source=MGH.format(33) + " (m = 2n)",
    )


def _rank_1_zeros_jacobian(x: Array) -> Array:
    n = x.size
    rows, columns = np.arange(2.0 * n), np.arange(1.0, n + 1.0)
    rows[-1] = columns[0] = columns[-1] = 0.0
    return np.outer(rows, columns)


def _rank_1_zeros_residuals(x: Array) -> Array:
    return _rank_1_zeros_jacobian(x) @ x - 1.0


def linear_rank_1_zeros(n: int = 10) -> ReferenceProblem:
    """Return the linear function of rank one with zero columns and rows, problem 34, m = 2n.

    Parameters
    ----------
    n : int
        Number of variables, 3 or more: the first and the last have no influence. Default 10.

    Returns
    -------
    ReferenceProblem
        Its minimum is (m**2 + 3m - 6) / (2 (2m - 3)), on the plane sum of j x_j = 3 / (2m - 3)
        over the inner variables.

    Raises
    ------
    ValueError
        If `n` is less than 3.

    Examples
    --------
    >>> linear_rank_1_zeros(3).jac([1.0, 1.0, 1.0])
    array([  0., 200.,   0.])
    """
    check_n("linear_rank_1_zeros", n, n >= 3, "3 or more")
    m = 2 * n
    return ReferenceProblem(
        name="linear_rank_1_zeros",
        objective=SumOfSquares(_rank_1_zeros_residuals, _rank_1_zeros_jacobian),
        start=(1.0,) * n,
        minimum=(m * m + 3 * m - 6) / (2 * (2 * m - 3)),
        minimizers=((0.0, 1.5 / (2 * m - 3)) + (0.0,) * (n - 2),),
        source=MGH.format(34) + " (m = 2n)",
    )
