"""Race: different optimizers on one problem, in one batch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from typing_extensions import override

from optimizers._shown import Tabled
from optimizers._types import ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.errors import OptionError
from optimizers.gradients.source import Jacobian
from optimizers.journal.known import start_of
from optimizers.lockstep.many import run_all
from optimizers.lockstep.results import SUMMARY, best_of, summary
from optimizers.optimizer import Optimizer
from optimizers.problem.translated import showing
from optimizers.result import OptimizerResult
from optimizers.several.field import field_of, named_of


class RaceResults(Tabled, dict[str, OptimizerResult]):
    """The results of a race by the names of the optimizers; it prints as a table."""

    @property
    def winner(self) -> str | None:
        """The name of the optimizer with the best result."""
        best = self.best
        return next((name for name, result in self.items() if result is best), None)

    @property
    def best(self) -> OptimizerResult | None:
        """The result with the best value; feasible ones come first."""
        return best_of(self.values())

    @override
    def _table(self) -> tuple[str, Sequence[str], list[Sequence[str]]]:
        rows: list[Sequence[str]] = []
        for name, result in self.items():
            *numbers, stop = summary(result)
            rows.append([name, *numbers, str(result.rounds), stop])
        return "", ("optimizer", *SUMMARY[:-1], "rounds", SUMMARY[-1]), rows


def race(
    optimizers: Iterable[Optimizer] | Mapping[str, Optimizer],
    fun: Objective,
    x0: ArrayLike,
    jac: Jacobian = None,
    bounds: BoundsLike = None,
    *,
    budget: int | None = None,
    constraints: ConstraintsLike = (),
    hess: Any = None,
    hessp: Callable[..., Any] | None = None,
    max_evals_grouped: int | None = 1,
    **settings: Any,
) -> RaceResults:
    """Run several optimizers on the same problem, with all their questions in one batch per round.

    Parameters
    ----------
    optimizers : iterable of Optimizer, or mapping of str to Optimizer
        The optimizers; by default the name of each is that of its class.
    fun, bounds, constraints
        As in :meth:`Optimizer.minimize`.
    x0, jac, hess, hessp
        As there, for those that use them; the others run without.
    budget : int, optional
        The maximum number of points for each; by default that of its own settings.
    max_evals_grouped : int, default 1
        How many points one call takes; see :meth:`Optimizer.set_max_evals_grouped`.
    **settings
        As in :meth:`Optimizer.minimize`, for each. ``timeout`` is for the whole race, and one
        ``journal`` is for all.

    Returns
    -------
    RaceResults
        The results by name. That of a failed run has the attribute ``error``.

    Raises
    ------
    InvalidInputError, CapabilityError, OptionError, UnknownOptionError
        Before the first evaluation, if an argument cannot be used.
    BaseException
        Whatever ends all runs, such as Ctrl-C; and the first error if all fail. Its attribute
        ``optimizer_results`` holds the results.

    Examples
    --------
    >>> from optimizers import LBFGSB, NELDER_MEAD, race
    >>> print(race([LBFGSB(), NELDER_MEAD()], lambda x: x @ x + 1, [3.0, 4.0], budget=100))
      optimizer       fun  nfev  nit  rounds  stop
         LBFGSB         1     9    2       3  gradient
    NELDER_MEAD ...
    """
    __tracebackhide__ = True
    settings = dict(settings)
    if budget is not None:
        if settings.get("maxfun") is not None:
            raise OptionError("budget and maxfun were given, which mean the same: pass only one.")
        settings["maxfun"] = budget
    named = named_of(optimizers)
    x0 = start_of(x0, settings, bounds)
    given = {"constraints": constraints, "hess": hess, "hessp": hessp}
    given["max_evals_grouped"] = max_evals_grouped
    field = field_of("race", named, fun, x0, jac, bounds, settings, **given)
    with showing(field.parameters), field.together(function="race") as shared:
        members = []
        for i, name in enumerate(named):
            seed = field.own_seed(name)
            members.append(field.member(shared, i, name, shared.seed if seed is None else seed))
        results = RaceResults(zip(named, run_all(shared, members, field.settings), strict=True))
    if field.parameters is not None:
        field.parameters.show(results)
    return results
