"""Large arrays of one library: NumPy, or another one with the array API, on any device."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from optimizers._types import Array
from optimizers.errors import MissingExtraError

#: An array of any library that has the array API.
Tensor: TypeAlias = Any


class Arrays:
    """The operations on vectors like a given one that the array API does not have.

    Fresh memory costs more than what is computed in it: with NumPy, results go to arrays that
    exist, and long vectors are treated in blocks of some size, so that what belongs together stays
    in the cache. A vector up to twice as long is treated as a whole. Other libraries manage theirs
    themselves.
    """

    def __init__(self, like: Tensor, block: int) -> None:
        self.n, self.dtype = int(like.shape[0]), like.dtype
        self._is_numpy = isinstance(like, np.ndarray)
        self.xp: Any = np
        self._place: dict[str, Any] = {}
        self._is_mutable = True
        if not self._is_numpy:
            compat = _compat()
            self.xp, self._place = compat.array_namespace(like), {"device": compat.device(like)}
            self._is_mutable = compat.is_writeable_array(like)
        size = block if self._is_numpy and self.n > 2 * block else self.n
        self._blocks = [slice(at, min(at + size, self.n)) for at in range(0, self.n, size)]
        self._scratch: dict[str, Array] = {}

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """Return an array of zeros, on the same device."""
        return self.xp.zeros(shape, dtype=dtype, **self._place)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """Return an array to be filled, on the same device."""
        return self.xp.empty(shape, dtype=dtype, **self._place)

    def apply(self, name: str, *operands: Any, out: Array | None = None) -> Tensor:
        """Return what a function of the library makes of arrays, in ``out`` if that is given."""
        if not self._is_numpy:
            return getattr(self.xp, name)(*operands)
        return getattr(np, name)(*operands, out=out)

    def put(self, rows: Tensor, i: int, at: slice, name: str, *operands: Any) -> Tensor:
        """Return rows, a part of one replaced by the result of a function; in place if possible."""
        if self._is_numpy:
            getattr(np, name)(*operands, out=rows[i, at], casting="same_kind")
            return rows
        part = self.cast(self.apply(name, *operands), rows.dtype)
        if not self._is_mutable:
            return rows.at[i, at].set(part)
        rows[i, at] = part
        return rows

    def cast(self, array: Tensor, dtype: Any) -> Tensor:
        """Return an array in a precision; itself if it has that."""
        if array.dtype == dtype:
            return array
        return array.astype(dtype) if self._is_numpy else self.xp.astype(array, dtype)

    def sent(self, small: Array, dtype: Any) -> Tensor:
        """Return a small array of the host on the device."""
        if self._is_numpy:
            return small.astype(dtype, copy=False)
        return self.xp.asarray(small.tolist(), dtype=dtype, **self._place)

    def each(
        self,
        part: Callable[..., Sequence[Tensor]],
        into: Sequence[str | None] = (),
        folds: Sequence[Callable[[Any, Any], Any]] = (),
    ) -> list[Any]:
        """Return what the parts of all blocks make together, in one pass.

        ``part`` gets the block, and for each vector that it makes an array for its piece, or None
        if the library has no use for that. ``into`` has a name for each of these: of a vector that
        is used again under that name, or None for a new one. The other numbers or small arrays that
        it returns are added, or folded as given, in double precision on the host.
        """
        wholes = [self._vector(name) for name in into]
        if len(self._blocks) == 1:
            found = part(self._blocks[0], *wholes)
            return [*found[: len(into)], *self.on_host(found[len(into) :])]
        folded: list[Any] = []
        for at in self._blocks:
            pieces = [whole[at] for whole in wholes]
            found = part(at, *pieces)
            for piece, made in zip(pieces, found, strict=False):
                if made is not piece:
                    piece[...] = made
            terms = self.on_host(found[len(into) :])
            by = folds or (operator.add,) * len(terms)
            folded = (
                [f(a, b) for f, a, b in zip(by, folded, terms, strict=True)] if folded else terms
            )
        return [*wholes, *folded]

    def _vector(self, name: str | None) -> Any:
        if not self._is_numpy:
            return None
        if name is None:
            return np.empty(self.n, self.dtype)
        if name not in self._scratch:
            self._scratch[name] = np.empty(self.n, self.dtype)
        return self._scratch[name]

    def stack(self, vectors: Sequence[Tensor]) -> Tensor:
        """Return vectors of a block as rows of one array, until the next call."""
        if not self._is_numpy:
            return self.xp.stack(vectors)
        shape = len(vectors), self._blocks[0].stop
        kept = self._scratch.get("stack")
        if kept is None or kept.shape != shape or kept.dtype != vectors[0].dtype:
            kept = self._scratch["stack"] = np.empty(shape, vectors[0].dtype)
        rows = kept[:, : vectors[0].size]
        for row, vector in zip(rows, vectors, strict=True):
            row[...] = vector
        return rows

    def on_host(self, found: Sequence[Tensor]) -> list[Any]:
        """Return numbers and small arrays in double precision on the host, in one transfer."""
        if self._is_numpy:
            return [np.asarray(a, np.float64) if getattr(a, "ndim", 0) else float(a) for a in found]
        if not found:
            return []
        flat = [self.xp.reshape(self.xp.asarray(a, **self._place), (-1,)) for a in found]
        packed = np.array(self.xp.concat([self.cast(a, self.dtype) for a in flat]).tolist())
        ends = np.cumsum([a.shape[0] for a in flat])[:-1]
        pieces = zip(np.split(packed, ends), found, strict=True)
        return [a.reshape(b.shape) if getattr(b, "ndim", 0) else float(a[0]) for a, b in pieces]

    def columns(self, rows: Tensor, indices: Tensor) -> Array:
        """Return some columns of an array, in double precision on the host."""
        return numpy_of(self.xp.take(rows, indices, axis=-1)).astype(np.float64, copy=False)


def numpy_of(array: Tensor) -> np.ndarray[Any, Any]:
    """Return an array of any library as one of NumPy."""
    if isinstance(array, np.ndarray):
        return array
    compat = _compat()
    if compat.is_cupy_array(array):
        return np.asarray(array.get())
    return np.asarray(array.detach().cpu() if compat.is_torch_array(array) else array)


def _compat() -> Any:
    try:
        import array_api_compat
    except ImportError as error:
        raise MissingExtraError(
            "Arrays of other libraries than NumPy need array-api-compat: pip install "
            "array-api-compat."
        ) from error
    return array_api_compat
