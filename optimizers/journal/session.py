"""Journals from opening to closing: for one run, or for many that advance together."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scipy.optimize import HessianUpdateStrategy

from optimizers.covariance import UNSCALED, covariance
from optimizers.errors import JournalError, OptionError, words_of
from optimizers.evaluation.evaluator import Evaluator, Facts
from optimizers.evaluation.listened import ListenedEvaluator
from optimizers.evaluation.marks import takes_shots
from optimizers.journal.evaluator import JournaledEvaluator
from optimizers.journal.functions import recorded
from optimizers.journal.header import header_of, plain
from optimizers.journal.identity import changed, identities
from optimizers.journal.journal import Journal, as_journal
from optimizers.journal.recorder import Recorder
from optimizers.journal.records import Kind
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult
from optimizers.run.listening import listeners_of
from optimizers.run.observers import observers_of
from optimizers.run.progress import Bar

_KINDS: tuple[Kind, ...] = ("hess", "hessp")
#: Up to this many variables, a journal keeps the data for the errors of a fit.
_SMALL = 200


def opened(
    journal: Journal,
    check: str,
    header: Mapping[str, Any],
    problem: Problem,
    evaluator: Evaluator,
    *,
    seed: Any,
    rejects: bool,
) -> Recorder:
    """Return an open journal for a problem; the evaluator is closed on errors.

    ``header`` identifies the run; ``check`` says how to react to other functions.
    """
    facts = evaluator.facts
    known = {
        **header,
        "serial": facts.is_direct,
        "has_workers": facts.has_workers,
        "rejects": rejects,
        "identity": identities(problem),
    }
    try:
        return Recorder(journal, known, seed, check)
    except BaseException:
        evaluator.close()
        raise


@contextlib.contextmanager
def ended(recorder: Recorder, problem: Problem) -> Iterator[list[OptimizerResult | None]]:
    """Yield a list for a run's result; then write how the run ended, and close its journal.

    ``problem`` has the functions as the user gave them.
    """
    results = list[OptimizerResult | None]()
    try:
        yield results
    except BaseException as error:
        known = getattr(error, "optimizer_result", None)
        so_far = _kept(known) if isinstance(known, OptimizerResult) else None
        try:
            recorder.end(so_far, words_of(error), changed(recorder.functions, identities(problem)))
        except Exception as second:
            # A failure of the journal, such as a full disk, must not hide what ended the run.
            error.add_note(f"The journal has no record of this end: {second}")
        raise
    else:
        (result,) = results
        plain_result = None if result is None else _kept(result)
        try:
            moved = changed(recorder.functions, identities(problem))
            recorder.end(plain_result, changed=moved)
        except JournalError as error:
            error.optimizer_result = result  # type: ignore[attr-defined]  # documented attribute
            raise
    finally:
        recorder.close()


def _kept(result: OptimizerResult) -> dict[str, Any]:
    """Return a result as a journal has it: with what its errors need, but without a Jacobian."""
    entries: dict[str, Any] = {k: value for k, value in result.items() if k != "jacobian"}
    jacobian = result.get("jacobian")
    if jacobian is not None and jacobian.shape[1] <= _SMALL:
        found = covariance(
            result, absolute_sigma=True, tell=lambda words: None
        )  # the warning comes later
        entries[UNSCALED] = found
    return OptimizerResult(entries).to_dict()


def with_recorded_hessians(
    problem: Problem, recorder: Recorder, facts: Facts, run: int = 0
) -> Problem:
    """Return a problem whose second derivatives, in a run, are answered from the journal."""
    found = {kind: getattr(problem, kind) for kind in _KINDS}
    others: dict[str, Any] = {
        kind: recorded(recorder, user, kind, facts, run)
        for kind, user in found.items()
        if callable(user) and not isinstance(user, HessianUpdateStrategy)
    }
    return replace(problem, **others)


@dataclass
class Together:
    """Many runs that are recorded together, or not at all: their evaluator and seed."""

    evaluator: Evaluator
    seed: Any
    bar: Bar
    _recorder: Recorder | None = None
    #: What is written to the journal at the end.
    result: list[OptimizerResult | None] = field(default_factory=list)
    #: Why they stopped, in a few words.
    reason: str = ""

    def conclude(
        self, results: Sequence[OptimizerResult], best: OptimizerResult | None, reason: str
    ) -> None:
        """Take the results of all, of which the journal keeps the best, and attach it to them."""
        self.reason = reason
        self.result.append(best)
        if self._recorder is None:
            return
        self._recorder.failed = [result.run for result in results if "error" in result]
        for result in results:
            if result._record is None:
                result._keep(record=self._recorder.path)

    def problem_of(self, run: int, problem: Problem) -> Problem:
        """Return the problem of one of the runs."""
        if self._recorder is None:
            return problem
        return with_recorded_hessians(problem, self._recorder, self.evaluator.facts, run)


@contextlib.contextmanager
def together(
    optimizer: Any,
    problem: Problem,
    evaluator: Evaluator,
    settings: Mapping[str, Any],
    effective: Mapping[str, Any],
    many: Mapping[str, Any],
) -> Iterator[Together]:
    """Yield the evaluator of many runs, with the journal of their settings, if any.

    ``many`` identifies the runs. Their bar and callbacks see the evaluations of all.
    """
    bar, callback = Bar(effective.get("progress")), effective.get("callback")
    observers = observers_of(callback, optimizer._callback_form, problem.parameters)
    listeners = [*bar.listeners, *listeners_of(observers)]
    with _recorded(optimizer, problem, evaluator, settings, effective, many, bar) as shared:
        if listeners:
            best = (lambda: None) if problem.constraints else None
            inner = shared.evaluator
            each = None if takes_shots(problem.fun) else effective.get("shots")
            facts, how = inner.facts, (problem.loss, best, problem.sign, each)
            hearing = ListenedEvaluator(inner, listeners, lambda: facts.started, *how)
            shared.evaluator = hearing
        try:
            yield shared
        except BaseException as error:
            bar.end(type(error).__name__, *getattr(error, "optimizer_results", ()))
            raise
        bar.end(shared.reason)


@contextlib.contextmanager
def _recorded(
    optimizer: Any,
    problem: Problem,
    evaluator: Evaluator,
    settings: Mapping[str, Any],
    effective: Mapping[str, Any],
    many: Mapping[str, Any],
    bar: Bar,
) -> Iterator[Together]:
    """Yield the evaluator of many runs, with the journal of their settings."""
    journal = as_journal(effective.get("journal"))
    if journal is None:
        yield Together(evaluator, effective.get("seed"), bar)
        return
    if journal.verify:
        raise OptionError(
            "verify was given, but it only works for the journal of a single run: remove it."
        )
    header = {**header_of(optimizer, problem, dict(settings)), "many": plain(dict(many))}
    check, rejects = effective.get("journal_check"), effective.get("on_failure") == "reject"
    how: dict[str, Any] = {"seed": effective.get("seed"), "rejects": rejects}
    recorder = opened(journal, check or "warn", header, problem, evaluator, **how)
    with ended(recorder, problem) as results:
        journaled = JournaledEvaluator(evaluator, recorder, problem.loss)
        yield Together(journaled, recorder.seed, bar, recorder, results)
