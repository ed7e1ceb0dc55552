"""From a wave of points to the objective's values: one by one, in groups, or as a stack."""

import functools
import math
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array, Objective
from optimizers.errors import InvalidInputError, OptionError
from optimizers.evaluation.accounts import Account, account_of
from optimizers.evaluation.answers import precision_of
from optimizers.evaluation.executors import is_pool
from optimizers.evaluation.mapped import mapped
from optimizers.evaluation.task import Form, evaluate, is_worth_a_retry
from optimizers.evaluation.uncertainty import as_measure
from optimizers.evaluation.wave import Answer, Block

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "__optimizers_vectorized__"
_EPS = float(np.finfo(np.float64).eps)


def vectorized(fun: _F) -> _F:
    """Mark an objective as taking a stack of points ``(k, n)`` and returning ``(k,)`` values.

    Parameters
    ----------
    fun : callable
        The objective. It gets a (k, n) array of float64, also for a single point (k = 1). With
        ``jac=True`` it returns (k,) values and (k, n) gradients; without, it may return a tuple of
        (k,) values and (k,) standard errors. A gradient function may be
        marked too, and returns (k, n) gradients then.

    Returns
    -------
    callable
        The same objective, marked.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> @vectorized
    ... def sphere(points):
    ...     return (points**2).sum(axis=1)
    >>> LBFGSB().minimize(sphere, [1.0, 2.0]).success
    True
    """
    try:
        setattr(fun, _MARK, True)
    except AttributeError:  # a bound method takes no attribute: a function around it does

        @functools.wraps(fun)
        def marked(points: Array) -> Any:
            return fun(points)

        return vectorized(cast(_F, marked))
    return fun


def is_vectorized(fun: object) -> bool:
    """Return whether an objective is marked by :func:`vectorized`."""
    return bool(getattr(fun, _MARK, False))


