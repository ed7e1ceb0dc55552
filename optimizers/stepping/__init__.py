"""Runs that are held from outside: ask, tell, and what is built on them."""

from optimizers.stepping.asks import AskData, TellData
from optimizers.stepping.stepper import OptimizerState, Stepper

__all__ = ["AskData", "OptimizerState", "Stepper", "TellData"]
