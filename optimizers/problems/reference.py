"""A reference problem: an objective, its gradient, its start and its published minimum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Objective", "ReferenceProblem", "Smooth", "SumOfSquares", "check_n", "published"]

Array = NDArray[np.float64]
Bound = tuple[float | None, float | None]
Point = tuple[float, ...]


class Objective(Protocol):
    """A function of one point and its gradient; neither changes the point."""

    def value(self, x: Array, /) -> float:
        """Return the function value at the point `x`, shape (n,)."""

    def gradient(self, x: Array, /) -> Array:
        """Return the gradient, shape (n,), at the point `x`, shape (n,)."""


@dataclass(frozen=True)
class Smooth:
    """An objective given as a function and its gradient.

    Parameters
    ----------
    value : callable
        ``value(x) -> float`` for `x` of shape (n,).
    gradient : callable
        ``gradient(x) -> ndarray`` of shape (n,).

    Examples
    --------
    >>> import numpy as np
    >>> bowl = Smooth(lambda x: float(x @ x), lambda x: 2.0 * x)
    >>> bowl.gradient(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    value: Callable[[Array], float]
    gradient: Callable[[Array], Array]


@dataclass(frozen=True)
class SumOfSquares:
    """The objective f(x) = r(x).r(x), given as the residuals r and their Jacobian J.

    Parameters
    ----------
    residuals : callable
        ``residuals(x) -> ndarray`` of shape (m,) for `x` of shape (n,).
    jacobian : callable
        ``jacobian(x) -> ndarray`` of shape (m, n): row i is the gradient of residual i.

    Examples
    --------
    >>> import numpy as np
    >>> line = SumOfSquares(lambda x: x - 1.0, lambda x: np.eye(x.size))
    >>> line.value(np.array([1.0, 3.0]))
    4.0
    >>> line.gradient(np.array([1.0, 3.0]))
    array([0., 4.])
    """

    residuals: Callable[[Array], Array]
    jacobian: Callable[[Array], Array]

    def value(self, x: Array) -> float:
        """Return r.r at the point `x`, shape (n,)."""
        r = self.residuals(x)
        return float(r @ r)

    def gradient(self, x: Array) -> Array:
        """Return 2 J^T r, shape (n,), at the point `x`, shape (n,)."""
        return 2.0 * (self.jacobian(x).T @ self.residuals(x))


@dataclass(frozen=True, repr=False)
class ReferenceProblem:
    """A minimization problem of the literature, with what is known of its solution.

    A problem is immutable; every array that it hands out is a fresh one. Where floating point ends
    (overflow, the logarithm of a negative number), `fun` and `jac` are inf or nan without a
    warning: a minimizer that strays far has to cope with just that.

    Parameters
    ----------
    name : str
        The name under which :func:`optimizers.problems.get_problem` finds it.
    objective : Objective
        The function and its gradient: :class:`SumOfSquares` or :class:`Smooth`.
    start : tuple of float
        The standard starting point, n numbers; handed out as `x0`.
    minimum : float
        The published least value of the function within the bounds.
    source : str
        Where function, start and minimum are published: paper and problem number.
    digits : int, optional
        How many significant digits of `minimum` the source prints, cut or rounded. Default None:
        it is exact.
    minimizers : tuple of tuple of float, optional
        Points where `minimum` is attained, each of n numbers; default none known. Where the source
        prints none or too few digits they were computed, to about the precision of a double.
    other_minima : tuple of float, optional
        Values of local minima in which a descent method may rightly end. Default none known.
    box : tuple of (float or None, float or None), optional
        The bounds, one pair (low, high) per variable, None where there is none; handed out as
        `bounds`. Default None: the problem has no bounds.

    Examples
    --------
    >>> import numpy as np
    >>> bowl = Smooth(lambda x: float(x @ x), lambda x: 2.0 * x)
    >>> problem = ReferenceProblem("bowl", bowl, (3.0, 4.0), minimum=0.0, source="a textbook")
    >>> problem
    <ReferenceProblem bowl: n=2, minimum=0.0>
    >>> problem.fun(problem.x0)
    25.0
    >>> problem.jac(problem.x0)
    array([6., 8.])
    """

    name: str
    objective: Objective
    start: Point
    minimum: float
    source: str
    digits: int | None = None
    minimizers: tuple[Point, ...] = ()
    other_minima: tuple[float, ...] = ()
    box: tuple[Bound, ...] | None = None

    @property
    def n(self) -> int:
        """The number of variables."""
        return len(self.start)

    @property
    def x0(self) -> Array:
        """The standard starting point, shape (n,); a fresh array each time."""
        return np.array(self.start, dtype=np.float64)

    @property
    def minimizer(self) -> Array | None:
        """The first known minimizer, shape (n,), a fresh array each time; None if none is known."""
        return np.array(self.minimizers[0], dtype=np.float64) if self.minimizers else None

    @property
    def bounds(self) -> list[Bound] | None:
        """The bounds as SciPy takes them: pairs (low, high), None for no bound; None for no box."""
        return None if self.box is None else list(self.box)

    def fun(self, x: ArrayLike) -> float:
        """Return the function value.

        Parameters
        ----------
        x : array_like, shape (n,)
            The point; it is not changed.

        Returns
        -------
        float
            The value; inf or nan beyond the reach of floating point.

        Raises
        ------
        ValueError
            If `x` is not one point of n numbers.
        """
        with np.errstate(all="ignore"):
            return self.objective.value(self._point(x))

    def jac(self, x: ArrayLike) -> Array:
        """Return the exact gradient.

        Parameters
        ----------
        x : array_like, shape (n,)
            The point; it is not changed.

        Returns
        -------
        ndarray, shape (n,)
            The gradient, a fresh array; inf or nan beyond the reach of floating point.

        Raises
        ------
        ValueError
            If `x` is not one point of n numbers.
        """
        with np.errstate(all="ignore"):
            return self.objective.gradient(self._point(x))

    def __repr__(self) -> str:
        """Return name, number of variables and minimum."""
        return f"<ReferenceProblem {self.name}: n={self.n}, minimum={self.minimum}>"

    def _point(self, x: ArrayLike) -> Array:
        point = np.array(x, dtype=np.float64)
        if point.shape != (self.n,):
            raise ValueError(
                f"x has shape {point.shape}, expected ({self.n},): "
                f"{self.name} takes one point of {self.n} numbers"
            )
        return point


def check_n(name: str, n: int, fits: bool, rule: str) -> None:
    """Raise a ValueError that states the `rule` unless `n` fits the problem `name`."""
    if not fits:
        raise ValueError(f"n={n} given for {name}, expected {rule}")


def published(name: str, n: int, minima: Mapping[int, float]) -> float:
    """Return the published minimum of the problem `name` for `n`; a ValueError if there is none."""
    check_n(name, n, n in minima, f"one of {sorted(minima)}, whose minima are published")
    return minima[n]
