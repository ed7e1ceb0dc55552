"""Runs that are held from outside: ask and tell, and many in lock-step."""

from optimizers.asktell.messages import AskData, TellData
from optimizers.asktell.stepper import OptimizerState, Stepper
from optimizers.lockstep.many import OptimizerResults

__all__ = ["AskData", "OptimizerResults", "OptimizerState", "Stepper", "TellData"]
