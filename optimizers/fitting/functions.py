"""SciPy's functional interfaces for fits: its algorithms, with points evaluated by a run."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import scipy.optimize
from scipy.optimize import Bounds, OptimizeResult

from optimizers._types import Array, ArrayLike
from optimizers.errors import InvalidInputError, InvalidValueError
from optimizers.evaluation.answers import own_jacobian
from optimizers.evaluation.arguments import WithArguments
from optimizers.evaluation.choose import evaluator_for
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.marks import is_vectorized, loss_of, marked_like, with_loss
from optimizers.evaluation.wave import Block
from optimizers.gradients.differences import Differences
from optimizers.problem.derivatives import By, Given, source_of
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.fast_fit import fit_functions
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run

_BOUNDS = (-np.inf, np.inf)
#: The types of numbers of lower precision than a run's, by their precision.
_TYPES = {float(np.finfo(kind).eps): kind for kind in (np.float32, np.float16)}


def least_squares(
    fun: Callable[..., Any],
    x0: ArrayLike,
    jac: Any = "2-point",
    bounds: Any = _BOUNDS,
    method: str = "trf",
    ftol: float | None = 1e-8,
    xtol: float | None = 1e-8,
    gtol: float | None = 1e-8,
    x_scale: Any = None,
    loss: str | Callable[..., Any] = "linear",
    f_scale: float = 1.0,
    diff_step: ArrayLike | None = None,
    tr_solver: str | None = None,
    tr_options: dict[str, Any] | None = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    callback: Callable[..., Any] | None = None,
    workers: Any = None,
) -> OptimizeResult:
    """Solve a nonlinear least-squares problem with bounds on the variables.

    The same arguments, steps, counts, result and messages as SciPy's function. The classes
    :class:`TRF`, :class:`DOGBOX` and :class:`LM` offer more; ``method="lm"`` here is MINPACK's, as
    in SciPy.

    Parameters
    ----------
    fun : callable
        The residuals, ``fun(x, *args, **kwargs) -> (m,)``; with the mark :func:`vectorized`, those
        of a stack of points, (k, n) -> (k, m).
    x0 : float or array_like of shape (n,)
        The start.
    jac : {"2-point", "3-point", "cs"} or callable, default "2-point"
        The Jacobian, ``jac(x, *args, **kwargs) -> (m, n)``, or differences: SciPy's, or with
        ``workers`` or a vectorized ``fun`` ours, all of whose probes travel in one wave.
    bounds : tuple of two array_like, or Bounds
        Lower and upper bounds.
    method : {"trf", "dogbox", "lm"}, default "trf"
        The algorithm.
    ftol, xtol, gtol, x_scale, loss, f_scale, tr_solver, tr_options, max_nfev, verbose, callback
        As in :func:`scipy.optimize.least_squares`. A ``callback`` needs SciPy 1.16.
    diff_step : float or array_like of shape (n,), optional
        Steps of differences, relative to ``abs(x)``.
    jac_sparsity : array_like or sparse matrix of shape (m, n), optional
        The entries where the Jacobian may be nonzero. Its differences are always SciPy's, evaluated
        one by one, unlike those of :class:`TRF`.
    args, kwargs
        Further arguments of ``fun`` and ``jac``.
    workers : int, Executor, callable or Dask client, optional
        How to evaluate the points of a wave; see :class:`RunSettings`.

    Returns
    -------
    OptimizeResult
        SciPy's, with ``x``, ``cost``, ``fun`` (the residuals), ``jac``, ``grad``, ``optimality``,
        ``active_mask``, ``nfev``, ``njev``, ``status``, ``message`` and ``success``.

    Raises
    ------
    ValueError
        As in SciPy's function, before the first evaluation if possible; an InvalidInputError for
        residuals that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from optimizers import least_squares
    >>> found = least_squares(lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]), [2.0, 2.0])
    >>> found.x.round(6), found.status
    (array([1., 1.]), 1)
    """
    if loss_of(fun) not in (None, Loss()):
        raise InvalidInputError(
            "fun is marked with a loss, which SciPy's function does not support: pass loss= and "
            "f_scale= to least_squares, or use TRF()."
        )
    options: dict[str, Any] = {
        "bounds": bounds, "method": method, "ftol": ftol, "xtol": xtol, "gtol": gtol,
        "loss": loss, "f_scale": f_scale, "diff_step": diff_step, "tr_solver": tr_solver,
        "tr_options": tr_options, "jac_sparsity": jac_sparsity, "max_nfev": max_nfev,
        "verbose": verbose,
    }  # fmt: skip
    # SciPy 1.15 has no callback, and another default of x_scale.
    further = {"callback": callback, "x_scale": x_scale}
    options.update((name, value) for name, value in further.items() if value is not None)

    def call(residuals: Callable[..., Any], slopes: Any) -> OptimizeResult:
        return scipy.optimize.least_squares(residuals, x0, slopes, **options)

    (x,) = _started(lambda stop: call(stop, stop if callable(jac) else jac))
    functions = _with_arguments(fun, args, kwargs), _with_arguments(jac, args, kwargs)
    run = _run(*functions, x, diff_step, bounds, workers)
    in_waves = workers is not None or is_vectorized(fun)
    is_own = callable(jac) or (in_waves and jac_sparsity is None)
    found: OptimizeResult = _executed(run, lambda fun, own: call(fun, own if is_own else jac))
    if method == "lm" and not callable(jac):
        found.njev = None  # as in SciPy, which counts only the user's Jacobians
    return found


def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: ArrayLike,
    p0: ArrayLike | None = None,
    sigma: ArrayLike | None = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = _BOUNDS,
    method: str | None = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Fit a function to data by nonlinear least squares.

    The same arguments, steps and outputs as SciPy's function. The classes accept
    :func:`~optimizers.residuals` and return more: see :class:`TRF`.

    Parameters
    ----------
    f : callable
        The model, ``f(xdata, *parameters) -> (m,)``.
    xdata : object
        Its first argument, usually the independent variable, of shape (m,) or (k, m).
    ydata : array_like of shape (m,)
        The data.
    p0 : array_like of shape (n,), optional
        The start; by default ones, or between the bounds.
    sigma, absolute_sigma, check_finite, nan_policy
        As in :func:`scipy.optimize.curve_fit`: the uncertainty of the data, whether it is absolute,
        and what to do about NaN.
    bounds : tuple of two array_like, or Bounds
        Lower and upper bounds.
    method : {"lm", "trf", "dogbox"}, optional
        The algorithm; MINPACK's ``"lm"`` by default, with bounds ``"trf"``.
    jac : callable, {"2-point", "3-point", "cs"} or None
        The Jacobian, ``jac(xdata, *parameters) -> (m, n)``, or differences: SciPy's, or with
        workers ours, all of whose probes travel in one wave.
    full_output : bool, default False
        Whether to return ``infodict``, ``mesg`` and ``ier`` too.
    **kwargs
        Further arguments of :func:`scipy.optimize.leastsq` or :func:`least_squares`, by the method;
        and ``workers``.

    Returns
    -------
    popt, pcov : ndarray of float64, shapes (n,) and (n, n)
        The parameters and their covariance.
    infodict, mesg, ier : dict, str, int
        With ``full_output``, the output of the algorithm.

    Raises
    ------
    ValueError, RuntimeError, TypeError
        As in SciPy's function; RuntimeError if the fit fails.

    Examples
    --------
    >>> import numpy as np
    >>> from optimizers import curve_fit
    >>> t, data = np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0, 1.2, 0.8, 0.4])
    >>> popt, pcov = curve_fit(lambda t, a, b: a * np.exp(-b * t), t, data)
    >>> popt.round(3), np.sqrt(np.diag(pcov)).round(3)
    (array([2.001, 0.497]), array([0.054, 0.029]))
    """
    workers = kwargs.pop("workers", None)
    options = {"check_finite": check_finite, "nan_policy": nan_policy, "full_output": full_output}
    options.update(kwargs, bounds=bounds, method=method)
    if not callable(f):
        raise InvalidInputError(f"f is {f!r}, expected a callable f(xdata, *parameters).")

    def call(model: Callable[..., Any], slopes: Any) -> Any:
        @functools.wraps(f)  # SciPy counts its parameters
        def named(*given: Any) -> Any:
            return model(*given)

        data = xdata, ydata, p0, sigma, absolute_sigma
        return scipy.optimize.curve_fit(named, *data, jac=slopes, **options)

    x, *start = _started(lambda stop: call(stop, stop if callable(jac) else jac))
    is_own = callable(jac) or (workers is not None and kwargs.get("jac_sparsity") is None)
    own = functools.partial(_at_parameters, jac, x) if callable(jac) else jac or "2-point"
    model = functools.partial(_at_parameters, f, x)
    run = _run(model, own, np.array(start), kwargs.get("diff_step"), bounds, workers)

    def fitted(fun: Callable[..., Any], slopes: Callable[..., Any]) -> Any:
        jacobian = (lambda _, *p: slopes(np.array(p))) if is_own else jac
        return call(lambda _, *p: fun(np.array(p)), jacobian)

    return tuple(_executed(run, fitted))


