"""Where a solver meets a caller who asks and tells.

A solver that calls back runs in a thread of its own, or in a greenlet where that is installed, and
stands still whenever it has asked something. One that can be entered anew is left instead.
"""

import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NoReturn

from typing_extensions import override

from optimizers.asktell.evaluator import AskingEvaluator
from optimizers.asktell.exclusive import held
from optimizers.asktell.messages import PendingAsk
from optimizers.errors import StepperError
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.memory import Evaluation, PutAside, StopRun
from optimizers.run.prepared import Prepared
from optimizers.run.run import Run

#: How long closing waits for a solver's thread to end, in seconds.
_PATIENCE = 5.0


def driver_for(prepared: Prepared, evaluator: AskingEvaluator) -> "SolverDriver":
    """Return the quickest driver of a run, whose evaluator is given."""
    run = prepared.run
    solve = held(prepared.exclusive, run, prepared.execute)
    if prepared.is_reentrant:
        return ReentrantDriver(run, evaluator, solve)
    if prepared.needs_thread or find_spec("greenlet") is None:
        return ThreadDriver(evaluator, solve)
    return GreenletDriver(evaluator, solve)


class SolverDriver(ABC):
    """A solver that stands still until its question is answered.

    Parameters
    ----------
    evaluator : AskingEvaluator
        What hands the run's questions over.
    solve : callable
        Executes the run.
    """

    def __init__(self, evaluator: AskingEvaluator, solve: Callable[[], OptimizerResult]) -> None:
        evaluator.hand = self._hand
        self._solve = solve
        self._result: OptimizerResult | None = None
        self._error: BaseException | None = None
        self.is_closed = False
        self._reason = StopReason.CLOSED

    @abstractmethod
    def advance(self) -> PendingAsk | None:
        """Let the solver go on to its next question; None if it has ended."""

    @abstractmethod
    def close(self) -> None:
        """End the solver where it stands."""

    def stop(self, reason: StopReason) -> None:
        """Let the solver end, for a reason, at the first question that has no answer.

        The next :meth:`advance` does that; what was answered is not lost.
        """
        self.is_closed = True
        self._reason = reason

    def result(self) -> OptimizerResult:
        """Return what the solver ended with, or raise its error."""
        if self._result is None and self._error is None:  # closed before its first question
            self._run()
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._solve()
        except PutAside:
            raise
        except BaseException as error:  # raised to the caller, by `result`
            self._error = error

    def _hand(self, question: PendingAsk) -> None:
        if not self.is_closed:
            self._pass(question)
        if self.is_closed and question.missing:
            raise StopRun(self._reason)

    def _pass(self, question: PendingAsk) -> None:
        """Let the caller have a question, and return when it is answered."""
        raise NotImplementedError

    def __reduce__(self) -> NoReturn:
        """Say that a solver under way cannot be pickled."""
        raise StepperError(
            "This stepper cannot be pickled: its solver is under way. LBFGSB's steppers can, "
            "without noise, on_failure='reject', speculate and a random gradient; others resume "
            "from a journal."
        )


class ThreadDriver(SolverDriver):
    """A solver in a thread of its own."""

    def __init__(self, evaluator: AskingEvaluator, solve: Callable[[], OptimizerResult]) -> None:
        super().__init__(evaluator, solve)
        self._thread: threading.Thread | None = None
        self._asked = threading.Semaphore(0)
        self._told = threading.Semaphore(0)
        self._question: PendingAsk | None = None
        # Whether the solver is at work; Ctrl-C may end the waiting for it.
        self._is_working = False

    @override
    def advance(self) -> PendingAsk | None:
        if self._is_working:
            pass
        elif self._thread is None:
            # What the caller has set for this context, such as numpy.errstate, holds there too.
            work = contextvars.copy_context().run
            self._thread = threading.Thread(
                target=work, args=(self._work,), name="optimizers-stepper", daemon=True
            )
            self._thread.start()
        else:
            self._told.release()
        self._is_working = True
        self._asked.acquire()
        self._is_working = False
        return self._question

    def _work(self) -> None:
        self._run()
        self._question = None
        self._asked.release()

    @override
    def _pass(self, question: PendingAsk) -> None:
        self._question = question
        self._asked.release()
        self._told.acquire()

    @override
    def close(self) -> None:
        self.is_closed = True
        if self._thread is not None and self._thread is not threading.current_thread():
            self._told.release()
            self._thread.join(_PATIENCE)


class GreenletDriver(SolverDriver):
    """A solver in a greenlet: no thread, and a quicker change; all in the caller's one thread."""

    def __init__(self, evaluator: AskingEvaluator, solve: Callable[[], OptimizerResult]) -> None:
        super().__init__(evaluator, solve)
        import greenlet

        self._greenlet: Any = greenlet
        self._question: PendingAsk | None = None
        self._solver = greenlet.greenlet(self._run)
        self._solver.gr_context = contextvars.copy_context()
        self._thread = threading.get_ident()

    @override
    def advance(self) -> PendingAsk | None:
        if threading.get_ident() != self._thread:
            raise StepperError(
                "With greenlet installed, a stepper is to be used in the thread that made it."
            )
        self._question = None
        self._solver.parent = self._greenlet.getcurrent()
        self._solver.switch()
        return self._question

    @override
    def _pass(self, question: PendingAsk) -> None:
        self._question = question
        self._solver.parent.switch()

    @override
    def close(self) -> None:
        self.is_closed = True
        # From another thread it cannot be reached: it ends when nothing refers to it any more.
        if self._solver and threading.get_ident() == self._thread:
            self.advance()


class ReentrantDriver(SolverDriver):
    """A solver that is left when it asks, and entered anew when it is told: it can be pickled.

    On its way back to where it stood, it asks again what it asked since it last had a value and a
    gradient, and gets the same answers; what that counts is counted once.

    Parameters
    ----------
    run : Run
        The run.
    evaluator : AskingEvaluator
        What hands its questions over.
    solve : callable
        Executes the run, and goes on where :class:`PutAside` left it.
    """

    def __init__(
        self, run: Run, evaluator: AskingEvaluator, solve: Callable[[], OptimizerResult]
    ) -> None:
        super().__init__(evaluator, solve)
        self._held = run
        self._evaluator = evaluator
        self._answered: list[PendingAsk] = []
        self._position = 0
        self._before = self._standing()

    def _standing(self) -> tuple[int, int, float, Evaluation]:
        """Return what answers change before the point that they are for is done with."""
        run = self._held
        return run.nfev, run.njev, self._evaluator.precision, run.last

    @override
    def advance(self) -> PendingAsk | None:
        run = self._held
        self._position = 0
        try:
            self._run()
        except PutAside:
            if run.last is self._before[-1]:  # not yet done with the point
                run.nfev, run.njev, self._evaluator.precision, _ = self._before
            else:
                self._before = self._standing()
                del self._answered[:-1]
            return self._answered[-1]
        return None

    @override
    def _hand(self, question: PendingAsk) -> None:
        if self._position < len(self._answered):
            question.take(self._answered[self._position])
            self._position += 1
            if not question.missing:
                return
        elif not self.is_closed:
            self._answered.append(question)
            raise PutAside
        raise StopRun(self._reason)

    @override
    def close(self) -> None:
        self.is_closed = True
        self._position = 0

    __reduce__ = object.__reduce__  # type: ignore[assignment]  # unlike the others
