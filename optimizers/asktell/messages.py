"""Questions of an algorithm to its caller, the answers, and what is still missing."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizers._shown import short
from optimizers._types import Array, ArrayLike
from optimizers.errors import InvalidInputError
from optimizers.evaluation.answers import (
    as_answer,
    as_gradient,
    as_jacobian,
    as_numeric,
    as_values,
    check_count,
    precision_of,
    residuals_of,
    values_of,
)
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.wave import Answer


@dataclass(frozen=True, eq=False)
class AskData:
    """A wave of points to evaluate, which may be evaluated at the same time.

    Parameters
    ----------
    x_fun : ndarray of float64, shape (k, n), list, or None
        The points at which to evaluate the objective; complex128 for complex-step differences. A
        list of k structures if ``x0`` is a structure.
    x_jac : ndarray of float64, shape (k, n), list, or None
        The points at which to evaluate the gradient: None, or the same points.
    id : int
        The number of the question in its run, from 0.
    shots : ndarray of int64, shape (k,), int, or None
        How many shots to evaluate each point with, if the run has the setting ``shots``. A flow may
        ask for any number: see :ref:`shots`.
    """

    x_fun: Any = None
    x_jac: Any = None
    id: int = 0
    shots: Any = None
    #: The checksum of the points, since the caller may change them; None if the caller made this.
    _checksum: ClassVar[int | None] = None

    __repr__ = short


@dataclass(frozen=True, eq=False)
class TellData:
    """Answers to a question, or to a part of it.

    Parameters
    ----------
    eval_fun : float or array_like of shape (k,), optional
        The objective's values; or a tuple ``(values, errors)`` with their standard errors, or k
        pairs, if only values are requested. For residuals, an array of shape (k, m), or (m,) for a
        single point.
    eval_jac : array_like of shape (k, n), optional
        The gradients; shape (n,) for a single point. For residuals the Jacobians: k of shape (m,
        n), or a single one. If ``x0`` is a structure, a list of k structures, or a single one.
    rows : sequence of int, optional
        Which rows of the question are answered; all by default.
    """

    eval_fun: Any = None
    eval_jac: Any = None
    rows: Sequence[int] | None = None

    __repr__ = short


class CheckedTell(NamedTuple):
    """A caller's answers to some rows of a question, checked and copied."""

    rows: NDArray[np.intp]
    #: Values, with standard errors if given; None if there are none.
    answer: NDArray[Any] | None = None
    gradients: NDArray[Any] | None = None
    #: The machine precision of the values.
    precision: float = 0.0
    #: The failure of the rows.
    failure: Exception | None = None

    @property
    def nbytes(self) -> int:
        """The approximate memory that it needs."""
        arrays = [a for a in (self.rows, self.answer, self.gradients) if a is not None]
        if self.gradients is not None and self.gradients.dtype == object:
            arrays += [a for a in self.gradients if isinstance(a, np.ndarray)]
        return sum(a.nbytes for a in arrays)


