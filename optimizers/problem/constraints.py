"""Constraints as SciPy takes them: user functions get copies, and misses are measured."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import LinearConstraint, NonlinearConstraint

from optimizers._types import Array, ConstraintsLike
from optimizers.errors import InvalidInputError

_Box: TypeAlias = tuple[Array | None, Array | None]


@dataclass(frozen=True)
class Constraint:
    """One constraint, possibly of several components: ``lower <= fun(x) <= upper``."""

    #: In the form that SciPy takes; user functions in it get copies.
    for_scipy: Any
    fun: Callable[[Array], Any]
    lower: Any
    upper: Any

    def violation(self, x: Array) -> float:
        """Return by how much ``x`` fails the worst component; 0.0 when it meets all."""
        values = np.atleast_1d(np.asarray(self.fun(x), dtype=np.float64))
        misses = np.maximum(self.lower - values, values - self.upper)
        worst = float(np.max(misses, initial=0.0))
        return np.inf if np.isnan(worst) else worst


def as_constraints(
    constraints: ConstraintsLike, lower: Array | None = None, upper: Array | None = None
) -> tuple[Constraint, ...]:
    """Return a user's constraints, as SciPy takes them, in one form; they are not changed.

    Their functions are asked inside the bounds, as the objective is.
    """
    if not isinstance(constraints, Sequence):
        constraints = (constraints,)
    return tuple(_as_constraint(constraint, (lower, upper)) for constraint in constraints)


def _as_constraint(given: Any, box: _Box) -> Constraint:
    if isinstance(given, LinearConstraint):
        matrix = given.A
        return Constraint(given, lambda x: matrix @ x, given.lb, given.ub)
    if isinstance(given, NonlinearConstraint):
        fun = _inside(given.fun, box)
        guarded = NonlinearConstraint(
            fun,
            given.lb,
            given.ub,
            jac=_inside(given.jac, box),
            hess=_inside(given.hess, box),
            keep_feasible=given.keep_feasible,
            finite_diff_rel_step=given.finite_diff_rel_step,
            finite_diff_jac_sparsity=given.finite_diff_jac_sparsity,
        )
        return Constraint(guarded, fun, given.lb, given.ub)
    if (
        isinstance(given, dict)
        and given.get("type") in ("eq", "ineq")
        and callable(given.get("fun"))
    ):
        args = given.get("args", ())
        guarded = {key: _inside(value, box) for key, value in given.items()}
        fun = guarded["fun"]
        upper = 0.0 if given["type"] == "eq" else np.inf
        return Constraint(guarded, lambda x: fun(x, *args), 0.0, upper)
    raise InvalidInputError(
        f"A constraint is {given!r}, expected scipy.optimize.LinearConstraint, "
        "NonlinearConstraint or a dict with 'type' ('eq' or 'ineq') and 'fun'."
    )


def _inside(fun: Any, box: _Box) -> Any:
    """Return a user function that gets copies, inside the bounds; others stay as they are."""
    if not callable(fun):
        # A Hessian update strategy keeps state: the run works on its own.
        return deepcopy(fun)
    if box[0] is None:
        return lambda x, *args: fun(np.copy(x), *args)
    return lambda x, *args: fun(np.clip(x, *box), *args)
