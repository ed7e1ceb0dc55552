"""Losses of TensorFlow, PyTorch, JAX and NumPy, minimized in the variables that they read."""

from optimizers.external.interface import ExternalOptimizerInterface
from optimizers.external.solvers import OptimizerInterface, ScipyOptimizerInterface

__all__ = ["ExternalOptimizerInterface", "OptimizerInterface", "ScipyOptimizerInterface"]
