"""The table of SciPy's methods: a row has the properties of a method, and its solver."""

import functools
import math
from dataclasses import replace

import numpy as np
import scipy.optimize

from optimizers._arrays import as_numbers
from optimizers._types import Array
from optimizers.options.table import (
    LEVEL,
    NUMBER,
    STEPS,
    TRUTH,
    Option,
    anything,
    array,
    choice,
    expecting,
    limit,
)
from optimizers.result import StopReason as Stop
from optimizers.scipy import locks, unfinished
from optimizers.scipy.global_methods import GLOBAL_METHODS
from optimizers.scipy.lbfgsb.solver import LbfgsbSolver
from optimizers.scipy.least_squares_solver import LeastSquaresSolver
from optimizers.scipy.method import CALLBACK_ENDED, Method
from optimizers.scipy.nelder_mead import NelderMeadSolver
from optimizers.scipy.options import (
    LBFGSB_OPTIONS,
    LOSS_OPTIONS,
    PAIR_OF_LIMITS,
    TNC_OPTIONS,
    TRIALS,
    like,
    shared,
)
from optimizers.scipy.solver import CustomSolver, ScipySolver
from optimizers.scipy.tnc.solver import TncSolver
from optimizers.support import SupportLevel as Level


class QuietBFGS(scipy.optimize.BFGS):  # type: ignore[misc]  # SciPy is untyped
    """SciPy's BFGS strategy, without its warning at steps without curvature, usual at a minimum."""

    def update(self, delta_x: Array, delta_grad: Array) -> None:
        """Update the approximation, unless the step has no information about the curvature."""
        if np.any(delta_grad):
            super().update(delta_x, delta_grad)


_FACTORIZATIONS = (
    *("NormalEquation", "AugmentedSystem", "QRFactorization", "SVDFactorization"),
    None,
)
_EACH = replace(STEPS, shapes=lambda n: ((), (1,), (n,)))
_SQUARE = array("(n, n)", lambda n: ((n, n),))
_STEPS = ("eps", "finite_diff_rel_step")
_LINE_SEARCH_STOPS = {0: Stop.GRADIENT, 1: Stop.MAXITER, 2: Stop.NO_PROGRESS, 3: Stop.FAILED}
_line_search = functools.partial(
    Method,
    ScipySolver,
    joint=True,
    differences=_STEPS,
    ordered=(("c1", "c2"),),
    tol=("gtol",),
    warns=scipy.optimize.OptimizeWarning,
    stops=_LINE_SEARCH_STOPS,
)
_derivative_free = functools.partial(
    Method, solver=ScipySolver, gradient=Level.ignored, bounds=Level.supported
)


def _trust_region(*further: Option, callable_hessian: bool = False) -> Method:
    """Return the row of a trust-region method that needs a Hessian, with further options."""
    return Method(
        ScipySolver,
        options=(
            *shared("maxiter", "initial_trust_radius", "max_trust_radius", "eta", "return_all"),
            like("gtol", default=1e-4).means("Stop when the gradient's norm is smaller."),
            *shared("subproblem_maxiter"),
            *further,
        ),
        gradient=Level.required,
        hessian=Level.required,
        callable_hessian=callable_hessian,
        unfinished=unfinished.hess,
        ordered=(("initial_trust_radius", "max_trust_radius"),),
        tol=("gtol",),
        warns=RuntimeWarning,
        stops={0: Stop.GRADIENT, 1: Stop.MAXITER, 2: Stop.NO_PROGRESS, 3: Stop.NO_PROGRESS},
    )


def _simplex_size(spacing: float) -> float:
    """Return SciPy's accuracy with low-precision values; a named function, so that it pickles."""
    return 5e-5


_SCALE = expecting(
    '``"jac"`` or array_like of shape (n,)',
    "'jac' or numbers > 0",
    lambda value: value == "jac" if isinstance(value, str) else bool((as_numbers(value) > 0).all()),
)
_LEAST_SQUARES = Method(
    LeastSquaresSolver,
    options=(
        like("ftol", default=1e-8, check=NUMBER.or_none).means(
            "Stop when the value decreases by less than this fraction of it, and the model is "
            "adequate."
        ),
        like("xtol", default=1e-8, check=NUMBER.or_none).means(
            "Stop when a step is shorter than this fraction of the variables' norm."
        ),
        like("gtol", default=1e-8, check=NUMBER.or_none).means(
            "Stop when the gradient, scaled by the distance to the bounds, is smaller."
        ),
        Option("x_scale", None, replace(_SCALE, shapes=_EACH.shapes)).means(
            'Characteristic sizes of the variables, or ``"jac"``: the norms of its columns.'
        ),
        *LOSS_OPTIONS,
        Option("max_nfev", None, limit(1).or_none).means(
            "Maximum number of points at which SciPy asks for residuals, without those of "
            "differences; 100 times the number of variables by default. The hard limit of all "
            "points is ``maxfun``."
        ),
        Option("tr_solver", None, choice("exact", "lsmr").or_none).means(
            "How to compute a step: for dense Jacobians, or for large sparse ones."
        ),
        Option("tr_options", None, anything("dict").or_none).means(
            "Options of ``tr_solver``, as in SciPy."
        ),
        *shared("jac_sparsity"),
        Option("verbose", 0, LEVEL).means("How much SciPy prints: 0 to 2."),
    ),
    bounds=Level.supported,
    residuals=Level.required,
    differences=("diff_step",),
    tol=("ftol", "xtol", "gtol"),
    strips_fixed=True,
    stops={0: Stop.MAXFUN, 1: Stop.GRADIENT, 2: Stop.FUN, 3: Stop.STEP, 4: Stop.CONVERGED},
)


