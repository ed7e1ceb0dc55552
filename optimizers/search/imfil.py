"""Implicit filtering: quasi-Newton steps by differences over decreasing scales."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.options.settings import DISP
from optimizers.options.table import Option, limit, whole
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.search.coarse import words_if_coarse
from optimizers.support import SupportLevel, Traits, levels

#: The fractions of a quasi-Newton step that are tried, in one wave.
_FRACTIONS = np.array([1.0, 0.5, 0.25, 0.125])
#: The longest step, in steps of the stencil.
_REACH = 10.0
#: The fraction of the predicted decrease that a step has to achieve.
_ARMIJO = 1e-4
#: The most iterations of a scale.
_ITERATIONS = 50
#: Values that differ by fewer standard deviations of the noise are taken as equal. The iterate is
#: the lowest point of several, so that its value is too low by one or two.
_DEVIATIONS = 4.0


class ImFil(FlowOptimizer):
    r"""Implicit filtering: descent by central differences whose steps decrease slowly.

    Around the iterate, the values at distance h along each variable, in both directions, give a
    gradient, and gradients of successive iterates a quasi-Newton matrix. Four fractions of its
    step are tried, and the lowest point of all is the next iterate. Where no point of the stencil
    is lower, or no fraction achieves a decrease, h is halved. Oscillations and noise whose size
    decreases toward the minimum are filtered out by the larger steps.

    An iteration takes two waves: the stencil of at most 2n points, and the four trial points. The
    steps are relative to the distance of the bounds, or, for a variable that does not have both, to
    ``abs(x0)``, but at least 1. Stencil points outside the bounds are left out.

    The constructor is that of ``IMFIL`` in Qiskit, which calls scikit-quant.

    References
    ----------
    .. [1] C. T. Kelley, "Implicit Filtering", SIAM (2011), chapters 3 and 4.

    Examples
    --------
    >>> def rough(x):  # a bowl with ripples
    ...     return (x[0] - 1) ** 2 + (x[1] + 2) ** 2 + 0.01 * np.sin(100 * x).sum() ** 2
    >>> result = ImFil().minimize(rough, [3.0, 3.0], bounds=[(-5, 5), (-5, 5)])
    >>> result.stop.name, np.allclose(result.x, [1, -2], atol=0.1)
    ('STEP', True)
    """

    handles_noise = True
    traits = Traits(
        "Rough or noisy values, best within bounds: differences over decreasing scales.",
        noise=True,
        parallel=True,
    )

    _declared: tuple[Option, ...] = (
        Option("maxiter", 1000, limit(1)).means(
            "Maximum number of points at which the objective is evaluated, as in Qiskit: a hard "
            "limit. If ``maxfun`` is given too, the smaller one applies."
        ),
        Option("scalestart", 1, whole(1)).means(
            "The first step h is 2 to the power of minus this."
        ),
        Option("scaledepth", 14, whole(1)).means(
            "The last step h is 2 to the power of minus this. The run converges after that."
        ),
        DISP,
    )
    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(
        self,
        maxiter: int = 1000,
        scalestart: int = 1,
        scaledepth: int = 14,
        disp: bool = False,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _budget(self, maxfun: int | None) -> int | None:
        return self._within("maxiter", maxfun)

    @override
    def _matrices(self, problem: Problem) -> float:
        return 3  # the quasi-Newton matrix, and a stencil of 2n points

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        space, noise = _Space(problem), _Noise(run.noise)
        model = _Model(space.n)
        x, start, value = problem.x0, np.inf, np.inf
        for h in self._scales():
            for i in range(_ITERATIONS):
                points, where, sides = space.stencil(x, h)
                # The iterate once more, since equal values there mean that there is no noise.
                center = x[np.newaxis][: i == 0 and (noise.is_sought or value == np.inf)]
                told = yield AskData(np.concatenate([center, points]))
                fun = np.where(np.asarray(told.known), told.fun, np.inf)
                with np.errstate(invalid="ignore"):  # from +inf to +inf
                    noise.note(told.errors, fun[: len(center)] - value)
                    if value == np.inf:
                        start = value = float(told.fun[0])
                    fun = fun[len(center) :]
                    rises, limit = fun - value, _DEVIATIONS * noise.sigma
                if np.isfinite(rises).any() and (np.abs(rises) < limit).all():
                    outcome = ended(x, StopReason.NOISE, value)
                    outcome.success = value < start - limit
                    outcome.status = int(not outcome.success)
                    return outcome  # smaller steps show even less
                trials, is_descent = np.empty((0, x.size)), False
                if len(fun) and fun.min() < value:
                    model.update(space.ours(x), _gradient(rises, where, sides, h, space.n))
                    trials = space.trials(x, model.step(*space.room(x), _REACH * h))
                if len(trials):
                    told = yield AskData(trials)
                    found = np.where(np.asarray(told.known), told.fun, np.inf)
                    slopes = space.ours(trials - x) @ model.gradient
                    is_descent = bool((found < value + _ARMIJO * np.minimum(slopes, 0.0)).any())
                    points, fun = np.concatenate([points, trials]), np.concatenate([fun, found])
                if len(fun) and fun.min() < value:
                    x, value = points[fun.argmin()], float(fun.min())
                yield Step(x, value, None, {"step_size": h})
                if not is_descent:
                    break
        words = words_if_coarse(problem, x, space.steps(2.0**-self.scaledepth))
        return ended(x, StopReason.STEP, value, words=words)

    def _scales(self) -> Iterator[float]:
        return (2.0**-k for k in range(self.scalestart, self.scaledepth + 1))


class _Space:
    """The free variables in units of their sizes."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._low, self._high = low, high = problem.box
        self._free = np.flatnonzero(low < high)
        #: How many there are.
        self.n = self._free.size
        with np.errstate(over="ignore"):
            widths = (high - low)[self._free]
        own = np.maximum(np.abs(problem.x0[self._free]), 1.0)
        self._sizes = np.where(np.isfinite(widths), widths, own)

    def ours(self, x: Array) -> Array:
        """Return points or differences of them, (..., n), in our units."""
        return np.asarray(x[..., self._free] / self._sizes)

    def room(self, x: Array) -> tuple[Array, Array]:
        """Return how far the bounds are, below and above, in our units."""
        with np.errstate(over="ignore"):
            return self.ours(self._low - x), self.ours(self._high - x)

    def steps(self, h: float) -> Array:
        """Return how long the steps of a scale are, shape (n,)."""
        steps = np.zeros(self._problem.n)
        steps[self._free] = h * self._sizes
        return steps

    def stencil(self, x: Array, h: float) -> tuple[Array, Array, Array]:
        """Return the points of a stencil within the bounds, their variables and directions."""
        steps = h * self._sizes
        where, sides = np.tile(np.arange(self.n), 2), np.repeat([1.0, -1.0], self.n)
        points = np.repeat(x[np.newaxis], 2 * self.n, axis=0)
        points[np.arange(2 * self.n), self._free[where]] += sides * steps[where]
        is_inside = ((points >= self._low) & (points <= self._high) & np.isfinite(points)).all(1)
        is_inside &= (points != x).any(axis=1)
        return points[is_inside], where[is_inside], sides[is_inside]

    def trials(self, x: Array, step: Array) -> Array:
        """Return the points at fractions of a step, within the bounds."""
        points = np.repeat(x[np.newaxis], len(_FRACTIONS), axis=0)
        points[:, self._free] += np.outer(_FRACTIONS, step * self._sizes)
        points = self._problem.clip(points)
        return np.asarray(points[(points != x).any(axis=1)])


