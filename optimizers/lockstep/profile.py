"""Profiles of an objective: its minimum over all variables but one, as a function of that one."""

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from optimizers._shown import as_table
from optimizers._types import Array
from optimizers.lockstep.results import OptimizerResults

#: The relative accuracy of the distance of an end.
_NEAR = 1e-3
#: The maximum number of minimizations for one end.
_MOST = 24
#: An end closer than this fraction of linear theory comes from another objective.
_WALL = 1e-3
#: The minimum and maximum growth of the distance while the end is not bracketed.
_FURTHER = (1.2, 3.0)


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile of one variable.

    Attributes
    ----------
    variable : int
        Which variable.
    x : ndarray of float64, shape (k, n)
        The minimum (with ``maximize``, the maximum) over the other variables for each value of that
        variable, in its order.
    fun : ndarray of float64, shape (k,)
        The objective there.
    low, high : float
        The ends of the confidence interval; a bound if that is closer, and an infinity if the
        objective does not rise enough.
    """

    variable: int
    x: Array
    fun: Array
    low: float
    high: float

    @property
    def values(self) -> Array:
        """The values of the variable, shape (k,)."""
        values: Array = self.x[:, self.variable]
        return values


@dataclass(frozen=True, eq=False, repr=False)
class Profiles:
    """The result of :meth:`Optimizer.profile`; ``profiles[i]`` is the profile of variable ``i``.

    Attributes
    ----------
    level : float
        The probability that an interval holds the true value.
    curves : dict of int to Profile
        The profiles, by variable.
    interval : ndarray of float64, shape (n, 2)
        The intervals of all variables; NaN for those that were not requested.
    runs : OptimizerResults
        The minimizations.
    """

    level: float
    curves: dict[int, Profile]
    interval: Array
    runs: OptimizerResults

    def __getitem__(self, variable: int) -> Profile:
        """Return the profile of a variable."""
        return self.curves[variable]

    @property
    def nfev(self) -> int:
        """The points at which the objective was evaluated."""
        return self.runs.nfev

    @override
    def __repr__(self) -> str:
        rows = [[str(i), f"{c.low:.6g}", f"{c.high:.6g}"] for i, c in self.curves.items()]
        head = f"{self.level:.4g} intervals by profile: {len(self.runs)} runs, {self.nfev} points"
        return f"{head} in {self.runs.rounds} rounds\n{as_table(('x', 'low', 'high'), rows)}"


class Side:
    """One side of a profile: the known minima, and the next distance.

    Distances are from the minimum, heights above it; a rise is the square root of a height, which
    is roughly proportional to the distance. The end is at ``height``.
    """

    def __init__(
        self, sign: float, variable: int, start: Array, direction: Array, height: float, room: float
    ) -> None:
        self.variable, self._sign = variable, sign
        #: The minimum, and the move of all variables per unit of this one by linear theory.
        self._start, self._direction = start, direction
        self._asked = float(np.sqrt(height))
        #: The distance of the bound.
        self._room = room
        self.distances, self.heights, self.points = [0.0], [0.0], [start]
        #: The number of minimizations in progress.
        self._pending = 0
        #: The distance of the end by linear theory.
        self._reach = 0.0

    def first(self, reach: float, count: int) -> list[float]:
        """Return the first distances; the last one is that of the end by linear theory."""
        self._reach = reach
        steps = np.minimum(reach * np.arange(1, count + 1) / count, self._room)
        distances = [float(step) for step in np.unique(steps) if step > 0]
        self._pending = len(distances)
        return distances

    def next(self) -> list[float]:
        """Return the next distance, unless the end is known or cannot be found."""
        is_over = self._room <= 0 or len(self.distances) > _MOST or self._is_found()
        if self._pending or is_over:
            return []
        self._pending += 1
        last, rise = self.distances[-1], self._rises[-1]
        if self._beyond < len(self._rises):
            return [self.end()]
        factor = float(np.clip(self._asked / rise, *_FURTHER)) if rise > 0 else _FURTHER[1]
        return [min(last * factor, self._room)]

    def guess(self, distance: float) -> Array:
        """Return an estimate of the minimum at a distance, from the known minima."""
        offset, known = self._sign * distance, len(self.distances)
        if known == 1:
            point = self._start + offset * self._direction
        else:
            right = min(int(np.searchsorted(self.distances, distance)), known - 1)
            low, high = self.distances[right - 1], self.distances[right]
            part = (distance - low) / (high - low)
            point = (1 - part) * self.points[right - 1] + part * self.points[right]
        point[self.variable] = self._start[self.variable] + offset
        return point

    def note(self, distance: float, point: Array, height: float) -> None:
        """Note a minimum at a distance, with its height; infinite if not found."""
        self._pending -= 1
        place = int(np.searchsorted(self.distances, distance))
        self.distances.insert(place, distance)
        self.heights.insert(place, height)
        self.points.insert(place, point)

    def end(self) -> float:
        """Return the distance of the end; infinite if the objective does not rise enough."""
        beyond, rises, distances = self._beyond, self._rises, self.distances
        if beyond == len(rises):
            if self._is_near(rises[-1]):
                return distances[-1] * self._asked / rises[-1]
            return self._room if distances[-1] >= self._room else np.inf
        low, high = distances[beyond - 1], distances[beyond]
        if not np.isfinite(rises[beyond]):
            return (low + high) / 2
        pair = [beyond - 1, beyond]
        third = min(
            (i for i in range(len(rises)) if i not in pair and np.isfinite(rises[i])),
            key=lambda i: abs(rises[i] - self._asked),
            default=None,
        )
        found = np.nan if third is None else self._inverse([*pair, third])
        return found if low < found < high else self._inverse(pair)

    @property
    def is_a_wall(self) -> bool:
        """Whether the end is much closer to the minimum than expected."""
        end, room = self.end(), self._room
        return room > 0 and end < min(room, _WALL * self._reach)

    def minima(self) -> list[tuple[Array, float]]:
        """Return the known minima, the nearest first, and their heights."""
        both = zip(self.points, self.heights, strict=True)
        return [(point, height) for point, height in both if np.isfinite(height)]

    @property
    def _rises(self) -> list[float]:
        return [float(np.sqrt(max(height, 0.0))) for height in self.heights]

    @property
    def _beyond(self) -> int:
        """The index of the first minimum beyond the end; after the last if there is none."""
        rises = self._rises
        return next((i for i, rise in enumerate(rises) if rise >= self._asked), len(rises))

    def _is_near(self, rise: float) -> bool:
        return abs(rise - self._asked) <= _NEAR * self._asked

    def _is_found(self) -> bool:
        is_at_bound = self._beyond == len(self._rises) and self.distances[-1] >= self._room
        return is_at_bound or any(map(self._is_near, self._rises))

    def _inverse(self, places: list[int]) -> float:
        """Return the distance at which the polynomial through minima has the rise of the end."""
        total = 0.0
        for i in places:
            weight = 1.0
            for j in places:
                if j != i:
                    span = self._rises[i] - self._rises[j]
                    weight *= (self._asked - self._rises[j]) / span if span else np.nan
            total += weight * self.distances[i]
        return total
