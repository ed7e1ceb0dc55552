"""A derivative-free trust-region method with quadratic interpolation models, in waves."""

from __future__ import annotations

from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.flow import Flow, FlowOptimizer, FlowSettings, ended
from optimizers.options.settings import DISP
from optimizers.options.table import Check, Option, limit, number, refused, whole
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.search.coarse import words_if_coarse
from optimizers.search.dfotr.radii import Radii
from optimizers.search.dfotr.search import Search
from optimizers.search.space import Space
from optimizers.support import SupportLevel, Traits, levels

#: What is given for as many points in a wave as there are workers.
_WORKERS = "workers"
_TOO_LARGE = (
    "Values around the best point are more than 1e100 above it, too far apart for a model: divide "
    "the objective by their size."
)


def _test_batch(name: str, value: Any) -> None:
    if isinstance(value, str) and value != _WORKERS:
        raise refused(name, value, f"a whole number >= 1 or {_WORKERS!r}")
    if not isinstance(value, str):
        whole(1).test(name, value)


_BATCH = Check('int or ``"workers"``', _test_batch, lambda v: v if v == _WORKERS else int(v))


class DFOTR(FlowOptimizer):
    r"""Derivative-free trust region: few evaluations without gradients, with noise, in waves.

    A quadratic model that interpolates known values is minimized within a radius and the bounds,
    as in Powell's BOBYQA [1]_. The first wave is the start and a step along each variable. The
    model's Hessian has the least norm, and the number of its points grows until they determine a
    full quadratic: (n + 1)(n + 2) / 2 points, at most 300, or 2n + 1 if that is more. Where the
    model fails, a point that is far away is replaced by one that improves the geometry [3]_.

    Radii are relative to the size of each variable, which is ``abs(x0)`` but at least 1, and less
    within narrow bounds. The setting ``scale`` chooses other sizes.

    With ``batch_size`` > 1 a wave consists of trial steps for several radii, a point that improves
    the geometry, and points where the model is least certain. The run takes fewer waves and more
    evaluations. It depends on the seed and the batch size, not on the workers.

    Notes
    -----
    Noise is measured only when the radius is to shrink: by three values at the best point and
    close to it, which are requested twice if there is none, and never with ``noise=0``. Where
    shorter steps would show only noise, the search restarts at the best point with a larger
    radius, as in Py-BOBYQA [2]_. If restarts bring no visible gain, the run ends with
    ``StopReason.NOISE``: a success if the value has visibly fallen since the start. ``fun`` is
    the mean value where the final point was evaluated several times. If the objective returns
    standard errors, they are taken as the noise.

    References
    ----------
    .. [1] M. J. D. Powell, "The BOBYQA algorithm for bound constrained optimization without
       derivatives", report DAMTP 2009/NA06, Cambridge (2009).
    .. [2] C. Cartis, J. Fiala, B. Marteau and L. Roberts, "Improving the flexibility and robustness
       of model-based derivative-free optimization solvers", ACM Transactions on Mathematical
       Software 45 (2019) 32, https://arxiv.org/abs/1804.00154.
    .. [3] A. R. Conn, K. Scheinberg and L. N. Vicente, "Introduction to Derivative-Free
       Optimization", SIAM (2009).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> def fun(x):
    ...     return (x[0] - 1) ** 2 + (x[1] + x[0] ** 2) ** 2 + 1 + 1e-3 * rng.normal()
    >>> result = DFOTR(seed=0).minimize(fun, [-1.0, 1.0])
    >>> result.stop.name, result.success, np.allclose(result.x, [1.0, -1.0], atol=0.1)
    ('NOISE', True, True)
    """

    traits = Traits(
        "Few evaluations without gradients, with or without noise, up to a hundred variables.",
        noise=True,
        parallel=True,
        random=True,
    )
    handles_noise = True
    _tolerances = ("rhoend",)

    _declared: tuple[Option, ...] = (
        Option("rhobeg", 0.1, number(1e-12, 1e12)).means(
            "The first radius, relative to the size of each variable."
        ),
        Option("rhoend", 1e-8, number(0)).means(
            "The final radius, relative to the size of each variable: the run converges when steps "
            "of that length bring no further gain."
        ),
        Option("maxiter", 10000, limit(0)).means(
            "Maximum number of iterations, each of about one wave."
        ),
        Option("batch_size", 1, _BATCH).means(
            "How many points each wave after the first has; more than 2n + 1 are of little use. "
            '``"workers"``: as many as can be evaluated at the same time, at most 2n + 1, so that '
            "the run depends on the number of workers."
        ),
        Option("restarts", 5, limit(0)).means(
            "How many restarts in a row may bring no visible gain before the run ends."
        ),
        DISP,
    )
    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(
        self,
        rhobeg: float = 0.1,
        rhoend: float = 1e-8,
        maxiter: int = 10000,
        batch_size: int | str = 1,
        restarts: int = 5,
        disp: bool = False,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _matrices(self, problem: Problem) -> float:
        return 3 * 3.0**2  # the inverse for 2n + 1 points, and what it takes to make one

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        space = Space(problem, self.rhobeg)
        width = _width(run) if self.batch_size == _WORKERS else self.batch_size
        radii = Radii(self.rhobeg, self.rhoend)
        search = Search(space, radii, width, self.restarts, run.noise, run.rng)
        known, begin = run.known_points, None
        if known.is_best(problem.x0):  # a run that starts elsewhere may repeat an earlier one
            begin = known.x, known.fun
        stop = yield from search.steps(self.maxiter, begin)
        if search.noise.sigma:
            run.extra["noise"] = search.noise.sigma
        x, value = space.points(search.sample.center), search.sample.value
        if stop in (StopReason.NOISE, StopReason.STEP) and search.sample.is_cut:
            return ended(x, StopReason.NO_PROGRESS, value, words=_TOO_LARGE)
        words = ""
        if stop is StopReason.STEP:
            last = space.points(np.full(space.n, radii.rho))
            words = words_if_coarse(problem, x, np.abs(last - problem.x0))
        outcome = ended(x, stop, value, words=words)
        if stop is StopReason.NOISE:
            outcome.success = search.has_fallen
            outcome.status = int(not outcome.success)
        return outcome


def _width(run: Run) -> int:
    """Return how many points can be evaluated at the same time, as far as that is of use."""
    facts, most = run.waves.evaluator.facts, 2 * run.problem.n + 1
    if facts.has_workers:
        return int(min(facts.width, most))
    return 1 if facts.calls_singly else most
