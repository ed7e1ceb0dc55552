"""What a gradient source assumes of the objective is checked by the first gradient of a run."""

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import FrequencyWarning, warn_user
from optimizers.evaluation.wave import probed, probes_at
from optimizers.gradients.misfit import CheckedPlan
from optimizers.gradients.plan import Plan
from optimizers.gradients.source import GradientSource
from optimizers.problem.derivatives import By
from optimizers.problem.problem import Problem
from optimizers.run.waves import Waves

#: How many values at least are measured again to learn the noise.
_REPEATED = 8
#: How many variables a message names.
_NAMED = 5


class Assumed:
    """Whether the objective is what the gradient source of a run assumes."""

    def __init__(self, problem: Problem, waves: Waves) -> None:
        self._problem, self._waves = problem, waves
        # What a class takes by default for any objective, as Qiskit's AQGD does, is not checked.
        chosen = problem.derivatives
        self._is_checked = not isinstance(chosen, By) or chosen.source is None
        #: What contradicts it, in words.
        self.contradiction: str | None = None
        #: The standard deviation of a value, as the user gave it.
        self.noise: float | str | None = None

    def plan(self, source: GradientSource, x: Array, *further: object) -> Plan:
        """Return the plan of a gradient: one with checks, if none was made and they are paid."""
        if not self._is_checked:
            first = source.first_plan(x, *further)  # type: ignore[arg-type]  # as in plan
            if 1 + len(first.points) <= self._waves.budget.left:
                return first
        return source.plan(x, *further)  # type: ignore[arg-type]  # as in plan

    def judge(self, plan: Plan, f0: Array, values: Array, errors: Array | None) -> None:
        """Check the values at a point, shape (m, 1), and at the points of its plan, shape (m, k).

        Without standard errors, shape (1 + k,), or a known noise, values that contradict are
        measured again: only what exceeds their noise counts.
        """
        if self._is_checked or not isinstance(plan, CheckedPlan):
            return
        self._is_checked = True
        rows, precision = (
            np.concatenate([f0, values], axis=1),
            self._waves.evaluator.facts.precision,
        )
        sigma = _filled(errors, self.noise)
        fails = plan.fails(rows, np.zeros((1, 1)) if sigma is None else sigma, precision)
        if fails.any() and sigma is None:
            noise = self._measured(
                plan.points[plan.count :][fails], values[:, plan.count :][:, fails]
            )
            if noise is None:
                return
            fails &= plan.fails(rows, noise, precision)
        if fails.any():
            told = self._problem, plan.variables[fails], "ParameterShift"
            self.contradiction = tell_frequencies(*told, "the gradient is wrong")

    def _measured(self, points: Array, values: Array) -> Array | None:
        """Return the deviation of values, shape (m, 1), measured again; None if not affordable."""
        times = -(-_REPEATED // len(points))
        block = probes_at(np.tile(points, (times, 1)))
        if self._waves.over(block) is not None:
            return None
        self._waves.take([block], is_first_needed=False)
        again = np.atleast_2d(probed(block)).reshape(len(values), times, len(points))
        every = np.concatenate([values[:, np.newaxis], again], axis=1)
        variance = np.nanmean(np.nanvar(every, axis=1, ddof=1), axis=1, keepdims=True)
        return np.asarray(np.sqrt(variance), dtype=np.float64)


def tell_frequencies(
    problem: Problem, variables: NDArray[np.intp], owner: str, consequence: str
) -> str:
    """Warn that frequencies that an owner assumes are wrong, and return that in words."""
    words = (
        f"Along {named(problem, variables)} the objective is not a sum of sinusoids of the "
        f"frequencies that {owner} assumes: {consequence}."
    )
    warn_user(
        f"{words} Pass them, as {owner}(frequencies=[(1, 2), (1,)]) with one sequence for each "
        f"variable, or find them with {owner}(frequencies='detect'). If values have noise that is "
        "a function of the point, as with a seeded sampler, pass its standard deviation, noise=.",
        FrequencyWarning,
    )
    return words


def named(problem: Problem, variables: NDArray[np.intp]) -> str:
    """Return the names of some variables, in words."""
    names = problem.parameters and problem.parameters.searched
    shown = [repr(names[i]) if names else f"x[{i}]" for i in variables[:_NAMED].tolist()]
    more = f" and {len(variables) - _NAMED} more" if len(variables) > _NAMED else ""
    return f"{', '.join(shown)}{more}"


def _filled(errors: Array | None, noise: float | str | None) -> Array | None:
    """Return standard errors, shape (1, 1 + k) or (1, 1); None if there are none."""
    # Zeros mean nothing: some sampling objectives always return them.
    if errors is None or not (errors > 0).any():
        return None if noise is None or isinstance(noise, str) else np.full((1, 1), noise)
    mean = np.sqrt(np.nanmean(errors**2))
    # Few samples may all be equal, and show no error.
    filled: Array = np.fmax(errors, mean)[np.newaxis]
    return filled
