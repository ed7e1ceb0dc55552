"""check_gradient: whether a gradient agrees with its objective."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array, ArrayLike, BoundsLike, Objective
from optimizers.errors import InvalidInputError
from optimizers.evaluation.arguments import with_arguments
from optimizers.gradients.source import Jacobian
from optimizers.optimizer import Optimizer
from optimizers.options.settings import RunSettings
from optimizers.result import StopReason
from optimizers.run.compare import Compared, compared
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.support import SupportLevel, levels

#: How many components the table has at most.
_ROWS = 20


@dataclass(frozen=True, eq=False, repr=False)
class GradientCheck:
    """A gradient compared with differences of values; it prints as a table, worst component first.

    Attributes
    ----------
    x : ndarray of float64, shape (n,)
        The point.
    fun : float
        The objective there.
    jac : ndarray of float64, shape (n,)
        The gradient that was checked.
    differences : ndarray of float64, shape (n,)
        The gradient by central differences, extrapolated to the step 0.
    error : ndarray of float64, shape (n,)
        Their approximate error by truncation, rounding and noise.
    order : ndarray of int, shape (n,)
        The components, worst first: by their difference in units of the error.
    ok : bool
        Whether each component agrees within ten times that error, and 1e-6 of the largest one.
    nfev : int
        How many points were evaluated.
    names : list of str or None
        The names of the components, where ``x0`` is a structure.
    """

    x: Array
    fun: float
    jac: Array
    differences: Array
    error: Array
    order: Any
    ok: bool
    nfev: int
    names: Sequence[str] | None = field(default=None, kw_only=True)

    @override
    def __repr__(self) -> str:
        verdict = "agrees" if self.ok else "does not agree"
        rows = [("component", "jac", "differences", "error", "apart")]
        for i in self.order[:_ROWS]:
            numbers = self.jac[i], self.differences[i]
            apart = f"{abs(self.jac[i] - self.differences[i]):.1e}"
            shown = [f"{x:.8g}" for x in numbers]
            name = str(i) if self.names is None else self.names[i]
            rows.append((name, shown[0], shown[1], f"{self.error[i]:.1e}", apart))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
        left = len(self.order) - _ROWS
        more = [f"... and {left} more that agree better"] if left > 0 else []
        return "\n".join([f"The gradient {verdict} with differences of values.", *lines, *more])


def check_gradient(
    fun: Objective,
    jac: Jacobian,
    x0: ArrayLike,
    args: Any = (),
    bounds: BoundsLike = None,
    **settings: Unpack[RunSettings],
) -> GradientCheck:
    """Compare a gradient with differences of values, component by component.

    All points travel in one wave: the point itself and six for each variable.

    Parameters
    ----------
    fun : callable
        The objective, in any form that :meth:`Optimizer.minimize` accepts.
    jac : callable, True or GradientSource
        The gradient; True if ``fun`` returns it too. The Jacobian if ``fun`` returns residuals.
    x0 : float or array_like of shape (n,)
        The point. It should not be a minimum, where all components are zero.
    args : tuple, default ()
        Further arguments of both functions; anything but a tuple is a single argument.
    bounds : sequence of (low, high), array_like of shape (n, 2), Bounds or None
        Bounds; no point outside of them is evaluated.
    **settings
        Settings of the run, such as ``workers``; see :class:`RunSettings`.

    Returns
    -------
    GradientCheck
        The comparison; its attribute ``ok`` has the verdict, and it prints as a table.

    Raises
    ------
    InvalidInputError
        If there is no gradient to check, or an argument cannot be used.
    EvaluationError
        If ``fun`` or ``jac`` returns something that cannot be used.

    Examples
    --------
    >>> from optimizers import check_gradient
    >>> check_gradient(lambda x: x[0] ** 2 + x[1] ** 3, lambda x: [2 * x[0], x[1] ** 2], [1.0, 2.0])
    The gradient does not agree with differences of values.
    component  jac  differences  error    apart
            1    4           12  ...  8.0e+00
            0    2            2  ...
    """
    fun, jac = with_arguments((fun, jac), args)
    if jac is None or jac is False:
        raise InvalidInputError("jac is None: there is no gradient to check. Pass a function.")
    result = _Comparison(**settings).minimize(fun, x0, jac, bounds)
    if "compared" not in result:
        raise InvalidInputError(f"Nothing could be compared: {result.stop.sentence}.")
    found: Compared = result.compared
    order = np.argsort(-found.excess, kind="stable")
    is_ok = bool((found.excess <= 1).all()) and bool(np.isfinite(found.estimated).all())
    value = np.nan if result.fun is None else result.fun
    columns = found.given, found.estimated, found.error
    names = result.get("labels")
    return GradientCheck(result.x_flat, value, *columns, order, is_ok, result.nfev, names=names)


class _Comparison(Optimizer):
    """Compares at the start, and ends there."""

    support_levels = levels(gradient=SupportLevel.supported)

    @override
    def _solve(self, run: Run) -> Outcome:
        x = run.problem.x0
        value, run.extra["compared"] = compared(run, x)
        if run.problem.parameters is not None:
            run.extra["labels"] = run.problem.parameters.searched
        known, stop = Evaluation(x, value, run.extra["compared"].given), StopReason.CLOSED
        return Outcome(x, False, 0, stop.sentence, stop, known)
