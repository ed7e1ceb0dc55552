"""Many runs of one optimizer from different starts, in lock-step, and their results."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, SupportsIndex, TypeAlias, overload

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.evaluation.evaluator import Evaluator
from optimizers.lockstep.lockstep import LockStep, Member
from optimizers.lockstep.member import MemberEvaluator
from optimizers.lockstep.starts import inside_all, seeds_from
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.prepared import Prepared

#: Makes a run on a problem with settings and an evaluator.
Prepare: TypeAlias = Callable[[Problem, dict[str, Any], Evaluator], Prepared]

#: A constraint missed by less than this does not make a result worse than another.
_FEASIBLE = 1e-6


class OptimizerResults(list[OptimizerResult]):
    """The results of many runs, in the order of their starts.

    A result of a run that failed has the attribute ``error``: what ended it.

    Parameters
    ----------
    results : iterable of OptimizerResult
        The results.
    rounds : int, default 0
        How many rounds of evaluation there were.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> results = LBFGSB().minimize_many(lambda x: (x[0] ** 2 - 1) ** 2, [[3.0], [-2.0]])
    >>> [result.x.round(3).tolist() for result in results]
    [[1.0], [-1.0]]
    >>> results.best.run, results.nfev == sum(result.nfev for result in results)
    (1, True)
    """

    def __init__(self, results: Iterable[OptimizerResult] = (), rounds: int = 0) -> None:
        super().__init__(results)
        self.rounds = rounds

    @property
    def best(self) -> OptimizerResult | None:
        """The result with the lowest value, of those that meet the constraints if any does."""
        return best_of(self)

    @property
    def failures(self) -> dict[int, BaseException]:
        """What ended the runs that failed, by their place in the list."""
        return {i: result.error for i, result in enumerate(self) if "error" in result}

    @property
    def nfev(self) -> int:
        """The points at which the objective was evaluated, in all runs."""
        return sum(result.nfev for result in self)

    @overload
    def __getitem__(self, key: SupportsIndex) -> OptimizerResult: ...

    @overload
    def __getitem__(self, key: slice) -> "OptimizerResults": ...

    @override
    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return OptimizerResults(found, self.rounds) if isinstance(key, slice) else found

    @override
    def __repr__(self) -> str:
        rows = [[str(i), *summary(result)] for i, result in enumerate(self)]
        return as_table(("run", *SUMMARY), rows)


#: The head of :func:`summary`.
SUMMARY = ("fun", "nfev", "nit", "stop")


def summary(result: OptimizerResult) -> list[str]:
    """Return a result as the entries of a line in a table."""
    fun = "-" if result.fun is None else f"{result.fun:.8g}"
    stop = f"{result.stop.value}: {type(result.error).__name__}" if "error" in result else None
    return [fun, str(result.nfev), str(result.nit), stop or result.stop.value]


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of text with aligned columns, the last to the left.

    Examples
    --------
    >>> print(as_table(("run", "stop"), [["0", "fun"], ["12", "gradient"]]))
    run  stop
      0  fun
     12  gradient
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        entries = [f"{entry:>{width}}" for entry, width in zip(row, widths, strict=True)]
        lines.append("  ".join([*entries[:-1], row[-1]]))
    return "\n".join(lines)


def best_of(results: Iterable[OptimizerResult]) -> OptimizerResult | None:
    """Return the result with the lowest value, feasible first; None if none has a value."""
    valued = [result for result in results if result.fun is not None]
    return min(valued, key=_rank, default=None)


def _rank(result: OptimizerResult) -> tuple[float, bool, float]:
    assert result.fun is not None
    violation = max(float(result.get("maxcv", 0.0)), _FEASIBLE)
    return violation, bool(np.isnan(result.fun)), result.fun


def minimize_many(
    prepare: Prepare,
    evaluator: Evaluator,
    problem: Problem,
    starts: Array,
    settings: dict[str, Any],
    holding: dict[str, Any],
    on_error: str,
) -> OptimizerResults:
    """Minimise from many starts; see :meth:`Optimizer.minimize_many`.

    Parameters
    ----------
    prepare : callable
        Makes each run.
    evaluator : Evaluator
        Calls the objective for all.
    problem : Problem
        What is minimised, from the first of the starts.
    starts : ndarray of float64, shape (B, n)
        The starts.
    settings, holding : dict
        The settings given for these runs, and those that hold.
    on_error : {"return", "raise"}
        What the error of one run does.
    """
    check_no_journal(holding)
    if on_error not in ("return", "raise"):
        raise OptionError(f"on_error is {on_error!r}, expected 'return' or 'raise'.")
    problems = [replace(problem, x0=start) for start in inside_all(starts, problem)]
    members = list(
        members_of(prepare, problems, settings, evaluator, seeds_from(holding.get("seed")))
    )
    timeout = holding.get("timeout")
    lockstep = LockStep(evaluator, timeout=timeout)
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


def raise_if_ended(
    error: BaseException | None, results: Sequence[OptimizerResult], holding: dict[str, Any]
) -> None:
    """Raise what ended all runs, unless it is Ctrl-C and the results are wanted instead."""
    returns = isinstance(error, KeyboardInterrupt) and holding.get("on_interrupt") == "return"
    if error is not None and not returns:
        raise attached(error, results)


def attached(error: BaseException, results: Sequence[OptimizerResult]) -> BaseException:
    """Return an error with the results so far as its attributes."""
    try:
        error.optimizer_results = results  # type: ignore[attr-defined]  # documented attribute
        error.optimizer_result = best_of(results)  # type: ignore[attr-defined]  # the same
        error.add_note(
            f"{len(results)} runs ended with it; their results so far are in this exception's "
            "attribute 'optimizer_results'."
        )
    except Exception:  # a class of the user's may refuse that
        pass
    return error


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
        if number == 0 and not member.run.noise is not None:
            settings["noise"] = None  # a warning has said that it has no effect
        yield member
