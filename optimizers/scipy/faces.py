"""What SciPy's functional faces share: from their arguments to a run."""

from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._types import ArrayLike, BoundsLike, Jacobian, Objective
from optimizers.errors import OptionError, UnknownOptionError, nearest_names, warn_user
from optimizers.evaluation.differences import SCHEMES, Differences
from optimizers.evaluation.pools import evaluator_for
from optimizers.observers import as_observer
from optimizers.problem import Problem
from optimizers.run import Run
from optimizers.scipy.methods import METHODS

# What scipy.optimize.minimize hands to a custom method besides its options.
_PASSED_ON = ("hess", "hessp", "constraints", "tol", "finite_diff_rel_step", "workers")
_UNUSED = Differences()


def differences_for(
    jac: Jacobian, step: ArrayLike | None, relative: ArrayLike | None
) -> Differences:
    """Return the scheme that SciPy's options mean; with a gradient of the user's own, any.

    Parameters
    ----------
    jac : Differences, scheme name or other
        A named scheme takes relative steps, as in SciPy; one of the user's own has its steps.
    step : float or array_like of shape (n,), optional
        ``eps``: the absolute step where no scheme is named.
    relative : float or array_like of shape (n,), optional
        ``finite_diff_rel_step``.
    """
    if jac is True or callable(jac):
        return _UNUSED
    if isinstance(jac, Differences):
        return jac
    if jac in SCHEMES:
        return Differences(jac, relative_step=relative)
    if relative is not None:
        return Differences("2-point", relative_step=relative)
    return Differences("2-point", step=step)


def face_run(
    method: str,
    fun: Objective,
    x0: ArrayLike,
    args: tuple[Any, ...],
    jac: Jacobian,
    bounds: BoundsLike,
    callback: Callable[..., Any] | None,
    *,
    maxfun: int | None,
    eps: ArrayLike | None,
    passed_on: dict[str, Any],
) -> Run:
    """Return the run that a functional face's arguments describe.

    NaN and infinities go on to the algorithm, as in SciPy; everything else is checked as for an
    Optimizer.
    """
    if maxfun is not None and maxfun < 1:
        raise OptionError(f"maxfun is {maxfun!r}, expected a whole number >= 1.")
    args = args if isinstance(args, tuple) else (args,)
    if args:
        fun = _with_args(fun, args)
        jac = _with_args(jac, args) if callable(jac) else jac
    if passed_on.get("hess") is not None or passed_on.get("hessp") is not None:
        warn_user(f"{method} ignores hess and hessp: the result does not depend on them.")
    info = METHODS[method]
    problem = Problem.check(
        method,
        {"gradient": info.gradient, "bounds": info.bounds, "initial_point": info.gradient},
        fun,
        np.ravel(np.asarray(x0)),
        jac,
        bounds,
        constraints=passed_on.get("constraints", ()),
    )
    return Run(
        problem,
        evaluator_for(problem.fun, workers=passed_on.get("workers")),
        differences_for(problem.jac, eps, passed_on.get("finite_diff_rel_step")),
        maxfun=maxfun,
        on_failure="pass",
        observers=() if callback is None else (as_observer(callback),),
    )


def check_passed_on(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the further options of a face, all of them known.

    Raises
    ------
    UnknownOptionError
        If one is not; the message names the nearest.
    """
    for name in options:
        if name not in _PASSED_ON:
            known = {*METHODS[method].known, *_PASSED_ON}
            raise UnknownOptionError(
                f"{method} has no option {name!r}. {nearest_names(name, known)}"
            )
    return options


def gradient_of(approx_grad: bool | int, fprime: Callable[..., Any] | None) -> Jacobian:
    """Return what the two arguments of the ``fmin_*`` functions say of the gradient."""
    return None if approx_grad else True if fprime is None else fprime


def _with_args(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    return lambda x: function(x, *args)
