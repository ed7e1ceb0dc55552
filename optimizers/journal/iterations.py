"""Iterations: a line of a journal for the end of each, for looking at the run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from optimizers._shown import short
from optimizers.journal.records import digits, real, whole
from optimizers.run.memory import Evaluation
from optimizers.run.run import Run


@dataclass(frozen=True, slots=True)
class Iteration:
    """The end of an iteration.

    Parameters
    ----------
    number : int
        Its number, from 1.
    nfev : int
        At how many points the objective was evaluated until then.
    fun : float, optional
        The value at the iterate; None where the algorithm does not know it.
    best : float, optional
        The best value until then.
    is_estimate : bool
        Whether ``fun`` is the algorithm's own estimate, and was not evaluated.
    """

    number: int
    nfev: int
    fun: float | None = None
    best: float | None = None
    is_estimate: bool = False

    __repr__ = short

    @classmethod
    def of(cls, run: Run, known: Evaluation | None, extra: Mapping[str, Any]) -> Self:
        """Return the end of an iteration of a run, as what records it is told of it."""
        fun = None if known is None else known.fun
        if extra.get("fun") is not None:  # which has the user's sign
            fun = run.problem.sign * extra["fun"]
        best = None if run.best is None else run.best.fun
        return cls(run.nit, run.nfev, fun, best, extra.get("is_estimate", False))

    def text(self) -> str:
        """Return it as a line of JSON, without the end of the line."""
        text = f'{{"iteration":{self.number},"nfev":{self.nfev}'
        if self.fun is not None:
            text += f',"f":{digits(self.fun)}'
        if self.best is not None:
            text += f',"best":{digits(self.best)}'
        return text + (',"estimate":true}' if self.is_estimate else "}")

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Self:
        """Return the iteration of a line of JSON that was read."""
        values = real(entry.get("f")), real(entry.get("best"))
        return cls(
            whole(entry["iteration"]), whole(entry["nfev"]), *values, bool(entry.get("estimate"))
        )

    def times(self, sign: float) -> Self:
        """Return it with its values times 1 or -1."""
        fun, best = (None if value is None else sign * value for value in (self.fun, self.best))
        return replace(self, fun=fun, best=best)
