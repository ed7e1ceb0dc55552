"""A run in parts: how a later part continues an earlier one."""

from collections.abc import Mapping
from typing import Any

from optimizers._types import Array
from optimizers.gradients.source import GradientSource
from optimizers.run.memory import Evaluation
from optimizers.run.run import Run

#: The counts, by their names in results.
COUNTS = ("nfev", "njev", "nhev", "nit", "nrejected", "nshots", "njobs")


def resume(run: Run, x: Array, fun: float | None, counts: Mapping[str, int]) -> None:
    """Start from ``x`` with the counts, and the incumbent, of an earlier part of the run."""
    for name in COUNTS:
        setattr(run.budget, name, counts.get(name, 0))  # earlier versions had fewer
    _begin_at(run, x, fun)


def begin_anew(run: Run, source: GradientSource, seed: Any, counts: Mapping[str, int]) -> None:
    """Restart from the incumbent as if nothing else were known; ``counts`` are added."""
    for name, count in counts.items():
        setattr(run.budget, name, getattr(run.budget, name) + count)
    best = run.best
    _begin_at(run, run.problem.x0 if best is None else best.x, best and best.fun)
    run.use(source)
    run.questions.forget(seed)


def counts_in(run: Run) -> dict[str, int]:
    """Return the counts."""
    return {name: getattr(run.budget, name) for name in COUNTS}


def _begin_at(run: Run, x: Array, fun: float | None) -> None:
    run.start_from(x)
    if fun is not None:  # only this is known, now and when it is resumed
        best = run.memory.best
        residuals = best.residuals if best is not None and best.is_at(x) else None
        run.memory.best = Evaluation(x, fun, None, residuals)
