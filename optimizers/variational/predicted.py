"""Predicted values are compared with measured ones: an objective that is no sinusoid is noticed."""

from collections.abc import Generator
from typing import NamedTuple

import numpy as np

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.flow import Told
from optimizers.gradients.misfit import CheckedPlan
from optimizers.gradients.parameter_shift import ParameterShift
from optimizers.gradients.shift_rules import Frequencies
from optimizers.problem.problem import Problem
from optimizers.run.assumed import tell_frequencies
from optimizers.run.run import Run
from optimizers.variational.measuring import told_error

#: By how many standard errors a value differs visibly from its prediction; where these are not
#: known, an error of a value is this fraction of the range of the values; and by how much at least.
_VISIBLE, _PART, _LEAST = 6.0, 0.05, 1e-3
#: How far from a point another one is examined.
_AWAY = 0.7
#: How often a point is measured to learn the noise.
_REPEATS = 8


class Estimate(NamedTuple):
    """A measured or predicted value, and its standard error.

    The latter is in units of that of a single value if the objective does not return it.
    """

    value: float
    error: float
    is_measured: bool = False


class Predictions:
    """The predictions of one run, and whether its values contradict them."""

    def __init__(self, problem: Problem, run: Run, rows: tuple[Frequencies, ...]) -> None:
        self._problem, self._run, self._rows = problem, run, rows
        self._low, self._high = np.inf, -np.inf
        self._is_checked = False
        #: Whether the objective returns standard errors.
        self.are_errors_told = False

    def noted(self, told: Told) -> list[Estimate]:
        """Note a wave of values, and return them with their errors."""
        values = told.fun[told.known]
        self._low = min(self._low, float(np.min(values, initial=np.inf)))
        self._high = max(self._high, float(np.max(values, initial=-np.inf)))
        errors = np.ones(len(told.fun))
        if (mean := told_error(told)) is not None:
            assert told.errors is not None
            self.are_errors_told = True
            errors = np.nan_to_num(told.errors, nan=mean)
        pairs = zip(told.fun.tolist(), errors.tolist(), strict=True)
        return [Estimate(*pair, True) for pair in pairs]

    def compare(
        self, x: Array, predicted: Estimate | None, measured: Estimate
    ) -> Generator[AskData, Told, None]:
        """Compare a value with its prediction; if they differ, find out along which variables."""
        if predicted is None or predicted.is_measured:
            return
        error, spread = float(np.hypot(predicted.error, measured.error)), self._high - self._low
        told = max(_VISIBLE * error, _LEAST * spread)
        limit = told if self.are_errors_told else _PART * spread * error
        if abs(measured.value - predicted.value) > limit:
            yield from self.examine(x)

    def examine(self, x: Array) -> Generator[AskData, Told, None]:
        """Find out, once, along which variables the frequencies are wrong, and warn of it."""
        if self._is_checked:
            return
        self._is_checked = True
        # A wrong frequency may hide at one point.
        shift, centers = ParameterShift(frequencies=self._rows), (x, self._problem.clip(x + _AWAY))
        plans = [shift.first_plan(center, *self._problem.box) for center in centers]
        known = np.concatenate([np.repeat(centers[:1], _REPEATS, axis=0), plans[0].points])
        points = np.concatenate([known, centers[1:], plans[1].points])
        if self._run.budget.left <= len(points):
            return
        told = yield AskData(points)
        if not np.all(told.known):
            return
        sigma = max(float(np.std(told.fun[:_REPEATS], ddof=1)), told_error(told) or 0.0)
        rows, wrong = np.split(told.fun[_REPEATS - 1 :], [1 + len(plans[0].points)]), set[int]()
        for plan, row in zip(plans, rows, strict=True):
            if isinstance(plan, CheckedPlan):
                fails = plan.fails(row[np.newaxis], np.full((1, 1), sigma), self._run.precision)
                wrong.update(plan.variables[fails].tolist())
        if wrong:
            variables = np.array(sorted(wrong), dtype=np.intp)
            tell_frequencies(self._problem, variables, "NFT", "its minima are wrong")
