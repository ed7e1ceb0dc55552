"""Race: different optimizers on one problem, in one batch."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers._shown import Tabled
from optimizers._types import ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.errors import InvalidInputError, OptionError
from optimizers.evaluation.arguments import value_alone
from optimizers.evaluation.choose import evaluator_by
from optimizers.evaluation.marks import vectorized, with_own_loss
from optimizers.gradients.source import Jacobian
from optimizers.journal.header import described
from optimizers.journal.known import start_of
from optimizers.journal.session import together
from optimizers.lockstep.lockstep import Member
from optimizers.lockstep.many import run_all
from optimizers.lockstep.member import MemberEvaluator
from optimizers.lockstep.results import SUMMARY, best_of, summary
from optimizers.optimizer import Optimizer
from optimizers.problem.negated import negated
from optimizers.problem.parameters import parameters_of
from optimizers.problem.translated import showing, translated
from optimizers.result import OptimizerResult
from optimizers.support import SupportLevel

# Settings that say how points are evaluated: the same for all.
_EVALUATING = ("workers", "eval_timeout", "retries", "hedge")

# Further settings of the race, not of its members.
_COMMON = ("journal", "progress", "scale", "maximize")


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
    fun, x0, bounds, constraints
        As in :meth:`Optimizer.minimize`.
    jac, hess, hessp
        As there, for those that support them; the others run without.
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
    named = _named(optimizers)
    x0 = start_of(x0, settings, bounds)
    evaluating = {name: settings.pop(name) for name in _EVALUATING if name in settings}
    if jac is True and isinstance(evaluating.get("workers"), str):
        fun = vectorized(fun)
    for name, optimizer in named.items():
        _check(name, optimizer)
    parameters = parameters_of(x0, bounds, settings.get("scale"))
    if parameters is not None:
        further = {"constraints": constraints, "hess": hess, "hessp": hessp}
        fun, x0, jac, bounds, constraints, hess, hessp = translated(
            parameters, fun, jac, **further
        ).values()
    levels = [optimizer._level("residuals") for optimizer in named.values()]
    fun = with_own_loss(fun, is_required=SupportLevel.required in levels)
    sign = -1.0 if settings.get("maximize") else 1.0
    if sign < 0:  # once for all, who are to have the same objective
        fun, jac, hess, hessp = negated(fun, jac, hess, hessp)
    alone = value_alone(fun) if jac is True else fun  # for those that use no gradient
    evaluator = evaluator_by(alone, max_evals_grouped, evaluating)
    problems = []
    for name, optimizer in named.items():
        optimizer._check_settings(settings)
        given = _given(optimizer, jac, hess, hessp)
        problem = optimizer._problem(fun, x0, bounds=bounds, constraints=constraints, **given)
        if problem.fun is not fun:
            raise OptionError(
                f"{name} was made with args, but a race has one objective for all: remove args."
            )
        problems.append(replace(problem, parameters=parameters, sign=sign))
    # The journal records the derivatives, if any of them uses these.
    first, most = next(iter(named.values())), max(problems, key=_derivatives)
    many = {"function": "race", "optimizers": {k: described(o) for k, o in named.items()}}
    journaled = together(first, most, evaluator, settings, settings, many)
    with showing(parameters), journaled as shared:
        members = []
        for number, (optimizer, problem) in enumerate(zip(named.values(), problems, strict=True)):
            own = {**settings, "journal": None}  # there is one for all runs
            if optimizer._effective_settings(settings).get("seed") is None:
                own["seed"] = shared.seed
            share = MemberEvaluator(shared.evaluator, number)
            prepared = optimizer._prepared(shared.problem_of(number, problem), own, share)
            members.append(Member(prepared, share, number))
        results = RaceResults(zip(named, run_all(shared, members, settings), strict=True))
    if parameters is not None:
        parameters.show(results)
    return results


def _named(optimizers: Any) -> dict[str, Optimizer]:
    try:
        listed = None if isinstance(optimizers, Optimizer) else [*optimizers]
    except TypeError:
        listed = None
    if listed is None:
        raise InvalidInputError(
            f"optimizers is {optimizers!r}, expected a sequence of Optimizers, or a dict of them."
        )
    if isinstance(optimizers, Mapping):
        named = {str(name): optimizer for name, optimizer in optimizers.items()}
    else:
        named = {}
        for optimizer in listed:
            own = type(optimizer).__name__
            names = itertools.chain([own], (f"{own}-{count}" for count in itertools.count(2)))
            named[next(name for name in names if name not in named)] = optimizer
    if not named:
        raise InvalidInputError("optimizers is empty, expected at least one Optimizer.")
    return named


def _derivatives(problem: Any) -> int:
    """Return how many derivatives an optimizer uses."""
    return sum(map(callable, (problem.derivatives.jac, problem.hess, problem.hessp)))


def _check(name: str, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise InvalidInputError(
            f"optimizer {name!r} is {optimizer!r}, expected an Optimizer: an object, not a class."
        )
    own = optimizer.settings
    given = {setting: bool(np.any(own.get(setting))) for setting in (*_EVALUATING, *_COMMON)}
    given["known"] = own.get("known") is not None
    for setting, is_given in given.items():
        if is_given:
            raise OptionError(f"{name} was made with {setting}: pass it to race, for all.")
    if own.get("max_evals_grouped") not in (None, 1):
        raise OptionError(f"{name} was made with max_evals_grouped: pass it to race, for all.")


def _given(optimizer: Optimizer, jac: Any, hess: Any, hessp: Any) -> dict[str, Any]:
    """Return those of jac, hess and hessp that an optimizer supports; None for the others."""
    levels = optimizer.get_support_level()
    if levels["gradient"] < SupportLevel.supported:
        jac = None
    if levels.get("hessian", 0) < SupportLevel.supported:
        hess = hessp = None
    return {"jac": jac, "hess": hess, "hessp": hessp}
