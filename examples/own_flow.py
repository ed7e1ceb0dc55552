"""An algorithm of your own as a flow: a generator that asks for values and gradients."""

import numpy as np

from optimizers import FlowOptimizer, SupportLevel
from optimizers.flow import AskData, Option, Step, StopReason, ended, levels, number, whole


class SteepestDescent(FlowOptimizer):
    """Gradient descent whose steps are longer after a success, and shorter after a failure."""

    support_levels = levels(gradient=SupportLevel.supported)
    _declared = (
        Option("maxiter", 1000, whole(1)).means("The most iterations."),
        Option("gtol", 1e-5, number(0)).means("How large a gradient counts as zero."),
    )

    def __init__(self, maxiter=1000, gtol=1e-5, **settings):
        super().__init__({"maxiter": maxiter, "gtol": gtol}, **settings)

    def _flow(self, problem, run):
        x, rate = problem.x0, 1.0
        told = yield AskData(x, x)  # the value and the gradient at one point
        for _ in range(self.maxiter):
            if np.abs(problem.clip(x - told.jac) - x).max() <= self.gtol:
                return ended(x, StopReason.GRADIENT, told.fun, told.jac)
            new = problem.clip(x - rate * told.jac)
            tried = yield AskData(new, new)
            if tried.fun <= told.fun + 1e-4 * told.jac @ (new - x):
                x, told, rate = new, tried, 2 * rate
            else:
                rate /= 4
            yield Step(x, told.fun, told.jac)  # the end of an iteration
        return ended(x, StopReason.MAXITER, told.fun, told.jac)
