"""The calibration of simultaneous perturbation: rates such that the first step has a given size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import warn_user
from optimizers.evaluation.answers import non_finite
from optimizers.evaluation.evaluator import Evaluator, values_at
from optimizers.variational.perturbations import Probes

#: How many pairs tell the slope at the start, and how many values their own deviation.
PAIRS = 25
#: The first step moves the variables by about that, as in Qiskit.
TARGET = 2 * np.pi / 10


@dataclass(frozen=True)
class PowerSeries:
    """Numbers that fall by a power law: ``scale / (k + 1 + offset) ** exponent``, k from 0.

    What the options ``learning_rate`` and ``perturbation`` take.
    """

    scale: float
    exponent: float
    offset: float = 0.0

    def __call__(self) -> Iterator[float]:
        """Return the numbers, from the first."""
        return (self.scale / (k + self.offset) ** self.exponent for k in count(1))


@dataclass(frozen=True)
class Law:
    r"""How rates and perturbations fall: :math:`a/(A+k+1)^\alpha` and :math:`c/(k+1)^\gamma`.

    Its parameters are those of :meth:`SPSA.calibrate`.
    """

    c: float = 0.2
    stability_constant: float = 0
    target_magnitude: float | None = None
    alpha: float = 0.602
    gamma: float = 0.101
    modelspace: bool = False

    def series(
        self, probes: Probes, values: Array, known: NDArray[np.bool_]
    ) -> tuple[PowerSeries, PowerSeries]:
        """Return rates and perturbations by values (k, 2) of pairs; unknown ones tell nothing."""
        target = TARGET if self.target_magnitude is None else self.target_magnitude
        moved = (probes.ahead != probes.back).sum(axis=1)
        # A pair tells one slope, that of its direction, unless bounds shorten some of its moves.
        slopes = np.abs(probes.slopes(values)).sum(axis=1) / np.maximum(1, moved)
        good = known.all(axis=1)
        slope = float(slopes[good].mean()) if good.any() else 0.0
        scale = target / (slope**2 if self.modelspace else slope) if slope > 0 else np.inf
        if not 0.0 < scale < np.inf:
            warn_user(
                f"The calibration found the slope {slope:g} at the start, of which no learning "
                f"rate can be made: {target:g} is taken instead. Give learning_rate and "
                "perturbation, or another start."
            )
            scale = target
        rates = PowerSeries(float(scale), self.alpha, self.stability_constant)
        return rates, PowerSeries(self.c, self.gamma)


def evaluated(loss: Callable[..., Any], points: Array, max_evals_grouped: int | None) -> Array:
    """Return the values of an objective at points (k, n) outside a run, in groups."""
    values: Array = values_at(Evaluator(loss, max_evals_grouped), points)
    for value in values[~np.isfinite(values)]:
        raise non_finite(value)
    return values
