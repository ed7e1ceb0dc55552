"""Problems of Moré, Garbow and Hillstrom within the bounds that Gay (1984) gave them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .mgh_data import DATA
from .mgh_fixed import FIXED
from .reference import Bound, Point, ReferenceProblem

__all__ = ["GAY"]

_GAY: Final = "bounds of Gay, Lecture Notes in Mathematics 1066 (1984) 72-105"
_UNBOUNDED: Final = {problem.name: problem for problem in (*FIXED, *DATA)}


def _bounded(
    name: str, box: tuple[Bound, ...], minimum: float, minimizer: Point, digits: int = 8
) -> ReferenceProblem:
    unbounded = _UNBOUNDED[name]
    return replace(
        unbounded,
        name=name + "_bounded",
        box=box,
        minimum=minimum,
        digits=digits if minimum else None,
        minimizers=(minimizer,),
        other_minima=(),
        source=f"{unbounded.source}; {_GAY}",
    )


GAY: Final = (
    _bounded(
        "powell_badly_scaled",
        box=((0.0, 1.0), (1.0, 9.0)),
        minimum=0.151259e-9,
        digits=6,
        minimizer=(1.1111111112629459e-05, 9.0),
    ),
    _bounded(
        "brown_badly_scaled",
        box=((0.0, 1e6), (3e-5, 100.0)),
        minimum=784.0,
        minimizer=(999999.99916, 3e-05),
    ),
    _bounded("beale", box=((0.6, 10.0), (0.5, 100.0)), minimum=0.0, minimizer=(3.0, 0.5)),
    _bounded(
        "helical_valley",
        box=((-100.0, 0.8), (-1.0, 1.0), (-1.0, 1.0)),
        minimum=0.99042212,
        minimizer=(0.8, 0.5619366456706897, 0.96493407531518),
    ),
    _bounded(
        "wood",
        box=((-100.0, 0.0), (-100.0, 10.0), (-100.0, 100.0), (-100.0, 100.0)),
        minimum=1.5567008,
        minimizer=(0.0, 0.005338856860370825, 1.3997288764704865, 1.9608274605730478),
    ),
    _bounded(
        "brown_dennis",
        box=((-10.0, 100.0), (0.0, 15.0), (-100.0, 0.0), (-20.0, 0.2)),
        minimum=88860.479,
        minimizer=(-10.0, 12.677818288630913, -0.48552799258162815, 0.2),
    ),
    _bounded(
        "biggs_exp6",
        box=((0.0, 2.0), (0.0, 8.0), (0.0, 1.0), (1.0, 7.0), (0.0, 5.0), (0.0, 5.0)),
        minimum=0.53209865e-3,
        minimizer=(
            0.9056765386943362,
            8.0,
            0.9043444023648455,
            6.534399059952032,
            4.486866781719961,
            5.0,
        ),
    ),
)
