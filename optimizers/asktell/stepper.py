"""Stepper: a run that is held from outside, by asking and telling."""

import contextlib
import copy
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from optimizers._types import Array
from optimizers.asktell.drivers import SolverDriver
from optimizers.asktell.messages import AskData, PendingAsk, TellData, Told
from optimizers.asktell.replay import Log, Origin, Progress, checksum
from optimizers.errors import InvalidInputError, StepperError
from optimizers.result import Best, OptimizerResult
from optimizers.run.run import Run


@dataclass(eq=False)
class OptimizerState:
    """Where a run stands.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point of the last iteration, the best point before the first, or else the start.
    fun : float, callable or None
        The objective there, if it is known; of a :class:`SteppableOptimizer`, the function.
    jac : ndarray of float64, shape (n,), callable or None
        The gradient there, if it is known; of a :class:`SteppableOptimizer`, the function.
    nfev, njev, nit : int
        Points and gradients that were told, and iterations.
    """

    x: Array
    fun: float | Callable[..., Any] | None
    jac: Array | Callable[..., Any] | None
    nfev: int
    njev: int
    nit: int


class Stepper:
    """A run that stands still until it is told what it asks; made by :meth:`Optimizer.stepper`.

    It can be pickled and copied between any two questions: another one is made of the same
    arguments and told the same answers, and goes on from there. Functions among the arguments
    are called once more for that, but a callback sees no iteration twice.

    Examples
    --------
    >>> from optimizers import LBFGSB, TellData
    >>> with LBFGSB().stepper([3.0, 4.0]) as stepper:
    ...     for ask in stepper:
    ...         stepper.tell(ask, TellData([x @ x for x in ask.x_fun]))
    >>> stepper.result().x.round(4) + 0.0
    array([0., 0.])
    """

    def __init__(self, run: Run, driver: SolverDriver, origin: Origin | None = None) -> None:
        self._run = run
        self._driver = driver
        self._log = None if origin is None else Log(origin, [])
        self._question: PendingAsk | None = None
        self._last: PendingAsk | None = None
        self._checksum = 0
        self._is_over = False
        self._count = 0
        # A stepper that is dropped leaves no thread.
        self._finalizer = weakref.finalize(self, driver.close)

    def _advance(self) -> None:
        last, self._question = self._last, None
        if last is not None and last.is_answered and self._log is not None:
            self._log.add(self._checksum, last.told)
            self._last = None
        question = self._driver.advance()
        assert question is None or isinstance(question, PendingAsk)
        self._is_over = question is None
        if question is None:
            return
        if question is not last:  # or it was told a part
            question.ask = replace(question.ask, id=self._count)
            self._count += 1
            if self._log is not None:
                self._checksum = checksum(question)
        self._question = self._last = question

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes another stepper that is as far as this one."""
        reduced = self._reduced()
        assert self._log is not None
        self._log.origin.check()
        return reduced

    def __deepcopy__(self, memo: dict[int, Any]) -> "Stepper":
        """Return another stepper that is as far as this one."""
        function, arguments = self._reduced()
        twin: Stepper = function(*copy.deepcopy(arguments, memo))
        return twin

    def _reduced(self) -> tuple[Any, tuple[Any, ...]]:
        log, run, last = self._log, self._run, self._last
        if log is None:
            raise StepperError(
                "This stepper cannot be pickled nor copied: it has a journal, which one run writes "
                "at a time. Close it; a stepper made again with the same journal goes on."
            )
        log.check()
        stop = None
        if self._is_over:
            with contextlib.suppress(BaseException):  # which comes again where it is replayed
                stop = self._driver.result().stop
        progress = Progress(
            entries=log.entries.copy(),
            last=None if last is None else (self._checksum, copy.deepcopy(last.told)),
            seconds=run.budget.elapsed,
            nobserved=run.nobserved,
            is_halted=run.is_halted,
            is_over=self._is_over,
            stop=stop,
        )
        origin = log.origin
        return replayed, (origin.make, origin.optimizer, origin.given(), progress)

    def _replay(self, progress: Progress) -> None:
        """Take the answers that another stepper was told."""
        with self._run.replayed(progress.seconds, progress.nobserved, progress.is_halted):
            for asked, told in progress.entries:
                self._check(asked, told)
                self._advance()
            if progress.last is not None:
                self._check(*progress.last)
            if progress.is_over and not self._is_over:
                if progress.stop is None:
                    raise self._differs("has no error where the first one had")
                # Its clock or its caller ended it.
                self._driver.stop(progress.stop)
                self._advance()

    def _check(self, asked: int, told: Told) -> None:
        """Let the next question have its answers, if it is that to which they were told."""
        if self.done:
            self._driver.result()  # or it raises what ended the run
            raise self._differs("ended")
        assert self._question is not None
        if asked != self._checksum or len(told.values) != len(self._question):
            raise self._differs("asks other points")
        self._question.told = told

    def _differs(self, what: str) -> StepperError:
        return StepperError(
            f"The stepper cannot be made again: told the same answers, it {what} at question "
            f"{self._count - 1}. Functions among its arguments must return the same each time, and "
            "another version of NumPy or SciPy, or another machine, may round otherwise."
        )

    @property
    def done(self) -> bool:
        """Whether the run has ended: there is nothing to ask."""
        if self._question is None and not self._is_over:
            self._advance()
        return self._is_over

    @property
    def best(self) -> Best | None:
        """The best point told so far, probes of differences included."""
        best = self._run.best
        return None if best is None else Best(best.x.copy(), best.fun)

    @property
    def state(self) -> OptimizerState:
        """Where the run stands."""
        run = self._run
        at = run.memory.iterate or run.best
        return OptimizerState(
            x=(run.problem.x0 if at is None else at.x).copy(),
            fun=None if at is None else at.fun,
            jac=None if at is None or at.jac is None else at.jac.copy(),
            nfev=run.nfev,
            njev=run.budget.njev,
            nit=run.nit,
        )

    def ask(self) -> AskData:
        """Return what the algorithm wants evaluated; the same until it is told all of it.

        Returns
        -------
        AskData
            The question. Its arrays are the caller's own.

        Raises
        ------
        StepperError
            If the run has ended.
        """
        if self.done:
            raise StepperError("The run has ended: nothing to ask. See done and result().")
        assert self._question is not None
        return self._question.ask

    def tell(self, ask: AskData, data: TellData | Exception) -> None:
        """Answer a question, wholly or in part; parts may come in any order.

        What the algorithm makes of the last part, an error included, :attr:`done` and
        :meth:`result` tell.

        Parameters
        ----------
        ask : AskData
            The question.
        data : TellData or Exception
            The answers; an exception if the evaluation of all that is missing failed. A value may
            be NaN or infinite: then, as for an exception, ``on_failure`` says what happens.

        Raises
        ------
        InvalidInputError
            If the question is not the one that was asked last, or the answers are not to it.
        InvalidValueError
            If an answer has the wrong shape or type. Then nothing is told.
        """
        question = self._question
        if question is None or not isinstance(ask, AskData) or ask.id != question.ask.id:
            waiting = "none" if question is None else f"the one with id {question.ask.id}"
            raise InvalidInputError(
                f"The question answered has id {getattr(ask, 'id', ask)!r}, but {waiting} is "
                "waiting for an answer: tell what the last ask() returned."
            )
        if isinstance(data, Exception):
            question.fail(data)
        elif isinstance(data, TellData):
            question.fill(data)
        else:
            raise InvalidInputError(f"data is {data!r}, expected a TellData or an exception.")
        if question.is_followed or question.is_answered:
            self._advance()

    def result(self) -> OptimizerResult:
        """Return what the run ended with.

        Returns
        -------
        OptimizerResult
            As from :meth:`Optimizer.minimize`; after :meth:`close`, the result so far.

        Raises
        ------
        StepperError
            If the run has not ended.
        BaseException
            What ended the run, as :meth:`Optimizer.minimize` raises it.
        """
        if not self.done:
            raise StepperError(
                "The run has not ended: answer its questions. so_far() gives the result so far."
            )
        return self._driver.result()

    def so_far(self) -> OptimizerResult:
        """Return the result so far: the best point, and what was spent.

        Returns
        -------
        OptimizerResult
            With ``success`` False, and ``stop`` OTHER while the run goes on.
        """
        result = self._run.result(self._run.best)
        result.message = "The run has not ended."
        return result

    def close(self) -> None:
        """End the run; what was told of its last question counts."""
        self._question = None
        self._is_over = True
        self._finalizer()

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the stepper."""
        self.close()

    def __iter__(self) -> Iterator[AskData]:
        """Ask until the run has ended."""
        while not self.done:
            yield self.ask()


def replayed(
    make: Callable[..., Stepper], optimizer: Any, given: dict[str, Any], progress: Progress
) -> Stepper:
    """Return a new stepper that is as far as another was."""
    stepper = make(optimizer, **given)
    stepper._replay(progress)
    return stepper
