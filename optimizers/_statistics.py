"""What the result of a fit has besides: confidence intervals, and the way to its profiles."""

from typing import Any

import numpy as np

from optimizers._types import Array, Objective
from optimizers.covariance import errors, quantile


class FitStatistics:
    """Confidence intervals of a result whose objective returns residuals."""

    def confidence(self: Any, level: float = 0.95, *, absolute_sigma: bool = False) -> Array:
        """Return a confidence interval for each variable.

        Only where the objective returns residuals. The intervals are those of the model's tangent
        at the solution; :meth:`Optimizer.profile` has those of the model itself.

        Parameters
        ----------
        level : float, default 0.95
            The probability.
        absolute_sigma : bool, default False
            Whether the residuals are divided by the standard deviations of the data. If not, these
            are estimated from the scatter of the residuals.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            Lower and upper ends: ``x`` plus and minus the standard errors times a quantile of
            Student's t distribution with ``dof`` degrees of freedom, or of the normal distribution
            with ``absolute_sigma``.

        Examples
        --------
        >>> import numpy as np
        >>> from optimizers import LBFGSB, residuals
        >>> t, data = np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0, 1.2, 0.8, 0.4])
        >>> def misfit(x):
        ...     return x[0] * np.exp(-x[1] * t) - data
        >>> fit = LBFGSB().minimize(residuals(misfit), [1.0, 1.0])
        >>> fit.errors.round(3), fit.dof
        (array([0.054, 0.029]), 2)
        >>> fit.confidence(0.95).round(2)
        array([[1.77, 2.23],
               [0.37, 0.62]])
        """
        self._check_fit("confidence")
        found = errors(self, absolute_sigma=absolute_sigma)
        half = quantile(level, np.inf if absolute_sigma else self.dof) * found
        return np.column_stack([self.x_flat - half, self.x_flat + half])

    def profile(self, variables: Any, fun: Objective, optimizer: Any, **how: Any) -> Any:
        """Return confidence intervals by profile likelihood; see :meth:`Optimizer.profile`.

        Parameters
        ----------
        variables : int, list of int or None
            Which variables; None for all.
        fun : callable
            The objective. A result holds neither it nor the optimizer, since it may outlive them.
        optimizer : Optimizer
            Minimizes over the other variables.
        **how
            Further arguments of :meth:`Optimizer.profile`.

        Returns
        -------
        Profiles
            The intervals and the profiles.
        """
        return optimizer.profile(fun, self, variables, **how)

    def _check_fit(self: Any, name: str) -> None:
        if self.get("residuals") is None:
            raise KeyError(
                f"{name}: the result has no residuals. If the objective returns residuals, mark it "
                "with residuals(fun); if it returns a number, call error_bars(result, fun)."
            )
