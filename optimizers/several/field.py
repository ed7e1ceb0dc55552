"""Different optimizers on one problem: what each of them is given, and who evaluates for all."""

import contextlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimizers._types import Array, ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.errors import InvalidInputError, OptionError
from optimizers.evaluation.arguments import value_alone
from optimizers.evaluation.choose import evaluator_by
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.marks import vectorized, with_own_loss
from optimizers.gradients.source import Jacobian
from optimizers.journal.header import described
from optimizers.journal.session import Together, together
from optimizers.lockstep.lockstep import Member
from optimizers.lockstep.member import MemberEvaluator
from optimizers.optimizer import Optimizer
from optimizers.problem.negated import negated
from optimizers.problem.parameters import Parameters, parameters_of
from optimizers.problem.problem import Problem
from optimizers.problem.translated import translated
from optimizers.run.solve import Solve
from optimizers.support import SupportLevel

# Settings that say how points are evaluated: the same for all.
_EVALUATING = ("workers", "eval_timeout", "retries", "hedge")

# Further settings of the whole, not of its members.
_COMMON = ("journal", "progress", "scale", "maximize")


@dataclass(frozen=True)
class Field:
    """The members that take part, with the problem of each, and their common evaluator."""

    named: dict[str, Optimizer]
    problems: dict[str, Problem]
    parameters: Parameters | None
    evaluator: Evaluator
    settings: dict[str, Any]

    @property
    def problem(self) -> Problem:
        """The problem of the member that uses the most derivatives."""
        return max(self.problems.values(), key=_derivatives)

    def together(self, **many: Any) -> contextlib.AbstractContextManager[Together]:
        """Return the context of their runs; ``many`` identifies them in a journal."""
        first = next(iter(self.named.values()))
        many["optimizers"] = {name: described(each) for name, each in self.named.items()}
        # The journal records the derivatives, if any of them uses these.
        return together(first, self.problem, self.evaluator, self.settings, self.settings, many)

    def own_seed(self, name: str) -> Any:
        """Return the seed that one of them was made with; None if the call gives one for all."""
        if self.settings.get("seed") is not None:
            return None
        return self.named[name].settings.get("seed")

    def member(
        self,
        shared: Together,
        number: int,
        name: str,
        seed: Any,
        x0: Array | None = None,
        around: Callable[[Solve], Solve] | None = None,
    ) -> Member:
        """Return a run of one of them: from the common start, or another one."""
        optimizer, problem = self.named[name], self.problems[name]
        if x0 is not None:
            problem = replace(problem, x0=x0)
        # There is one journal for all runs.
        own = {**self.settings, "journal": None, "seed": seed}
        share = MemberEvaluator(shared.evaluator, number)
        own_problem = shared.problem_of(number, problem)
        return Member(optimizer._prepared(own_problem, own, share, around), share, number)


def field_of(
    function: str,
    named: dict[str, Optimizer],
    fun: Objective,
    x0: ArrayLike,
    jac: Jacobian,
    bounds: BoundsLike,
    settings: dict[str, Any],
    *,
    constraints: ConstraintsLike = (),
    hess: Any = None,
    hessp: Callable[..., Any] | None = None,
    max_evals_grouped: int | None = 1,
) -> Field:
    """Return the members of a function that runs different optimizers, checked."""
    evaluating = {name: settings.pop(name) for name in _EVALUATING if name in settings}
    if jac is True and isinstance(evaluating.get("workers"), str):
        fun = vectorized(fun)
    for name, optimizer in named.items():
        _check(name, optimizer, function)
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
        fun, jac, hess, hessp = negated(fun, jac, hess, hessp, np.size(x0))
    alone = value_alone(fun) if jac is True else fun  # for those that use no gradient
    evaluator = evaluator_by(alone, max_evals_grouped, evaluating)
    problems = dict[str, Problem]()
    for name, optimizer in named.items():
        optimizer._check_settings(settings)
        given = _given(optimizer, jac, hess, hessp)
        start: Any = None if optimizer.is_initial_point_ignored else x0
        problem = optimizer._problem(fun, start, bounds=bounds, constraints=constraints, **given)
        if problem.fun is not fun:
            raise OptionError(
                f"{name} was made with args, but {function} has one objective for all: remove args."
            )
        problems[name] = replace(problem, parameters=parameters, sign=sign)
    return Field(named, problems, parameters, evaluator, settings)


def named_of(optimizers: Any, title: str = "optimizers") -> dict[str, Optimizer]:
    """Return optimizers by name: as given, or those of their classes."""
    try:
        listed = None if isinstance(optimizers, Optimizer) else [*optimizers]
    except TypeError:
        listed = None
    if listed is None:
        raise InvalidInputError(
            f"{title} is {optimizers!r}, expected a sequence of Optimizers, or a dict of them."
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
        raise InvalidInputError(f"{title} is empty, expected at least one Optimizer.")
    return named


def _derivatives(problem: Any) -> int:
    """Return how many derivatives an optimizer uses."""
    return sum(map(callable, (problem.derivatives.jac, problem.hess, problem.hessp)))


def _check(name: str, optimizer: Any, function: str) -> None:
    """Raise an error if a member is not an optimizer, or has settings of the whole."""
    if not isinstance(optimizer, Optimizer):
        raise InvalidInputError(
            f"One of the optimizers is {optimizer!r}, expected an Optimizer: an object such as "
            "LBFGSB(), not a class or a name."
        )
    own = optimizer.settings
    given = {setting: bool(np.any(own.get(setting))) for setting in (*_EVALUATING, *_COMMON)}
    given["known"] = own.get("known") is not None
    for setting, is_given in given.items():
        if is_given:
            raise OptionError(f"{name} was made with {setting}: pass it to {function}, for all.")
    if own.get("max_evals_grouped") not in (None, 1):
        raise OptionError(
            f"{name} was made with max_evals_grouped: pass it to {function}, for all."
        )


def _given(optimizer: Optimizer, jac: Any, hess: Any, hessp: Any) -> dict[str, Any]:
    """Return those of jac, hess and hessp that an optimizer supports; None for the others."""
    levels = optimizer.get_support_level()
    if levels["gradient"] < SupportLevel.supported:
        jac = None
    if levels.get("hessian", 0) < SupportLevel.supported:
        hess = hessp = None
    return {"jac": jac, "hess": hess, "hessp": hessp}
