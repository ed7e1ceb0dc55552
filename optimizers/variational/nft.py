"""NFT, or Rotosolve: one variable after another, each to the minimum of its sinusoid."""

from __future__ import annotations

import functools
import math
from collections.abc import Generator, Sequence
from itertools import count, takewhile
from typing import Any, Literal

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.errors import InvalidInputError, OptionError
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, Told, ended
from optimizers.gradients.frequencies import DETECT, as_frequencies, check_rows, detecting, rows_of
from optimizers.gradients.shift_rules import Frequencies
from optimizers.options.settings import DISP, GROUPED, OPTIONS
from optimizers.options.table import Check, Option, limit, whole
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.assumed import named
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels
from optimizers.variational.lines import Line
from optimizers.variational.predicted import Estimate, Predictions


def _test_frequencies(name: str, given: Any) -> None:
    try:
        as_frequencies(given)
    except InvalidInputError as error:
        raise OptionError(str(error)) from None


_FREQUENCIES = Check("sequence or 'detect'", _test_frequencies, as_frequencies)


class NFT(FlowOptimizer):
    """Nakanishi-Fujii-Todo, or Rotosolve: each variable in turn to the minimum of its sinusoid.

    The objective is assumed to be a sinusoid of frequency 1 along each variable, like the energy of
    a circuit whose parameters are angles of Pauli rotations. Then its value and those at ``x ± pi /
    2`` determine its minimum along a variable [1]_ [2]_. The pair travels in one wave; the value is
    known from the previous minimum. With bounds, probes are moved between them, and the sinusoid is
    minimized there.

    With several ``frequencies`` the values at 2 R more points determine the sinusoids, whose lowest
    minimum is found exactly.

    Notes
    -----
    There is no convergence test: its own limits end the run at the last ``x``; a run that is
    stopped from outside ends at the best evaluated point. In a callback that takes
    ``intermediate_result``, its entry ``fun`` is the predicted value at ``x``, as ``is_estimate``
    says. If the objective returns standard errors, so have that entry and the result, as
    ``fun_error``.

    A measured value that differs visibly from its prediction, or a sweep that finds no variable to
    move, shows that the objective may be no sinusoid of these frequencies. Then, once in a run and
    if the budget allows it, one more wave of 3 points for each frequency and variable, twice, and
    8 for the noise, finds out where, and a :class:`~optimizers.FrequencyWarning` names the
    variables.

    References
    ----------
    .. [1] K. M. Nakanishi, K. Fujii and S. Todo, "Sequential minimal optimization for
       quantum-classical hybrid algorithms", Physical Review Research 2 (2020) 043158.
    .. [2] M. Ostaszewski, E. Grant and M. Benedetti, "Structure optimization for parameterized
       quantum circuits", Quantum 5 (2021) 391.

    Examples
    --------
    >>> from optimizers.problems import h2
    >>> energy = h2()
    >>> result = NFT(maxiter=60).minimize(energy, energy.x0)
    >>> round(result.fun, 6), result.nfev  # two per iteration, two resets, and the end
    (-1.857275, 123)
    """

    traits = Traits(
        "Circuits whose values are sinusoids of each angle; shots, small budgets.",
        noise=True,
        parallel=True,
    )

    _declared: tuple[Option, ...] = (
        Option("maxiter", None, limit(0)).means(
            "Maximum number of iterations: updates of one variable. No limit by default."
        ),
        Option("maxfev", 1024, limit(1).or_none).means(
            "Maximum number of points at which the objective is evaluated: a hard limit, or None "
            "for none. The last evaluation is the value at the end."
        ),
        DISP,
        Option("reset_interval", 32, whole(0)).means(
            "The value is evaluated instead of predicted once in this many iterations; 0 means at "
            "the start only. In between, errors of the predicted values accumulate, especially "
            "noise."
        ),
        Option("frequencies", None, _FREQUENCIES).means(
            "The frequencies, as of :class:`ParameterShift`: one sequence for all variables, or "
            'one for each; ``"detect"`` finds them at the start. A variable of R frequencies takes '
            "2 R points per update. By default all are 1."
        ),
    )
    _arguments = (OPTIONS, GROUPED)
    support_levels = levels(gradient=SupportLevel.ignored)
    takes_angles = True

    def __init__(
        self,
        maxiter: int | None = None,
        maxfev: int | None = 1024,
        disp: bool = False,
        reset_interval: int = 32,
        options: dict[str, Any] | None = None,
        *,
        frequencies: Sequence[float] | Sequence[Sequence[float]] | Literal["detect"] | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _budget(self, maxfun: int | None) -> int | None:
        return self._within("maxfev", maxfun)

    @override
    def _problem(self, *arguments: Any, **named: Any) -> Problem:
        problem = super()._problem(*arguments, **named)
        check_rows(self.frequencies, problem.n, "NFT")
        return problem

    def _has_ended(self, run: Run, cost: int) -> bool:
        """Return whether its own limit leaves no points for a wave and the value at the end."""
        own = math.inf if self.maxfev is None else self.maxfev
        return bool(own == run.budget.limit and own - run.nfev < cost + 1)

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        x, interval = problem.x0, self.reset_interval
        rows = yield from self._rows(problem)
        lines = {row: Line(row) for row in set(rows)}
        maxiter = math.inf if self.maxiter is None else self.maxiter
        low, high = problem.box
        free = np.flatnonzero(low < high)
        predictions, stop = Predictions(problem, run, rows), StopReason.MAXITER
        here: Estimate | None = None
        evaluated = x, Estimate(math.nan, math.nan)
        for k in takewhile(lambda k: k < maxiter, count()):
            i = free[k % len(free)]
            line, ends = lines[rows[i]], (float(low[i]), float(high[i]))
            at = line.offsets(float(x[i]), *ends)
            # Evaluated again; or first, if it is the last point of the run.
            is_due = (interval > 0 and k % interval == 0) or run.budget.left <= len(at)
            kept = None if is_due else here
            if self._has_ended(run, len(at) + (kept is None)):
                stop = StopReason.MAXFUN
                break
            points = np.array([x, *(_moved(x, i, offset, low, high) for offset in at)])
            told = yield AskData(points if kept is None else points[1:])
            assert told.known is not None
            every = predictions.noted(told)
            if kept is not None:
                every = [kept, *every]
            elif told.known[0]:
                yield from predictions.compare(x, here, every[0])
                if k >= len(free) and np.array_equal(x, problem.x0):  # or is it flat?
                    yield from predictions.examine(x)
            best = min(range(len(every)), key=lambda j: every[j].value)
            if kept is None and np.any(told.known) and not every[best].value > evaluated[1].value:
                evaluated = points[best], every[best]
            if np.all(told.known):
                sides = ends[0] - float(x[i]), ends[1] - float(x[i])
                found = line.lowest([one.value for one in every], at, *sides)
                error = line.error(np.array([one.error for one in every]), at, found.offset)
                is_measured = found.offset == 0.0 and every[0].is_measured
                x = _moved(x, i, found.offset, low, high)
                here = Estimate(found.value, error, is_measured)
            elif kept is None:
                x, here = evaluated
            else:  # a penalty is not on the sinusoid: keep the best known point
                x, here = points[best], every[best]
            shown = {"fun_error": here.error} if predictions.are_errors_told else {}
            yield Step(x, extra={"estimate": here.value, **shown}, estimate=here.value)
        if here is None or not here.is_measured:
            told = yield AskData(x[np.newaxis])
            if not np.all(told.known):
                return ended(x, stop)
            (end,) = predictions.noted(told)
            yield from predictions.compare(x, here, end)
            here = end
        if run.nit >= len(free) and np.array_equal(x, problem.x0):
            yield from predictions.examine(x)
        if predictions.are_errors_told:
            run.extra["fun_error"] = here.error
        return ended(x, stop, here.value)

    def _rows(self, problem: Problem) -> Generator[AskData, Told, tuple[Frequencies, ...]]:
        """Return the frequencies of each variable, found if that was asked for."""
        if self.frequencies != DETECT:
            return rows_of(self.frequencies, problem.n)
        asking = detecting(problem.x0, *problem.box, None, functools.partial(named, problem))
        points = next(asking)
        while True:
            told = yield AskData(points)
            assert told.known is not None
            values = np.where(told.known, told.fun, np.nan)  # no penalties
            try:
                points = asking.send((values, told.errors))
            except StopIteration as end:
                found: tuple[Frequencies, ...] = end.value
                return found


def _moved(x: Array, i: int, offset: float, low: Array, high: Array) -> Array:
    """Return a point that differs in one variable, within bounds despite rounding."""
    moved = x.copy()
    moved[i] = min(max(x[i] + offset, low[i]), high[i])
    return moved


#: The name that Ostaszewski et al. gave :class:`NFT`.
Rotosolve = NFT
