"""What is known of each method of :func:`scipy.optimize.minimize`: one row a method.

A new method is a row here and, with the constructor that its users expect, a class of about ten
lines in one of the modules beside this one.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.optimize

from optimizers._types import Array
from optimizers.options.table import LEVEL, NUMBER, Option, anything
from optimizers.result import StopReason as Stop
from optimizers.scipy.options import LBFGSB_OPTIONS, TNC_OPTIONS, like, shared
from optimizers.support import SupportLevel as Level
from optimizers.support import SupportLevels, levels


@dataclass(frozen=True)
class Method:
    """What is known of one method.

    Parameters
    ----------
    options : tuple of Option
        Its options; ``disp``, ``maxfun`` and those of differences need not be among them.
    gradient, bounds, constraints, hessian : SupportLevel
        What it can take.
    joint : bool
        Whether it wants the gradient at each point where it wants the value, so that both are
        best evaluated in one wave.
    differences : tuple of str
        The options that set the steps of finite differences.
    tol : tuple of str
        The options that ``tol`` stands for.
    budget : tuple of str
        The options that limit the number of points, of which the smallest holds.
    counted_by_run : bool
        Whether ``maxiter`` is the run's to count, since the method's own option of that name
        counts something else.
    renamed : mapping of str to str
        SciPy's names of options that are called otherwise here.
    asks_twice : bool
        Whether it asks for points again and counts that: its own limit would come too early.
    callable_hessian : bool
        Whether the Hessian must be a function, and no difference scheme will do.
    default_hessian : callable, optional
        Makes the Hessian strategy of a run where the user gives none.
    strips_fixed : bool
        Whether it takes variables without room out of the problem, and then hands callbacks and
        constraints what remains: here they are taken out before.
    stops : mapping of int to StopReason
        What its return codes mean.
    words : mapping of str to StopReason
        What parts of its message mean, where the return code does not tell: these come first.
    """

    options: tuple[Option, ...]
    gradient: Level = Level.supported
    bounds: Level = Level.ignored
    constraints: Level = Level.not_supported
    hessian: Level = Level.ignored
    joint: bool = False
    differences: tuple[str, ...] = ()
    tol: tuple[str, ...] = ()
    budget: tuple[str, ...] = ("maxfun",)
    counted_by_run: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    asks_twice: bool = False
    callable_hessian: bool = False
    strips_fixed: bool = False
    default_hessian: Callable[[], Any] | None = None
    stops: Mapping[int, Stop] = field(default_factory=dict)
    words: Mapping[str, Stop] = field(default_factory=dict)

    @functools.cached_property
    def known(self) -> dict[str, Option]:
        """All options that a user may give, by name."""
        common = shared("disp", *self.differences, *self.budget)
        return {option.name: option for option in (*common, *self.options)}

    @property
    def levels(self) -> SupportLevels:
        """What it can take."""
        return levels(
            gradient=self.gradient,
            bounds=self.bounds,
            constraints=self.constraints,
            hessian=self.hessian,
        )

    @property
    def has_own_maxfun(self) -> bool:
        """Whether ``maxfun`` is an option of the method's own, with a default, and no setting."""
        return any(option.name == "maxfun" for option in self.options)


class QuietBFGS(scipy.optimize.BFGS):  # type: ignore[misc]  # SciPy is untyped
    """SciPy's BFGS strategy, without its warning at a step that leaves the gradient as it was.

    Such steps are usual near a minimum, and the warning is about SciPy's choice, not the user's.
    """

    def update(self, delta_x: Array, delta_grad: Array) -> None:
        """Update the approximation, unless the step says nothing of the curvature."""
        if np.any(delta_grad):
            super().update(delta_x, delta_grad)


_STEPS = ("eps", "finite_diff_rel_step")
_LINE_SEARCH_STOPS = {0: Stop.GRADIENT, 1: Stop.MAXITER, 2: Stop.NO_PROGRESS, 3: Stop.FAILED}
_TRUST_REGION = Method(
    options=(
        *shared("maxiter", "initial_trust_radius", "max_trust_radius", "eta", "return_all"),
        like("gtol", default=1e-4).means("Stop when the gradient's norm is smaller."),
        *shared("subproblem_maxiter"),
    ),
    gradient=Level.required,
    hessian=Level.required,
    tol=("gtol",),
    stops={0: Stop.GRADIENT, 1: Stop.MAXITER, 2: Stop.NO_PROGRESS, 3: Stop.NO_PROGRESS},
)

