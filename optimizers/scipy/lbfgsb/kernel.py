"""SciPy's compiled kernel of L-BFGS-B, driven directly: it is not public, so it is tried first.

Reverse communication and the workspace are as in Zhu et al., "Algorithm 778", ACM TOMS 23 (1997).
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from optimizers._arrays import rotate
from optimizers._types import Array
from optimizers.scipy.lbfgsb.public import DETAILS, MAXITER, TASKS, LbfgsbEnd, has_curvature
from optimizers.scipy.options import LbfgsbOptions
from optimizers.scipy.stationary import Evaluate

# The kernel's first task number, and our answers.
_START, _NEW_X, _EVALUATE, _CONVERGED, _STOP = 0, 1, 3, 4, 5
# The second task number, where the first is to evaluate a step of a line search.
_IN_LINE_SEARCH = 302
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Ray:
    """The ray of an L-BFGS-B line search: a step s leads to ``start + s * direction``."""

    start: Array
    direction: Array
    end: Array
    value: float
    slope: float
    first: float
    longest: float

    def point(self, step: float) -> Array:
        """Return where a step leads; rounding may put it just outside the bounds."""
        return self.end if step == 1.0 else self.start + step * self.direction


class LbfgsbKernel:
    """The state of one L-BFGS-B run, from a start inside the bounds."""

    def __init__(
        self,
        x0: Array,
        lower: Array | None,
        upper: Array | None,
        options: LbfgsbOptions,
        integer: type[np.signedinteger[Any]] = np.int32,
    ) -> None:
        n, m = x0.size, options.maxcor
        self.m = m
        self.x = x0.copy()
        self.f = np.zeros(())
        self.g = np.zeros(n)
        self.iterations = 0
        #: Whether it stands behind iterations that it did not make.
        self.is_taught = False
        self.workspace = np.zeros(2 * m * n + 5 * n + 11 * m * m + 8 * m)
        self.task = np.zeros(2, dtype=integer)
        self.counters = np.zeros(44, dtype=integer)
        self.numbers = np.zeros(29)
        self.maxls = min(options.maxls, np.iinfo(np.int32).max)
        self.arguments = (
            m,
            self.x,
            *_coded(self.x, lower, upper, integer),
            self.f,
            self.g,
            options.ftol / _EPS,
            options.gtol,
            self.workspace,
            np.zeros(3 * n, dtype=integer),
            self.task,
            np.zeros(4, dtype=integer),
            self.counters,
            self.numbers,
            self.maxls,
            np.zeros(2, dtype=integer),
        )

    def run(
        self,
        evaluate: Evaluate,
        maxiter: int,
        on_iteration: Callable[["LbfgsbKernel"], None],
        first: tuple[float, Array] | None = None,
        search: Callable[["LbfgsbKernel"], None] | None = None,
    ) -> None:
        """Iterate until the kernel ends or ``maxiter`` iterations are done.

        ``first`` answers its first question. ``search`` answers the steps of a line search.
        """
        setulb, arguments = scipy.optimize._lbfgsb.setulb, self.arguments
        x, f, g, task = self.x, self.f, self.g, self.task
        wanted = _START if self.is_taught else task.item(0)
        while True:
            if wanted == _EVALUATE and search is not None and task.item(1) == _IN_LINE_SEARCH:
                search(self)
            elif wanted == _EVALUATE:
                f[...], g[...] = evaluate(x) if first is None else first
                first = None
                if maxiter <= 0:
                    task[:] = _STOP, MAXITER
                    return
            elif wanted == _NEW_X:
                self.iterations += 1
                on_iteration(self)
                if self.iterations >= maxiter:
                    task[:] = _STOP, MAXITER
                    return
            elif wanted != _START:
                return
            setulb(*arguments)
            wanted = task.item(0)

    def learn(self, value: float, gradient: Array, pairs: Sequence[tuple[Array, Array]]) -> bool:
        """Take steps and gradient changes as if iterations had led to the start; before it runs.

        Return whether the kernel goes on from there.
        """
        self.task[:], left = 0, deque(pairs)
        n, at = self.x.size, 2 * self.m * self.x.size + 11 * self.m * self.m
        _, before, direction, _ = self.workspace[at : at + 4 * n].reshape(4, n)
        start = self.x.copy()
        while True:
            scipy.optimize._lbfgsb.setulb(*self.arguments)
            code, detail = self.task.tolist()
            if code == _NEW_X and not left:
                self.is_taught = True
                return True
            if code == _EVALUATE and detail == _IN_LINE_SEARCH:
                step, change = left.popleft()
                direction[...], before[...] = step, gradient - change
                self.numbers[[14, 15]] = before.dot(step), step.dot(step)
                self.accept(1.0, start, value, gradient)
            elif code == _EVALUATE:
                self.g[...] = gradient
            elif code != _NEW_X:
                return False
            self.f[...] = value + len(left) * (1.0 + abs(value))  # each one seems to descend

    def ray(self) -> Ray:
        """Return the ray of the line search that begins now."""
        n = self.x.size
        at = 2 * self.m * n + 11 * self.m * self.m  # behind the matrices
        end, _, direction, start = self.workspace[at : at + 4 * n].reshape(4, n)
        value, longest, first, slope = self.numbers[[1, 11, 13, 14]].tolist()
        return Ray(start, direction, end, value, slope, first, longest)

    def accept(self, step: float, x: Array, value: float, gradient: Array) -> None:
        """End the line search with a step, which leads to ``x``."""
        self.x[...], self.f[...], self.g[...] = x, value, gradient
        self.numbers[13] = step
        # An interval of steps that has shrunk to one point: the kernel's own search then accepts
        # it. Its own condition on the curvature decides what it learns.
        self.counters[42] = 1
        self.numbers[[25, 26]] = step

    def give_up(self) -> None:
        """End the line search without a step: the kernel returns, and clears its memory."""
        ray = self.ray()
        self.f[...] = ray.value + abs(ray.value) + 1.0  # certainly no decrease
        self.counters[35] = self.maxls  # "number of evaluations in the current iteration"

    @property
    def decrease_limit(self) -> float:
        """The value above which the kernel's line search steps back, whatever the gradient."""
        value, step, slope, lowest, at = self.numbers[[1, 13, 14, 21, 23]].tolist()
        if step == at:  # the search ends at its lowest point, and asks for it again
            return math.inf
        wanted = 1e-3 * slope
        # Relative to the lowest point of the search so far, it requires the same decrease again,
        # until it was once sufficient: its second stage.
        if self.counters[43] == 1:
            lowest += min(0.0, (step - at) * wanted)
        return float(max(value + step * wanted, lowest))

    def step_back(self, value: float) -> None:
        """Answer the line search with a value above :attr:`decrease_limit` and no gradient."""
        step, slope, lowest, at = self.numbers[[13, 18, 21, 23]].tolist()
        # The kernel interpolates with a slope: it gets the one for which its cubic is the parabola
        # through the known data. It forgets a point that it steps back from.
        wanted = 2.0 * (value - lowest) / (step - at) - slope
        direction = self.ray().direction
        self.f[...] = value
        self.g[...] = direction * (wanted / direction.dot(direction))

    def end(self) -> LbfgsbEnd:
        """Return how the run ended."""
        code, detail = self.task.tolist()
        status = 0 if code == _CONVERGED else 1 if detail == MAXITER else 2
        message = f"{TASKS.get(code, code)}: {DETAILS.get(detail, detail)}"
        return LbfgsbEnd(self.x.copy(), self.iterations, status, message)

    def pairs(self) -> tuple[Array, Array]:
        """Return views of all steps and gradient changes, oldest first; this ends the run."""
        m, n = self.m, self.x.size
        steps = self.workspace[: m * n].reshape(m, n)
        changes = self.workspace[m * n : 2 * m * n].reshape(m, n)
        updates = int(self.counters[30])  # "total number of BFGS updates prior the current"
        accepted = self.task[0] in (_NEW_X, _CONVERGED, _STOP) and self.iterations > 0
        if accepted:
            # The kernel stores a step when the next one begins; the final one is stored here,
            # under its own condition. The previous gradient and point lie behind the matrices.
            at = 2 * m * n + 11 * m * m
            gradient = self.workspace[at + n : at + 2 * n]
            step = self.x - self.workspace[at + 3 * n : at + 4 * n]
            change = self.g - gradient
            if has_curvature(step, change, gradient):
                steps[updates % m], changes[updates % m] = step, change
                updates += 1
        if updates > m:  # a ring buffer: move the oldest entry to the front in place
            rotate(steps, updates % m)
            rotate(changes, updates % m)
        return steps[: min(updates, m)], changes[: min(updates, m)]


def _coded(
    x: Array, lower: Array | None, upper: Array | None, integer: type[np.signedinteger[Any]]
) -> tuple[Array, Array, NDArray[np.signedinteger[Any]]]:
    """Return bounds in the kernel's form: with a code for each kind."""
    if lower is None or upper is None:
        # An array is required, but is not read where the code means that there is no bound.
        return x, x, np.zeros(x.size, dtype=integer)
    has_lower, has_upper = np.isfinite(lower).view(np.int8), np.isfinite(upper).view(np.int8)
    # 0 no bound, 1 lower, 2 both, 3 upper.
    codes = has_lower + 3 * has_upper - 2 * (has_lower & has_upper)
    return lower, upper, codes.astype(integer)
