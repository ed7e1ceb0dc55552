"""Steps of differences that suit a noisy objective: measured, not assumed.

Central differences with longer steps have a smaller error from noise and a larger one from
truncation. The longest step whose difference agrees with all shorter ones within the noise balances
both without knowing any derivative [1]_. Pure functions of arrays.

References
----------
.. [1] O. V. Lepskii, "On a problem of adaptive estimation in Gaussian white noise", Theory of
   Probability and Its Applications 35 (1991) 454-466.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.gradients.plan import Plan
from optimizers.gradients.stencils import central

#: Steps relative to ``max(1, abs(x))``, longest first.
RUNGS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
#: Longer ones, for variables whose effect is hidden by the noise.
LONG_RUNGS = (1e4, 1e3, 1e2, 1e1, 1e0)
#: Two differences agree if they differ by at most this many standard deviations.
_AGREEMENT = 2.0
#: Values differ visibly if they differ by this many standard deviations.
_VISIBLE = 6.0


@dataclass(frozen=True)
class Ladder:
    """Central differences with several steps, longest first, and all their probes, for one wave."""

    x: Array
    points: Array
    steps: list[Array]
    plans: list[Plan]

    def choose(
        self, f0: float, values: Array, sigma: float, agreement: float = _AGREEMENT
    ) -> Array:
        """Return each variable's step, positive; a value that is not finite rules one out.

        Two differences agree if they differ by at most ``agreement`` standard deviations.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            slopes = [plan.fold(f0, part) for plan, part in self._parts(values)]
        errors = [sigma * plan.noise for plan in self.plans]
        chosen = self.steps[-1].copy()
        # A step is accepted if its difference agrees with those of all shorter ones.
        known = [np.isfinite(slope) for slope in slopes]
        for i in reversed(range(len(slopes) - 1)):
            fits = known[i].copy()
            for j in range(i + 1, len(slopes)):
                with np.errstate(invalid="ignore"):
                    far = np.abs(slopes[i] - slopes[j]) > agreement * (errors[i] + errors[j])
                fits &= ~(known[j] & far)
            chosen = np.where(fits, self.steps[i], chosen)
        return chosen

    def second_differences(self, f0: float, values: Array) -> Array:
        """Return the sizes of second differences, shape (len(steps), n); nan where unknown."""
        found = np.full((len(self.plans), len(self.x)), np.nan)
        for row, (plan, part) in zip(found, self._parts(values), strict=True):
            rise = part - f0
            moved = plan.points != self.x
            two = moved.sum(axis=0) == 2
            with np.errstate(invalid="ignore", over="ignore"):
                row[two] = np.abs(np.where(moved, rise[:, np.newaxis], 0.0).sum(axis=0))[two]
        return found

    def is_flat(self, f0: float, values: Array, sigma: float) -> NDArray[np.bool_]:
        """Return for which variables no probe differs from the point by more than the noise."""
        flat = np.ones(len(self.steps[0]), dtype=bool)
        for plan, part in self._parts(values):
            seen = ~(np.abs(part - f0) < _VISIBLE * sigma)
            flat &= ~np.any((plan.points != self.x) & seen[:, np.newaxis], axis=0)
        return flat

    def _parts(self, values: Array) -> Iterator[tuple[Plan, Array]]:
        ends = np.cumsum([len(plan.points) for plan in self.plans])
        return zip(self.plans, np.split(values, ends[:-1]), strict=True)


def ladder(
    x: Array,
    lower: Array | None = None,
    upper: Array | None = None,
    rungs: tuple[float, ...] = RUNGS,
    wanted: NDArray[np.bool_] | None = None,
) -> Ladder:
    """Return the probes that determine the steps of central differences at ``x``.

    ``rungs`` are the steps relative to ``max(1, abs(x))``, longest first; ``wanted`` the variables.
    """
    size = np.maximum(1.0, np.abs(x))
    moved = size if wanted is None else np.where(wanted, size, 0.0)
    plans = [central(x, rung * moved, lower, upper) for rung in rungs]
    points = np.concatenate([plan.points for plan in plans])
    return Ladder(x, points, [rung * size for rung in rungs], plans)
