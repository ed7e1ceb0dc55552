"""From the points that an algorithm wants to values: evaluators, difference schemes, checks."""

from optimizers.evaluation.differences import Differences
from optimizers.evaluation.evaluators import Evaluator, vectorized

__all__ = ["Differences", "Evaluator", "vectorized"]
