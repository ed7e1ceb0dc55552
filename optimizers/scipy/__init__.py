"""The algorithms of SciPy as Optimizers."""

from optimizers.scipy.basin_hopping import BasinHopping
from optimizers.scipy.derivative_free import COBYLA, COBYQA, NELDER_MEAD, POWELL
from optimizers.scipy.fmin_l_bfgs_b import _minimize_lbfgsb, fmin_l_bfgs_b, minimize_lbfgsb
from optimizers.scipy.fmin_tnc import fmin_tnc, minimize_tnc
from optimizers.scipy.global_search import DIRECT, SHGO, DifferentialEvolution, DualAnnealing
from optimizers.scipy.gradient import BFGS, CG, L_BFGS_B, LBFGSB, SLSQP, TNC, TrustConstr
from optimizers.scipy.lbfgsb.inverse_hessian import LbfgsInvHessProduct
from optimizers.scipy.least_squares import DOGBOX, TRF
from optimizers.scipy.newton import Dogleg, NewtonCG, TrustExact, TrustKrylov, TrustNCG
from optimizers.scipy.scipy_optimizer import SciPyOptimizer
from optimizers.scipy.tnc.codes import (
    CONSTANT,
    FCONVERGED,
    INFEASIBLE,
    LOCALMINIMUM,
    LSFAIL,
    MAXFUN,
    MSG_ALL,
    MSG_EXIT,
    MSG_INFO,
    MSG_ITER,
    MSG_NONE,
    MSG_VERS,
    MSGS,
    NOPROGRESS,
    RCSTRINGS,
    USERABORT,
    XCONVERGED,
)

__all__ = [
    "BFGS",
    "CG",
    "COBYLA",
    "COBYQA",
    "CONSTANT",
    "DIRECT",
    "DOGBOX",
    "FCONVERGED",
    "INFEASIBLE",
    "LBFGSB",
    "LOCALMINIMUM",
    "LSFAIL",
    "L_BFGS_B",
    "MAXFUN",
    "MSGS",
    "MSG_ALL",
    "MSG_EXIT",
    "MSG_INFO",
    "MSG_ITER",
    "MSG_NONE",
    "MSG_VERS",
    "NELDER_MEAD",
    "NOPROGRESS",
    "POWELL",
    "RCSTRINGS",
    "SHGO",
    "SLSQP",
    "TNC",
    "TRF",
    "USERABORT",
    "XCONVERGED",
    "BasinHopping",
    "DifferentialEvolution",
    "Dogleg",
    "DualAnnealing",
    "LbfgsInvHessProduct",
    "NewtonCG",
    "SciPyOptimizer",
    "TrustConstr",
    "TrustExact",
    "TrustKrylov",
    "TrustNCG",
    "_minimize_lbfgsb",
    "fmin_l_bfgs_b",
    "fmin_tnc",
    "minimize_lbfgsb",
    "minimize_tnc",
]