class _Noise:
    """The standard deviation of a value: as told, or as repeated values show it."""

    def __init__(self, told: float | str | None) -> None:
        self.sigma = 0.0 if told is None or isinstance(told, str) else float(told)
        #: Whether repeated values are of use.
        self.is_sought = told is None or isinstance(told, str)
        self._differences = list[float]()

    def note(self, errors: Array | None, differences: Array) -> None:
        """Take standard errors of a wave, or differences of values at the same point."""
        known = np.empty(0) if errors is None else errors[np.isfinite(errors)]
        if known.size:
            self.sigma, self.is_sought = float(np.median(known)), False
        elif self.is_sought and np.isfinite(differences).any():
            self.is_sought = bool((differences != 0).any())
            self._differences += differences.tolist()
            self.sigma = float(np.sqrt(np.mean(np.square(self._differences)) / 2))


def _gradient(rises: Array, where: Array, sides: Array, h: float, n: int) -> Array:
    """Return the mean slope of the sides of each variable that are known; zero without any."""
    known = np.isfinite(rises)
    slopes = np.bincount(where[known], sides[known] * rises[known] / h, n)
    return np.asarray(slopes / np.maximum(1, np.bincount(where[known], minlength=n)))


class _Model:
    """The quasi-Newton matrix, in units of sizes."""

    def __init__(self, n: int) -> None:
        self._n = n
        #: None before the first update: then a step is as long as it may be.
        self._matrix: Array | None = None
        self._at: Array | None = None
        #: The last gradient.
        self.gradient = np.zeros(n)

    def update(self, at: Array, gradient: Array) -> None:
        """Take the next iterate and its gradient; update by BFGS where curvature is positive."""
        if self._at is not None:
            s, y = at - self._at, gradient - self.gradient
            size, product = float(np.linalg.norm(y)), float(s @ y)
            if size > 0 and product / size > 1e-8 * float(np.linalg.norm(s)):
                matrix = self._matrix
                if matrix is None:  # of the size of the curvature
                    matrix = np.eye(self._n) * (size / (product / size))
                image = matrix @ s
                bent = np.outer(y / size, y / (product / size))
                self._matrix = matrix + bent - np.outer(image, image / (s @ image))
        self._at, self.gradient = at, gradient

    def step(self, below: Array, above: Array, reach: float) -> Array:
        """Return the quasi-Newton step of the variables that no bound stops, at most so long."""
        slope = self.gradient
        is_stopped = ((below >= 0) & (slope > 0)) | ((above <= 0) & (slope < 0))
        step = np.where(is_stopped, 0.0, -slope)
        length = float(np.linalg.norm(step))
        if self._matrix is None:
            return step * (reach / length) if length > 0 else step
        free = ~is_stopped
        try:
            step[free] = -np.linalg.solve(self._matrix[np.ix_(free, free)], slope[free])
        except np.linalg.LinAlgError:  # curvatures of too many sizes
            self._matrix = None
            return self.step(below, above, reach)
        length = float(np.linalg.norm(step))
        return step * min(1.0, reach / length) if length > 0 else step
