"""Multistart: minima from many starts, with enough simultaneous runs to keep the batches full."""

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from optimizers._types import Array, BoundsLike, ConstraintsLike, Objective
from optimizers.errors import InvalidInputError, OptionError
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.marks import loss_of, with_own_loss
from optimizers.fitting import LM
from optimizers.gradients.source import Jacobian
from optimizers.journal.session import together
from optimizers.lockstep.lockstep import LockStep, Member, promise
from optimizers.lockstep.many import Members, seeds_from
from optimizers.optimizer import Optimizer
from optimizers.options.table import FLAG, number, whole
from optimizers.problem.known import points_of
from optimizers.problem.problem import Problem, is_given
from optimizers.problem.translated import showing
from optimizers.result import StopReason
from optimizers.run.solve import Prepared
from optimizers.scipy import LBFGSB, SLSQP
from optimizers.several.ends import ended, show_in
from optimizers.several.minima import Minima, MultistartResult
from optimizers.several.starts import box_of, explored, explored_of, room_for, start_in, starts_of

if TYPE_CHECKING:
    from scipy.stats import qmc

#: The pairs of ``LBFGSB``, which few variables do not make slow: on the 24 functions of BBOB with 5
#: variables, it takes a fifth fewer points than with 10.
_PAIRS = 50


