"""The choice of a method where none is given: by the problem and the settings of its run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from optimizers.evaluation.marks import has_errors, is_vectorized, loss_of, with_own_loss
from optimizers.gradients.source import Jacobian
from optimizers.options.settings import SETTINGS
from optimizers.problem.derivatives import as_derivatives, source_of
from optimizers.problem.leaf import is_plain
from optimizers.problem.limits import Limits
from optimizers.problem.structure import Structure

#: The name of a method, and why it was chosen.
Choice: TypeAlias = tuple[str, str]

_SETTINGS = {setting.name: setting for setting in SETTINGS}
#: The number of variables beyond which matrices of n by n numbers are too large.
_LARGE = 1000
# Measured on the 53 problems of Moré and Wild, without a gradient and bounds: how many are solved
# to a tenth of the way, and to a thousandth.
#: Up to this many evaluations for each of n + 1, DFOTR solves the most (53 and 45; L-BFGS-B 52 and
#: 43, BFGS 46 and 28; with 10, 50 and 33, 44 and 28, 35 and 13; COBYQA then 49 and 24), and up to
#: this many variables it needs little time itself. With more variables it is L-BFGS-B.
_FEW, _SMALL = 20, 20


@dataclass(frozen=True)
class Given:
    """What determines the choice: the problem and the settings of its run."""

    n: int
    is_bounded: bool
    is_constrained: bool
    has_residuals: bool
    #: Whether a gradient or its source is given, and whether that treats variables as angles.
    has_gradient: bool
    has_angles: bool
    noise: Any
    #: Whether the objective is marked as returning standard errors.
    has_errors: bool
    #: Whether points are evaluated together.
    is_parallel: bool
    maxfun: int | None

    @classmethod
    def of(
        cls,
        fun: Any,
        x0: Any,
        jac: Jacobian,
        bounds: Any,
        constraints: Any,
        settings: Mapping[str, Any],
    ) -> "Given":
        """Return what the arguments of a minimization are."""
        if is_plain(x0):
            n, is_bounded = np.size(x0), bounds is not None
        else:
            structure = Structure(x0)
            n, limits = structure.size, Limits(structure, bounds)
            is_bounded = bool(np.isfinite([limits.lower, limits.upper]).any())
        is_empty = isinstance(constraints, list | tuple) and not constraints
        derivatives, workers = as_derivatives(jac), settings.get("workers")
        is_one = isinstance(workers, int | np.integer) and workers == 1
        return cls(
            n=n,
            is_bounded=is_bounded,
            is_constrained=not (constraints is None or is_empty),
            has_residuals=callable(fun) and loss_of(with_own_loss(fun)) is not None,
            has_gradient=not derivatives.is_default,
            has_angles=not derivatives.is_given and source_of(derivatives).takes_angles,
            noise=_SETTINGS["noise"].checked(settings.get("noise")),
            has_errors=has_errors(fun),
            is_parallel=is_vectorized(fun) or not (workers is None or is_one),
            maxfun=_SETTINGS["maxfun"].checked(settings.get("maxfun")),
        )

    @property
    def scipys(self) -> Choice:
        """Return SciPy's choice."""
        if self.is_constrained:
            return "SLSQP", "there are constraints"
        if self.is_bounded:
            return "L-BFGS-B", "there are bounds"
        return "BFGS", "there are neither bounds nor constraints"

    @property
    def best(self) -> Choice:
        """Return the best choice, whatever the options are."""
        if self.has_residuals and self.is_constrained:
            return "trust-constr", "there are constraints, and the objective returns residuals"
        if self.has_residuals:
            return "TRF" if self.n > _LARGE else "LM", "the objective returns residuals"
        if self.is_constrained:
            return self.scipys
        if self.noise:
            return "NoisyLBFGSB", "the values have noise"
        if self.has_errors and self.noise != 0:
            return "NoisyLBFGSB", "the objective returns standard errors"
        if self.has_angles:
            return "NoisyLBFGSB", "the gradient is that of a circuit, whose values may have noise"
        if self.is_bounded:
            return self.scipys
        if self.n > _LARGE:
            words = f"there are more than {_LARGE} variables, and it stores no n by n matrix"
            return "L-BFGS-B", words
        if self.is_parallel:
            return "L-BFGS-B", "points are evaluated together, and it needs the fewest waves"
        each = np.inf if self.has_gradient or self.maxfun is None else self.maxfun / (self.n + 1)
        if each <= _FEW:
            words = f"there is no gradient, and maxfun is at most {_FEW} (n + 1)"
            return "DFOTR" if self.n <= _SMALL else "L-BFGS-B", words
        return self.scipys
