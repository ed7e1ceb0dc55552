"""An optimizer around a library that asks and tells."""

import numpy as np

from optimizers import FlowOptimizer, SupportLevel
from optimizers.flow import AskData, Option, Step, StopReason, ended, levels, number, whole


class EvolutionStrategy:
    """The library: an evolution strategy, (1 + k), whose spread follows its success."""

    def __init__(self, x0, spread, rng):
        self.x, self.fun, self.spread, self.rng = x0, np.inf, spread, rng

    def ask(self, k):
        return self.x + self.spread * self.rng.normal(size=(k, self.x.size))

    def tell(self, points, values):
        best = np.argmin(values)
        better = values[best] < self.fun
        if better:
            self.x, self.fun = points[best], float(values[best])
        self.spread *= 1.5 if better else 0.7


class Evolution(FlowOptimizer):
    """The optimizer."""

    support_levels = levels(gradient=SupportLevel.ignored)
    _declared = (
        Option("maxiter", 200, whole(1)).means("The most generations."),
        Option("size", 6, whole(1)).means("How many points a generation has."),
        Option("spread", 0.5, number(0, ends="()")).means("The first standard deviation."),
        Option("xtol", 1e-5, number(0)).means("The spread at which it has converged."),
    )

    def __init__(self, maxiter=200, size=6, spread=0.5, xtol=1e-5, **settings):
        options = {"maxiter": maxiter, "size": size, "spread": spread, "xtol": xtol}
        super().__init__(options, **settings)

    def _flow(self, problem, run):
        library = EvolutionStrategy(problem.x0, self.spread, run.rng)
        told = yield AskData(problem.x0)  # a value alone
        library.fun = told.fun
        for _ in range(self.maxiter):
            points = problem.clip(library.ask(self.size))
            told = yield AskData(points)  # a wave: evaluated at the same time, if somebody can
            library.tell(points, told.fun)
            yield Step(library.x, library.fun)
            if library.spread <= self.xtol:
                return ended(library.x, StopReason.STEP, library.fun)
        return ended(library.x, StopReason.MAXITER, library.fun)
