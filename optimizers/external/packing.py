"""Packing: a list of arrays as one flat vector, row-major and in list order, and back."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.errors import InvalidInputError, InvalidValueError


class Packing:
    """How variables lie in one flat vector: of their dtype if they share one, else float64.

    ``held`` are the types of the framework's, where it has fewer digits than ``dtypes``.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, ...]],
        dtypes: Sequence[Any],
        held: Sequence[Any] | None = None,
    ) -> None:
        self.shapes = tuple(tuple(int(length) for length in shape) for shape in shapes)
        self.dtypes = tuple(np.dtype(dtype) for dtype in dtypes)
        self.held = self.dtypes if held is None else tuple(np.dtype(dtype) for dtype in held)
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in self.shapes]
        ends = np.cumsum([0, *sizes]).tolist()
        self.slices = tuple(itertools.starmap(slice, itertools.pairwise(ends)))
        self.size: int = ends[-1]
        kinds = set(self.dtypes)
        is_one = len(kinds) == 1 and self.dtypes[0].kind == "f"  # bfloat16 is not of NumPy
        self.dtype: np.dtype[Any] = self.dtypes[0] if is_one else np.dtype(np.float64)

    def vector(self, x: Any) -> NDArray[Any]:
        """Return a flat vector in ``dtype``, without a copy where it has that already."""
        given: NDArray[Any] = np.asarray(x)
        if given.shape != (self.size,) or given.dtype.kind not in "biuf":
            raise InvalidInputError(
                f"The packed vector has shape {given.shape} and dtype {given.dtype}, expected "
                f"({self.size},) real numbers, one for each element of the variables."
            )
        return given.astype(self.dtype, copy=False)

    def split(self, x: Any) -> list[NDArray[Any]]:
        """Return the variables' values in a vector, in their shapes and types; maybe views."""
        x = self.vector(x)
        parts = [x[s].reshape(shape) for s, shape in zip(self.slices, self.shapes, strict=True)]
        return [
            part.astype(dtype, copy=False) for part, dtype in zip(parts, self.dtypes, strict=True)
        ]

    def join(self, arrays: Sequence[Any]) -> NDArray[Any]:
        """Return the variables' values as one new flat vector."""
        flat = [np.ravel(np.asarray(array, dtype=self.dtype)) for array in arrays]
        sizes = [part.size for part in flat]
        expected = [s.stop - s.start for s in self.slices]
        if sizes != expected:
            raise InvalidValueError(
                f"Arrays of {sizes} elements were given for variables of {expected}: expected one "
                "array for each variable, of its shape."
            )
        return np.concatenate(flat) if flat else np.empty(0, self.dtype)
