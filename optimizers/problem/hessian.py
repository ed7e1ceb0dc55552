"""How the Hessian of an objective is had, where it takes more than the user's own function."""

from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._types import Array, Objective
from optimizers.errors import CapabilityError, InvalidValueError
from optimizers.evaluation.answers import as_numeric, unpack
from optimizers.evaluation.evaluator import is_vectorized
from optimizers.gradients.pennylane import trainable
from optimizers.problem.derivatives import Derivatives, Given, Joint

# A complex step has no cancellation: it may be as small as numbers are.
_STEP = 1e-100


def as_hessian(hess: Any, fun: Objective, derivatives: Derivatives) -> Any:
    """Return what a user's ``hess`` means: "cs" is a function, made of that for the gradient."""
    if not (isinstance(hess, str) and hess == "cs"):
        return trainable(hess)
    if isinstance(derivatives, Given):
        return ComplexSteps(derivatives.function)
    if isinstance(derivatives, Joint):
        return ComplexSteps(fun, is_joint=True)
    raise CapabilityError(
        "hess='cs' takes complex steps of the gradient: pass jac as a function that takes complex "
        "points, jac=True, or another hess."
    )


class ComplexSteps:
    """The Hessian by complex steps of a gradient, which is called with complex points."""

    def __init__(self, gradient: Callable[..., Any], *, is_joint: bool = False) -> None:
        self._gradient, self._is_joint = gradient, is_joint

    def __call__(self, x: Array) -> Array:
        """Return the Hessian at a point."""
        points = x + 1j * _STEP * np.eye(x.size)
        if is_vectorized(self._gradient):
            rows = list(self._part(self._gradient(points)))
        else:
            rows = [self._part(self._gradient(point)) for point in points]
        gradients = np.array([as_numeric(row, "jac", np.complex128).ravel() for row in rows])
        if gradients.shape != points.shape:
            raise InvalidValueError(
                f"jac returned the shape {gradients.shape[1:]} at a complex point, expected "
                f"{x.shape}."
            )
        slopes = gradients.imag / _STEP
        hessian: Array = (slopes + slopes.T) / 2
        return hessian

    def _part(self, raw: Any) -> Any:
        return unpack(raw)[1] if self._is_joint else raw
