"""What solvers are given to call: the loss with its gradient, the constraints, the callback."""

from collections.abc import Callable
from functools import partial
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
        #: The exact product of the Hessian at ``x`` and ``p``, ``hessp(x, p)``; None without.
        self.hessp = backend.hessp if backend.has_hessp else None

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


def entries(
    function: Callable[[NDArray[Any]], list[NDArray[Any]]], count: int
) -> list[Callable[..., NDArray[Any]]]:
    """Return a function's entries as functions; it is asked once for all of them."""
    known: NDArray[Any] | None = None
    answer: list[NDArray[Any]] = []

    def entry(x: NDArray[Any], i: int) -> NDArray[Any]:
        nonlocal known, answer
        if known is None or not np.array_equal(known, x):
            known = None  # nothing is known if this fails
            answer = function(x)
            known = np.array(x)
        return answer[i].copy()

    return [partial(entry, i=i) for i in range(count)]


def no_step(xk: NDArray[Any], *state: Any) -> None:
    """Stand for a ``step_callback`` that is not given."""


def step_function(callback: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return a ``step_callback`` that takes what any of SciPy's methods passes it."""
    if callback is None:
        return no_step

    def step(xk: NDArray[Any], *state: Any) -> Any:
        return callback(np.array(xk))

    return step
