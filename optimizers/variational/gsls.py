"""Line search along gradients that are estimated from random samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.options.settings import DISP
from optimizers.options.table import Option, limit, number, whole
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels


class GSLS(FlowOptimizer):
    r"""Gaussian-smoothed line search: descent along a gradient estimated on a small sphere.

    From directions :math:`u_i` drawn evenly from the unit sphere in n dimensions, the gradient is

    .. math:: g = \frac{n}{N \sigma} \sum_{i=1}^N (f(x + \sigma u_i) - f(x)) \, u_i

    and the step from x to :math:`x - \alpha g` is accepted if f falls by
    :math:`c \alpha \lVert g \rVert^2`. Otherwise the next samples, around the same x, are added to
    the existing ones, and the step is shorter. All samples of an iteration are one wave; the
    candidate is the next one.

    Within bounds, directions that lead out are drawn again, then flipped, and shortened at the
    other bound if a variable has less room than the sampling radius. The candidate is projected,
    and has to achieve a fraction of the predicted decrease. Variables fixed by their bounds are not
    moved.

    References
    ----------
    .. [1] A. S. Berahas, L. Cao, K. Choromanski and K. Scheinberg, "A theoretical and empirical
       comparison of gradient approximations in derivative-free optimization", Foundations of
       Computational Mathematics 22 (2022) 507-560, https://arxiv.org/abs/1905.01332.

    Examples
    --------
    >>> result = GSLS().minimize(lambda x: float(x @ x), [3.0, 4.0], seed=1)
    >>> result.stop.name, result.x.round(3) + 0.0
    ('STEP', array([0., 0.]))
    """

    traits = Traits(
        "Values without gradients: random directions, all in one wave.", parallel=True, random=True
    )

    _tolerances = ("min_gradient_norm",)
    _declared: tuple[Option, ...] = (
        Option("maxiter", 10000, limit(0)).means("Maximum number of iterations."),
        Option("max_eval", 10000, limit(1)).means(
            "Maximum number of points at which the objective is evaluated: a hard limit. If "
            "``maxfun`` is given too, the smaller one applies."
        ),
        DISP,
        Option("sampling_radius", 1.0e-6, number(0, ends="()")).means(
            "The radius of the sphere. For noisy values it has to be much larger."
        ),
        Option("sample_size_factor", 1, number(0, ends="()")).means(
            "Samples per iteration for each free variable; at least one in total."
        ),
        Option("initial_step_size", 1.0e-2, number(0, ends="()")).means("The first step size."),
        Option("min_step_size", 1.0e-10, number(0)).means(
            "The run converges when the step size is at most this."
        ),
        Option("step_size_multiplier", 0.4, number(0, 1, "()")).means(
            "The factor of the step size after a rejected step, between 0 and 1; after an "
            "accepted one, it is divided by twice this."
        ),
        Option("armijo_parameter", 1.0e-1, number(0, 1, "()")).means(
            "The fraction of the predicted decrease that a step has to achieve, in (0, 1)."
        ),
        Option("min_gradient_norm", 1e-8, number(0)).means(
            "The run converges when the norm of the estimated gradient is at most this."
        ),
        Option("max_failed_rejection_sampling", 50, whole(0)).means(
            "How often samples are drawn again within bounds, before they are flipped."
        ),
    )
    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(
        self,
        maxiter: int = 10000,
        max_eval: int = 10000,
        disp: bool = False,
        sampling_radius: float = 1.0e-6,
        sample_size_factor: float = 1,
        initial_step_size: float = 1.0e-2,
        min_step_size: float = 1.0e-10,
        step_size_multiplier: float = 0.4,
        armijo_parameter: float = 1.0e-1,
        min_gradient_norm: float = 1e-8,
        max_failed_rejection_sampling: int = 50,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _matrices(self, problem: Problem) -> float:
        return 2 * float(self.sample_size_factor)

    @override
    def _budget(self, maxfun: int | None) -> int | None:
        return self._within("max_eval", maxfun)

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        x, alpha = problem.x0, self.initial_step_size
        sphere = Sphere(problem, self.sampling_radius, self.max_failed_rejection_sampling)
        size = max(1, round(self.sample_size_factor * sphere.n))
        value: float | None = None
        directions, values = np.empty((0, x.size)), np.empty(0)
        for _ in range(self.maxiter):
            drawn = sphere.directions(x, size, run.rng)
            points = problem.clip(x + self.sampling_radius * drawn)
            if (points == x).all():
                words = f"Samples of radius {self.sampling_radius:g} at x are rounded to x itself."
                return ended(x, StopReason.NO_PROGRESS, value, words=words)
            # The first samples do not wait for the value at the start.
            told = yield AskData(points if value is not None else np.array([x, *points]))
            fun, known = told.fun, np.asarray(told.known)
            if value is None:
                value, is_start_known = float(fun[0]), bool(known[0])
                fun, known = fun[1:], known[1:]
                if not is_start_known:  # if it was rejected, the best sample is the start
                    best = int(np.argmin(fun))
                    x, value = points[best], float(fun[best])
                    continue
            # Penalties have no information about the slope.
            directions = np.concatenate([directions, drawn[known]])
            values = np.concatenate([values, fun[known]])
            gradient = sphere.gradient(directions, values - value)
            norm = float(np.linalg.norm(gradient))
            if len(values) and norm <= self.min_gradient_norm:
                return ended(x, StopReason.GRADIENT, value)
            candidate = problem.clip(x - alpha * gradient)
            is_better = False
            if np.isfinite(candidate).all() and not np.array_equal(candidate, x):
                promised = self.armijo_parameter * float(gradient @ (x - candidate))
                found = (yield AskData(candidate)).fun
                is_better = found <= value - promised
            if is_better:
                x, value = candidate, found
                alpha /= 2 * self.step_size_multiplier
                directions, values = directions[:0], values[:0]
            else:
                alpha *= self.step_size_multiplier
            yield Step(x, value, None, {"gradient_norm": norm, "step_size": alpha})
            if alpha <= self.min_step_size:
                return ended(x, StopReason.STEP, value)
        return ended(x, StopReason.MAXITER, value)


class Sphere:
    """Draws directions from the unit sphere of the free variables."""

    def __init__(self, problem: Problem, radius: float, attempts: int) -> None:
        self._radius, self._attempts = radius, attempts
        self._lower, self._upper = problem.box
        self._free: NDArray[np.bool_] = self._lower < self._upper
        #: The number of free variables.
        self.n = int(self._free.sum())

    def _drawn(self, count: int, rng: np.random.Generator) -> Array:
        normal = rng.normal(size=(count, self.n))
        directions = np.zeros((count, self._free.size))
        directions[:, self._free] = normal / np.linalg.norm(normal, axis=1, keepdims=True)
        return directions

    def directions(self, x: Array, count: int, rng: np.random.Generator) -> Array:
        """Return directions (count, n), of length 1 or less, that do not leave the bounds."""
        accepted = np.empty((0, x.size))
        for _ in range(1 + self._attempts):
            drawn = self._drawn(count, rng)
            points = x + self._radius * drawn
            is_inside = np.all((points >= self._lower) & (points <= self._upper), axis=1)
            accepted = np.concatenate([accepted, drawn[is_inside]])
            if len(accepted) >= count:
                return accepted[:count]
        # In a corner only one in 2^n directions leads inside.
        drawn = self._drawn(count, rng)
        with np.errstate(over="ignore"):  # such a distant bound is none
            below, above = (self._lower - x) / self._radius, (self._upper - x) / self._radius
        flipped = np.where((drawn < below) | (drawn > above), -drawn, drawn)
        return np.concatenate([accepted, np.clip(flipped, below, above)])[:count]

    def gradient(self, directions: Array, differences: Array) -> Array:
        """Return the gradient by directions (k, n) and differences (k,); zero if there are none."""
        factor = self.n / (max(1, len(differences)) * self._radius)
        estimate: Array = factor * (differences @ directions)
        return estimate
