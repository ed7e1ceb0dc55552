"""What SciPy's functional interfaces share: from their arguments to a run."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from optimizers._arrays import as_numbers
from optimizers._types import ArrayLike, BoundsLike, Objective
from optimizers.errors import InvalidInputError, UnknownOptionError, nearest_names, warn_user
from optimizers.evaluation.arguments import with_arguments
from optimizers.evaluation.choose import evaluator_for
from optimizers.gradients.source import Jacobian
from optimizers.options.table import LEVEL, NUMBER, STEPS
from optimizers.problem.bounds import as_start
from optimizers.problem.problem import Problem
from optimizers.run.observers import as_observer
from optimizers.run.run import Run
from optimizers.scipy.methods import METHODS
from optimizers.scipy.options import check_option, differences_for

# What scipy.optimize.minimize passes to a custom method besides its options.
_PASSED_ON = ("hess", "hessp", "constraints", "tol", "finite_diff_rel_step", "workers")
# The names of the limit of points in other methods.
_MEANT = {"maxiter": "maxfun", "maxfev": "maxfun"}


class FaceCall(NamedTuple):
    """The common arguments of the functional interfaces."""

    fun: Objective
    x0: ArrayLike
    args: tuple[Any, ...]
    jac: Jacobian
    bounds: BoundsLike
    callback: Callable[..., Any] | None
    maxfun: int | None
    eps: ArrayLike
    passed_on: dict[str, Any]

    def run(self, method: str) -> Run:
        """Return the requested run, checked as for an Optimizer."""
        maxfun = check_option("maxfun", self.maxfun)
        fun, jac = with_arguments((self.fun, self.jac), self.args)
        passed_on = self.passed_on
        if passed_on.get("hess") is not None or passed_on.get("hessp") is not None:
            warn_user(f"{method} ignores hess and hessp: the result does not depend on them.")
        constraints = passed_on.get("constraints", ())
        # These functions flatten an array of more dimensions, as SciPy does.
        start = as_start(self.x0 if np.ndim(as_numbers(self.x0)) < 2 else np.reshape(self.x0, -1))
        levels = METHODS[method].levels
        problem = Problem.check(
            method, levels, fun, start, jac, self.bounds, constraints=constraints
        )
        return Run(
            problem,
            evaluator_for(problem.fun, workers=passed_on.get("workers")),
            differences_for(problem.derivatives, self.eps, passed_on.get("finite_diff_rel_step")),
            maxfun=maxfun,
            on_failure="pass",  # NaN and infinities are passed on, as in SciPy
            observers=() if self.callback is None else (as_observer(self.callback),),
        )


def check_passed_on(face: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return an interface's further options; raise an UnknownOptionError for others."""
    for name in options:
        if name not in _PASSED_ON:
            known = [*list(inspect.signature(face).parameters)[:-1], *_PASSED_ON]
            hint = nearest_names(_MEANT.get(name, name), known)
            raise UnknownOptionError(f"{face.__name__} has no option {name!r}. {hint}")
    return options


def set_tolerance(tol: float | None, options: dict[str, Any], defaults: dict[str, float]) -> None:
    """Apply ``tol`` to those tolerances among the options that have their default."""
    if tol is None:
        return
    NUMBER("tol", tol)
    for name, default in defaults.items():
        check_option(name, options[name])
        if options[name] == default:
            options[name] = tol


def gradient_of(
    func: Objective, fprime: Callable[..., Any] | None, approx_grad: bool | int, epsilon: ArrayLike
) -> Jacobian:
    """Return the gradient that the arguments of the ``fmin_*`` functions specify."""
    if not callable(func):
        raise InvalidInputError(f"func is {func!r}, expected a callable func(x, *args).")
    LEVEL("approx_grad", approx_grad)
    if approx_grad:
        STEPS("epsilon", epsilon)
        return None
    if not (fprime is None or callable(fprime)):
        raise InvalidInputError(f"fprime is {fprime!r}, expected a callable fprime(x, *args).")
    return True if fprime is None else fprime
