"""L-BFGS-B for objectives with noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.asktell.messages import AskData
from optimizers.errors import InvalidInputError
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, drive
from optimizers.gradients.differences import Differences
from optimizers.noise.early import Early, early_stages
from optimizers.noise.level import TABLES, plan_noise
from optimizers.noise.steps import ladder
from optimizers.options.table import Option, is_number, limit, number, whole
from optimizers.problem.derivatives import By
from optimizers.problem.problem import Problem
from optimizers.result import SUCCESSES
from optimizers.run.budget import StopRun
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy import LBFGSB
from optimizers.support import SupportLevel, Traits, levels
from optimizers.variational.measuring import Measured, Measuring, first_look, told_error
from optimizers.variational.noisy_search import NoisySearch

#: Steps of differences that are tried at the start, relative to ``max(1, abs(x))``.
_RUNGS = (1.0, 0.3, 0.1, 0.03, 1e-2, 1e-3, 1e-4)
#: Spacings of tables that show the noise of values which do not change over shorter distances.
_WIDE = (1e-2, 1e-1)
#: By how many standard deviations two of them may differ: with about 20 pairs for each of many
#: variables, chance must not select a step so short that its noise hides all others.
_AGREEMENT = 3.5
#: Noise below this fraction of the values is their rounding.
_ROUNDING = 1e-13


class _ExactError(Exception):
    """There is no noise."""


class NoisyLBFGSB(FlowOptimizer):
    """A quasi-Newton method with bounds for noisy objectives.

    L-BFGS steps with projected bounds for values with errors: a step is tried only if the gradient
    exceeds its noise, and accepted if it is not visibly uphill [2]_; only pairs with curvature
    beyond noise are used [1]_. When the gradient is below its noise, the point is measured again
    and its measurements are averaged, until that does not help either. The run ends at the point
    with the best *estimate*, not the luckiest sample. Without noise, it is :class:`LBFGSB`.

    Notes
    -----
    The noise comes from the objective, ``(value, standard error)``; or from the setting ``noise``,
    the standard deviation of a value, or with the setting ``shots`` of a single shot; or with
    ``noise="estimate"`` from a difference table, which also detects noise that is a function of the
    point, as in simulators; otherwise from two values at the start, and six more if they differ.
    Repeated measurements refine it.

    The gradient is the user's or a source's; by default, central differences with steps that suit
    the noise. Then ``noise="estimate"`` begins with :class:`LBFGSB` after a single wave of 2 n + 4
    points, and goes on from where that gains no more. The second derivatives of
    :class:`ParameterShift` scale the first steps.

    The result, and the state in callbacks, has ``fun_error``, the standard error of ``fun``, which
    is the mean of all values at ``x``. The result's ``noise`` is the standard deviation of one
    value. ``StopReason.NOISE`` is a success if the value has visibly fallen and no curvature is
    visibly negative.

    References
    ----------
    .. [1] Y. Xie, R. H. Byrd and J. Nocedal, "Analysis of the BFGS method with errors", SIAM
       Journal on Optimization 30 (2020) 182-209.
    .. [2] H.-J. M. Shi, Y. Xie, R. Byrd and J. Nocedal, "A noise-tolerant quasi-Newton algorithm
       for unconstrained optimization", SIAM Journal on Optimization 32 (2022) 29-55.
    .. [3] R. Bollapragada, R. Byrd and J. Nocedal, "Adaptive sampling strategies for stochastic
       optimization", SIAM Journal on Optimization 28 (2018) 3312-3343.

    Examples
    --------
    >>> from optimizers import ParameterShift
    >>> from optimizers.problems import h2
    >>> energy = h2(shots=1000, noise_seed=1)
    >>> result = NoisyLBFGSB(seed=1).minimize(energy, energy.x0, ParameterShift())
    >>> result.stop.name, abs(h2()(result.x) - energy.ground_energy) < 1e-2
    ('NOISE', True)
    >>> abs(result.fun - h2()(result.x)) < 4 * result.fun_error
    True
    """

    traits = Traits(
        "Smooth functions seen through noise, such as shots: the best end by waves.",
        noise=True,
        parallel=True,
    )

    handles_noise = True
    _tolerances = ("gtol",)

    _declared: tuple[Option, ...] = (
        Option("maxiter", 15000, limit(0)).means("Maximum number of steps."),
        Option("maxcor", 10, whole(1)).means(
            "How many pairs of steps and differences of gradients are stored."
        ),
        Option("gtol", 1e-5, number(0)).means(
            "The run converges when no component of the projected gradient is larger."
        ),
        Option("max_resamplings", 1, whole(1)).means(
            "The maximum number of evaluations of each point in one wave when the gradient falls "
            "below its noise; the norm test of [3]_ chooses the number. An objective that takes "
            "shots gets so many times their number instead."
        ),
    )
    support_levels = levels(gradient=SupportLevel.supported)

    def __init__(  # type: ignore[misc]  # callback, a setting of each run, is named for its place
        self,
        maxiter: int = 15000,
        maxcor: int = 10,
        gtol: float = 1e-5,
        max_resamplings: int = 1,
        callback: Callable[..., Any] | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), callback=callback, **settings)

    @override
    def _solve(self, run: Run) -> Outcome:
        quasi_newton = LBFGSB(
            maxiter=self.maxiter, options={"maxcor": self.maxcor, "gtol": self.gtol}
        )
        begun: Early | Outcome | None = None
        if isinstance(run.noise, str) and not run.problem.is_fixed:
            begun = self._begun(run, quasi_newton)
        if isinstance(begun, Outcome):
            return begun
        try:
            if begun is None:
                return super()._solve(run)
            run.start_from(begun.end.x, begun.end)
            return drive(run, self._searched(run.problem, run, _first(begun)))
        except _ExactError:  # exact values are handled by LBFGSB
            run.extra.update(fun_error=0.0, noise=0.0)
            return quasi_newton._solve(run)

    def _begun(self, run: Run, quasi_newton: LBFGSB) -> Early | Outcome | None:
        """Run early stages if the differences are ours; return where they, or the run, ended."""
        problem = run.problem
        if not self._takes_differences(problem) or self._has_user_steps(problem):
            return None
        price = 1 + TABLES + 1 + 2 * len(_RUNGS) * problem.n
        try:
            early = early_stages(run, quasi_newton._solve, price, ("noise", "fun_error"))
        except StopRun as stop:
            known, success = run.memory.iterate, stop.reason in SUCCESSES
            if known is None:
                raise
            message = f"Stopped: {stop.reason.sentence}."
            return Outcome(known.x, success, 0 if success else -1, message, stop.reason, known)
        finally:
            run.extra.pop("hess_inv", None)
        return early if early is None or early.outcome is None else early.outcome

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        return self._searched(problem, run, None)

    def _searched(self, problem: Problem, run: Run, first: Measured | None) -> Flow:
        """Return the algorithm from here; ``first`` is where the run began, if elsewhere."""
        x, sigma = problem.x0, 0.0
        if is_number(run.noise):
            shots = run.budget.paid.each or 1
            sigma = float(run.noise) / np.sqrt(shots)  # type: ignore[arg-type]  # a number
        elif run.noise is None and (known := run.known_points.error_at(x)):
            sigma = known
        elif run.noise is None:
            sigma = yield from first_look(x)
        else:
            table = plan_noise(x, run.rng, problem.lower, problem.upper)
            told = yield AskData(np.concatenate([x[np.newaxis], table.points]))
            error, measured = told_error(told), table.fold(told.fun[1:])
            if error is None and not measured.is_known and len(np.unique(told.fun)) < told.fun.size:
                # Counts, or a seeded sampler: the values do not change within the table.
                table = plan_noise(x, run.rng, problem.lower, problem.upper, _WIDE)
                told = yield AskData(np.concatenate([x[np.newaxis], table.points]))
                measured = table.fold(told.fun[1:])
            sigma = error if error is not None else measured.sigma if measured.is_known else 0.0
            sigma = sigma if sigma > _ROUNDING * float(np.max(np.abs(told.fun))) else 0.0
        if sigma == 0.0:
            raise _ExactError
        chosen = problem.derivatives
        if chosen in (By(scheme="cs"), By(source=Differences("cs"))):
            raise InvalidInputError(
                f"jac is 'cs', but values have noise of {sigma:.1e}, and complex steps are tiny: "
                "pass '3-point', whose steps are chosen to suit the noise."
            )
        if chosen == By(scheme="2-point"):
            run.use(Differences("2-point", noise=sigma))
        elif isinstance(chosen, By) and chosen.source is None:
            tried = ladder(x, problem.lower, problem.upper, _RUNGS)
            told = yield AskData(np.concatenate([x[np.newaxis], tried.points]))
            steps = tried.choose(float(told.fun[0]), told.fun[1:], sigma, _AGREEMENT)
            run.use(Differences("3-point", step=steps))
        return (yield from NoisySearch(run, Measuring(run, sigma), self.settings, first).flow())


def _first(begun: Early) -> Measured:
    """Return the start of the early stages as it was measured."""
    at = begun.first
    assert at.jac is not None
    unknown = np.full(at.x.size, np.nan)
    values = np.array([at.fun])
    return Measured(at.x, at.fun, begun.sigma, at.jac, unknown, None, None, values)
