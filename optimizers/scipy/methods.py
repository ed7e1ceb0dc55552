"""What is known of each method of :func:`scipy.optimize.minimize`: one row a method.

A new method is a row here and, with the constructor that its users expect, a class of about ten
lines in one of the modules beside this one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.optimize

from optimizers._types import Array
from optimizers.result import StopReason as Stop
from optimizers.support import SupportLevel as Level


@dataclass(frozen=True)
class Method:
    """What is known of one method.

    Parameters
    ----------
    options : tuple of str
        Its options besides those that it takes from the run (``disp``, differences).
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
    low_precision : mapping of str to callable
        Options whose default is made for double precision: what suits values of fewer digits, from
        the spacing of such numbers at 1.
    scipy_defaults : mapping of str to object
        What SciPy itself does where the default here is another.
    strips_fixed : bool
        Whether it takes variables without room out of the problem, and then hands callbacks and
        constraints what remains: here they are taken out before.
    stops : mapping of int to StopReason
        What its return codes mean.
    words : mapping of str to StopReason
        What parts of its message mean, where the return code does not tell: these come first.
    """

    options: tuple[str, ...]
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
    low_precision: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    scipy_defaults: Mapping[str, Any] = field(default_factory=dict)
    strips_fixed: bool = False
    default_hessian: Callable[[], Any] | None = None
    stops: Mapping[int, Stop] = field(default_factory=dict)
    words: Mapping[str, Stop] = field(default_factory=dict)

    @property
    def known(self) -> tuple[str, ...]:
        """All options that a user may give."""
        return tuple(
            dict.fromkeys((*self.options, "maxiter", "disp", *self.differences, *self.budget))
        )


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
        "maxiter",
        "gtol",
        "initial_trust_radius",
        "max_trust_radius",
        "eta",
        "return_all",
        "subproblem_maxiter",
    ),
    gradient=Level.required,
    hessian=Level.required,
    tol=("gtol",),
    stops={0: Stop.GRADIENT, 1: Stop.MAXITER, 2: Stop.NO_PROGRESS, 3: Stop.NO_PROGRESS},
)

METHODS: dict[str, Method] = {
    "nelder-mead": Method(
        options=("maxiter", "return_all", "initial_simplex", "xatol", "fatol", "adaptive"),
        gradient=Level.ignored,
        bounds=Level.supported,
        tol=("xatol", "fatol"),
        budget=("maxfev", "maxfun"),
        counted_by_run=True,
        # SciPy keeps a simplex in the type of the start, and so gets nearer than it asks for. Here
        # it is in double precision, which can shrink wherever the variables are large.
        low_precision={"xatol": lambda spacing: 5e-5},
        stops={0: Stop.CONVERGED, 1: Stop.MAXFUN, 2: Stop.MAXITER},
    ),
    "powell": Method(
        options=("maxiter", "xtol", "ftol", "direc", "return_all"),
        gradient=Level.ignored,
        bounds=Level.supported,
        tol=("xtol", "ftol"),
        budget=("maxfev", "maxfun"),
        asks_twice=True,
        stops={0: Stop.CONVERGED, 1: Stop.MAXFUN, 2: Stop.MAXITER, 3: Stop.FAILED},
    ),
    "cg": Method(
        options=("maxiter", "gtol", "norm", "return_all", "c1", "c2"),
        joint=True,
        differences=_STEPS,
        tol=("gtol",),
        stops=_LINE_SEARCH_STOPS,
    ),
    "bfgs": Method(
        options=("maxiter", "gtol", "norm", "return_all", "xrtol", "c1", "c2", "hess_inv0"),
        joint=True,
        differences=_STEPS,
        tol=("gtol",),
        stops=_LINE_SEARCH_STOPS,
    ),
    "newton-cg": Method(
        options=("maxiter", "xtol", "eps", "return_all", "c1", "c2"),
        gradient=Level.required,
        hessian=Level.supported,
        tol=("xtol",),
        # With a step of 1e-8 most differences of gradients are zero, and so called curvatures.
        low_precision={"eps": math.sqrt},
        stops={**_LINE_SEARCH_STOPS, 0: Stop.STEP},
    ),
    "l-bfgs-b": Method(
        options=(
            *("maxfun", "maxiter", "maxcor", "ftol", "gtol", "maxls", "iprint"),
            *("restart", "speculate", "values_first"),
        ),
        bounds=Level.supported,
        joint=True,
        differences=_STEPS,
        tol=("ftol", "gtol"),
        scipy_defaults={"restart": False},
    ),
    "tnc": Method(
        options=(
            "scale",
            "offset",
            "mesg_num",
            "maxCGit",
            "eta",
            "stepmx",
            "accuracy",
            "minfev",
            "ftol",
            "xtol",
            "gtol",
            "rescale",
        ),
        bounds=Level.supported,
        joint=True,
        differences=_STEPS,
        tol=("xtol", "ftol", "gtol"),
        # Its maxfun counts f and its gradient as one, whatever they cost: not our maxfun.
        renamed={"maxiter": "maxfun"},
    ),
    "cobyla": Method(
        options=("rhobeg", "tol", "catol", "f_target"),
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
        options=("f_target", "feasibility_tol", "initial_tr_radius", "final_tr_radius", "scale"),
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
        options=("maxiter", "ftol"),
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
            "maxiter",
            "xtol",
            "gtol",
            "barrier_tol",
            "sparse_jacobian",
            "initial_tr_radius",
            "initial_constr_penalty",
            "initial_barrier_parameter",
            "initial_barrier_tolerance",
            "factorization_method",
            "verbose",
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
    "trust-krylov": replace(_TRUST_REGION, options=(*_TRUST_REGION.options, "inexact")),
}

#: A callable method of the user's: it may take anything, and its options are its own.
CUSTOM = Method(
    options=(),
    bounds=Level.supported,
    constraints=Level.supported,
    hessian=Level.supported,
    tol=("tol",),
    differences=_STEPS,
    stops={},
)
