"""Moré, Garbow and Hillstrom's fits of models to tables of data."""

from __future__ import annotations

from typing import Final

import numpy as np

from .mgh_fixed import MGH
from .reference import Array, ReferenceProblem, SumOfSquares

__all__ = ["DATA"]


_BARD_Y: Final = np.array(
    [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
)
_BARD_U: Final = np.arange(1.0, 16.0)
_BARD_V: Final = 16.0 - _BARD_U
_BARD_W: Final = np.minimum(_BARD_U, _BARD_V)


def _bard_residuals(x: Array) -> Array:
    return np.asarray(_BARD_Y - (x[0] + _BARD_U / (_BARD_V * x[1] + _BARD_W * x[2])))


def _bard_jacobian(x: Array) -> Array:
    slope = _BARD_U / (_BARD_V * x[1] + _BARD_W * x[2]) ** 2
    return np.column_stack([-np.ones(15), slope * _BARD_V, slope * _BARD_W])


_GAUSSIAN_T: Final = (8.0 - np.arange(1.0, 16.0)) / 2.0
_GAUSSIAN_HALF: Final = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
_GAUSSIAN_Y: Final = np.array([*_GAUSSIAN_HALF, 0.3989, *reversed(_GAUSSIAN_HALF)])


def _gaussian_residuals(x: Array) -> Array:
    return np.asarray(x[0] * np.exp(-x[1] * (_GAUSSIAN_T - x[2]) ** 2 / 2.0) - _GAUSSIAN_Y)


def _gaussian_jacobian(x: Array) -> Array:
    away = _GAUSSIAN_T - x[2]
    bell = np.exp(-x[1] * away**2 / 2.0)
    return np.column_stack([bell, -x[0] * bell * away**2 / 2.0, x[0] * bell * x[1] * away])


_MEYER_T: Final = 45.0 + 5.0 * np.arange(1.0, 17.0)
# fmt: off
_MEYER_Y: Final = np.array([
    34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744,
    8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872,
], dtype=np.float64)
# fmt: on


def _meyer_residuals(x: Array) -> Array:
    return np.asarray(x[0] * np.exp(x[1] / (_MEYER_T + x[2])) - _MEYER_Y)


def _meyer_jacobian(x: Array) -> Array:
    below = _MEYER_T + x[2]
    growth = np.exp(x[1] / below)
    return np.column_stack([growth, x[0] * growth / below, -x[0] * growth * x[1] / below**2])


# The paper leaves m between 3 and 100 open; with 100 the last term has no gradient at the solution.
# Its "y_i m i x_2" is a misprint for "y_i - x_2": only so is (50, 25, 1.5) the solution.
_GULF_T: Final = np.arange(1.0, 100.0) / 100.0
_GULF_Y: Final = 25.0 + (-50.0 * np.log(_GULF_T)) ** (2.0 / 3.0)


def _gulf_residuals(x: Array) -> Array:
    return np.asarray(np.exp(-(np.abs(_GULF_Y - x[1]) ** x[2]) / x[0]) - _GULF_T)


def _gulf_jacobian(x: Array) -> Array:
    away = np.abs(_GULF_Y - x[1])
    power = away ** x[2] / x[0]
    decay = power * np.exp(-power)
    return np.column_stack([decay / x[0], decay * x[2] / (_GULF_Y - x[1]), -decay * np.log(away)])


_BOX_T: Final = 0.1 * np.arange(1.0, 11.0)
_BOX_Y: Final = np.exp(-_BOX_T) - np.exp(-10.0 * _BOX_T)


def _box_3d_residuals(x: Array) -> Array:
    return np.asarray(np.exp(-_BOX_T * x[0]) - np.exp(-_BOX_T * x[1]) - x[2] * _BOX_Y)


def _box_3d_jacobian(x: Array) -> Array:
    return np.column_stack(
        [-_BOX_T * np.exp(-_BOX_T * x[0]), _BOX_T * np.exp(-_BOX_T * x[1]), -_BOX_Y]
    )


_KOWALIK_Y: Final = np.array(
    [0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
)
_KOWALIK_U: Final = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


def _kowalik_osborne_residuals(x: Array) -> Array:
    u = _KOWALIK_U
    return np.asarray(_KOWALIK_Y - x[0] * u * (u + x[1]) / (u * (u + x[2]) + x[3]))


def _kowalik_osborne_jacobian(x: Array) -> Array:
    u = _KOWALIK_U
    above, below = u * (u + x[1]), u * (u + x[2]) + x[3]
    slope = x[0] * above / below**2
    return np.column_stack([-above / below, -x[0] * u / below, slope * u, slope])


_DENNIS_T: Final = np.arange(1.0, 21.0) / 5.0


def _brown_dennis_parts(x: Array) -> tuple[Array, Array]:
    t = _DENNIS_T
    return x[0] + t * x[1] - np.exp(t), x[2] + x[3] * np.sin(t) - np.cos(t)


def _brown_dennis_residuals(x: Array) -> Array:
    line, wave = _brown_dennis_parts(x)
    return line**2 + wave**2


def _brown_dennis_jacobian(x: Array) -> Array:
    line, wave = _brown_dennis_parts(x)
    return 2.0 * np.column_stack([line, line * _DENNIS_T, wave, wave * np.sin(_DENNIS_T)])


_OSBORNE1_T: Final = 10.0 * np.arange(33.0)
# fmt: off
_OSBORNE1_Y: Final = np.array([
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751,
    0.718, 0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490,
    0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406,
])
# fmt: on


def _osborne_1_residuals(x: Array) -> Array:
    t = _OSBORNE1_T
    return np.asarray(_OSBORNE1_Y - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4])))


