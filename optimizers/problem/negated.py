"""Functions with the opposite sign: minimizing these maximizes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator

from optimizers.errors import InvalidInputError
from optimizers.evaluation.answers import are_pairs, unpack
from optimizers.evaluation.marks import loss_of, marked_like
from optimizers.gradients.pennylane import trainable


class Negated:
    """A user's function with the opposite sign; an object, so that it pickles."""

    def __init__(
        self, function: Callable[..., Any], n: int, change: Callable[[Any, int], Any]
    ) -> None:
        self._call, self._n, self._change = trainable(function), max(1, n), change
        self.__wrapped__ = function
        marked_like(self, function)

    def __call__(self, *points: Any) -> Any:
        """Return what the function returns, with the opposite sign."""
        raw = self._call(*points)
        if type(raw) is float:
            return -raw
        count = np.size(points[0]) // self._n  # a group may be one flat array
        return self._later(raw, count) if hasattr(raw, "__await__") else self._change(raw, count)

    async def _later(self, raw: Any, count: int) -> Any:
        return self._change(await raw, count)


def negated(fun: Any, jac: Any, hess: Any, hessp: Any, n: int) -> tuple[Any, Any, Any, Any]:
    """Return the functions of ``n`` variables that are minimized to maximize.

    Arguments that are not functions are unchanged.
    """
    if loss_of(fun) is not None:
        raise InvalidInputError("maximize=True was given, but residuals can only be minimized.")
    value = Negated(fun, n, _both if jac is True else _values)
    first, second, product = (
        Negated(given, n, _numbers) if callable(given) and not isinstance(given, type) else given
        for given in (jac, hess, hessp)
    )
    return value, first, second, product


def _numbers(raw: Any, count: int = 1) -> Any:
    """Return numbers, a matrix or an operator negated; anything else is rejected later."""
    if issparse(raw) or isinstance(raw, LinearOperator):
        return raw * -1.0
    if isinstance(raw, int | list | tuple):
        try:
            raw = np.asarray(raw)
        except ValueError:  # a ragged list
            return raw
    kind = getattr(getattr(raw, "dtype", None), "kind", "f")
    if kind in "biu":  # not all have a negative of their own kind, and 0 has no sign
        raw = np.asanyarray(raw, dtype=np.float64)
    return raw if raw is None or isinstance(raw, str | dict) or kind not in "biufc" else -raw


def _values(raw: Any, count: int) -> Any:
    """Return negated values of ``count`` points; their standard errors are unchanged."""
    if count == 2 and are_pairs(raw):
        return raw  # an error
    if isinstance(raw, tuple) and len(raw) == 2 and not (count == 2 and np.ndim(raw[0]) == 0):
        return _numbers(raw[0]), raw[1]
    if isinstance(raw, list | tuple) and all(isinstance(one, tuple | list) for one in raw):
        return [_values(tuple(one), 1) for one in raw]
    if isinstance(raw, np.ndarray) and raw.ndim == 2 and raw.shape[1] == 2 and raw.size != count:
        return raw * [-1.0, 1.0]
    return _numbers(raw)


def _both(raw: Any, count: int) -> Any:
    value, gradient = unpack(raw)
    return _numbers(value), _numbers(gradient)
