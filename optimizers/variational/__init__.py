"""Optimizers made for circuits, noise and shots."""

from optimizers.variational.gradient_descent import GradientDescent
from optimizers.variational.noisy_lbfgsb import NoisyLBFGSB

__all__ = ["GradientDescent", "NoisyLBFGSB"]
