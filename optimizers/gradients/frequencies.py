"""The frequencies along each variable of a circuit's energy: as given, or found from values.

Frequencies are found along lines through a point that no symmetry distinguishes, from values at
equidistant offsets: their Fourier transform shows every multiple of 1 / 2 (or of 1, between bounds
that have no room for the period 4 pi). The offsets are made denser until the upper half of the
visible frequencies is empty.
"""

import math
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.gradients.shift_rules import Frequencies

#: Frequencies that are to be found in a run.
DETECT = "detect"
#: What a detection sends for its points: their values, and standard errors if these are known.
Sent: TypeAlias = tuple[Array, Array | None]
#: A detection: it yields points, shape (k, n), and returns the frequencies of each variable.
Detecting: TypeAlias = Generator[Array, Sent, tuple[Frequencies, ...]]

#: The offsets of a period of 2 pi at first and at most.
_FEWEST, _MOST = 8, 64
#: How often the common point of the lines is measured, to learn the noise.
_REPEATS = 8
#: An amplitude is zero below this many standard errors, or this fraction of the range of values.
_ERRORS, _NEGLIGIBLE = 6.0, 1e-6
#: Multiples of the golden ratio: no two variables are moved alike.
_GOLDEN = 0.6180339887498949
#: Bounds may miss a whole period by rounding.
_ROUNDED = 1 - 1e-9


def as_frequencies(given: Any) -> Any:
    """Return frequencies as an increasing tuple, or as a tuple of these, one for each variable."""
    if given is None or (isinstance(given, str) and given == DETECT):
        return given
    try:
        rows = list(given)
        if rows and all(np.ndim(row) == 1 for row in rows):
            return tuple(_row(row) for row in rows)
        return _row(rows)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInputError(
            f"The frequencies are {given!r}, expected a sequence of different positive numbers, "
            f"one such sequence for each variable, or {DETECT!r}."
        ) from None


def _row(given: Any) -> Frequencies:
    row = tuple(sorted(float(number) for number in given))
    if not row or not all(0 < number < math.inf for number in row) or len(set(row)) < len(row):
        raise ValueError
    return row


def rows_of(frequencies: Any, n: int) -> tuple[Frequencies, ...]:
    """Return the frequencies of each of n variables, of those that :func:`as_frequencies` returned.

    Those that are to be found are not known yet: until then they are 1.
    """
    if frequencies is None or frequencies == DETECT:
        return ((1.0,),) * n
    return frequencies if isinstance(frequencies[0], tuple) else (frequencies,) * n


def check_rows(frequencies: Any, n: int, owner: str) -> None:
    """Raise an InvalidInputError if there are frequencies for another number of variables."""
    if len(rows := rows_of(frequencies, n)) != n:
        raise InvalidInputError(
            f"{owner} has frequencies for {len(rows)} variables, expected one sequence for all, or "
            f"one for each of {n}."
        )


def detecting(
    x: Array, low: Array, high: Array, noise: float | None, named: Callable[[NDArray[np.intp]], str]
) -> Detecting:
    """Find the frequencies of each variable; the noise is measured if it is neither given nor told.

    Where they cannot be found an InvalidInputError names the variables.
    """
    lines = _Lines(x, low, high)
    told = yield lines.first()
    measured = lines.begun(*told)
    sigma = measured if noise is None else noise
    while (missing := lines.unclear(sigma)).size:
        if lines.density >= _MOST:
            raise InvalidInputError(
                f"No frequencies are visible along {named(missing)}: bounds leave less than the "
                "period 2 pi, or values are not sums of sinusoids whose frequencies are multiples "
                f"of 1 / 2 up to {_MOST // 4}. Pass frequencies, or, if values have noise that is "
                "a function of the point, its standard deviation, noise=."
            )
        told = yield lines.denser(missing)
        lines.learn(missing, told[0])
    return tuple(lines.found(i, sigma) for i in range(x.size))


