"""Differences of residuals with a sparse Jacobian: columns without a common row share a probe."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, issparse
from typing_extensions import override

from optimizers._arrays import as_numbers
from optimizers._types import Array
from optimizers.errors import CapabilityError, InvalidInputError
from optimizers.gradients.differences import Differences
from optimizers.gradients.plan import Plan, RowsPlan
from optimizers.gradients.source import EPS, GradientSource, Rng
from optimizers.gradients.stencils import Pairs, clipped, inside, pair_steps, room

_Slopes: TypeAlias = Callable[[Array, NDArray[Any], NDArray[np.intp]], Array]


def sparse_source(source: GradientSource, structure: Any) -> "SparseDifferences":
    """Return a difference scheme for a Jacobian with few nonzero entries."""
    if not isinstance(source, Differences) or source.richardson:
        raise CapabilityError(
            f"jac_sparsity was given with jac={source!r}: it only works with '2-point', '3-point', "
            "'cs' and Differences of these."
        )
    dense = structure if issparse(structure) else as_numbers(structure)
    if dense.ndim != 2:
        raise InvalidInputError(
            f"jac_sparsity is {structure!r:.200}, expected an array or a sparse matrix (m, n)."
        )
    cells = csc_array(dense != 0)
    cells.eliminate_zeros()
    return SparseDifferences(source, cells, _grouped(cells))


def _grouped(cells: Any) -> NDArray[np.intp]:
    """Return the group of each column; columns in a group have no common row."""
    groups = np.full(cells.shape[1], -1, dtype=np.intp)
    rest, number = list(range(cells.shape[1])), 0
    while rest:
        is_taken, others = np.zeros(cells.shape[0], dtype=bool), []
        for column in rest:
            rows = cells.indices[cells.indptr[column] : cells.indptr[column + 1]]
            if is_taken[rows].any():
                others.append(column)
            else:
                is_taken[rows], groups[column] = True, number
        rest, number = others, number + 1
    return groups


@dataclass(frozen=True, eq=False)
class SparseDifferences(GradientSource):
    """A difference scheme whose probes move a group of variables each."""

    scheme: Differences
    cells: Any
    groups: NDArray[np.intp]

    @override
    def check(self, n: int) -> None:
        self.scheme.check(n)
        if self.cells.shape[1] != n:
            raise InvalidInputError(
                f"jac_sparsity has shape {self.cells.shape}, expected (m, {n}): a row for each "
                "residual, and a column for each variable."
            )

    @override
    def relative_error(self, precision: float = EPS) -> float:
        return self.scheme.relative_error(precision)

    @override
    def plan(
        self,
        x: Array,
        lower: Array | None = None,
        upper: Array | None = None,
        precision: float = EPS,
        rng: Rng | None = None,
    ) -> Plan:
        kind, h = self.scheme.steps(x, precision)
        below, above = room(x, lower, upper)
        if kind == "cs":
            far = np.where(below + above == 0, 0.0, np.abs(h))
            return self._plan(x + 1j * self._moves(far), far, lambda f0, f, at: f.imag / far[at])
        if kind == "2-point":
            is_central, near, far = np.zeros(x.size, dtype=bool), [], inside(h, below, above)
        else:
            is_central, first, far = pair_steps(np.abs(h), below, above)
            near = [first]
        points = [clipped(x + self._moves(step), lower, upper) for step in (*near, far)]
        d1, d2 = (clipped(x + step, lower, upper) - x for step in (near[0] if near else 0 * x, far))
        two = (d1 != 0) & (d1 != d2)

        def slopes(f0: Array, values: Array, at: NDArray[np.intp]) -> Array:
            first, second = values[: len(at)], values[-len(at) :]
            pairs = Pairs(at, two[at], d1[at], d2[at], is_central[at], x)
            return pairs.fold(f0, np.concatenate([first[two[at]], second]))

        return self._plan(np.concatenate(points), d2, slopes)

    def _moves(self, steps: Array) -> Array:
        """Return the move of all variables for each group."""
        moves = np.zeros((self.groups.max(initial=-1) + 1, steps.size))
        moves[self.groups, np.arange(steps.size)] = steps
        return moves

    def _plan(self, points: NDArray[Any], steps: Array, slopes: _Slopes) -> Plan:
        """Return a plan, given the slopes in columns ``at`` from the values of their probes."""
        cells, count = self.cells.tocoo(), self.groups.max(initial=-1) + 1
        is_free = steps[cells.col] != 0
        rows, at = cells.row[is_free], cells.col[is_free]
        which = np.concatenate([self.groups[at] + i for i in range(0, len(points), count or 1)])
        each = np.tile(rows, len(which) // max(1, len(rows)))

        def fold(f0: Any, values: Any) -> Any:
            if len(f0) != cells.shape[0]:
                raise InvalidInputError(
                    f"jac_sparsity has shape {cells.shape}, expected a row for each of {len(f0)} "
                    "residuals."
                )
            found = slopes(f0[rows, 0], values[each, which], at)
            return csr_array((found, (rows, at)), shape=cells.shape)

        return RowsPlan(points, fold, lambda: np.sqrt(2) * np.abs(steps))
