"""Problem: what is minimised, checked and normalised. The only place that reads user input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import countOf, itemgetter
from typing import Any

import numpy as np
from scipy.optimize import Bounds

from optimizers._types import Array, ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.errors import CapabilityError, CrossedBoundsError, InvalidInputError, warn_user
from optimizers.evaluation.answers import unpack
from optimizers.evaluation.evaluator import is_vectorized, vectorized
from optimizers.gradients.differences import SCHEMES
from optimizers.gradients.pennylane import trainable
from optimizers.gradients.source import GradientSource, Jacobian
from optimizers.problem.constraints import Constraint, as_constraints
from optimizers.support import SupportLevel, SupportLevels


@dataclass(frozen=True)
class Problem:
    """A minimisation problem in the form that all algorithms share.

    ``Problem.check`` makes one of what a user gave.

    Parameters
    ----------
    fun : callable
        The objective.
    x0 : ndarray of float64, shape (n,)
        The start, inside the bounds; an array of the problem's own.
    jac : callable, GradientSource, scheme name, True or None
        How the gradient is had.
    lower, upper : ndarray of float64, shape (n,), or None
        The bounds, infinite where there is none; None when no variable has any.
    constraints : sequence of Constraint
        The constraints.
    hess, hessp : callable, scheme name, update strategy or None
        The Hessian and its product with a vector, as in SciPy.
    """

    fun: Objective
    x0: Array
    jac: Jacobian = None
    lower: Array | None = None
    upper: Array | None = None
    constraints: Sequence[Constraint] = field(default=())
    hess: Any = None
    hessp: Callable[..., Any] | None = None

    @classmethod
    def check(
        cls,
        name: str,
        levels: SupportLevels,
        fun: Objective,
        x0: ArrayLike | None,
        jac: Jacobian = None,
        bounds: BoundsLike = None,
        *,
        constraints: ConstraintsLike = (),
        hess: Any = None,
        hessp: Callable[..., Any] | None = None,
    ) -> "Problem":
        """Check and normalise a user's problem for an algorithm with given support levels.

        Parameters
        ----------
        name : str
            The algorithm's name, for messages.
        levels : dict of str to SupportLevel
            What the algorithm can take.
        fun, x0, jac, bounds, constraints, hess, hessp
            As in :meth:`Optimizer.minimize`. None of them is changed.

        Returns
        -------
        Problem
            The problem without what the algorithm ignores (a warning says so).

        Raises
        ------
        InvalidInputError
            If an argument cannot be used.
        CapabilityError
            If the algorithm requires what is missing or cannot honour what is given.
        """
        if not callable(fun):
            raise InvalidInputError(f"fun is {fun!r}, expected a callable fun(x) -> float.")
        if isinstance(jac, type) and issubclass(jac, GradientSource):
            raise InvalidInputError(f"jac is a class, expected an instance: {jac.__name__}().")
        is_scheme = isinstance(jac, GradientSource) or (isinstance(jac, str) and jac in SCHEMES)
        if not (jac is None or isinstance(jac, bool) or callable(jac) or is_scheme):
            raise InvalidInputError(
                f"jac is {jac!r}, expected a callable, True, a GradientSource such as Differences, "
                f"or one of {SCHEMES}."
            )
        jac = None if jac is False else jac
        given = {
            "gradient": jac is not None,
            "initial_point": x0 is not None,
            "constraints": _is_given(constraints),
            "hessian": hess is not None or hessp is not None,
        }
        used = {what: _is_used(name, what, levels, is_given) for what, is_given in given.items()}
        if jac is True and not used["gradient"]:
            fun = value_alone(fun)
        start = as_start(x0)
        if isinstance(jac, GradientSource) and used["gradient"]:
            jac.check(start.size)
        # Read before anything is said of them: Qiskit's VQE gives (None, None) for each variable,
        # which is no bounds, and nothing to warn of.
        lower, upper = as_bounds(bounds, start.size)
        if not _is_used(name, "bounds", levels, lower is not None):
            lower = upper = None
        return cls(
            fun=fun,
            x0=inside(start, lower, upper),
            jac=trainable(jac) if used["gradient"] else None,
            lower=lower,
            upper=upper,
            constraints=as_constraints(constraints) if used["constraints"] else (),
            hess=hess if used["hessian"] else None,
            hessp=hessp if used["hessian"] else None,
        )

    @property
    def n(self) -> int:
        """The number of variables."""
        return self.x0.size

    @property
    def is_fixed(self) -> bool:
        """Whether the bounds leave no variable free."""
        return self.n == 0 or (self.lower is not None and bool(np.all(self.lower == self.upper)))

    def clip(self, x: Array) -> Array:
        """Return the point of the box that is nearest to ``x``, as a new array."""
        if self.lower is None or self.upper is None:
            return x.copy()
        clipped: Array = np.maximum(x, self.lower)
        return np.minimum(clipped, self.upper, out=clipped)

    def violation(self, x: Array) -> float:
        """Return by how much ``x`` fails the worst constraint; 0.0 when it meets all."""
        return max((constraint.violation(x) for constraint in self.constraints), default=0.0)


def as_start(x0: ArrayLike | None) -> Array:
    """Return a start as a float64 vector of its own.

    Parameters
    ----------
    x0 : float or array_like of shape (n,)
        The start; a number means one variable.

    Returns
    -------
    ndarray of float64, shape (n,)
        A copy.

    Raises
    ------
    InvalidInputError
        If it is not a vector of finite real numbers.
    """
    try:
        raw = np.asarray(x0)
        if raw.dtype.kind not in "biuf":
            raise ValueError(f"it has dtype {raw.dtype}")
    except ValueError as error:
        raise InvalidInputError(
            f"x0 is {x0!r} ({error}), expected a number or a vector of real numbers."
        ) from None
    if raw.ndim > 1:
        raise InvalidInputError(
            f"x0 has shape {raw.shape}, expected one dimension: pass x0.ravel()."
        )
    start = np.array(raw, dtype=np.float64, ndmin=1)
    if not np.isfinite(start).all():
        index = int(np.flatnonzero(~np.isfinite(start))[0])
        raise InvalidInputError(f"x0[{index}] is {start[index]}, expected finite numbers.")
    return start


def as_bounds(bounds: BoundsLike, n: int) -> tuple[Array | None, Array | None]:
    """Return bounds as two vectors, or two Nones when no variable has any.

    Parameters
    ----------
    bounds : sequence of pairs, array_like of shape (n, 2), scipy.optimize.Bounds or None
        None or an infinity in a pair means no bound on that side.
    n : int
        The number of variables.

    Returns
    -------
    lower, upper : ndarray of float64, shape (n,), or None
        The bounds, infinite where there is none.

    Raises
    ------
    InvalidInputError
        If the shape is wrong or a bound is NaN.
    CrossedBoundsError
        If a lower bound is above the upper one.

    Examples
    --------
    >>> as_bounds([(0, None), (None, 2)], 2)
    (array([ 0., -inf]), array([inf,  2.]))
    """
    if bounds is None:
        return None, None
    if isinstance(bounds, Bounds):
        try:
            lower = np.array(np.broadcast_to(bounds.lb, n), dtype=np.float64)
            upper = np.array(np.broadcast_to(bounds.ub, n), dtype=np.float64)
        except ValueError:
            raise InvalidInputError(
                f"bounds have shapes {np.shape(bounds.lb)} and {np.shape(bounds.ub)}, "
                f"expected one number or {n} each."
            ) from None
    else:
        lower, upper = _columns(bounds, n) or _pairs(bounds, n)
    # Few passes: there may be 10^6 variables. NaN fails the comparison too.
    highest, lowest = lower.max(initial=-np.inf), upper.min(initial=np.inf)
    if highest == np.inf or lowest == -np.inf or not (lower <= upper).all():
        raise _named_error(lower, upper)
    if highest == -np.inf and lowest == np.inf:
        return None, None
    return lower, upper


def _named_error(lower: Array, upper: Array) -> InvalidInputError:
    """Return the error for bounds that cannot be used."""
    for side, values in (("lower", lower), ("upper", upper)):
        if np.isnan(values).any():
            return InvalidInputError(
                f"The {side} bound of variable {int(np.flatnonzero(np.isnan(values))[0])} is NaN; "
                "write None or an infinity for no bound."
            )
    i = int(np.flatnonzero((lower > upper) | (lower == np.inf) | (upper == -np.inf))[0])
    return CrossedBoundsError(
        f"bounds[{i}] is ({lower[i]}, {upper[i]}): the lower bound is above the upper one "
        "or no number lies between them."
    )


def inside(x0: Array, lower: Array | None, upper: Array | None) -> Array:
    """Return the start inside the bounds; a start outside is clipped, and a warning says so."""
    if lower is None or upper is None:
        return x0
    clipped: Array = np.maximum(x0, lower)
    np.minimum(clipped, upper, out=clipped)
    differs = clipped != x0
    if differs.any():
        moved = np.flatnonzero(differs)
        i = int(moved[0])
        warn_user(
            f"x0 is outside the bounds in {moved.size} variable(s), first x0[{i}] = {x0[i]}; "
            f"it was clipped to them, x0[{i}] = {clipped[i]}."
        )
    return clipped


def _columns(bounds: Any, n: int) -> tuple[Array, Array] | None:
    """Return the bounds in a list of pairs; None if they are written in any other way.

    What :func:`_pairs` does in general, in a third of the time: there may be 10^6 pairs, and no
    loop over them is one of Python's.
    """
    if type(bounds) not in (list, tuple) or len(bounds) != n or n == 0:
        return None
    kind = type(bounds[0])
    if kind not in (list, tuple) or countOf(map(type, bounds), kind) != n:
        return None
    if countOf(map(len, bounds), 2) != n:
        return None
    columns = []
    try:
        for side, infinity in ((0, -np.inf), (1, np.inf)):
            column = np.fromiter(map(itemgetter(side), bounds), np.float64, count=n)
            # Reads None as NaN; if all NaN are None, no closer look is needed.
            missing = np.isnan(column)
            if missing.any():
                if countOf(map(itemgetter(side), bounds), None) != np.count_nonzero(missing):
                    return None
                column[missing] = infinity
            columns.append(column)
    except (TypeError, ValueError):  # no numbers
        return None
    return columns[0], columns[1]


def _pairs(bounds: Any, n: int) -> tuple[Array, Array]:
    try:
        # float conversion reads None as NaN, in compiled code.
        bounds = bounds if hasattr(bounds, "__len__") else list(bounds)
        if getattr(bounds, "dtype", np.dtype(float)).kind == "c":
            raise ValueError("complex")
        pairs = np.asarray(bounds, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"bounds is {bounds!r:.200}, expected a list of (low, high) pairs, an (n, 2) array "
            "or scipy.optimize.Bounds."
        ) from None
    if pairs.shape != (n, 2) and not (n == 0 and pairs.size == 0):
        raise InvalidInputError(
            f"bounds have shape {pairs.shape}, expected ({n}, 2): one (low, high) pair for each "
            "variable."
        )
    lower, upper = pairs.reshape(n, 2).T.copy()
    if np.isnan(pairs).any():
        # None and NaN became the same: only None may stand for no bound.
        entries = np.array(bounds, dtype=object).reshape(n, 2)
        absent = np.equal(entries, np.array(None, dtype=object)).astype(bool)
        lower[absent[:, 0]], upper[absent[:, 1]] = -np.inf, np.inf
    return lower, upper


def _is_given(constraints: ConstraintsLike) -> bool:
    if isinstance(constraints, Sequence):
        return len(constraints) > 0
    return constraints is not None


_ARGUMENTS = {"gradient": "jac", "initial_point": "x0", "hessian": "hess or hessp"}


def value_alone(fun: Objective) -> Objective:
    """Return an objective without the gradient that comes with its value and is of no use."""

    def alone(x: Array) -> Any:
        return unpack(fun(x))[0]

    return vectorized(alone) if is_vectorized(fun) else alone


def _is_used(name: str, what: str, levels: SupportLevels, is_given: bool) -> bool:
    """Return whether the algorithm uses what is given; an error or a warning if it does not."""
    level = levels.get(what, SupportLevel.not_supported)
    argument = _ARGUMENTS.get(what, what)
    if level == SupportLevel.required and not is_given:
        raise CapabilityError(f"{name} requires {argument}: pass it to minimize.")
    if not is_given or level >= SupportLevel.supported:
        return is_given
    if level == SupportLevel.not_supported:
        raise CapabilityError(
            f"{name} cannot honour {argument}: leave it out, or take an optimizer that does "
            "(python -m optimizers list)."
        )
    warn_user(f"{name} ignores {argument}: the result does not depend on it.")
    return False
