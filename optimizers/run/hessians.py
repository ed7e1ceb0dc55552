"""Hessians: that of residuals, and the user's, whose failures are handled like those of values."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import diags_array, issparse
from scipy.sparse.linalg import aslinearoperator

from optimizers._types import Array
from optimizers.errors import NonFiniteValueError
from optimizers.run.run import Run

#: Outliers have zero or negative curvature: if all are, steps would be unbounded without this.
_LEAST = 0.1


def gauss_newton(run: Run) -> Callable[[Array], Any]:
    """Return the Hessian of residuals without their own second derivatives: J^T J, weighted.

    It uses the Jacobian of the gradient; where a point is rejected, it is the last one.
    """
    loss, last = run.problem.loss, [np.eye(run.problem.n)]
    assert loss is not None

    def hessian(x: Array) -> Any:
        (known,) = run.ask([x], values=False, gradients=True).found
        if known is None or known.residuals is None or known.jacobian is None:
            return last[0]
        jacobian, weights = known.jacobian, loss.curvature(known.residuals, _LEAST)
        if isinstance(jacobian, np.ndarray):
            last[0] = jacobian.T @ (weights[:, np.newaxis] * jacobian)
        else:
            diagonal = diags_array(weights)
            weighted = diagonal if issparse(jacobian) else aslinearoperator(diagonal)
            last[0] = jacobian.T @ (weighted @ jacobian)
        return last[0]

    return hessian


def covered(run: Run, hessian: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``hess`` or ``hessp`` that replaces rejected answers.

    A rejected matrix is replaced by the last one; a product with a vector by the vector.
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
    # The method asks for this next in any case: if the point is rejected, its Hessian is too.
    run.value(x)
    known = memory.answer(x)
    if known is None or memory.is_penalty(known):
        return True
    if waves.has_penalty(error):
        run.budget.nrejected += 1
        run.budget.npenalized += 1
        return True
    return False
