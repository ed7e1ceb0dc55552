"""The options of SciPy's methods; defaults are those of the constructors, or else SciPy's."""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from optimizers._types import ArrayLike
from optimizers.gradients.differences import Differences
from optimizers.gradients.source import GradientSource
from optimizers.options.settings import DISP
from optimizers.options.table import (
    LEVEL,
    NUMBER,
    STEPS,
    TOLERANCE,
    TRUTH,
    WHOLE,
    Check,
    Option,
    anything,
    array,
    expecting,
    limit,
    number,
    real,
    whole,
)
from optimizers.problem.derivatives import By, Derivatives

#: SciPy's own step for one-sided differences.
EPS = 1.4901161193847656e-08

_COUNT = whole(1).or_none
_LIMIT = limit(1).or_none
_POSITIVE = number(float(np.finfo(np.float64).tiny), ends="[)")
_PART = expecting("float", "'c1' and 'c2' with 0 < c1 < c2 < 1", lambda part: 0 < real(part) < 1)

_TABLE = (
    # Limits.
    Option("maxiter", None, limit(0).or_none).means(
        "Maximum number of iterations; 200 times the number of variables by default."
    ),
    Option("maxfev", 1000, _LIMIT).means(
        "Maximum number of points at which the objective is evaluated: a hard limit."
    ),
    Option("maxfun", None, _LIMIT).means(
        "Maximum number of points at which the objective is evaluated, probes of finite "
        "differences included: a hard limit."
    ),
    # When a method is done.
    Option("ftol", 1e-4, NUMBER).means("Relative error of values that ends a run as converged."),
    Option("gtol", 1e-5, NUMBER).means(
        "Stop when the largest component of the gradient is at most this."
    ),
    Option("xtol", 1e-4, NUMBER).means(
        "Relative error in the solution that is acceptable for convergence."
    ),
    Option("f_target", -math.inf, NUMBER).means("Stop when the value is at most this."),
    Option("norm", math.inf, NUMBER).means("Order of the norm of the gradient."),
    # Differences.
    Option("eps", EPS, STEPS.or_none).means(
        "Absolute step of the finite differences that stand in for a gradient that is not given."
    ),
    Option("finite_diff_rel_step", None, STEPS).means("Relative step of finite differences."),
    Option("diff_step", None, STEPS).means("Relative step of finite differences."),
    Option("jac_sparsity", None, anything("array_like or sparse matrix of shape (m, n)")).means(
        "Where the Jacobian may be other than zero. Then columns that have no row in common share "
        "a probe of finite differences, and the method gets a sparse Jacobian."
    ),
    # How a method goes.
    Option("c1", 1e-4, _PART).means("Armijo condition of the line search."),
    Option("c2", 0.9, _PART).means("Curvature condition of the line search."),
    Option("eta", 0.15, number(0, 0.25, "[)")).means(
        "A step is accepted when it reaches this part of the predicted fall."
    ),
    Option("initial_trust_radius", 1.0, _POSITIVE).means("Initial trust-region radius."),
    Option("max_trust_radius", 1000.0, _POSITIVE).means("No step is longer than this."),
    Option("subproblem_maxiter", None, _COUNT).means(
        "Iterations of a subproblem, from SciPy 1.17."
    ),
    Option("initial_tr_radius", 1.0, _POSITIVE).means("Initial trust-region radius."),
    Option("scale", None, array("(n,)")).means("Scales of the variables."),
    # What is told.
    DISP,
    Option("return_all", False, TRUTH).means("Keep all iterates, as ``allvecs``."),
    # Of all methods, though of COBYLA alone it is an option of SciPy's.
    Option("tol", None, TOLERANCE).means(
        "Tolerance for termination: stands for the method's own tolerances that are not given."
    ),
)
_SHARED = {option.name: option for option in _TABLE}
TOL = _SHARED["tol"]

