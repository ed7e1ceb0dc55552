"""Plan: the probes of one gradient, and how their values become it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array

#: From the values at the point and at the probes, and which probes failed, to a smaller plan.
_Retry = Callable[[float, NDArray[Any], NDArray[np.bool_]], "Plan | None"]


@dataclass(frozen=True)
class Plan:
    """The probes of one gradient, and how to compute it from their values.

    Parameters
    ----------
    points : ndarray of float64, or complex128 for the complex step, shape (k, n)
        The points at which to evaluate the objective, besides the point itself.
    fold : callable
        ``fold(f0, values) -> gradient``: computes the gradient, shape (n,), from the value at the
        point itself and the values at ``points``, shape (k,).
    """

    points: NDArray[Any]
    fold: Callable[[float, NDArray[Any]], Array]
    _noise: Callable[[], Array]
    _retry: _Retry | None = None
    _curvature: Callable[[float, NDArray[Any]], Array] | None = None
    _curvature_noise: Callable[[], Array] | None = None
    #: Whether ``fold`` and the retry take values of shape (..., k), and ``f0`` of shape (..., 1).
    _takes_rows: bool = False

    @property
    def noise(self) -> Array:
        """The standard deviation of each component of the gradient, shape (n,).

        For values with independent noise of standard deviation 1; zero where there is no probe.
        """
        with np.errstate(over="ignore"):  # for a tiny step
            return self._noise()

    def curvature(self, f0: float, values: NDArray[Any]) -> Array | None:
        """Return the second derivative along each variable: the diagonal of the Hessian.

        Parameters
        ----------
        f0 : float
            The value at the point itself.
        values : ndarray, shape (k,)
            The values at ``points``.

        Returns
        -------
        ndarray of float64, shape (n,), or None
            Zero where there is no probe, or too few; None if these values are not enough.

        Examples
        --------
        >>> from optimizers import Differences
        >>> plan = Differences("3-point").plan(np.array([2.0, 3.0]))
        >>> values = (plan.points**3).sum(axis=1)
        >>> plan.curvature(35.0, values).round(3)
        array([12., 18.])
        >>> Differences("2-point").plan(np.array([2.0])).curvature(8.0, np.array([8.1])) is None
        True
        """
        return None if self._curvature is None else self._curvature(f0, values)

    @property
    def curvature_noise(self) -> Array | None:
        """The standard deviation of each component of :meth:`curvature`, as :attr:`noise`."""
        if self._curvature_noise is None:
            return None
        with np.errstate(over="ignore"):
            return self._curvature_noise()

    def jacobian(self, f0: NDArray[Any], values: NDArray[Any]) -> Array:
        """Return the Jacobian, shape (m, n), of m functions that share these probes.

        Parameters
        ----------
        f0 : ndarray, shape (m, 1)
            The values at the point itself.
        values : ndarray, shape (m, k)
            The values at ``points``.

        Examples
        --------
        >>> from optimizers import ParameterShift
        >>> plan = ParameterShift().plan(np.array([0.0, 1.0]))
        >>> values = np.array([np.sin(plan.points[:, 0]), np.cos(plan.points[:, 1])])
        >>> plan.jacobian(np.array([[0.0], [np.cos(1.0)]]), values).round(3) + 0.0
        array([[ 1.   ,  0.   ],
               [ 0.   , -0.841]])
        """
        if self._takes_rows:
            return self.fold(f0, values)  # type: ignore[arg-type]  # rows of them
        pairs = zip(f0[:, 0].tolist(), values, strict=True)
        return np.array([self.fold(*pair) for pair in pairs], dtype=np.float64)

    def retry(
        self, f0: float, values: NDArray[Any], failed: NDArray[np.bool_] | None = None
    ) -> "Plan | None":
        """Return a plan for the gradient although some probes failed, or None if there is none.

        A one-sided difference is probed on the other side. For a central one the known side is
        enough: it costs no further probe, but is less accurate.

        Parameters
        ----------
        f0 : float
            The value at the point itself.
        values : ndarray, shape (k,)
            The values at ``points``; those of failed probes may be anything.
        failed : ndarray of bool, shape (k,), optional
            Which probes failed; by default those whose values are not finite.

        Returns
        -------
        Plan or None
            Its ``points`` are the further probes, if any; its ``fold`` returns the whole gradient
            from their values; it has no retry itself. None if a variable is left without a probe:
            there is no other side inside the bounds, both sides failed, or the scheme is the
            complex step.

        Examples
        --------
        >>> from optimizers import Differences
        >>> plan = Differences("2-point", step=0.5).plan(np.array([1.0]))
        >>> again = plan.retry(1.0, np.array([np.nan]))
        >>> again.points
        array([[0.5]])
        >>> again.fold(1.0, (again.points**2).ravel())
        array([1.5])
        """
        failed = ~np.isfinite(values) if failed is None else failed
        if not failed.any():
            return Plan(self.points[:0], lambda _, __: self.fold(f0, values), self._noise)
        if self._retry is None or (np.ndim(f0) and not self._takes_rows):
            return None
        return self._retry(f0, values, failed)


#: A plan that accepts rows of values from several functions; see :meth:`Plan.jacobian`.
RowsPlan = functools.partial(Plan, _takes_rows=True)