def _sides(bounds: Any) -> tuple[Any, Any]:
    return (bounds.lb, bounds.ub) if isinstance(bounds, Bounds) else tuple(bounds)


class _Started(BaseException):
    """Ends a call of SciPy that only checks its arguments; holds those of the model."""

    def __init__(self, given: tuple[Any, ...]) -> None:
        super().__init__()
        self.given = given


def _started(call: Callable[[Callable[..., NoReturn]], Any]) -> tuple[Any, ...]:
    """Return the arguments of SciPy's first call of a function, after its checks."""

    def stop(*given: Any) -> NoReturn:
        raise _Started(given)

    try:
        call(stop)
    except _Started as started:
        return started.given
    raise AssertionError("SciPy called no function")


class _AtLeast1d:
    """A function of one point that may return a number instead of an array."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, x: Array) -> Any:
        """Return the function's result as an array of at least one dimension."""
        found = self.function(x)
        return found if found is None or np.ndim(found) else np.reshape(found, 1)


def _with_arguments(function: Any, args: Any, kwargs: Mapping[str, Any] | None) -> Any:
    """Return a function of the point only; other values are unchanged."""
    if not callable(function):
        return function
    named = marked_like(functools.partial(function, **kwargs), function) if kwargs else function
    return WithArguments(named, args) if args else named


