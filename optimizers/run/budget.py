"""Budget: what a run may spend, its clock, and what it has spent."""

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from optimizers.evaluation.wave import Cost
from optimizers.result import StopReason

#: The default number of shots.
_SHOTS = 1000
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


@dataclass(frozen=True)
class Paid:
    """How evaluations are paid: the shots of each, and the limits of shots and of waves."""

    #: How many shots an evaluation takes; if the objective takes any number, the default. None if
    #: they are not known.
    each: int | None = None
    takes_shots: bool = False
    maxshots: float = math.inf
    maxjobs: float = math.inf
    #: Whether waves are counted.
    counts_jobs: bool = False

    @classmethod
    def by(cls, settings: Mapping[str, Any], takes_shots: bool) -> Self:
        """Return the meaning of the settings of a run."""
        each, most, jobs = (settings.get(name) for name in ("shots", "maxshots", "maxjobs"))
        if each is None and takes_shots:
            each = _SHOTS
        known = each is not None or jobs is not None
        return cls(each, takes_shots, most or math.inf, jobs or math.inf, known)


class Budget:
    """What a run may spend and has spent; only modules beside this one change it."""

    def __init__(
        self,
        maxfun: int | None = None,
        timeout: float | None = None,
        maxiter: int | None = None,
        paid: "Paid | None" = None,
    ) -> None:
        self.paid = paid = paid or Paid()
        self._full = StopReason.MAXFUN
        if not paid.takes_shots and paid.each is not None and paid.maxshots < math.inf:
            points = int(paid.maxshots // paid.each)
            if maxfun is None or points < maxfun:
                maxfun, self._full = points, StopReason.MAXSHOTS
        self.maxfun = maxfun
        #: For algorithms that do not count their iterations.
        self.maxiter = maxiter
        self.limit = math.inf if maxfun is None else maxfun
        self.started = time.monotonic()
        self.deadline = math.inf if timeout is None else self.started + timeout
        self.nfev = self.njev = self.nhev = self.nit = self.nrejected = 0
        #: The waves, and the shots of an objective that takes any number.
        self.njobs = self.nshots = 0
        #: Whether answers that another stepper was told are being repeated.
        self.is_paused = False
        #: How many penalties the algorithm was given without recognizing them.
        self.npenalized = 0
        #: How many gradients were computed from values.
        self.ndifferences = 0

    @property
    def left(self) -> float:
        """How many points may still be evaluated, with the default number of shots."""
        paid, left = self.paid, self.limit - self.nfev
        if self.njobs >= paid.maxjobs:
            return 0
        if paid.takes_shots and paid.maxshots < math.inf:
            assert paid.each is not None
            left = min(left, (paid.maxshots - self.nshots) // paid.each)
        return max(0, left)

    @property
    def unspent(self) -> Cost:
        """What may still be spent."""
        shots = self.paid.maxshots - self.nshots if self.paid.takes_shots else math.inf
        return Cost(self.limit - self.nfev, shots)

    @property
    def shots(self) -> int | None:
        """How many shots were spent; None if they are not known."""
        if self.paid.takes_shots or self.paid.each is None:
            return self.nshots if self.paid.takes_shots else None
        return self.nfev * self.paid.each

    @property
    def is_timed(self) -> bool:
        """Whether there is a deadline."""
        return self.deadline < math.inf

    @property
    def elapsed(self) -> float:
        """Seconds since the run was begun."""
        return time.monotonic() - self.started

    def over(self, cost: Cost) -> StopReason | None:
        """Return which limit a wave would exceed; None if it is within all."""
        paid = self.paid
        if self.nfev + cost.points > self.limit:
            return self._full
        if paid.takes_shots and self.nshots + cost.shots > paid.maxshots:
            return StopReason.MAXSHOTS
        return StopReason.MAXJOBS if self.njobs >= paid.maxjobs else None

    def check(self, cost: Cost) -> None:
        """End the run if a wave would exceed a limit, or time is up."""
        reason = self.over(cost)
        if reason is not None:
            raise StopRun(reason)
        self.check_clock()

    def full(self) -> StopRun:
        """Return what ends a run that has evaluated all points that it may."""
        return StopRun(self._full)

    def too_few(self, cost: Cost, left: float | None = None) -> StopRun:
        """Return what ends a run whose budget, all or what is left, does not take a gradient."""
        reason = self.over(cost) or self._full
        if reason is StopReason.MAXJOBS:
            return StopRun(reason)
        takes, left = f"{cost.points:.0f} points", self.left if left is None else left
        if reason is StopReason.MAXSHOTS and self.paid.takes_shots:
            takes, left = f"{cost.shots:.0f} shots", self.unspent.shots
        return StopRun(
            reason,
            f"A gradient by differences takes {takes}, but {left:.0f} are left: pass jac, or raise "
            f"{reason.value}.",
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
