"""Hessians of the user's whose failures are rejected, as values and gradients that fail are."""

from collections.abc import Callable
from typing import Any

from optimizers._types import Array
from optimizers.errors import NonFiniteValueError
from optimizers.run.run import Run


def covered(run: Run, hessian: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``hess`` or ``hessp`` with another answer in the place of one that is rejected.

    For a matrix that is the last one; for a product with a vector, the vector.
    """
    last: list[Any] = []

    def answer(x: Array, *vector: Array) -> Any:
        try:
            found = hessian(x, *vector)
        except Exception as error:
            if not (last and _is_rejected(run, x, error)):
                raise
            return vector[0].copy() if vector else last[0]
        last[:] = [found]
        return found

    return answer


def _is_rejected(run: Run, x: Array, error: Exception) -> bool:
    """Return whether a failure of a Hessian is rejected, and count it if its point is not."""
    waves, memory = run.waves, run.memory
    if not (waves.has_penalty(error) or isinstance(error, NonFiniteValueError)):
        return False
    # What the method asks next in any case: where a point is rejected, its Hessian is too.
    run.value(x)
    known = memory.answer(x)
    if known is None or memory.is_penalty(known):
        return True
    if waves.has_penalty(error):
        run.budget.nrejected += 1
        run.budget.npenalized += 1
        return True
    return False
