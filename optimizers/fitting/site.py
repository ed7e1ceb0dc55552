"""The current point of a search: its residuals, their Jacobian, and their noise."""

from typing import Any, NamedTuple

import numpy as np

from optimizers._types import Array
from optimizers.asktell.flow import Asking
from optimizers.asktell.messages import AskData
from optimizers.evaluation.losses import Loss
from optimizers.fitting.model import norm
from optimizers.fitting.probes import Probes

_EPS = float(np.finfo(np.float64).eps)
#: Differences that change the residuals by more than this fraction may be noise.
_SUSPECT = 1e-6
#: Differences that change the residuals by less than this fraction are lost in rounding.
_LOST = 1e-14
#: Residuals are rounding errors if they are at most this fraction of the variables' contribution.
_ROUNDED = 16 * _EPS
#: Half a sum of squares that counts as infinite.
_HUGE = 1e300
#: The cosine up to which a residual vector is orthogonal to another.
_ORTHOGONAL = 1e-6
#: Noise matters if it is at least this fraction of a short difference.
_ROUGH = 0.03


class Point(NamedTuple):
    """A point and its residuals."""

    x: Array
    #: The objective's value.
    fun: float
    #: The objective's residuals.
    raw: Array
    #: Residuals whose half sum of squares is the value with any loss; and that half sum.
    residuals: Array
    cost: float
    #: The derivatives of the residuals by the raw ones; None if they are the same.
    slopes: Array | None


