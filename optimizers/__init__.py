"""Interchangeable minimisers for objectives that are expensive, noisy, or live elsewhere.

One class per algorithm, one ``minimize(fun, x0, jac, bounds)``; each class says what it can take.

Examples
--------
>>> from optimizers import TNC
>>> TNC().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).success
True
"""

from optimizers._types import POINT
from optimizers.errors import (
    BrokenPoolError,
    CapabilityError,
    CrossedBoundsError,
    EvaluationError,
    EvaluationTimeoutError,
    InvalidInputError,
    InvalidValueError,
    MisplacedBoundsError,
    MissingExtraError,
    NonFiniteValueError,
    NoValueError,
    OptimizerError,
    OptimizerWarning,
    OptionError,
    StepperError,
    TooLargeError,
    UnknownOptionError,
    WorkerDiedError,
)
from optimizers.evaluation import Differences, vectorized
from optimizers.observers import History, Progress, Table
from optimizers.optimizer import Minimizer, Optimizer
from optimizers.plots import plot_convergence
from optimizers.registry import available, find
from optimizers.result import Best, OptimizerResult, StopReason
from optimizers.scipy import (
    BFGS,
    CG,
    COBYLA,
    COBYQA,
    L_BFGS_B,
    LBFGSB,
    MSG_ALL,
    MSG_EXIT,
    MSG_INFO,
    MSG_ITER,
    MSG_NONE,
    MSG_VERS,
    MSGS,
    NELDER_MEAD,
    POWELL,
    RCSTRINGS,
    SLSQP,
    TNC,
    Dogleg,
    LbfgsInvHessProduct,
    NewtonCG,
    SciPyOptimizer,
    TrustConstr,
    TrustExact,
    TrustKrylov,
    TrustNCG,
    _minimize_lbfgsb,
    fmin_l_bfgs_b,
    fmin_tnc,
    minimize_lbfgsb,
    minimize_tnc,
)
from optimizers.settings import RunSettings
from optimizers.stepping import AskData, OptimizerState, Stepper, TellData
from optimizers.support import OptimizerSupportLevel, SupportLevel

__version__ = "0.1.0"

__all__ = [
    "BFGS",
    "CG",
    "COBYLA",
    "COBYQA",
    "LBFGSB",
    "L_BFGS_B",
    "MSGS",
    "MSG_ALL",
    "MSG_EXIT",
    "MSG_INFO",
    "MSG_ITER",
    "MSG_NONE",
    "MSG_VERS",
    "NELDER_MEAD",
    "POINT",
    "POWELL",
    "RCSTRINGS",
    "SLSQP",
    "TNC",
    "AskData",
    "Best",
    "BrokenPoolError",
    "CapabilityError",
    "CrossedBoundsError",
    "Differences",
    "Dogleg",
    "EvaluationError",
    "EvaluationTimeoutError",
    "History",
    "InvalidInputError",
    "InvalidValueError",
    "LbfgsInvHessProduct",
    "Minimizer",
    "MisplacedBoundsError",
    "MissingExtraError",
    "NewtonCG",
    "NoValueError",
    "NonFiniteValueError",
    "Optimizer",
    "OptimizerError",
    "OptimizerResult",
    "OptimizerState",
    "OptimizerSupportLevel",
    "OptimizerWarning",
    "OptionError",
    "Progress",
    "RunSettings",
    "SciPyOptimizer",
    "Stepper",
    "StepperError",
    "StopReason",
    "SupportLevel",
    "Table",
    "TellData",
    "TooLargeError",
    "TrustConstr",
    "TrustExact",
    "TrustKrylov",
    "TrustNCG",
    "UnknownOptionError",
    "WorkerDiedError",
    "_minimize_lbfgsb",
    "available",
    "find",
    "fmin_l_bfgs_b",
    "fmin_tnc",
    "minimize_lbfgsb",
    "minimize_tnc",
    "plot_convergence",
    "vectorized",
]
