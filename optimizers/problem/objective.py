"""The forms of an objective."""

from typing import Any

from optimizers._types import Array, Objective
from optimizers.evaluation.answers import unpack
from optimizers.evaluation.evaluator import is_vectorized, vectorized


def value_alone(fun: Objective) -> Objective:
    """Return an objective without the gradient that comes with its value and is of no use."""

    def alone(x: Array) -> Any:
        return unpack(fun(x))[0]

    return vectorized(alone) if is_vectorized(fun) else alone