#: What the constructors take besides options: parts of the problem, the same for every run.
PROBLEM = (
    Option("args", (), anything("tuple")).means(
        "Further arguments of ``fun``, ``jac``, ``hess`` and ``hessp``; a tuple, or a single one."
    ),
    Option("constraints", (), anything("dict or sequence")).means(
        "As in ``minimize``, for every run."
    ),
    Option("hess", None, anything("callable or other")).means("As in ``minimize``, for every run."),
    Option("hessp", None, anything("callable")).means("As in ``minimize``, for every run."),
)


def like(name: str, **different: Any) -> Option:
    """Return a shared option, with another default, check or meaning."""
    return replace(_SHARED[name], **different)


def shared(*names: str) -> tuple[Option, ...]:
    """Return shared options as they are."""
    return tuple(_SHARED[name] for name in names)


def _open(least: int) -> Check:
    """Return the check of a limit for a method to which an infinity is no large number."""
    closed = limit(least).or_none
    return replace(closed, convert=lambda v: v if v == math.inf else closed.convert(v))


def as_scipys_limit(option: Option) -> Option:
    """Return a limit that may be any number, as in SciPy: a fraction is met by the next whole one.

    One below zero is zero.
    """

    def test(name: str, value: Any) -> None:
        if value is not None:
            NUMBER.test(name, value)

    def convert(value: Any) -> Any:
        rounded = value if value in (None, math.inf) else max(0, math.ceil(value))
        return option.check.convert(rounded)

    return replace(option, check=Check(option.check.kind, test, convert))


#: The limits of Nelder-Mead and Powell: beside an infinite one the default of the other holds.
PAIR_OF_LIMITS = (
    like("maxiter", check=_open(0)).means("Maximum number of iterations."),
    like("maxfev", check=_open(1)),
)


#: What an algorithm for residuals may have in the place of what its objective is marked with.
LOSS_OPTIONS = (
    Option("loss", None, anything("str or callable").or_none).means(
        "What outliers count, if another than that of :func:`residuals`."
    ),
    Option("f_scale", None, NUMBER.or_none).means(
        "The residual from which on one is an outlier, if another than that of :func:`residuals`."
    ),
)


def tolerance(names: tuple[str, ...]) -> Option:
    """Return the option ``tol`` of a method where it stands for these."""
    *most, last = (f"``{name}``" for name in names)
    stands_for = f"{', '.join(most)} and {last}" if most else last
    return like("tol").means(f"Tolerance for termination: stands for {stands_for} if not given.")


