"""Static helpers that Qiskit's optimizers have."""

from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._arrays import as_numbers
from optimizers._types import POINT, Array, Objective
from optimizers.errors import InvalidInputError
from optimizers.evaluation.arguments import WithArguments
from optimizers.evaluation.evaluator import Evaluator, values_at
from optimizers.gradients.differences import Differences


class StaticHelpers:
    """Helpers of every Optimizer that need no instance."""

    @staticmethod
    def gradient_num_diff(
        x_center: POINT, f: Objective, epsilon: float, max_evals_grouped: int | None = None
    ) -> Array:
        """Compute a gradient by forward differences, several points in one call.

        Parameters
        ----------
        x_center : ndarray of shape (n,)
            The point around which the gradient is computed.
        f : callable
            The function of which the gradient is computed. With groups, it gets several points
            concatenated to one flat vector and returns as many values.
        epsilon : float
            The step.
        max_evals_grouped : int, optional
            How many points one call takes, defaults to 1 (i.e. no batching). The value at
            ``x_center`` is computed in a call of its own.

        Returns
        -------
        ndarray of float64, shape (n,)
            The gradient computed.

        Raises
        ------
        OptionError
            If ``epsilon`` or ``max_evals_grouped`` cannot be used.
        InvalidValueError
            If ``f`` returns the wrong number of values.

        Examples
        --------
        >>> from optimizers import Optimizer
        >>> Optimizer.gradient_num_diff(np.array([1.0, 2.0]), lambda x: x @ x, 1e-6).round(4)
        array([2., 4.])
        """
        x = np.atleast_1d(as_numbers(x_center))
        if x.ndim > 1 or not np.isfinite(x).all():
            raise InvalidInputError(f"x_center is {x_center!r}, expected a vector of numbers.")
        plan = Differences("2-point", step=epsilon).plan(x)
        evaluator = Evaluator(f, max_evals_grouped)
        center = float(values_at(evaluator, x[np.newaxis])[0])
        return plan.fold(center, values_at(evaluator, plan.points))

    @staticmethod
    def wrap_function(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
        """Wrap a function to implicitly inject the args at each call.

        Parameters
        ----------
        function : callable
            The target function.
        args : tuple
            The args to be injected, after those of the call.

        Returns
        -------
        callable
            The wrapper. It can be pickled if the function and the args can.

        Examples
        --------
        >>> from optimizers import Optimizer
        >>> Optimizer.wrap_function(pow, (2,))(5)
        25
        """
        return WithArguments(function, args)