METHODS: dict[str, Method] = {
    "nelder-mead": Method(
        options=(
            like("maxiter").means("Maximum number of iterations."),
            *shared("maxfev", "return_all"),
            Option("initial_simplex", None, anything("array_like of shape (n + 1, n)")).means(
                "The points that it starts from."
            ),
            Option("xatol", 1e-4, NUMBER).means(
                "Largest distance between the simplex' points that is acceptable for convergence."
            ),
            Option("fatol", 1e-4, NUMBER).means(
                "Difference of values that is acceptable for convergence."
            ),
            Option("adaptive", False, anything("bool")).means(
                "Adapt the parameters to the number of variables."
            ),
        ),
        gradient=Level.ignored,
        bounds=Level.supported,
        tol=("xatol", "fatol"),
        budget=("maxfev", "maxfun"),
        counted_by_run=True,
        stops={0: Stop.CONVERGED, 1: Stop.MAXFUN, 2: Stop.MAXITER},
    ),
    "powell": Method(
        options=(
            like("maxiter").means("Maximum number of iterations."),
            *shared("maxfev", "xtol", "ftol", "return_all"),
            Option("direc", None, anything("array_like of shape (n, n)")).means(
                "The directions at the start."
            ),
        ),
        gradient=Level.ignored,
        bounds=Level.supported,
        tol=("xtol", "ftol"),
        budget=("maxfev", "maxfun"),
        asks_twice=True,
        stops={0: Stop.CONVERGED, 1: Stop.MAXFUN, 2: Stop.MAXITER, 3: Stop.FAILED},
    ),
    "cg": Method(
        options=(
            like("maxiter", default=20).means("Maximum number of iterations."),
            *shared("gtol", "eps", "norm", "return_all", "c1"),
            like("c2", default=0.4),
        ),
        joint=True,
        differences=_STEPS,
        tol=("gtol",),
        stops=_LINE_SEARCH_STOPS,
    ),
    "bfgs": Method(
        options=(
            *shared("maxiter", "gtol", "eps", "norm", "return_all", "c1", "c2"),
            Option("xrtol", 0, NUMBER).means("Stop when the relative step is smaller."),
            Option("hess_inv0", None, anything("array_like of shape (n, n)")).means(
                "The inverse Hessian at the start; the identity by default."
            ),
        ),
        joint=True,
        differences=_STEPS,
        tol=("gtol",),
        stops=_LINE_SEARCH_STOPS,
    ),
    "newton-cg": Method(
        options=(
            *shared("maxiter", "return_all", "c1", "c2"),
            like("xtol", default=1e-5).means(
                "Average relative error in the solution that is acceptable for convergence."
            ),
            like("eps").means(
                "Step of the gradient differences that stand in for ``hess`` and ``hessp``."
            ),
        ),
        gradient=Level.required,
        hessian=Level.supported,
        tol=("xtol",),
        stops={**_LINE_SEARCH_STOPS, 0: Stop.STEP},
    ),
    "l-bfgs-b": Method(
        options=LBFGSB_OPTIONS,
        bounds=Level.supported,
        joint=True,
        differences=_STEPS,
        tol=("ftol", "gtol"),
    ),
    "tnc": Method(
        options=TNC_OPTIONS,
        bounds=Level.supported,
        joint=True,
        differences=_STEPS,
        tol=("xtol", "ftol", "gtol"),
        # Its maxfun counts f and its gradient as one, whatever they cost: not our maxfun.
        renamed={"maxiter": "maxfun"},
    ),
    "cobyla": Method(
        options=(
            like("maxiter", default=1000).means(
                "Maximum number of iterations, of one or two evaluations each."
            ),
            Option("rhobeg", 1.0, NUMBER).means("Reasonable initial changes to the variables."),
            like("tol").means("Final accuracy of the variables; 1e-4 by default."),
            Option("catol", 1e-4, NUMBER).means(
                "Accepted violation of constraints (before SciPy 1.16: 2e-4)."
            ),
            *shared("f_target"),
        ),
        gradient=Level.ignored,
        bounds=Level.supported,
        constraints=Level.supported,
        tol=("tol",),
        counted_by_run=True,
        strips_fixed=True,
        # Its codes changed meaning in SciPy 1.16; its words are clear in both.
        words={
            "satisfying the constraints": Stop.INFEASIBLE,
            "aximum number": Stop.MAXFUN,
            "ounding": Stop.NO_PROGRESS,
            "target": Stop.TARGET,
        },
    ),
    "cobyqa": Method(
        options=(
            like("maxiter").means("Maximum number of iterations, of one evaluation each."),
            like("maxfev", default=None).means(
                "Maximum number of points at which the objective is evaluated: a hard limit; 500 "
                "times the number of variables by default."
            ),
            like("initial_tr_radius").means("Reasonable initial changes to the variables."),
            Option("final_tr_radius", 1e-6, NUMBER).means("Accuracy of the solution."),
            *shared("f_target"),
            Option("feasibility_tol", 1e-8, NUMBER).means("Accepted violation of constraints."),
            Option("scale", False, anything("bool")).means("Whether to scale by the bounds."),
        ),
        gradient=Level.ignored,
        bounds=Level.supported,
        constraints=Level.supported,
        tol=("final_tr_radius",),
        budget=("maxfev", "maxfun"),
        counted_by_run=True,
        strips_fixed=True,
        stops={
            0: Stop.CONVERGED,
            1: Stop.TARGET,
            2: Stop.FIXED,
            4: Stop.CONVERGED,
            5: Stop.MAXFUN,
            6: Stop.MAXITER,
            -1: Stop.INFEASIBLE,
        },
    ),
    "slsqp": Method(
        options=(
            like("maxiter", default=100).means("Maximum number of iterations."),
            like("ftol", default=1e-6).means(
                "Precision goal for the value of f in the stopping criterion."
            ),
            *shared("eps"),
        ),
        bounds=Level.supported,
        constraints=Level.supported,
        differences=_STEPS,
        tol=("ftol",),
        stops={
            0: Stop.CONVERGED,
            4: Stop.INFEASIBLE,
            8: Stop.NO_PROGRESS,
            9: Stop.MAXITER,
        },
    ),
    "trust-constr": Method(
        options=(
            like("maxiter", default=1000).means("Maximum number of iterations."),
            like("gtol", default=1e-8).means(
                "Precision goal for the norm of the Lagrangian's gradient."
            ),
            like("xtol", default=1e-8).means("Stop when the trust region's radius is smaller."),
            Option("barrier_tol", 1e-8, NUMBER).means(
                "Threshold on the barrier parameter, with inequality constraints."
            ),
            Option("sparse_jacobian", None, anything("bool")).means(
                "Whether the constraints' Jacobian is sparse."
            ),
            *shared("initial_tr_radius"),
            Option("initial_constr_penalty", 1.0, NUMBER).means("Initial penalty of constraints."),
            Option("initial_barrier_parameter", 0.1, NUMBER).means("Initial barrier parameter."),
            Option("initial_barrier_tolerance", 0.1, NUMBER).means(
                "Initial tolerance of the barrier subproblem."
            ),
            Option("factorization_method", None, anything("str")).means(
                "How the constraints' Jacobian is factorized."
            ),
            Option("verbose", 0, LEVEL).means("How much SciPy prints: 0 to 3."),
        ),
        bounds=Level.supported,
        constraints=Level.supported,
        hessian=Level.supported,
        joint=True,
        differences=("finite_diff_rel_step",),
        tol=("xtol", "gtol", "barrier_tol"),
        default_hessian=QuietBFGS,
        stops={0: Stop.MAXITER, 1: Stop.GRADIENT, 2: Stop.STEP, 4: Stop.INFEASIBLE},
    ),
    "dogleg": replace(_TRUST_REGION, callable_hessian=True),
    "trust-ncg": _TRUST_REGION,
    "trust-exact": replace(_TRUST_REGION, callable_hessian=True),
    "trust-krylov": replace(
        _TRUST_REGION,
        options=(
            *_TRUST_REGION.options,
            Option("inexact", True, anything("bool")).means(
                "Solve subproblems roughly: more steps, fewer Hessian products."
            ),
        ),
    ),
}

#: A callable method of the user's: it may take anything, and its options are its own.
CUSTOM = Method(
    options=shared("maxiter"),
    bounds=Level.supported,
    constraints=Level.supported,
    hessian=Level.supported,
    tol=("tol",),
    differences=_STEPS,
    stops={},
)
