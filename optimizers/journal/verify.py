"""Verifying: before a run is resumed, recorded points are evaluated again and compared."""

import math

import numpy as np

from optimizers.errors import JournalMismatchError, warn_user, words_of
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.marks import takes_shots
from optimizers.evaluation.wave import Block
from optimizers.journal.contents import JournalContents
from optimizers.journal.records import Record
from optimizers.problem.derivatives import Joint
from optimizers.problem.problem import Problem
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Solve

#: Tolerances relative to the value, to the largest recorded value, and in standard errors.
_OF_ITSELF, _OF_LARGEST, _OF_ERRORS = 1e-6, 1e-9, 5.0


def to_verify(contents: JournalContents, count: int, left: float) -> list[Record]:
    """Return the best recorded points, as many as a resumed run can afford to verify."""
    end = None if contents.end is None else contents.end["end"]
    if not count or (end is not None and end.get("success")):
        return []  # a run that ended by itself evaluates nothing
    known = [(r.fun, r.seq, r) for r in contents.records if isinstance(r.fun, float)]
    best = sorted(entry for entry in known if math.isfinite(entry[0]))
    return [record for *_, record in best[: int(max(0.0, min(count, left - len(known))))]]


def verified(
    records: list[Record], problem: Problem, evaluator: Evaluator, *, is_error: bool, solve: Solve
) -> Solve:
    """Return a solve that first evaluates recorded points again, with the user's functions.

    If a value differs, it warns or raises a JournalMismatchError.
    """

    def verifying(run: Run) -> Outcome:
        words = _differences(run, records, problem, evaluator)
        if words and is_error:
            raise JournalMismatchError(words)
        if words:
            warn_user(words)
        return solve(run)

    return verifying if records else solve


def _differences(
    run: Run, records: list[Record], problem: Problem, evaluator: Evaluator
) -> str | None:
    """Return in words which values differ from the recorded ones; None if none does."""
    points, waves = np.array([record.x for record in records]), run.waves
    is_joint = isinstance(problem.derivatives, Joint)
    block = Block(points, problem.fun, "both") if is_joint else Block(points)
    if takes_shots(problem.fun):
        block.shots = np.array([record.shots for record in records])
    recording, kept = waves.evaluator, (run.memory.best, run.memory.best_violation)
    raised: Exception | None = None
    waves.take_through(evaluator)
    try:
        waves.take([block], is_first_needed=False)
    except Exception as error:
        raised = error
    finally:
        waves.take_through(recording)
    run.memory.take_back(*kept)
    largest = max(abs(record.fun or 0.0) for record in records)
    words = []
    for row, record in enumerate(records):
        value, then = block.values.item(row), record.fun or 0.0
        tolerance = max(_OF_ITSELF * abs(then), (_OF_LARGEST + 100 * record.precision) * largest)
        if record.error is not None:
            tolerance += _OF_ERRORS * math.hypot(record.error, np.nan_to_num(block.errors[row]))
        if not abs(value - then) <= tolerance:
            failure = block.failures.get(row, raised)
            now = repr(value) if failure is None else words_of(failure)
            words.append(f"evaluation {record.seq} returned {then!r} before and {now} now")
    if not words:
        return None
    return (
        f"The journal seems to belong to another objective: {'; '.join(words[:3])}. Name another "
        "file as journal; if the objective is noisy and does not return standard errors, remove "
        "verify."
    )
