"""Optimizers made for circuits, noise and shots."""

from optimizers.variational.gradient_descent import GradientDescent
from optimizers.variational.spsa import SPSA

__all__ = ["SPSA", "GradientDescent"]
