"""Series of numbers, one per iteration, such as rates; and SPSA's calibration of these."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._arrays import as_numbers
from optimizers._types import Array
from optimizers.asktell.flow import Asking
from optimizers.asktell.messages import AskData
from optimizers.errors import NonFiniteValueError, OptionError, warn_user
from optimizers.evaluation.answers import non_finite
from optimizers.evaluation.evaluator import Evaluator, values_at
from optimizers.options.table import is_number
from optimizers.problem.problem import Problem
from optimizers.run.run import Run
from optimizers.variational.perturbations import Probes

#: A number for all iterations, one for each, or a function that returns an iterator of them.
SeriesLike: TypeAlias = float | Sequence[float] | Array | Callable[[], Iterator[float]]


def series(name: str, given: SeriesLike) -> Iterator[float]:
    """Yield the numbers of one run, one per iteration; raise an OptionError if one is missing."""
    numbers: Iterator[Any]
    if callable(given):
        try:
            numbers = iter(given())
        except TypeError as error:
            raise OptionError(
                f"{name} is {given!r:.200}, expected a function without arguments that returns "
                f"an iterator, a number for each iteration ({error})."
            ) from error
    else:
        numbers = iter(given) if isinstance(given, Sequence | np.ndarray) else repeat(given)
    return _checked(name, numbers)


def _checked(name: str, numbers: Iterator[Any]) -> Iterator[float]:
    k = 0
    for k, number in enumerate(numbers, 1):
        if not is_number(number) or not np.isfinite(number):
            raise OptionError(
                f"{name} returned {number!r} in iteration {k}, expected finite numbers."
            )
        yield float(number)
    raise OptionError(
        f"{name} ended after {k} numbers, expected one for each iteration: extend it, or lower "
        "maxiter."
    )


def check_pair(options: dict[str, Any]) -> None:
    """Raise an OptionError if one of learning_rate and perturbation is given without the other.

    Not in set_options, where one may be set after the other.
    """
    for one, other in (("learning_rate", "perturbation"), ("perturbation", "learning_rate")):
        if options[one] is not None and options[other] is None:
            raise OptionError(
                f"{one} is given without {other}: pass both, or neither to calibrate them."
            )


def check_series(name: str, given: Any, maxiter: int) -> None:
    """Raise an OptionError if an option cannot be ``maxiter`` numbers; a function is not called."""
    if callable(given):
        return
    expected = f"{name} is {given!r:.200}, expected a number, {maxiter} of them (maxiter), or a "
    if isinstance(given, Iterator):
        raise OptionError(
            f"{expected}function that returns an iterator: an iterator itself is used up by the "
            "first run."
        )
    numbers = given if isinstance(given, Sequence | np.ndarray) else [given]
    if (
        isinstance(given, str)
        or np.ndim(as_numbers(numbers)) != 1
        or not all(map(is_number, numbers))
    ):
        raise OptionError(f"{expected}function that returns an iterator.")
    if not np.isfinite(as_numbers(numbers)).all():
        raise OptionError(f"{expected}function that returns an iterator; all of them finite.")
    if numbers is given and len(numbers) < maxiter:
        raise OptionError(
            f"{name} has {len(numbers)} numbers, expected at least maxiter = {maxiter}."
        )


#: The number of pairs for the slope at the start, and of values for their deviation.
PAIRS = 25
#: The first step moves the variables by about this, as in Qiskit.
TARGET = 2 * np.pi / 10

#: Differences below this many units of the values' precision are rounding.
_ROUNDING = 100


@dataclass(frozen=True)
class PowerSeries:
    """Numbers that fall by a power law: ``scale / (k + 1 + offset) ** exponent``, k from 0."""

    scale: float
    exponent: float
    offset: float = 0.0

    def __call__(self) -> Iterator[float]:
        """Return the numbers, from the first."""
        return (self.scale / (k + self.offset) ** self.exponent for k in count(1))


@dataclass(frozen=True)
class Law:
    """The decay of rates and perturbations; its parameters are those of :meth:`SPSA.calibrate`."""

    c: float = 0.2
    stability_constant: float = 0
    target_magnitude: float | None = None
    alpha: float = 0.602
    gamma: float = 0.101
    modelspace: bool = False

    def series(
        self, probes: Probes, values: Array, known: NDArray[np.bool_], precision: float
    ) -> tuple[PowerSeries, PowerSeries]:
        """Return rates and perturbations from values (k, 2) of pairs; unknown ones are ignored.

        ``precision`` is the relative one of the values.
        """
        target = TARGET if self.target_magnitude is None else self.target_magnitude
        moved = (probes.ahead != probes.back).sum(axis=1)
        # A pair gives one slope, that of its direction, unless bounds shorten some of its moves.
        slopes = np.abs(probes.slopes(values)).sum(axis=1) / np.maximum(1, moved)
        good = known.all(axis=1)
        slope = float(slopes[good].mean()) if good.any() else 0.0
        # At a stationary start, only the last digits of the values differ.
        if slope * self.c <= _ROUNDING * precision * np.abs(values[good]).max(initial=0.0):
            slope = 0.0
        scale = target / (slope**2 if self.modelspace else slope) if slope > 0 else np.inf
        if not 0.0 < scale < np.inf:
            warn_user(
                f"The calibration found the slope {slope:g} at the start, which gives no learning "
                f"rate: {target:g} is used instead. Pass learning_rate and perturbation, or "
                "another start."
            )
            scale = target
        rates = PowerSeries(float(scale), self.alpha, self.stability_constant)
        return rates, PowerSeries(self.c, self.gamma)


def evaluated(
    loss: Callable[..., Any], points: Array, max_evals_grouped: int | None
) -> tuple[Array, float]:
    """Return an objective's values at points (k, n) outside a run, in groups; their precision."""
    evaluator = Evaluator(loss, max_evals_grouped, group_form="batch")
    values: Array = values_at(evaluator, points)
    for value in values[~np.isfinite(values)]:
        raise NonFiniteValueError(str(non_finite(value)))  # +inf too: there is no run
    return values, evaluator.facts.precision