class Site:
    """The current point. A caller that moves it also measures or updates the Jacobian."""

    #: The point, from the first answer on.
    at: Point

    def __init__(
        self, probes: Probes, loss: Loss, width: int, has_differences: bool, is_joint: bool
    ) -> None:
        self.probes = probes
        #: How many points may be evaluated at the same time.
        self.width = width
        #: Whether the Jacobian is the user's, or from a source that the user chose.
        self.is_exact = not has_differences
        #: Whether that is evaluated with the residuals: workers are idle, or it may fail.
        self.is_joint = is_joint and self.is_exact
        #: Whether the Jacobian was measured at the current point, and by central differences.
        self.is_measured = self.is_central = False
        #: The largest norm that each of its columns has had.
        self.columns = np.zeros(probes.typical.size)
        #: Whether there is a Jacobian at all.
        self.has_jacobian = False
        self._loss = None if loss.is_linear else loss
        # Whether the noise was given, and whether it is a function of the point.
        self._is_told = self._is_fixed = False

    def point(self, x: Array, fun: float, raw: Array) -> Point:
        """Return a point with its residuals in the form for the search."""
        residuals, slopes = (raw, None) if self._loss is None else self._loss.roots(raw)
        with np.errstate(over="ignore"):
            cost = 0.5 * float(residuals @ residuals)
        cost = cost if cost < _HUGE else np.inf  # as NaN is
        return Point(x, fun, raw, residuals, cost, slopes)

    def ask(self, points: Array, *, leads_on: bool = False) -> Asking[list[Point]]:
        """Evaluate points in one wave; with ``leads_on`` the Jacobian follows."""
        if leads_on and self.is_joint and len(points) == 1:
            told = yield AskData(points[0], points[0])
            assert told.residuals is not None
            return [self.point(points[0], told.fun, told.residuals)]
        told = yield AskData(points)
        assert told.residuals is not None
        return list(map(self.point, points, told.fun.tolist(), told.residuals))

    def ask_one(self, x: Array, *, leads_on: bool = False) -> Asking[Point]:
        """Evaluate a point, unless it just was."""
        told = yield AskData(x, x if leads_on and self.is_joint else None)
        assert told.residuals is not None
        return self.point(x, told.fun, told.residuals)

    def ahead(self, x: Array, central: bool) -> Array:
        """Return the probes of a point that idle workers evaluate with it."""
        if self.is_exact or self.width <= 1:
            return np.empty((0, x.size))
        grid = self.probes.points(x, central)
        return grid[: self.width - 1]

    def go(self, to: Point) -> None:
        """Move to a point; the Jacobian then belongs to another one."""
        if self._is_told or self._is_fixed:  # of a size that does not depend on the residuals'
            self.probes.noise *= norm(self.at.raw) / max(norm(to.raw), 1e-300)
        self.at = to
        self.is_measured = False
        np.maximum(self.probes.typical, np.abs(to.x), out=self.probes.typical)

    def measure(self, central: bool, known: list[Point]) -> Asking[None]:
        """Measure the Jacobian at the current point, given its first probes if known."""
        at = self.at
        if self.is_exact:
            told = yield AskData(None, at.x)
            found = told.jacobian
            raw = found if isinstance(found, np.ndarray) else found @ np.eye(at.x.size)
        else:
            grid = self.probes.points(at.x, central)
            rest = grid[len(known) :]
            beside = [*known, *((yield from self.ask(rest)) if len(rest) else ())]
            rows = np.array([point.raw for point in beside]).reshape(len(grid), at.raw.size)
            raw = self.probes.jacobian(at.x, at.raw, grid, rows)
        #: The Jacobian of what the objective returns, and of the residuals.
        self.raw_jacobian = raw
        self.jacobian = raw if at.slopes is None else at.slopes[:, np.newaxis] * raw
        self.has_jacobian = self.is_measured = True
        self.is_central = central or self.is_exact
        columns = np.sqrt(np.einsum("ij,ij->j", self.jacobian, self.jacobian))
        self.columns = np.maximum(self.columns, columns)
        if self.probes.noise:
            self.probes.columns = columns / max(float(np.linalg.norm(at.residuals)), 1e-300)

    def resize(self) -> Asking[None]:
        """Give a size to variables near 0 whose differences are lost in rounding."""
        changes = np.linalg.norm(self.raw_jacobian, axis=0) * self.probes.size(self.at.x)
        lost = self.probes.may_be_zero & (changes * _EPS**0.5 <= _LOST * norm(self.at.raw))
        lost &= self.probes.lower < self.probes.upper
        self.probes.typical[lost] = 1.0
        if lost.any() and not self.is_exact:
            yield from self._begin_anew()

    @property
    def gradient(self) -> Array:
        """The gradient of the value, by the current Jacobian."""
        return np.asarray(self.jacobian.T @ self.at.residuals)

    @property
    def has_idle_variables(self) -> bool:
        """Whether variables have no influence, by differences that may be too short."""
        return not (self.is_exact or self.jacobian[:, self.probes.moved].any(axis=0).all())

    @property
    def is_exhausted(self) -> bool:
        """Whether residuals are no larger than rounding of the variables."""
        parts = np.linalg.norm(self.jacobian, axis=0) * np.abs(self.at.x)
        return self.is_measured and norm(self.at.residuals) <= _ROUNDED * norm(parts)

    @property
    def is_steep(self) -> bool:
        """Whether the residuals are not orthogonal to the columns of a Jacobian."""
        x, slope, probes = self.at.x, self.gradient, self.probes
        held = ((x <= probes.lower) & (slope > 0)) | ((x >= probes.upper) & (slope < 0))
        norms = np.linalg.norm(self.jacobian, axis=0) * np.linalg.norm(self.at.residuals)
        return bool(np.any(~held & (np.abs(slope) > _ORTHOGONAL * norms)))

    # Noise.

    def believe(self, deviation: Any) -> None:
        """Use the standard deviation of the value as its noise."""
        self._is_told = True
        self.probes.noise = (
            float(deviation) * self.at.raw.size**0.5 / max(2.0 * self.at.cost, 1e-300)
        )

    @property
    def level(self) -> float:
        """The noise of half the sum of squares."""
        return float(self.probes.noise * 2.0 * self.at.cost / self.at.raw.size**0.5)

    @property
    def patience(self) -> int:
        """How often the current point is measured again when progress is below the noise."""
        return 1 if self._is_fixed else 4

    @property
    def is_suspect(self) -> bool:
        """Whether short differences change the residuals as only noise or a wild function would."""
        return self._change > _SUSPECT * norm(self.at.residuals)

    @property
    def _change(self) -> float:
        """The median norm of the change of residuals over a short difference."""
        columns = np.linalg.norm(self.raw_jacobian, axis=0)
        return float(np.median(columns * self.probes.size(self.at.x)) * _EPS**0.5)

    def _noise_by(self, again: Point) -> float:
        return norm(again.raw - self.at.raw) / 2**0.5 / max(norm(self.at.raw), 1e-300)

    def _mean(self, again: Point) -> Point:
        return self.point(self.at.x, self.at.fun, 0.5 * (self.at.raw + again.raw))

    def look_again(self) -> Asking[bool]:
        """Evaluate the current point again, and return whether the residuals differ."""
        (again,) = yield from self.ask(self.at.x[np.newaxis])
        if np.isfinite(again.cost):  # a failure shows nothing
            self.probes.noise = self._noise_by(again)
        if self.probes.noise:
            self.at = self._mean(again)
            yield from self._begin_anew()
        return self.probes.noise > 0

    def look_beside(self) -> Asking[bool]:
        """Return whether residuals are rough, by a table of differences.

        If they do not change between points, the distance is increased.
        """
        for spacing in (_EPS ** (1 / 3), 1e-3):
            found = yield from self.ask(self.probes.row(self.at.x, spacing))
            table = np.array([self.at.raw, *(point.raw for point in found)])
            third, fourth = np.diff(table, 3, axis=0), np.diff(table, 4, axis=0)
            noise = min(np.linalg.norm(third) / 40**0.5, np.linalg.norm(fourth) / 70**0.5)
            is_flat = np.mean(np.diff(table, axis=0) == 0) > 0.5
            size = max(norm(self.at.raw), 1e-300)
            if max(_ROUGH * self._change, 1e-14 * size) < noise < np.inf:
                self.probes.noise, self._is_fixed = float(noise / size), True
                yield from self._begin_anew()
                return True
            if not is_flat:
                break
        return False

    def _begin_anew(self) -> Asking[None]:
        self.probes.columns, self.columns = None, np.zeros(self.at.x.size)
        yield from self.measure(False, [])

    def average(self) -> Asking[None]:
        """Measure the current point again, and differences on both sides."""
        self.probes.is_two_sided = True
        if not self._is_fixed:
            (again,) = yield from self.ask(self.at.x[np.newaxis])
            if np.isfinite(again.cost):
                new, old = self._noise_by(again), self.probes.noise
                self._is_fixed = new == 0.0
                if not (self._is_fixed or self._is_told):
                    self.probes.noise = (max(old, 0.1 * new) * max(new, 0.1 * old)) ** 0.5
                self.at = self._mean(again)
        yield from self.measure(False, [])
