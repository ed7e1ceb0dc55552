"""What an algorithm asks of its caller, what it is told, and what is still missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._types import ArrayLike
from optimizers.errors import InvalidInputError
from optimizers.evaluation.answers import as_gradient, as_values, precision_of
from optimizers.evaluation.uncertainty import as_answer


@dataclass(frozen=True, eq=False)
class AskData:
    """A wave of points that an algorithm wants evaluated; they may be evaluated at the same time.

    Parameters
    ----------
    x_fun : ndarray of float64, shape (k, n), or None
        The points at which the objective is wanted. Of complex128 for complex-step differences.
    x_jac : ndarray of float64, shape (k, n), or None
        The points at which the gradient is wanted: None, or the same points.
    id : int
        The number of the question in its run, from 0.
    """

    x_fun: NDArray[Any] | None = None
    x_jac: NDArray[Any] | None = None
    id: int = 0


@dataclass(frozen=True, eq=False)
class TellData:
    """Answers to a question, or to a part of it.

    Parameters
    ----------
    eval_fun : float or array_like of shape (k,), optional
        The objective's values; or a tuple ``(values, errors)`` with their standard errors, or k
        pairs, where only values are asked for.
    eval_jac : array_like of shape (k, n), optional
        The gradients; shape (n,) for a single point.
    rows : sequence of int, optional
        Which rows of the question are answered, if not all of them.
    """

    eval_fun: Any = None
    eval_jac: ArrayLike | None = None
    rows: Sequence[int] | None = None


#: What one row of a question has come to: value, or value and standard error as an array, and
#: gradient (None: not asked for); or a failure.
Row: TypeAlias = tuple[Any, NDArray[Any] | None] | Exception


class PendingAsk:
    """A question with the answers that have arrived.

    Parameters
    ----------
    ask : AskData
        The question.

    Examples
    --------
    >>> question = PendingAsk(AskData(np.zeros((2, 3))))
    >>> question.fill(TellData([7.0], rows=[1]))
    >>> question.missing
    [0]
    """

    def __init__(self, ask: AskData) -> None:
        assert ask.x_fun is not None
        self.ask = ask
        #: The question's points.
        self.points = ask.x_fun
        k = len(self.points)
        self._values: list[Any] = [None] * k
        self._gradients: list[NDArray[Any] | None] = [None] * k
        self._failures: dict[int, Exception] = {}
        #: The coarsest machine precision among the values told.
        self.precision = 0.0
        #: Whether whoever asked wants to know of each part of the answer, and not only of the last.
        self.is_followed = False

    @property
    def missing(self) -> list[int]:
        """The rows that are not answered, or not wholly."""
        return [row for row in range(len(self._values)) if self.row(row) is None]

    def row(self, row: int) -> Row | None:
        """Return what a row has come to; None if it is not answered wholly."""
        if row in self._failures:
            return self._failures[row]
        value, gradient = self._values[row], self._gradients[row]
        if value is None or (gradient is None and self.ask.x_jac is not None):
            return None
        return value, gradient

    def value(self, row: int) -> Any:
        """Return the value told at a row, be its gradient told or not; None if there is none."""
        return self._values[row]

    def fill(self, data: TellData) -> None:
        """Take answers; if they cannot be used, none is taken.

        Raises
        ------
        InvalidInputError
            If rows are not the question's, are answered already, or nothing is told.
        InvalidValueError
            If the number of values, their shape or type is wrong.
        """
        rows = self._rows(data.rows)
        if data.eval_fun is None and data.eval_jac is None:
            raise InvalidInputError(
                "Neither eval_fun nor eval_jac is told: pass TellData(eval_fun=...), or the "
                "exception if the evaluation failed."
            )
        if data.eval_jac is not None and self.ask.x_jac is None:
            raise InvalidInputError(
                "eval_jac is told, but only values are asked for: x_jac is None. A stepper with "
                "jac=True asks for gradients."
            )
        values: Any = [None] * len(rows)
        gradients: Sequence[NDArray[Any] | None] = [None] * len(rows)
        if data.eval_fun is not None:
            self._check_new(rows, self._values, "eval_fun")
            # With a gradient, as of an objective that returns both, there is the value alone.
            told, k, dtype = data.eval_fun, len(rows), self.points.dtype.type
            if self.ask.x_jac is None:
                values = as_answer(told, k, self.points.shape[1], dtype)
            else:
                values = as_values(told, k, dtype)
        if data.eval_jac is not None:
            self._check_new(rows, self._gradients, "eval_jac")
            gradients = self._as_gradients(data.eval_jac, len(rows))
        for row, value, gradient in zip(rows, values, gradients, strict=True):
            if value is not None:
                self._values[row] = value
            if gradient is not None:
                self._gradients[row] = gradient
        if data.eval_fun is not None:
            self.precision = max(self.precision, precision_of(data.eval_fun))

    def take(self, other: "PendingAsk") -> None:
        """Take over the answers to the same question."""
        self._values, self._gradients = other._values, other._gradients
        self._failures, self.precision = other._failures, other.precision

    def fail(self, error: Exception) -> None:
        """Let all rows fail that are not answered."""
        for row in self.missing:
            self._failures[row] = error

    def _rows(self, given: Sequence[int] | None) -> list[int]:
        k = len(self._values)
        rows = list(range(k)) if given is None else [int(row) for row in given]
        if len(set(rows)) < len(rows) or not all(0 <= row < k for row in rows):
            raise InvalidInputError(
                f"rows is {given!r}, expected different rows of the question, from 0 to {k - 1}."
            )
        return rows

    def _check_new(self, rows: list[int], known: Sequence[Any], name: str) -> None:
        for row in rows:
            if known[row] is not None or row in self._failures:
                raise InvalidInputError(
                    f"{name} of row {row} of question {self.ask.id} was told before: tell each "
                    "row once, and name the rows that a partial answer is for."
                )

    def _as_gradients(self, given: Any, count: int) -> list[NDArray[Any]]:
        n = self.points.shape[1]
        rows = [given] if count == 1 and np.shape(given) != (1, n) else list(given)
        if len(rows) != count:
            raise InvalidInputError(
                f"eval_jac has shape {np.shape(given)}, expected ({count}, {n})."
            )
        return [as_gradient(row, n, finite=False) for row in rows]
