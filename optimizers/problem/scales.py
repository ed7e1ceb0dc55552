"""Scales: what each variable is divided by, and derivatives in other units."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import diags_array, issparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.result import OptimizerResult

#: What ``scale`` may be besides numbers.
SCALES = ("start", "bounds", "gradient")


def check_scale(name: str, value: Any) -> None:
    """Raise an OptionError if a scale is neither a known name nor numbers."""
    is_known = value in SCALES if isinstance(value, str) else not isinstance(value, bool | np.bool_)
    if not is_known:
        raise OptionError(f"{name} is {value!r:.200}, expected one of {SCALES}, or numbers > 0.")


@dataclass(frozen=True, eq=False)
class Sizes:
    """A scale for each searched variable, found by the package."""

    numbers: Array

    @classmethod
    def by(cls, gradient: Array, z: Array, sizes: Array) -> Self:
        """Return inverse derivatives, times a factor that keeps the variables' magnitude.

        Derivatives and variables ``z`` are those of the search, which has the ``sizes``.
        """
        steep, is_known = np.abs(gradient), gradient != 0.0
        found = 1.0 / np.where(
            is_known, steep, np.median(steep[is_known] if any(is_known) else 1.0)
        )
        is_known = z != 0.0
        ratios = np.log(np.abs(z[is_known]) / found[is_known])
        common = np.exp(np.mean(ratios)) if ratios.size else 1.0
        return cls(found * common * sizes)


def times(found: Any, matrix: Any) -> Any:
    """Return a product with a sparse matrix."""
    if isinstance(found, LinearOperator):
        return found @ aslinearoperator(matrix)
    if issparse(found):
        return found @ matrix
    array = np.asarray(found)
    return (array.reshape(-1, array.shape[-1]) @ matrix).reshape(*array.shape[:-1], -1)


def rescale(shown: OptimizerResult, slope: Array) -> None:
    """Convert the other arrays of a result to the user's units."""
    if shown.get("jacobian") is not None:
        with np.errstate(divide="ignore"):
            shown["jacobian"] = times(shown["jacobian"], diags_array(1.0 / slope))
    inverse = shown.get("hess_inv")
    if isinstance(inverse, LinearOperator):
        by = aslinearoperator(diags_array(slope))
        shown["hess_inv"] = by @ inverse @ by
    elif isinstance(inverse, np.ndarray):
        shown["hess_inv"] = slope[:, np.newaxis] * inverse * slope
