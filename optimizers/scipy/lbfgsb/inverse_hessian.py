"""The inverse Hessian that L-BFGS leaves behind, as a linear operator."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse.linalg
from numpy.typing import ArrayLike
from typing_extensions import override

from optimizers._arrays import as_real, check_memory
from optimizers._types import Array
from optimizers.errors import InvalidInputError

#: Held while an operator collects its pairs.
_LOCK = threading.RLock()


class LbfgsInvHessProduct(scipy.optimize.LbfgsInvHessProduct):  # type: ignore[misc]  # untyped
    """Linear operator for the L-BFGS approximate inverse Hessian, a subclass of SciPy's.

    Products with vectors and blocks need memory and time of the order of m n; only :meth:`todense`
    forms the matrix. It starts from the identity.

    Parameters
    ----------
    sk, yk : array_like of shape (m, n)
        The most recent steps and changes of the gradient, oldest first. A pair without curvature,
        ``s @ y == 0``, is an :class:`InvalidInputError`, as are other shapes.

    References
    ----------
    .. [1] J. Nocedal, "Updating quasi-Newton matrices with limited storage", Math. Comp. 35 (1980).

    Examples
    --------
    >>> operator = LbfgsInvHessProduct([[1.0, 0.0]], [[2.0, 0.0]])
    >>> operator @ [2.0, 3.0]
    array([1., 3.])
    >>> operator.todense()
    array([[0.5, 0. ],
           [0. , 1. ]])
    """

    def __init__(self, sk: ArrayLike, yk: ArrayLike) -> None:
        self._take(sk, yk)
        n = self.sk.shape[1]
        scipy.sparse.linalg.LinearOperator.__init__(self, np.float64, (n, n))

    @classmethod
    def later(cls, n: int, pairs: Callable[[], tuple[Array, Array]]) -> "LbfgsInvHessProduct":
        """Return an operator whose pairs are collected once, on first use."""
        operator: LbfgsInvHessProduct = cls.__new__(cls)
        # The base class, whose checks take longer than an evaluation, is not needed before either.
        operator._size, operator._pairs = n, pairs
        return operator

    def __getattr__(self, name: str) -> Any:
        """Return attributes that depend on the size or the pairs, on demand."""
        with _LOCK:
            n = self.__dict__.pop("_size", None)
            if n is not None:
                scipy.sparse.linalg.LinearOperator.__init__(self, np.float64, (n, n))
            needed = name in ("sk", "yk", "n_corrs", "rho", "_curvature")
            pairs = self.__dict__.pop("_pairs", None) if needed else None
            if pairs is not None:
                self._take(*pairs())
        return object.__getattribute__(self, name)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to rebuild the operator: its base class does not always pickle."""
        return type(self), (self.sk, self.yk)

    def _take(self, sk: ArrayLike, yk: ArrayLike) -> None:
        steps, changes = _real("sk", sk), _real("yk", yk)
        if steps.shape != changes.shape or steps.ndim != 2:
            raise InvalidInputError(
                f"sk and yk have shapes {steps.shape} and {changes.shape}, expected the same "
                "shape (number of pairs, number of variables)."
            )
        # With the same product as in multiplications, so that the secant equation holds exactly.
        curvature = np.array([s @ y[:, np.newaxis] for s, y in zip(steps, changes, strict=True)])
        curvature = curvature.reshape(len(steps))
        if not curvature.all():
            flat = int(np.flatnonzero(curvature == 0)[0])
            raise InvalidInputError(f"Pair {flat} has no curvature: sk @ yk is 0.")
        self.sk, self.yk, self.n_corrs, self.rho = steps, changes, len(steps), 1 / curvature
        self._curvature = curvature

    @override
    def _matvec(self, x: ArrayLike) -> Array:
        """Multiply a vector of shape (n,) or (n, 1)."""
        return self._block(np.array(x, dtype=np.float64).reshape(-1, 1))[:, 0]

    @override
    def _matmat(self, X: ArrayLike) -> Array:
        """Multiply a block of vectors, shape (n, k), all columns at once."""
        return self._block(np.array(X, dtype=np.float64))

    @override
    def _adjoint(self) -> "LbfgsInvHessProduct":
        """Return the operator itself: it is symmetric."""
        return self

    def _block(self, q: Array) -> Array:
        """Run the two loops over the pairs on a block that may be overwritten."""
        alpha = np.empty((self.n_corrs, q.shape[1]))
        for i in range(self.n_corrs - 1, -1, -1):
            alpha[i] = (self.sk[i] @ q) / self._curvature[i]
            q -= self.yk[i][:, np.newaxis] * alpha[i]
        for i in range(self.n_corrs):
            beta = (self.yk[i] @ q) / self._curvature[i]
            q += self.sk[i][:, np.newaxis] * (alpha[i] - beta)
        return q

    @override
    def todense(self) -> Array:
        """Return the operator as a dense array.

        Returns
        -------
        ndarray of float64, shape (n, n)
            The matrix; a :class:`TooLargeError` is raised if it would not fit in memory.
        """
        n = self.shape[0]
        # Updating a block needs a second one of the same size.
        what = f"The dense inverse Hessian of {n} variables"
        check_memory(what, 2 * n * n, "use products, operator @ v")
        return self._block(np.eye(n))


def _real(name: str, given: ArrayLike) -> Array:
    expected = "an array of real numbers, of shape (number of pairs, number of variables)"
    return np.asarray(as_real(name, given, expected), dtype=np.float64)
