"""The algorithms of SciPy as Optimizers."""

from optimizers.scipy.derivative_free import COBYLA, COBYQA, NELDER_MEAD, POWELL
from optimizers.scipy.gradient import BFGS, CG, L_BFGS_B, LBFGSB, SLSQP, TNC, TrustConstr
from optimizers.scipy.newton import Dogleg, NewtonCG, TrustExact, TrustKrylov, TrustNCG
from optimizers.scipy.scipy_optimizer import SciPyOptimizer

__all__ = [
    "BFGS",
    "CG",
    "COBYLA",
    "COBYQA",
    "LBFGSB",
    "L_BFGS_B",
    "NELDER_MEAD",
    "POWELL",
    "SLSQP",
    "TNC",
    "Dogleg",
    "NewtonCG",
    "SciPyOptimizer",
    "TrustConstr",
    "TrustExact",
    "TrustKrylov",
    "TrustNCG",
]