def measured(problem: Problem, run: Run, options: dict[str, Any]) -> Asking[Any]:
    """Return rates, perturbations, perhaps the value at the start, the increase, and its error."""
    x, law, allowed_increase = problem.x0, Law(), options["allowed_increase"]
    repeats = PAIRS if allowed_increase is None else 0
    at_start = 1 + repeats if options["blocking"] else 0
    rates, sizes = options["learning_rate"], options["perturbation"]
    pairs = PAIRS if rates is None else 0
    probes = Probes.drawn(problem, run.rng, x, law.c, pairs)
    points = np.concatenate([np.tile(x, (at_start, 1)), probes.pairs.reshape(-1, x.size)])
    values, known, error = np.zeros(0), np.zeros(0, dtype=bool), dict[str, float]()
    if len(points):
        told = yield from heeded(run, points)
        values, known = told.fun, told.known
        if at_start and told.errors is not None and told.errors[0] > 0:
            error = {"fun_error": float(told.errors[0])}
    fun = float(values[0]) if at_start and known[0] else None
    if allowed_increase is None:
        same = values[1:at_start][known[1:at_start]]
        allowed_increase = 2 * float(np.std(same)) if same.size else 0.0
    if rates is None:
        values, known = values[at_start:], known[at_start:]
        of_pairs = values.reshape(-1, 2), known.reshape(-1, 2)
        rates, sizes = law.series(probes, *of_pairs, run.precision)
    named = series("learning_rate", rates), series("perturbation", sizes)
    return *named, fun, allowed_increase, error


def heeded(run: Run, points: Array) -> Asking[Any]:
    """Ask for a wave of values, and note which of them are penalties."""
    told = yield AskData(points)
    if told.known is not None:
        run.penalties_seen(int(np.count_nonzero(~told.known)))
    return told
