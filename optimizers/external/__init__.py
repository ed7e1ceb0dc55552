"""Losses of TensorFlow, PyTorch, JAX and NumPy, minimised in the variables that they read."""

from optimizers.external.interface import ExternalOptimizerInterface
from optimizers.external.solvers import OptimizerInterface, ScipyOptimizerInterface

__all__ = ["ExternalOptimizerInterface", "OptimizerInterface", "ScipyOptimizerInterface"]
