"""The covariance matrix adaptation evolution strategy of the package ``cma``, as a flow."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array, ArrayLike, BoundsLike, Objective
from optimizers.flow import (
    AskData,
    Flow,
    FlowOptimizer,
    FlowSettings,
    Outcome,
    Step,
    StopReason,
    Told,
    ended,
)
from optimizers.gradients.source import Jacobian
from optimizers.options.table import NOISE, Check, Option, choice, limit, number, whole
from optimizers.problem.problem import Problem
from optimizers.run.run import Run
from optimizers.search.cmaes.restarts import Restarts
from optimizers.search.cmaes.space import Space
from optimizers.search.cmaes.strategy import Strategy, imported
from optimizers.search.cmaes.uncertainty import Uncertainty
from optimizers.support import SupportLevel, Traits, levels

_AUTO = "auto"


def _test_noise(name: str, value: Any) -> None:
    if not (isinstance(value, str) and value == _AUTO):
        NOISE.test(name, value)


class CMAES(FlowOptimizer):
    r"""Covariance matrix adaptation evolution strategy (CMA-ES), by the package ``cma``.

    Each generation is drawn from a normal distribution and evaluated in one wave. The ranks of its
    values move the mean, and adapt the covariance matrix and the step size [1]_: scaling of the
    values does not matter, nor does a rotation of the variables. It needs the extra ``cma``.

    With a ``seed`` from 1 to 4294967295 the points are those of ``cma.fmin2`` with the same seed,
    the same ``sigma0`` and the same options, up to the first restart. Variables are kept within
    bounds by cma's default, which reflects them smoothly; fixed ones are left out.

    Notes
    -----
    The run ends at the best point, or at the mean of the last distribution if that is better. That
    is evaluated at the end, and so is the best point again, unless ``noise`` is given. If its value
    differs then, ``stop`` is ``StopReason.NOISE``, which is not a success.

    With noise, some points of each generation are evaluated twice [3]_. If their ranks change much,
    steps become longer, and each point is evaluated several times, up to 30, in the same wave; the
    median is its value. The run then ends at the mean of the distribution. When progress ends,
    ``stop`` is ``StopReason.NOISE``: a success if the value has visibly fallen.

    Known points (the setting ``known``) whose best one is the start give the first mean and
    covariance matrix, if there are at least 2n + 2 of them [4]_.

    References
    ----------
    .. [1] N. Hansen, "The CMA Evolution Strategy: A Tutorial", https://arxiv.org/abs/1604.00772.
    .. [2] N. Hansen, "Benchmarking a BI-population CMA-ES on the BBOB-2009 function testbed", GECCO
       Companion (2009) 2389-2396.
    .. [3] N. Hansen, A. S. P. Niederberger, L. Guzzella and P. Koumoutsakos, "A method for handling
       uncertainty in evolutionary optimization", IEEE Transactions on Evolutionary Computation 13
       (2009) 180-197.
    .. [4] M. Nomura et al., "Warm starting CMA-ES for hyperparameter optimization", AAAI 35 (2021)
       9188-9196, https://arxiv.org/abs/2012.06932.

    Examples
    --------
    >>> def rastrigin(x):
    ...     return float(np.sum(x**2 + 10 * (1 - np.cos(2 * np.pi * x))))
    >>> optimizer = CMAES(restarts="bipop", seed=1)
    >>> result = optimizer.minimize(rastrigin, [3.0, 2.0], bounds=[(-5, 5)] * 2, f_target=1e-6)
    >>> result.stop.name, np.allclose(result.x, 0, atol=1e-3)
    ('TARGET', True)
    """

    traits = Traits(
        "Many minima or rugged values: a generation in one wave, also with noise.",
        noise=True,
        parallel=True,
        global_search=True,
        random=True,
    )
    handles_noise = True
    _tolerances = ("tolfun", "tolx")

    _declared: tuple[Option, ...] = (
        Option("sigma0", None, number(0, ends="()")).means(
            "The first standard deviation, of each variable. By default 0.3 of the distance of a "
            "variable's bounds, and without bounds 0.3 of ``max(1, abs(x0))``."
        ),
        Option("popsize", None, whole(2)).means(
            "The number of points of a generation, at least 2; by default ``4 + int(3 log n)``."
        ),
        Option("restarts", None, choice("ipop", "bipop").or_none).means(
            'Whether the search restarts when it has converged: ``"ipop"`` doubles the population '
            'each time; ``"bipop"`` spends as much on small populations with short steps [2]_. '
            "Starts are drawn within the bounds, or else around ``x0``. There are at most 9 "
            "doublings: give ``maxfun`` or ``f_target``."
        ),
        Option("noise", _AUTO, Check('float, ``"estimate"`` or ``"auto"``', _test_noise)).means(
            "Whether values have noise: a number > 0 or ``"
            '"estimate"`` says so, 0 says that there is none. ``"auto"``: they do if the objective '
            "returns standard errors. The setting of a run takes precedence."
        ),
        Option("variant", "full", choice("full", "sep", "vkd")).means(
            'The covariance matrix: ``"full"``; ``"sep"``, diagonal, for thousands of variables; '
            '``"vkd"``, diagonal and a few directions, for hundreds.'
        ),
        Option("maxiter", None, limit(1)).means(
            "Maximum number of generations, of all restarts; by default cma's, which is for each: "
            "``100 + 150 (n + 3)**2 // popsize**0.5``."
        ),
        Option("tolfun", 1e-11, number(0)).means(
            "The search converges when the values of a generation, and the best ones of the last "
            "generations, differ by less."
        ),
        Option("tolx", 1e-11, number(0)).means(
            "The search converges when the standard deviation of each variable is smaller."
        ),
    )
    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(  # type: ignore[misc]  # noise, a setting of each run, is one of these options
        self,
        sigma0: float | None = None,
        popsize: int | None = None,
        restarts: str | None = None,
        noise: float | str = _AUTO,
        variant: str = "full",
        maxiter: int | None = None,
        tolfun: float = 1e-11,
        tolx: float = 1e-11,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _problem(
        self, fun: Objective, x0: ArrayLike, jac: Jacobian, bounds: BoundsLike, **further: Any
    ) -> Problem:
        imported()  # if it is missing, that is an error before anything else
        return super()._problem(fun, x0, jac, bounds, **further)

    @override
    def _matrices(self, problem: Problem) -> float:
        return 5 if self.variant == "full" else 0

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        space, random = Space(problem, self.sigma0), _random(run)
        noise = Uncertainty(self.noise if run.noise is None else run.noise, space.n)
        chosen = {name: self._options[name] for name in ("variant", "tolfun", "tolx")}
        sizes = {"popsize": self.popsize, "maxiter": self.maxiter}
        strategy = Strategy(space, space.informed(run.known_points), random, **sizes, **chosen)
        restarts = Restarts(self.restarts, strategy.popsize, strategy.maxiter)
        left, best = self.maxiter or math.inf, None
        while True:
            end = yield from _search(strategy, noise, run)
            best = end if best is None or end.fun < best.fun else best
            left -= strategy.generations
            if left <= 0 or not restarts.follow(strategy.evaluations, random):
                return _judged(best, noise)
            first = space.elsewhere(restarts.factor, random)
            sizes = {"popsize": restarts.popsize, "maxiter": min(restarts.maxiter, left)}
            strategy = Strategy(space, first, random, **sizes, **chosen)


class _End(NamedTuple):
    """Where a search ended, and why."""

    x: Array
    fun: float
    stop: StopReason
    words: str


def _search(
    strategy: Strategy, noise: Uncertainty, run: Run
) -> Generator[AskData | Step, Told, _End]:
    """Search until the strategy stops; end at the best point, or at the mean of the last one."""
    x, fun = strategy.mean, np.inf
    while (ending := strategy.ending()) is None:
        points = strategy.ask()
        told = yield AskData(noise.wave(points))
        _expect_penalties(told, run)
        values, known = noise.learn(told, len(points))
        if noise.sigma:
            run.extra["noise"] = noise.sigma
        strategy.tell(values, noise.factor)
        lowest = int(np.argmin(np.where(known, values, np.inf)))
        if known[lowest] and values[lowest] < fun:
            x, fun = points[lowest], float(values[lowest])
        yield Step(x, fun if fun < np.inf else None, extra={"stepsize": strategy.sigma})
    if not known.any():
        ending = StopReason.NO_PROGRESS, "All points of the last generation failed."
    # The best of noisy values is low by chance, so that the mean is better.
    ends = [strategy.mean] * noise.repeats
    if noise.is_sought and fun < np.inf:
        ends.append(x)
    told = yield AskData(np.array(ends))
    _expect_penalties(told, run)
    x, fun = noise.better(told, strategy.mean, x, fun)
    return _End(x, fun, *ending)


def _expect_penalties(told: Told, run: Run) -> None:
    """Note that points that failed are known as such: they have the last ranks."""
    assert told.known is not None
    run.penalties_seen(int(np.count_nonzero(~told.known)))


def _judged(end: _End, noise: Uncertainty) -> Outcome:
    """Return the outcome: with noise, an end of progress is a success if the value has fallen."""
    known = end.fun if end.fun < np.inf else None
    if noise.surprise and not end.stop.is_budget:
        words = (
            f"The objective has noise: two values at a point differ by {noise.surprise:.1g}. Pass "
            "noise='estimate' to treat it, or noise=0 if the end is good enough."
        )
        return ended(end.x, StopReason.NOISE, known, words=words)
    if noise.is_on and not end.stop.is_budget:
        outcome = ended(end.x, StopReason.NOISE, known, words=end.words)
        outcome.success = noise.has_fallen(end.fun)
        outcome.status = int(not outcome.success)
        return outcome
    return ended(end.x, end.stop, known, words=end.words)


def _random(run: Run) -> np.random.RandomState:
    """Return random numbers of the kind that cma draws, and the same ones if the seed is its."""
    seed = run.questions.seed
    if not (isinstance(seed, int | np.integer) and 0 < seed < 2**32):
        seed = run.rng.integers(2**32)
    return np.random.RandomState(int(seed))
