"""Parameter shift: exact derivatives of circuits from distant values."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from optimizers._arrays import as_numbers
from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.gradients.frequencies import (
    DETECT,
    Detecting,
    as_frequencies,
    check_rows,
    detecting,
    rows_of,
)
from optimizers.gradients.misfit import checked
from optimizers.gradients.plan import Plan
from optimizers.gradients.shift_rules import Frequencies, Rule, rule_inside, usual_rule
from optimizers.gradients.source import EPS, GradientSource, Learning, Rng
from optimizers.gradients.stencils import offset

#: A shift whose sine is smaller than this is a multiple of pi.
_LEAST_SINE = 1e-8
#: For a longer one, rounding destroys the angle.
_LONGEST = 1e15
#: For points up to here, the rounding of probes does not matter to the weights.
_SMALL = 1e5


@dataclass(frozen=True, eq=False)
class ParameterShift(GradientSource):
    """The parameter-shift rule, for ``jac=`` of the energy of a circuit.

    Along each variable the objective is a sum of sinusoids of known frequencies: the differences
    of the eigenvalues of the gate's generator. Then a few values give the derivative without
    truncation error, and with little noise since the probes are far away. The same values give the
    second derivative along each variable: :meth:`~optimizers.flow.Plan.curvature`.

    Parameters
    ----------
    shift : float, default pi / 2
        The phase by which the probes of a variable of one frequency are shifted: they are at
        ``x ± shift / frequency``. It must not be a multiple of pi; pi / 2 is best under noise.
    frequencies : sequence of float, sequence of sequences, or "detect", optional
        The frequencies, all positive: one sequence for all variables, or one for each. Default:
        the one frequency 1, of rotations by Pauli matrices, and the two-term rule [1]_ [2]_. R
        frequencies need 2 R probes per variable. Frequencies that are the first multiples of one
        number have the shifts and coefficients of [3]_; others have the shifts with the least
        noise. With ``"detect"`` they are found at the start of a run, from the Fourier transform of
        values at 15 points along each variable, or more if that is not enough, and 8 that show the
        noise: multiples of 1 / 2 up to 16, or of 1 between bounds that have no room for 4 pi.

    Raises
    ------
    InvalidInputError
        If a number cannot be used.

    Notes
    -----
    Whether the objective is such a sum of sinusoids is checked in the first wave of a run, by one
    more point for each variable that has room for it: if it is not, a
    :class:`~optimizers.FrequencyWarning` names the variables, and the run is not a success. Where
    values have noise, only what exceeds it counts. It is measured, by a second wave of 8 points or
    more, if the values contradict and there are neither standard errors nor ``noise``.

    No probe leaves the bounds. Where the usual ones would, they are moved by a period, or replaced
    by others between the bounds: the rule remains exact, but is noisier, as
    :attr:`~optimizers.flow.Plan.noise` shows.

    References
    ----------
    .. [1] K. Mitarai, M. Negoro, M. Kitagawa and K. Fujii, "Quantum circuit learning", Physical
       Review A 98 (2018) 032309.
    .. [2] M. Schuld, V. Bergholm, C. Gogolin, J. Izaac and N. Killoran, "Evaluating analytic
       gradients on quantum hardware", Physical Review A 99 (2019) 032331.
    .. [3] D. Wierichs, J. Izaac, C. Wang and C. Y.-Y. Lin, "General parameter-shift rules for
       quantum gradients", Quantum 6 (2022) 677.

    Examples
    --------
    >>> from optimizers import LBFGSB, ParameterShift
    >>> from optimizers.problems import h2
    >>> energy = h2()
    >>> result = LBFGSB().minimize(energy, energy.x0, jac=ParameterShift())
    >>> round(result.fun, 6)
    -1.857275

    Gradient and second derivatives of a function with two frequencies:

    >>> plan = ParameterShift(frequencies=(1, 2)).plan(np.array([0.0]))
    >>> values = np.array([np.sin(x) + np.cos(2 * x) for x in plan.points[:, 0]])
    >>> plan.fold(1.0, values).round(9), plan.curvature(1.0, values).round(9)
    (array([1.]), array([-4.]))
    """

    takes_angles: ClassVar[bool] = True
    heeds_precision: ClassVar[bool] = False

    shift: float = math.pi / 2
    frequencies: Sequence[float] | Sequence[Sequence[float]] | Literal["detect"] | None = None

    def __post_init__(self) -> None:
        given = as_numbers(self.shift)
        shift = float(given.item()) if given.size == 1 and (abs(given) < _LONGEST).all() else 0.0
        if abs(math.sin(shift)) < _LEAST_SINE:
            raise InvalidInputError(
                f"The parameter shift is {self.shift!r}, expected a number below {_LONGEST:g} that "
                "is not a multiple of pi, where both probes are equal."
            )
        # A copy, which is the same for all types of sequences.
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "frequencies", as_frequencies(self.frequencies))
        if shift != math.pi / 2 and any(len(row) > 1 for row in rows_of(self.frequencies, 1)):
            raise InvalidInputError(
                f"shift={self.shift!r} was given with several frequencies, which have their own "
                "shifts: remove shift."
            )

    @override
    def check(self, n: int) -> None:
        check_rows(self.frequencies, n, "ParameterShift")

    @override
    def learning(
        self,
        x: Array,
        lower: Array,
        upper: Array,
        noise: float | None,
        named: Callable[[NDArray[np.intp]], str],
    ) -> Learning | None:
        if self.frequencies != DETECT:
            return None
        return self._learning(detecting(x, lower, upper, noise, named))

    def _learning(self, detecting: Detecting) -> Learning:
        return replace(self, frequencies=(yield from detecting))

    @override
    def relative_error(self, precision: float = EPS) -> float:
        """Return the error from noise; see :meth:`GradientSource.relative_error`.

        Examples
        --------
        >>> ParameterShift().relative_error(1e-6)
        1e-06
        """
        worst = max(usual_rule(row, self.shift).noise for row in set(rows_of(self.frequencies, 1)))
        return precision * max(1.0, worst)

    @override
    def plan(
        self,
        x: Array,
        lower: Array | None = None,
        upper: Array | None = None,
        precision: float = EPS,
        rng: Rng | None = None,
    ) -> Plan:
        """Return 2 R probes for each variable of R frequencies, variable by variable.

        See :meth:`GradientSource.plan`; ``precision`` and ``rng`` have no effect.
        """
        _, rules, *box = self._rules(x, lower, upper)
        return _assembled(x, rules, *box)

    @override
    def first_plan(
        self,
        x: Array,
        lower: Array | None = None,
        upper: Array | None = None,
        precision: float = EPS,
        rng: Rng | None = None,
    ) -> Plan:
        rows, rules, low, high = self._rules(x, lower, upper)
        is_sharp = np.abs(x) <= _SMALL
        inside = np.where(is_sharp, low, x), np.where(is_sharp, high, x)
        return checked(_assembled(x, rules, low, high), x, rules, rows, *inside)

    def _rules(
        self, x: Array, lower: Array | None, upper: Array | None
    ) -> tuple[tuple[Frequencies, ...], list[Rule], Array, Array]:
        """Return frequencies and rule of each variable, and the bounds."""
        self.check(x.size)
        if self.frequencies == DETECT:
            raise InvalidInputError(
                "frequencies is 'detect': they are found at the start of a run; a plan needs them."
            )
        rows = rows_of(self.frequencies, x.size)
        low = np.full_like(x, -np.inf) if lower is None else lower
        high = np.full_like(x, np.inf) if upper is None else upper
        shapes = {row: usual_rule(row, self.shift) for row in set(rows)}
        reach = np.array([shapes[row].scale for row in rows])
        is_usual = (x - reach >= low) & (x + reach <= high) & (np.abs(x) <= _SMALL)
        rules = [shapes[row] for row in rows]
        for i in np.flatnonzero(~is_usual):
            rules[i] = rule_inside(rows[i], self.shift, *(float(v[i]) for v in (x, low, high)))
        return rows, rules, low, high


def _assembled(x: Array, rules: Sequence[Rule], lower: Array, upper: Array) -> Plan:
    """Return the plan made of the rules of all variables."""
    scales = np.array([rule.scale for rule in rules])
    columns = np.repeat(np.arange(x.size), [len(rule.offsets) for rule in rules])
    offsets, slope, bend = (
        np.concatenate([np.empty(0), *(getattr(rule, name) for rule in rules)])
        for name in ("offsets", "slope", "bend")
    )
    points, _ = offset(x, columns, offsets, lower, upper)

    def total(weights: Array) -> Array:
        # One after another, so that weights that cancel give zero.
        return np.asarray(np.bincount(columns, weights, minlength=x.size), dtype=np.float64)

    def noise(weights: Array) -> Array:
        deviation: Array = np.sqrt(total(weights**2) + total(weights) ** 2)
        return deviation

    return Plan(
        points,
        lambda f0, values: total(slope * (values - f0)) / scales,
        lambda: noise(slope) / scales,
        None,
        lambda f0, values: total(bend * (values - f0)) / scales / scales,
        lambda: noise(bend) / scales / scales,
    )
