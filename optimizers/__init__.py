"""Interchangeable minimizers for objectives that are expensive, noisy, or live elsewhere.

One class per algorithm, one ``minimize(fun, x0, jac, bounds)``; each class declares its
capabilities.

Examples
--------
>>> from optimizers import TNC
>>> TNC().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).success
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from optimizers._version import __version__ as __version__

#: Where each public name is defined, except those that ``scipy`` lists. Each is imported when it is
#: first used, so that a program does not wait for what it does not need.
_HOMES = {
    "_check_gradient": "GradientCheck check_gradient",
    "_minimize": "minimize",
    "_types": "POINT",
    "asktell": "AskData OptimizerState Stepper TellData",
    "errors": (
        "AmbiguousBoundsWarning BrokenPoolError CapabilityError CrossedBoundsError "
        "EvaluationError EvaluationTimeoutError FrequencyWarning InvalidInputError "
        "InvalidValueError JournalError JournalLockedError JournalMismatchError "
        "MisplacedBoundsError MissingExtraError NonFiniteValueError NoValueError OptimizerError "
        "OptimizerWarning OptionError StepperError TooLargeError UnknownOptionError WorkerDiedError"
    ),
    "evaluation": (
        "Differences GradientSource ParameterShift SPSAGradient residuals shots vectorized "
        "with_errors"
    ),
    "evaluation.listened": "Evaluated",
    "flow": "FlowOptimizer",
    "journal": "Journal load",
    "covariance": "ErrorBars",
    "fitting": "LM curve_fit error_bars least_squares",
    "lockstep.profile": "Profile Profiles",
    "lockstep.results": "OptimizerResults",
    "optimizer": "Minimizer Optimizer",
    "options.settings": "RunSettings",
    "plots": "plot_convergence",
    "several.minima": "Minimum MultistartResult",
    "several.multistart": "multistart",
    "several.portfolio": "PortfolioResult portfolio",
    "several.race": "RaceResults race",
    "problem.known": "Known",
    "problem.param": "Param",
    "registry": "available find",
    "result": "Best OptimizerResult StopReason",
    "native": "ProjectedNewton",
    "nlopt": "NLopt",
    "run.observers": "History Table",
    "run.progress": "Progress",
    "search": "CMAES DFOTR ImFil WaveNewton",
    "steppable": "SteppableOptimizer",
    "support": "OptimizerSupportLevel SupportLevel Traits",
    "variational": (
        "ADAM AMSGRAD AQGD GSLS ICANS NFT P_BFGS QNG QNSPSA SPSA UMDA GradientDescent NoisyLBFGSB "
        "Rotosolve"
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
#: Modules that need no separate import: the public ones, and those that the docs name.
_MODULES = (
    *("algorithms", "errors", "external", "flow", "plots", "problems", "report", "testing"),
    *("evaluation", "fitting", "journal", "native", "nlopt", "scipy", "search", "variational"),
)

if TYPE_CHECKING:  # what editors and type checkers see
    from optimizers import algorithms as algorithms
    from optimizers._check_gradient import (
        GradientCheck as GradientCheck,
        check_gradient as check_gradient,
    )
    from optimizers._minimize import minimize as minimize
    from optimizers._types import POINT as POINT
    from optimizers.asktell import *  # noqa: F403
    from optimizers.covariance import ErrorBars as ErrorBars
    from optimizers.errors import (
        AmbiguousBoundsWarning as AmbiguousBoundsWarning,
        BrokenPoolError as BrokenPoolError,
        CapabilityError as CapabilityError,
        CrossedBoundsError as CrossedBoundsError,
        EvaluationError as EvaluationError,
        EvaluationTimeoutError as EvaluationTimeoutError,
        FrequencyWarning as FrequencyWarning,
        InvalidInputError as InvalidInputError,
        InvalidValueError as InvalidValueError,
        JournalError as JournalError,
        JournalLockedError as JournalLockedError,
        JournalMismatchError as JournalMismatchError,
        MisplacedBoundsError as MisplacedBoundsError,
        MissingExtraError as MissingExtraError,
        NonFiniteValueError as NonFiniteValueError,
        NoValueError as NoValueError,
        OptimizerError as OptimizerError,
        OptimizerWarning as OptimizerWarning,
        OptionError as OptionError,
        StepperError as StepperError,
        TooLargeError as TooLargeError,
        UnknownOptionError as UnknownOptionError,
        WorkerDiedError as WorkerDiedError,
    )
    from optimizers.evaluation import (
        Differences as Differences,
        GradientSource as GradientSource,
        ParameterShift as ParameterShift,
        SPSAGradient as SPSAGradient,
        residuals as residuals,
        shots as shots,
        vectorized as vectorized,
        with_errors as with_errors,
    )
    from optimizers.evaluation.listened import Evaluated as Evaluated
    from optimizers.fitting import (
        LM as LM,
        curve_fit as curve_fit,
        error_bars as error_bars,
        least_squares as least_squares,
    )
    from optimizers.flow import FlowOptimizer as FlowOptimizer
    from optimizers.journal import Journal as Journal, load as load
    from optimizers.lockstep.profile import Profile as Profile, Profiles as Profiles
    from optimizers.lockstep.results import OptimizerResults as OptimizerResults
    from optimizers.native import *  # noqa: F403
    from optimizers.nlopt import NLopt as NLopt
    from optimizers.optimizer import Minimizer as Minimizer, Optimizer as Optimizer
    from optimizers.options.settings import RunSettings as RunSettings
    from optimizers.plots import plot_convergence as plot_convergence
    from optimizers.problem.known import Known as Known
    from optimizers.problem.param import Param as Param
    from optimizers.registry import available as available, find as find
    from optimizers.result import (
        Best as Best,
        OptimizerResult as OptimizerResult,
        StopReason as StopReason,
    )
    from optimizers.run.observers import History as History, Table as Table
    from optimizers.run.progress import Progress as Progress
    from optimizers.scipy import *  # noqa: F403
    from optimizers.search import *  # noqa: F403
    from optimizers.several.minima import Minimum as Minimum, MultistartResult as MultistartResult
    from optimizers.several.multistart import multistart as multistart
    from optimizers.several.portfolio import (
        PortfolioResult as PortfolioResult,
        portfolio as portfolio,
    )
    from optimizers.several.race import RaceResults as RaceResults, race as race
    from optimizers.steppable import SteppableOptimizer as SteppableOptimizer
    from optimizers.support import (
        OptimizerSupportLevel as OptimizerSupportLevel,
        SupportLevel as SupportLevel,
        Traits as Traits,
    )
    from optimizers.variational import *  # noqa: F403
else:  # hidden from them, since it would make any name valid

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            value = import_module(f"optimizers.{name}")
        elif name in _HOME:
            value = getattr(import_module(f"optimizers.{_HOME[name]}"), name)
        elif name == "__all__":
            value = sorted([*_HOME, *__getattr__("scipy").__all__])
        elif not name.startswith("__") and name in __getattr__("scipy").__all__:
            value = getattr(__getattr__("scipy"), name)
        else:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=import_module(__name__))
        globals()[name] = value  # from now on found without this function
        return value

    def __dir__() -> list[str]:
        own = {name for name in globals() if name.startswith("__")}
        return sorted({*own, *__getattr__("__all__"), *_MODULES})
