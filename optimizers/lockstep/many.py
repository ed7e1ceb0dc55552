"""Many runs of one optimizer in lock-step: starts, seeds and results."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import override

from optimizers._arrays import as_real
from optimizers._types import Array, ArrayLike
from optimizers.errors import InvalidInputError, OptionError, warn_user
from optimizers.evaluation.evaluator import Evaluator
from optimizers.journal.session import Together
from optimizers.lockstep.lockstep import LockStep, Member
from optimizers.lockstep.member import MemberEvaluator
from optimizers.lockstep.results import OptimizerResults, in_all, raise_if_ended, raise_with
from optimizers.problem.known import points_of
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.solve import Prepared

#: Makes a run on a problem with settings and an evaluator.
Prepare: TypeAlias = Callable[[Problem, dict[str, Any], Evaluator], Prepared]


def minimize_many(
    prepare: Prepare,
    shared: Together,
    problem: Problem,
    starts: Array,
    settings: dict[str, Any],
    effective: dict[str, Any],
    on_error: str,
) -> OptimizerResults:
    """Minimize from many starts; see :meth:`Optimizer.minimize_many`."""
    __tracebackhide__ = True
    if not (isinstance(on_error, str) and on_error in ("return", "raise")):
        raise OptionError(f"on_error is {on_error!r}, expected 'return' or 'raise'.")
    problems = [replace(problem, x0=start) for start in inside_all(starts, problem)]
    members = list(Members(prepare, problems, settings, shared, seeds_from(shared.seed)))
    return run_all(shared, members, effective, on_error)


def run_all(
    shared: Together, members: list[Member], effective: dict[str, Any], on_error: str = "return"
) -> OptimizerResults:
    """Run members to their ends and return their results, or raise the error that ended them."""
    __tracebackhide__ = True
    shared.bar.expect(sum(member.run.budget.limit for member in members))
    lockstep = LockStep(shared.evaluator, timeout=effective.get("timeout"))
    for _ in lockstep.ended(members):
        pass
    reason = lockstep.stopped or StopReason.CLOSED
    found = (member.finish(reason) for member in members)
    return concluded(shared, lockstep, found, effective, on_error)


def concluded(
    shared: Together,
    lockstep: LockStep,
    found: Iterable[OptimizerResult],
    effective: dict[str, Any],
    on_error: str = "return",
) -> OptimizerResults:
    """Return the results of all runs, or raise the error that ended them."""
    results = OptimizerResults(found, lockstep.rounds)
    raise_if_ended(lockstep, results, effective)
    failed = len(results.failures)
    if failed and (on_error == "raise" or failed == len(results)):
        raise_with(next(iter(results.failures.values())), results)
    reason = ", ".join(dict.fromkeys(result.stop.value for result in results))
    shared.conclude(results, in_all(results), reason)
    return results


class Members(Iterator[Member]):
    """The runs of one optimizer on problems; the first one gets the seed as given.

    Iteration can continue when problems are added later.
    """

    def __init__(
        self,
        prepare: Prepare,
        problems: Iterable[Problem],
        settings: dict[str, Any],
        shared: Together,
        seeds: Iterator[Any],
    ) -> None:
        self._prepare, self._shared, self._seeds = prepare, shared, seeds
        self._problems = enumerate(problems)
        self._settings = {**settings, "journal": None}  # there is one for all runs

    @override
    def __next__(self) -> Member:
        number, problem = next(self._problems)
        self._settings["seed"] = next(self._seeds)
        share = MemberEvaluator(self._shared.evaluator, number)
        own = self._shared.problem_of(number, problem)
        if self._settings.get("known") is not None:  # once for all, who have the same bounds
            self._settings["known"] = points_of(self._settings["known"], own)
        member = Member(self._prepare(own, self._settings, share), share, number)
        if number == 0 and member.run.noise is None:
            self._settings["noise"] = None  # a warning was given
        return member


def as_starts(given: ArrayLike) -> Array:
    """Return the starts of many runs as a new float64 array, shape (B, n)."""
    raw = as_real("X0", given, "an array of real numbers of shape (B, n)")
    if raw.ndim != 2 or len(raw) == 0:
        raise InvalidInputError(
            f"X0 has shape {raw.shape}, expected (B, n): a row for each of B >= 1 starts. Pass a "
            "single start as [x0]."
        )
    starts = np.array(raw, dtype=np.float64, order="C")
    bad = np.argwhere(~np.isfinite(starts))
    if len(bad):
        i, j = bad[0]
        raise InvalidInputError(f"X0[{i}, {j}] is {starts[i, j]}, expected finite numbers.")
    return starts


def inside_all(starts: Array, problem: Problem) -> list[Array]:
    """Return the starts inside the bounds; warn once if starts other than the first were outside.

    The first is that of the problem, and was checked with it.
    """
    if problem.lower is None or problem.upper is None:
        return [start.copy() for start in starts]
    clipped = np.clip(starts, problem.lower, problem.upper)
    moved = np.argwhere(clipped != starts)
    moved = moved[moved[:, 0] > 0]
    if len(moved):
        i, j = moved[0]
        count = len(np.unique(moved[:, 0]))
        warn_user(
            f"{count} start{'s' * (count > 1)} besides X0[0] {'is' if count == 1 else 'are'} "
            "outside the bounds, first "
            f"X0[{i}, {j}] = {starts[i, j]}; they were clipped, to X0[{i}, {j}] = {clipped[i, j]}."
        )
    return list(clipped)


def seeds_from(seed: Any) -> Iterator[Any]:
    """Yield a seed for each run: the given one for the first, then children spawned from it."""
    yield seed
    while seed is None:
        yield None
    try:
        generator = np.random.default_rng(seed)
        while True:
            yield from generator.spawn(1)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"seed is {seed!r}, from which seeds for the other runs cannot be spawned ({error}): "
            "pass a whole number, a SeedSequence or a Generator made by numpy.random.default_rng."
        ) from None
