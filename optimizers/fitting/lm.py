"""Levenberg-Marquardt for residuals, in waves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers._arrays import as_numbers
from optimizers._types import ArrayLike
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.wave import Cost
from optimizers.fitting.probes import Probes
from optimizers.fitting.search import Search
from optimizers.fitting.site import Site
from optimizers.flow import Flow, FlowOptimizer, FlowSettings
from optimizers.options.settings import DISP
from optimizers.options.table import Option, choice, expecting, limit, number
from optimizers.problem.derivatives import Given
from optimizers.problem.problem import Problem
from optimizers.result import SUCCESSES, StopReason
from optimizers.run.budget import StopRun
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.options import LOSS_OPTIONS
from optimizers.support import SupportLevel, Traits, levels

_EPS = float(np.finfo(np.float64).eps)
_SIZES = expecting(
    "float or array_like of shape (n,)",
    "finite numbers > 0 (by the Jacobian, LM scales itself)",
    lambda value: bool(((as_numbers(value) > 0) & (as_numbers(value) < np.inf)).all()),
)


class LM(FlowOptimizer):
    r"""Levenberg-Marquardt: least squares in few evaluations and few waves, with bounds.

    The objective returns residuals, shape (m,), and need not be marked by :func:`residuals`. Steps
    minimize :math:`|r + J p|^2` within a radius, by the singular values of J, so that J may have
    any rank; within bounds by active sets. The Jacobian is the user's or comes from differences,
    with steps relative to the size of each variable; the last one from central differences.

    With one worker no evaluation is wasted: after a step with nearly linear residuals the Jacobian
    is updated instead of measured, and if a trial gains too little, the error of the model bends
    the step [1]_. With more workers the probes of the next Jacobian are evaluated with the trial:
    with n + 1 workers an iteration is one wave. A further idle one evaluates a shorter step. If
    residuals remain large, the model includes their curvature [2]_.

    Notes
    -----
    Convergence is judged by the remaining error of the variables, estimated from the rate of the
    steps: 1e-7 relative to each variable by default. This is not a proof, since a flat region looks
    the same; :func:`multistart` helps there.

    Noise is detected at the first failed step, by one more evaluation; rough residuals, such as
    those of float32 or of a solver with a tolerance, after three. Differences are then wide, and
    the run ends with ``StopReason.NOISE`` when progress falls below the noise, as a success if the
    value has visibly fallen. ``noise``, the standard deviation of a value at the start, declares it
    from the beginning, which is better if all steps succeed despite noise; ``noise="estimate"``
    checks for rough residuals at the start.

    ``jacobian`` of the result is that at the end if it is the user's. If it comes from differences,
    which cost evaluations, it is that at the start of the last step: errors have six correct
    digits.

    References
    ----------
    .. [1] M. K. Transtrum and J. P. Sethna, "Improvements to the Levenberg-Marquardt algorithm for
       nonlinear least-squares minimization" (2012), https://arxiv.org/abs/1201.5885.
    .. [2] J. E. Dennis, D. M. Gay and R. E. Welsch, "An adaptive nonlinear least-squares
       algorithm", ACM Transactions on Mathematical Software 7 (1981) 348-368.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.array([0.0, 1.0, 2.0, 3.0])
    >>> data = np.array([2.0, 1.2, 0.8, 0.4])
    >>> result = LM().minimize(lambda x: x[0] * np.exp(-x[1] * t) - data, [1.0, 1.0])
    >>> result.x.round(3), result.nfev < 30
    (array([2.001, 0.497]), True)
    """

    traits = Traits(
        "Fits: residuals, with or without bounds, up to a thousand variables; first to try.",
        noise=True,
        parallel=True,
    )
    handles_noise = True
    _tolerances = ("xtol",)

    _declared: tuple[Option, ...] = (
        Option("xtol", 1e-7, number(0, ends="()")).means(
            "The run converges when the error left in each variable, relative to its size and "
            "estimated from the rate of the steps, is at most this."
        ),
        Option("maxiter", 1000, limit(0)).means("Maximum number of iterations."),
        Option("x_scale", None, replace(_SIZES, shapes=lambda n: ((), (1,), (n,)))).means(
            "The size of the variables, which determines the shortest step of differences and the "
            "first radius. By default ``abs(x0)``, and 1 where that is 0."
        ),
        Option("jac_update", "broyden", choice("broyden", "never")).means(
            'After a nearly linear step ``"broyden"`` updates the Jacobian, if measuring it would '
            'take a separate wave; ``"never"`` always measures it.'
        ),
        *LOSS_OPTIONS,
        DISP,
    )
    support_levels = levels(gradient=SupportLevel.supported, residuals=SupportLevel.required)

    def __init__(
        self,
        xtol: float = 1e-7,
        maxiter: int = 1000,
        x_scale: ArrayLike | None = None,
        jac_update: str = "broyden",
        loss: str | Callable[..., Any] | None = None,
        f_scale: float | None = None,
        disp: bool = False,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _takes_differences(self, problem: Problem) -> bool:
        return False  # but those of its own

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        probes = Probes(problem.x0, *problem.box, self.x_scale)
        width, is_default = _width(run), problem.derivatives.is_default
        is_joint = run.penalizes or (width > problem.n and _is_idle(run))
        site = Site(probes, problem.loss or Loss(), width, is_default, is_joint)
        search = Search(
            site, self.xtol, self.jac_update == "broyden", run.noise, lambda: run.precision > _EPS
        )
        try:
            stop = yield from search.steps(problem.x0, self.maxiter)
        except StopRun as end:
            if end.reason is StopReason.MAXFUN and is_default and not site.has_jacobian:
                raise run.budget.too_few(Cost(len(probes.moved)), run.budget.limit - 1) from None
            raise
        if stop is StopReason.CONVERGED and problem.derivatives.is_given:
            yield from site.measure(True, [])  # after the last step; for accurate errors
        at, noise = site.at, site.probes.noise
        if noise:
            run.extra["noise"] = site.level
        success = stop in SUCCESSES or (stop is StopReason.NOISE and search.has_fallen)
        known = Evaluation(at.x, at.fun)
        if not noise and site.has_jacobian:
            known = Evaluation(at.x, at.fun, site.gradient, at.raw, site.raw_jacobian)
        message = search.ending or f"{stop.sentence[0].upper()}{stop.sentence[1:]}."
        return Outcome(at.x, success, int(not success), message, stop, known)


def _is_idle(run: Run) -> bool:
    """Return whether a Jacobian takes no additional time beside residuals."""
    derivatives = run.problem.derivatives
    if isinstance(derivatives, Given):  # vectorized or not, it is another call
        return run.waves.evaluator.facts.has_workers
    return not derivatives.is_given


def _width(run: Run) -> int:
    """Return how many points may be evaluated at the same time, as far as that is useful."""
    facts, most = run.waves.evaluator.facts, 2 * run.problem.n + 2
    if facts.has_workers:
        return int(min(facts.width, most))
    # One call takes all points of a wave, or the caller evaluates them.
    return 1 if facts.calls_singly else most
