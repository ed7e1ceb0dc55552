"""The L-BFGS-B of this package with the interface of SciPy's kernel, and when it is the faster."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.asktell.flow import Step, Told
from optimizers.errors import OptionError
from optimizers.native.lbfgsb import Lbfgsb
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.scipy.lbfgsb.public import DETAILS, MAXITER, STOP, TASKS, LbfgsbEnd
from optimizers.scipy.options import LbfgsbOptions
from optimizers.scipy.stationary import Evaluate

#: From how many variables on it takes less time than SciPy's kernel: without bounds it breaks even
#: at 1600, with them at 2100 (``benchmarks/native.py``).
_MANY = 2_000
#: Status, and SciPy's task numbers, for its ends.
_ENDS = {
    StopReason.GRADIENT: (0, 4, 401),
    StopReason.FUN: (0, 4, 402),
    StopReason.MAXITER: (1, STOP, MAXITER),
    StopReason.NO_PROGRESS: (2, 8, 0),
}


def is_native(run: Run, options: LbfgsbOptions) -> bool:
    """Return whether a run takes the L-BFGS-B of this package instead of SciPy's kernel.

    Raise an OptionError if the options contradict each other.
    """
    problem, watch = run.problem, run.watch
    solver, chosen_by = options.solver, f"solver={options.solver!r}"
    for given, needed, is_given in (
        (f"speculate={options.speculate}", "scipy", options.speculate > 1),
        ("noise='estimate'", "scipy", watch is not None and watch.curvature is not None),
        (f"memory_dtype={options.memory_dtype!r}", "native", options.memory_dtype is not None),
    ):
        if is_given and solver not in ("auto", needed):
            raise OptionError(
                f"{given} needs solver={needed!r}, and contradicts {chosen_by}: remove one of them."
            )
        if is_given:
            solver, chosen_by = needed, given
    if solver != "auto":
        return solver == "native"
    # The time of differences is that of the objective, and SciPy's kernel saves some of them.
    return problem.n >= _MANY and problem.derivatives.is_given


class NativeLbfgsb:
    """A run of the flow, as :class:`LbfgsbKernel`."""

    def __init__(
        self, x0: Array, lower: Array | None, upper: Array | None, options: LbfgsbOptions
    ) -> None:
        self._state = Lbfgsb(
            x0,
            lower,
            upper,
            maxcor=options.maxcor,
            ftol=options.ftol,
            gtol=options.gtol,
            maxls=options.maxls,
            memory_dtype=None if options.memory_dtype is None else np.dtype(options.memory_dtype),
        )
        self._stop: StopReason | None = None

    x = property(lambda self: self._state.x)
    f = property(lambda self: self._state.f)
    g = property(lambda self: self._state.g)
    iterations = property(lambda self: self._state.iterations)

    def run(
        self,
        evaluate: Evaluate,
        maxiter: int,
        on_iteration: Callable[[Any], None],
        first: tuple[float, Array] | None = None,
        search: Callable[[Any], None] | None = None,
    ) -> None:
        """Iterate as :meth:`LbfgsbKernel.run`; no other line search can be given here."""
        assert search is None
        flow = self._state.flow(maxiter)
        told: Any = None
        while True:
            try:
                asked = flow.send(told)
            except StopIteration as end:
                self._stop = end.value
                return
            told = None
            if isinstance(asked, Step):
                on_iteration(self)
            else:
                told = Told(*(evaluate(asked.x_fun) if first is None else first))
                first = None

    def learn(self, value: float, gradient: Array, pairs: Sequence[tuple[Array, Array]]) -> bool:
        """Take steps and gradient changes as if iterations had led to the start."""
        self._state.learn(pairs)
        return True

    def end(self) -> LbfgsbEnd:
        """Return how the run ended."""
        assert self._stop is not None
        status, task, detail = _ENDS[self._stop]
        message = f"{TASKS[task]}: {DETAILS[detail]}"
        return LbfgsbEnd(self.x.copy(), self.iterations, status, message)

    def pairs(self) -> tuple[Array, Array]:
        """Return all steps and gradient changes, oldest first; this ends the run."""
        return self._state.pairs()