class Evaluator:
    """Calls the objective for a wave of points in this thread, in groups as the user asked.

    Parameters
    ----------
    fun : callable
        The objective.
    group : int, default 1
        How many points one call takes. With more than one, a call gets what Qiskit's objectives
        get: the points of the group concatenated to one flat vector.
    workers : None, ``"vectorized"`` or a map-like callable, default None
        ``"vectorized"``: the objective takes a stack (k, n), as if it were marked by
        :func:`vectorized`. A map-like callable (``pool.map``) is called as
        ``workers(fun, points)``, once a wave.
    retries : int, default 0
        How often a call that failed is made again.

    Raises
    ------
    InvalidInputError
        If ``fun`` cannot be called.
    OptionError
        If ``group`` or ``workers`` has a value that cannot be used.

    Examples
    --------
    >>> evaluator = Evaluator(lambda x: float(x.sum()))
    >>> [(part, values.tolist()) for part, values in evaluator.wave(np.eye(2))]
    [(slice(0, 1, None), [1.0]), (slice(1, 2, None), [1.0])]
    """

    #: How many points the workers evaluate at the same time; infinite where there are no workers.
    width: float = math.inf
    #: How long each of the latest points took, in the mean, if a worker measured it; and which did.
    seconds: float | None = None
    worker: str = ""
    #: ``heard(block, row, answer)`` takes answers that arrive while their wave is held back until
    #: it is whole, as it is for the caller of a stepper; for a journal.
    heard: Callable[[Block, int, Answer], None] | None = None

    def __init__(
        self,
        fun: Objective,
        group: int | None = 1,
        workers: Any = None,
        *,
        retries: int = 0,
    ) -> None:
        if not callable(fun):
            raise InvalidInputError(f"fun is {fun!r}, expected a callable fun(x) -> float.")
        self._fun = fun
        if is_pool(workers):
            raise OptionError(f"workers is {workers!r}, which needs an evaluator of its own.")
        self.is_stacked = is_vectorized(fun) or isinstance(workers, str)
        self._map = workers if callable(workers) else None
        if self._map is not None and (check_group(group) > 1 or self.is_stacked):
            raise OptionError(
                "A map-like workers takes one point a task: it does not go together with "
                "max_evals_grouped > 1 or a vectorised objective."
            )
        #: The coarsest machine precision among the values so far: float32 answers raise it.
        self.precision = _EPS
        #: At how many points evaluations have started, and how many calls of the gradient.
        self.started = self.gradients = 0
        self.retries = retries
        #: How many of the first points of the next wave are such that, should one of them fail,
        #: the rest is not wanted. For those who evaluate for others.
        self.essential = 0
        #: How many points one call takes; None for as many as there are: a vectorised objective
        #: takes a whole wave at once unless the user limits it.
        self.size = None if self.is_stacked and check_group(group) == 1 else check_group(group)

    @property
    def calls_points(self) -> bool:
        """Whether the objective is called in this thread with one point at a time, and once."""
        return self.is_serial and not self.retries

    @property
    def is_serial(self) -> bool:
        """Whether the objective is called in this thread with one point at a time."""
        return self.size == 1 and self._map is None and not self.is_stacked

    @property
    def calls_singly(self) -> bool:
        """Whether each point costs a call of its own, so that one that is not asked for is saved.

        The same as :attr:`calls_points`, unless somebody else does the calling.
        """
        return self.calls_points

    def takes_stacks(self, fun: Callable[..., Any]) -> bool:
        """Return whether a function, the objective or another, takes a stack of points."""
        return is_vectorized(fun) or (self.is_stacked and fun is self._fun)

    def close(self) -> None:
        """Give back what the evaluator holds."""

    def value(self, x: Array, spare: float = math.inf) -> float:
        """Return the objective's value at one point, finite or not; see :meth:`measure`."""
        return self.measure(x, spare)[0]

    def measure(self, x: Array, spare: float = math.inf) -> tuple[float, float]:
        """Return the objective's value at one point, finite or not, and its standard error.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            The point; the objective gets a copy.
        spare : float, default inf
            How many evaluations may be made besides, should the first fail.

        Returns
        -------
        value, error : float
            The value, and its standard error if the objective told it, else NaN.
        """
        for attempt in range(self.retries + 1):
            self.started += 1
            try:
                raw = self._fun(x.reshape(1, -1).copy() if self.is_stacked else x.copy())
                if type(raw) is float:
                    return raw, math.nan
                self.precision = max(self.precision, precision_of(raw))
                return as_measure(raw, x.size)
            except Exception as error:
                if attempt >= min(self.retries, spare) or not is_worth_a_retry(error):
                    raise
        raise AssertionError("The last attempt returns or raises.")

    def raw(self, fun: Callable[[Array], Any], x: Array) -> Any:
        """Return what another function than the objective returns at one point.

        Parameters
        ----------
        fun : callable
            The function, for instance the gradient.
        x : ndarray of float64, shape (n,)
            The point; the function gets a copy.
        """
        is_stacked = self.takes_stacks(fun)
        for attempt in range(self.retries + 1):
            try:
                return fun(x.reshape(1, -1).copy() if is_stacked else x.copy())
            except Exception as error:
                if attempt == self.retries or not is_worth_a_retry(error):
                    raise
        raise AssertionError("The last attempt returns or raises.")

    @property
    def has_workers(self) -> bool:
        """Whether functions are called elsewhere, so that several can be at the same time."""
        return False

    def late(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Return points and values of waves that were left before these were asked for."""
        return []

    def wave(
        self, points: NDArray[Any], spare: float = math.inf, deadline: float = math.inf
    ) -> Generator[tuple[slice, Answer], None, None]:
        """Evaluate a wave of points of one type, and yield each part as its values arrive.

        Parameters
        ----------
        points : ndarray of float64 or complex128, shape (k, n)
            The points.
        spare, deadline
            As in :meth:`answers`.

        Yields
        ------
        part : slice
            The rows of ``points``, in any order.
        answer : ndarray of the points' dtype, shape (k,) or (k, 2), or Exception or SystemExit
            Their values, finite or not, with their standard errors in a second column if the
            objective told them; or why they have none.
        """
        answers = self.answers([Block(points)], spare, deadline)
        try:
            for _, part, answer in answers:
                yield part, answer
        finally:
            answers.close()

    def answers(
        self, blocks: Sequence[Block], spare: float | Account = math.inf, deadline: float = math.inf
    ) -> Generator[tuple[Block, slice, Answer], None, None]:
        """Evaluate the blocks of one wave, and yield each part as its values arrive.

        Parameters
        ----------
        blocks : sequence of Block
            The blocks; they are not changed.
        spare : float or Account, default inf
            How many evaluations may be made besides, for those that failed.
        deadline : float, default inf
            The time of ``time.monotonic`` after which nothing is started.

        Yields
        ------
        block : Block
            One of them.
        part : slice
            Some of its rows; blocks and rows come in any order.
        answer : ndarray, Exception or SystemExit
            Their values as in :meth:`wave`, or what the gradient returned as dtype object; or why
            they have none.
        """
        account = account_of(spare)
        if self._map is not None:
            yield from mapped(self, self._map, blocks, account, deadline)
            return
        for block in blocks:
            fun, form = self.way(block)
            for part in self._calls(block, form):
                for attempt in range(self.retries + 1):
                    if time.monotonic() > deadline:
                        return
                    self.count(block, part)
                    outcome = evaluate(fun, form, block.points[part])
                    self.precision = max(self.precision, outcome.precision)
                    if outcome.error is None:
                        yield block, part, outcome.values
                    elif (
                        attempt < self.retries
                        and is_worth_a_retry(outcome.error)
                        and account.grants(block, part)
                    ):
                        continue
                    else:
                        yield block, part, outcome.error
                    break

    def way(self, block: Block) -> tuple[Callable[..., Any], Form]:
        """Return the function that a block goes to, and how it takes points."""
        if block.gradient is not None:
            return block.gradient, "rows" if self.takes_stacks(block.gradient) else "raw"
        return self._fun, "stack" if self.is_stacked else "points" if self.size == 1 else "flat"

    def _calls(self, block: Block, form: Form) -> list[slice]:
        if form == "raw":
            return [slice(row, row + 1) for row in range(len(block.points))]
        return [slice(0, len(block.points))] if form == "rows" else self.parts(len(block.points))

    def count(self, block: Block, part: slice, sign: int = 1) -> None:
        """Count rows of a block at which a function is called, or with the sign -1 is not."""
        calls = sign * (part.stop - part.start)
        block.count(part, sign)
        if block.gradient is None:
            self.started += calls
        else:
            self.gradients += calls

    def parts(self, k: int) -> list[slice]:
        """Return the rows that go together in each call, for a wave of ``k`` points."""
        size = max(k, 1) if self.size is None else self.size
        return [slice(start, min(start + size, k)) for start in range(0, k, size)]


def check_group(group: int | None) -> int:
    """Return how many points one call takes; None means 1.

    Raises
    ------
    OptionError
        If it is no whole number of at least 1.
    """
    group = 1 if group is None else group
    if isinstance(group, bool) or not isinstance(group, int | np.integer) or group < 1:
        raise OptionError(f"max_evals_grouped is {group!r}, expected a whole number >= 1.")
    return int(group)
