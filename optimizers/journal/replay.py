"""Replay: answer from the journal what it has, and record what it does not have."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import override

from optimizers.errors import JournalError, warn_user
from optimizers.evaluation.evaluator import Evaluator, Facts, Part
from optimizers.evaluation.marks import at_probes
from optimizers.evaluation.wave import Block, Wave
from optimizers.journal.evaluator import JournaledEvaluator
from optimizers.journal.functions import recorded
from optimizers.journal.iterations import Iteration
from optimizers.journal.journal import Journal
from optimizers.journal.recorder import Diverged, Recorder
from optimizers.journal.records import Kind, Record, counts_of, decoded
from optimizers.journal.session import ended, opened, with_recorded_hessians
from optimizers.journal.verify import to_verify, verified
from optimizers.problem.derivatives import Given, Joint
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult
from optimizers.run.outcome import Outcome
from optimizers.run.parts import begin_anew, counts_in, resume
from optimizers.run.run import Run
from optimizers.run.solve import Solve


def execute_recorded(
    journal: Journal, check: str, header: dict[str, Any], run: Run, solve: Solve
) -> OptimizerResult:
    """Execute a run on a journal: it continues where the journal ends, and records each answer.

    ``header`` identifies the run; ``check`` says how to react to other functions.
    """
    __tracebackhide__ = True
    problem, inner = run.problem, run.waves.evaluator
    how: dict[str, Any] = {"seed": run.questions.seed, "rejects": run.penalizes}
    recorder = opened(journal, check, header, problem, inner, **how)
    with ended(recorder, problem) as results:
        records = to_verify(recorder.contents, journal.verify, run.budget.left)
        run.reroute(*_journaled(recorder, run), recorder.seed)
        run.record_iterations(lambda *told: recorder.iterated(Iteration.of(*told)))
        _go_on(recorder, run)
        solve, is_error = replayed(recorder, solve), check == "error"
        result = run.execute(verified(records, problem, inner, is_error=is_error, solve=solve))
        results.append(result)
    return result


def replayed(recorder: Recorder, solve: Solve) -> Solve:
    """Return a solve that restarts if it asks for points other than the recorded ones."""

    def replaying(run: Run) -> Outcome:
        source = run.source
        try:
            try:
                return run.complete(solve(run))
            except Diverged as diverged:
                _begin_anew(recorder, run, diverged, source)
            return solve(run)  # nothing is left to replay or to diverge from
        except JournalError:
            # They were evaluated, and one may be the best.
            _consider(run, recorder.refused)
            raise

    return replaying


def _journaled(recorder: Recorder, run: Run) -> tuple[Problem, Evaluator]:
    """Return problem and evaluator with the journal between the run and the user's functions."""
    problem, evaluator = run.problem, run.waves.evaluator
    derivatives, facts = problem.derivatives, evaluator.facts
    others: dict[str, Any] = {}
    # Algorithms ask for different points if points travel in waves: keep the recorded mode.
    is_serial = evaluator.facts.is_direct and recorder.contents.header["serial"]
    if is_serial and problem.loss is None:
        # The functions themselves are wrapped, so that solvers still call them directly.
        kind: Kind = "both" if isinstance(derivatives, Joint) else "fun"
        others["fun"] = recorded(recorder, problem.fun, kind, facts)
        if isinstance(derivatives, Given):
            others["derivatives"] = Given(recorded(recorder, derivatives.function, "jac", facts))
        evaluator = _Direct(others["fun"], recorder, facts)
    else:
        evaluator = JournaledEvaluator(evaluator, recorder, problem.loss)
    problem = with_recorded_hessians(problem, recorder, facts)
    return replace(problem, **others), evaluator


class _Direct(Evaluator):
    """Calls recorded functions themselves, which are told of waves and probes."""

    def __init__(self, fun: Callable[..., Any], recorder: Recorder, facts: Facts) -> None:
        super().__init__(fun)
        self._recorder, self.facts = recorder, facts

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        recorder = self._recorder
        recorder.ask, recorder.is_in_wave = recorder.next, True
        try:
            yield from super().answers(wave)
        finally:
            recorder.is_in_wave = False

    @override
    def _called(
        self, function: Callable[..., Any], block: Block, part: slice
    ) -> Callable[..., Any]:
        return at_probes(function) if block.is_probe(part.start) else function


def _go_on(recorder: Recorder, run: Run) -> None:
    """Restore the state before the last restart."""
    contents = recorder.contents
    if contents.start is not None:
        _consider(run, contents.records[: contents.begin])
        resume(run, decoded(contents.start["x"]), contents.start["fun"], contents.start)
        run.waves.evaluator.facts.replayed += contents.start["nfev"]
    contents.records = []  # the recorder has what is still to be replayed


def _begin_anew(recorder: Recorder, run: Run, diverged: Diverged, source: Any) -> None:
    """Restart from the best recorded point; all records count."""
    unused = recorder.unused()
    _consider(run, unused)
    retried = recorder.contents.retried
    counts = counts_of(r for r in unused for _ in range(1 + retried.get(r.seq, 0)))
    # A restart that is resumed gets the same random numbers.
    begin_anew(run, source, recorder.seed, counts)
    run.waves.evaluator.facts.replayed += counts["nfev"]
    fun = None if run.best is None else run.best.fun
    recorder.restart(run.problem.x0, fun, counts_in(run))
    found = "its start" if fun is None else f"f(x) = {fun!r}"
    warn_user(
        f"The journal {recorder.path} cannot be followed at evaluation {diverged.seq}: "
        f"{diverged}. The run continues from the best recorded point, {found}; its "
        f"{run.nfev} recorded evaluations count."
    )


def _consider(run: Run, records: Sequence[Record]) -> None:
    """Make recorded points candidates for the run's best, and note their precision."""
    facts = run.waves.evaluator.facts
    coarsest = max((record.precision for record in records), default=0.0)
    facts.precision = max(facts.precision, coarsest)
    for record in records:
        # A value is complex at a complex point, and None for a gradient or a failure.
        if isinstance(record.fun, float) and np.isfinite(record.fun):
            run.memory.update_incumbent(record.x, record.fun, record.residuals)
