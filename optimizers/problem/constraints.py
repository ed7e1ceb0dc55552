"""Constraints in SciPy's forms: checked, with checked functions, and violations measured."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.sparse import issparse

from optimizers._arrays import as_numbers
from optimizers._types import Array, ConstraintsLike
from optimizers.errors import CrossedBoundsError, InvalidInputError
from optimizers.evaluation.answers import as_matrix, as_numeric, shaped
from optimizers.gradients.pennylane import trainable
from optimizers.gradients.source import GradientSource
from optimizers.problem.hessian import is_hessian, is_scheme

_Box: TypeAlias = tuple[Array | None, Array | None]


@dataclass(frozen=True)
class Constraint:
    """One constraint, possibly of several components: ``lower <= fun(x) <= upper``."""

    #: In SciPy's form; the user's functions in it get copies.
    for_scipy: Any
    fun: Callable[[Array], Any]
    lower: Any
    upper: Any
    #: The first value of the user's function that was not finite, in words.
    not_finite: list[str]

    @property
    def has_jac(self) -> bool:
        """Whether the derivatives are given."""
        given = self.for_scipy
        jac = given.get("jac") if isinstance(given, dict) else getattr(given, "jac", callable)
        return callable(jac)

    def violation(self, x: Array) -> float:
        """Return the largest violation of a component at ``x``; 0.0 if there is none."""
        values = np.atleast_1d(self.fun(x))
        misses = np.maximum(self.lower - values, values - self.upper)
        worst = float(np.max(misses, initial=0.0))
        return np.inf if np.isnan(worst) else worst


def jacobian_by(
    source: GradientSource, fun: Callable[[Array], Any], x: Array, here: Array, box: _Box
) -> Array:
    """Return the Jacobian of a constraint by differences inside the bounds, shape (m, n)."""
    plan = source.plan(x, *box)
    probes = np.array([np.atleast_1d(fun(point)) for point in plan.points])
    columns = probes.reshape(len(plan.points), here.size).T
    return np.array([plan.fold(*pair) for pair in zip(here, columns, strict=True)])


def as_constraints(
    constraints: ConstraintsLike, n: int, box: _Box = (None, None)
) -> tuple[Constraint, ...]:
    """Return a user's constraints in one form; they are not changed.

    Their functions are called inside the bounds, like the objective.
    """
    if not isinstance(constraints, Sequence):
        constraints = (constraints,)
    return tuple(_as_constraint(constraint, n, box) for constraint in constraints)


def _as_constraint(given: Any, n: int, box: _Box) -> Constraint:
    if isinstance(given, LinearConstraint):
        matrix = given.A if issparse(given.A) else as_numbers(given.A)
        if matrix.shape[1:] != (n,) or not np.isfinite(matrix.sum()):
            raise InvalidInputError(
                f"A of a LinearConstraint is {given.A!r:.200}, expected finite numbers of shape "
                f"(m, {n}): a column for each variable."
            )
        plain = LinearConstraint(matrix, *_limits(given)[:2], given.keep_feasible)
        return Constraint(plain, lambda x: matrix @ x, plain.lb, plain.ub, [])
    if isinstance(given, NonlinearConstraint):
        guarded, not_finite = _guarded(given, n, box)
        return Constraint(guarded, guarded.fun, guarded.lb, guarded.ub, not_finite)
    if (
        isinstance(given, dict)
        and isinstance(given.get("type"), str)
        and given["type"] in ("eq", "ineq")
        and callable(given.get("fun"))
    ):
        args, jac = given.get("args", ()), given.get("jac")
        if not isinstance(args, tuple | list | np.ndarray):
            raise InvalidInputError(f"args of a constraint is {args!r}, expected a tuple.")
        limit, jac = 0.0 if given["type"] == "eq" else np.inf, "2-point" if jac is None else jac
        guarded, not_finite = _guarded(NonlinearConstraint(given["fun"], 0.0, limit, jac), n, box)
        plain = {**given, "fun": guarded.fun, "args": tuple(args)}
        if callable(jac):
            plain["jac"] = guarded.jac
        return Constraint(plain, lambda x: guarded.fun(x, *args), 0.0, limit, not_finite)
    raise InvalidInputError(
        f"A constraint is {given!r}, expected scipy.optimize.LinearConstraint, "
        "NonlinearConstraint or a dict with 'type' ('eq' or 'ineq') and 'fun'."
    )


def _guarded(
    given: NonlinearConstraint, n: int, box: _Box
) -> tuple[NonlinearConstraint, list[str]]:
    """Return a constraint whose functions are called inside the bounds and checked.

    The second item is what they returned that is not finite.
    """
    step, (lower, upper, size) = given.finite_diff_rel_step, _limits(given)
    usable = {
        "fun": callable(given.fun),
        "jac": callable(given.jac) or is_scheme(given.jac),
        "hess": is_hessian(given.hess),
        "finite_diff_rel_step": step is None or _is_each(as_numbers(step), n),
    }
    for name, is_usable in usable.items():
        if not is_usable:
            raise InvalidInputError(
                f"{name} of a constraint is {getattr(given, name)!r:.200}, expected a value that "
                "scipy.optimize.NonlinearConstraint accepts."
            )
    functions = _Functions(given, n, box, size)
    guarded = NonlinearConstraint(
        functions.values,
        lower,
        upper,
        jac=functions.jacobian if callable(given.jac) else given.jac,
        # A Hessian update strategy keeps state: the run uses a copy.
        hess=functions.hessian if callable(given.hess) else deepcopy(given.hess),
        keep_feasible=given.keep_feasible,
        finite_diff_rel_step=step,
        finite_diff_jac_sparsity=given.finite_diff_jac_sparsity,
    )
    return guarded, functions.not_finite


class _Functions:
    """A constraint's functions: they get copies inside the bounds, and their answers are checked.

    ``size`` is how many components there are, or 1 if that is not known yet.
    """

    def __init__(self, given: NonlinearConstraint, n: int, box: _Box, size: int) -> None:
        self._given, self._n, self._box = given, n, box
        self._jac = trainable(given.jac)
        self._size = None if size == 1 else size
        self.not_finite: list[str] = []

    def _inside(self, x: Array) -> Array:
        return np.copy(x) if self._box[0] is None else np.clip(x, *self._box)

    def values(self, x: Array, *args: Any) -> Any:
        """Return the components, shape (m,), or () for a single one."""
        raw = self._given.fun(self._inside(x), *args)
        dtype = np.complex128 if np.iscomplexobj(x) else np.float64
        values = as_numeric(raw, "A constraint", dtype)
        if values.ndim > 1 and values.size == max(values.shape):
            values = values.reshape(-1)
        self._size = values.size if self._size is None else self._size
        if not np.isfinite(values).all():
            name = getattr(self._given.fun, "__name__", repr(self._given.fun))
            self.not_finite[:] = [f"{name:.80} returned {values} at x = {x}"]
        sizes = ((self._size,),) if self._size != 1 else ((), (1,))
        return shaped(values, sizes, "A constraint")

    def jacobian(self, x: Array, *args: Any) -> Any:
        """Return their derivatives, shape (m, n), or (n,) for a single one."""
        raw, m, n = self._jac(self._inside(x), *args), self._size or 1, self._n
        return as_matrix(raw, ((m, n), (n,)) if m == 1 else ((m, n),), "jac of a constraint")

    def hessian(self, x: Array, v: Array) -> Any:
        """Return the sum of their Hessians, weighted by ``v``."""
        raw = self._given.hess(self._inside(x), np.copy(v))
        return as_matrix(raw, ((self._n, self._n),), "hess of a constraint")


def _is_each(numbers: Array, n: int) -> bool:
    return numbers.shape in ((), (1,), (n,)) and bool(np.isfinite(numbers).all())


def _limits(given: Any) -> tuple[Array, Array, int]:
    """Return the limits of a constraint, and the number of components they are given for."""
    lower, upper, kept = map(as_numbers, (given.lb, given.ub, given.keep_feasible))
    sizes = {a.size for a in (lower, upper, kept) if a.shape not in ((), (1,))}
    is_vector = len(sizes) <= 1 and max(a.ndim for a in (lower, upper, kept)) <= 1
    is_vector &= (lower.size == 0) == (upper.size == 0)
    if not is_vector or any(np.isnan(a).any() for a in (lower, upper, kept)):
        raise InvalidInputError(
            f"lb, ub and keep_feasible of a constraint are {given.lb!r:.80}, {given.ub!r:.80} and "
            f"{given.keep_feasible!r:.80}, expected real numbers, one for all components or one "
            "for each; an infinity means no limit."
        )
    if (lower == np.inf).any() or (upper == -np.inf).any():
        raise CrossedBoundsError(
            f"lb and ub of a constraint are {given.lb!r:.80} and {given.ub!r:.80}: no number is "
            "between them."
        )
    return lower, upper, max(sizes, default=1)
