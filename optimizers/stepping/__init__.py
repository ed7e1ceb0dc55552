"""Runs that are held from outside: ask and tell, and many in lock-step."""

from optimizers.stepping.asks import AskData, TellData
from optimizers.stepping.many import OptimizerResults
from optimizers.stepping.stepper import OptimizerState, Stepper

__all__ = ["AskData", "OptimizerResults", "OptimizerState", "Stepper", "TellData"]
