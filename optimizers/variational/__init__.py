"""Optimizers made for circuits, noise and shots."""

from optimizers.variational.gradient_descent import GradientDescent
from optimizers.variational.qnspsa import QNSPSA
from optimizers.variational.spsa import SPSA

__all__ = ["QNSPSA", "SPSA", "GradientDescent"]
