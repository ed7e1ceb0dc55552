"""Runs that are held from outside: ask, tell, and what is built on them."""

from optimizers.stepping.asks import AskData, TellData
from optimizers.stepping.many import OptimizerResults
from optimizers.stepping.multistart import Minimum, MultistartResult, multistart
from optimizers.stepping.race import RaceResults, race
from optimizers.stepping.stepper import OptimizerState, Stepper

__all__ = [
    "AskData",
    "Minimum",
    "MultistartResult",
    "OptimizerResults",
    "OptimizerState",
    "RaceResults",
    "Stepper",
    "TellData",
    "multistart",
    "race",
]
