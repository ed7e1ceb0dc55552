"""TNC on values that are coarser than double precision, differentiated by differences.

Hessian products need longer steps then, and at the minimum what the values show is noise.
"""

import math
from typing import Any

import numpy as np

from optimizers.gradients.differences import Differences
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.stationary import is_stationary
from optimizers.scipy.tnc.codes import FCONVERGED, LSFAIL, NOPROGRESS, XCONVERGED

_EPS = float(np.finfo(np.float64).eps)


def is_coarse(run: Run) -> bool:
    """Return whether the gradients are differences of values that are coarser than float64."""
    by_differences = not run.problem.derivatives.is_given
    return by_differences and run.precision > _EPS and run.watch is None


def gradient_error(run: Run, value: float) -> float:
    """Return the relative error of gradients by differences, after the value at the start."""
    source = run.source
    is_scheme = isinstance(source, Differences)
    if run.watch is not None:
        scheme = Differences("3-point") if is_scheme else source
        error = scheme.relative_error(run.watch.sigma / max(1.0, abs(value)))
    elif is_coarse(run) and isinstance(source, Differences) and source.scheme != "cs":
        # They are central then whatever was asked for, with steps that suit the precision.
        error = Differences("3-point").relative_error(run.precision)
    else:
        error = source.relative_error(run.precision)
    return min(error, 1.0)


def set_accuracy(options: dict[str, Any], error: float) -> None:
    """Set ``accuracy``, and ``gtol`` if not given, to what suits gradients with an error."""
    # Balances noise and curvature of the products; the kernel multiplies it by 1 + norm(x).
    options["accuracy"] = error**0.5 / 3
    if options["gtol"] < 0:
        # The kernel's own, 1e-2 sqrt(accuracy), supposes a gradient no better than accuracy.
        options["gtol"] = error ** (2 / 3)


class Coarse:
    """Makes TNC's options suit coarse values, and tells whether these bear out how it ended."""

    def __init__(self, run: Run, options: dict[str, Any]) -> None:
        self._run = run
        self._root = gradient_error(run, 0.0) ** 0.5
        # Ends for lack of progress that the user did not ask for by a tolerance.
        self._unasked = {LSFAIL, NOPROGRESS}
        for code, name in ((FCONVERGED, "ftol"), (XCONVERGED, "xtol")):
            if options[name] <= 0:
                self._unasked.add(code)

    def set_options(self, options: dict[str, Any]) -> None:
        """Set those options that are not given; changes ``options``."""
        if options["accuracy"] is None or options["accuracy"] <= 0:
            # Ten times what balances the errors where derivatives are near 1: where they are not,
            # products that are mostly noise cost more evaluations than coarse ones.
            options["accuracy"] = 3 * self._root
        own = {
            "gtol": self._root,
            # Without it the kernel takes the accuracy, which ends runs anywhere.
            "ftol": self._run.precision,
            "xtol": self._root**2,
        }
        for name, value in own.items():
            if options[name] < 0:
                options[name] = value

    def is_doubtful(self, outcome: Outcome) -> bool:
        """Return whether the kernel lost its way where the gradient is visibly not zero."""
        return outcome.status in self._unasked and not self._is_flat(outcome)

    def verdict(self, outcome: Outcome) -> int:
        """Return the return code that the values bear out."""
        if outcome.status not in self._unasked or outcome.known is None:
            return outcome.status
        if not self._is_flat(outcome):
            return NOPROGRESS if outcome.success else outcome.status
        # No value visibly lower is to be found, and the gradient may be zero.
        return outcome.status if outcome.success else FCONVERGED

    def _is_flat(self, outcome: Outcome) -> bool:
        known = outcome.known
        if known is None or known.jac is None or not math.isfinite(known.fun):
            return False
        # The error is that of derivatives near 1: its root leaves room for others.
        limit = 2 * self._root * max(1.0, abs(known.fun))
        return is_stationary(self._run.problem, known.x, known.fun, known.jac, limit)
