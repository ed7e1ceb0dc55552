"""Whether values along a line are sinusoids of the assumed frequencies: one more value tells.

Pure functions of arrays. With R frequencies, the value at the point and those at the 2 R offsets of
a shift rule determine the sinusoids, and so the value at any further offset. For the frequency 1
and the offset pi this is ``f(x) + f(x + pi) = f(x + pi / 2) + f(x - pi / 2)``; but there neither
``sin(2 x)`` nor the frequency 3 would be seen, so that another offset is taken.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.gradients.plan import Plan
from optimizers.gradients.shift_rules import Frequencies, Rule

#: How many offsets are tried for the further value.
_TRIED = 64
#: How many other frequencies the offset is chosen by, and what those between multiples count.
_OTHERS, _BETWEEN = 32, 4.0
#: A prediction is useless if its error exceeds that of a value by this factor.
_USELESS = 1e3
#: A deviation of less than this fraction of the range of the values does not matter,
_NEGLIGIBLE = 1e-3
#: nor does one of this many standard errors, or of rounding errors.
_ERRORS, _ROUNDINGS = 6.0, 100.0


class Further(NamedTuple):
    """A further offset, and the weights that predict ``f(x + offset) - f(x)`` from the others."""

    offset: float
    weights: Array


@dataclass(frozen=True)
class CheckedPlan(Plan):
    """The plan of a gradient, followed by one point for each variable that can be checked."""

    #: How many points are the gradient's, and the variable of each further one.
    count: int = 0
    variables: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    #: The weight of each of the gradient's values in each prediction, shape (checks, count).
    weights: Array = field(default_factory=lambda: np.empty((0, 0)))

    def fails(self, rows: Array, errors: Array, precision: float) -> NDArray[np.bool_]:
        """Return which checks fail, for one function or several that share the points.

        ``rows`` are the values at the point and at ``points``, shape (m, 1 + k), and ``errors``
        their standard errors, shape (m, 1 + k) or (m, 1).
        """
        least = _ROUNDINGS * precision * np.abs(rows).max(axis=1)
        least = np.maximum(least, _NEGLIGIBLE * np.ptp(rows, axis=1))[:, np.newaxis]
        limit = self._scaled(np.broadcast_to(least, rows.shape))
        limit = limit + _ERRORS * self._scaled(np.broadcast_to(errors, rows.shape))
        own, further = self._parts(rows - rows[:, :1])
        failing = np.abs(further - own @ self.weights.T) > limit
        return np.asarray(failing.any(axis=0))

    def _scaled(self, errors: Array) -> Array:
        """Return the standard errors of the deviations from the predictions."""
        own, further = self._parts(errors**2)
        squares = further + own @ (self.weights**2).T
        squares = squares + errors[:, :1] ** 2 * (1 - self.weights.sum(axis=1)) ** 2
        return np.asarray(np.sqrt(squares), dtype=np.float64)

    def _parts(self, rows: Array) -> tuple[Array, Array]:
        return rows[:, 1 : self.count + 1], rows[:, self.count + 1 :]


def checked(
    plan: Plan,
    x: Array,
    rules: Sequence[Rule],
    rows: Sequence[Frequencies],
    low: Array,
    high: Array,
) -> Plan:
    """Return a plan with a further point for each variable, where there is room for one."""
    starts = np.cumsum([0, *(len(rule.offsets) for rule in rules)])
    chosen = [
        further(rule, row, *ends)
        for rule, row, *ends in zip(rules, rows, low - x, high - x, strict=True)
    ]
    variables = np.flatnonzero([one is not None for one in chosen])
    if not variables.size:
        return plan
    points = np.repeat(x[np.newaxis], len(variables), axis=0)
    weights = np.zeros((len(variables), len(plan.points)))
    for k, i in enumerate(variables):
        one = chosen[i]
        assert one is not None
        points[k, i] = min(max(x[i] + one.offset, low[i]), high[i])
        weights[k, starts[i] : starts[i + 1]] = one.weights
    count = len(plan.points)

    def retry(f0: float, values: Array, failed: NDArray[np.bool_]) -> Plan | None:
        # Without the checks, whose failures are no loss.
        return plan.retry(f0, values[:count], failed[:count])

    return CheckedPlan(
        np.concatenate([plan.points, points]),
        lambda f0, values: plan.fold(f0, values[:count]),
        lambda: plan.noise,
        retry,
        lambda f0, values: plan.curvature(f0, values[:count]),  # type: ignore[arg-type,return-value]  # a shift rule has one
        lambda: plan.curvature_noise,  # type: ignore[arg-type,return-value]  # likewise
        count=count,
        variables=variables,
        weights=weights,
    )


def further(rule: Rule, frequencies: Frequencies, low: float, high: float) -> Further | None:
    """Return the offset that shows other frequencies best; None if there is no room for any."""
    reach = math.pi / frequencies[0]
    low, high = max(low, -reach), min(high, reach)
    if len(rule.offsets) != 2 * len(frequencies) or not low < high:
        return None
    if (low, high) == (-reach, reach):
        return _usual(frequencies, tuple(rule.offsets.tolist()))
    return _best(rule.offsets, frequencies, low, high)


@functools.lru_cache(maxsize=256)
def _usual(frequencies: Frequencies, offsets: tuple[float, ...]) -> Further | None:
    reach = math.pi / frequencies[0]
    return _best(np.array(offsets), frequencies, -reach, reach)


def _best(offsets: Array, frequencies: Frequencies, low: float, high: float) -> Further | None:
    first, ratio = frequencies[0], min(frequencies[-1] / frequencies[0], _OTHERS)
    halves = np.arange(1, int(2 * ratio) + 7)
    own = np.isclose(np.multiply.outer(halves * first / 2, 1 / np.array(frequencies)), 1).any(
        axis=1
    )
    halves = halves[~own]
    tried = np.linspace(low, high, _TRIED + 1)
    try:
        solved = np.linalg.solve(waves(offsets, frequencies).T, waves(tried, frequencies).T).T
    except np.linalg.LinAlgError:
        return None
    noise = np.sqrt(1 + (solved**2).sum(axis=1) + (1 - solved.sum(axis=1)) ** 2)
    seen = waves(tried, halves * first / 2) - solved @ waves(offsets, halves * first / 2)
    # Both parts of a sinusoid have to be seen, as a start may be at a symmetric point.
    parts = np.abs(seen).reshape(len(tried), 2, len(halves)).min(axis=1)
    parts *= np.where(halves % 2, _BETWEEN, 1.0)
    score = parts.min(axis=1) / noise
    best = int(np.argmax(np.where(np.isfinite(score), score, -1.0)))
    if not (noise[best] < _USELESS and score[best] > 0):
        return None
    return Further(float(tried[best]), solved[best])


def waves(offsets: Array, frequencies: Sequence[float] | Array) -> Array:
    """Return ``cos(w d) - 1`` and ``sin(w d)`` for offsets and frequencies, shape (k, 2 R)."""
    phases = np.multiply.outer(offsets, np.asarray(frequencies))
    return np.concatenate([-2 * np.sin(phases / 2) ** 2, np.sin(phases)], axis=-1)
