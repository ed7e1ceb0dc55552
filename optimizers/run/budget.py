"""Budget: what a run may spend, its clock, and what it has spent."""

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

from optimizers.result import StopReason

#: The deadline of a run with a time limit while its clock is paused.
_NEVER = sys.float_info.max


class StopRun(BaseException):
    """Ends a run from inside an evaluation or a callback; never leaves :meth:`Run.execute`.

    A BaseException, so that no ``except Exception`` of a solver can swallow it.
    """

    def __init__(self, reason: StopReason, advice: str = "") -> None:
        super().__init__(reason.sentence)
        self.reason, self.advice = reason, advice
        #: The first and the last iteration of the flow that it ended.
        self.steps: tuple[Any, Any] | None = None


class Patience:
    """Ends a run whose best value has not fallen visibly for a number of iterations."""

    def __init__(self, iterations: int, least_fall: float = 0.0) -> None:
        self.iterations, self.least_fall = iterations, least_fall
        self._lowest, self._since = (math.inf, math.inf), 0

    def check(self, nit: int, violation: float, best: float) -> None:
        """End the run if it is over; a smaller violation of constraints is progress too."""
        last_violation, last = self._lowest
        if violation < last_violation or best < last - self.least_fall:
            self._lowest, self._since = (violation, best), nit
        elif nit - self._since >= self.iterations:
            raise StopRun(StopReason.FUN)


class Budget:
    """What a run may spend and has spent; only modules beside this one change it."""

    def __init__(
        self, maxfun: int | None = None, timeout: float | None = None, maxiter: int | None = None
    ) -> None:
        self.maxfun = maxfun
        #: For algorithms that do not count their iterations.
        self.maxiter = maxiter
        self.limit = math.inf if maxfun is None else maxfun
        self.started = time.monotonic()
        self.deadline = math.inf if timeout is None else self.started + timeout
        self.nfev = self.njev = self.nhev = self.nit = self.nrejected = 0
        #: Whether answers that another stepper was told are being repeated.
        self.is_paused = False
        #: How many penalties the algorithm was given without recognizing them.
        self.npenalized = 0
        #: How many gradients were computed from values.
        self.ndifferences = 0

    @property
    def left(self) -> float:
        """How many points may still be evaluated."""
        return max(0, self.limit - self.nfev)

    @property
    def is_timed(self) -> bool:
        """Whether there is a deadline."""
        return self.deadline < math.inf

    @property
    def elapsed(self) -> float:
        """Seconds since the run was begun."""
        return time.monotonic() - self.started

    def check(self, count: int) -> None:
        """End the run if ``count`` more points are more than it may evaluate, or time is up."""
        if self.nfev + count > self.limit:
            raise StopRun(StopReason.MAXFUN)
        self.check_clock()

    def too_few(self, probes: int, left: float | None = None) -> StopRun:
        """Return what ends a run whose budget, all or what is left, does not take a gradient."""
        return StopRun(
            StopReason.MAXFUN,
            f"A gradient by differences takes {probes} points, but "
            f"{self.left if left is None else left:.0f} are left: pass jac, or raise maxfun.",
        )

    def check_clock(self) -> None:
        """End the run if its time is up."""
        if self.deadline < math.inf and time.monotonic() > self.deadline:
            raise StopRun(StopReason.TIMEOUT)

    def check_iterations(self) -> None:
        """End the run after its last allowed iteration."""
        if self.maxiter is not None and self.nit >= self.maxiter:
            raise StopRun(StopReason.MAXITER)

    def end_by(self, deadline: float) -> None:
        """Move the deadline forward: one of many runs has the common deadline."""
        self.deadline = min(self.deadline, deadline)

    @contextlib.contextmanager
    def paused(self, seconds: float) -> Iterator[None]:
        """Pause the clock, at a number of elapsed seconds."""
        timeout = self.deadline - self.started
        self.is_paused = True
        self.started = time.monotonic() - seconds
        self.deadline = _NEVER if self.is_timed else math.inf
        try:
            yield
        finally:
            self.is_paused = False
        self.started = time.monotonic() - seconds
        self.deadline = self.started + timeout
