"""The search: trial steps and better geometry in waves, shrinking radii, restarts under noise."""

import numpy as np

from optimizers._types import Array
from optimizers.asktell.flow import Asking, Step, Told
from optimizers.asktell.messages import AskData
from optimizers.result import StopReason
from optimizers.search.dfotr.geometry import (
    around,
    cross,
    first_of_known,
    improving,
    informative,
    turned_cross,
)
from optimizers.search.dfotr.noise import Noise
from optimizers.search.dfotr.radii import Radii
from optimizers.search.dfotr.sample import Sample, full_size
from optimizers.search.space import Space
from optimizers.search.subproblem import Quadratic

#: Trial steps are made for these multiples of the radius, and count if they differ by a part.
_RADII, _DIFFERENT = (1.0, 3.0, 1.0 / 3.0, 9.0, 27.0), 0.1
#: A trial longer than so many radii that brings nothing tells nothing of what is near.
_LONG = 2.0
#: How far from the best a far point is moved: a part of its distance, and of the radius.
_BACK, _INNER = 0.1, 0.5
#: Finer steps see nothing but noise if they promise less than this part of it.
_DROWNED = 0.3
#: By how much the last radius is widened for a restart.
_WIDER = 30.0
#: So many standard deviations of the noise are a visible difference.
_VISIBLE = 3.0