def multistart(
    fun: Objective,
    bounds: BoundsLike = None,
    budget: int | None = None,
    *,
    local: type[Optimizer] | Optimizer | None = None,
    optimizer: Optimizer | None = None,
    x0: Any = None,
    sampler: "Literal['sobol', 'halton', 'lhs'] | qmc.QMCEngine" = "sobol",
    slots: int | None = None,
    jac: Jacobian = None,
    constraints: ConstraintsLike = (),
    tolerance: float = 1e-3,
    agreement: bool = True,
    **settings: Any,
) -> MultistartResult:
    """Find the minima in a box from many starts, with runs that advance together.

    The starts of the first, second, fourth, eighth run and so on are the best of ever more points,
    which are evaluated first. As soon as a run ends, the next one takes its place, so that the
    waves stay full. Where not all runs can go on, those with the best values do.

    Parameters
    ----------
    fun, jac, constraints
        As in :meth:`Optimizer.minimize`.
    bounds : sequence of (low, high), array_like of shape (n, 2) or Bounds
        The box, with finite sides; or a dict from names to pairs, arrays of pairs or further
        dicts. Not needed where ``x0`` has them.
    budget : int
        Required: the maximum number of points evaluated by all runs together: a hard limit.
    local : Optimizer or its class, optional
        The algorithm of the runs; by default ``SLSQP`` if there are constraints, ``LM`` if the
        objective returns residuals, and otherwise ``LBFGSB`` with ``maxcor=50``.
    optimizer : Optimizer, optional
        Another name of ``local``.
    x0 : structure, optional
        The structure of the variables, such as a dict of arrays or of :class:`Param`, as in
        :meth:`Optimizer.minimize`. Starts are drawn between the bounds; its values are ignored.
    sampler : {"sobol", "halton", "lhs"} or scipy.stats.qmc.QMCEngine, default "sobol"
        The sampler of the starts. An engine is copied, and not changed.
    slots : int, optional
        The number of simultaneous runs. By default it is 1 if points are evaluated one by one; as
        many as fill the workers, or a call of a group of points; and 16 if their number is not
        limited; but not more than the budget can bring to an end.
    tolerance : float, default 1e-3
        Ends of runs that differ by at most this fraction of the box's width, in each variable, are
        the same minimum.
    agreement : bool, default True
        Whether to end the search when the minima agree, by the Bayesian rule of Boender and Rinnooy
        Kan [1]_: if s runs ended by themselves in w different minima, when the expected number of
        minima, ``w * (s - 1) / (s - w - 2)``, is less than w + 0.5. Unfinished runs are then
        interrupted. The rule assumes random starts, which most are.
    **settings
        As in :meth:`Optimizer.minimize_many`; ``timeout`` and ``f_target`` end the whole call, and
        ``seed`` is for the starts too. The first run starts from the best of the points ``known``.
        With a ``journal``, a larger ``budget`` continues the runs.

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
        Whatever ends all runs, such as Ctrl-C; and the error of the first run if the first 16
        (or ``slots``, if given and fewer) fail. Its attribute ``optimizer_results`` holds the
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
    >>> found.stop.name, found.nfev <= 5000, found.success
    ('AGREED', True, True)
    >>> found.x.round(1), round(found.fun, 3)
    (array([-1., -1.]), -0.201)
    """
    __tracebackhide__ = True
    whole(1)("budget", budget)
    assert budget is not None
    if slots is not None:
        whole(1)("slots", slots)
    number(0, 1, "[)")("tolerance", tolerance)
    FLAG("agreement", agreement)
    optimizer = _optimizer(fun, optimizer, local, constraints)
    optimizer._check_settings(settings)
    effective = optimizer._effective_settings(settings)
    x0, bounds = start_in(bounds) if x0 is None else (x0, bounds)
    further = {"scale": effective.get("scale"), "maximize": optimizer._maximizes(settings)}
    problem = optimizer._problem(fun, x0, jac, bounds, constraints=constraints, **further)
    parameters = problem.parameters
    lower, upper = box_of(bounds) if parameters is None else parameters.drawn_between()
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
        drawn = explored_of(starts_of(sampler, lower, upper, next(seeds)), problem.n)
        waves, again = itertools.tee(itertools.chain([best] * len(best), drawn))

        def prepare(problem: Problem, settings: dict[str, Any], share: Evaluator) -> Prepared:
            points = next(again)[: max(1, int(lockstep.left))]
            # The last point of the budget pays for a value, but not for a gradient beside it.
            around = explored(points) if len(points) > 1 or lockstep.left < 2 else None
            return optimizer._prepared(problem, settings, share, around)

        problems = (replace(problem, x0=points[0]) for points in waves)
        timeout = effective.get("timeout")
        shared.bar.expect(budget)
        room = room_for(problem, evaluator, budget) if slots is None else {"slots": int(slots)}
        limits: dict[str, Any] = {"timeout": timeout, "budget": int(budget), **room}
        lockstep = LockStep(shared.evaluator, order=promise, **limits)
        minima = Minima(tolerance * (upper - lower), problem.sign)
        members = Members(prepare, problems, settings, shared, seeds)

        def noted(_: Member) -> None:
            if agreement and minima.are_all:
                lockstep.stop(StopReason.AGREED)

        found = ended(shared, lockstep, members, minima, effective, noted, slots)
    show_in(parameters, found)
    return found


def _optimizer(fun: Any, optimizer: Any, local: Any, constraints: ConstraintsLike) -> Optimizer:
    """Return the algorithm of the runs: as given, or by the form of the problem."""
    if optimizer is not None and local is not None:
        raise OptionError("optimizer and local were given, which mean the same: pass only one.")
    if isinstance(local, type) and issubclass(local, Optimizer):
        local = local()
    name, given = ("local", local) if optimizer is None else ("optimizer", optimizer)
    if isinstance(given, Optimizer):
        return given
    if given is not None:
        form = "not a class" if name == "optimizer" else "or its class"
        raise InvalidInputError(f"{name} is {given!r}, expected an Optimizer: an object, {form}.")
    return default_local(fun, constraints)


def default_local(fun: Any, constraints: ConstraintsLike) -> Optimizer:
    """Return the algorithm for the form of a problem with bounds."""
    if is_given(constraints):
        return SLSQP()
    has_residuals = callable(fun) and loss_of(with_own_loss(fun)) is not None
    return LM() if has_residuals else LBFGSB(options={"maxcor": _PAIRS})