class _Lines:
    """Values at equidistant offsets along each variable."""

    def __init__(self, x: Array, low: Array, high: Array) -> None:
        turns = 2 * np.mod(_GOLDEN * np.arange(1, x.size + 1), 1.0) - 1
        self._center = np.clip(x + math.pi * turns, low, high)
        room = (high - low) / (2 * math.pi * _ROUNDED)
        #: The number of turns of 2 pi that make a period: 0 where there is no room for one.
        self._turns = np.where(room >= 2, 2, np.where(room >= 1, 1, 0))
        self._is_fixed = low == high
        period = 2 * math.pi * np.maximum(self._turns, 1)
        lowest = np.where(np.isfinite(high), high - period, self._center - period / 2)
        self._lowest = np.where(np.isfinite(low), low, lowest)
        self._high = high
        #: The offsets of 2 pi.
        self.density = _FEWEST
        self._values: dict[int, Array] = {}
        self._spread = 0.0

    def _searched(self) -> NDArray[np.intp]:
        return np.flatnonzero((self._turns > 0) & ~self._is_fixed)

    def _points(self, variables: NDArray[np.intp], is_further: bool) -> Array:
        """Return the points along some variables, without those that are known."""
        points = []
        for i in variables:
            count = self.density * self._turns[i]
            period = 2 * math.pi * self._turns[i]
            places = np.arange(1, count, 2 if is_further else 1) * (period / count)
            moved = self._lowest[i] + np.mod(self._center[i] + places - self._lowest[i], period)
            line = np.repeat(self._center[np.newaxis], len(places), axis=0)
            line[:, i] = np.minimum(moved, self._high[i])
            points.append(line)
        return np.concatenate([np.empty((0, self._center.size)), *points])

    def first(self) -> Array:
        """Return the first wave: repetitions of the common point, and all lines."""
        repeated = np.repeat(self._center[np.newaxis], _REPEATS, axis=0)
        return np.concatenate([repeated, self._points(self._searched(), is_further=False)])

    def begun(self, values: Array, errors: Array | None) -> float:
        """Note the values of the first wave, and return their noise."""
        repeated, rest = values[:_REPEATS], values[_REPEATS:]
        self._spread = float(np.ptp(values))
        for i in self._searched():
            count = self.density * self._turns[i] - 1
            self._values[int(i)] = np.append(repeated.mean(), rest[:count])
            rest = rest[count:]
        if errors is not None and (errors > 0).any():
            return float(np.sqrt(np.nanmean(errors**2)))
        return float(np.std(repeated, ddof=1))

    def unclear(self, sigma: float) -> NDArray[np.intp]:
        """Return the variables whose frequencies are not visible yet."""
        if (lost := (self._turns == 0) & ~self._is_fixed).any():
            self.density = _MOST
            return np.flatnonzero(lost)
        return np.array(
            [
                i
                for i, values in self._values.items()
                if not np.isfinite(values).all()
                or self._amplitudes(i, sigma)[len(values) // 4 + 1 :].any()
            ],
            dtype=np.intp,
        )

    def denser(self, variables: NDArray[np.intp]) -> Array:
        """Return the points between those that are known, along some variables."""
        self.density *= 2
        return self._points(variables, is_further=True)

    def learn(self, variables: NDArray[np.intp], values: Array) -> None:
        """Note the values at the points of :meth:`denser`."""
        for i, further in zip(variables.tolist(), np.split(values, len(variables)), strict=True):
            self._values[i] = np.stack([self._values[i], further], axis=1).ravel()

    def _amplitudes(self, i: int, sigma: float) -> NDArray[np.bool_]:
        """Return which multiples of the lowest frequency have an amplitude, from 0."""
        values = self._values[i]
        sizes = 2 * np.abs(np.fft.rfft(values)) / len(values)
        limit = max(_ERRORS * sigma * math.sqrt(2 / len(values)), _NEGLIGIBLE * self._spread)
        return np.asarray(sizes > limit)

    def found(self, i: int, sigma: float) -> Frequencies:
        """Return the frequencies of a variable; (1,) if the values do not depend on it."""
        if i not in self._values:
            return (1.0,)
        multiples = np.flatnonzero(self._amplitudes(i, sigma)[1:]) + 1
        return tuple(float(k / self._turns[i]) for k in multiples) or (1.0,)
