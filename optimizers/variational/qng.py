"""Quantum natural gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.errors import OptionError
from optimizers.evaluation.evaluator import Evaluator
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Products, Step, ended
from optimizers.options.table import TOLERANCE, Check, Option, anything, limit, number, refused
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels
from optimizers.variational.calibration import SeriesLike, check_series, series
from optimizers.variational.fidelity import FIDELITY, Fidelity, started
from optimizers.variational.metric import FidelityMetric, UsersMetric, as_blocks, natural, within


def _test_metric(name: str, given: Any) -> None:
    if not (callable(given) or given == "fidelity"):
        raise refused(name, given, "a callable metric(x), or 'fidelity'")


def _test_blocks(name: str, given: Any) -> None:
    expected = "'diagonal', or a sequence of sequences of indices"
    if isinstance(given, str):
        if given != "diagonal":
            raise refused(name, given, expected)
        return
    try:
        are_indices = all(int(i) == i for block in given for i in block)
    except (TypeError, ValueError):
        are_indices = False
    if not are_indices:
        raise refused(name, given, expected)


class QNG(FlowOptimizer):
    r"""Quantum natural gradient: steps against the gradient by the metric of the states.

    .. math:: x_{k+1} = x_k - \eta_k (G(x_k) + \lambda I)^{-1} \nabla f(x_k)

    The metric :math:`G` is that of Fubini and Study, a quarter of the quantum Fisher information: a
    step has the same length in all directions by how much the state changes, not by angles [1]_.
    With bounds, each step is projected to them.

    Notes
    -----
    The metric is your function, such as PennyLane's ``metric_tensor``, or comes from fidelities
    :math:`F(x, y) = |\langle\psi(x)|\psi(y)\rangle|^2`: the negative half of their second
    derivatives in ``y`` at ``x``, by the parameter-shift rule [2]_. That takes 2 n^2 fidelities in
    one wave, or with ``blocks`` twice the sum of the squares of their sizes. Neither fidelities nor
    calls of the metric are evaluations of the objective: the result's ``nhev`` counts their waves,
    one per step. They are called in the thread of the run, and recorded in its journal. If one
    fails, the run ends with its error. A negative curvature, which noise may show, counts as zero.
    The points of fidelities may be outside of the bounds.

    For the gradient of a circuit, pass ``jac=ParameterShift()``.

    References
    ----------
    .. [1] J. Stokes, J. Izaac, N. Killoran and G. Carleo, "Quantum natural gradient", Quantum 4
       (2020) 269.
    .. [2] A. Mari, T. R. Bromley and N. Killoran, "Estimating the gradient and higher-order
       derivatives on quantum hardware", Physical Review A 103 (2021) 012405.

    Examples
    --------
    >>> from optimizers import QNG, QNSPSA, ParameterShift, vectorized
    >>> from optimizers.problems import h2
    >>> energy = h2()
    >>> fidelity = QNSPSA.get_fidelity(vectorized(energy.states))
    >>> optimizer = QNG(fidelity=fidelity, learning_rate=0.2, maxiter=40)
    >>> result = optimizer.minimize(energy, energy.x0, ParameterShift())
    >>> bool(result.fun - energy.ground_energy < 1e-3), result.nhev
    (True, 40)
    """

    traits = Traits(
        "Circuits whose states, or their metric, can be computed: few steps.", parallel=True
    )

    takes_angles = True
    _callback_form = ("nfev", "x", "fun", "stepsize")

    _declared: tuple[Option, ...] = (
        Option("metric", "fidelity", Check("callable or 'fidelity'", _test_metric)).means(
            "``metric(x)`` returns the metric at a point, shape (n, n), symmetric; ``'fidelity'`` "
            "computes it from ``fidelity``."
        ),
        Option("fidelity", None, FIDELITY).means(
            "``fidelity(x, y) -> float``, as of :class:`QNSPSA`: see "
            ":meth:`QNSPSA.get_fidelity`. It is required unless the metric is a function."
        ),
        Option("maxiter", 100, limit(0)).means("Maximum number of steps."),
        Option("learning_rate", 0.01, anything("float, sequence of float or callable")).means(
            "The rate of all steps, one for each, or a function that returns an iterator of them, "
            "called once per run."
        ),
        Option("tol", 1e-7, TOLERANCE).means(
            "The run converges when the norm of the gradient is at most this."
        ),
        Option("regularization", 0.01, number(0)).means(
            "The number that is added to the diagonal of the metric. With 0, directions in which "
            "the state does not change are left out."
        ),
        Option("blocks", None, Check("'diagonal' or sequence of sequences", _test_blocks)).means(
            "Variables whose metric is taken together, such as those of one layer: indices, each "
            "in one block. The metric between blocks is zero and not measured. All variables are "
            "one block by default, and each is one with ``'diagonal'``."
        ),
        Option("shift", math.pi / 2, number(0, math.pi, "()")).means(
            "The angle by which points are shifted for fidelities. Any is exact for rotations by "
            "Pauli matrices, and pi / 2 is best under noise. For other circuits take a short one, "
            "as of second differences."
        ),
    )
    support_levels = levels(gradient=SupportLevel.supported)

    def __init__(  # type: ignore[misc]  # callback, a setting of each run, has its siblings' place
        self,
        metric: Callable[[Array], Any] | Literal["fidelity"] = "fidelity",
        fidelity: Fidelity | None = None,
        maxiter: int = 100,
        learning_rate: SeriesLike = 0.01,
        tol: float = 1e-7,
        regularization: float = 0.01,
        blocks: Sequence[Sequence[int]] | Literal["diagonal"] | None = None,
        shift: float = math.pi / 2,
        callback: Callable[..., Any] | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), callback=callback, **settings)

    @override
    def _check_options(self, options: dict[str, Any]) -> None:
        check_series("learning_rate", options["learning_rate"], options["maxiter"])

    @override
    def _problem(self, *arguments: Any, **named: Any) -> Problem:
        problem = super()._problem(*arguments, **named)
        as_blocks(self.blocks, problem.n)
        if self.metric == "fidelity" and self.fidelity is None:
            raise OptionError(
                "QNG has no metric: pass metric(x), a function that returns it, or fidelity(x, y), "
                "the overlap of the states of two points, which QNSPSA.get_fidelity makes from a "
                "circuit or from a function that returns states."
            )
        return replace(problem, hessp=self.fidelity if self.metric == "fidelity" else self.metric)

    @override
    def _matrices(self, problem: Problem) -> float:
        return 4.0 * sum(len(block) ** 2 for block in as_blocks(self.blocks, problem.n)) / problem.n

    @override
    def _start_run(
        self, problem: Problem, settings: dict[str, Any], evaluator: Evaluator | None = None
    ) -> Run:
        start = partial(super()._start_run, settings=settings, evaluator=evaluator)
        if self.metric == "fidelity":
            group = self._group(problem.fun, self._effective_settings(settings)) or 1
            return started(start, problem, self.fidelity, group)
        metric = UsersMetric(self.metric, problem.n, problem.parameters)
        return start(replace(problem, hessp=metric))

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        x, length = problem.x0, math.nan
        blocks, rates = as_blocks(self.blocks, problem.n), series("rate", self.learning_rate)
        shifted = FidelityMetric(blocks, self.shift) if self.metric == "fidelity" else None
        for k in range(self.maxiter):
            told = yield AskData(x, x)
            fun, gradient = told.fun, told.jac
            if k > 0:
                yield Step(x, fun, gradient, {"stepsize": length})
            if float(np.linalg.norm(gradient)) <= self.tol:
                return ended(x, StopReason.GRADIENT, fun, gradient)
            if shifted is None:
                found = yield Products(x, x)
                metric = within(found.fun.reshape(problem.n, problem.n), blocks)
            else:
                points = shifted.points(x)
                found = yield Products(np.tile(x, len(points)), points.ravel())
                metric = shifted.fold(found.fun, problem.n)
            step = next(rates) * natural(metric, gradient, self.regularization)
            new = problem.clip(x - step)
            x, length = new, float(np.linalg.norm(new - x))
        told = yield AskData(x)  # its gradient would lead nowhere
        if self.maxiter > 0:
            yield Step(x, told.fun, None, {"stepsize": length})
        return ended(x, StopReason.MAXITER, told.fun)
