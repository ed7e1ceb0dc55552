"""Stepper: a run that is held from outside, by asking and telling."""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from optimizers._types import Array
from optimizers.asktell.drivers import SolverDriver
from optimizers.asktell.messages import AskData, PendingAsk, TellData
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

    Parameters
    ----------
    run : Run
        The run.
    driver : SolverDriver
        Its solver.

    Examples
    --------
    >>> from optimizers import LBFGSB, TellData
    >>> with LBFGSB().stepper([3.0, 4.0]) as stepper:
    ...     for ask in stepper:
    ...         stepper.tell(ask, TellData([x @ x for x in ask.x_fun]))
    >>> stepper.result().x.round(4) + 0.0
    array([0., 0.])
    """

    def __init__(self, run: Run, driver: SolverDriver) -> None:
        self._run = run
        self._driver = driver
        self._question: PendingAsk | None = None
        self._last: PendingAsk | None = None
        self._is_over = False
        self._count = 0
        # A stepper that is dropped leaves no thread.
        self._finalizer = weakref.finalize(self, driver.close)

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the finalizer, which is this object's own."""
        return {name: value for name, value in vars(self).items() if name != "_finalizer"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state, and see to its end."""
        vars(self).update(state)
        self._finalizer = weakref.finalize(self, self._driver.close)

    def _advance(self) -> None:
        self._question = None
        question = self._driver.advance()
        self._is_over = question is None
        if question is not None and question is not self._last:  # or it was told a part
            question.ask = replace(question.ask, id=self._count)
            self._count += 1
        self._question = self._last = question

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
        at = run.iterate or run.best
        return OptimizerState(
            x=(run.problem.x0 if at is None else at.x).copy(),
            fun=None if at is None else at.fun,
            jac=None if at is None or at.jac is None else at.jac.copy(),
            nfev=run.nfev,
            njev=run.njev,
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
        if question.is_followed or not question.missing:
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
