"""The link between a solver and a caller that asks and tells.

A solver that calls back runs in its own thread, or in a greenlet if that is installed, and pauses
at each question.
"""

import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.asktell.messages import AskData, PendingAsk
from optimizers.errors import JournalError, StepperError
from optimizers.evaluation.evaluator import Evaluator, Facts, Part
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.wave import Block, Wave
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.budget import StopRun
from optimizers.run.run import Run
from optimizers.run.solve import Prepared


def told(x: Array) -> Any:
    """Stand in for an objective that the caller evaluates."""
    raise AssertionError("The caller evaluates; this is never called.")


class AskingEvaluator(Evaluator):
    """Turns each block of a wave into a question."""

    def __init__(self, loss: Loss | None = None, sign: float = 1.0) -> None:
        super().__init__(told)
        self._sign = sign
        #: The loss of residuals, if the caller tells these; and their number.
        self._loss: Loss | None = loss
        self._m: int | None = None
        #: ``ask(question)`` returns when the question, or a part of a followed one, is answered; it
        #: may raise StopRun instead, and answers until then count.
        self.ask: Callable[[Any], Any]  # set before the first question

    @override
    def _made_facts(self) -> Facts:
        return Facts()

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        for block in wave.blocks:  # of different types, so not in one question
            if len(block.points) == 0:
                continue
            points = block.points.copy()
            shots = None if block.shots is None else block.shots.copy()
            asked = AskData(points, points.copy() if block.kind == "both" else None, shots=shots)
            pending = PendingAsk(asked, self._loss, self._m, self._sign)
            stop: StopRun | JournalError | None = None
            try:
                self._ask(pending, block, wave)
            except (StopRun, JournalError) as error:  # what was told before counts
                stop = error
            for part, answer in pending.parts():
                yield block, part, answer
            if stop is not None:
                raise stop

    def _ask(self, pending: PendingAsk, block: Block, wave: Wave) -> None:
        known: set[int] = set()
        follow = wave.on_answer
        pending.is_followed = follow is not None
        try:
            while not pending.is_answered:
                self.ask(pending)
                self.facts.precision = max(self.facts.precision, pending.precision)
                for part, answer in pending.parts() if pending.is_followed else ():
                    if follow is not None and part.start not in known:
                        known.add(part.start)
                        follow(block, part.start, answer)
        finally:
            self._m = pending.m
            for rows in pending.answered:
                self.facts.count(block, rows)
            for row in np.flatnonzero(pending.has_value & ~pending.has_gradient):
                self.facts.started += 1
                part = slice(row, row + 1)
                wave.late.append((block.points[part], pending.answer(part)))
            self.facts.precision = max(self.facts.precision, pending.precision)


# The run that is driven from outside, by what only it may use.
_HELD: dict[str, Run] = {}


def check_free(name: str, run: Run) -> None:
    """Raise an error if another run that is driven from outside uses what a run needs."""
    if _HELD.get(name, run) is not run:
        raise StepperError(
            f"Another run of {name.upper()} is in progress in a stepper, and this version of SciPy "
            "supports only one at a time: end that one first, or use SciPy 1.16 or newer."
        )


def held(
    name: str | None, run: Run, solve: Callable[[], OptimizerResult]
) -> Callable[[], OptimizerResult]:
    """Return what executes a run that is driven from outside and has exclusive use of something."""
    if name is None:
        return solve

    def alone() -> OptimizerResult:
        check_free(name, run)
        _HELD[name] = run
        try:
            return solve()
        finally:
            del _HELD[name]

    return alone


#: How long closing waits for a solver's thread to end, in seconds.
_PATIENCE = 5.0


class Asked(Protocol):
    """A solver's question, which the caller fills."""

    @property
    def is_answered(self) -> bool:
        """Whether nothing is missing."""
        ...


def driver_for(prepared: Prepared, evaluator: AskingEvaluator) -> "SolverDriver":
    """Return the fastest driver of a run with a given evaluator."""
    solve = held(prepared.exclusive, prepared.run, prepared.execute)
    if prepared.needs_thread or find_spec("greenlet") is None:
        return ThreadDriver(evaluator, solve)
    return GreenletDriver(evaluator, solve)


