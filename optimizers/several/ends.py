"""The ends of many runs: their minima, why the search ends, and the result of all."""

from collections.abc import Callable, Iterable
from typing import Any

from optimizers.journal.session import Together
from optimizers.lockstep.lockstep import LockStep, Member
from optimizers.lockstep.results import OptimizerResults, in_all, raise_if_ended, raise_with
from optimizers.problem.parameters import Parameters
from optimizers.result import OptimizerResult, StopReason
from optimizers.several.minima import Minima, MultistartResult

#: How many runs may fail, if all do, before a bug is assumed.
_FAILURES = 16


def ended(
    shared: Together,
    lockstep: LockStep,
    members: Iterable[Member],
    minima: Minima,
    effective: dict[str, Any],
    noted: Callable[[Member], None],
    failures: int | None = None,
) -> MultistartResult:
    """Run members to their ends and return what was found, or raise the error that ended all.

    Each is ``noted`` at its end. If the first ones all fail, up to 16 or ``failures``, that is a
    bug, which ends all.
    """
    __tracebackhide__ = True
    first = range(min(failures or _FAILURES, _FAILURES))
    results = dict[int, OptimizerResult]()
    for member in lockstep.ended(members):
        result = results[member.number] = member.result
        if result.success and result.fun is not None:
            minima.add(result.x.copy(), result.fun, member.number)
        if result.stop is StopReason.TARGET:
            lockstep.stop(StopReason.TARGET)
        noted(member)
        if all("error" in results.get(number, ()) for number in first):
            lockstep.stop(StopReason.FAILED)
    runs = OptimizerResults((results[number] for number in sorted(results)), lockstep.rounds)
    raise_if_ended(lockstep, runs, effective)
    if lockstep.stopped is StopReason.FAILED:
        raise_with(next(iter(runs.failures.values())), runs)
    done = StopReason.MAXFUN if lockstep.is_spent else StopReason.CONVERGED
    stop = lockstep.stopped or done
    shared.conclude(runs, in_all(runs), stop.value)
    return MultistartResult(minima.sorted(), runs, stop)


def show_in(parameters: Parameters | None, found: MultistartResult) -> None:
    """Put the points of a result into the structure of the variables, if there is one."""
    if parameters is not None:
        parameters.show(found.runs)
        for minimum in found.minima:
            minimum.x = parameters.point(minimum.x)
