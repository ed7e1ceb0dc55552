"""The minimum of the model over the variables that are free at the Cauchy point."""

import numpy as np

from optimizers._types import Array
from optimizers.native.cauchy import CauchyPoint
from optimizers.native.hessian import Hessian, solved


def subspace_minimum(hessian: Hessian, point: CauchyPoint) -> Array:
    """Return coefficients of steps and changes: the way of the free variables is theirs - g / c.

    By the formula of Sherman, Morrison and Woodbury, with the small matrix
    K = [[-D - Y_F'Y_F / c, E'], [E, c S_A'S_A]], E = L - S_F'Y_F, where F are the free variables
    and A the others.
    """
    q, scale = hessian.memory.size, hessian.scale
    both, lower, free_changes, free_mixed, held_steps = hessian.parts
    fixed = hessian.middle @ point.fixed
    upper, rest = -point.along[:q], -point.along[q:]
    if point.has_passed:
        upper = upper - free_changes @ fixed[:q] - scale * free_mixed.T @ fixed[q:]
        free_steps = both - held_steps
        rest = rest - scale * (free_mixed @ fixed[:q] + scale * free_steps @ fixed[q:])
    mixed = lower - free_mixed
    first = free_changes / scale
    first.flat[:: q + 1] += hessian.curvatures
    right = np.empty((q, q + 1))
    right[:, :q], right[:, q] = mixed.T, upper
    inner = solved(first, right)
    outer = mixed @ inner
    second = solved(scale * held_steps + outer[:, :q], rest + outer[:, q])
    of_changes = fixed[:q] / scale - (inner[:, :q] @ second - inner[:, q]) / scale**2
    of_steps = fixed[q:] - second / scale
    return np.array([of_steps, of_changes])
