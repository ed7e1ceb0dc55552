"""Hock and Schittkowski's problems whose only constraints are bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from .mgh_data import DATA
from .mgh_fixed import FIXED
from .mgh_systems import product_of_others
from .mgh_variable import ROSENBROCK
from .reference import Array, ReferenceProblem, Smooth

__all__ = ["HOCK_SCHITTKOWSKI"]

_HS: Final = "Hock and Schittkowski, Lecture Notes in Economics 187 (1981), problem {}"
_UNBOUNDED: Final = {problem.name: problem for problem in (ROSENBROCK, *FIXED, *DATA)}


def _hs3_value(x: Array) -> float:
    return float(x[1] + 1e-5 * (x[1] - x[0]) ** 2)


def _hs3_gradient(x: Array) -> Array:
    slope = 2e-5 * (x[1] - x[0])
    return np.array([-slope, 1.0 + slope])


def _hs4_value(x: Array) -> float:
    return float((x[0] + 1.0) ** 3 / 3.0 + x[1])


def _hs4_gradient(x: Array) -> Array:
    return np.array([(x[0] + 1.0) ** 2, 1.0])


def _hs5_value(x: Array) -> float:
    x1, x2 = x
    return float(np.sin(x1 + x2) + (x1 - x2) ** 2 - 1.5 * x1 + 2.5 * x2 + 1.0)


def _hs5_gradient(x: Array) -> Array:
    x1, x2 = x
    wave, slope = np.cos(x1 + x2), 2.0 * (x1 - x2)
    return np.array([wave + slope - 1.5, wave - slope + 2.5])


def _hs45_value(x: Array) -> float:
    return float(2.0 - x.prod() / 120.0)


def _hs45_gradient(x: Array) -> Array:
    return -product_of_others(x) / 120.0


def _hs110_value(x: Array) -> float:
    return float((np.log(x - 2.0) ** 2 + np.log(10.0 - x) ** 2).sum() - x.prod() ** 0.2)


def _hs110_gradient(x: Array) -> Array:
    logs = 2.0 * (np.log(x - 2.0) / (x - 2.0) - np.log(10.0 - x) / (10.0 - x))
    return np.asarray(logs - 0.2 * x.prod() ** 0.2 / x)


# Problem 2's minimizer lies on its bound x2 = 1.5; there the root of a cubic remains for x1.
_HS2_A: Final = np.sqrt(598.0 / 1200.0)
_HS2_X1: Final = float(2.0 * _HS2_A * np.cos(np.arccos(1.0 / (400.0 * _HS2_A**3)) / 3.0))

HOCK_SCHITTKOWSKI: Final = (
    replace(
        _UNBOUNDED["rosenbrock"],
        name="hs1",
        start=(-2.0, 1.0),
        box=((None, None), (-1.5, None)),
        source=_HS.format(1),
    ),
    replace(
        _UNBOUNDED["rosenbrock"],
        name="hs2",
        start=(-2.0, 1.5),
        box=((None, None), (1.5, None)),
        minimum=0.0504261879,
        digits=9,
        minimizers=((_HS2_X1, 1.5),),
        # On the other side of the parabola, where a descent from the start ends.
        other_minima=(4.941229318,),
        source=_HS.format(2) + "; its start (-2, 1) put onto the bounds",
    ),
    ReferenceProblem(
        name="hs3",
        objective=Smooth(_hs3_value, _hs3_gradient),
        start=(10.0, 1.0),
        box=((None, None), (0.0, None)),
        minimum=0.0,
        minimizers=((0.0, 0.0),),
        source=_HS.format(3),
    ),
    ReferenceProblem(
        name="hs4",
        objective=Smooth(_hs4_value, _hs4_gradient),
        start=(1.125, 0.125),
        box=((1.0, None), (0.0, None)),
        minimum=8.0 / 3.0,
        minimizers=((1.0, 0.0),),
        source=_HS.format(4),
    ),
    ReferenceProblem(
        name="hs5",
        objective=Smooth(_hs5_value, _hs5_gradient),
        start=(0.0, 0.0),
        box=((-1.5, 4.0), (-3.0, 3.0)),
        minimum=float(-np.sqrt(3.0) / 2.0 - np.pi / 3.0),
        minimizers=((0.5 - np.pi / 3.0, -0.5 - np.pi / 3.0),),
        source=_HS.format(5),
    ),
    replace(
        _UNBOUNDED["gulf"],
        name="hs25",
        start=(100.0, 12.5, 3.0),
        box=((0.1, 100.0), (0.0, 25.6), (0.0, 5.0)),
        # The start lies on a plain where the gradient all but vanishes: a descent may stop there.
        source=_HS.format(25),
    ),
    replace(_UNBOUNDED["wood"], name="hs38", box=((-10.0, 10.0),) * 4, source=_HS.format(38)),
    ReferenceProblem(
        name="hs45",
        objective=Smooth(_hs45_value, _hs45_gradient),
        start=(1.0, 2.0, 2.0, 2.0, 2.0),
        box=tuple((0.0, float(high)) for high in range(1, 6)),
        minimum=1.0,
        minimizers=((1.0, 2.0, 3.0, 4.0, 5.0),),
        source=_HS.format(45) + "; its start (2, 2, 2, 2, 2) put onto the bounds",
    ),
    ReferenceProblem(
        name="hs110",
        objective=Smooth(_hs110_value, _hs110_gradient),
        start=(9.0,) * 10,
        box=((2.001, 9.999),) * 10,
        minimum=-45.77846971,
        digits=10,
        # The book's 9.35025654 has seven right digits.
        minimizers=((9.350265833069384,) * 10,),
        source=_HS.format(110),
    ),
)
