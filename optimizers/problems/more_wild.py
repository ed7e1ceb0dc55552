"""Moré and Wild's 53 nonlinear least-squares problems: 22 functions, each at one start or two."""

from __future__ import annotations

from typing import Final

import numpy as np

from . import mgh_systems, mgh_variable
from .mgh_data import DATA
from .mgh_fixed import FIXED
from .reference import Array, Point, ReferenceProblem, SumOfSquares

__all__ = ["more_wild_problems"]

_SOURCE: Final = "Moré and Wild, SIAM J. Optim. 20 (2009) 172-191, function {}"


# The linear functions have m = 5n equations here.
def _full_rank_jacobian(x: Array) -> Array:
    m, n = 5 * x.size, x.size
    return np.eye(m, n) - 2.0 / m


def _full_rank_residuals(x: Array) -> Array:
    return _full_rank_jacobian(x) @ x - 1.0


def _rank_1_jacobian(x: Array) -> Array:
    return np.outer(np.arange(1.0, 5.0 * x.size + 1.0), np.arange(1.0, x.size + 1.0))


def _rank_1_residuals(x: Array) -> Array:
    return _rank_1_jacobian(x) @ x - 1.0


def _rank_1_zeros_jacobian(x: Array) -> Array:
    rows, columns = np.arange(5.0 * x.size), np.arange(1.0, x.size + 1.0)
    rows[-1] = columns[0] = columns[-1] = 0.0
    return np.outer(rows, columns)


def _rank_1_zeros_residuals(x: Array) -> Array:
    return _rank_1_zeros_jacobian(x) @ x - 1.0


_WEIGHTS: Final = (1.0, 2.0, 3.0, 4.0)


def _bdqrtic_residuals(x: Array) -> Array:
    n = x.size
    squares = sum(w * x[k : n - 4 + k] ** 2 for k, w in enumerate(_WEIGHTS))
    return np.concatenate([3.0 - 4.0 * x[:-4], squares + 5.0 * x[-1] ** 2])


def _bdqrtic_jacobian(x: Array) -> Array:
    n = x.size
    lower = np.zeros((n - 4, n))
    for k, weight in enumerate(_WEIGHTS):
        lower += 2.0 * weight * np.eye(n - 4, n, k) * x
    lower[:, -1] = 10.0 * x[-1]
    return np.vstack([-4.0 * np.eye(n - 4, n), lower])


def _cube_residuals(x: Array) -> Array:
    return np.concatenate([[x[0] - 1.0], 10.0 * (x[1:] - x[:-1] ** 3)])


def _cube_jacobian(x: Array) -> Array:
    jacobian = 10.0 * np.eye(x.size) - 30.0 * np.eye(x.size, k=-1) * x**2
    jacobian[0, 0] = 1.0
    return jacobian


def _mancino_parts(x: Array) -> tuple[Array, Array, Array]:
    i = np.arange(1.0, x.size + 1.0)
    root = np.sqrt(x[:, None] ** 2 + i[:, None] / i)
    return i, root, np.log(root)


def _mancino_residuals(x: Array) -> Array:
    i, root, log = _mancino_parts(x)
    sums = np.sum(root * (np.sin(log) ** 5 + np.cos(log) ** 5), axis=1)
    return np.asarray(1400.0 * x + (i - 50.0) ** 3 + sums)


def _mancino_jacobian(x: Array) -> Array:
    _, root, log = _mancino_parts(x)
    s, c = np.sin(log), np.cos(log)
    slope = (s**5 + c**5 + 5.0 * s**4 * c - 5.0 * c**4 * s) / root
    return np.diag(1400.0 + x * slope.sum(axis=1))


_HEART_Y: Final = np.array([-0.69, -0.044, -1.57, -1.31, -2.65, 2.0, -12.6, 9.48])


# Two complex weights at two complex nodes, of which the moments 0 to 3 are given: the real and the
# imaginary part of each.
def _heart_residuals(x: Array) -> Array:
    weights, nodes = x[0:2] + 1j * x[2:4], x[4:6] + 1j * x[6:8]
    moments = np.array([weights @ nodes**k for k in range(4)])
    return np.asarray(np.column_stack([moments.real, moments.imag]).ravel() - _HEART_Y)


def _heart_jacobian(x: Array) -> Array:
    weights, nodes = x[0:2] + 1j * x[2:4], x[4:6] + 1j * x[6:8]
    rows = []
    for k in range(4):
        by_weight = nodes**k
        by_node = k * weights * nodes ** max(k - 1, 0)
        row = np.concatenate([by_weight, 1j * by_weight, by_node, 1j * by_node])
        rows += [row.real, row.imag]
    return np.asarray(rows)


def _mancino_start(n: int) -> Point:
    return tuple((-8.7110e-4 * _mancino_residuals(np.zeros(n))).tolist())


