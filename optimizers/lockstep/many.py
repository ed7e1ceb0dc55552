"""Many runs of one optimizer from different starts, in lock-step."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.evaluation.evaluator import Evaluator
from optimizers.lockstep.lockstep import LockStep, Member
from optimizers.lockstep.member import MemberEvaluator
from optimizers.lockstep.results import OptimizerResults, attached, raise_if_ended
from optimizers.lockstep.starts import inside_all, seeds_from
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.solve import Prepared

#: Makes a run on a problem with settings and an evaluator.
Prepare: TypeAlias = Callable[[Problem, dict[str, Any], Evaluator], Prepared]


def minimize_many(
    prepare: Prepare,
    evaluator: Evaluator,
    problem: Problem,
    starts: Array,
    settings: dict[str, Any],
    holding: dict[str, Any],
    on_error: str,
) -> OptimizerResults:
    """Minimize from many starts; see :meth:`Optimizer.minimize_many`."""
    check_no_journal(holding)
    if on_error not in ("return", "raise"):
        raise OptionError(f"on_error is {on_error!r}, expected 'return' or 'raise'.")
    problems = [replace(problem, x0=start) for start in inside_all(starts, problem)]
    members = list(
        members_of(prepare, problems, settings, evaluator, seeds_from(holding.get("seed")))
    )
    return run_all(evaluator, members, holding, on_error)


def run_all(
    evaluator: Evaluator, members: list[Member], holding: dict[str, Any], on_error: str = "return"
) -> OptimizerResults:
    """Run members to their ends and return their results, or raise what ended them."""
    lockstep = LockStep(evaluator, timeout=holding.get("timeout"))
    for _ in lockstep.ended(members):
        pass
    reason = lockstep.stopped or StopReason.CLOSED
    results = OptimizerResults((member.finish(reason) for member in members), lockstep.rounds)
    raise_if_ended(lockstep.error, results, holding)
    failures = list(results.failures.values())
    if failures and (on_error == "raise" or len(failures) == len(results)):
        raise attached(failures[0], results)
    return results


def check_no_journal(holding: dict[str, Any]) -> None:
    """Raise an OptionError if a journal was given for many runs."""
    if holding.get("journal") is not None:
        raise OptionError(
            "journal was given, but a journal is of one run, and these are many: leave it out, "
            "or run them one by one, each with its own."
        )


def members_of(
    prepare: Prepare,
    problems: Iterable[Problem],
    settings: dict[str, Any],
    evaluator: Evaluator,
    seeds: Iterator[Any],
) -> Iterator[Member]:
    """Yield the runs of one optimizer on problems; the first has the seed as it was given."""
    settings = dict(settings)
    for number, problem in enumerate(problems):
        settings["seed"] = next(seeds)
        share = MemberEvaluator(evaluator)
        member = Member(prepare(problem, settings, share), share, number)
        if number == 0 and member.run.noise is None:
            settings["noise"] = None  # a warning has said that it has no effect
        yield member
