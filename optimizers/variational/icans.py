"""iCANS: gradient descent that chooses the shots of each derivative by their expected gain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.errors import InvalidValueError, OptionError
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, Told, ended
from optimizers.gradients.parameter_shift import ParameterShift
from optimizers.gradients.plan import Plan
from optimizers.options.table import FLAG, Option, limit, number, whole
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.budget import StopRun
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels

#: Angles beyond this cannot be shifted.
_LARGE = 1e15
_TINY = 1e-300


class ICANS(FlowOptimizer):
    r"""Individual coupled adaptive number of shots: each derivative gets the shots that pay most.

    Gradient descent on parameter-shift gradients: with the rate :math:`\alpha`, a Lipschitz
    constant L of the gradient, and a derivative :math:`g` from s shots of variance S, a step gains
    at least :math:`(\alpha - L \alpha^2 / 2) g^2 - L \alpha^2 S / (2 s)` in expectation. Each
    derivative gets the s that gains most per shot, from running averages of g and S, but not more
    than that of the derivative with the best gain per shot [1]_. With ``cautious`` (iCANS2) a step
    whose gain would not be positive is shortened to the length of the best gain.

    The objective should be marked by :func:`~optimizers.shots`; one that is not is evaluated as
    often as it needs to reach the shots. The value at the point and all shifted ones travel in one
    wave.

    Notes
    -----
    The variables are angles of Pauli rotations. Sampled values show no convergence: a run ends by
    ``maxiter``, ``maxshots`` or another budget, at its last iterate. Only an objective whose
    repeated values are equal can be a success, by ``gtol``.

    A known ``lipschitz`` is better than the default: for the energy of a circuit, the sum of the
    absolute coefficients of the Hamiltonian.

    References
    ----------
    .. [1] J. M. Kübler, A. Arrasmith, L. Cincio and P. J. Coles, "An adaptive optimizer for
       measurement-frugal variational algorithms", Quantum 4 (2020) 263.

    Examples
    --------
    >>> from optimizers.problems import h2
    >>> energy = h2(noise_seed=1)
    >>> result = ICANS(lipschitz=2.0).minimize(energy.measured, energy.x0, maxshots=200_000)
    >>> result.stop.name, result.nshots <= 200_000
    ('MAXSHOTS', True)
    >>> bool(h2()(result.x) - energy.ground_energy < 1e-2)
    True
    """

    traits = Traits(
        "Circuits that are paid by the shot, also with hundreds of angles.",
        noise=True,
        parallel=True,
    )

    _declared: tuple[Option, ...] = (
        Option("maxiter", 1000, limit(0)).means("Maximum number of steps."),
        Option("lipschitz", None, number(0, ends="()")).means(
            "A Lipschitz constant of the gradient. By default the sum of the amplitudes along each "
            "variable, as measured in the first wave."
        ),
        Option("learning_rate", None, number(0, ends="()")).means(
            "The rate of the steps, at most ``1 / lipschitz``, which is the default."
        ),
        Option("min_shots", 30, whole(2)).means("The minimum number of shots of a value."),
        Option("max_shots", 10_000, whole(2)).means("The maximum number of shots of a value."),
        Option("mu", 0.99, number(0, 1, "[)")).means(
            "The share of the running averages that is kept in each step, in [0, 1)."
        ),
        Option("b", 1e-6, number(0)).means(
            "Added to squares of derivatives, times the k-th power of ``mu`` in step k: it limits "
            "the shots of derivatives that are zero."
        ),
        Option("cautious", False, FLAG).means(
            "Whether steps are shortened where their expected gain would not be positive: iCANS2."
        ),
        Option("gtol", 1e-5, number(0)).means(
            "Without noise, the run converges when no component of the projected gradient is "
            "larger."
        ),
    )
    support_levels = levels(gradient=SupportLevel.ignored)
    takes_angles = True

    def __init__(
        self,
        maxiter: int = 1000,
        lipschitz: float | None = None,
        learning_rate: float | None = None,
        min_shots: int = 30,
        max_shots: int = 10_000,
        mu: float = 0.99,
        b: float = 1e-6,
        cautious: bool = False,
        gtol: float = 1e-5,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _check_options(self, options: dict[str, Any]) -> None:
        rate, bound = options["learning_rate"], options["lipschitz"]
        if rate is not None and bound is not None and rate * bound > 1.0 + 1e-12:
            raise OptionError(
                f"learning_rate is {rate!r} and lipschitz is {bound!r}, expected a rate of at most "
                f"1 / lipschitz = {1 / bound:.6g}."
            )

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        measured: list[Step] = []
        try:
            return (yield from self._descent(problem, run, measured))
        except StopRun as stop:
            if not measured or stop.reason is StopReason.TARGET:
                raise
            # The lowest of many noisy values is low by luck: it ends at its last iterate.
            outcome = ended(measured[-1].x, stop.reason, measured[-1].fun, measured[-1].jac)
            outcome.status = 0 if outcome.success else -1
            outcome.message = f"Stopped: {stop.reason.sentence}."
            return outcome

    def _descent(self, problem: Problem, run: Run, measured: list[Step]) -> Flow:
        """Return the algorithm; ``measured`` gets its last iterate if there is noise."""
        x = before = problem.x0
        paid, bound = run.budget.paid, self.lipschitz
        # Two evaluations show the noise, if an objective takes no shots.
        least = self.min_shots if paid.takes_shots else max(self.min_shots, 2 * (paid.each or 1))
        shots = np.full(problem.n, least)
        averages = Averages(problem.n, self.mu, self.b)
        for _ in range(self.maxiter):
            if not np.max(np.abs(x), initial=0.0) < _LARGE:  # rounding destroys the angle
                return ended(before, StopReason.NO_PROGRESS)
            plan = ParameterShift().plan(x, problem.lower, problem.upper)
            weights = _weights(plan, problem.n)
            each = shots[np.argmax(weights[:, 1:] != 0, axis=0)]  # a probe is of one variable
            points = np.concatenate([x[np.newaxis], plan.points])
            told = yield AskData(points, shots=[shots.max(), *each])
            if told.known is not None and not told.known.all():
                x = 0.5 * (x + before)  # the start has been evaluated
                continue
            errors, value = _errors(told, paid.takes_shots), float(told.fun[0])
            gradient = plan.fold(value, told.fun[1:])
            is_exact = not (paid.takes_shots or errors.any())
            step = Step(x, value, gradient, {"fun_error": float(errors[0])})
            measured[:] = [] if is_exact else [step]
            yield step
            projected = x - problem.clip(x - gradient)
            if is_exact and np.max(np.abs(projected), initial=0.0) <= self.gtol:
                return ended(x, StopReason.GRADIENT, value, gradient)
            with np.errstate(over="ignore", invalid="ignore"):  # the run handles the point
                bound = bound or _amplitudes(plan, told.fun, gradient) or 1.0
                averages.add(gradient, shots * (weights**2 @ errors**2))
                length = min(1.0, (self.learning_rate or np.inf) * bound)
                lengths = averages.limited(length, shots) if self.cautious else length
                before, x = x, problem.clip(x - lengths / bound * gradient)
                shots = averages.shots(length, 1 if is_exact else least, self.max_shots)
        return ended(x, StopReason.MAXITER)


class Averages:
    """Running averages of the derivatives and of the variances of their single shots.

    Lengths are rates of steps in units of 1 / L.
    """

    def __init__(self, n: int, mu: float, b: float) -> None:
        self._mu, self._b, self._count = mu, b, 0
        self._slopes = self._variances = np.zeros(n)

    def add(self, slopes: Array, variances: Array) -> None:
        """Add what a wave has measured."""
        self._slopes = self._mu * self._slopes + (1 - self._mu) * slopes
        self._variances = self._mu * self._variances + (1 - self._mu) * variances
        self._count += 1

    @property
    def _known(self) -> tuple[Array, Array, Array]:
        """The squares of the derivatives, the same with the bias, and the variances."""
        weight = 1 - self._mu**self._count
        square = (self._slopes / weight) ** 2
        biased = np.maximum(square + self._b * self._mu ** (self._count - 1), _TINY)
        return square, biased, self._variances / weight

    def shots(self, length: float, least: int, most: int) -> NDArray[np.int64]:
        """Return the shots with the best gain, none above those of the best gain per shot."""
        square, biased, variance = self._known
        wanted = np.ceil(2 * length / (2 - length) * variance / biased)
        wanted = np.clip(wanted, least, max(least, most))
        gain = (1 - length / 2) * square - length / 2 * variance / wanted
        chosen: Array = np.minimum(wanted, wanted[np.argmax(gain / wanted)])
        return chosen.astype(np.int64)

    def limited(self, length: float, shots: NDArray[np.int64]) -> Array:
        """Return the length, or the best one where its expected gain is not positive."""
        square, biased, variance = self._known
        best = square / (biased + variance / shots)
        return np.where(length < 2 * best, length, best)


def _amplitudes(plan: Plan, values: Array, gradient: Array) -> float:
    """Return the sum of the amplitudes of the sinusoids along the variables."""
    bent = plan.curvature(values[0], values[1:])
    assert bent is not None
    return float(np.sum(np.hypot(gradient, bent)))


def _weights(plan: Plan, n: int) -> Array:
    """Return what the gradient is of the values, shape (n, 1 + k): that at the point is first."""
    k = len(plan.points)
    rows = [plan.fold(1.0, np.zeros(k)), *(plan.fold(0.0, unit) for unit in np.eye(k))]
    return np.array(rows).reshape(1 + k, n).T


def _errors(told: Told, takes_shots: bool) -> Array:
    """Return the standard errors of the values; zero where one of them is enough."""
    errors = np.array(told.errors)
    unknown = np.isnan(errors)
    if takes_shots and unknown.any():
        raise InvalidValueError(
            "fun returned the standard error nan, but ICANS chooses the shots by the errors: "
            "return (value, standard error)."
        )
    return np.where(unknown, 0.0, errors)
