"""A stage of a run on a noisy objective: it ends the algorithm where progress is lost in noise."""

from optimizers._types import Array
from optimizers.result import StopReason
from optimizers.run.budget import StopRun
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run

#: This many iterations, or evaluations in one iteration, without visible progress end a stage.
_IDLE_ITERATIONS = 2
_IDLE_ASKS = 8


class Stage:
    """Ends the algorithm when its progress from a start falls below the noise."""

    curvature: Array | None = None
    _idle_asks = _IDLE_ASKS

    def __init__(self, sigma: float, start: float) -> None:
        #: The standard deviation of the values' noise.
        self.sigma = sigma
        #: The value at the last iterate.
        self.last = start
        self._idle = 0
        self._asked = 0

    def asked(self, value: float) -> None:
        """Note a value that the algorithm asked for; may end the stage."""
        self._asked = self._asked + 1 if abs(value - self.last) <= 4 * self.sigma else 0
        if self._asked >= self._idle_asks:
            raise StageOver

    def iterated(self, value: float) -> None:
        """Note the value at the end of an iteration; may end the stage."""
        self._idle = self._idle + 1 if self.last - value <= self.sigma else 0
        self.last, self._asked = value, 0
        if self._idle >= _IDLE_ITERATIONS:
            raise StageOver


class StageOver(StopRun):
    """Ends a stage; it never leaves the stages."""

    def __init__(self) -> None:
        super().__init__(StopReason.NOISE)


def end_of(run: Run, outcome: Outcome | None, start: Evaluation) -> Evaluation:
    """Return the end of a stage, or its start if that is better."""
    known = run.memory.iterate if outcome is None else outcome.known or run.memory.lookup(outcome.x)
    if known is None or not known.fun <= start.fun:
        known = run.memory.last_good
    return start if known is None or not known.fun <= start.fun else known
