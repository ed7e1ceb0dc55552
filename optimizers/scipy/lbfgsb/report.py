"""What L-BFGS-B prints while it runs, at each documented level."""

import numpy as np

from optimizers._types import Array
from optimizers.problem.problem import Problem
from optimizers.scipy.stationary import gradient_norm


class ActiveSet:
    """Follows which variables lie on a bound."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.on = np.zeros(problem.n, dtype=bool)

    def changes(self, x: Array) -> str:
        """Return in words which variables met or left a bound since the last call."""
        if self._problem.lower is None:
            return ""
        now = (x == self._problem.lower) | (x == self._problem.upper)
        met, left = np.flatnonzero(now & ~self.on), np.flatnonzero(self.on & ~now)
        self.on = now
        words = [
            f"{what} {ids.tolist()}" for what, ids in (("met", met), ("left", left)) if ids.size
        ]
        return ", ".join(words)


class LbfgsbReport:
    """Prints the progress of L-BFGS-B at a level ``iprint`` >= 0."""

    def __init__(self, problem: Problem, iprint: int) -> None:
        self._problem = problem
        self._iprint = iprint
        self._active = ActiveSet(problem)
        self._last: tuple[Array, int] | None = None

    def iteration(self, nit: int, x: Array, f: float, g: Array, nfev: int) -> None:
        """Print what the level asks for after an iteration; number 0 is the start."""
        level = self._iprint
        if level >= 99 or nit % level == 0:
            norm = gradient_norm(self._problem, x, g)
            print(f"At iterate {nit:5d}    f= {f:12.5E}    |proj g|= {norm:12.5E}")
        if level >= 99:
            if self._last is not None:
                step = float(np.linalg.norm(x - self._last[0]))
                print(f"    points evaluated {nfev - self._last[1]}, norm of step {step:.5E}")
            changes = self._active.changes(x)
            print(f"    variables at bounds {np.count_nonzero(self._active.on)} of {x.size}")
            if level >= 100 and changes:
                print(f"    active set: {changes}")
            self._last = x.copy(), nfev
        if level > 100:
            print(f"    X = {_vector(x)}\n    G = {_vector(g)}")

    def end(self, nit: int, x: Array, f: float, norm: float, nfev: int, message: str) -> None:
        """Print the last line."""
        shown = "unknown" if np.isnan(norm) else f"{norm:.5E}"
        print(
            f"L-BFGS-B  n {x.size}  iterations {nit}  points {nfev}  |proj g| {shown}  "
            f"f {f:.8E}  {message}"
        )
        if self._iprint >= 100:
            print(f"    X = {_vector(x)}")


def _vector(x: Array) -> str:
    return np.array2string(x, formatter={"float_kind": lambda v: f"{v:.4E}"}, max_line_width=100)
