"""What a run of SPSA measures before its first iteration, in one wave."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.flow import Products, Step, Told
from optimizers.problem.problem import Problem
from optimizers.run.run import Run
from optimizers.variational.calibration import PAIRS, Law
from optimizers.variational.perturbations import Probes
from optimizers.variational.series import Series

#: A part of a flow.
Asking: TypeAlias = Generator[AskData | Products | Step, Told, Any]


@dataclass(frozen=True, eq=False)
class Start:
    """What a run knows before its first iteration; perhaps no value."""

    rates: Series
    sizes: Series
    fun: float | None
    allowed_increase: float


def measured(problem: Problem, run: Run, options: dict[str, Any]) -> Asking:
    """Ask for what is to be known before the first iteration, by the optimizer's options."""
    x, law, allowed_increase = problem.x0, Law(), options["allowed_increase"]
    at_start = 0
    if options["blocking"]:
        at_start = 1 if allowed_increase is not None else 1 + PAIRS
    rates, sizes = options["learning_rate"], options["perturbation"]
    pairs = PAIRS if rates is None else 0
    probes = Probes.drawn(problem, run.rng, x, law.c, pairs)
    points = np.concatenate([np.tile(x, (at_start, 1)), probes.pairs.reshape(-1, x.size)])
    values, known = np.zeros(0), np.zeros(0, dtype=bool)
    if len(points):
        told = yield from heeded(run, points)
        values, known = told.fun, told.known
    fun = float(values[0]) if at_start and known[0] else None
    if allowed_increase is None:
        same = values[1:at_start][known[1:at_start]]
        allowed_increase = 2 * float(np.std(same)) if same.size else 0.0
    if rates is None:
        values, known = values[at_start:], known[at_start:]
        rates, sizes = law.series(probes, values.reshape(-1, 2), known.reshape(-1, 2))
    named = Series("learning_rate", rates), Series("perturbation", sizes)
    return Start(*named, fun, allowed_increase)


def heeded(run: Run, points: Array) -> Asking:
    """Ask for a wave of values; that some are rejected misleads nobody who heeds which they are."""
    told = yield AskData(points)
    if told.known is not None:
        run.penalties_seen(int(np.count_nonzero(~told.known)))
    return told