class PendingAsk:
    """A question with the answers that have arrived.

    With a ``loss``, answers are residuals; ``m`` is their number if known. Values and gradients are
    told in the user's sign, who may maximize: here they are multiplied by ``sign``.
    """

    def __init__(
        self, ask: AskData, loss: Loss | None = None, m: int | None = None, sign: float = 1.0
    ) -> None:
        self._loss, self.m, self._sign = loss, m, sign
        assert ask.x_fun is not None
        self.ask = ask
        k, self._n = ask.x_fun.shape
        #: Identifies the question, since the caller may change the arrays later.
        self.checksum = zlib.crc32(ask.x_fun.tobytes(), k)
        if ask.shots is not None:
            self.checksum = zlib.crc32(ask.shots.tobytes(), self.checksum)
        #: NaN where there is no answer yet, like the others, which may be None.
        self.values = np.full(k, np.nan, dtype=ask.x_fun.dtype)
        self.errors: Array | None = None
        self.residuals: NDArray[Any] | None = None
        #: For residuals, an object array of their Jacobians.
        self.gradients: NDArray[Any] | None = None
        if ask.x_jac is not None:
            self.gradients = np.empty(k, object) if loss else np.full((k, self._n), np.nan)
        #: The failures of rows.
        self.failures: dict[int, Exception] = {}
        #: The largest machine epsilon among the values.
        self.precision = 0.0
        #: Which rows have a value or a failure, and which a gradient.
        self.has_value = np.zeros(k, dtype=np.bool_)
        self.has_gradient = np.full(k, ask.x_jac is None)
        #: Whether each part of the answer is reported, and not only the last one.
        self.is_followed = False

    def stamped(self, ask: AskData) -> AskData:
        """Return the question as the caller gets it, marked as this one."""
        object.__setattr__(ask, "_checksum", self.checksum)
        return ask

    @property
    def is_answered(self) -> bool:
        """Whether all rows are answered."""
        return bool(self.has_value.all() and self.has_gradient.all())

    @property
    def missing(self) -> list[int]:
        """The rows that are not answered, or only in part."""
        rows: list[int] = np.flatnonzero(~(self.has_value & self.has_gradient)).tolist()
        return rows

    @property
    def answered(self) -> list[slice]:
        """The rows that are answered completely."""
        if self.is_answered:
            return [slice(0, len(self.values))]
        rows = np.flatnonzero(self.has_value & self.has_gradient).tolist()
        return [slice(row, row + 1) for row in rows]

    def parts(self) -> Iterator[tuple[slice, Answer]]:
        """Yield the answers as evaluators do: in one part if possible, or row by row."""
        if self.is_answered and not (self.failures or self.is_followed):
            whole = slice(0, len(self.values))
            yield whole, self._answer(whole)
            return
        for row in np.flatnonzero(self.has_value & self.has_gradient).tolist():
            part = slice(row, row + 1)
            yield part, self.failures[row] if row in self.failures else self._answer(part)

    def _answer(self, rows: slice) -> NDArray[Any]:
        if self.gradients is None:
            return self.answer(rows)
        first: Any = self.values[rows].tolist()
        if self.residuals is not None:
            first = self.residuals[rows]
        both = np.empty(len(first), dtype=object)
        for i, pair in enumerate(zip(first, self.gradients[rows], strict=True)):
            both[i] = pair
        return both

    def answer(self, rows: slice) -> NDArray[Any]:
        """Return the values or residuals of rows as an answer."""
        values = self.values[rows]
        if self.residuals is not None:
            errors = np.full_like(values, np.nan)
            return np.column_stack([values, errors, self.residuals[rows]])
        return values if self.errors is None else np.column_stack([values, self.errors[rows]])

    def fill(self, data: TellData | Exception | ArrayLike) -> CheckedTell:
        """Check and store what is told, and return it."""
        tell = self._checked(data)
        self.take(tell)
        return tell

    def take(self, tell: CheckedTell) -> None:
        """Store what was told to this question, or to the same question of another run."""
        rows, answer = tell.rows, tell.answer
        if tell.failure is not None:
            self.failures.update(dict.fromkeys(rows.tolist(), tell.failure))
            self.has_value[rows] = self.has_gradient[rows] = True
        if answer is not None:
            residuals = residuals_of(answer)
            if residuals is not None:
                self.m = residuals.shape[1]
                if self.residuals is None:
                    shape = len(self.values), self.m
                    self.residuals = np.full(shape, np.nan, dtype=residuals.dtype)
                self.residuals[rows] = residuals
            elif answer.ndim > 1:
                if self.errors is None:
                    self.errors = np.full(len(self.values), np.nan)
                self.errors[rows] = answer[:, 1]
            self.values[rows] = values_of(answer)
            self.has_value[rows] = True
            self.precision = max(self.precision, tell.precision)
        if tell.gradients is not None and self.gradients is not None:
            self.gradients[rows] = tell.gradients
            self.has_gradient[rows] = True

    def _checked(self, data: Any) -> CheckedTell:
        if isinstance(data, Exception):
            return CheckedTell(np.array(self.missing, dtype=np.intp), failure=data)
        if not isinstance(data, TellData):  # the values alone
            data = TellData(data)
        rows, dtype = self._rows(data.rows), self.values.dtype.type
        if data.eval_fun is None and data.eval_jac is None:
            raise InvalidInputError(
                "data has neither eval_fun nor eval_jac: pass TellData(eval_fun=...), or the "
                "exception if the evaluation failed."
            )
        if data.eval_jac is not None and self.gradients is None:
            raise InvalidInputError(
                "eval_jac was given, but only values were requested: x_jac is None. A stepper with "
                "jac=True asks for gradients."
            )
        tell = CheckedTell(rows)
        if data.eval_fun is not None:
            self._check_new(rows, self.has_value, "eval_fun")
            # With a gradient, as from an objective that returns both, there is only the value.
            if self._loss is not None:
                answer = self._loss.answer(data.eval_fun, len(rows), dtype)
                check_count(answer.shape[1] - 2, self.m or answer.shape[1] - 2)
            elif self.gradients is None:
                answer = as_answer(data.eval_fun, len(rows), self._n, dtype, is_told=True)
            else:
                answer = as_values(data.eval_fun, len(rows), dtype, is_told=True)
            values_of(answer)[:] *= self._sign  # standard errors and residuals have none
            tell = tell._replace(answer=answer, precision=precision_of(data.eval_fun))
        if data.eval_jac is not None:
            self._check_new(rows, self.has_gradient, "eval_jac")
            tell = tell._replace(gradients=self._as_gradients(data.eval_jac, len(rows)))
        return tell

    def _rows(self, given: Sequence[int] | None) -> NDArray[np.intp]:
        k = len(self.values)
        if given is None:
            return np.arange(k)
        try:
            rows = [index(row) for row in given]
        except TypeError:
            rows = [-1]
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
                "row once, and pass the rows of a partial answer."
            )

    def _as_gradients(self, given: Any, count: int) -> NDArray[Any]:
        n = self._n
        if self._loss is not None:
            is_single = not isinstance(given, list | tuple) and np.ndim(given) < 3
            jacobians = [given] if count == 1 and is_single else list(given)
            if len(jacobians) != count:
                raise InvalidInputError(
                    f"eval_jac has {len(jacobians)} Jacobians, expected one for each of {count} "
                    "points."
                )
            found = np.empty(count, dtype=object)
            for i, jacobian in enumerate(jacobians):
                found[i] = as_jacobian(jacobian, self.m, n, finite=False)
            return found
        shape = as_numeric(given, "eval_jac", np.float64).shape
        rows = [given] if count == 1 and shape != (1, n) else list(given)
        if len(rows) != count:
            raise InvalidInputError(f"eval_jac has shape {shape}, expected ({count}, {n}).")
        gradients = np.array([as_gradient(row, n, finite=False) for row in rows])
        return self._sign * gradients.reshape(count, n)
