"""The types that a user's objective, gradient and point may have."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: A vector, or a stack of vectors, of double precision numbers.
Array: TypeAlias = NDArray[np.float64]

#: A point of the search space as users write it: a number or a vector of shape ``(n,)``.
POINT: TypeAlias = float | NDArray[Any]

#: What is minimized: ``fun(x) -> float``, or ``fun(x) -> (float, gradient)`` with ``jac=True``.
Objective: TypeAlias = Callable[..., Any]

#: Bounds as users write them: pairs with None or infinities, an (n, 2) array, or SciPy's Bounds.
BoundsLike: TypeAlias = Any

#: Constraints as :func:`scipy.optimize.minimize` takes them.
ConstraintsLike: TypeAlias = Any

__all__ = ["POINT", "Array", "ArrayLike", "BoundsLike", "ConstraintsLike", "Objective"]
