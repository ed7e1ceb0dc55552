"""Simultaneous perturbation: a gradient from two values, whatever the number of variables."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from optimizers._arrays import as_numbers, check_memory, is_whole
from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.gradients.plan import Plan, RowsPlan
from optimizers.gradients.source import EPS, GradientSource, Rng
from optimizers.gradients.stencils import clipped


@dataclass(frozen=True, eq=False)
class SPSAGradient(GradientSource):
    """The gradient by simultaneous perturbation, for ``jac=`` where probes are expensive.

    All variables are moved at the same time, each by the step in a random direction, once forward
    and once back [1]_. The mean over many such pairs is the gradient, up to the error of central
    differences; a single pair gives a rough direction, at the cost of two evaluations for any
    number of variables.

    Parameters
    ----------
    samples : int, default 1
        The number of pairs of probes that are averaged.
    step : float or array_like of shape (n,), default 0.01
        The step of each variable, the same for all or one for each.

    Raises
    ------
    InvalidInputError
        If a number cannot be used.

    Notes
    -----
    Directions are drawn from the run's own generator: the same ``seed`` gives the same run, on
    serial and parallel evaluators alike. The noise of the values in the gradient is
    :attr:`~optimizers.flow.Plan.noise`; the random directions themselves scatter each component by
    about the norm of the others, divided by the square root of ``samples``.

    References
    ----------
    .. [1] J. C. Spall, "Multivariate stochastic approximation using a simultaneous perturbation
       gradient approximation", IEEE Transactions on Automatic Control 37 (1992) 332-341.

    Examples
    --------
    >>> from optimizers import LBFGSB, SPSAGradient
    >>> source = SPSAGradient(samples=3)
    >>> source.plan(np.zeros(50)).points.shape
    (6, 50)
    >>> result = LBFGSB().minimize(lambda x: x @ x, [1.0], jac=source, seed=1)
    >>> result.x.round(6) + 0.0, result.nfev
    (array([0.]), 14)
    """

    is_random: ClassVar[bool] = True
    heeds_precision: ClassVar[bool] = False

    samples: int = 1
    step: ArrayLike = 0.01

    def __post_init__(self) -> None:
        samples = self.samples
        if not is_whole(samples) or samples < 1:
            raise InvalidInputError(f"samples is {samples!r}, expected a whole number >= 1.")
        step = as_numbers(self.step)
        if step.ndim > 1 or not ((step > 0) & (step < np.inf)).all():
            raise InvalidInputError(
                f"The step of the simultaneous perturbation is {self.step!r}, expected a positive "
                "number, or one for each variable."
            )
        object.__setattr__(self, "samples", int(samples))
        object.__setattr__(self, "step", step if step.ndim else float(step))

    @override
    def check(self, n: int) -> None:
        if np.shape(self.step) not in ((), (1,), (n,)):
            raise InvalidInputError(
                f"The steps of the simultaneous perturbation have shape {np.shape(self.step)}, "
                f"expected one number or ({n},)."
            )
        what = f"The gradient of {n} variables by {self.samples} samples"
        check_memory(what, 4 * self.samples * n, "use fewer samples")

    @override
    def relative_error(self, precision: float = EPS) -> float:
        """Return the error of the random directions; see :meth:`GradientSource.relative_error`.

        It is one divided by the square root of ``samples``, or the error from noise if that is
        larger.
        """
        noise = precision / float(np.min(self.step, initial=np.inf))
        return float(max(1.0, noise) / self.samples**0.5)

    @override
    def plan(
        self,
        x: Array,
        lower: Array | None = None,
        upper: Array | None = None,
        precision: float = EPS,
        rng: Rng | None = None,
    ) -> Plan:
        """Return ``2 * samples`` probes, pair by pair: forward, back; none if no variable is free.

        See :meth:`GradientSource.plan`; ``precision`` has no effect. A probe that would leave the
        bounds is moved to them, and the difference is divided by the remaining distance. Without
        ``rng``, a new generator draws the directions.
        """
        self.check(x.size)
        generator = np.random.default_rng() if rng is None else rng()
        signs = 2.0 * generator.integers(0, 2, size=(self.samples, x.size)) - 1.0
        # A step lost in rounding would cause a division by zero.
        moves = signs * np.maximum(self.step, np.spacing(np.abs(x)))
        ahead, back = clipped(x + moves, lower, upper), clipped(x - moves, lower, upper)
        spans = ahead - back
        if not spans.any():
            ahead, back, spans = ahead[:0], back[:0], spans[:0]
        return _plan(x, np.stack([ahead, back], axis=1).reshape(-1, x.size), spans)


def _plan(x: Array, points: Array, spans: Array) -> Plan:
    """Return the plan of pairs of probes, whose variables differ by ``spans``."""
    free = spans != 0

    def mean(values: NDArray[Any], good: NDArray[np.bool_]) -> Array:
        pairs: Array = values[..., ::2] - values[..., 1::2]
        slopes = np.zeros((*values.shape[:-1], *spans[good].shape))
        np.divide(pairs[..., good, np.newaxis], spans[good], out=slopes, where=free[good])
        gradient: Array = slopes.sum(axis=-2) / max(1, np.count_nonzero(good))
        return gradient

    def noise(good: NDArray[np.bool_]) -> Array:
        variances = np.zeros_like(spans[good])
        np.divide(2.0, spans[good] ** 2, out=variances, where=free[good])
        deviation: Array = np.sqrt(variances.sum(axis=0)) / max(1, len(variances))
        return deviation

    def retry(f0: float, values: NDArray[Any], failed: NDArray[np.bool_]) -> Plan | None:
        # Complete pairs are enough, if there is one.
        good: NDArray[np.bool_] = np.logical_not(failed[::2] | failed[1::2])
        if not good.any():
            return None
        gradient = mean(np.where(failed, f0, values), good)
        return RowsPlan(
            points[:0], lambda _, __: gradient.copy(), lambda: noise(good), _takes_rows=True
        )

    whole = np.ones(len(spans), dtype=bool)
    return RowsPlan(
        points, lambda _, values: mean(values, whole), lambda: noise(whole), retry, _takes_rows=True
    )
