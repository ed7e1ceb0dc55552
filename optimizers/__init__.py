"""Interchangeable minimisers for objectives that are expensive, noisy, or live elsewhere.

One class per algorithm, one ``minimize(fun, x0, jac, bounds)``; each class says what it can take.

Examples
--------
>>> from optimizers import TNC
>>> TNC().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).success
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from optimizers._version import __version__ as __version__

#: Where each public name is, but for those that ``scipy`` lists. It is imported when it is first
#: asked for, so that a program does not wait for what it does not use.
_HOMES = {
    "_types": "POINT",
    "asktell": "AskData OptimizerState Stepper TellData",
    "errors": (
        "BrokenPoolError CapabilityError CrossedBoundsError EvaluationError "
        "EvaluationTimeoutError InvalidInputError InvalidValueError JournalError "
        "JournalLockedError JournalMismatchError MisplacedBoundsError MissingExtraError "
        "NonFiniteValueError NoValueError OptimizerError OptimizerWarning OptionError "
        "StepperError TooLargeError UnknownOptionError WorkerDiedError"
    ),
    "evaluation": "Differences GradientSource ParameterShift SPSAGradient vectorized",
    "flow": "FlowOptimizer",
    "journal": "Journal load",
    "lockstep.many": "OptimizerResults",
    "optimizer": "Minimizer Optimizer",
    "options.settings": "RunSettings",
    "plots": "plot_convergence",
    "portfolio.multistart": "Minimum MultistartResult multistart",
    "portfolio.race": "RaceResults race",
    "registry": "available find",
    "result": "Best OptimizerResult StopReason",
    "run.observers": "History Progress Table",
    "steppable": "SteppableOptimizer",
    "support": "OptimizerSupportLevel SupportLevel",
    "variational": (
        "ADAM AMSGRAD AQGD GSLS NFT P_BFGS QNSPSA SPSA UMDA GradientDescent NoisyLBFGSB Rotosolve"
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
#: Modules that need no import of their own: the public ones, and those that the docs name.
_MODULES = (
    *("errors", "external", "flow", "plots", "problems", "testing"),
    *("evaluation", "journal", "scipy", "variational"),
)

if TYPE_CHECKING:  # what editors and type checkers see
    from optimizers._types import POINT as POINT
    from optimizers.asktell import (
        AskData as AskData,
    )
    from optimizers.asktell import (
        OptimizerState as OptimizerState,
    )
    from optimizers.asktell import (
        Stepper as Stepper,
    )
    from optimizers.asktell import (
        TellData as TellData,
    )
    from optimizers.errors import (
        BrokenPoolError as BrokenPoolError,
    )
    from optimizers.errors import (
        CapabilityError as CapabilityError,
    )
    from optimizers.errors import (
        CrossedBoundsError as CrossedBoundsError,
    )
    from optimizers.errors import (
        EvaluationError as EvaluationError,
    )
    from optimizers.errors import (
        EvaluationTimeoutError as EvaluationTimeoutError,
    )
    from optimizers.errors import (
        InvalidInputError as InvalidInputError,
    )
    from optimizers.errors import (
        InvalidValueError as InvalidValueError,
    )
    from optimizers.errors import (
        JournalError as JournalError,
    )
    from optimizers.errors import (
        JournalLockedError as JournalLockedError,
    )
    from optimizers.errors import (
        JournalMismatchError as JournalMismatchError,
    )
    from optimizers.errors import (
        MisplacedBoundsError as MisplacedBoundsError,
    )
    from optimizers.errors import (
        MissingExtraError as MissingExtraError,
    )
    from optimizers.errors import (
        NonFiniteValueError as NonFiniteValueError,
    )
    from optimizers.errors import (
        NoValueError as NoValueError,
    )
    from optimizers.errors import (
        OptimizerError as OptimizerError,
    )
    from optimizers.errors import (
        OptimizerWarning as OptimizerWarning,
    )
    from optimizers.errors import (
        OptionError as OptionError,
    )
    from optimizers.errors import (
        StepperError as StepperError,
    )
    from optimizers.errors import (
        TooLargeError as TooLargeError,
    )
    from optimizers.errors import (
        UnknownOptionError as UnknownOptionError,
    )
    from optimizers.errors import (
        WorkerDiedError as WorkerDiedError,
    )
    from optimizers.evaluation import (
        Differences as Differences,
    )
    from optimizers.evaluation import (
        GradientSource as GradientSource,
    )
    from optimizers.evaluation import (
        ParameterShift as ParameterShift,
    )
    from optimizers.evaluation import (
        SPSAGradient as SPSAGradient,
    )
    from optimizers.evaluation import (
        vectorized as vectorized,
    )
    from optimizers.flow import FlowOptimizer as FlowOptimizer
    from optimizers.journal import Journal as Journal
    from optimizers.journal import load as load
    from optimizers.lockstep.many import OptimizerResults as OptimizerResults
    from optimizers.optimizer import Minimizer as Minimizer
    from optimizers.optimizer import Optimizer as Optimizer
    from optimizers.options.settings import RunSettings as RunSettings
    from optimizers.plots import plot_convergence as plot_convergence
    from optimizers.portfolio.multistart import (
        Minimum as Minimum,
    )
    from optimizers.portfolio.multistart import (
        MultistartResult as MultistartResult,
    )
    from optimizers.portfolio.multistart import (
        multistart as multistart,
    )
    from optimizers.portfolio.race import RaceResults as RaceResults
    from optimizers.portfolio.race import race as race
    from optimizers.registry import available as available
    from optimizers.registry import find as find
    from optimizers.result import (
        Best as Best,
    )
    from optimizers.result import (
        OptimizerResult as OptimizerResult,
    )
    from optimizers.result import (
        StopReason as StopReason,
    )
    from optimizers.run.observers import History as History
    from optimizers.run.observers import Progress as Progress
    from optimizers.run.observers import Table as Table
    from optimizers.scipy import *  # noqa: F403
    from optimizers.steppable import SteppableOptimizer as SteppableOptimizer
    from optimizers.support import (
        OptimizerSupportLevel as OptimizerSupportLevel,
    )
    from optimizers.support import (
        SupportLevel as SupportLevel,
    )
    from optimizers.variational import (
        ADAM as ADAM,
    )
    from optimizers.variational import (
        AMSGRAD as AMSGRAD,
    )
    from optimizers.variational import (
        AQGD as AQGD,
    )
    from optimizers.variational import (
        GSLS as GSLS,
    )
    from optimizers.variational import (
        NFT as NFT,
    )
    from optimizers.variational import (
        P_BFGS as P_BFGS,
    )
    from optimizers.variational import (
        QNSPSA as QNSPSA,
    )
    from optimizers.variational import (
        SPSA as SPSA,
    )
    from optimizers.variational import (
        UMDA as UMDA,
    )
    from optimizers.variational import (
        GradientDescent as GradientDescent,
    )
    from optimizers.variational import (
        NoisyLBFGSB as NoisyLBFGSB,
    )
    from optimizers.variational import (
        Rotosolve as Rotosolve,
    )
else:  # hidden from them: to them, it would make any name one that exists

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
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value  # found without this the next time
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__"), *_MODULES})