class Search:
    """One search.

    Parameters
    ----------
    space : Space
        The variables.
    radii : Radii
        The radii.
    width : int
        How many points are asked for at a time.
    restarts : int
        How many restarts in a row may bring no visible gain.
    noise : float, "estimate" or None
        The setting.
    rng : numpy.random.Generator
        Random numbers.
    """

    #: The points of the model, from the first answer on.
    sample: Sample

    def __init__(
        self,
        space: Space,
        radii: Radii,
        width: int,
        restarts: int,
        noise: float | str | None,
        rng: np.random.Generator,
    ) -> None:
        self._space, self._radii, self._width, self._rng = space, radii, width, rng
        self.noise = Noise(noise)
        # How many restarts in a row brought nothing, how many may, and the value at the first.
        self._idle, self._restarts, self._before = 0, restarts, np.inf
        # Whether a place of the next wave is reserved for a far point.
        self._improves = False
        self._first = np.nan

    @property
    def has_fallen(self) -> bool:
        """Whether the value has visibly fallen."""
        return bool(self._first - self.sample.value > _VISIBLE * self.noise.sigma)

    def steps(self, maxiter: int, known: tuple[Array, Array] | None = None) -> Asking[StopReason]:
        """Search, and return why it ended.

        Parameters
        ----------
        maxiter : int
            The most waves after the first.
        known : tuple of ndarray of float64, shapes (k, n) and (k,), optional
            Points of the problem and their values, to begin from instead of the start.
        """
        yield from self._begin(known)
        for _ in range(maxiter):
            yield Step(self._space.points(self.sample.center), self.sample.value)
            stop = yield from self._iterate()
            if stop is not None:
                return stop
        return StopReason.MAXITER

    def _ask(self, points: Array) -> Asking[Told]:
        told = yield AskData(self._space.points(points))
        self.noise.note(told.errors)
        return told

    def _begin(self, known: tuple[Array, Array] | None) -> Asking[None]:
        n, radii = self._space.n, self._radii
        points, values, axes = np.zeros((1, n)), np.empty(0), np.eye(n)
        if known is not None:
            points, values = self._space.ours(known[0]), known[1]
            rows, axes = first_of_known(points, values, radii.rho, full_size(n))
            points, values = points[rows], values[rows]
            if not len(axes):
                radii.restart(float(np.linalg.norm(points - points[0], axis=1).max()) / 2.0)
        both = self._width >= 2 * len(axes) + 1
        points = np.vstack([points, cross(self._space, points[0], radii.rho * axes, both=both)])
        if len(values) < len(points):
            told = yield from self._ask(points[len(values) :])
            values = np.append(values, told.fun)
        self._first = float(values[0])
        self.sample = Sample(points, values, radii.delta)

    def _iterate(self) -> Asking[StopReason | None]:
        """Ask for a wave, and choose the radii by what it brought; return why that is the end."""
        sample, radii = self.sample, self._radii
        center, value, delta = sample.center, sample.value, radii.delta
        model, improves, self._improves = sample.model(delta), self._improves, False
        trials = self._trials(model, self._width - int(improves))
        # Only one: several would be moved to about the same place.
        row = sample.farthest(delta) if len(trials) < self._width else None
        wave = trials if row is None else [*trials, self._improved(row)]
        points = self._space.clip(center + np.array(wave).reshape(-1, center.size))
        if self._width > 1:
            points = np.vstack([points, self._filling(points, delta)])
        brought = 0.0
        if len(points):
            told = yield from self._ask(points)
            with np.errstate(over="ignore"):
                gains = value - told.fun
            lengths, k = np.linalg.norm(points - center, axis=1), len(trials)
            tells = (gains >= 0.0) | (lengths <= _LONG * delta)
            if row is not None:
                sample.put(row, points[k], float(told.fun[k]))
                tells[k] = False
            sample.take(points[tells], told.fun[tells], delta)
            if trials:
                promised = np.array([-model(step) for step in trials])
                brought = radii.judge(lengths[:k], promised, gains)
        if not (trials or improves):
            radii.shorten()
        if radii.is_success(brought) or row is not None or (improves and not trials):
            return None
        self._improves = sample.farthest(radii.delta) is not None
        if self._improves or (trials and (brought > 0.0 or delta > radii.rho)):
            return None
        return (yield from self._refine(model))

    def _trials(self, model: Quadratic, most: int) -> list[Array]:
        """Return the steps that are worth a trial, for several radii where waves are wide."""
        center, radii = self.sample.center, self._radii
        found: list[Array] = []
        for factor in _RADII[: min(most, max(2, self._width // 3))]:
            step = self._space.least(model, center, factor * radii.delta)
            length = float(np.linalg.norm(step))
            is_new = all(np.linalg.norm(step - other) > _DIFFERENT * length for other in found)
            if is_new and length >= radii.rho / 2.0 and model(step) < 0.0:
                found.append(step)
        return found

    def _improved(self, row: int) -> Array:
        """Return the step to the new place of a far point."""
        sample, radii = self.sample, self._radii
        away = float(sample.distances()[row])
        radius = max(min(_BACK * away, _INNER * radii.delta), radii.rho)
        return improving(sample.points, row, sample.center, radius, self._space)

    def _filling(self, wave: Array, delta: float) -> Array:
        """Return what else a wave has: points around the first, where little is known."""
        middle = wave[0] if len(wave) else self.sample.center
        candidates = around(self._space, middle, delta, self._rng)
        inverse = self.sample.points.framed(middle, delta)
        return informative(inverse, wave, candidates, self._width - len(wave))

    def _refine(self, model: Quadratic) -> Asking[StopReason | None]:
        """Go on to finer steps, or start anew where these would see nothing but noise."""
        radii = self._radii
        if self.noise.is_sought:
            yield from self._look(model)
        fall = radii.finer * np.linalg.norm(model.gradient)
        fall += radii.finer**2 * np.linalg.norm(model.hessian) / 2.0
        if fall < _DROWNED * self.noise.sigma:
            return (yield from self._restart())
        if radii.is_last:
            return StopReason.STEP
        radii.refine()
        return None

    def _look(self, model: Quadratic) -> Asking[None]:
        """Look for noise at the best point, whose value becomes the mean of two."""
        sample = self.sample
        line = self.noise.line(self._space, sample.center, self._radii.rho, self._rng)
        told = yield from self._ask(line)
        if np.all(told.known):
            move = line[1] - line[0]
            bend = float(move @ model.hessian @ move)
            self.noise.learn(sample.value, told.fun, bend, self._first)
            sample.correct(sample.value / 2.0 + told.fun[0] / 2.0)

    def _restart(self) -> Asking[StopReason | None]:
        """Start anew with longer steps, unless the last restarts have brought nothing."""
        sample, radii, space = self.sample, self._radii, self._space
        if self._before - sample.value > _VISIBLE * self.noise.sigma:
            self._idle, self._before = 0, sample.value
        if self._idle >= self._restarts:
            return StopReason.NOISE
        self._idle += 1
        radii.restart(_WIDER * radii.rho)
        moves = turned_cross(space, sample.center, radii.rho, self._rng)
        points = cross(space, sample.center, moves, both=self._width > space.n)
        told = yield from self._ask(points)
        self.sample = sample.alone(points, told.fun, radii.delta)
        return None
