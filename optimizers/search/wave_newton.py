"""Newton's method from waves of values: the next model is asked for together with the steps."""

from __future__ import annotations

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.flow import Asking
from optimizers.flow import AskData, Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.gradients.source import EPS
from optimizers.options.settings import DISP
from optimizers.options.table import Option, limit, number
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.search.space import Space
from optimizers.search.stencil import Stencil
from optimizers.search.subproblem import Quadratic
from optimizers.support import SupportLevel, Traits, levels

#: The trial steps are those of these multiples of the radius.
_FACTORS = 2.0 ** np.arange(-6, 5)
#: The first radius, in sizes of the variables.
_FIRST = 0.5
#: A step whose model is there already is taken if it brings this part of the best decrease.
_GOOD = 0.7
#: A step that is shorter than this part of the radius is the minimum of the model.
_INSIDE = 0.99
#: Decreases of so many rounding errors are none.
_ROUNDINGS = 8.0
#: The steps of differences are at most this part of the distance of the bounds.
_NARROW = 1.0 / 16.0
#: After so many waves without a decrease no step can be found.
_FAILURES = 3


class WaveNewton(FlowOptimizer):
    r"""Newton's method without gradients, for objectives that take a whole wave at once.

    The gradient and the Hessian are differences of 1 + 2n + n(n - 1)/2 values in one wave. The next
    wave contains the trust-region steps for eleven radii and, in advance, all values for the model
    around the likeliest of them. In most cases an iteration thus takes one wave, where a line
    search takes two or more. It takes n^2 / 2 values, so that it pays where a wave costs about as
    much as a point: on vectorized objectives, many workers, jobs of circuits; up to about 60
    variables.

    With bounds, steps minimize the model within the box, and the differences stay within it.
    ``result.hess`` is the Hessian at the last model, shape (n, n); it is zero for fixed variables.

    Notes
    -----
    Values have to be exact up to rounding: the steps of differences are the fourth root of their
    relative precision, relative to ``max(abs(x0), 1)`` and to the variable, whichever is larger.
    For noisy values take :class:`DFOTR`.

    References
    ----------
    .. [1] J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition (2006), chapters 4
       and 8.

    Examples
    --------
    >>> from scipy.optimize import rosen
    >>> result = WaveNewton().minimize(rosen, [0.0, 0.0, 0.0])
    >>> result.success, result.x.round(5)
    (True, array([1., 1., 1.]))
    """

    traits = Traits(
        "Fewest waves without gradients, where a wave of n^2 / 2 points costs about a point.",
        parallel=True,
    )
    _tolerances = ("xtol", "ftol")

    _declared: tuple[Option, ...] = (
        Option("maxiter", 1000, limit(0)).means("Maximum number of iterations."),
        Option("xtol", 1e-5, number(0)).means(
            "The run converges when the step to the minimum of the model is at most this, relative "
            "to the size of each variable."
        ),
        Option("ftol", 1e-10, number(0)).means(
            "The run converges when two steps in succession decrease the value by at most this, "
            "relative to its size."
        ),
        Option("speculate", 1, limit(0)).means(
            "Around how many of the trial points the model's values are asked for in the same wave."
        ),
        DISP,
    )
    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(
        self,
        maxiter: int = 1000,
        xtol: float = 1e-5,
        ftol: float = 1e-10,
        speculate: int = 1,
        disp: bool = False,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _matrices(self, problem: Problem) -> float:
        return 4.0 + problem.n * (1 + int(self.speculate))  # n^2 / 2 points of n, and their copy

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        space = _Space(problem, run.precision)
        search, stop = _Search(space, self.speculate, self.xtol, self.ftol), StopReason.MAXITER
        yield from search.begin()
        for _ in range(self.maxiter):
            if search.model is not None:
                run.extra["hess"] = space.hessian(search.model)
            if search.stop is not None:
                stop = search.stop
                break
            yield from search.iterate()
            yield Step(space.points(search.point), search.value)
        slopes = None if search.model is None else space.gradient(search.model)
        return ended(space.points(search.point), stop, search.value, slopes)


class _Space(Space):
    """The free variables, and the steps of differences."""

    def __init__(self, problem: Problem, precision: float) -> None:
        super().__init__(problem, _FIRST)
        #: The relative precision of values.
        self.precision = max(precision, EPS)

    def stencil(self, point: Array) -> Stencil:
        """Return the stencil around a point."""
        sizes = np.maximum(1.0, np.abs(self.points(point)[self._free] / self._sizes))
        with np.errstate(over="ignore"):
            room = (self.high - self.low) * _NARROW
        return Stencil(point, np.minimum(self.precision**0.25 * sizes, room), self.low, self.high)

    def gradient(self, model: Quadratic) -> Array:
        """Return the gradient of all variables, in the units of the problem."""
        gradient = np.zeros(self._free.size)
        gradient[self._free] = model.gradient / self._sizes
        return gradient

    def hessian(self, model: Quadratic) -> Array:
        """Return the Hessian of all variables, in the units of the problem."""
        hessian = np.zeros((self._free.size, self._free.size))
        hessian[np.ix_(self._free, self._free)] = model.hessian / np.outer(self._sizes, self._sizes)
        return hessian


class _Search:
    """The iterate, the model around it, and how far that is trusted."""

    def __init__(self, space: _Space, speculate: int, xtol: float, ftol: float) -> None:
        self._space, self._speculate, self._xtol, self._ftol = space, speculate, xtol, ftol
        #: The iterate, in units of sizes, its value and the model around it.
        self.point, self.value = np.zeros(space.n), np.inf
        self.model: Quadratic | None = None
        self._radius, self._failures, self._small = _FIRST, 0, 0
        self._steps = np.empty((0, space.n))

    @property
    def stop(self) -> StopReason | None:
        """Why the run ends here, without further values."""
        if self.model is None or self._failures > _FAILURES:
            return StopReason.NO_PROGRESS
        if not len(self._steps):
            return StopReason.GRADIENT
        if self._small > 1:
            return StopReason.FUN
        step = self._steps[-1]
        length = float(np.linalg.norm(step))
        if min(length, self._radius) <= self._xtol:
            return StopReason.STEP
        promised, rounding = -self.model(step), self._space.precision * abs(self.value)
        if length < _INSIDE * _FACTORS[-1] * self._radius and promised <= _ROUNDINGS * rounding:
            return StopReason.FUN
        return None

    def begin(self) -> Asking[None]:
        """Ask for the start and the values around it."""
        stencil = self._space.stencil(self.point)
        values = yield from self._ask(self.point[np.newaxis], stencil.points)
        self.value = float(np.nan_to_num(values[0], nan=np.inf))
        self._model(stencil, values[1:], _FIRST)

    def iterate(self) -> Asking[None]:
        """Ask for trial points and the next model, and take the best point if it is lower."""
        space, lengths = self._space, np.linalg.norm(self._steps, axis=1)
        trials = space.clip(self.point + self._steps)
        likely = np.argsort(np.abs(np.log(lengths / self._radius)))[: self._speculate]
        stencils = {int(i): space.stencil(trials[i]) for i in likely}
        wave = [trials, *(stencil.points for stencil in stencils.values())]
        values = yield from self._ask(*wave)
        found, *parts = np.split(values, np.cumsum([len(part) for part in wave])[:-1])
        falls = np.nan_to_num(self.value - found, nan=-np.inf)
        best = int(falls.argmax())
        if not falls[best] > 0:
            self._failures += 1
            self._trust(float(lengths[0]) / 2.0)
            return
        around = dict(zip(stencils, parts, strict=True))
        good = [i for i in stencils if falls[i] >= _GOOD * falls[best]]
        best = max(good, key=lambda i: float(falls[i]), default=best)
        stencil = stencils.get(best) or space.stencil(trials[best])
        if best not in around:
            around[best] = yield from self._ask(stencil.points)
        is_small = falls[best] <= self._ftol * abs(self.value)
        self._small, self._failures = self._small + 1 if is_small else 0, 0
        self.point, self.value = trials[best], float(found[best])
        self._model(stencil, around[best], float(lengths[best]))

    def _ask(self, *points: Array) -> Asking[Array]:
        """Return the values of points; NaN where there are none."""
        told = yield AskData(self._space.points(np.concatenate(points)))
        return np.where(np.asarray(told.known) & np.isfinite(told.fun), told.fun, np.nan)

    def _model(self, stencil: Stencil, values: Array, radius: float) -> None:
        """Fit the model around the iterate."""
        self.model = stencil.fit(self.value, values)
        self._trust(radius)

    def _trust(self, radius: float) -> None:
        """Make the steps for multiples of a radius; those that are equal once."""
        self._radius, steps = radius, list[Array]()
        if self.model is not None:
            for longest in radius * _FACTORS:
                step = self._space.least(self.model, self.point, longest)
                if step.any() and not (steps and np.allclose(step, steps[-1], rtol=1e-6, atol=0)):
                    steps.append(step)
        self._steps = np.array(steps).reshape(-1, self.point.size)
