"""The points of a model with their values: which come, which go, and the model itself."""

import numpy as np

from optimizers._types import Array
from optimizers.search.dfotr.interpolation import Interpolation
from optimizers.search.subproblem import Quadratic

#: The most points of a model, where a full quadratic has more.
_MOST = 300
#: Values above the best by this many times the median count as that much above: one must not bend
#: the model too far.
_CUT = 100.0
#: Differences count as no larger than this, so that no square of them overflows.
_LARGEST = 1e100
#: Points beyond so many radii leave the set, and those beyond the other so many are to be moved.
_GONE, _FAR = 10.0, 2.0
#: More than that is unknown, relative to the distance, where no point tells of a direction.
_BLIND = 1e6


def full_size(n: int) -> int:
    """Return how many points a model of n variables has: those of a full quadratic, if few."""
    return max(2 * n + 1, min((n + 1) * (n + 2) // 2, _MOST))


class Sample:
    """Points with values; those of the best are ``center`` and ``value``.

    The set grows until it determines a full quadratic; then a point takes another's place.

    Parameters
    ----------
    points : ndarray of float64, shape (m, n)
        The points.
    values : ndarray of float64, shape (m,)
        The values.
    radius : float
        How large the model is.
    """

    def __init__(self, points: Array, values: Array, radius: float) -> None:
        self._values = values
        self._locate(points)
        self.points = Interpolation(points, self.center, radius)
        self._size = full_size(points.shape[1])

    def _locate(self, points: Array) -> None:
        self._best = int(np.argmin(self._values))
        self.center, self.value = points[self._best], float(self._values[self._best])

    @property
    def is_cut(self) -> bool:
        """Whether the values are too far apart for a model."""
        with np.errstate(over="ignore"):
            return bool(np.median(self._values - self.value) >= _LARGEST)

    def distances(self) -> Array:
        """Return how far the points are from the best."""
        return np.asarray(np.linalg.norm(self.points.points - self.center, axis=1))

    def farthest(self, radius: float) -> int | None:
        """Return the row of the farthest point, if that is far away."""
        away = self.distances()
        row = int(np.argmax(away))
        return row if away[row] > _FAR * radius else None

    def model(self, radius: float) -> Quadratic:
        """Return the model around the best point; what is far beyond it leaves the set."""
        self._leave_behind(radius)
        self.points = self.points.framed(self.center, radius)
        with np.errstate(over="ignore"):
            rises = np.minimum(self._values - self.value, _LARGEST)
        middle = float(np.median(rises))
        if middle > 0.0:
            rises = np.minimum(rises, _CUT * middle)
        return self.points.quadratic(rises, self.center)

    def _leave_behind(self, radius: float) -> None:
        """Give up points far beyond the radius, unless nothing else tells of some direction."""
        away, n = self.distances(), self.center.size
        near = max(int((away <= _GONE * radius).sum()), 2 * n + 1)
        if near >= len(away):
            return
        rows = np.sort(np.argsort(away, kind="stable")[:near])
        left = self.points.kept(rows)
        if left.unknown(self.center + radius * np.eye(n)).max() > _BLIND * radius**4:
            return
        self.points, self._values = left, self._values[rows]
        self._locate(left.points)

    def take(self, points: Array, values: Array, radius: float) -> None:
        """Take points in, the best first."""
        for row in np.argsort(values, kind="stable"):
            self._take(points[row], float(values[row]), radius)

    def _take(self, point: Array, value: float, radius: float) -> None:
        if len(self._values) < self._size:
            self.points.append(point)
            self._values = np.append(self._values, value)
            self._locate(self.points.points)
        else:
            self.put(self._leaving(point, value, radius), point, value)

    def put(self, row: int, point: Array, value: float) -> None:
        """Put a point in the place of another."""
        self.points.replace(row, point)
        self._values[row] = value
        self._locate(self.points.points)

    def _leaving(self, point: Array, value: float, radius: float) -> int:
        """Return the row that a point does best to take: of a far one, where it tells much."""
        is_best = value < self.value
        away = np.linalg.norm(self.points.points - (point if is_best else self.center), axis=1)
        scores = self.points.exchanges(point) * np.maximum(away / radius, 1.0) ** 4
        if not is_best:
            scores[self._best] = -1.0
        return int(np.argmax(scores))

    def correct(self, value: float) -> None:
        """Correct the value of the best point, which may then be another's."""
        self._values[self._best] = value
        self._locate(self.points.points)

    def alone(self, points: Array, values: Array, radius: float) -> "Sample":
        """Return the best point with others, and none of the rest."""
        return Sample(np.vstack([self.center, points]), np.append(self.value, values), radius)
