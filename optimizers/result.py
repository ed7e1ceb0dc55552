"""What a run ends with: the result and the reason for stopping."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.optimize import OptimizeResult
from typing_extensions import override

from optimizers._shown import Reported, short, shown, table
from optimizers._statistics import FitStatistics
from optimizers._types import Array
from optimizers._words import fit_words
from optimizers.covariance import STATISTICS
from optimizers.errors import InvalidInputError, nearest_names


class StopReason(Enum):
    """Why a run ended; :attr:`sentence` says it in words.

    Examples
    --------
    >>> StopReason.MAXFUN.sentence
    'the budget of function evaluations is used up'
    >>> StopReason("timeout").is_budget
    True
    """

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Self:
        """Make a member whose value is one word and which knows its sentence."""
        member = object.__new__(cls)
        member._value_ = value
        member.sentence = sentence
        return member

    GRADIENT = "gradient", "the (projected) gradient is smaller than its tolerance"
    FUN = "fun", "the function value no longer falls by more than its tolerance"
    STEP = "step", "the step is smaller than its tolerance"
    CONVERGED = "converged", "the algorithm's own convergence test is met"
    TARGET = "target", "the target value is reached"
    FIXED = "fixed", "there is no free variable"
    MAXITER = "maxiter", "the budget of iterations is used up"
    MAXFUN = "maxfun", "the budget of function evaluations is used up"
    MAXSHOTS = "maxshots", "the budget of shots is used up"
    MAXJOBS = "maxjobs", "the budget of jobs is used up"
    TIMEOUT = "timeout", "the time limit is reached"
    AGREED = "agreed", "the minima found so far are probably all there are"
    CALLBACK = "callback", "a callback or the objective asked to stop"
    CLOSED = "closed", "the caller closed the stepper"
    NO_PROGRESS = "no_progress", "no acceptable step could be found"
    NOISE = "noise", "progress is below the noise of the objective"
    INFEASIBLE = "infeasible", "the constraints or bounds cannot be met"
    FAILED = "failed", "an evaluation or a callback raised an error"
    INTERRUPTED = "interrupted", "the run was interrupted"
    OTHER = "other", "the algorithm stopped for a reason of its own; see the message"

    @property
    def is_budget(self) -> bool:
        """Whether a limit of iterations, evaluations, shots, jobs or time ended the run."""
        return self in _BUDGETS


_BUDGETS = (
    *(StopReason.MAXITER, StopReason.MAXFUN, StopReason.MAXSHOTS, StopReason.MAXJOBS),
    StopReason.TIMEOUT,
)
#: Reasons that make a run a success.
SUCCESSES = (
    *(StopReason.GRADIENT, StopReason.FUN, StopReason.STEP),
    *(StopReason.CONVERGED, StopReason.TARGET, StopReason.FIXED),
)
_STOPS = {reason.value: reason for reason in StopReason}


_QISKITS = ("x", "fun", "jac", "nfev", "njev", "nit")


class Best(NamedTuple):
    """The best point of a run, ``x`` of shape (n,), and the objective's value there, ``fun``."""

    x: Any
    fun: float

    def __repr__(self) -> str:
        return short(self)


