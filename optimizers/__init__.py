"""Interchangeable minimisers for objectives that are expensive, noisy, or live elsewhere.

One class per algorithm, one ``minimize(fun, x0, jac, bounds)``; each class says what it can take.

Examples
--------
>>> from optimizers import TNC
>>> TNC().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).success
True
"""

from optimizers import scipy
from optimizers._types import POINT
from optimizers._version import __version__ as __version__
from optimizers.asktell import AskData, OptimizerState, Stepper, TellData
from optimizers.errors import (
    BrokenPoolError,
    CapabilityError,
    CrossedBoundsError,
    EvaluationError,
    EvaluationTimeoutError,
    InvalidInputError,
    InvalidValueError,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
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
from optimizers.evaluation import (
    Differences,
    GradientSource,
    ParameterShift,
    SPSAGradient,
    vectorized,
)
from optimizers.flow import FlowOptimizer
from optimizers.journal import Journal, load
from optimizers.lockstep.results import OptimizerResults
from optimizers.optimizer import Minimizer, Optimizer
from optimizers.options.settings import RunSettings
from optimizers.plots import plot_convergence
from optimizers.portfolio.multistart import Minimum, MultistartResult, multistart
from optimizers.portfolio.race import RaceResults, race
from optimizers.registry import available, find
from optimizers.result import Best, OptimizerResult, StopReason
from optimizers.run.observers import History, Progress, Table
from optimizers.scipy import *  # noqa: F403  # its __all__ is the one list of these names
from optimizers.steppable import SteppableOptimizer
from optimizers.support import OptimizerSupportLevel, SupportLevel
from optimizers.variational import (
    ADAM,
    AMSGRAD,
    AQGD,
    GSLS,
    NFT,
    P_BFGS,
    QNSPSA,
    SPSA,
    UMDA,
    GradientDescent,
    NoisyLBFGSB,
    Rotosolve,
)

__all__ = [
    "ADAM",
    "AMSGRAD",
    "AQGD",
    "GSLS",
    "NFT",
    "POINT",
    "P_BFGS",
    "QNSPSA",
    "SPSA",
    "UMDA",
    "AskData",
    "Best",
    "BrokenPoolError",
    "CapabilityError",
    "CrossedBoundsError",
    "Differences",
    "EvaluationError",
    "EvaluationTimeoutError",
    "FlowOptimizer",
    "GradientDescent",
    "GradientSource",
    "History",
    "InvalidInputError",
    "InvalidValueError",
    "Journal",
    "JournalError",
    "JournalLockedError",
    "JournalMismatchError",
    "Minimizer",
    "Minimum",
    "MisplacedBoundsError",
    "MissingExtraError",
    "MultistartResult",
    "NoValueError",
    "NoisyLBFGSB",
    "NonFiniteValueError",
    "Optimizer",
    "OptimizerError",
    "OptimizerResult",
    "OptimizerResults",
    "OptimizerState",
    "OptimizerSupportLevel",
    "OptimizerWarning",
    "OptionError",
    "ParameterShift",
    "Progress",
    "RaceResults",
    "Rotosolve",
    "RunSettings",
    "SPSAGradient",
    "SteppableOptimizer",
    "Stepper",
    "StepperError",
    "StopReason",
    "SupportLevel",
    "Table",
    "TellData",
    "TooLargeError",
    "UnknownOptionError",
    "WorkerDiedError",
    "available",
    "find",
    "load",
    "multistart",
    "plot_convergence",
    "race",
    "vectorized",
]
__all__ += scipy.__all__
