"""From a wave of points to the objective's values: one by one, in groups, or as a stack."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array, Objective
from optimizers.errors import InvalidInputError, OptionError
from optimizers.evaluation.values import as_value, as_values

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "__optimizers_vectorized__"
_EPS = float(np.finfo(np.float64).eps)


def vectorized(fun: _F) -> _F:
    """Mark an objective as taking a stack of points ``(k, n)`` and returning ``(k,)`` values.

    Parameters
    ----------
    fun : callable
        The objective. It gets a (k, n) array of float64, also for a single point (k = 1).

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


class Evaluator:
    """Calls the objective for a wave of points, in groups as the user asked.

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

    def __init__(self, fun: Objective, group: int | None = 1, workers: Any = None) -> None:
        if not callable(fun):
            raise InvalidInputError(f"fun is {fun!r}, expected a callable fun(x) -> float.")
        group = 1 if group is None else group
        if isinstance(group, bool) or not isinstance(group, int | np.integer) or group < 1:
            raise OptionError(f"max_evals_grouped is {group!r}, expected a whole number >= 1.")
        if not (workers is None or workers == "vectorized" or callable(workers)):
            raise OptionError(
                f"workers is {workers!r}, expected None, 'vectorized' or a map-like callable "
                "such as concurrent.futures' executor.map."
            )
        self._fun = fun
        self._stacked = workers == "vectorized" or getattr(fun, _MARK, False)
        self._map = workers if callable(workers) else None
        if self._map is not None and (group > 1 or self._stacked):
            raise OptionError(
                "A map-like workers takes one point a task: it does not go together with "
                "max_evals_grouped > 1 or a vectorised objective."
            )
        #: The coarsest machine precision among the values so far: float32 answers raise it.
        self.precision = _EPS
        # A vectorised objective takes a whole wave at once unless the user limits it.
        self._group = None if self._stacked and group == 1 else int(group)

    @property
    def calls_points(self) -> bool:
        """Whether the objective is called in this thread with one point at a time."""
        return self._group == 1 and self._map is None and not self._stacked

    def value(self, x: Array) -> float:
        """Return the objective's value at one point, finite or not.

        Parameters
        ----------
        x : ndarray of float64, shape (n,)
            The point; the objective gets a copy.

        Returns
        -------
        float
            The value.
        """
        raw = self._fun(x.reshape(1, -1).copy() if self._stacked else x.copy())
        if type(raw) is not float:
            self._note(raw)
        return as_value(raw)

    def wave(self, points: NDArray[Any]) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Evaluate a wave of points, and yield each part as its values arrive.

        Parameters
        ----------
        points : ndarray of float64 or complex128, shape (k, n)
            The points.

        Yields
        ------
        part : slice
            The rows of ``points``.
        values : ndarray of the points' dtype, shape of the part
            Their values, finite or not.
        """
        dtype = points.dtype.type
        k = len(points)
        if self._map is not None:
            answers = list(self._map(self._fun, [point.copy() for point in points]))
            self._note(answers[0] if answers else 0.0)
            yield slice(0, k), as_values([as_values(a, 1, dtype)[0] for a in answers], k, dtype)
            return
        for part in self.parts(k):
            group = points[part]
            raw = self._fun(group.copy() if self._stacked else group.flatten())
            if type(raw) is not float:
                self._note(raw)
            yield part, as_values(raw, len(group), dtype)

    def _note(self, raw: Any) -> None:
        first = raw[0] if isinstance(raw, list | tuple) and raw else raw
        dtype = getattr(first, "dtype", None)
        if isinstance(dtype, np.dtype) and dtype.kind == "f":
            self.precision = max(self.precision, float(np.finfo(dtype).eps))

    def parts(self, k: int) -> list[slice]:
        """Return the rows that go together in each call, for a wave of ``k`` points."""
        size = max(k, 1) if self._map is not None or self._group is None else self._group
        return [slice(start, min(start + size, k)) for start in range(0, k, size)]
