"""The table of SciPy's methods: a row says what is known of one, and names its solver.

A new method is a row here and, with the constructor that its users expect, a class of about ten
lines in one of the modules beside this one.
"""

import math
from dataclasses import replace

import numpy as np
import scipy.optimize

from optimizers._types import Array
from optimizers.result import StopReason as Stop
from optimizers.scipy import locks
from optimizers.scipy.lbfgsb.solver import LbfgsbSolver
from optimizers.scipy.method import Method
from optimizers.scipy.solver import CustomSolver, ScipySolver
from optimizers.scipy.tnc.solver import TncSolver
from optimizers.support import SupportLevel as Level


class QuietBFGS(scipy.optimize.BFGS):  # type: ignore[misc]  # SciPy is untyped
    """SciPy's BFGS strategy, without its warning at a step that leaves the gradient as it was.

    Such steps are usual near a minimum, and the warning is of SciPy's choice, not of the user's.
    """

    def update(self, delta_x: Array, delta_grad: Array) -> None:
        """Update the approximation, unless the step says nothing of the curvature."""
        if np.any(delta_grad):
            super().update(delta_x, delta_grad)


_STEPS = ("eps", "finite_diff_rel_step")
_LINE_SEARCH_STOPS = {0: Stop.GRADIENT, 1: Stop.MAXITER, 2: Stop.NO_PROGRESS, 3: Stop.FAILED}
_TRUST_REGION = Method(
    ScipySolver,
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


def _simplex_size(spacing: float) -> float:
    """Return what SciPy gets to where values are coarse; a name, so that methods can be pickled."""
    return 5e-5


METHODS: dict[str, Method] = {
    "nelder-mead": Method(
        ScipySolver,
        options=("maxiter", "return_all", "initial_simplex", "xatol", "fatol", "adaptive"),
        gradient=Level.ignored,
        bounds=Level.supported,
        tol=("xatol", "fatol"),
        budget=("maxfev", "maxfun"),
        counted_by_run=True,
        # SciPy keeps a simplex in the type of the start, and so gets nearer than it asks for. Here
        # it is in double precision, which can shrink wherever the variables are large.
        low_precision={"xatol": _simplex_size},
        stops={0: Stop.CONVERGED, 1: Stop.MAXFUN, 2: Stop.MAXITER},
    ),
    "powell": Method(
        ScipySolver,
        options=("maxiter", "xtol", "ftol", "direc", "return_all"),
        gradient=Level.ignored,
        bounds=Level.supported,
        tol=("xtol", "ftol"),
        budget=("maxfev", "maxfun"),
        asks_twice=True,
        stops={0: Stop.CONVERGED, 1: Stop.MAXFUN, 2: Stop.MAXITER, 3: Stop.FAILED},
    ),
    "cg": Method(
        ScipySolver,
        options=("maxiter", "gtol", "norm", "return_all", "c1", "c2"),
        joint=True,
        differences=_STEPS,
        tol=("gtol",),
        stops=_LINE_SEARCH_STOPS,
    ),
    "bfgs": Method(
        ScipySolver,
        options=("maxiter", "gtol", "norm", "return_all", "xrtol", "c1", "c2", "hess_inv0"),
        joint=True,
        differences=_STEPS,
        tol=("gtol",),
        stops=_LINE_SEARCH_STOPS,
    ),
    "newton-cg": Method(
        ScipySolver,
        options=("maxiter", "xtol", "eps", "return_all", "c1", "c2"),
        gradient=Level.required,
        hessian=Level.supported,
        tol=("xtol",),
        # With a step of 1e-8 most differences of gradients are zero, and so called curvatures.
        low_precision={"eps": math.sqrt},
        stops={**_LINE_SEARCH_STOPS, 0: Stop.STEP},
    ),
    "l-bfgs-b": Method(
        LbfgsbSolver,
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
        TncSolver,
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
    ),
    "cobyla": Method(
        ScipySolver,
        options=("rhobeg", "tol", "catol", "f_target"),
        gradient=Level.ignored,
        bounds=Level.supported,
        constraints=Level.supported,
        tol=("tol",),
        counted_by_run=True,
        strips_fixed=True,
        lock=locks.COBYLA,
        # Its codes changed meaning in SciPy 1.16; its words are clear in both.
        words={
            "satisfying the constraints": Stop.INFEASIBLE,
            "aximum number": Stop.MAXFUN,
            "ounding": Stop.NO_PROGRESS,
            "target": Stop.TARGET,
        },
    ),
    "cobyqa": Method(
        ScipySolver,
        options=("f_target", "feasibility_tol", "initial_tr_radius", "final_tr_radius", "scale"),
        gradient=Level.ignored,
        bounds=Level.supported,
        constraints=Level.supported,
        tol=("final_tr_radius",),
        budget=("maxfev", "maxfun"),
        counted_by_run=True,
        strips_fixed=True,
        lock=locks.COBYQA,
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
        ScipySolver,
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
        ScipySolver,
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
    CustomSolver,
    takes_any=True,
    bounds=Level.supported,
    constraints=Level.supported,
    hessian=Level.supported,
    tol=("tol",),
    differences=_STEPS,
)
