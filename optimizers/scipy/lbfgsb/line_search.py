"""A line search that tries several steps at a time: which to try next, and which to accept."""

import itertools
import math
import operator
from collections.abc import Iterator
from typing import NamedTuple

# The conditions of the line search in L-BFGS-B, which the kernel's own search has too.
_DECREASE, _CURVATURE, _NARROW = 1e-3, 0.9, 0.1
#: The first steps in units of the preferred one, in order of usefulness: a longer one saves
#: iterations, a shorter one saves the second round if the preferred one fails.
_FACTORS = (1.0, 2.5, 0.4, 0.65, 1.6)
_EXPANSION, _SHRINKAGE = 4.0, 0.25


_value = operator.attrgetter("value")


class Trial(NamedTuple):
    """A step that was tried: the objective there, and its derivative along the direction."""

    step: float
    value: float
    slope: float


class LineSearch:
    """One line search, which proposes steps and is told the results, in rounds."""

    def __init__(self, value: float, slope: float, first: float, longest: float) -> None:
        self._start = Trial(0.0, value, slope)
        self._first = first
        self._longest = longest
        self._trials: list[Trial] = []
        self._rejected: set[float] = set()

    def steps(self, count: int) -> list[float]:
        """Return the next steps to try, the best ones first; empty if there is nothing to gain."""
        seen = {0.0, *self._rejected, *(trial.step for trial in self._trials)}
        below = min(self._rejected, default=math.inf)
        steps: list[float] = []
        # Many proposals coincide at the longest step: consider some more.
        for proposal in itertools.islice(self._proposals(below), 8 * count):
            step = min(proposal, self._longest)
            if step not in seen and step < below and len(steps) < count:
                steps.append(step)
                seen.add(step)
        return steps

    def tell(self, step: float, value: float, slope: float) -> None:
        """Note the result of a step."""
        self._trials.append(Trial(step, value, slope))

    def reject(self, step: float) -> None:
        """Note that a step failed: from now on only shorter ones are tried."""
        self._rejected.add(step)

    def acceptable(self) -> Trial | None:
        """Return the lowest of the trials that meet the conditions; None if none does."""
        return min(filter(self._is_acceptable, self._trials), key=_value, default=None)

    def lowest(self) -> Trial | None:
        """Return the lowest of the trials; None if none is below the start."""
        below = (trial for trial in self._trials if trial.value < self._start.value)
        return min(below, key=_value, default=None)

    def _is_acceptable(self, trial: Trial) -> bool:
        decrease = _DECREASE * self._start.slope
        if not trial.value <= self._start.value + trial.step * decrease:
            return False
        # At the longest step, a further decrease is as good as flat.
        at_end = trial.step == self._longest and trial.slope <= decrease
        return at_end or abs(trial.slope) <= -_CURVATURE * self._start.slope

    def _proposals(self, below: float) -> Iterator[float]:
        if not self._trials and not self._rejected:
            return _around(self._first)
        points = sorted([self._start, *self._trials])
        at = points.index(min(points, key=_value))
        low = points[at]
        if low.slope >= 0.0 and at > 0:
            return _between(points[at - 1], low)
        if at + 1 < len(points):
            return _between(low, points[at + 1])
        if below < math.inf:
            return _shrinking(low.step, below)
        return (low.step * _EXPANSION**power for power in itertools.count(1))


def _around(first: float) -> Iterator[float]:
    yield from (first * factor for factor in _FACTORS)
    for power in itertools.count(1):
        yield first * min(_FACTORS) / 2**power
        yield first * max(_FACTORS) * 2**power


def _shrinking(start: float, end: float) -> Iterator[float]:
    """Yield steps that come from ``end`` nearer and nearer to ``start``."""
    return (start + (end - start) * _SHRINKAGE**power for power in itertools.count(1))


def _between(left: Trial, right: Trial) -> Iterator[float]:
    """Yield steps between two trials, around the minimum of the cubic through them."""
    width = right.step - left.step
    if left.step > 0.0 and width <= _NARROW * right.step:
        return
    guess = _minimum(left, right)
    # Near an end, the cubic is not reliable: a step there would gain little.
    guess = min(max(guess, left.step + 0.02 * width), right.step - 0.02 * width)
    yield guess
    if left.step == 0.0:  # the start is the best so far: the right length is unknown
        yield from _shrinking(left.step, guess)
    for power in itertools.count(1):
        yield left.step + (guess - left.step) / 2**power
        yield right.step - (right.step - guess) / 2**power


def _minimum(left: Trial, right: Trial) -> float:
    """Return the minimum of the cubic through two trials; their middle if it has none there."""
    width = right.step - left.step
    a = left.slope + right.slope - 3.0 * (right.value - left.value) / width
    square = a * a - left.slope * right.slope
    if square >= 0.0:
        root = math.sqrt(square)
        divisor = right.slope - left.slope + 2.0 * root
        if divisor != 0.0:
            step = right.step - width * (right.slope + root - a) / divisor
            if left.step < step < right.step:
                return step
    return left.step + width / 2
