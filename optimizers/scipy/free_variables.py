"""A problem in the variables that the bounds leave free, as SciPy's methods see it."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from optimizers._types import Array
from optimizers.gradients.differences import Differences
from optimizers.problem.constraints import Constraint, jacobian_by
from optimizers.problem.problem import Problem


class FreeVariables:
    """The variables that the bounds leave free, if ``strip``, and the map back to all of them."""

    def __init__(self, problem: Problem, strip: bool) -> None:
        #: The problem with all its variables.
        self.problem = problem
        #: Which variables are free, shape (n,).
        self.mask: NDArray[np.bool_] = np.ones(problem.n, dtype=bool)
        self._strips = strip
        if strip and problem.lower is not None:
            self.mask = problem.lower != problem.upper
        #: Whether all are.
        self.is_all = bool(self.mask.all())

    @property
    def x0(self) -> Array:
        """The start of the free variables, as a new array."""
        return self.problem.x0[self.mask]

    @property
    def bounds(self) -> scipy.optimize.Bounds | None:
        """The bounds of the free variables."""
        lower, upper = self.problem.lower, self.problem.upper
        if lower is None or upper is None:
            return None
        kept = np.broadcast_to(self.problem.keep_feasible, self.mask.shape)
        return scipy.optimize.Bounds(lower[self.mask], upper[self.mask], kept[self.mask])

    def constraints(self, are_differences_ours: bool) -> list[Any]:
        """Return the constraints as functions of the free variables.

        They are called inside the bounds, like the objective, and so are their differences if these
        are computed here.
        """
        if not self.is_all:
            return [
                scipy.optimize.NonlinearConstraint(self.function(c.fun), c.lower, c.upper)
                for c in self.problem.constraints
            ]
        return [
            self._with_differences(c) if are_differences_ours else self._dense(c.for_scipy)
            for c in self.problem.constraints
        ]

    def _dense(self, constraint: Any) -> Any:
        """Return a constraint without a sparse matrix if the method does not support it."""
        if self._strips and issparse(getattr(constraint, "A", None)):
            constraint = copy.copy(constraint)
            constraint.A = constraint.A.toarray()
        return constraint

    def _with_differences(self, constraint: Constraint) -> Any:
        """Return a constraint whose Jacobian by differences, if any, stays inside the bounds."""
        given, box = constraint.for_scipy, self.bounds
        if box is None or isinstance(given, scipy.optimize.LinearConstraint):
            return given
        if isinstance(given, dict) and not callable(given.get("jac")):
            given = scipy.optimize.NonlinearConstraint(
                constraint.fun, constraint.lower, constraint.upper, given.get("jac") or "2-point"
            )
        # Complex steps stay inside anyway, and only SciPy has sparse differences. It does not
        # combine differences for the Jacobian with differences for the Hessian, and says so.
        is_ours = isinstance(given, scipy.optimize.NonlinearConstraint) and (
            given.jac in ("2-point", "3-point")
            and given.finite_diff_jac_sparsity is None
            and not isinstance(given.hess, str)
        )
        if not is_ours:
            return given
        source = Differences(given.jac, relative_step=given.finite_diff_rel_step)
        latest: dict[bytes, Any] = {}  # usually the point of the next Jacobian

        def fun(x: Array) -> Any:
            latest.clear()
            latest[x.tobytes()] = values = given.fun(x)
            return values

        def jac(x: Array) -> Array:
            x = self.problem.clip(x)
            known = latest.get(x.tobytes())
            here = np.atleast_1d(given.fun(x) if known is None else known)
            return jacobian_by(source, given.fun, x, here, (box.lb, box.ub))

        inner = copy.copy(given)
        inner.fun, inner.jac = fun, jac
        return inner

    def whole(self, x: Array) -> Array:
        """Return all variables, given the free ones."""
        if self.is_all:
            return x
        whole = self.problem.x0.copy()
        whole[self.mask] = x
        return whole

    def part(self, vector: Array) -> Array:
        """Return the free ones of all variables, without a copy if possible."""
        return vector if self.is_all else vector[self.mask]

    def columns(self, matrix: Any) -> Any:
        """Return the columns of a Jacobian that belong to the free variables."""
        if self.is_all:
            return matrix
        if isinstance(matrix, LinearOperator):
            return matrix @ aslinearoperator(np.eye(self.mask.size)[:, self.mask])
        return matrix[:, self.mask]

    def function(self, function: Callable[[Array], Any]) -> Callable[[Array], Any]:
        """Return a function of all variables as one of the free ones."""
        return function if self.is_all else lambda x: function(self.whole(x))
