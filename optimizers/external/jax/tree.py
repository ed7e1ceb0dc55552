"""Tree: a JAX pytree as one vector, on the host and in compiled code."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.errors import InvalidInputError
from optimizers.external.bounds import Matched, Packing, rounded_to
from optimizers.external.frameworks import require

_CLOSE_OVER = (
    "Close over what is not an array, such as a function or a string, with a lambda or partial; "
    "for an Equinox model, fit the first part of eqx.partition(model, eqx.is_inexact_array), and "
    "combine both parts inside the function."
)


class Tree:
    """The layout of a pytree's leaves in a vector; equal for equal structures, shapes and types."""

    def __init__(
        self,
        structure: Any,
        paths: Sequence[str],
        shapes: Sequence[tuple[int, ...]],
        dtypes: Sequence[Any],
    ) -> None:
        self.jax = require("jax")
        self.paths = tuple(paths)
        self._structure, self._dtypes = structure, tuple(dtypes)
        # NumPy has no bfloat16, and float16 is too imprecise for a solver: float32 holds both.
        host = [np.float64 if dtype == np.float64 else np.float32 for dtype in dtypes]
        self.packing = Packing(shapes, host, [rounded_to(dtype) for dtype in dtypes])
        self._key = structure, self.packing.shapes, self._dtypes

    @classmethod
    def of(cls, params: Any) -> "Tree":
        """Return the tree of parameters, whose leaves must be real floats."""
        jax = require("jax")
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = [jax.tree_util.keystr(path) for path, _ in leaves]
        arrays = []
        for path, (_, leaf) in zip(paths, leaves, strict=True):
            try:
                # A string might be the name of a type.
                array = None if isinstance(leaf, str) else jax.numpy.asarray(leaf)
            except (TypeError, ValueError):
                array = None
            if array is None or not jax.numpy.issubdtype(array.dtype, jax.numpy.floating):
                raise InvalidInputError(
                    f"params{path} is {leaf!r:.100}, expected real floats: pass arrays that are "
                    f"not fitted in args. {_CLOSE_OVER}"
                )
            arrays.append(array)
        if not arrays:
            raise InvalidInputError(f"params is {params!r:.100}, which contains no arrays.")
        return cls(structure, paths, [a.shape for a in arrays], [a.dtype for a in arrays])

    def arguments(self, args: Any) -> Any:
        """Return further arguments on JAX's device; raise an error for other types."""
        util = self.jax.tree_util
        leaves, structure = util.tree_flatten_with_path(args)
        arrays = []
        for path, leaf in leaves:
            try:
                # This may share the user's memory.
                leaf = leaf.copy() if isinstance(leaf, np.ndarray) else leaf
                arrays.append(self.jax.device_put(leaf))
            except (TypeError, ValueError) as error:
                raise InvalidInputError(
                    f"args{util.keystr(path)} is {leaf!r:.100}, expected arrays and numbers, which "
                    f"JAX can trace. {_CLOSE_OVER}"
                ) from error
        return structure.unflatten(arrays)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def pack(self, params: Any) -> NDArray[Any]:
        """Return a pytree as a new vector on the host."""
        return self.packing.join(self.jax.tree_util.tree_leaves(params))

    def unpack(self, x: NDArray[Any]) -> Any:
        """Return a vector on the host as a pytree of JAX arrays."""
        leaves = [
            self.jax.numpy.array(part, dtype)
            for part, dtype in zip(self.packing.split(x), self._dtypes, strict=True)
        ]
        return self._structure.unflatten(leaves)

    def traced(self, x: Any) -> Any:
        """Return a vector as a pytree, in compiled code."""
        parts = zip(self.packing.slices, self.packing.shapes, self._dtypes, strict=True)
        leaves = [x[part].reshape(shape).astype(dtype) for part, shape, dtype in parts]
        return self._structure.unflatten(leaves)

    def flat(self, params: Any) -> Any:
        """Return a pytree like the parameters as a vector, in compiled code."""
        numpy = self.jax.numpy
        leaves = self._structure.flatten_up_to(params)
        return numpy.concatenate([leaf.reshape(-1).astype(self.packing.dtype) for leaf in leaves])

    def flat_rows(self, params: Any, m: int) -> Any:
        """Return Jacobians, a pytree of (m, *shape of the leaf), as an (m, n) matrix."""
        numpy = self.jax.numpy
        leaves = self._structure.flatten_up_to(params)
        return numpy.concatenate([leaf.reshape(m, -1) for leaf in leaves], axis=1)

    def bounds(self, given: Any) -> Matched:
        """Return the bounds of each leaf, from a pytree with (low, high) or None for leaves."""
        try:
            found: list[Any] = self._structure.flatten_up_to(given)
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidInputError(
                f"The bounds are {given!r:.200}, expected the structure of params with "
                f"(low, high) or None at the leaves {', '.join(self.paths)}: {error}"
            ) from error
        for path, shape, bounds in zip(self.paths, self.packing.shapes, found, strict=True):
            if shape == (2,) and _is_ambiguous(bounds):
                (a, b), (c, d) = bounds
                raise InvalidInputError(
                    f"The bounds of params{path}, two numbers, are {bounds!r:.200}: is this a "
                    "(low, high) pair for each, as in SciPy, or all lower and all upper bounds? "
                    f"Write the first as (np.array([{a}, {c}]), np.array([{b}, {d}])) and the "
                    f"second as (np.array([{a}, {b}]), np.array([{c}, {d}])), with infinities "
                    "instead of None."
                )
        return found


def _is_ambiguous(bounds: Any) -> bool:
    """Return whether bounds may mean two pairs or two sides; a tuple of lists means sides."""
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        return False
    kinds = tuple if isinstance(bounds, tuple) else (list, tuple)
    return all(
        isinstance(side, kinds)
        and len(side) == 2
        and all(number is None or np.ndim(number) == 0 for number in side)
        for side in bounds
    )