#: Those of L-BFGS-B, which its functional faces have too.
LBFGSB_OPTIONS = (
    like("maxfun", default=15000),
    like("maxiter", default=15000).means("Maximum number of iterations."),
    like("ftol", default=10 * float(np.finfo(np.float64).eps)).means(
        "Stop when ``(f_k - f_{k+1}) / max(|f_k|, |f_{k+1}|, 1) <= ftol``."
    ),
    like("gtol").means("Stop when the projected gradient's largest component is at most this."),
    like("eps", default=1e-8),
    Option("maxcor", 10, _COUNT).means("How many steps stand in for the Hessian."),
    Option("maxls", 20, _COUNT).means("Evaluations of one line search at the most."),
    Option("iprint", -1, LEVEL).means(
        "What is printed: negative, nothing; 0, one line at the last iteration; more, see "
        ":func:`minimize_lbfgsb`."
    ),
    Option("restart", True, TRUTH).means(
        "Doubt a stop by ``ftol`` where the gradient is large, once; not SciPy's."
    ),
    Option("speculate", 1, _COUNT).means(
        "Steps of a line search that are tried at a time; not SciPy's."
    ),
    Option("values_first", True, TRUTH).means(
        "On fewer workers than points, save the gradient of steps that are too long; not SciPy's."
    ),
)
#: Those of TNC, likewise.
TNC_OPTIONS = (
    like("maxiter", default=100).means(
        "Maximum number of function evaluations as SciPy's TNC counts them: one for the value and "
        "its gradient together, whatever they cost. It looks at the limit now and then, and may "
        "pass it by one or two. The hard limit in points is ``maxfun``; where that is given, the "
        "default of this one does not end the run before."
    ),
    Option("accuracy", 0, NUMBER).means(
        "Relative step of the gradient differences. 0 stands for what suits the gradient: the "
        "square root of the machine precision if it is given, as in SciPy; else it follows from "
        "the error of the difference scheme, 2e-6 for central differences. With values in single "
        "precision, this and the goals ``ftol``, ``xtol`` and ``gtol`` suit these if not given."
    ),
    like("ftol", default=-1).means(
        "Precision goal for the value of f in the stopping criterion. If negative, ``accuracy``: "
        "so SciPy's kernel has it, whatever SciPy's document says."
    ),
    like("xtol", default=-1).means(
        "Precision goal for the value of x in the stopping criterion, after scaling; the square "
        "root of the machine precision if negative."
    ),
    like("gtol", default=-1).means(
        "Precision goal for the value of the projected gradient, after scaling. If negative, "
        "``1e-2 * sqrt(accuracy)``; where ``accuracy`` follows from differences, so does this, "
        "1e-7 for central ones. 0 is not recommended."
    ),
    like("eps", default=1e-8).means(
        "Absolute step of one-sided differences, for a gradient that is not given. The default "
        "stands for central differences with their own steps."
    ),
    like("scale").means("Scaling factors of the variables."),
    Option("offset", None, array("() or (n,)")).means("What is subtracted from each variable."),
    Option("mesg_num", None, LEVEL).means(
        "What is printed: 0 nothing, 1 a line an iteration, ... 5 all."
    ),
    Option("maxCGit", -1, WHOLE.or_none).means(
        "Products of Hessian and vector an iteration; -1 stands for max(1, min(50, n / 2))."
    ),
    like("eta", default=-1, check=NUMBER).means("Severity of the line search; 0.25 if negative."),
    Option("stepmx", 0, NUMBER).means("Longest step of the line search; 10 if it is 0."),
    Option("minfev", 0, NUMBER).means("Estimate of the minimum."),
    Option("rescale", -1, NUMBER).means(
        "Scaling factor (log10) that triggers a rescaling of the value; 1.3 if negative."
    ),
)
_CHECKED = {o.name: o for o in (*_SHARED.values(), *TNC_OPTIONS, *LBFGSB_OPTIONS)}


def check_option(name: str, value: Any) -> Any:
    """Return a functional face's argument as an algorithm gets it, or raise an OptionError."""
    return _CHECKED[name].checked(value)


@dataclass(frozen=True)
class LbfgsbOptions:
    """The options of L-BFGS-B, with SciPy's names and defaults."""

    maxcor: int = 10
    ftol: float = 2.220446049250313e-09
    gtol: float = 1e-5
    maxls: int = 20
    maxiter: int = 15000
    iprint: int = -1
    restart: bool = False
    speculate: int = 1
    values_first: bool = False

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """Return the options that a user gives; None stands for a default."""
        options: dict[str, Any] = {}
        for name, value in given.items():
            if value is not getattr(cls, name, None):
                value = check_option(name, value)
                if value is not None:
                    options[name] = value
        return cls(**options)


_UNUSED = Differences()


def differences_for(
    derivatives: Derivatives, step: ArrayLike | None, relative: ArrayLike | None
) -> GradientSource:
    """Return the source that SciPy's options mean; with a gradient of the user's own, any."""
    if not isinstance(derivatives, By):
        return _UNUSED
    if derivatives.source is not None:
        return derivatives.source
    check_option("eps", step)
    check_option("finite_diff_rel_step", relative)
    if derivatives.scheme is not None:  # a named one takes relative steps only, as in SciPy
        return Differences(derivatives.scheme, relative_step=relative)
    if relative is not None:
        return Differences("2-point", relative_step=relative)
    return Differences("2-point", step=step)