METHODS: dict[str, Method] = {
    "nelder-mead": _derivative_free(
        solver=NelderMeadSolver,
        options=(
            *PAIR_OF_LIMITS,
            *shared("return_all"),
            Option("initial_simplex", None, array("(n + 1, n)", lambda n: ((n + 1, n),))).means(
                "The initial simplex."
            ),
            Option("xatol", 1e-4, NUMBER).means(
                "Largest distance between the points of the simplex that is acceptable for "
                "convergence."
            ),
            Option("fatol", 1e-4, NUMBER).means(
                "Difference of values that is acceptable for convergence."
            ),
            Option("adaptive", False, TRUTH).means(
                "Adapt the parameters to the number of variables."
            ),
            TRIALS,
        ),
        tol=("xatol", "fatol"),
        warns=RuntimeWarning,
        budget=("maxfev", "maxfun"),
        counted_by_run=True,
        counts_next=True,
        matrices=1,
        # SciPy stores a simplex in the type of the start, and so gets closer than required. Here it
        # is in double precision, where it can shrink even if the variables are large.
        low_precision={"xatol": _simplex_size},
        unfinished=unfinished.final_simplex,
        stops={0: Stop.CONVERGED, 1: Stop.MAXFUN, 2: Stop.MAXITER},
    ),
    "powell": _derivative_free(
        options=(
            *PAIR_OF_LIMITS,
            *shared("xtol", "ftol", "return_all"),
            Option("direc", None, _SQUARE).means("The directions at the start."),
        ),
        tol=("xtol", "ftol"),
        warns=RuntimeWarning,
        budget=("maxfev", "maxfun"),
        asks_twice=True,
        unfinished=unfinished.direc,
        matrices=1,
        stops={0: Stop.CONVERGED, 1: Stop.MAXFUN, 2: Stop.MAXITER, 3: Stop.FAILED},
    ),
    "cg": _line_search(
        options=(
            like("maxiter", default=20).means("Maximum number of iterations."),
            *shared("gtol", "eps", "norm", "return_all", "c1"),
            like("c2", default=0.4),
        )
    ),
    "bfgs": _line_search(
        options=(
            *shared("maxiter", "gtol", "eps", "norm", "return_all", "c1", "c2"),
            Option("xrtol", 0, NUMBER).means("Stop when the relative step is smaller."),
            Option("hess_inv0", None, _SQUARE).means(
                "The inverse Hessian at the start; the identity by default."
            ),
        ),
        unfinished=unfinished.hess_inv,
        matrices=2,
    ),
    "newton-cg": Method(
        ScipySolver,
        options=(
            *shared("maxiter", "return_all", "c1", "c2"),
            like("xtol", default=1e-5).means(
                "Average relative error in the solution that is acceptable for convergence."
            ),
            like("eps", check=_EACH.or_none).means(
                "Step of the gradient differences that replace ``hess`` and ``hessp``."
            ),
        ),
        gradient=Level.required,
        hessian=Level.supported,
        ordered=(("c1", "c2"),),
        tol=("xtol",),
        warns=scipy.optimize.OptimizeWarning,
        # With a step of 1e-8 most differences of gradients are zero, and are taken for curvatures.
        low_precision={"eps": math.sqrt},
        stops={**_LINE_SEARCH_STOPS, 0: Stop.STEP},
    ),
    "l-bfgs-b": Method(
        LbfgsbSolver,
        options=LBFGSB_OPTIONS,
        bounds=Level.supported,
        joint=True,
        differences=_STEPS,
        tol=("ftol", "gtol"),
        scipy_defaults={"restart": False, "solver": "scipy"},
        scipy_removes="differences",
    ),
    "tnc": Method(
        TncSolver,
        options=TNC_OPTIONS,
        bounds=Level.supported,
        joint=True,
        differences=_STEPS,
        tol=("xtol", "ftol", "gtol"),
        scipy_removes="always",
    ),
    "cobyla": _derivative_free(
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
        constraints=Level.supported,
        feasibility="catol",
        tol=("tol",),
        counted_by_run=True,
        counts_points=True,
        strips_fixed=True,
        matrices=2,
        lock=locks.COBYLA,
        callback_ending=(
            30,
            "Return from COBYLA because the callback function requested termination",
        ),
        # Its codes changed meaning in SciPy 1.16; its messages are clear in both.
        words={
            "satisfying the constraints": Stop.INFEASIBLE,
            "aximum number": Stop.MAXFUN,
            "MAXFUN": Stop.MAXFUN,
            "ounding": Stop.NO_PROGRESS,
            "target": Stop.TARGET,
        },
    ),
    "cobyqa": _derivative_free(
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
            Option("scale", False, TRUTH).means("Whether to scale by the bounds."),
        ),
        constraints=Level.supported,
        feasibility="feasibility_tol",
        ordered=(("final_tr_radius", "initial_tr_radius"),),
        tol=("final_tr_radius",),
        budget=("maxfev", "maxfun"),
        counted_by_run=True,
        strips_fixed=True,
        matrices=6,
        lock=locks.COBYQA,
        callback_ending=(3, CALLBACK_ENDED),
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
        options=(
            like("maxiter", default=100).means("Maximum number of iterations."),
            like("ftol", default=1e-6).means(
                "Precision goal for the value of f in the stopping criterion."
            ),
            *shared("eps"),
        ),
        bounds=Level.supported,
        constraints=Level.supported,
        fits_parabolas=True,
        ends_unknown=True,
        differences=_STEPS,
        feasibility="ftol",
        scipy_removes="differences",
        tol=("ftol",),
        unfinished=unfinished.multipliers,
        matrices=1,
        stops={0: Stop.CONVERGED, 4: Stop.INFEASIBLE, 8: Stop.NO_PROGRESS, 9: Stop.MAXITER},
    ),
    "trust-constr": Method(
        ScipySolver,
        options=(
            like("maxiter", default=1000).means("Maximum number of iterations."),
            like("gtol", default=1e-8).means(
                "Precision goal for the norm of the Lagrangian's gradient."
            ),
            like("xtol", default=1e-8).means("Stop when the trust region's radius is smaller."),
            Option("barrier_tol", 1e-8, NUMBER).means(
                "Threshold on the barrier parameter, with inequality constraints."
            ),
            Option("sparse_jacobian", None, TRUTH).means(
                "Whether the constraints' Jacobian is sparse."
            ),
            *shared("initial_tr_radius"),
            Option("initial_constr_penalty", 1.0, NUMBER).means("Initial penalty of constraints."),
            Option("initial_barrier_parameter", 0.1, NUMBER).means("Initial barrier parameter."),
            Option("initial_barrier_tolerance", 0.1, NUMBER).means(
                "Initial tolerance of the barrier subproblem."
            ),
            Option("factorization_method", None, choice(*_FACTORIZATIONS)).means(
                "How the constraints' Jacobian is factorized."
            ),
            Option("verbose", 0, LEVEL).means("How much SciPy prints: 0 to 3."),
        ),
        bounds=Level.supported,
        constraints=Level.supported,
        hessian=Level.supported,
        joint=True,
        differences=("finite_diff_rel_step",),
        feasibility="gtol",
        tol=("xtol", "gtol", "barrier_tol"),
        default_hessian=QuietBFGS,
        callback_form=("x", "state"),
        callback_ending=(3, CALLBACK_ENDED),
        probes_outside=True,
        stops={0: Stop.MAXITER, 1: Stop.GRADIENT, 2: Stop.STEP, 4: Stop.INFEASIBLE},
    ),
    **GLOBAL_METHODS,
    "trf": _LEAST_SQUARES,
    "dogbox": _LEAST_SQUARES,
    "dogleg": _trust_region(callable_hessian=True),
    "trust-ncg": _trust_region(),
    "trust-exact": _trust_region(callable_hessian=True),
    "trust-krylov": _trust_region(
        Option("inexact", True, TRUTH).means(
            "Solve subproblems approximately: more steps, fewer Hessian products."
        )
    ),
}

#: A user's callable method: it accepts anything, and has its own options.
CUSTOM = Method(
    CustomSolver,
    options=shared("maxiter"),
    takes_any=True,
    bounds=Level.supported,
    constraints=Level.supported,
    hessian=Level.supported,
    tol=("tol",),
    differences=_STEPS,
)
