"""Simultaneous perturbation stochastic approximation, of first and second order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack, override

from optimizers._types import Array, Objective
from optimizers.asktell.flow import Asking
from optimizers.errors import OptionError
from optimizers.evaluation.qiskit import group_of
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.options.settings import GROUPED
from optimizers.options.table import (
    FLAG,
    FUNCTION,
    NUMBER,
    Check,
    Option,
    anything,
    limit,
    number,
    refused,
    whole,
)
from optimizers.problem.bounds import as_start
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels
from optimizers.variational.calibration import (
    PAIRS,
    Law,
    PowerSeries,
    SeriesLike,
    check_pair,
    check_series,
    evaluated,
    heeded,
    measured,
)
from optimizers.variational.curvature import SmoothedHessian, check_initial_hessian
from optimizers.variational.perturbations import Probes
from optimizers.variational.reported import ended_measured, error_of_mean


def _test_resamplings(name: str, given: Any) -> None:
    if not isinstance(given, dict):
        whole(1)(name, given)
        return
    for iteration, count in given.items():
        whole(1)(f"an iteration of {name}", iteration)
        whole(1)(f"{name}[{iteration}]", count)


class SPSA(FlowOptimizer):
    r"""Simultaneous perturbation stochastic approximation, for noisy values.

    All variables are moved at the same time in a random direction :math:`\Delta_k` of signs, once
    forward and once back; this pair of values gives an unbiased gradient for any number of
    variables [1]_:

    .. math:: x_{k+1} = x_k - a_k \frac{f(x_k + c_k \Delta_k) - f(x_k - c_k \Delta_k)}{2 c_k}
              \Delta_k^{-1}

    With ``second_order``, two more values give a sample of the Hessian, whose running mean
    preconditions the step (2-SPSA, [2]_). With bounds, probes and steps are projected to them, or
    moved inside together if the Hessian is sampled. By default learning rates and perturbations are
    calibrated in each run [3]_. With callbacks of Qiskit's form, each proposed point is evaluated.

    Notes
    -----
    The probes of all resamplings of an iteration are one wave; with ``blocking`` the proposed point
    is a second one. The measurements at the start are one wave: 50 points for the calibration, with
    blocking the value at the start and 25 more for its deviation. A pair with a rejected point
    (``on_failure="reject"``) is ignored; if no pair is left, the step is zero. A run that is
    stopped from outside, as by ``maxfun``, ends at its last iterate too, and nothing is evaluated
    after that: ``fun`` is then the mean of the last values, as ``is_estimate`` says. If the
    objective returns standard errors, ``fun_error`` is that of ``fun``, in callbacks too. With
    ``noise=0`` it ends at the best evaluated point.

    References
    ----------
    .. [1] J. C. Spall, "Multivariate stochastic approximation using a simultaneous perturbation
       gradient approximation", IEEE Transactions on Automatic Control 37 (1992) 332-341.
    .. [2] J. C. Spall, "Adaptive stochastic approximation by the simultaneous perturbation
       method", IEEE Transactions on Automatic Control 45 (2000) 1839-1853.
    .. [3] A. Kandala et al., "Hardware-efficient variational quantum eigensolver for small
       molecules and quantum magnets", Nature 549 (2017) 242-246.

    Examples
    --------
    >>> from optimizers.problems import h2
    >>> energy = h2(shots=1000, noise_seed=1)
    >>> result = SPSA(maxiter=200, seed=7).minimize(energy, energy.x0)
    >>> result.nfev  # 50 for the calibration, 2 per iteration, and the end
    451
    >>> bool(h2()(result.x) - h2().ground_energy < 0.05)
    True
    """

    traits = Traits(
        "Noise and small budgets: two points per step, for any number of variables.",
        noise=True,
        parallel=True,
        random=True,
    )

    _callback_form = ("nfev", "x", "fun", "stepsize", "accepted")
    _group_form = "batch"
    _arguments = (
        replace(GROUPED, default=None).means(
            "How many points one call of the objective takes, as a stack (k, n), and a single one "
            "as (n,), as in Qiskit. None means 1, or 50 if Qiskit's VQE, SamplingVQE or VQD calls "
            "the optimizer, as for Qiskit's own SPSA."
        ),
    )
    #: Whether values at shifted pairs give the curvature; otherwise :meth:`_other_curvature` does.
    _shifts_are_asked: ClassVar[bool] = True

    _declared: tuple[Option, ...] = (
        Option("maxiter", 100, limit(0)).means("Maximum number of steps."),
        Option("blocking", False, FLAG).means(
            "Whether a step is accepted only if the value at its end, which is then evaluated, is "
            "less than the last value plus ``allowed_increase``."
        ),
        Option("allowed_increase", None, NUMBER).means(
            "By default twice the standard deviation of 25 values at the start of the run."
        ),
        Option("trust_region", False, FLAG).means(
            "Whether a step longer than 1, before it is multiplied by the rate, is shortened to 1."
        ),
        Option("learning_rate", None, anything("float, sequence of float or callable")).means(
            "The rate of all steps, one for each, or a function that returns an iterator of them, "
            "called once per run. By default it is calibrated; see :meth:`SPSA.calibrate`."
        ),
        Option("perturbation", None, anything("float, sequence of float or callable")).means(
            "The size of the perturbations, likewise. Pass both or neither."
        ),
        Option("last_avg", 1, whole(1)).means(
            "The run ends at the mean of this many last accepted points."
        ),
        Option("resamplings", 1, Check("int or dict of int to int", _test_resamplings)).means(
            "The number of directions that are averaged for each gradient; or a dict for some "
            "iterations, counted from 1, with a single one for the others."
        ),
        Option("perturbation_dims", None, whole(1)).means(
            "How many variables are moved at a time, chosen at random; all by default."
        ),
        Option("second_order", False, FLAG).means(
            "Whether steps are preconditioned by the Hessian."
        ),
        Option("regularization", None, number(0)).means(
            "The term added to the diagonal of the Hessian, made positive definite; 0.01 by "
            "default."
        ),
        Option("hessian_delay", 0, whole(0)).means(
            "After how many iterations the Hessian, which is sampled from the first, "
            "preconditions steps."
        ),
        Option("lse_solver", None, FUNCTION).means(
            "``lse_solver(hessian, gradient) -> step``; by default ``numpy.linalg.solve``."
        ),
        Option(
            "initial_hessian",
            None,
            Check("array_like of shape (n, n)", lambda name, given: check_initial_hessian(given)),
        ).means("The initial mean of the Hessians; the identity by default."),
        Option("termination_checker", None, FUNCTION).means(
            "``termination_checker(nfev, x, fun, stepsize, accepted)``, called after each step "
            "with the proposed point and its value, or the mean of the values that led to it. If "
            "it returns true the run ends at the last accepted point."
        ),
    )
    support_levels = levels(gradient=SupportLevel.ignored)
    ends_on_iterate = True

    def __init__(  # type: ignore[misc]  # callback, a setting of each run, has Qiskit's place
        self,
        maxiter: int = 100,
        blocking: bool = False,
        allowed_increase: float | None = None,
        trust_region: bool = False,
        learning_rate: SeriesLike | None = None,
        perturbation: SeriesLike | None = None,
        last_avg: int = 1,
        resamplings: int | dict[int, int] = 1,
        perturbation_dims: int | None = None,
        second_order: bool = False,
        regularization: float | None = None,
        hessian_delay: int = 0,
        lse_solver: Callable[[Array, Array], Array] | None = None,
        initial_hessian: ArrayLike | None = None,
        callback: Callable[..., Any] | None = None,
        termination_checker: Callable[[int, Array, float, float, bool], bool] | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        options = self._gathered(locals())
        check_pair(options)
        settings.setdefault("max_evals_grouped", None)
        super().__init__(options, callback=callback, **settings)

    @override
    def _check_options(self, options: dict[str, Any]) -> None:
        for name in ("learning_rate", "perturbation"):
            if options[name] is not None:
                check_series(name, options[name], options["maxiter"])
        sizes = options["perturbation"]
        if sizes is not None and not callable(sizes) and not np.all(np.asarray(sizes) > 0):
            raise refused("perturbation", sizes, "numbers > 0")

    @override
    def _group(self, fun: Objective, effective: dict[str, Any]) -> int | None:
        is_free = self._max_evals_grouped is None and effective.get("workers") is None
        return group_of(fun) if is_free else self._max_evals_grouped

    @override
    def _matrices(self, problem: Problem) -> float:
        return 2.0 if self.second_order else 0.0

    @override
    def _problem(self, *arguments: Any, **named: Any) -> Problem:
        problem = super()._problem(*arguments, **named)
        check_pair(self._options)
        check_initial_hessian(self.initial_hessian, problem.n)
        if self.perturbation_dims is not None and self.perturbation_dims > problem.n:
            raise OptionError(
                f"perturbation_dims is {self.perturbation_dims}, expected at most the number of "
                f"variables, {problem.n}."
            )
        return problem

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        x = problem.x0
        if self.maxiter == 0:
            return ended(x, StopReason.MAXITER)
        rates, sizes, fun, increase, error = yield from measured(problem, run, self.settings)
        stop, tail, fun_error = StopReason.MAXITER, deque([x], maxlen=self.last_avg), error
        curved = (problem.n, self.initial_hessian, self.regularization, self.lse_solver)
        hessian = SmoothedHessian(*curved) if self.second_order else None
        for k in range(1, self.maxiter + 1):
            size, rate = next(sizes), next(rates)
            if size <= 0:
                raise OptionError(
                    f"perturbation returned {size!r} in iteration {k}, expected numbers > 0."
                )
            step, mean, error = yield from self._step(problem, run, x, size, k, hessian)
            proposed = problem.clip(x - rate * step)
            moved = float(np.linalg.norm(proposed - x))
            there, accepted = None, True
            if self.blocking or run.wants_values:
                told = yield from heeded(run, proposed[np.newaxis])
                there = float(told.fun[0]) if told.known[0] else np.nan
                error = error_of_mean(told)
                # A rejected point is worse than all others.
                limit = np.inf if fun is None or not self.blocking else fun + increase
                accepted = there < limit
            if accepted:
                x, fun, fun_error = proposed, there, error
                tail.append(x)
            end = np.mean(tail, axis=0) if self.last_avg > 1 else x
            extra = {"stepsize": moved, "accepted": accepted, **error}
            yield Step(proposed, there, None, extra, mean, end)
            seen = mean if there is None or np.isnan(there) else there
            if self._is_enough(run.nfev, proposed.copy(), seen, moved, accepted):
                stop = StopReason.CALLBACK
                break
        if fun is None or self.last_avg > 1:
            return (yield from ended_measured(run, end, stop))
        run.extra.update(fun_error)
        return ended(end, stop, fun)

    def _step(
        self,
        problem: Problem,
        run: Run,
        x: Array,
        size: float,
        k: int,
        hessian: SmoothedHessian | None,
    ) -> Asking[Any]:
        """Return the step of iteration k before its rate, and the mean of values with its error."""
        given = self.resamplings
        count = given.get(k, 1) if isinstance(given, dict) else given
        drawn = (run.rng, x, size, count, self.perturbation_dims)
        probes = Probes.drawn(problem, *drawn, is_shifted=hessian is not None)
        are_shifts_asked = hessian is not None and self._shifts_are_asked
        points = probes.all if are_shifts_asked else probes.pairs
        told = yield from heeded(run, points.reshape(-1, x.size))
        assert told.known is not None
        values, known = told.fun.reshape(count, -1), told.known.reshape(count, -1)
        good = known[:, :2].all(axis=1)
        slopes = probes.slopes(values)[good]
        step = slopes.mean(axis=0) if good.any() else np.zeros_like(x)
        if hessian is not None:
            if not are_shifts_asked:
                hessian.add((yield from self._other_curvature(probes)), k)
            elif known.all(axis=1).any():
                hessian.add(probes.mean_curvature(values, known.all(axis=1)), k)
            if k > self.hessian_delay:
                step = hessian.conditioned(step)
        if self.trust_region and (norm := float(np.linalg.norm(step))) > 1:
            step = step / norm
        mean = float(values[known].mean()) if known.any() else np.nan
        return step, mean, error_of_mean(told)

    def _other_curvature(self, probes: Probes) -> Asking[Any]:
        """Return a sample of the Hessian that does not come from values; for a subclass."""
        raise NotImplementedError

    def _is_enough(self, *state: Any) -> bool:
        """Return whether the user's checker ends the run, by its answer or as callbacks may."""
        try:
            return self.termination_checker is not None and bool(self.termination_checker(*state))
        except StopIteration:  # a generator must not raise it
            return True

    @staticmethod
    def calibrate(
        loss: Objective,
        initial_point: ArrayLike,
        c: float = 0.2,
        stability_constant: float = 0,
        target_magnitude: float | None = None,
        alpha: float = 0.602,
        gamma: float = 0.101,
        modelspace: bool = False,
        max_evals_grouped: int | None = 1,
        *,
        seed: Any = None,
    ) -> tuple[PowerSeries, PowerSeries]:
        r"""Return learning rates and perturbations for an objective near a point.

        .. math:: a_k = \frac{a}{(A + k + 1)^\alpha}, \quad c_k = \frac{c}{(k + 1)^\gamma}

        Parameters
        ----------
        loss : callable
            The objective, which is evaluated at 50 points in one wave.
        initial_point : array_like of shape (n,)
            The point, usually the start.
        c, stability_constant, alpha, gamma : float
            The constants above; the stability constant :math:`A` shortens the first steps.
        target_magnitude : float, optional
            By how much the first step should move each variable; :math:`2\pi/10` by default.
        modelspace : bool, default False
            Whether the target is a difference of values.
        max_evals_grouped : int, default 1
            How many points one call of the objective takes.
        seed : int or other, optional
            The seed of the directions. A run with the same seed finds the same rates.

        Returns
        -------
        learning_rate, perturbation : callable
            Functions that return an iterator, for the options of these names.

        Examples
        --------
        >>> rates, sizes = SPSA.calibrate(lambda x: 3 * x[0], [1.0], seed=1)
        >>> round(3 * next(rates()), 4), next(sizes())  # the first step is 2 pi / 10
        (0.6283, 0.2)
        """
        x = as_start(initial_point)
        law = Law(c, stability_constant, target_magnitude, alpha, gamma, modelspace)
        probes = Probes.drawn(Problem(loss, x), np.random.default_rng(seed), x, c, PAIRS)
        values, precision = evaluated(loss, probes.pairs.reshape(-1, x.size), max_evals_grouped)
        known = np.ones((PAIRS, 2), dtype=bool)
        return law.series(probes, values.reshape(-1, 2), known, precision)

    @staticmethod
    def estimate_stddev(
        loss: Objective, initial_point: ArrayLike, avg: int = 25, max_evals_grouped: int | None = 1
    ) -> float:
        """Return the standard deviation of an objective's values at a point.

        Parameters
        ----------
        loss, initial_point, max_evals_grouped
            As in :meth:`calibrate`.
        avg : int, default 25
            How often the objective is evaluated there, in one wave.

        Examples
        --------
        >>> SPSA.estimate_stddev(lambda x: 3 * x[0], [1.0])
        0.0
        """
        x = as_start(initial_point)
        return float(np.std(evaluated(loss, np.tile(x, (avg, 1)), max_evals_grouped)[0]))
