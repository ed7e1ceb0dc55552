"""The minima in which many runs ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._shown import Tabled, short, shown
from optimizers._types import Array
from optimizers._words import replayed_words
from optimizers.lockstep.results import OptimizerResults
from optimizers.result import OptimizerResult, StopReason


@dataclass(eq=False)
class Minimum:
    """A minimum, or with ``maximize`` a maximum, that one or more runs ended in.

    Parameters
    ----------
    x : ndarray of float64, shape (n,), or what ``x0`` is
        The best of their ends.
    fun : float
        The objective there.
    runs : list of int
        The numbers of the runs.
    """

    x: Any
    fun: float
    runs: list[int] = field(default_factory=list)

    __repr__ = short

    @property
    def count(self) -> int:
        """How many runs ended in it."""
        return len(self.runs)


class Minima:
    """The distinct minima among the ends of runs; maxima, where the sign is -1.

    An end that is within the tolerance of a minimum, in each variable, is the same minimum.
    """

    def __init__(self, tolerance: Array, sign: float = 1.0) -> None:
        self._tolerance, self._sign = tolerance, sign
        self._found: list[Minimum] = []
        self._ends = 0

    def add(self, x: Array, fun: float, run: int) -> None:
        """Add the end of a run."""
        self._ends += 1
        for known in self._found:
            if (np.abs(known.x - x) <= self._tolerance).all():
                known.runs.append(run)
                if self._sign * fun < self._sign * known.fun:
                    known.x, known.fun = x, fun
                return
        self._found.append(Minimum(x, fun, [run]))

    @property
    def are_all(self) -> bool:
        """Whether no further minimum is expected, by the rule of :func:`multistart`."""
        s, w = self._ends, len(self._found)
        return s > w + 2 and w * (s - 1) / (s - w - 2) < w + 0.5

    def sorted(self) -> list[Minimum]:
        """Return the minima, the best first."""
        return sorted(self._found, key=lambda minimum: self._sign * minimum.fun)


@dataclass(eq=False, repr=False)
class MultistartResult(Tabled):
    """The result of :func:`multistart`.

    Attributes
    ----------
    minima : list of Minimum
        The distinct minima in which runs ended by themselves, the lowest first; with
        ``maximize`` the maxima, the highest first.
    runs : OptimizerResults
        The results of all runs in the order of their starts; for interrupted runs, the result so
        far.
    stop : StopReason
        The reason why no further run was started: ``MAXFUN``, ``TIMEOUT``, ``AGREED``, ``TARGET``,
        ``INTERRUPTED``, or ``CONVERGED`` if all ended and none is left.
    """

    _lines = 10

    minima: list[Minimum]
    runs: OptimizerResults
    stop: StopReason

    @property
    def best(self) -> OptimizerResult | None:
        """The result with the best value, which may be of an interrupted run."""
        return self.runs.best

    @property
    def x(self) -> Any:
        """The best point, which may be of an interrupted run; None if there is none."""
        return None if self.best is None else self.best.x

    @property
    def fun(self) -> float | None:
        """The objective there; None if there is none."""
        return None if self.best is None else self.best.fun

    @property
    def success(self) -> bool:
        """Whether the best run ended by itself, in a minimum."""
        return self.best is not None and bool(self.best.success)

    @property
    def nfev(self) -> int:
        """The points at which the objective was evaluated, in all runs."""
        return self.runs.nfev

    @property
    def nreplayed(self) -> int:
        """How many of their values came from a journal."""
        return self.runs.nreplayed

    @property
    def nknown(self) -> int:
        """At how many further points the answer was known before; see the setting ``known``."""
        return self.runs.nknown

    @property
    def _head(self) -> str:
        return (
            f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}, "
            f"{self.nfev} evaluations{replayed_words(self.runs)} in "
            f"{self.runs.rounds} rounds; {self.stop.sentence}"
        )

    @override
    def _table(self) -> tuple[str, Sequence[str], list[Sequence[str]]]:
        rows: list[Sequence[str]] = []
        for m in self.minima:
            rows.append([f"{m.fun:.8g}", str(m.count), _in_words(m.x)])
        head = self._head
        if not rows:
            best = None if self.best is None else self.best.fun
            head = f"{head}\nno run converged; best f(x) = {best}"
        return head, ("fun", "count", "x"), rows


def _in_words(x: Any) -> str:
    """Return a point, in a structure or not, on one line."""
    if not isinstance(x, np.ndarray):
        return shown(x)
    return " ".join(np.array2string(x, precision=4, threshold=8).split())
