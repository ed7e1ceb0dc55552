"""Multistart: minima from many starts, with enough simultaneous runs to keep the batches full."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from optimizers._types import Array, BoundsLike, Objective
from optimizers.errors import InvalidInputError
from optimizers.gradients.source import Jacobian
from optimizers.journal.session import together
from optimizers.lockstep.lockstep import LockStep
from optimizers.lockstep.many import Members, seeds_from
from optimizers.lockstep.results import OptimizerResults, in_all, raise_if_ended, raise_with
from optimizers.optimizer import Optimizer
from optimizers.options.table import FLAG, number, whole
from optimizers.portfolio.minima import Minima, MultistartResult
from optimizers.portfolio.starts import box_of, low_of, starts_of
from optimizers.problem.known import points_of
from optimizers.problem.translated import showing
from optimizers.result import OptimizerResult, StopReason
from optimizers.scipy import LBFGSB

if TYPE_CHECKING:
    from scipy.stats import qmc

#: How many runs may fail, if all do, before a bug is assumed.
_FAILURES = 8


def multistart(
    fun: Objective,
    bounds: BoundsLike,
    budget: int,
    *,
    optimizer: Optimizer | None = None,
    x0: Any = None,
    sampler: "Literal['sobol', 'halton', 'lhs'] | qmc.QMCEngine" = "sobol",
    slots: int = 16,
    jac: Jacobian = None,
    tolerance: float = 1e-3,
    agreement: bool = True,
    **settings: Any,
) -> MultistartResult:
    """Find the minima in a box from many starts, with runs that advance together.

    As soon as a run ends, the next start takes its slot, so that the waves stay full.

    Parameters
    ----------
    fun, jac
        As in :meth:`Optimizer.minimize`.
    bounds : sequence of (low, high), array_like of shape (n, 2) or Bounds
        The box, with finite sides; or a dict from names to pairs.
    budget : int
        The maximum number of points evaluated by all runs together: a hard limit.
    optimizer : Optimizer, optional
        The algorithm of the runs; ``LBFGSB()`` by default.
    x0 : structure, optional
        The structure of the variables, such as a dict of arrays or of :class:`Param`, as in
        :meth:`Optimizer.minimize`. Starts are drawn between the bounds; its values are ignored.
    sampler : {"sobol", "halton", "lhs"} or scipy.stats.qmc.QMCEngine, default "sobol"
        The sampler of the starts. An engine is copied, and not changed.
    slots : int, default 16
        The number of simultaneous runs.
    tolerance : float, default 1e-3
        Ends of runs that differ by at most this fraction of the box's width, in each variable, are
        the same minimum.
    agreement : bool, default True
        Whether to end the search when the minima agree, by the Bayesian rule of Boender and Rinnooy
        Kan [1]_: if s runs ended by themselves in w different minima, when the expected number of
        minima, ``w * (s - 1) / (s - w - 2)``, is less than w + 0.5. Unfinished runs are then
        interrupted.
    **settings
        As in :meth:`Optimizer.minimize_many`; ``timeout`` is for the whole call, and ``seed`` for
        the starts too. The first run starts from the best of the points ``known``. With a
        ``journal``, a larger ``budget`` continues the runs.

    Returns
    -------
    MultistartResult
        The minima, the runs, and why the search ended. A failed run is one of the runs, with its
        error, but not among the minima.

    Raises
    ------
    InvalidInputError, CapabilityError, OptionError, UnknownOptionError
        Before the first evaluation, if an argument cannot be used.
    BaseException
        Whatever ends all runs, such as Ctrl-C; and the error of the first run if the first eight
        (or ``slots``, if that is fewer) fail. Its attribute ``optimizer_results`` holds the
        results.

    References
    ----------
    .. [1] C. G. E. Boender and A. H. G. Rinnooy Kan, "Bayesian stopping rules for multistart
       global optimization methods", Mathematical Programming 37 (1987) 59-80.

    Examples
    --------
    >>> from optimizers import multistart, vectorized
    >>> @vectorized
    ... def fun(points):  # four minima, the lowest at (-1, -1)
    ...     return ((points**2 - 1) ** 2 + 0.1 * points).sum(axis=1)
    >>> found = multistart(fun, [(-2, 2)] * 2, budget=5000, seed=1)
    >>> [minimum.x.round(1).tolist() for minimum in found.minima]
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    >>> found.stop.name, found.nfev <= 5000
    ('AGREED', True)
    """
    __tracebackhide__ = True
    whole(1)("budget", budget)
    whole(1)("slots", slots)
    number(0, 1, "[)")("tolerance", tolerance)
    FLAG("agreement", agreement)
    if optimizer is None:
        optimizer = LBFGSB()
    if not isinstance(optimizer, Optimizer):
        raise InvalidInputError(
            f"optimizer is {optimizer!r}, expected an Optimizer: an object, not a class."
        )
    optimizer._check_settings(settings)
    effective = optimizer._effective_settings(settings)
    if x0 is None and isinstance(bounds, Mapping):
        x0 = {name: low_of(name, pair) for name, pair in bounds.items()}
    if x0 is None:
        lower, upper = box_of(bounds)
        x0, bounds = lower, np.column_stack([lower, upper])
    further = {"scale": effective.get("scale"), "maximize": optimizer._maximizes(settings)}
    problem = optimizer._problem(fun, x0, jac, bounds, **further)
    parameters = problem.parameters
    if parameters is not None:
        lower, upper = box_of(parameters.bounds)
    best: Array = np.empty((0, problem.n))
    known = optimizer._read_known(settings)
    if known is not None:
        best = points_of(known, problem).lowest
    next(starts_of(sampler, lower, upper, 0))  # raises an error if there is no such sampler
    many = {"function": "multistart", "sampler": sampler, "slots": slots, "tolerance": tolerance}
    many["agreement"] = bool(agreement)
    evaluator = optimizer._evaluator(problem.fun, settings)
    journaled = together(optimizer, problem, evaluator, settings, effective, many)
    with showing(parameters), journaled as shared:
        seeds = seeds_from(shared.seed)
        next(seeds)
        starts = itertools.chain(best, starts_of(sampler, lower, upper, next(seeds)))
        problems = (replace(problem, x0=start) for start in starts)
        timeout = effective.get("timeout")
        shared.bar.expect(budget)
        lockstep = LockStep(shared.evaluator, timeout=timeout, budget=int(budget), slots=int(slots))
        minima = Minima(tolerance * (upper - lower), problem.sign)
        ended: dict[int, OptimizerResult] = {}
        members = Members(optimizer._prepared, problems, settings, shared, seeds)
        for member in lockstep.ended(members):
            result = ended[member.number] = member.result
            if result.success and result.fun is not None:
                minima.add(result.x.copy(), result.fun, member.number)
            if agreement and minima.are_all:
                lockstep.stop(StopReason.AGREED)
            first = range(min(_FAILURES, int(slots)))
            if member.number in first and all("error" in ended.get(i, ()) for i in first):
                lockstep.stop(StopReason.FAILED)
        runs = OptimizerResults((ended[number] for number in sorted(ended)), lockstep.rounds)
        raise_if_ended(lockstep, runs, effective)
        if lockstep.stopped is StopReason.FAILED:
            raise_with(next(iter(runs.failures.values())), runs)
        stop = lockstep.stopped or StopReason.MAXFUN
        shared.keep_record(runs)
        shared.reason = stop.value
        shared.result.append(in_all(runs))
    if parameters is not None:
        parameters.show(runs)
        for minimum in minima.sorted():
            minimum.x = parameters.point(minimum.x)
    return MultistartResult(minima.sorted(), runs, stop)
