"""Listening: a wrapper of a solve that notifies callbacks of each evaluation."""

from collections.abc import Callable, Iterable

from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.listened import Evaluated, ListenedEvaluator, Listener
from optimizers.run.observers import Observer
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Solve


def listeners_of(observers: Iterable[Observer]) -> list[Listener]:
    """Return the methods ``on_evaluation`` of those observers that have one."""
    found = (getattr(observe, "on_evaluation", None) for observe in observers)
    return [listener for listener in found if listener is not None]


def listened(shown: Iterable[Listener]) -> Callable[[Solve], Solve]:
    """Return the wrapper that notifies the run's observers, and these, of each evaluation.

    When a stepper is rebuilt, the observers get no evaluation twice, but these count them.
    """

    def wrapped(solve: Solve) -> Solve:
        def listening(run: Run) -> Outcome:
            own = [_unless_paused(run, listener) for listener in listeners_of(run.observers)]
            listeners = [*shown, *own]
            if not listeners:
                return solve(run)
            evaluator: Evaluator = run.waves.evaluator
            fun, loss = run.problem.fun, run.problem.loss
            best = (lambda: run.best and run.best.fun) if run.problem.constraints else None
            paid, sign = run.budget.paid, run.problem.sign
            how = (lambda: run.nfev), loss, best, sign, None if paid.takes_shots else paid.each
            hearing = ListenedEvaluator(evaluator, listeners, *how)
            # Solvers may still call the objective directly.
            is_direct = evaluator.facts.is_direct and loss is None
            run.evaluate_by(hearing, hearing.heard(fun) if is_direct else fun)
            try:
                return solve(run)
            finally:
                run.evaluate_by(evaluator, fun)

        return listening

    return wrapped


def _unless_paused(run: Run, listener: Listener) -> Listener:
    def listen(evaluated: Evaluated) -> None:
        if not run.budget.is_paused:
            listener(evaluated)

    return listen