def _osborne_1_jacobian(x: Array) -> Array:
    t = _OSBORNE1_T
    slow, fast = np.exp(-t * x[3]), np.exp(-t * x[4])
    return np.column_stack([-np.ones(33), -slow, -fast, x[1] * t * slow, x[2] * t * fast])


_BIGGS_T: Final = 0.1 * np.arange(1.0, 14.0)
_BIGGS_Y: Final = np.exp(-_BIGGS_T) - 5.0 * np.exp(-10.0 * _BIGGS_T) + 3.0 * np.exp(-4.0 * _BIGGS_T)
# The terms x3 exp(-t x1) - x4 exp(-t x2) + x6 exp(-t x5): positions of rates and of weights.
_BIGGS_RATE: Final = [0, 1, 4]
_BIGGS_WEIGHT: Final = [2, 3, 5]
_BIGGS_SIGN: Final = np.array([1.0, -1.0, 1.0])


def _biggs_exp6_residuals(x: Array) -> Array:
    decays = np.exp(-np.outer(_BIGGS_T, x[_BIGGS_RATE]))
    return decays @ (_BIGGS_SIGN * x[_BIGGS_WEIGHT]) - _BIGGS_Y


def _biggs_exp6_jacobian(x: Array) -> Array:
    signed = _BIGGS_SIGN * np.exp(-np.outer(_BIGGS_T, x[_BIGGS_RATE]))
    jacobian = np.empty((13, 6))
    jacobian[:, _BIGGS_RATE] = -_BIGGS_T[:, None] * signed * x[_BIGGS_WEIGHT]
    jacobian[:, _BIGGS_WEIGHT] = signed
    return jacobian


_OSBORNE2_T: Final = np.arange(65.0) / 10.0
# fmt: off
_OSBORNE2_Y: Final = np.array([
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608,
    0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661,
    0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428,
    0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559,
    0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054,
])
# fmt: on


def _osborne_2_parts(x: Array) -> tuple[Array, Array, Array]:
    away = _OSBORNE2_T[:, None] - x[8:]
    return np.exp(-_OSBORNE2_T * x[4]), away, np.exp(-x[5:8] * away**2)


def _osborne_2_residuals(x: Array) -> Array:
    decay, _, bells = _osborne_2_parts(x)
    return np.asarray(_OSBORNE2_Y - x[0] * decay - bells @ x[1:4])


def _osborne_2_jacobian(x: Array) -> Array:
    decay, away, bells = _osborne_2_parts(x)
    weighted = bells * x[1:4]
    return np.column_stack(
        [
            -decay,
            -bells,
            x[0] * _OSBORNE2_T * decay,
            weighted * away**2,
            -2.0 * weighted * x[5:8] * away,
        ]
    )