class SolverDriver(ABC):
    """A solver that pauses until the question of its evaluator is answered."""

    def __init__(self, evaluator: AskingEvaluator, solve: Callable[[], OptimizerResult]) -> None:
        evaluator.ask = self._hand
        self._solve: Callable[[], OptimizerResult] | None = solve
        self._evaluator = evaluator
        self._result: OptimizerResult | None = None
        self._error: BaseException | None = None
        self.is_closed = False
        self._reason = StopReason.CLOSED

    @abstractmethod
    def advance(self) -> Asked | None:
        """Let the solver continue to its next question; None if it has ended."""

    @abstractmethod
    def close(self) -> None:
        """End the solver at its current question."""

    def stop(self, reason: StopReason) -> None:
        """Let the solver end at the first unanswered question, at the next :meth:`advance`."""
        self.is_closed = True
        self._reason = reason

    def result(self) -> OptimizerResult:
        """Return the solver's result, or raise its error."""
        if self._result is None and self._error is None:  # closed before its first question
            self._run()
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def _run(self) -> None:
        assert self._solve is not None
        try:
            self._result = self._solve()
        except BaseException as error:  # raised to the caller, by `result`
            # Without this frame, which would refer to itself.
            self._error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        finally:  # release what the finished run holds
            self._solve = None
            del self._evaluator.ask

    def _hand(self, question: Asked) -> None:
        if not self.is_closed:
            self._pass(question)
        if self.is_closed and not question.is_answered:
            raise StopRun(self._reason)

    @abstractmethod
    def _pass(self, question: Asked) -> None:
        """Pass a question to the caller, and return when it is answered."""


class ThreadDriver(SolverDriver):
    """A solver in its own thread."""

    def __init__(self, evaluator: AskingEvaluator, solve: Callable[[], OptimizerResult]) -> None:
        super().__init__(evaluator, solve)
        self._thread: threading.Thread | None = None
        # Compiled, and so twice as fast as semaphores.
        self._asked: SimpleQueue[Asked | None] = SimpleQueue()
        self._told: SimpleQueue[None] = SimpleQueue()
        # Whether the solver is running; Ctrl-C may end the wait for it.
        self._is_working = False

    @override
    def advance(self) -> Asked | None:
        if self._is_working:
            pass
        elif self._thread is None:
            # The caller's context, such as numpy.errstate, applies there too.
            work = contextvars.copy_context().run
            self._thread = threading.Thread(
                target=work, args=(self._work,), name="optimizers-stepper", daemon=True
            )
            self._thread.start()
        else:
            self._told.put(None)
        self._is_working = True
        question = self._asked.get()
        self._is_working = False
        return question

    def _work(self) -> None:
        self._run()
        self._asked.put(None)

    @override
    def _pass(self, question: Asked) -> None:
        self._asked.put(question)
        self._told.get()

    @override
    def close(self) -> None:
        self.is_closed = True
        if self._thread is not None and self._thread is not threading.current_thread():
            self._told.put(None)
            self._thread.join(_PATIENCE)


class GreenletDriver(SolverDriver):
    """A solver in a greenlet: switching is faster than between threads, and stays in one thread."""

    def __init__(self, evaluator: AskingEvaluator, solve: Callable[[], OptimizerResult]) -> None:
        super().__init__(evaluator, solve)
        import greenlet

        self._greenlet: Any = greenlet
        self._question: Asked | None = None
        self._solver = greenlet.greenlet(self._run)
        self._solver.gr_context = contextvars.copy_context()
        self._thread = threading.get_ident()

    @override
    def advance(self) -> Asked | None:
        if threading.get_ident() != self._thread:
            raise StepperError(
                "With greenlet installed, a stepper can only be used in the thread that made it."
            )
        self._question = None
        self._solver.parent = self._greenlet.getcurrent()
        self._solver.switch()
        return self._question

    @override
    def _pass(self, question: Asked) -> None:
        self._question = question
        self._solver.parent.switch()

    @override
    def close(self) -> None:
        self.is_closed = True
        # It cannot be reached from another thread: it ends when nothing refers to it any longer.
        if self._solver and threading.get_ident() == self._thread:
            self.advance()
