"""Gradient descent with a rate for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.asktell.messages import AskData
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.gradients.differences import Differences
from optimizers.gradients.source import GradientSource
from optimizers.options.table import TOLERANCE, Option, anything, limit, number
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels
from optimizers.variational.calibration import SeriesLike, check_series, series


class GradientDescent(FlowOptimizer):
    r"""Gradient descent: steps of a given rate against the gradient.

    .. math:: x_{k+1} = x_k - \eta_k \nabla f(x_k)

    With bounds, each step is projected to them.

    Examples
    --------
    >>> def rates():
    ...     return (0.5 / k**0.1 for k in range(1, 1000))
    >>> fun, jac = lambda x: float(x @ x), lambda x: 2 * x
    >>> result = GradientDescent(learning_rate=rates, tol=1e-6).minimize(fun, [3.0, 4.0], jac)
    >>> result.success, result.x.round(5) + 0.0
    (True, array([0., 0.]))
    """

    traits = Traits("Plain steps along the gradient, at a rate that you choose.", parallel=True)

    _callback_form = ("nfev", "x", "fun", "stepsize")

    _declared: tuple[Option, ...] = (
        Option("maxiter", 100, limit(0)).means("Maximum number of steps."),
        Option("learning_rate", 0.01, anything("float, sequence of float or callable")).means(
            "The rate of all steps, one for each, or a function that returns an iterator of them, "
            "called once per run."
        ),
        Option("tol", 1e-7, TOLERANCE).means(
            "The run converges when the norm of the gradient is at most this."
        ),
        Option("perturbation", None, number(0, ends="()")).means(
            "The step of the one-sided differences that are used if no gradient is given; "
            '0.01 by default, for shot noise. For exact values, pass ``jac="3-point"``.'
        ),
    )
    support_levels = levels(gradient=SupportLevel.supported)

    def __init__(  # type: ignore[misc]  # callback, a setting of each run, has Qiskit's place
        self,
        maxiter: int = 100,
        learning_rate: SeriesLike = 0.01,
        tol: float = 1e-7,
        callback: Callable[..., Any] | None = None,
        perturbation: float | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), callback=callback, **settings)

    @override
    def _check_options(self, options: dict[str, Any]) -> None:
        check_series("learning_rate", options["learning_rate"], options["maxiter"])

    @override
    def _differences(self, problem: Problem) -> GradientSource:
        if problem.derivatives.is_default:
            return Differences(step=self.perturbation or 1e-2)  # as in Qiskit
        return super()._differences(problem)

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        x, maxiter, norm = problem.x0, self.maxiter, np.nan
        rates = series("learning_rate", self.learning_rate)
        for k in range(maxiter):
            told = yield AskData(x, x)
            fun, gradient = told.fun, told.jac
            if k > 0:
                yield Step(x, fun, gradient, {"stepsize": norm})
            norm = float(np.linalg.norm(gradient))
            if norm <= self.tol:
                return ended(x, StopReason.GRADIENT, fun, gradient)
            x = problem.clip(x - next(rates) * gradient)
        told = yield AskData(x)  # its gradient would lead nowhere
        if maxiter > 0:
            yield Step(x, told.fun, None, {"stepsize": norm})
        return ended(x, StopReason.MAXITER, told.fun)
