"""What TNC prints while it runs, at each documented level."""

import numpy as np
import scipy

from optimizers._types import Array
from optimizers.problem.problem import Problem
from optimizers.scipy.lbfgsb.report import ActiveSet
from optimizers.scipy.tnc import codes


class TncReport:
    """Prints the progress of TNC; ``messages`` is a bit mask of the ``MSG_`` constants."""

    def __init__(self, problem: Problem, messages: int) -> None:
        self._problem = problem
        self._messages = messages
        self._active = ActiveSet(problem)

    def iteration(self, nit: int, x: Array, f: float, g: Array, nfev: int) -> None:
        """Print what the mask includes after an iteration; number 0 is the start."""
        if self._messages & codes.MSG_ITER and nit == 0:
            print("  NIT   NF   F                       GTG")
        if self._messages & codes.MSG_INFO and (changes := self._active.changes(x)):
            print(f"tnc: bounds {changes}")
        if self._messages & codes.MSG_ITER:
            free = self._free(x, g)
            print(f" {nit:4d} {nfev:4d} {f:22.15E}  {free.dot(free):15.8E}")

    def _free(self, x: Array, g: Array) -> Array:
        """Return the gradient without the variables that it holds at their bounds."""
        lower, upper = self._problem.lower, self._problem.upper
        if lower is None or upper is None:
            return g
        return np.where(((x <= lower) & (g > 0)) | ((x >= upper) & (g < 0)), 0.0, g)


def report_version(messages: int) -> None:
    """Print TNC's version, before anything else, if the mask includes it."""
    if messages & codes.MSG_VERS:
        print(f"tnc: truncated Newton, the C implementation in SciPy {scipy.__version__}")


def report_end(message: str, messages: int) -> None:
    """Print why a run ended, if the mask includes it."""
    if messages & codes.MSG_EXIT:
        print(f"tnc: {message}")
