"""Constraints in NLopt's form: functions that are to be zero, or at most zero."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint

from optimizers._types import Array
from optimizers.gradients.differences import SCHEMES, Differences
from optimizers.problem.constraints import Constraint, jacobian_by
from optimizers.problem.problem import Problem

_Mask = NDArray[np.bool_]


class Sides:
    """One constraint of a problem as equalities, ``c(x) = 0``, and inequalities, ``c(x) <= 0``."""

    def __init__(self, constraint: Constraint, problem: Problem) -> None:
        self._constraint, self._problem = constraint, problem
        m = np.atleast_1d(constraint.fun(problem.x0)).size
        lower, upper = (np.broadcast_to(s, m) for s in (constraint.lower, constraint.upper))
        self._lower, self._upper = lower, upper
        self._equal = lower == upper
        self._below = ~self._equal & np.isfinite(upper)
        self._above = ~self._equal & np.isfinite(lower)
        #: How many there are of each kind.
        self.equalities = int(self._equal.sum())
        self.inequalities = int(self._below.sum() + self._above.sum())

    def equality(self, result: Array, x: Array, grad: Array) -> None:
        """Write the values that are to be zero and, if there is room, their derivatives."""
        values, jacobian = self._at(x, grad.size > 0)
        result[:] = (values - self._lower)[self._equal]
        if grad.size:
            grad[:] = jacobian[self._equal]

    def inequality(self, result: Array, x: Array, grad: Array) -> None:
        """Write the values that are to be at most zero, and their derivatives."""
        values, jacobian = self._at(x, grad.size > 0)
        below, above = self._below, self._above
        result[:] = [*(values - self._upper)[below], *(self._lower - values)[above]]
        if grad.size:
            grad[:] = np.concatenate([jacobian[below], -jacobian[above]])

    def _at(self, x: Array, with_jacobian: bool) -> tuple[Array, Array]:
        x = self._problem.clip(x)
        values = np.atleast_1d(self._constraint.fun(x))
        return values, self._jacobian(x, values) if with_jacobian else np.empty((0, x.size))

    def _jacobian(self, x: Array, here: Array) -> Array:
        """Return the derivatives, shape (m, n)."""
        constraint, given = self._constraint, self._constraint.for_scipy
        if isinstance(given, LinearConstraint):
            found = given.A
        elif constraint.has_jac:
            jac: Callable[..., Any] = given["jac"] if isinstance(given, dict) else given.jac
            found = jac(x, *(given.get("args", ()) if isinstance(given, dict) else ()))
        else:
            scheme = given.get("jac") if isinstance(given, dict) else given.jac
            source = Differences(scheme if scheme in SCHEMES else "2-point")
            found = jacobian_by(source, constraint.fun, x, here, self._problem.box)
        return np.atleast_2d(found @ np.eye(x.size))  # dense, whatever it is
