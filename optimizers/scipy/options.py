"""The options of SciPy's methods; defaults are those of the constructors, otherwise SciPy's."""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from optimizers._arrays import is_whole
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
    choice,
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
        "Maximum number of points at which the objective is evaluated, including probes of finite "
        "differences: a hard limit."
    ),
    # When a method ends.
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
        "Absolute step of the finite differences if no gradient is given."
    ),
    Option("finite_diff_rel_step", None, STEPS).means("Relative step of finite differences."),
    Option("diff_step", None, STEPS).means("Relative step of finite differences."),
    Option("jac_sparsity", None, anything("array_like or sparse matrix of shape (m, n)")).means(
        "The entries where the Jacobian may be nonzero. Columns without a common row then share a "
        "probe of finite differences, and the method gets a sparse Jacobian."
    ),
    # How a method works.
    Option("c1", 1e-4, _PART).means("Armijo condition of the line search."),
    Option("c2", 0.9, _PART).means("Curvature condition of the line search."),
    Option("eta", 0.15, number(0, 0.25, "[)")).means(
        "A step is accepted when it reaches this fraction of the predicted decrease."
    ),
    Option("initial_trust_radius", 1.0, _POSITIVE).means("Initial trust-region radius."),
    Option("max_trust_radius", 1000.0, _POSITIVE).means("Maximum length of a step."),
    Option("subproblem_maxiter", None, _COUNT).means(
        "Iterations of a subproblem, from SciPy 1.17."
    ),
    Option("initial_tr_radius", 1.0, _POSITIVE).means("Initial trust-region radius."),
    Option("scale", None, array("(n,)")).means("Scales of the variables."),
    # Output.
    DISP,
    Option("return_all", False, TRUTH).means("Keep all iterates, as ``allvecs``."),
    # For all methods, although in SciPy it is an option of COBYLA only.
    Option("tol", None, TOLERANCE).means(
        "Tolerance for termination: sets the method's own tolerances that are not given."
    ),
)
_SHARED = {option.name: option for option in _TABLE}
TOL = _SHARED["tol"]

#: Further parameters of the constructors: parts of the problem, the same for every run.
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
    """Return the check of a limit for a method that does not accept an infinity."""
    closed = limit(least).or_none
    return replace(closed, convert=lambda v: v if v == math.inf else closed.convert(v))


def as_scipys_limit(option: Option) -> Option:
    """Return a limit that may be any number, as in SciPy: rounded up, and at least zero."""

    def test(name: str, value: Any) -> None:
        if value is not None:
            NUMBER.test(name, value)

    def convert(value: Any) -> Any:
        rounded = value if value in (None, math.inf) else max(0, math.ceil(value))
        return option.check.convert(rounded)

    return replace(option, check=Check(option.check.kind, test, convert))


#: The limits of Nelder-Mead and Powell: if one is infinite, the default of the other applies.
PAIR_OF_LIMITS = (
    like("maxiter", check=_open(0)).means("Maximum number of iterations."),
    like("maxfev", check=_open(1)),
)


#: Options of an algorithm for residuals that replace those of its objective's mark.
LOSS_OPTIONS = (
    Option("loss", None, anything("str or callable").or_none).means(
        "The loss, if different from that of :func:`residuals`."
    ),
    Option("f_scale", None, NUMBER.or_none).means(
        "The size beyond which a residual is an outlier, if different from that of "
        ":func:`residuals`."
    ),
)


def tolerance(names: tuple[str, ...]) -> Option:
    """Return the option ``tol`` of a method where it sets these."""
    *most, last = (f"``{name}``" for name in names)
    stands_for = f"{', '.join(most)} and {last}" if most else last
    return like("tol").means(f"Tolerance for termination: sets {stands_for} if not given.")


