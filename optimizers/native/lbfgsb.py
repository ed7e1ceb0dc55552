"""L-BFGS-B on arrays of any library: the flow, which asks for values and gradients."""

import math
from collections.abc import Generator, Iterable
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.asktell.flow import Step, Told
from optimizers.asktell.messages import AskData
from optimizers.native.arrays import Tensor
from optimizers.native.bounded import Bounded
from optimizers.native.direction import Direction
from optimizers.native.line_search import Trial, search
from optimizers.native.memory import Pair
from optimizers.native.unbounded import Unbounded
from optimizers.result import StopReason

_EPS = float(np.finfo(np.float64).eps)


class Lbfgsb:
    """The state of one run of L-BFGS-B from a start inside the bounds, and its flow.

    Arrays are those of NumPy, or of another library with the array API; they may be on a device.
    All of ``x0``, bounds and gradients are of the same library, precision and device. The flow does
    what SciPy's kernel does, in fewer passes over the memory.

    Parameters
    ----------
    x0 : array of shape (n,)
        The start.
    lower, upper : array of shape (n,), optional
        Bounds, with infinities where there is none.
    maxcor, ftol, gtol, maxls
        As in SciPy.
    memory_dtype : dtype, optional
        The precision of the memory; that of ``x0`` by default.
    """

    def __init__(
        self,
        x0: Tensor,
        lower: Tensor | None = None,
        upper: Tensor | None = None,
        *,
        maxcor: int = 10,
        ftol: float = 1e7 * _EPS,
        gtol: float = 1e-5,
        maxls: int = 20,
        memory_dtype: Any = None,
    ) -> None:
        self._region: Bounded | Unbounded
        if lower is None or upper is None:
            self._region = Unbounded(x0, maxcor, memory_dtype)
        else:
            self._region = Bounded(x0, maxcor, memory_dtype, lower, upper)
        self._ftol, self._gtol, self._maxls = ftol, gtol, maxls
        #: The last iterate, value and gradient there.
        self.x, self.f, self.g = x0, math.nan, x0
        self.iterations = 0
        self._pair: Pair | None = None
        self._taught: list[tuple[Tensor, Tensor]] = []

    def flow(self, maxiter: int) -> Generator[AskData | Step, Told, StopReason]:
        """Ask for values and gradients, yield the ends of iterations, return why it ended.

        A gradient that it is told must not change later; the points that it asks for do not.
        """
        region = self._region
        told = yield AskData(self.x, self.x)
        self.f, self.g = float(told.fun), told.jac
        if maxiter <= 0:
            return StopReason.MAXITER
        if region.gradient_norm(self.x, self.g) <= self._gtol:
            return StopReason.GRADIENT
        for step, change in self._taught:
            curvature = float(step @ change)
            region.learn(self.g, Pair(step, 1.0, self.g - change, curvature))
        while True:
            before = self.f
            if not (yield from self._iteration()):
                return StopReason.NO_PROGRESS
            self.iterations += 1
            yield Step(self.x, self.f, self.g)
            if self.iterations >= maxiter:
                return StopReason.MAXITER
            if region.gradient_norm(self.x, self.g) <= self._gtol:
                return StopReason.GRADIENT
            if before - self.f <= self._ftol * max(abs(before), abs(self.f), 1.0):
                return StopReason.FUN

    def learn(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take steps and changes of gradients as if iterations had led to the start."""
        self._taught = list(pairs)

    def pairs(self) -> tuple[Array, Array]:
        """Return all steps and changes of the gradient, oldest first; this ends the run."""
        if self._pair is not None:
            self._region.learn(self.g, self._pair)
        return self._region.memory.pairs()

    def _iteration(self) -> Generator[AskData, Told, bool]:
        """Move to the next iterate; return whether there is one."""
        region = self._region
        while True:
            found = self._direction()
            if found is not None and (yield from self._line_search(found)):
                return True
            if region.memory.size == 0:
                return False
            region.clear()  # what it learned misleads: go on without
            region.gradient_norm(self.x, self.g)

    def _direction(self) -> Direction | None:
        """Return the direction of a line search; None if there is none that descends."""
        try:
            if self._pair is not None:
                self._region.learn(self.g, self._pair)
            found = self._region.direction(self.x, self.g)
        except np.linalg.LinAlgError:
            return None
        finally:
            self._pair = None
        return found if found.slope < 0.0 else None

    def _line_search(self, found: Direction) -> Generator[AskData, Told, bool]:
        """Search along a direction; return whether that led to the next iterate."""
        region, d = self._region, found.along
        is_start = self.iterations == 0 and not self._taught
        longest = region.longest(self.x, found, is_start=is_start)
        square = region.slope(d, d) if is_start and region.is_open else 0.0
        first = min(1.0 / math.sqrt(square), longest) if square else 1.0
        steps = search(Trial(0.0, self.f, found.slope), first, longest, self._maxls)
        step = next(steps)
        while True:
            with np.errstate(all="ignore"):
                x = found.end if step == 1.0 else region.clip(self.x + d * step)
            told = yield AskData(x, x)
            value, slope = float(told.fun), region.slope(told.jac, d)
            try:
                step = steps.send((value, slope))
            except StopIteration as end:
                is_good = bool(end.value)
                break
        if not is_good:
            return False
        curvature = step * (slope - found.slope)
        if curvature > -_EPS * step * found.slope:
            self._pair = Pair(d, step, self.g, curvature)
        self.x, self.f, self.g = x, value, told.jac
        return True
