"""The Hessian of a scalar objective, from values at points that are evaluated together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack, override

from optimizers._arrays import check_memory
from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.errors import OptionError, warn_user
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, ended
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, levels

_EPS = float(np.finfo(np.float64).eps)
#: The maximum number of waves if the curvature is unknown before the first.
_WAVES = 5
#: No step is longer than this fraction of the distance over which the values rise by one half,
_LONGEST = 0.3
#: or, where noise would hide their rise, than this one;
_LONGEST_NOISY = 1.0
#: nor grows or shrinks by more than this factor from one wave to the next.
_CHANGE = 1e4
#: The factor by which a step is shortened if there is no value at its end.
_SHRINK = 30
#: Values change over this fraction of a variable's size if it has an effect.
_FLAT = 0.01
#: Two values at a point that differ by more than this many times their precision have noise.
_NOISY = 100.0
#: No step is shorter than this many units of rounding of the variable.
_UNITS = 8
_ADVICE = "Pass noise, the standard deviation of a value, and guess, the approximate errors."


@dataclass(frozen=True)
class Stencil:
    """Points around another one for gradient and Hessian in the free variables."""

    x: Array
    free: NDArray[np.intp]
    lower: Array
    upper: Array
    #: Whether two variables are displaced together to both sides.
    both_sides: bool

    def inside(self, h: Array) -> Array:
        """Return rounded steps that fit to each side between the bounds, and are not zero."""
        at, room = self.x[self.free], (self.upper - self.lower)[self.free]
        h = np.minimum(np.maximum(h, _UNITS * np.spacing(np.abs(at))), room / 2)
        return (at + h) - at

    def points(self, h: Array) -> Array:
        """Return the points: the middle, both sides of each variable, and of pairs of them.

        The middle is ``x``, or near it if a step would leave the bounds.
        """
        count, n = len(self.free), self.x.size
        number = 1 + count + count**2
        check_memory(f"A Hessian by {number} points", number * n, "fix variables by equal bounds")
        middle = self.x.copy()
        low, high = self.lower[self.free] + h, self.upper[self.free] - h
        middle[self.free] = np.clip(self.x[self.free], low, high)
        steps = np.zeros((count, n))
        steps[np.arange(count), self.free] = h
        first, second = np.triu_indices(count, 1)
        pairs = steps[first] + steps[second]
        moves = [np.zeros((1, n)), steps, -steps, pairs, *([-pairs] if self.both_sides else [])]
        points: Array = np.clip(middle + np.concatenate(moves), self.lower, self.upper)
        return points

    def fold(self, values: Array, h: Array) -> tuple[Array, Array]:
        """Return gradient and Hessian, given the values at the points."""
        count = len(self.free)
        middle, ahead, back = values[0], values[1 : 1 + count], values[1 + count : 1 + 2 * count]
        together = values[1 + 2 * count :]
        first, second = np.triu_indices(count, 1)
        hessian = np.diag((ahead - 2 * middle + back) / h**2)
        if self.both_sides:
            together = together[: len(first)] + together[len(first) :]
            alone, share = ahead + back, 2.0
        else:
            alone, share = ahead, 1.0
        mixed = together - alone[first] - alone[second] + share * middle
        hessian[first, second] = hessian[second, first] = mixed / (share * h[first] * h[second])
        return (ahead - back) / (2 * h), hessian

    def part(self, error: float, is_noisy: bool) -> float:
        """Return the best step where the curvature is 1, given the error of values.

        The errors of the Hessian from values and from higher derivatives are then about equal, as
        measured on likelihoods of 50 to 20,000 data.
        """
        best: float = (500 * error) ** 0.25 if self.both_sides else 700 * error**0.5
        return min(best, _LONGEST_NOISY if is_noisy else _LONGEST)


class CurvatureProbe(FlowOptimizer):
    """Evaluates the Hessian at the start, which is an entry of its result.

    ``sizes`` are the steps along each variable that raise the objective by about one half; NaN, or
    None for all, if unknown. ``fun`` is the approximate value at the start.
    """

    support_levels = levels(gradient=SupportLevel.not_supported)
    handles_noise = True

    def __init__(
        self, sizes: Array | None, fun: float, both_sides: bool, **settings: Unpack[FlowSettings]
    ) -> None:
        super().__init__({"sizes": sizes, "fun": fun, "both_sides": both_sides}, **settings)

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        if isinstance(run.noise, str):
            raise OptionError("noise is 'estimate', expected the standard deviation of a value.")
        noise = float(run.noise or 0.0)
        lower, upper = problem.box
        free = np.flatnonzero(lower < upper)
        stencil = Stencil(problem.x0, free, lower, upper, self.both_sides)
        size = np.abs(problem.x0[free])
        h = _EPS**0.25 * np.where(size > 0, size, 1.0)
        if self.sizes is not None:
            error = max(_EPS * max(1.0, abs(self.fun)), noise)
            known = stencil.part(error, noise > 0) * self.sizes[free]
            h = np.where(np.isfinite(known), known, h)
        slack = 8.0 if self.both_sides else 3.0
        seen_at = dict[bytes, float]()  # the value at the middle of each wave
        for _ in range(_WAVES):
            h = stencil.inside(h)
            points = stencil.points(h)
            told = yield AskData(points)
            assert told.known is not None
            run.penalties_seen(int(np.count_nonzero(~told.known)))
            values = np.where(told.known, told.fun, np.nan)
            rounding = run.precision * max(1.0, abs(values[0]))
            change = abs(values[0] - seen_at.setdefault(points[0].tobytes(), values[0]))
            if noise == 0.0 and change > _NOISY * rounding:
                words = f"the objective has noise, as two values at x differ by {change:.1g}."
                return ended(points[0], StopReason.NOISE, values[0], words=f"{words} {_ADVICE}")
            error = max(rounding, noise)
            gradient, hessian = stencil.fold(values, h)
            # The error of a curvature: a smaller curvature is not visible.
            hidden = 3 * error / h**2
            curvature = np.fmax(np.abs(np.diag(hessian)), hidden)
            better = stencil.inside(stencil.part(error, noise > 0) / np.sqrt(curvature))
            better = np.clip(better, h / _CHANGE, h * _CHANGE)
            better = np.where(np.isnan(np.diag(hessian)), h / _SHRINK, better)
            seen = ~(np.abs(np.diag(hessian)) <= hidden)
            is_unfit = (better > slack * h) | (h > slack * better)
            # A variable without effect over a fraction of its size has no curvature.
            is_unfit &= seen | (h < _FLAT * np.where(size > 0, size, 1.0))
            if not is_unfit.any():
                break
            h = better
        else:
            if (np.abs(np.diag(hessian)) > hidden)[is_unfit].any():
                which = free[is_unfit].tolist()
                warn_user(
                    f"No suitable steps were found for the curvature along x{which}: the errors "
                    "may be wrong. Pass guess, their approximate size."
                )
        hessian[~seen] = hessian[:, ~seen] = 0.0
        run.extra.update(
            hessian=hessian,
            gradient=gradient,
            free=free,
            at_bound=(points[0] != problem.x0)[free],
            precision=2 * float(np.max((hidden / curvature)[seen], initial=_EPS**0.5)),
        )
        # Nothing was minimized: a success would be checked with further points.
        return ended(points[0], StopReason.OTHER, values[0])
