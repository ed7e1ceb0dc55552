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
    CapabilityError,
    EvaluationError,
    InvalidInputError,
    InvalidValueError,
    MisplacedBoundsError,
    MissingExtraError,
    NonFiniteValueError,
    OptimizerError,
    OptimizerWarning,
    OptionError,
    UnknownOptionError,
)
from optimizers.evaluation import vectorized
from optimizers.observers import Table
from optimizers.optimizer import Minimizer, Optimizer, RunSettings
from optimizers.registry import available, find
from optimizers.result import Best, OptimizerResult, StopReason
from optimizers.scipy import (
    BFGS,
    CG,
    COBYLA,
    COBYQA,
    L_BFGS_B,
    LBFGSB,
    NELDER_MEAD,
    POWELL,
    SLSQP,
    TNC,
    Dogleg,
    NewtonCG,
    SciPyOptimizer,
    TrustConstr,
    TrustExact,
    TrustKrylov,
    TrustNCG,
)
from optimizers.support import OptimizerSupportLevel, SupportLevel

__version__ = "0.1.0"

__all__ = [
    "BFGS",
    "CG",
    "COBYLA",
    "COBYQA",
    "LBFGSB",
    "L_BFGS_B",
    "NELDER_MEAD",
    "POINT",
    "POWELL",
    "SLSQP",
    "TNC",
    "Best",
    "CapabilityError",
    "Dogleg",
    "EvaluationError",
    "InvalidInputError",
    "InvalidValueError",
    "Minimizer",
    "MisplacedBoundsError",
    "MissingExtraError",
    "NewtonCG",
    "NonFiniteValueError",
    "Optimizer",
    "OptimizerError",
    "OptimizerResult",
    "OptimizerSupportLevel",
    "OptimizerWarning",
    "OptionError",
    "RunSettings",
    "SciPyOptimizer",
    "StopReason",
    "SupportLevel",
    "Table",
    "TrustConstr",
    "TrustExact",
    "TrustKrylov",
    "TrustNCG",
    "UnknownOptionError",
    "available",
    "find",
    "vectorized",
]
