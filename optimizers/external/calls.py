"""What solvers are given to call: the loss with its gradient, the constraints, the callback."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.external.backend import Backend


class CallbackStop(StopIteration):
    """A ``loss_callback`` asked to stop; ``answer`` is what the call would have returned."""

    def __init__(self, answer: tuple[Any, NDArray[Any]]) -> None:
        super().__init__("loss_callback asked to stop")
        self.answer = answer


class LossGradient:
    """The loss and its gradient at a packed vector; may remember the point of the lowest loss."""

    def __init__(
        self, backend: Backend, callback: Callable[..., Any] | None, keeps_best: bool
    ) -> None:
        self._backend = backend
        self._callback = callback
        self._keeps_best = keeps_best
        #: The point of the lowest loss, if that is remembered.
        self.best: NDArray[Any] | None = None
        self._lowest = np.inf

    def __call__(self, x: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        """Return both; CallbackStop if ``loss_callback`` raised StopIteration."""
        loss, gradient, *fetched = self._backend.loss_grad(x)
        if self._keeps_best and loss < self._lowest:
            self._lowest, self.best = loss, np.array(x)
        if self._callback is not None:
            try:
                self._callback(*fetched)
            except StopIteration:
                raise CallbackStop((loss, gradient)) from None
        return loss, gradient

    @property
    def is_unconnected(self) -> bool:
        """Whether the loss is known to have no gradient by any variable."""
        return self._backend.is_unconnected

    @property
    def hessp(self) -> Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None:
        """The exact product of the Hessian at ``x`` and ``p``, ``hessp(x, p)``; None without."""
        return self._backend.hessp if self._backend.has_hessp else None


class Constraints:
    """The constraints of a bound backend as functions of the packed vector, evaluated together."""

    def __init__(self, backend: Backend) -> None:
        self._values = _Latest(backend.constraint_values)
        self._jacobians = _Latest(backend.constraint_jacobians)

    def functions(self, indices: Sequence[int]) -> list[Callable[..., NDArray[Any]]]:
        """Return a function ``values(x) -> (m,)`` for each of the constraints named."""
        return [self._values.part(i) for i in indices]

    def jacobians(self, indices: Sequence[int]) -> list[Callable[..., NDArray[Any]]]:
        """Return a function ``jacobian(x) -> (m, n)`` for each of the constraints named."""
        return [self._jacobians.part(i) for i in indices]


class _Latest:
    """A function that remembers its last answer: solvers ask constraint by constraint."""

    def __init__(self, function: Callable[[NDArray[Any]], list[NDArray[Any]]]) -> None:
        self._function = function
        self._x: NDArray[Any] | None = None
        self._answer: list[NDArray[Any]] = []

    def part(self, i: int) -> Callable[..., NDArray[Any]]:
        def evaluate(x: NDArray[Any]) -> NDArray[Any]:
            if self._x is None or not np.array_equal(self._x, x):
                self._x = None  # nothing is known if this fails
                self._answer = self._function(x)
                self._x = np.array(x)
            return self._answer[i].copy()

        return evaluate


def no_step(xk: NDArray[Any], *state: Any) -> None:
    """Stand for a ``step_callback`` that is not given."""


def step_function(callback: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return a ``step_callback`` that takes what any of SciPy's methods passes it."""
    if callback is None:
        return no_step

    def step(xk: NDArray[Any], *state: Any) -> Any:
        return callback(np.array(xk))

    return step
