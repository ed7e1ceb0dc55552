"""Optimizers made for circuits, noise and shots."""

from optimizers.variational.gradient_descent import GradientDescent

__all__ = ["GradientDescent"]
