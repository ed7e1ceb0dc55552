"""The metric of a circuit's states: from fidelities, or as a user's function returns it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from optimizers._types import Array
from optimizers.errors import InvalidInputError, InvalidValueError, NonFiniteValueError
from optimizers.evaluation.answers import as_numeric
from optimizers.problem.parameters import Parameters

#: A metric may be asymmetric by this fraction of its largest entry.
_ASYMMETRIC = 1e-6

#: Indices of variables.
Block = tuple[int, ...]


def as_blocks(given: Sequence[Sequence[int]] | str | None, n: int) -> tuple[Block, ...]:
    """Return the blocks of n variables; an InvalidInputError says what is wrong with them."""
    if given is None:
        return (tuple(range(n)),)
    if isinstance(given, str):
        return tuple((i,) for i in range(n))
    blocks = tuple(tuple(block) for block in given)
    if sorted(i for block in blocks for i in block) != list(range(n)):
        raise InvalidInputError(
            f"blocks is {given!r:.200}, expected each of the variables 0 to {n - 1} in one block."
        )
    return blocks


class FidelityMetric:
    r"""The metric by shifts of the fidelity, which is 1 at the point itself.

    Its entry i, j is the negative half of the second derivative of the fidelity by y_i and y_j:
    the sum of the fidelities at shifts by (s, s), (-s, -s), (s, -s) and (-s, s), with the signs of
    the products, over ``4 sin(s)**2``. For the frequency 1 that is exact.
    """

    def __init__(self, blocks: tuple[Block, ...], shift: float) -> None:
        pairs = [(i, j) for block in blocks for i in block for j in block if i <= j]
        self._rows, self._columns = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        self._shift = shift

    def points(self, x: Array) -> Array:
        """Return the points whose fidelities with ``x`` are needed, shape (k, n)."""
        is_own = self._rows == self._columns
        signs = [(1, 1), (-1, -1), (1, -1), (-1, 1)]
        parts = []
        for first, second in signs:
            # On the diagonal the last two are the point itself.
            chosen = slice(None) if first == second else ~is_own
            rows, columns = self._rows[chosen], self._columns[chosen]
            points, places = np.repeat(x[np.newaxis], len(rows), axis=0), np.arange(len(rows))
            points[places, rows] += first * self._shift
            points[places, columns] += second * self._shift
            parts.append(points)
        return np.concatenate(parts)

    def fold(self, fidelities: Array, n: int) -> Array:
        """Return the metric, shape (n, n), from the fidelities at :meth:`points`."""
        is_own, count = self._rows == self._columns, len(self._rows)
        total = fidelities[:count] + fidelities[count : 2 * count]
        crossed = np.ones((2, count))
        crossed[:, ~is_own] = fidelities[2 * count :].reshape(2, -1)
        entries = -0.5 * (total - crossed.sum(axis=0)) / (4 * np.sin(self._shift) ** 2)
        metric = np.zeros((n, n))
        metric[self._rows, self._columns] = metric[self._columns, self._rows] = entries
        return metric


class UsersMetric:
    """A user's metric in the form of a ``hessp``, so that it is recorded in journals."""

    def __init__(self, metric: Callable[..., Any], n: int, parameters: Parameters | None) -> None:
        self._metric, self._n, self._parameters = metric, n, parameters

    def __call__(self, x: Array, _: Array) -> Array:
        """Return the metric at a point, flat."""
        raw = self._metric(x if self._parameters is None else self._parameters.point(x))
        found = as_numeric(raw, "metric", np.float64)
        if found.shape != (self._n, self._n):
            raise InvalidValueError(
                f"metric returned the shape {found.shape}, expected {(self._n, self._n)}."
            )
        if not np.isfinite(found).all():
            raise NonFiniteValueError("metric returned NaN or an infinity.")
        if np.abs(found - found.T).max() > _ASYMMETRIC * np.abs(found).max():
            raise InvalidValueError("metric returned a matrix that is not symmetric.")
        return found.ravel()


def within(metric: Array, blocks: tuple[Block, ...]) -> Array:
    """Return a metric with zeros outside of the blocks."""
    kept = np.zeros_like(metric)
    for block in blocks:
        place = np.ix_(block, block)
        kept[place] = metric[place]
    return kept


def natural(metric: Array, gradient: ArrayLike, regularization: float) -> Array:
    """Return the gradient by the metric, made positive semidefinite, plus a diagonal.

    Without the diagonal, directions in which the state does not change are left out.
    """
    values, vectors = np.linalg.eigh(metric)
    values = np.maximum(values, 0.0) + regularization
    least = len(values) * np.finfo(np.float64).eps * float(values.max(initial=0.0))
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > least)
    step: Array = vectors @ (inverse * (vectors.T @ gradient))
    return step
