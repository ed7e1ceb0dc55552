"""All classical reference problems: in lists, and by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

from . import mgh_linear, mgh_systems, mgh_variable
from .gay import GAY
from .hock_schittkowski import HOCK_SCHITTKOWSKI
from .large import FAMILIES
from .mgh_data import DATA
from .mgh_fixed import FIXED
from .reference import ReferenceProblem

__all__ = ["all_problems", "bounded_problems", "get_problem", "mgh_problems"]

_OF_FIXED_SIZE: Final = {
    problem.name: problem
    for problem in (
        mgh_variable.ROSENBROCK,
        *FIXED,
        mgh_variable.POWELL_SINGULAR,
        *DATA,
        *HOCK_SCHITTKOWSKI,
        *GAY,
    )
}
_OF_ANY_SIZE: Final[dict[str, Callable[..., ReferenceProblem]]] = {
    family.__name__: family
    for family in (
        mgh_variable.watson,
        mgh_variable.extended_rosenbrock,
        mgh_variable.extended_powell_singular,
        mgh_variable.penalty_1,
        mgh_variable.penalty_2,
        mgh_variable.variably_dimensioned,
        mgh_systems.trigonometric,
        mgh_systems.brown_almost_linear,
        mgh_systems.discrete_boundary_value,
        mgh_systems.discrete_integral_equation,
        mgh_systems.broyden_tridiagonal,
        mgh_systems.broyden_banded,
        mgh_linear.linear_full_rank,
        mgh_linear.linear_rank_1,
        mgh_linear.linear_rank_1_zeros,
        mgh_systems.chebyquad,
    )
}


def all_problems() -> list[ReferenceProblem]:
    """Return all classical problems, those of any size at their default size.

    Returns
    -------
    list of ReferenceProblem
        The unconstrained problems, then the bounded ones; no name occurs twice.

    Examples
    --------
    >>> len(all_problems())
    51
    """
    return mgh_problems() + bounded_problems()


def mgh_problems() -> list[ReferenceProblem]:
    """Return the 35 unconstrained problems of Moré, Garbow and Hillstrom (1981).

    Returns
    -------
    list of ReferenceProblem
        The problems of fixed size, then those of any size at their default size.

    Examples
    --------
    >>> [problem.name for problem in mgh_problems()][:2]
    ['rosenbrock', 'freudenstein_roth']
    """
    fixed = [problem for problem in _OF_FIXED_SIZE.values() if problem.box is None]
    return fixed + [family() for family in _OF_ANY_SIZE.values()]


def bounded_problems() -> list[ReferenceProblem]:
    """Return the problems with bounds: those of Hock and Schittkowski (1981) and Gay (1984).

    Returns
    -------
    list of ReferenceProblem
        Each with `bounds`; start and minimizers lie within them.

    Examples
    --------
    >>> bounded_problems()[0].bounds
    [(None, None), (-1.5, None)]
    """
    return [problem for problem in _OF_FIXED_SIZE.values() if problem.box is not None]


def get_problem(name: str, n: int | None = None) -> ReferenceProblem:
    """Return the reference problem of a name.

    Parameters
    ----------
    name : str
        The name, such as ``"rosenbrock"`` or ``"hs45"``.
    n : int, optional
        The number of variables, for a problem of any size. Default None: the problem's own choice.

    Returns
    -------
    ReferenceProblem
        The problem.

    Raises
    ------
    ValueError
        If there is no problem of this name, or not with `n` variables.

    Examples
    --------
    >>> get_problem("extended_rosenbrock", n=100).n
    100
    >>> get_problem("rosenbroek")
    Traceback (most recent call last):
    ...
    ValueError: no reference problem 'rosenbroek'; did you mean 'rosenbrock'?
    """
    families = _OF_ANY_SIZE | FAMILIES
    if name in families:
        family = families[name]
        return family() if n is None else family(n)
    if name not in _OF_FIXED_SIZE:
        near = get_close_matches(name, [*_OF_FIXED_SIZE, *families], n=1, cutoff=0.0)
        raise ValueError(f"no reference problem {name!r}; did you mean {near[0]!r}?")
    problem = _OF_FIXED_SIZE[name]
    if n not in (None, problem.n):
        raise ValueError(f"n={n} given for {name}, expected {problem.n}: its size is fixed")
    return problem
