"""The results of many runs: the best one, failures, and a table."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, SupportsIndex, overload

import numpy as np
from typing_extensions import override

from optimizers._shown import Tabled
from optimizers._words import replayed_words
from optimizers.errors import release, show_user_first
from optimizers.lockstep.lockstep import LockStep
from optimizers.result import OptimizerResult
from optimizers.run.memory import FEASIBLE


class OptimizerResults(Tabled, list[OptimizerResult]):
    """The results of many runs, in the order of their starts.

    The best value is the lowest, or the highest if the runs maximize. The result of a failed run
    has the attribute ``error``: the exception that ended it, or a copy if the original was raised.

    Parameters
    ----------
    results : iterable of OptimizerResult
        The results.
    rounds : int, default 0
        The number of rounds of evaluation.

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
        """The result with the best value; feasible ones come first."""
        return best_of(self)

    @property
    def failures(self) -> dict[int, BaseException]:
        """The errors of the failed runs, by index."""
        return {i: result.error for i, result in enumerate(self) if "error" in result}

    @property
    def nfev(self) -> int:
        """The points at which the objective was evaluated, in all runs."""
        return sum(result.nfev for result in self)

    @property
    def nshots(self) -> int | None:
        """The shots of all runs; None if their number is not known."""
        each = [result.get("nshots") for result in self]
        return None if None in each else sum(each)

    @property
    def nreplayed(self) -> int:
        """The number of values from the journal."""
        return sum(result.nreplayed for result in self)

    @property
    def nknown(self) -> int:
        """At how many further points the answer was known before; see the setting ``known``."""
        return sum(result.get("nknown", 0) for result in self)

    @overload
    def __getitem__(self, key: SupportsIndex) -> OptimizerResult: ...

    @overload
    def __getitem__(self, key: slice) -> "OptimizerResults": ...

    @override
    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return OptimizerResults(found, self.rounds) if isinstance(key, slice) else found

    @override
    def _table(self) -> tuple[str, Sequence[str], list[Sequence[str]]]:
        rows: list[Sequence[str]] = [[str(i), *summary(r)] for i, r in enumerate(self)]
        return "", ("run", *SUMMARY), rows


#: The head of :func:`summary`.
SUMMARY = ("fun", "nfev", "nit", "stop")


def summary(result: OptimizerResult) -> list[str]:
    """Return a result as a row of a table."""
    fun = "-" if result.fun is None else f"{result.fun:.8g}"
    stop = f"{result.stop.value}: {type(result.error).__name__}" if "error" in result else None
    nfev = f"{result.nfev}{replayed_words(result)}"
    return [fun, nfev, str(result.nit), stop or result.stop.value]


def best_of(results: Iterable[OptimizerResult]) -> OptimizerResult | None:
    """Return the result with the best value, feasible first; None if none has a value."""
    valued = [result for result in results if result.fun is not None]
    return min(valued, key=_rank, default=None)


def in_all(results: Sequence[OptimizerResult]) -> OptimizerResult | None:
    """Return the best result with the counts of all, for their common journal."""
    best = best_of(results)
    if best is None:
        return None
    counts: tuple[str, ...] = ("nfev", "njev", "nhev", "nit", "nrejected", "nreplayed")
    counts += tuple(name for name in ("nknown", "nshots", "njobs") if name in best)
    return OptimizerResult({**best, **{name: sum(r[name] for r in results) for name in counts}})


def _rank(result: OptimizerResult) -> tuple[float, bool, float]:
    assert result.fun is not None
    violation = max(float(result.get("maxcv", 0.0)), FEASIBLE)
    cost = -result.fun if result.get("maximize") else result.fun
    return violation, bool(np.isnan(cost)), cost


def raise_if_ended(
    lockstep: LockStep, results: Sequence[OptimizerResult], effective: dict[str, Any]
) -> None:
    """Raise the exception that ended all runs, unless results are returned on Ctrl-C."""
    __tracebackhide__ = True
    error, lockstep.error = lockstep.error, None
    release(error)
    for result in results:
        release(result.get("error"))
    returns = isinstance(error, KeyboardInterrupt) and effective.get("on_interrupt") == "return"
    try:
        if error is not None and not returns:
            raise_with(error, results)
    finally:
        del error  # its traceback has this frame


def raise_with(error: BaseException, results: Sequence[OptimizerResult]) -> NoReturn:
    """Raise an error with the results so far as its attributes.

    The results hold a copy of it: a cycle would keep the objective alive.
    """
    __tracebackhide__ = True
    copy = _copied(error)
    for result in results:
        if result.get("error") is error:
            result["error"] = copy
    try:
        with contextlib.suppress(Exception):  # a user's class may reject that
            error.optimizer_results = results  # type: ignore[attr-defined]  # documented attribute
            error.optimizer_result = best_of(results)  # type: ignore[attr-defined]  # the same
            error.add_note(
                f"{len(results)} runs ended with this error; their results so far are in its "
                "attribute 'optimizer_results'."
            )
        show_user_first(error)
        raise error
    finally:
        del error, copy  # their tracebacks have this frame


def _copied(error: BaseException) -> BaseException:
    """Return a copy of an error, made without its constructor, which may take other arguments."""
    base: Any = next(cls for cls in type(error).__mro__ if cls.__module__ == "builtins")
    try:
        copy: BaseException = base.__new__(type(error), *error.args)
        base.__init__(copy, *error.args)
        vars(copy).update(vars(error), __notes__=[*getattr(error, "__notes__", ())])
    except Exception:  # a user's class may reject that
        return error
    copy.__cause__, copy.__context__ = error.__cause__, error.__context__
    copy.__suppress_context__ = error.__suppress_context__
    return copy.with_traceback(error.__traceback__)
