"""An optimizer around a library that calls back."""

import numpy as np

from optimizers import Optimizer, SupportLevel
from optimizers.flow import Outcome, StopReason


def compass_search(fun, x0, step, xtol, callback):
    """Search along the axes: the library, which takes any error for a bad point."""

    def value(x):
        try:
            return fun(x)
        except BaseException:
            return np.inf

    x, best = x0, value(x0)
    while step > xtol:
        points = [x + sign * step * axis for axis in np.eye(x.size) for sign in (1, -1)]
        values = [value(point) for point in points]
        if min(values) < best:
            x, best = points[np.argmin(values)], min(values)
        else:
            step /= 2
        callback(x)
    return x


class Compass(Optimizer):
    """The optimizer."""

    def get_support_level(self):
        return {
            "gradient": SupportLevel.not_supported,
            "bounds": SupportLevel.not_supported,
            "initial_point": SupportLevel.required,
        }

    def _solve(self, run):
        with run.guard(run.value) as fun:  # what it raises comes out, whatever the library does
            x = compass_search(fun, run.problem.x0, 0.5, 1e-6, run.iterated)
        return Outcome(x, True, 0, "The step is small.", StopReason.STEP)
