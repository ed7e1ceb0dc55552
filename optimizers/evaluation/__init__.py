"""From the points that an algorithm wants to values: evaluators, difference schemes, checks."""

from optimizers.evaluation.differences import Differences
from optimizers.evaluation.evaluators import Evaluator, vectorized
from optimizers.evaluation.parameter_shift import ParameterShift
from optimizers.evaluation.sources import GradientSource
from optimizers.evaluation.spsa_gradient import SPSAGradient

__all__ = [
    "Differences",
    "Evaluator",
    "GradientSource",
    "ParameterShift",
    "SPSAGradient",
    "vectorized",
]