def _at_parameters(function: Callable[..., Any], x: Any, parameters: Array) -> Any:
    return function(x, *parameters)


def _run(fun: Any, jac: Any, x: Array, steps: Any, bounds: Any, workers: Any) -> Run:
    """Return the run that evaluates residuals, or a model, and their Jacobian."""
    if not callable(fun):
        raise InvalidInputError(f"fun is {fun!r}, expected a callable fun(x) -> (m,).")
    lower, upper = (np.array(np.broadcast_to(s, x.shape), dtype=np.float64) for s in _sides(bounds))
    derivatives = Given(jac) if callable(jac) else By(Differences(jac, relative_step=steps))
    residuals = with_loss(fun if is_vectorized(fun) else _AtLeast1d(fun), Loss())
    problem = Problem(residuals, x, derivatives, lower, upper, loss=Loss())
    evaluator = evaluator_for(problem.fun, workers=workers)
    # NaN and infinities are passed on to the algorithm, as in SciPy.
    return Run(problem, evaluator, source_of(derivatives), on_failure="pass")


def _executed(run: Run, call: Callable[..., Any]) -> Any:
    """Return SciPy's result for functions that a run evaluates."""
    found = []
    asked, slopes = fit_functions(run, is_joint=False)

    def residuals(x: Array) -> Array:
        if x.dtype.kind == "c":  # SciPy's own complex steps
            block = Block(x[np.newaxis])
            run.waves.take([block])
            assert block.residuals is not None
            probed: Array = block.residuals[0]
            return probed
        # SciPy's steps depend on the type, which differs from the run's.
        copy: Array = asked(x).astype(_TYPES.get(run.precision, np.float64))
        return copy

    def jacobian(x: Array) -> Any:
        return own_jacobian(slopes(x))

    def solve(run: Run) -> Outcome:
        with run.guard(residuals) as fun, run.guard(jacobian) as jac:
            found.append(call(fun, jac))
        known = run.memory.last
        return Outcome(known.x, True, 0, "", StopReason.CONVERGED, known)

    try:
        run.execute(solve)
    except InvalidValueError as error:
        raise InvalidInputError(str(error)) from error  # SciPy's functions raise a ValueError
    if not found:  # the residuals raised StopIteration
        raise StopIteration
    return found[0]
