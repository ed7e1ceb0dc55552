"""Problem: what is minimized, checked and normalized. The only place that reads user input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optimizers._types import Array, ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.errors import CapabilityError, InvalidInputError, warn_user
from optimizers.evaluation.arguments import value_alone
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.marks import loss_of, takes_shots, with_own_loss
from optimizers.gradients.source import Jacobian
from optimizers.problem.bounds import as_bounds, as_start, inside, middle
from optimizers.problem.constraints import Constraint, as_constraints
from optimizers.problem.derivatives import By, Derivatives, Joint, as_derivatives
from optimizers.problem.hessian import as_hessian
from optimizers.problem.leaf import is_plain
from optimizers.problem.negated import negated
from optimizers.problem.parameters import Parameters, parameters_of
from optimizers.problem.translated import translated
from optimizers.support import SupportLevel, SupportLevels, absent_level


@dataclass(frozen=True)
class Problem:
    """A minimization problem in the form that all algorithms share.

    ``Problem.check`` makes one from the user's input.

    Parameters
    ----------
    fun : callable
        The objective.
    x0 : ndarray of float64, shape (n,)
        The start, inside the bounds; a copy.
    derivatives : Derivatives
        How the gradient is obtained.
    lower, upper : ndarray of float64, shape (n,), or None
        The bounds, infinite where there is none; None when no variable has any.
    keep_feasible : bool or ndarray of bool, shape (n,)
        Which of them no iterate may leave, as in SciPy's ``Bounds``.
    constraints : sequence of Constraint
        The constraints.
    hess, hessp : callable, scheme name, update strategy or None
        The Hessian and its product with a vector, as in SciPy.
    loss : Loss or None
        How the value is computed from residuals; None if the objective returns a value.
    parameters : Parameters or None
        The user's variables; None if they are the vector itself.
    """

    fun: Objective
    x0: Array
    derivatives: Derivatives = field(default_factory=By)
    lower: Array | None = None
    upper: Array | None = None
    keep_feasible: Any = False
    constraints: Sequence[Constraint] = field(default=())
    hess: Any = None
    hessp: Callable[..., Any] | None = None
    loss: Loss | None = None
    parameters: Parameters | None = None
    #: The factor of the values that the user sees: -1 if these are maximized.
    sign: float = 1.0
    #: Whether the user gave the start; else it is the middle of the bounds.
    has_start: bool = True

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
        scale: Any = None,
        maximize: bool = False,
    ) -> "Problem":
        """Check and normalize a user's problem for an algorithm with given support levels.

        Parameters
        ----------
        name : str
            The algorithm's name, for messages.
        levels : dict of str to SupportLevel
            The algorithm's capabilities.
        fun, x0, jac, bounds, constraints, hess, hessp, maximize
            As in :meth:`Optimizer.minimize`. None of them is changed.
        scale : str or array_like, optional
            The setting of that name.

        Returns
        -------
        Problem
            The problem, without arguments that the algorithm ignores (with a warning).

        Raises
        ------
        InvalidInputError
            If an argument cannot be used.
        CapabilityError
            If the algorithm requires a missing argument or cannot honor a given one.
        """
        if not callable(fun):
            raise InvalidInputError(f"fun is {fun!r}, expected a callable fun(x) -> float.")
        if not (hessp is None or callable(hessp)):
            raise InvalidInputError(f"hessp is {hessp!r}, expected a callable hessp(x, p) -> (n,).")
        has_start, level = x0 is not None, levels.get("initial_point", SupportLevel.required)
        if not has_start and level < SupportLevel.required:
            if bounds is None:
                _is_used(name, "bounds", levels, False)
            else:
                x0 = middle(bounds)
        parameters = parameters_of(x0, bounds, scale)
        if parameters is not None:
            if is_plain(x0):  # the structure of any other is used
                _is_used(name, "initial_point", levels, has_start)
            given: dict[str, Any] = {"constraints": constraints, "hess": hess, "hessp": hessp}
            given = translated(parameters, fun, jac, **given)
            levels = {**levels, "initial_point": SupportLevel.supported}
            problem = cls.check(name, levels, **given, maximize=maximize)
            return replace(problem, parameters=parameters, has_start=has_start)
        level = levels.get("residuals", absent_level("residuals"))
        fun = with_own_loss(fun, is_required=level == SupportLevel.required)
        loss = loss_of(fun)
        if loss is not None:
            _is_used(name, "residuals", levels, True)
        if takes_shots(fun) and (loss is not None or jac is True):
            other = "jac=True was given" if loss is None else "it is marked by residuals too"
            raise InvalidInputError(
                f"fun is marked by shots and returns (value, standard error), but {other}: pass "
                "the gradient as jac=..., or None."
            )
        if maximize:
            as_derivatives(jac)
            fun, jac, hess, hessp = negated(fun, jac, hess, hessp, np.asarray(x0).size)
        derivatives = as_derivatives(jac)
        told = {
            "gradient": derivatives.jac is not None,
            "initial_point": has_start,
            "constraints": is_given(constraints),
            # Residuals have the Gauss-Newton Hessian, if the algorithm uses one.
            "hessian": hess is not None
            or hessp is not None
            or (loss is not None and levels.get("hessian", 0) >= SupportLevel.supported),
        }
        used = {what: _is_used(name, what, levels, is_given) for what, is_given in told.items()}
        if not used["gradient"]:
            fun = value_alone(fun) if isinstance(derivatives, Joint) else fun
            derivatives = By()
        start = as_start(x0)
        if isinstance(derivatives, By) and derivatives.source is not None:
            derivatives.source.check(start.size)
        # Read before any warning: Qiskit's VQE passes (None, None) for each variable, which means
        # that there are no bounds.
        lower, upper = as_bounds(bounds, start.size)
        if not _is_used(name, "bounds", levels, lower is not None):
            lower = upper = None
        return cls(
            fun=fun,
            x0=inside(start, lower, upper),
            derivatives=derivatives,
            lower=lower,
            upper=upper,
            keep_feasible=getattr(bounds, "keep_feasible", False),
            constraints=(
                as_constraints(constraints, start.size, (lower, upper))
                if used["constraints"]
                else ()
            ),
            hess=as_hessian(hess, fun, derivatives, loss) if used["hessian"] else None,
            hessp=hessp if used["hessian"] else None,
            loss=loss,
            sign=-1.0 if maximize else 1.0,
            has_start=has_start,
        )

    @property
    def n(self) -> int:
        """The number of variables."""
        return self.x0.size

    @property
    def bounds(self) -> list[tuple[float, float]] | None:
        """The bounds as pairs, as a user gives them."""
        if self.lower is None or self.upper is None:
            return None
        return list(zip(self.lower.tolist(), self.upper.tolist(), strict=True))

    @property
    def box(self) -> tuple[Array, Array]:
        """The bounds as two vectors, infinite where there is none."""
        if self.lower is None or self.upper is None:
            return np.full(self.n, -np.inf), np.full(self.n, np.inf)
        return self.lower, self.upper

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
        """Return the largest violation of a constraint at ``x``; 0.0 if there is none."""
        return max([constraint.violation(x) for constraint in self.constraints], default=0.0)


def is_given(constraints: ConstraintsLike) -> bool:
    """Return whether there are constraints."""
    if isinstance(constraints, Sequence):
        return len(constraints) > 0
    return constraints is not None


_ARGUMENTS = {"gradient": "jac", "initial_point": "x0", "hessian": "hess or hessp"}


#: Which optimizers support what most do not.
_ABLE = {
    "constraints": "COBYLA, COBYQA, DifferentialEvolution, NLopt, SHGO, SLSQP or TrustConstr",
    "hessian": "NewtonCG, TrustExact, TrustKrylov or TrustConstr",
}


def _is_used(name: str, what: str, levels: SupportLevels, is_given: bool) -> bool:
    """Return whether the algorithm uses an argument; raise an error or warn if it cannot."""
    level = levels.get(what, absent_level(what))
    argument = _ARGUMENTS.get(what, what)
    if level == SupportLevel.required and not is_given:
        raise CapabilityError(f"{name} requires {argument}: pass it to minimize.")
    if not is_given or level >= SupportLevel.supported:
        return is_given
    if level == SupportLevel.not_supported:
        able = _ABLE.get(what, f"one of available({what}='supported')")
        raise CapabilityError(f"{name} cannot honor {argument}: omit the argument, or use {able}.")
    able = f" {_ABLE[what]} would use it." if what in _ABLE else ""
    warn_user(f"{name} ignores {argument}: the result does not depend on it.{able}")
    return False
