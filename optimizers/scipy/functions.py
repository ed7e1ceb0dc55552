"""What SciPy's functional faces share: from their arguments to a run."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._types import ArrayLike, BoundsLike, Objective
from optimizers.errors import InvalidInputError, UnknownOptionError, nearest_names, warn_user
from optimizers.evaluation.arguments import WithArguments
from optimizers.evaluation.pool import evaluator_for
from optimizers.gradients.differences import SCHEMES, Differences
from optimizers.gradients.source import GradientSource, Jacobian
from optimizers.options.table import NUMBER, STEPS
from optimizers.problem.problem import Problem
from optimizers.run.observers import as_observer
from optimizers.run.run import Run
from optimizers.scipy.methods import METHODS
from optimizers.scipy.options import check_option
from optimizers.support import SupportLevels

# What scipy.optimize.minimize hands to a custom method besides its options.
_PASSED_ON = ("hess", "hessp", "constraints", "tol", "finite_diff_rel_step", "workers")
_UNUSED = Differences()
# What other methods call the limit of points.
_MEANT = {"maxiter": "maxfun", "maxfev": "maxfun"}


def differences_for(
    jac: Jacobian, step: ArrayLike | None, relative: ArrayLike | None
) -> GradientSource:
    """Return the source that SciPy's options mean; with a gradient of the user's own, any.

    Parameters
    ----------
    jac : GradientSource, scheme name or other
        A named scheme takes relative steps, as in SciPy; one of the user's own has its steps.
    step : float or array_like of shape (n,), optional
        ``eps``: the absolute step where no scheme is named.
    relative : float or array_like of shape (n,), optional
        ``finite_diff_rel_step``.
    """
    if jac is True or callable(jac):
        return _UNUSED
    if isinstance(jac, GradientSource):
        return jac
    check_option("eps", step)
    check_option("finite_diff_rel_step", relative)
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
    check_option("maxfun", maxfun)
    args = args if isinstance(args, tuple) else (args,)
    if args:
        fun = WithArguments(fun, args) if callable(fun) else fun
        jac = WithArguments(jac, args) if callable(jac) else jac
    if passed_on.get("hess") is not None or passed_on.get("hessp") is not None:
        warn_user(f"{method} ignores hess and hessp: the result does not depend on them.")
    problem = Problem.check(
        method,
        _levels(method),
        fun,
        np.asarray(x0).reshape(-1),
        jac,
        bounds,
        constraints=passed_on.get("constraints", ()),
    )
    differences = differences_for(problem.jac, eps, passed_on.get("finite_diff_rel_step"))
    return Run(
        problem,
        evaluator_for(problem.fun, workers=passed_on.get("workers")),
        differences,
        maxfun=maxfun,
        on_failure="pass",
        observers=() if callback is None else (as_observer(callback),),
    )


@functools.cache
def _levels(method: str) -> SupportLevels:
    info = METHODS[method]
    return {"gradient": info.gradient, "bounds": info.bounds, "initial_point": info.gradient}


def check_passed_on(face: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the further options of a face, all of them known.

    Raises
    ------
    UnknownOptionError
        If one is not; the message names the nearest, or all that the face has.
    """
    for name in options:
        if name not in _PASSED_ON:
            known = [*list(inspect.signature(face).parameters)[:-1], *_PASSED_ON]
            hint = nearest_names(_MEANT.get(name, name), known)
            raise UnknownOptionError(f"{face.__name__} has no option {name!r}. {hint}")
    return options


def set_tolerance(tol: float | None, options: dict[str, Any], defaults: dict[str, float]) -> None:
    """Let ``tol`` stand for those tolerances among the options that have their default.

    Parameters
    ----------
    tol : float or None
        The tolerance, if one was given.
    options : dict
        The options; changed.
    defaults : dict of str to float
        The tolerances and their defaults.
    """
    if tol is None:
        return
    NUMBER("tol", tol)
    for name, default in defaults.items():
        check_option(name, options[name])
        if options[name] == default:
            options[name] = tol


def gradient_of(
    func: Objective,
    fprime: Callable[..., Any] | None,
    approx_grad: bool | int,
    epsilon: ArrayLike,
) -> Jacobian:
    """Return what the arguments of the ``fmin_*`` functions say of the gradient.

    Raises
    ------
    InvalidInputError, OptionError
        If one cannot be used; the message names it as those functions do.
    """
    if not callable(func):
        raise InvalidInputError(f"func is {func!r}, expected a callable func(x, *args).")
    if approx_grad:
        STEPS("epsilon", epsilon)
        return None
    if not (fprime is None or callable(fprime)):
        raise InvalidInputError(f"fprime is {fprime!r}, expected a callable fprime(x, *args).")
    return True if fprime is None else fprime
