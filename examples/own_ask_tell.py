"""An optimizer around a library that asks and tells."""

import numpy as np

from optimizers import FlowOptimizer, SupportLevel
from optimizers.flow import AskData, Step, StopReason, check_range, check_whole, ended


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

    def __init__(self, maxiter=200, size=6, spread=0.5, xtol=1e-5, **settings):
        options = {"maxiter": maxiter, "size": size, "spread": spread, "xtol": xtol}
        super().__init__(options, **settings)

    def _check_options(self, options):
        check_whole("maxiter", options["maxiter"], 1)
        check_whole("size", options["size"], 1)
        check_range("spread", options["spread"], 0, closed=False)
        check_range("xtol", options["xtol"], 0)

    def get_support_level(self):
        return {
            "gradient": SupportLevel.not_supported,
            "bounds": SupportLevel.supported,
            "initial_point": SupportLevel.required,
        }

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
