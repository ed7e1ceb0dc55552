"""Portfolio: several algorithms share a budget, and those that fall behind get less of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from typing_extensions import override

from optimizers._types import Array, BoundsLike, ConstraintsLike, Objective
from optimizers.gradients.source import Jacobian
from optimizers.journal.known import known_rows
from optimizers.lockstep.lockstep import LockStep, Member
from optimizers.lockstep.many import seeds_from
from optimizers.lockstep.results import SUMMARY, OptimizerResults, summary
from optimizers.optimizer import Optimizer
from optimizers.options.table import number, whole
from optimizers.problem.known import points_of
from optimizers.problem.leaf import is_plain
from optimizers.problem.problem import is_given
from optimizers.problem.structure import Structure
from optimizers.problem.translated import showing
from optimizers.result import OptimizerResult
from optimizers.scipy import COBYQA, LBFGSB, SLSQP, DifferentialEvolution
from optimizers.search import CMAES
from optimizers.several.arms import Arms
from optimizers.several.ends import ended, show_in
from optimizers.several.field import field_of, named_of
from optimizers.several.minima import Minima, MultistartResult
from optimizers.several.multistart import default_local
from optimizers.several.starts import (
    box_of,
    explored,
    explored_of,
    probes_of,
    room_for,
    start_in,
    starts_of,
)

if TYPE_CHECKING:
    from scipy.stats import qmc

#: Up to how many variables ``SLSQP``, whose work grows with their cube, is a member; and its
#: tolerance, which is absolute.
_SMALL, _FTOL = 100, 1e-10


@dataclass(eq=False, repr=False)
class PortfolioResult(MultistartResult):
    """The result of :func:`portfolio`: that of a multistart, with the names of the members.

    Attributes
    ----------
    names : list of str
        The member of each run.
    """

    names: list[str]

    @property
    def members(self) -> dict[str, OptimizerResults]:
        """The runs of each member that began one."""
        each = dict[str, list[OptimizerResult]]()
        for name, result in zip(self.names, self.runs, strict=True):
            each.setdefault(name, []).append(result)
        rounds = self.runs.rounds
        return {name: OptimizerResults(results, rounds) for name, results in each.items()}

    @property
    def winner(self) -> str | None:
        """The name of the member that found the best point."""
        best = self.best
        return next((n for n, run in zip(self.names, self.runs, strict=True) if run is best), None)

    @override
    def _table(self) -> tuple[str, Sequence[str], list[Sequence[str]]]:
        rows: list[Sequence[str]] = []
        for name, results in self.members.items():
            best = results.best
            fun, stop = ("-", "-") if best is None else (summary(best)[0], summary(best)[-1])
            rows.append([name, fun, str(len(results)), str(results.nfev), stop])
        return self._head, ("member", SUMMARY[0], "runs", "nfev", "best run"), rows


def portfolio(
    fun: Objective,
    bounds: BoundsLike = None,
    budget: int | None = None,
    *,
    members: Iterable[Optimizer] | Mapping[str, Optimizer] | None = None,
    x0: Any = None,
    sampler: "Literal['sobol', 'halton', 'lhs'] | qmc.QMCEngine" = "sobol",
    jac: Jacobian = None,
    constraints: ConstraintsLike = (),
    tolerance: float = 1e-3,
    max_evals_grouped: int | None = 1,
    **settings: Any,
) -> PortfolioResult:
    """Minimize in a box by several algorithms that share a budget.

    The member that found the best point goes on alone while it finds better ones. Otherwise, it is
    the turn of the one that has spent the least, where each run since it last found the best point
    makes its points count four times: a member that falls behind is dropped. The first run of a
    member starts from the best point found until then, and further ones from new points, as in
    :func:`multistart`. Members that use no start run once.

    Parameters
    ----------
    fun, bounds, x0, sampler, jac, constraints, tolerance
        As in :func:`multistart`. Members that do not use a gradient run without.
    budget : int
        Required: the maximum number of points evaluated by all members together: a hard limit.
    members : iterable of Optimizer, or mapping of str to Optimizer, optional
        The algorithms. By default these are ``SLSQP`` for up to 100 variables, ``LBFGSB``, and
        ``CMAES(restarts="bipop")``, or ``DifferentialEvolution`` without the extra ``cma``. If the
        objective returns residuals, the first two are ``LM``. With constraints, the members are
        ``SLSQP`` and ``COBYQA``.
    max_evals_grouped : int, default 1
        How many points one call takes; see :meth:`Optimizer.set_max_evals_grouped`.
    **settings
        As in :meth:`Optimizer.minimize`, for each run; ``seed`` is for the starts too. ``timeout``
        and ``f_target`` end all. One ``journal`` is for all; with it, a larger ``budget`` continues
        the runs. The points ``known`` are known to each run, and the first one starts from the best
        of them.

    Returns
    -------
    PortfolioResult
        The best point, the minima, and the runs of each member. It stops with ``CONVERGED`` if all
        members ended that run once, and there are no others.

    Raises
    ------
    InvalidInputError, CapabilityError, OptionError, UnknownOptionError
        Before the first evaluation, if an argument cannot be used.
    BaseException
        Whatever ends all runs, such as Ctrl-C; and the first error if the first 16 runs fail. Its
        attribute ``optimizer_results`` holds the results.

    Examples
    --------
    >>> from optimizers import COBYQA, LBFGSB, portfolio
    >>> def fun(x):
    ...     return ((x**2 - 1) ** 2 + 0.1 * x).sum()
    >>> found = portfolio(fun, [(-2, 2)] * 2, budget=300, members=[LBFGSB(), COBYQA()], seed=1)
    >>> found.x.round(2), found.nfev <= 300
    (array([-1.01, -1.01]), True)
    """
    __tracebackhide__ = True
    whole(1)("budget", budget)
    assert budget is not None
    number(0, 1, "[)")("tolerance", tolerance)
    settings = dict(settings)
    x0, bounds = start_in(bounds) if x0 is None else (x0, bounds)
    if members is None:
        members = _members(fun, x0, constraints)
    given = {"constraints": constraints, "max_evals_grouped": max_evals_grouped}
    named = named_of(members, "members")
    field = field_of("portfolio", named, fun, x0, jac, bounds, settings, **given)
    parameters, problem = field.parameters, field.problem
    lower, upper = box_of(bounds) if parameters is None else parameters.drawn_between()
    best: Array = np.empty((0, problem.n))
    if settings.get("known") is not None:
        settings["known"] = known = points_of(known_rows(settings["known"]), problem)
        best = known.lowest
    next(starts_of(sampler, lower, upper, 0))  # raises an error if there is no such sampler
    many = {"function": "portfolio", "sampler": sampler, "tolerance": tolerance}
    with showing(parameters), field.together(**many) as shared:
        seeds = seeds_from(shared.seed)
        next(seeds)
        own_seeds = ((name, field.own_seed(name)) for name in named)
        own = {name: seeds_from(seed) for name, seed in own_seeds if seed is not None}
        drawn = explored_of(starts_of(sampler, lower, upper, next(seeds)), problem.n)

        def begin(name: str, number: int, x0: Array | None) -> Member:
            points = next(drawn)[: max(1, int(lockstep.left))]
            if number == 0 and len(best):
                x0 = best[0]
            around = explored(points) if x0 is None and len(points) > 1 else None
            start = points[0] if x0 is None else x0
            return field.member(shared, number, name, next(own.get(name, seeds)), start, around)

        shared.bar.expect(budget)
        room = room_for(problem, field.evaluator, budget)
        room["slots"] = max(room["slots"], len(named))
        limits: dict[str, Any] = {"timeout": settings.get("timeout"), "budget": int(budget), **room}
        lockstep = LockStep(
            shared.evaluator, order=lambda member: arms.order(member), begins_all=True, **limits
        )
        # Without a start, a further run would repeat the first one.
        once = {name: member.is_initial_point_ignored for name, member in named.items()}
        arms = Arms(once, probes_of(problem), lockstep.has_room, begin)
        minima = Minima(tolerance * (upper - lower), problem.sign)
        found = ended(shared, lockstep, arms, minima, settings, arms.end)
    show_in(parameters, found)
    return PortfolioResult(found.minima, found.runs, found.stop, arms.names)


def _members(fun: Any, x0: Any, constraints: ConstraintsLike) -> list[Optimizer]:
    """Return the default members: one or two that are local, and one that looks further."""
    local = default_local(fun, constraints)
    if is_given(constraints):
        return [local, COBYQA()]
    n = np.size(x0) if is_plain(x0) else Structure(x0).size
    first = [SLSQP(ftol=_FTOL)] if isinstance(local, LBFGSB) and n <= _SMALL else []
    return [
        *first,
        local,
        DifferentialEvolution() if find_spec("cma") is None else CMAES(restarts="bipop"),
    ]