_HEART_START: Final = (-0.3, -0.39, 0.3, -0.344, -1.2, 2.69, 1.59, -1.5)
_OWN: Final = {
    "bdqrtic": SumOfSquares(_bdqrtic_residuals, _bdqrtic_jacobian),
    "cube": SumOfSquares(_cube_residuals, _cube_jacobian),
    "mancino": SumOfSquares(_mancino_residuals, _mancino_jacobian),
    "heart_eight": SumOfSquares(_heart_residuals, _heart_jacobian),
    "linear_full_rank": SumOfSquares(_full_rank_residuals, _full_rank_jacobian),
    "linear_rank_1": SumOfSquares(_rank_1_residuals, _rank_1_jacobian),
    "linear_rank_1_zeros": SumOfSquares(_rank_1_zeros_residuals, _rank_1_zeros_jacobian),
    # These take any number of variables.
    "watson": mgh_variable.watson().objective,
    "chebyquad": mgh_systems.chebyquad().objective,
}
_SHARED: Final = {
    problem.name: problem
    for problem in (
        mgh_variable.ROSENBROCK,
        mgh_variable.POWELL_SINGULAR,
        mgh_systems.brown_almost_linear(),
        *FIXED,
        *DATA,
    )
}
_CHEBYQUAD: Final = (
    (6, 0.0),
    (7, 0.0),
    (8, 0.003516873725677),
    (9, 0.0),
    (10, 0.00477271369637536),
    (11, 0.00279976155186576),
)
#: The function's number and name, its start, whether there is one at ten times it, and the minimum.
_ROWS: Final[tuple[tuple[int, str, Point, bool, float], ...]] = (
    (1, "linear_full_rank", (1.0,) * 9, True, 36.0),
    (2, "linear_rank_1", (1.0,) * 7, True, 595.0 / 71.0),
    (3, "linear_rank_1_zeros", (1.0,) * 7, True, 662.0 / 67.0),
    (4, "rosenbrock", (), True, 0.0),
    (5, "helical_valley", (), True, 0.0),
    (6, "powell_singular", (), True, 0.0),
    (7, "freudenstein_roth", (), True, 48.984253679240013),
    (8, "bard", (), True, 0.00821487730657897),
    (9, "kowalik_osborne", (), False, 0.00030750560384924),
    (10, "meyer", (), False, 87.945855170395831),
    (11, "watson", (0.5,) * 6, True, 0.00228767005355236),
    (11, "watson", (0.5,) * 9, True, 1.399760138e-6),
    (11, "watson", (0.5,) * 12, True, 4.722381e-10),
    (12, "box_3d", (), False, 0.0),
    (13, "jennrich_sampson", (), False, 124.3621823556148),
    (14, "brown_dennis", (), True, 85822.20162635),
    *(
        (15, "chebyquad", tuple((np.arange(1.0, n + 1.0) / (n + 1.0)).tolist()), False, minimum)
        for n, minimum in _CHEBYQUAD
    ),
    (16, "brown_almost_linear", (), False, 0.0),
    (17, "osborne_1", (0.5, 1.5, 1.0, 0.01, 0.02), False, 0.00005464894697483),
    (18, "osborne_2", (), True, 0.0401377362935477),
    (19, "bdqrtic", (1.0,) * 8, False, 10.2389734213174),
    (19, "bdqrtic", (1.0,) * 10, False, 18.28116175359353),
    (19, "bdqrtic", (1.0,) * 11, False, 22.260591734883817),
    (19, "bdqrtic", (1.0,) * 12, False, 26.2727663967939),
    (20, "cube", (0.5,) * 5, False, 0.0),
    (20, "cube", (0.5,) * 6, False, 0.0),
    (20, "cube", (0.5,) * 8, False, 0.0),
    (21, "mancino", _mancino_start(5), True, 0.0),
    (21, "mancino", _mancino_start(8), False, 0.0),
    (21, "mancino", _mancino_start(10), False, 0.0),
    (21, "mancino", _mancino_start(12), True, 0.0),
    (22, "heart_eight", _HEART_START, True, 0.0),
)


def more_wild_problems() -> list[ReferenceProblem]:
    """Return the 53 problems of Moré and Wild (2009), a benchmark of methods without derivatives.

    Returns
    -------
    list of ReferenceProblem
        Sums of squares of 2 to 12 variables; those begun far away, at ten times the usual start,
        have names that end in ``_far``. The minima are what the runs of the benchmark are measured
        against: for ``freudenstein_roth`` a local one.

    Examples
    --------
    >>> problems = more_wild_problems()
    >>> len(problems), problems[7].name
    (53, 'rosenbrock_2_far')
    """
    found = []
    for number, name, own_start, also_far, minimum in _ROWS:
        objective = _OWN[name] if name in _OWN else _SHARED[name].objective
        start = own_start or _SHARED[name].start
        for factor in (1.0, 10.0)[: 1 + also_far]:
            found.append(
                ReferenceProblem(
                    name=f"{name}_{len(start)}" + "_far" * (factor > 1.0),
                    objective=objective,
                    start=tuple(factor * x for x in start),
                    minimum=minimum,
                    source=_SOURCE.format(number),
                    digits=6,
                )
            )
    return found
