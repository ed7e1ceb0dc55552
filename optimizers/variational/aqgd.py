"""AQGD: gradient descent with momentum on parameter-shift gradients, in epochs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.asktell.messages import AskData
from optimizers.errors import OptionError
from optimizers.flow import Flow, FlowOptimizer, Step, ended
from optimizers.gradients.parameter_shift import ParameterShift
from optimizers.gradients.source import GradientSource
from optimizers.options.settings import RunSettings
from optimizers.options.table import TOLERANCE, Check, Option, limit, number, whole
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels
from optimizers.variational.projection import stepped

#: The options that may have a number for each epoch.
_EPOCHS = ("maxiter", "eta", "momentum")


def _listed(name: str, given: Any) -> list[Any]:
    """Return the numbers of all epochs."""
    if isinstance(given, type) or (not isinstance(given, Sequence) and np.ndim(given) == 0):
        return [given]
    if isinstance(given, str) or len(given) == 0:
        raise OptionError(f"{name} is {given!r}, expected a number, or one for each epoch.")
    return list(given)


def _each(kind: str, check: Check) -> Check:
    """Return the check for a number, or one for each epoch."""

    def test(name: str, given: Any) -> None:
        for value in _listed(name, given):
            check(name, value)

    def convert(given: Any) -> Any:
        is_one = not isinstance(given, Sequence | np.ndarray)
        return check.convert(given) if is_one else [check.convert(value) for value in given]

    return Check(f"{kind} or sequence of {kind}", test, convert)


class AQGD(FlowOptimizer):
    r"""Analytic quantum gradient descent: momentum, epochs, and gradients by parameter shift.

    .. math:: m_k = (1 - \mu) \nabla f(x_k) + \mu m_{k-1}, \qquad x_{k+1} = x_k - \eta m_k

    If no gradient is given, it is computed by :class:`~optimizers.ParameterShift` [1]_ [2]_: the
    value and the 2 n shifted ones travel in one wave. It is exact for circuits whose parameters are
    angles of Pauli rotations; for other functions pass another ``jac``. With bounds, each step is
    projected to them. Options with a number for each epoch must have the same length.

    References
    ----------
    .. [1] K. Mitarai, M. Negoro, M. Kitagawa and K. Fujii, "Quantum circuit learning", Physical
       Review A 98 (2018) 032309.
    .. [2] M. Schuld, V. Bergholm, C. Gogolin, J. Izaac and N. Killoran, "Evaluating analytic
       gradients on quantum hardware", Physical Review A 99 (2019) 032331.

    Examples
    --------
    >>> from optimizers.problems import h2
    >>> energy = h2()
    >>> optimizer = AQGD(maxiter=[40, 200], eta=[0.5, 0.3], momentum=[0.5, 0.25])
    >>> result = optimizer.minimize(energy, energy.x0)
    >>> result.success, round(result.fun, 3)
    (True, -1.857)
    """

    traits = Traits(
        "Circuits of Pauli rotations with one angle each; steps with momentum.", parallel=True
    )

    _group_form = "stack"
    _declared: tuple[Option, ...] = (
        Option("maxiter", 1000, _each("int", limit(0))).means(
            "Maximum number of steps, or one for each epoch."
        ),
        Option("eta", 1.0, _each("float", number(ends="()"))).means(
            "The rate of the steps, or one for each epoch."
        ),
        Option("tol", 1e-6, TOLERANCE).means(
            "The run converges when no two of the last ``averaging + 1`` values differ by "
            "``averaging`` times this: then their averages, as in Qiskit, differ by less than "
            "this."
        ),
        Option("momentum", 0.25, _each("float", number(0, 1, "[)"))).means(
            "The share of the last direction that is kept, in [0, 1), or one for each epoch."
        ),
        Option("param_tol", 1e-6, number(0)).means(
            "The run converges when a step changes no variable by this or more."
        ),
        Option("averaging", 10, whole(1)).means("The number of averaged values."),
    )
    support_levels = levels(gradient=SupportLevel.supported)

    def __init__(
        self,
        maxiter: int | Sequence[int] = 1000,
        eta: float | Sequence[float] = 1.0,
        tol: float = 1e-6,
        momentum: float | Sequence[float] = 0.25,
        param_tol: float = 1e-6,
        averaging: int = 10,
        max_evals_grouped: int | None = 1,
        **settings: Unpack[RunSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), max_evals_grouped=max_evals_grouped, **settings)

    @override
    def _check_options(self, options: dict[str, Any]) -> None:
        epochs = {name: _listed(name, options[name]) for name in _EPOCHS}
        if len({len(values) for values in epochs.values()}) > 1:
            raise OptionError(
                "maxiter, eta and momentum are "
                f"{', '.join(repr(options[name]) for name in _EPOCHS)}, expected the same length, "
                "one number for each epoch."
            )

    @override
    def _differences(self, problem: Problem) -> GradientSource:
        return ParameterShift() if problem.derivatives.is_default else super()._differences(problem)

    @override
    def _has_user_steps(self, problem: Problem) -> bool:
        return problem.derivatives.is_default or super()._has_user_steps(problem)

    def _schedule(self) -> Iterator[tuple[float, float]]:
        """Yield the rate and the momentum of each step."""
        epochs = (_listed(name, getattr(self, name)) for name in _EPOCHS)
        for steps, rate, momentum in zip(*epochs, strict=True):
            for _ in range(int(steps)):
                yield float(rate), float(momentum)

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        x, averaging, stop = problem.x0, self.averaging, StopReason.MAXITER
        direction, is_held, is_first = np.zeros(problem.n), False, True
        values: deque[float] = deque(maxlen=averaging + 1)
        for rate, momentum in self._schedule():
            told = yield AskData(x, x)
            if not is_first:
                yield Step(x, told.fun, told.jac)
            is_first = False
            values.append(told.fun)
            # The two averages share all values but the first and the last. These may agree by
            # chance, or in a cycle, while the values between do not.
            change = (max(values) - min(values)) / averaging
            if len(values) > averaging and change < self.tol and not is_held:
                return ended(x, StopReason.FUN, told.fun, told.jac)
            with np.errstate(over="ignore", invalid="ignore"):  # the run handles the result
                direction = (1 - momentum) * told.jac + momentum * direction
                new, is_held = stepped(problem, x, rate * direction, told.jac)
                length, x = float(np.max(np.abs(new - x))), new
            if length < self.param_tol and not is_held:
                stop = StopReason.STEP
                break
        told = yield AskData(x)  # its gradient would lead nowhere
        if not is_first:
            yield Step(x, told.fun)
        return ended(x, stop, told.fun)
