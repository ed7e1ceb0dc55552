"""Stepper: a run that is driven from outside, by asking and telling."""

import contextlib
import copy
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from optimizers._shown import short
from optimizers._types import ArrayLike
from optimizers.asktell.drivers import SolverDriver
from optimizers.asktell.messages import AskData, CheckedTell, PendingAsk, TellData
from optimizers.asktell.replay import Log, Progress, ReplayedObserver
from optimizers.errors import InvalidInputError, StepperError
from optimizers.problem.parameters import Parameters
from optimizers.problem.translated import shown
from optimizers.result import Best, OptimizerResult
from optimizers.run.run import Run


@dataclass(eq=False)
class OptimizerState:
    """The state of a run.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point of the last iteration; before the first one, the best point or the start.
    fun : float, callable or None
        The objective there, if it is known; for a :class:`SteppableOptimizer`, the function.
    jac : ndarray of float64, shape (n,), callable or None
        The gradient there, if it is known; for a :class:`SteppableOptimizer`, the function.
    nfev, njev, nit : int
        The numbers of points and gradients that were told, and of iterations.
    """

    x: Any
    fun: float | Callable[..., Any] | None
    jac: Any
    nfev: int
    njev: int
    nit: int

    __repr__ = short


class Stepper:
    """A run that waits for the answers to its questions; made by :meth:`Optimizer.stepper`.

    It can be pickled and copied between any two questions: another one is made from the same
    arguments, is told the same answers, and continues from there. Functions among the arguments are
    called again for that, but a callback sees no iteration twice.

    Examples
    --------
    >>> from optimizers import LBFGSB, TellData
    >>> with LBFGSB().stepper([3.0, 4.0]) as stepper:
    ...     for ask in stepper:
    ...         stepper.tell(ask, TellData([x @ x for x in ask.x_fun]))
    >>> stepper.result().x.round(4) + 0.0
    array([0., 0.])
    """

    def __init__(self, run: Run, driver: SolverDriver, log: Log | None = None) -> None:
        self._run, self._driver, self._log = run, driver, log
        if log is not None and run.observers:
            run.be_observed(ReplayedObserver(run.observers, log.progress.halts))
        self._question: PendingAsk | None = None
        self._is_over = False
        self._count = 0
        # A discarded stepper leaves no thread.
        self._finalizer = weakref.finalize(self, driver.close)

    def __repr__(self) -> str:
        state = self.state
        words = "ended" if self._is_over else "in progress"
        return f"<Stepper {words}: {state.nfev} points told, {state.nit} iterations>"

    def _advance(self) -> None:
        last, self._question = self._question, None
        question = self._driver.advance()
        assert question is None or isinstance(question, PendingAsk)
        self._is_over = question is None
        if question is not None and question is not last:  # otherwise it was told a part
            question.ask = question.stamped(replace(question.ask, id=self._count))
            self._count += 1
        self._question = question

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what rebuilds a stepper in the same state."""
        reduced = self._reduced()
        assert self._log is not None
        self._log.check_pickles()
        return reduced

    def __deepcopy__(self, memo: dict[int, Any]) -> "Stepper":
        """Return another stepper in the same state."""
        function, arguments = self._reduced()
        twin: Stepper = function(*copy.deepcopy(arguments, memo))
        return twin

    def _reduced(self) -> tuple[Any, tuple[Any, ...]]:
        log, stop = self._log, None
        if log is None:
            raise StepperError(
                "This stepper cannot be pickled or copied: only one run at a time can write its "
                "journal. Close it, and resume with a new stepper on the same journal."
            )
        log.check()
        if self._is_over:
            with contextlib.suppress(BaseException):  # raised again when it is replayed
                stop = self._driver.result().stop
        entries, halts = log.progress.entries.copy(), log.progress.halts.copy()
        progress = Progress(entries, halts, self._run.budget.elapsed, self._is_over, stop)
        arguments = {**log.arguments, "seed": copy.deepcopy(log.arguments["seed"])}
        return replayed, (log.make, log.optimizer, arguments, progress)

    def _replay(self, progress: Progress) -> None:
        """Repeat the answers that another stepper was told."""
        assert self._log is not None
        self._log.progress.halts.extend(progress.halts)
        with self._run.budget.paused(progress.seconds):
            for asked, tell in progress.entries:
                if self.done:
                    self._driver.result()  # it raises what ended the run
                    raise self._differs("ended")
                question = self._question
                assert question is not None
                if asked != question.checksum:
                    raise self._differs("asks for other points")
                question.take(tell)
                self._told(question, tell)
            if progress.is_over and not self.done:
                if progress.stop is None:
                    raise self._differs("has no error where the first one had")
                # Its clock or its caller ended it.
                self._driver.stop(progress.stop)
                self._advance()

    def _told(self, question: PendingAsk, tell: CheckedTell) -> None:
        """Note what was told, and continue if the answer is complete."""
        if self._log is not None:
            self._log.add(question.checksum, tell)
        if question.is_followed or question.is_answered:
            self._advance()

    def _differs(self, what: str) -> StepperError:
        return StepperError(
            f"The stepper cannot be rebuilt: given the same answers, it {what} at question "
            f"{self._count - 1}. Functions among its arguments must return the same values each "
            "time; another version of NumPy or SciPy, or another machine, may round differently."
        )

    @property
    def done(self) -> bool:
        """Whether the run has ended: there is nothing to ask."""
        if self._question is None and not self._is_over:
            self._advance()
        return self._is_over

    @property
    def parameters(self) -> Parameters | None:
        """How the user's variables map to the searched vector; None if they are the same."""
        return self._run.problem.parameters

    @property
    def best(self) -> Best | None:
        """The best point told so far, including probes of differences."""
        best, parameters = self._run.best, self.parameters
        if best is None:
            return None
        x = best.x.copy() if parameters is None else parameters.point(best.x)
        return Best(x, self._run.problem.sign * best.fun)

    @property
    def state(self) -> OptimizerState:
        """The state of the run."""
        run, parameters = self._run, self.parameters
        at, sign = run.memory.iterate or run.best, run.problem.sign
        x = (run.problem.x0 if at is None else at.x).copy()
        jac = None if at is None or at.jac is None else sign * at.jac
        if parameters is not None:
            jac = None if jac is None else parameters.shown_gradient(x, jac)
            x = parameters.point(x)
        return OptimizerState(
            x=x,
            fun=None if at is None else sign * at.fun,
            jac=jac,
            nfev=run.nfev,
            njev=run.budget.njev,
            nit=run.nit,
        )

    def ask(self) -> AskData:
        """Return what to evaluate next; the same question until all of it is answered.

        Returns
        -------
        AskData
            The question. Its arrays are copies.

        Raises
        ------
        StepperError
            If the run has ended.
        """
        if self.done:
            raise StepperError("The run has ended, so there is nothing to ask: call result().")
        question = self._question
        assert question is not None
        ask, parameters = question.ask, self.parameters
        if parameters is None:
            return ask
        x_jac = None if ask.x_jac is None else [*map(parameters.point, ask.x_jac)]
        x_fun = [*map(parameters.point, ask.x_fun)]
        return question.stamped(replace(ask, x_fun=x_fun, x_jac=x_jac))

    def tell(self, ask: AskData, data: TellData | Exception | ArrayLike) -> None:
        """Answer a question, completely or in part; parts may come in any order.

        :attr:`done` and :meth:`result` show how the algorithm reacts to the last part, including an
        error.

        Parameters
        ----------
        ask : AskData
            The question.
        data : TellData, array_like or Exception
            The answers, or only the values; or an exception if the evaluation of all missing rows
            failed. If a value is NaN or -inf, or for an exception, ``on_failure`` says what
            happens. The value +inf (with ``maximize``, -inf) means that the point is worse than all
            others.

        Raises
        ------
        InvalidInputError
            If it is not the last question, or the answers do not fit it.
        InvalidValueError
            If an answer has the wrong shape or type. Then none is stored.
        """
        question = self._question
        if question is None or not isinstance(ask, AskData) or ask.id != question.ask.id:
            waiting = "none" if question is None else f"the one with id {question.ask.id}"
            raise InvalidInputError(
                f"The question has id {getattr(ask, 'id', ask)!r}, but {waiting} is waiting for an "
                "answer: pass what the last ask() returned."
            )
        if ask._checksum not in (None, question.checksum):
            raise InvalidInputError(
                f"The question with id {ask.id} has other points than the one of this stepper: it "
                "is another stepper's. Pass what this one's ask() returned."
            )
        parameters = self.parameters
        if parameters is not None and isinstance(data, TellData) and data.eval_jac is not None:
            rows = range(len(question.ask.x_fun)) if data.rows is None else data.rows
            given, points = data.eval_jac, question.ask.x_fun[[*rows]]
            data = replace(data, eval_jac=parameters.told_gradients(points, given))
        self._told(question, question.fill(data))

    def result(self) -> OptimizerResult:
        """Return the result of the run.

        Returns
        -------
        OptimizerResult
            As in :meth:`Optimizer.minimize`; after :meth:`close`, the result so far.

        Raises
        ------
        StepperError
            If the run has not ended.
        BaseException
            The error that ended the run, as in :meth:`Optimizer.minimize`.
        """
        if not self.done:
            raise StepperError(
                "The run has not ended: answer its questions, or call so_far() for the result so "
                "far."
            )
        return shown(self.parameters, self._driver.result)

    def so_far(self) -> OptimizerResult:
        """Return the result so far: the best point, and the counts.

        Returns
        -------
        OptimizerResult
            The result; ``success`` is False and ``stop`` is OTHER while the run is in progress.
        """
        result = self._run.result(self._run.best)
        result.message = "The run has not ended."
        parameters = self.parameters
        return result if parameters is None else parameters.result(result)

    def close(self) -> None:
        """End the run; partial answers to its last question count."""
        self._question = None
        self._is_over = True
        self._finalizer()

    def __enter__(self) -> Self:
        """Return the stepper, which is closed at the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the stepper."""
        self.close()

    def __iter__(self) -> Iterator[AskData]:
        """Yield questions until the run has ended."""
        while not self.done:
            yield self.ask()


def replayed(
    make: Callable[..., Stepper], optimizer: Any, given: dict[str, Any], progress: Progress
) -> Stepper:
    """Return a new stepper in the state of another one."""
    stepper = make(optimizer, **given)
    stepper._replay(progress)
    return stepper