DATA: Final = (
    ReferenceProblem(
        name="bard",
        objective=SumOfSquares(_bard_residuals, _bard_jacobian),
        start=(1.0, 1.0, 1.0),
        minimum=8.21487e-3,
        digits=6,
        minimizers=((0.08241055974978902, 1.1330360920297227, 2.3436951786425366),),
        # The second is a limit: x2 and x3 run to minus infinity.
        other_minima=(17.4286,),
        source=MGH.format(8),
    ),
    ReferenceProblem(
        name="gaussian",
        objective=SumOfSquares(_gaussian_residuals, _gaussian_jacobian),
        start=(0.4, 1.0, 0.0),
        minimum=1.12793e-8,
        digits=6,
        minimizers=((0.39895613783875666, 1.0000190844878056, 0.0),),
        source=MGH.format(9),
    ),
    ReferenceProblem(
        name="meyer",
        objective=SumOfSquares(_meyer_residuals, _meyer_jacobian),
        start=(0.02, 4000.0, 250.0),
        minimum=87.9458,
        digits=6,
        minimizers=((0.005609636471027629, 6181.3463462864365, 345.22363462413875),),
        source=MGH.format(10),
    ),
    ReferenceProblem(
        name="gulf",
        objective=SumOfSquares(_gulf_residuals, _gulf_jacobian),
        start=(5.0, 2.5, 0.15),
        minimum=0.0,
        minimizers=((50.0, 25.0, 1.5),),
        source=MGH.format(11) + " (m = 99)",
    ),
    ReferenceProblem(
        name="box_3d",
        objective=SumOfSquares(_box_3d_residuals, _box_3d_jacobian),
        start=(0.0, 10.0, 20.0),
        minimum=0.0,
        # And every point with x1 = x2 and x3 = 0.
        minimizers=((1.0, 10.0, 1.0), (10.0, 1.0, -1.0), (1.0, 1.0, 0.0)),
        source=MGH.format(12) + " (m = 10)",
    ),
    ReferenceProblem(
        name="kowalik_osborne",
        objective=SumOfSquares(_kowalik_osborne_residuals, _kowalik_osborne_jacobian),
        start=(0.25, 0.39, 0.415, 0.39),
        minimum=3.07505e-4,
        digits=6,
        minimizers=(
            (0.19280693457903791, 0.19128232873436632, 0.12305650692632084, 0.1360623306837945),
        ),
        # The second is a limit, with three variables at infinity.
        other_minima=(1.02734e-3,),
        source=MGH.format(15),
    ),
    ReferenceProblem(
        name="brown_dennis",
        objective=SumOfSquares(_brown_dennis_residuals, _brown_dennis_jacobian),
        start=(25.0, 5.0, -5.0, -1.0),
        minimum=85822.2,
        digits=6,
        minimizers=(
            (-11.594439904762163, 13.203630051207202, -0.4034394881768596, 0.2367787744557363),
        ),
        source=MGH.format(16) + " (m = 20)",
    ),
    ReferenceProblem(
        name="osborne_1",
        objective=SumOfSquares(_osborne_1_residuals, _osborne_1_jacobian),
        start=(0.5, 1.5, -1.0, 0.01, 0.02),
        minimum=5.46489e-5,
        digits=6,
        minimizers=(
            (
                0.37541005210695205,
                1.9358469127123723,
                -1.4646871366134282,
                0.012867534640057297,
                0.022122699661672584,
            ),
        ),
        source=MGH.format(17),
    ),
    ReferenceProblem(
        name="biggs_exp6",
        objective=SumOfSquares(_biggs_exp6_residuals, _biggs_exp6_jacobian),
        start=(1.0, 2.0, 1.0, 1.0, 1.0, 1.0),
        minimum=0.0,
        minimizers=((1.0, 10.0, 1.0, 5.0, 4.0, 3.0),),
        other_minima=(5.65565e-3,),
        source=MGH.format(18) + " (m = 13)",
    ),
    ReferenceProblem(
        name="osborne_2",
        objective=SumOfSquares(_osborne_2_residuals, _osborne_2_jacobian),
        start=(1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5),
        minimum=4.01377e-2,
        digits=6,
        minimizers=(
            (
                1.3099771546273005,
                0.431553794602989,
                0.6336616989607241,
                0.5994305347859162,
                0.7541832263280114,
                0.9042885798596336,
                1.3658118352370283,
                4.823698817227157,
                2.3986848661317546,
                4.568874597667672,
                5.6753414705806415,
            ),
        ),
        source=MGH.format(19),
    ),
)
