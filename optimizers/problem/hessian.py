"""How the Hessian is obtained where it is not simply the user's function."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import HessianUpdateStrategy

from optimizers._types import Array, Objective
from optimizers.errors import CapabilityError, InvalidInputError, InvalidValueError
from optimizers.evaluation.answers import as_numeric, unpack
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.marks import is_vectorized
from optimizers.gradients.differences import SCHEMES
from optimizers.gradients.pennylane import trainable
from optimizers.problem.derivatives import Derivatives, Given, Joint

# A complex step has no cancellation: it may be tiny.
_STEP = 1e-100


def as_hessian(
    hess: Any, fun: Objective, derivatives: Derivatives, loss: Loss | None = None
) -> Any:
    """Return what a user's ``hess`` means: "cs" becomes a function that uses the gradient."""
    if not is_hessian(hess):
        raise InvalidInputError(
            f"hess is {hess!r}, expected a callable hess(x) -> (n, n), one of {SCHEMES} or a "
            "HessianUpdateStrategy."
        )
    if not (isinstance(hess, str) and hess == "cs"):
        return trainable(hess)
    if loss is not None:
        raise CapabilityError(
            "hess='cs' takes complex steps of a gradient, but jac of residuals is the Jacobian: "
            "omit hess for J'J, or pass '2-point'."
        )
    if isinstance(derivatives, Given):
        return ComplexSteps(derivatives.function)
    if isinstance(derivatives, Joint):
        return ComplexSteps(fun, is_joint=True)
    raise CapabilityError(
        "hess='cs' takes complex steps of the gradient: pass jac as a function that accepts "
        "complex points, jac=True, or another hess."
    )


def is_hessian(given: Any) -> bool:
    """Return whether something is given that specifies a Hessian."""
    is_strategy = isinstance(given, HessianUpdateStrategy)
    return given is None or callable(given) or is_strategy or is_scheme(given)


def is_scheme(given: Any) -> bool:
    """Return whether something is the name of a difference scheme."""
    return isinstance(given, str) and given in SCHEMES


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
