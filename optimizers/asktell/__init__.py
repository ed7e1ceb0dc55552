"""Runs that are driven from outside: ask and tell, and many in lock-step."""

from optimizers.asktell.messages import AskData, TellData
from optimizers.asktell.stepper import OptimizerState, Stepper

__all__ = ["AskData", "OptimizerState", "Stepper", "TellData"]
