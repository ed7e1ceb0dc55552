"""An algorithm whose values are noisy probes ends at its last iterate, also if it is stopped."""

from optimizers.result import SUCCESSES, StopReason
from optimizers.run.budget import StopRun
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Solve

_ESTIMATED = "fun is the estimate of the algorithm at its last iterate, where it was not evaluated."


def on_iterate(solve: Solve) -> Solve:
    """Return a solve that ends at its last iterate if it is stopped.

    The lowest of many noisy values is low by luck. Nothing is evaluated after the stop: the value
    may be an estimate.
    """

    def ending(run: Run) -> Outcome:
        try:
            return solve(run)
        except StopRun as stop:
            end = None if stop.reason is StopReason.TARGET else _end_of(run, stop)
            if end is None:
                raise
            known = run.memory.lookup(end.x)
            success = stop.reason in SUCCESSES
            words = [f"{'Ended' if success else 'Stopped'}: {stop.reason.sentence}.", stop.advice]
            if known is None:
                run.extra.update(is_estimate=True, **_error_of(stop))
                words.append(_ESTIMATED)
            message = " ".join(filter(None, words))
            return Outcome(end.x, success, 0 if success else -1, message, stop.reason, known or end)

    return ending


def _error_of(stop: StopRun) -> dict[str, float]:
    """Return the entry of the standard error of the last iterate's estimate, if it is known."""
    error = stop.steps[1].extra.get("fun_error") if stop.steps else None
    return {} if error is None else {"fun_error": error}


def _end_of(run: Run, stop: StopRun) -> Evaluation | None:
    """Return the iterate where a run was stopped; None if its iterates made no progress."""
    if stop.steps is None:
        return None
    first, last = stop.steps
    if not last.value < first.value:
        return None
    return Evaluation(run.problem.clip(last.x if last.end is None else last.end), last.value)
