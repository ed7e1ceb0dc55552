"""Moré, Garbow and Hillstrom's problems of two to four variables that are plain formulas."""

from __future__ import annotations

from typing import Final

import numpy as np

from .reference import Array, ReferenceProblem, SumOfSquares

__all__ = ["FIXED", "MGH"]

# The paper is cited by every problem of the set; the number is the paper's.
MGH: Final = "Moré, Garbow and Hillstrom, ACM TOMS 7 (1981) 17-41, problem {}"


def _freudenstein_roth_residuals(x: Array) -> Array:
    x1, x2 = x
    return np.array(
        [-13.0 + x1 + ((5.0 - x2) * x2 - 2.0) * x2, -29.0 + x1 + ((x2 + 1.0) * x2 - 14.0) * x2]
    )


def _freudenstein_roth_jacobian(x: Array) -> Array:
    x2 = x[1]
    return np.array([[1.0, (10.0 - 3.0 * x2) * x2 - 2.0], [1.0, (3.0 * x2 + 2.0) * x2 - 14.0]])


def _powell_badly_scaled_residuals(x: Array) -> Array:
    return np.array([1e4 * x[0] * x[1] - 1.0, np.exp(-x).sum() - 1.0001])


def _powell_badly_scaled_jacobian(x: Array) -> Array:
    return np.array([1e4 * x[::-1], -np.exp(-x)])


def _brown_badly_scaled_residuals(x: Array) -> Array:
    return np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2.0])


def _brown_badly_scaled_jacobian(x: Array) -> Array:
    return np.array([[1.0, 0.0], [0.0, 1.0], [x[1], x[0]]])


_BEALE_POWER: Final = np.array([1.0, 2.0, 3.0])
_BEALE_Y: Final = np.array([1.5, 2.25, 2.625])


def _beale_residuals(x: Array) -> Array:
    return np.asarray(_BEALE_Y - x[0] * (1.0 - x[1] ** _BEALE_POWER))


def _beale_jacobian(x: Array) -> Array:
    power = _BEALE_POWER
    return np.column_stack([x[1] ** power - 1.0, x[0] * power * x[1] ** (power - 1.0)])


_JENNRICH_I: Final = np.arange(1.0, 11.0)


def _jennrich_sampson_residuals(x: Array) -> Array:
    return np.asarray(2.0 + 2.0 * _JENNRICH_I - np.exp(np.outer(_JENNRICH_I, x)).sum(axis=1))


def _jennrich_sampson_jacobian(x: Array) -> Array:
    return -_JENNRICH_I[:, None] * np.exp(np.outer(_JENNRICH_I, x))


def _helical_valley_residuals(x: Array) -> Array:
    x1, x2, x3 = x
    # The paper's angle runs from -pi/2 to 3 pi/2, with its jump at x1 = 0, x2 < 0: the start lies
    # on the negative x1 axis, where the jump of a plain arctan2(x2, x1) would be.
    turns = (np.arctan2(-x1, x2) + np.pi / 2.0) / (2.0 * np.pi)
    return np.array([10.0 * (x3 - 10.0 * turns), 10.0 * (np.hypot(x1, x2) - 1.0), x3])


def _helical_valley_jacobian(x: Array) -> Array:
    x1, x2, _ = x
    rho = np.hypot(x1, x2)
    around = 100.0 / (2.0 * np.pi * rho**2)
    return np.array(
        [
            [around * x2, -around * x1, 10.0],
            [10.0 * x1 / rho, 10.0 * x2 / rho, 0.0],
            [0.0, 0.0, 1.0],
        ]
    )


_WOOD_90: Final = np.sqrt(90.0)
_WOOD_10: Final = np.sqrt(10.0)


def _wood_residuals(x: Array) -> Array:
    x1, x2, x3, x4 = x
    return np.array(
        [
            10.0 * (x2 - x1**2),
            1.0 - x1,
            _WOOD_90 * (x4 - x3**2),
            1.0 - x3,
            _WOOD_10 * (x2 + x4 - 2.0),
            (x2 - x4) / _WOOD_10,
        ]
    )


def _wood_jacobian(x: Array) -> Array:
    x1, _, x3, _ = x
    return np.array(
        [
            [-20.0 * x1, 10.0, 0.0, 0.0],
            [-1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, -2.0 * _WOOD_90 * x3, _WOOD_90],
            [0.0, 0.0, -1.0, 0.0],
            [0.0, _WOOD_10, 0.0, _WOOD_10],
            [0.0, 1.0 / _WOOD_10, 0.0, -1.0 / _WOOD_10],
        ]
    )


FIXED: Final = (
    ReferenceProblem(
        name="freudenstein_roth",
        objective=SumOfSquares(_freudenstein_roth_residuals, _freudenstein_roth_jacobian),
        start=(0.5, -2.0),
        minimum=0.0,
        minimizers=((5.0, 4.0),),
        other_minima=(48.9842,),
        source=MGH.format(2),
    ),
    ReferenceProblem(
        name="powell_badly_scaled",
        objective=SumOfSquares(_powell_badly_scaled_residuals, _powell_badly_scaled_jacobian),
        start=(0.0, 1.0),
        minimum=0.0,
        minimizers=((1.0981593296998082e-05, 9.1061467398666),),
        source=MGH.format(3),
    ),
    ReferenceProblem(
        name="brown_badly_scaled",
        objective=SumOfSquares(_brown_badly_scaled_residuals, _brown_badly_scaled_jacobian),
        start=(1.0, 1.0),
        minimum=0.0,
        minimizers=((1e6, 2e-6),),
        source=MGH.format(4),
    ),
    ReferenceProblem(
        name="beale",
        objective=SumOfSquares(_beale_residuals, _beale_jacobian),
        start=(1.0, 1.0),
        minimum=0.0,
        minimizers=((3.0, 0.5),),
        source=MGH.format(5),
    ),
    ReferenceProblem(
        name="jennrich_sampson",
        objective=SumOfSquares(_jennrich_sampson_residuals, _jennrich_sampson_jacobian),
        start=(0.3, 0.4),
        minimum=124.362,
        digits=6,
        minimizers=((0.2578252136703641, 0.2578252136703641),),
        source=MGH.format(6),
    ),
    ReferenceProblem(
        name="helical_valley",
        objective=SumOfSquares(_helical_valley_residuals, _helical_valley_jacobian),
        start=(-1.0, 0.0, 0.0),
        minimum=0.0,
        minimizers=((1.0, 0.0, 0.0),),
        source=MGH.format(7),
    ),
    ReferenceProblem(
        name="wood",
        objective=SumOfSquares(_wood_residuals, _wood_jacobian),
        start=(-3.0, -1.0, -3.0, -1.0),
        minimum=0.0,
        minimizers=((1.0, 1.0, 1.0, 1.0),),
        source=MGH.format(14),
    ),
)
