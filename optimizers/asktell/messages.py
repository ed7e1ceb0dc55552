"""What an algorithm asks of its caller, what it is told, and what is still missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array, ArrayLike
from optimizers.errors import InvalidInputError
from optimizers.evaluation.answers import (
    as_answer,
    as_gradient,
    as_values,
    precision_of,
    values_of,
)


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


@dataclass(eq=False)
class Told:
    """What has been told of a question: all of its rows, or some."""

    #: NaN where nothing was told.
    values: NDArray[Any]
    #: The values' standard errors, NaN where there is none; None if none was told.
    errors: Array | None
    #: None if no gradients are asked for.
    gradients: Array | None
    #: Why rows have no answer.
    failures: dict[int, Exception]
    #: The coarsest machine precision among the values.
    precision: float
    #: Which rows have a value, or none to come; and a gradient.
    has_value: NDArray[np.bool_]
    has_gradient: NDArray[np.bool_]

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        arrays = (self.values, self.errors, self.gradients, self.has_value, self.has_gradient)
        return sum(0 if array is None else array.nbytes for array in arrays)


class PendingAsk:
    """A question with the answers that have arrived.

    Examples
    --------
    >>> pending = PendingAsk(AskData(np.zeros((2, 3))))
    >>> pending.fill(TellData([7.0], rows=[1]))
    >>> pending.missing
    [0]
    """

    def __init__(self, ask: AskData) -> None:
        assert ask.x_fun is not None
        self.ask = ask
        k, n = ask.x_fun.shape
        self._n, self._dtype = n, ask.x_fun.dtype.type
        is_joint = ask.x_jac is not None
        self.told = Told(
            np.full(k, np.nan, dtype=self._dtype),
            None,
            np.full((k, n), np.nan) if is_joint else None,
            {},
            0.0,
            np.zeros(k, dtype=np.bool_),
            np.full(k, not is_joint),
        )
        #: Whether whoever asked wants to know of each part of the answer, and not only of the last.
        self.is_followed = False

    def __len__(self) -> int:
        """Return the number of its points."""
        return len(self.told.values)

    @property
    def is_answered(self) -> bool:
        """Whether all rows are answered."""
        return bool((self.told.has_value & self.told.has_gradient).all())

    @property
    def missing(self) -> list[int]:
        """The rows that are not answered, or not wholly."""
        rows: list[int] = np.flatnonzero(~(self.told.has_value & self.told.has_gradient)).tolist()
        return rows

    def answer(self, rows: slice) -> NDArray[Any]:
        """Return what was told as evaluators do: values, with errors if there are, or pairs."""
        told = self.told
        if told.gradients is not None:
            values, both = told.values[rows], np.empty(rows.stop - rows.start, dtype=object)
            both[:] = list(zip(values.tolist(), told.gradients[rows], strict=True))
            return both
        if told.errors is None:
            return told.values[rows]
        return np.column_stack([told.values[rows], told.errors[rows]])

    def fill(self, data: TellData) -> None:
        """Take answers; if they cannot be used, a named error says why, and none is taken."""
        rows, told = self._rows(data.rows), self.told
        if data.eval_fun is None and data.eval_jac is None:
            raise InvalidInputError(
                "Neither eval_fun nor eval_jac is told: pass TellData(eval_fun=...), or the "
                "exception if the evaluation failed."
            )
        if data.eval_jac is not None and told.gradients is None:
            raise InvalidInputError(
                "eval_jac is told, but only values are asked for: x_jac is None. A stepper with "
                "jac=True asks for gradients."
            )
        answer = gradients = None
        if data.eval_fun is not None:
            self._check_new(rows, told.has_value, "eval_fun")
            # With a gradient, as of an objective that returns both, there is the value alone.
            if told.gradients is None:
                answer = as_answer(data.eval_fun, len(rows), self._n, self._dtype)
            else:
                answer = as_values(data.eval_fun, len(rows), self._dtype)
        if data.eval_jac is not None:
            self._check_new(rows, told.has_gradient, "eval_jac")
            gradients = self._as_gradients(data.eval_jac, len(rows))
        if answer is not None:
            if answer.ndim > 1:
                if told.errors is None:
                    told.errors = np.full(len(self), np.nan)
                told.errors[rows] = answer[:, 1]
            told.values[rows] = values_of(answer)
            told.has_value[rows] = True
            told.precision = max(told.precision, precision_of(data.eval_fun))
        if gradients is not None and told.gradients is not None:
            told.gradients[rows] = gradients
            told.has_gradient[rows] = True

    def fail(self, error: Exception) -> None:
        """Let all rows fail that are not answered."""
        self.told.failures.update(dict.fromkeys(self.missing, error))
        self.told.has_value[:] = self.told.has_gradient[:] = True

    def _rows(self, given: Sequence[int] | None) -> NDArray[np.intp]:
        k = len(self)
        if given is None:
            return np.arange(k)
        rows = [int(row) for row in given]
        if len(set(rows)) < len(rows) or not all(0 <= row < k for row in rows):
            raise InvalidInputError(
                f"rows is {given!r}, expected different rows of the question, from 0 to {k - 1}."
            )
        return np.array(rows, dtype=np.intp)

    def _check_new(self, rows: NDArray[np.intp], known: NDArray[np.bool_], name: str) -> None:
        twice = rows[known[rows]]
        if twice.size:
            raise InvalidInputError(
                f"{name} of row {twice[0]} of question {self.ask.id} was told before: tell each "
                "row once, and name the rows that a partial answer is for."
            )

    def _as_gradients(self, given: Any, count: int) -> list[Array]:
        n = self._n
        rows = [given] if count == 1 and np.shape(given) != (1, n) else list(given)
        if len(rows) != count:
            raise InvalidInputError(
                f"eval_jac has shape {np.shape(given)}, expected ({count}, {n})."
            )
        return [as_gradient(row, n, finite=False) for row in rows]
