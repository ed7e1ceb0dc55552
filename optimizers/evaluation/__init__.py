"""From the points that an algorithm wants to values: evaluators, difference schemes, checks."""

from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.marks import residuals, shots, vectorized, with_errors
from optimizers.gradients.differences import Differences
from optimizers.gradients.parameter_shift import ParameterShift
from optimizers.gradients.source import GradientSource
from optimizers.gradients.spsa import SPSAGradient

__all__ = [
    "Differences",
    "Evaluator",
    "GradientSource",
    "ParameterShift",
    "SPSAGradient",
    "residuals",
    "shots",
    "vectorized",
    "with_errors",
]