#: Those that say whose L-BFGS-B it is.
NATIVE = (
    Option("solver", "auto", choice("auto", "scipy", "native")).means(
        "Whose L-BFGS-B it is: SciPy's, or that of this package, which does the same on arrays and "
        'is faster for many variables; not in SciPy. With ``"auto"``, it is the latter from 2000 '
        "variables on, if the gradient is given."
    ),
    Option("memory_dtype", None, choice("float32", "float64").or_none).means(
        'The precision of the stored steps for ``solver="native"``: ``"float32"`` takes half the '
        "memory, and less time; not in SciPy."
    ),
)
#: Those of L-BFGS-B and its functional interfaces.
LBFGSB_OPTIONS = (
    like("maxfun", default=15000),
    like("maxiter", default=15000).means("Maximum number of iterations."),
    like("ftol", default=10 * float(np.finfo(np.float64).eps)).means(
        "Stop when ``(f_k - f_{k+1}) / max(|f_k|, |f_{k+1}|, 1) <= ftol``."
    ),
    like("gtol").means("Stop when the projected gradient's largest component is at most this."),
    like("eps", default=1e-8),
    Option("maxcor", 10, _COUNT).means("The number of steps that approximate the Hessian."),
    Option("maxls", 20, _COUNT).means("Maximum number of evaluations in a line search."),
    Option("iprint", -1, LEVEL).means(
        "What to print: negative, nothing; 0, one line at the last iteration; more, see "
        ":func:`minimize_lbfgsb`."
    ),
    Option("restart", True, TRUTH).means(
        "Restart once after a stop by ``ftol`` with a large gradient; not in SciPy."
    ),
    Option("speculate", 1, _COUNT).means(
        "The number of line search steps tried at a time; not in SciPy. The default of ``maxfun``, "
        "15000, is so many times as large."
    ),
    *NATIVE,
    Option("values_first", True, TRUTH).means(
        "With fewer workers than points, skip the gradient of steps that are too long; not in "
        "SciPy, and without effect where ``solver`` is the package's."
    ),
)
#: The option of Nelder-Mead that LBFGSB has for the steps of a line search.
TRIALS = Option(
    "speculate",
    1,
    expecting(
        "int", "a whole number from 1 to 4", lambda given: is_whole(given) and 1 <= given <= 4
    ),
).means(
    "How many of the four points that an iteration may need travel in one wave, if points are "
    "evaluated together; with more than 1, those of the first simplex, and of a shrunk one, do "
    "too. Not in SciPy."
)
#: Those of TNC, likewise.
TNC_OPTIONS = (
    like("maxiter", default=100).means(
        "Maximum number of function evaluations as SciPy's TNC counts them: one for the value and "
        "its gradient together, whatever they cost. It does not check the limit at every step, "
        "and may exceed it by one or two. The hard limit in points is ``maxfun``; if that is "
        "given, the default of this one does not end the run earlier."
    ),
    Option("accuracy", 0, NUMBER).means(
        "Relative step of the gradient differences. 0 means a suitable one: the square root of "
        "the machine precision if the gradient is given, as in SciPy; otherwise it follows from "
        "the error of the difference scheme, 2e-6 for central differences. With values in single "
        "precision, the defaults of this and of the goals ``ftol``, ``xtol`` and ``gtol`` are "
        "adapted."
    ),
    like("ftol", default=-1).means(
        "Precision goal for the value of f in the stopping criterion. If negative, ``accuracy``, "
        "as in SciPy's kernel (not as SciPy documents it)."
    ),
    like("xtol", default=-1).means(
        "Precision goal for the value of x in the stopping criterion, after scaling; the square "
        "root of the machine precision if negative."
    ),
    like("gtol", default=-1).means(
        "Precision goal for the value of the projected gradient, after scaling. If negative, "
        "``1e-2 * sqrt(accuracy)``; if ``accuracy`` follows from differences, so does this, 1e-7 "
        "for central ones. 0 is not recommended."
    ),
    like("eps", default=1e-8).means(
        "Absolute step of one-sided differences, if no gradient is given. The default means "
        "central differences with their own steps."
    ),
    like("scale").means("Scaling factors of the variables."),
    Option("offset", None, array("() or (n,)")).means(
        "The offset that is subtracted from each variable."
    ),
    Option("mesg_num", None, LEVEL).means(
        "What to print: 0 nothing, 1 a line per iteration, ... 5 all."
    ),
    Option("maxCGit", -1, WHOLE.or_none).means(
        "Hessian-vector products per iteration; -1 means max(1, min(50, n / 2))."
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
    """Return a functional interface's argument, converted, or raise an OptionError."""
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
    solver: str = "scipy"
    memory_dtype: str | None = None

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """Return the options that a user gives; None means the default."""
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
    """Return the gradient source for SciPy's options; unused if the user gives a gradient."""
    if not isinstance(derivatives, By):
        return _UNUSED
    if derivatives.source is not None:
        return derivatives.source
    check_option("eps", step)
    check_option("finite_diff_rel_step", relative)
    if derivatives.scheme is not None:  # a named one uses relative steps only, as in SciPy
        return Differences(derivatives.scheme, relative_step=relative)
    if relative is not None:
        return Differences("2-point", relative_step=relative)
    return Differences("2-point", step=step)
