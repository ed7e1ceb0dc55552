"""A problem without its fixed variables, for methods that stumble over them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.problem.problem import Problem


class FreeVariables:
    """The variables that the bounds leave free, if ``strip``, and the way back to all of them."""

    def __init__(self, problem: Problem, strip: bool) -> None:
        #: The problem with all its variables.
        self.problem = problem
        #: Which variables are free, shape (n,).
        self.mask: NDArray[np.bool_] = np.ones(problem.n, dtype=bool)
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
        return scipy.optimize.Bounds(lower[self.mask], upper[self.mask])

    @property
    def constraints(self) -> list[Any]:
        """The constraints as functions of the free variables."""
        if self.is_all:
            return [constraint.for_scipy for constraint in self.problem.constraints]
        return [
            scipy.optimize.NonlinearConstraint(self.function(c.fun), c.lower, c.upper)
            for c in self.problem.constraints
        ]

    def whole(self, x: Array) -> Array:
        """Return all variables, given the free ones."""
        if self.is_all:
            return x
        whole = self.problem.x0.copy()
        whole[self.mask] = x
        return whole

    def part(self, vector: Array) -> Array:
        """Return the free ones of all variables, without a copy if that may be: it may be large."""
        return vector if self.is_all else vector[self.mask]

    def function(self, function: Callable[[Array], Any]) -> Callable[[Array], Any]:
        """Return a function of all variables as one of the free ones."""
        return function if self.is_all else lambda x: function(self.whole(x))