class OptimizerResult(OptimizeResult, Reported, FitStatistics):  # type: ignore[misc]  # SciPy is untyped
    """The result of a run, with attribute and mapping access as SciPy's ``OptimizeResult``.

    ``x``, ``fun`` and ``jac`` are the point where the algorithm ended; when the run was stopped
    from outside or failed, they are the best point evaluated, or the last iterate of SPSA and
    QNSPSA. ``fun`` is the value that the objective returned at ``x``, unless there is
    ``is_estimate``.

    Attributes
    ----------
    x : ndarray of float64, shape (n,), or what ``x0`` is
        The solution, in the structure of ``x0``, as are ``jac`` and ``best``; a gradient is zero
        where variables are fixed or tied. All other arrays have the order of ``x_flat``.
    x_flat : ndarray of float64, shape (n,)
        The variables in one vector, without those that are fixed or tied.
    names : sequence of str
        Their names; only where ``x0`` is a structure, or scaled.
    fun : float or None
        The objective at ``x``; None when nothing could be evaluated.
    jac : ndarray of float64, shape (n,), or None
        The gradient at ``x``, when it was evaluated.
    residuals : ndarray of float64, shape (m,), or None
        The residuals at ``x``; only where the objective returns residuals.
    jacobian : ndarray of float64, sparse matrix or LinearOperator, shape (m, n), or None
        Their Jacobian at ``x``, when it was evaluated; only where the objective returns residuals.
    nfev : int
        Points at which the objective was evaluated, including those of finite differences.
    njev : int
        Calls of the user's ``jac``; with ``jac=True``, calls of ``fun`` whose gradient was used.
    nhev : int
        Calls of the user's ``hess`` or ``hessp``.
    nit : int
        Iterations.
    nrejected : int
        Evaluations that failed and were treated as worse than any other
        (``on_failure="reject"``).
    nreplayed : int
        How many of the ``nfev`` values came from the journal, and were not evaluated again.
    nshots : int
        The shots of all evaluations; only where their number is known: the objective takes it, or
        the setting ``shots`` says it.
    njobs : int
        The waves in which the objective or its gradient was called; only where ``nshots`` is known,
        or with the setting ``maxjobs``.
    nknown : int
        At how many further points the answer was known before the run; only with the setting
        ``known``. They are not in ``nfev``.
    success : bool
        Whether the algorithm's convergence test was met.
    status : int
        The algorithm's own return code; -1 when the run was stopped from outside.
    message : str
        The algorithm's own message, or the sentence of the stop reason.
    stop : StopReason
        Why the run ended.
    best : Best or None
        The best point evaluated, including probes of finite differences.
    elapsed : float
        Wall time of the run in seconds.
    noise : float
        The standard deviation of the objective's noise where the run ended; only where the
        setting ``noise`` is used.
    is_estimate : bool
        True where ``fun`` is an estimate, as the run was stopped before ``x`` was evaluated; only
        then.
    jacobian_error : float
        The approximate relative error of the entries of ``jacobian``; only where it comes from
        differences or another gradient source.
    unscaled_covariance : ndarray of float64, shape (n, n)
        The inverse of J'J; only in a result that a journal has, in the place of ``jacobian``.
    weights : ndarray of float64, shape (m,)
        The weights that a loss gives to the squares of the residuals in the Gauss-Newton Hessian;
        only where there is a loss.
    fixed : ndarray of bool, shape (n,)
        Which variables the bounds fix; only where the objective returns residuals and some are
        fixed.
    at_bound : ndarray of bool, shape (n,)
        Which variables end on a bound, which ``errors`` and ``covariance`` ignore; only where the
        objective returns residuals and there are some.
    chi2 : float
        Twice ``fun``: the sum of the squares of the residuals, unless they have a loss. This and
        the next three exist only where the objective returns residuals; they are computed on
        demand.
    dof : int
        Degrees of freedom: the number of residuals minus the number of variables that are not fixed
        by bounds.
    covariance : ndarray of float64, shape (n, n)
        The covariance of the variables, ``chi2 / dof`` times the inverse of J'J, as in SciPy's
        ``curve_fit``. For residuals that are divided by their standard deviations it is ``dof /
        chi2`` times this (``absolute_sigma`` of the methods). NaN, and a warning, where the
        Jacobian is singular; 0 for variables that the bounds fix.
    errors : ndarray of float64, shape (n,)
        The standard errors of the variables: the square root of the diagonal.
    maximize : bool
        True where the objective was maximized; only then.
    maxcv : float
        The largest violation of a constraint at ``x``; only where there are constraints. NaN where
        an error ended the run and a constraint raises one at ``x`` too.

    Notes
    -----
    In a result that your own minimizer fills, ``x``, ``fun``, ``jac``, ``nfev``, ``njev`` and
    ``nit`` are None until they are set, as in Qiskit.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> result = LBFGSB().minimize(lambda x: (x[0] - 1.0) ** 2, x0=[3.0])
    >>> result.success, result["nfev"] == result.nfev
    (True, True)
    >>> OptimizerResult.from_dict(result.to_dict()).x == result.x
    array([ True])
    """

    x: Any
    fun: float | None
    jac: Any
    nfev: int
    njev: int
    nhev: int
    nit: int
    nrejected: int
    nreplayed: int
    success: bool
    status: int
    message: str
    stop: StopReason
    best: Best | None
    elapsed: float
    chi2: float
    dof: int
    covariance: Array
    errors: Array

    @property
    def x_flat(self) -> Array:
        """The free variables of ``x`` as a vector; ``x`` itself if that is a vector."""
        flat: Array = self.get("x_flat", self.x)
        return flat

    #: The history or the journal's path of the run, and a journal's header.
    _record: Any = None
    _about: dict[str, Any] | None = None

    def _keep(self, **known: Any) -> None:
        """Note what pictures and reports show; it is not an entry, and :meth:`to_dict` omits it."""
        for name, value in known.items():
            object.__setattr__(self, f"_{name}", value)

    def __missing__(self, name: str) -> Any:
        """Return an entry computed for a fit; None for those of Qiskit's that are not set yet."""
        if name in STATISTICS:
            self._check_fit(name)
            return STATISTICS[name](self)
        if name not in _QISKITS:
            raise KeyError(name)
        return None

    def __getattr__(self, name: str) -> Any:
        """Return an entry; the error for one that is absent names the nearest."""
        try:
            return self[name]
        except KeyError:
            hint = "" if name.startswith("_") else f" {nearest_names(name, self)}"
        raise AttributeError(f"The result has no entry {name!r}.{hint}")

    @override
    def __repr__(self) -> str:
        if not self:
            return f"{type(self).__name__}()"
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:>{width}}: {text}" for name, text in rows)

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{type(self).__name__}()</p>"
        stop, verdict = self.get("stop"), "Converged" if self.get("success") else "Stopped"
        words = "" if stop is None else f"<p><b>{verdict}</b>: {html.escape(stop.sentence)}.</p>"
        return words + table((), self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        """Return the entries in words, and the statistics of a fit."""
        return [*((name, _shown(value)) for name, value in self.items()), *fit_words(self)]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a dict that :func:`json.dumps` accepts.

        Returns
        -------
        dict
            Numbers, strings and lists. Algorithm-specific entries without a JSON form, such as
            an inverse Hessian kept as a linear operator, are named under ``"omitted"``.
        """
        plain: dict[str, Any] = {}
        omitted = []
        for name, value in self.items():
            try:
                plain[name] = _to_json(value)
            except TypeError:
                omitted.append(name)
        if omitted or "omitted" in self:
            kept = self.get("omitted", [])
            plain["omitted"] = [*kept, *(name for name in omitted if name != "omitted")]
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Return the result that :meth:`to_dict` converted, also after a round trip via JSON."""
        if not isinstance(plain, Mapping):
            raise InvalidInputError(
                f"plain is {plain!r:.200}, expected the dict that to_dict returned."
            )
        result = cls(
            {name: _from_json(value) for name, value in plain.items() if name != "omitted"}
        )
        if "omitted" in plain:
            result["omitted"] = list(plain["omitted"])
        if "stop" in plain:
            result.stop = _STOPS[plain["stop"]]
        if best := plain.get("best"):
            result.best = Best(_from_json(best["x"]), best["fun"])
        return result


def _shown(value: object) -> str:
    if isinstance(value, StopReason):
        return f"{value.name} ({value.sentence})"
    if isinstance(value, Best):
        return f"fun={value.fun!r} at x={shown(value.x)}"
    return shown(value)


def _from_json(value: object) -> object:
    if isinstance(value, dict) and "stop" in value:  # of one of many runs
        return OptimizerResult.from_dict(value)
    if isinstance(value, dict):
        return {name: _from_json(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):  # several arrays, as a simplex and its values, or results
        return tuple(_from_json(item) for item in value)


def _to_json(value: Any) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        # A plain float prints and compares the same everywhere; NumPy's float64 does not.
        return float(value) if isinstance(value, float) else value
    if isinstance(value, StopReason):
        return value.value
    if isinstance(value, Best):
        return {"x": _to_json(value.x), "fun": value.fun}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        return value.tolist()
    if isinstance(value, Sequence):
        return [_to_json(item) for item in value]
    if isinstance(value, OptimizerResult):  # of one of many runs
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(value, "columns"):  # a table
        value = {str(name): column.tolist() for name, column in value.items()}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _to_json(item) for name, item in value.items()}
    if hasattr(value, "tolist") and not isinstance(value, np.ndarray | np.generic):
        return value.tolist()  # a tensor, or a pandas Series
    raise TypeError(type(value).__name__)
