"""minimize: SciPy's call for every optimizer, and the choice of a method where none is given."""

from collections.abc import Callable, Mapping, Set
from typing import Any

from typing_extensions import Unpack

from optimizers._choice import Given
from optimizers._types import ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.errors import InvalidInputError
from optimizers.gradients.source import Jacobian
from optimizers.journal.known import start_of
from optimizers.optimizer import Optimizer
from optimizers.options.configured import as_options, check_agreement
from optimizers.options.settings import RUN_SETTINGS, RunSettings
from optimizers.registry import made, plain
from optimizers.result import OptimizerResult
from optimizers.scipy.methods import METHODS
from optimizers.scipy.scipy_optimizer import SciPyOptimizer

#: SciPy's names of its methods, by their letters.
_SCIPYS = {plain(name): name for name in METHODS}


def minimize(  # type: ignore[misc]  # callback, a setting of each run, has SciPy's place
    fun: Objective,
    x0: ArrayLike,
    args: Any = (),
    method: str | type[Optimizer] | Optimizer | Callable[..., Any] | None = None,
    jac: Jacobian = None,
    hess: Any = None,
    hessp: Callable[..., Any] | None = None,
    bounds: BoundsLike = None,
    constraints: ConstraintsLike = (),
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **settings: Unpack[RunSettings],
) -> OptimizerResult:
    """Minimize a scalar function of one or more variables: SciPy's call, for every optimizer.

    Parameters
    ----------
    fun : callable
        The objective, ``fun(x, *args) -> float``; with ``jac=True``, ``-> (float, gradient)``.
    x0 : float, array_like of shape (n,), or structure
        The start; None for the best of the points ``known``.
    args : tuple, default ()
        Further arguments of ``fun``, ``jac``, ``hess`` and ``hessp``; anything but a tuple is a
        single argument.
    method : str, class, Optimizer or callable, optional
        A name of SciPy's (``"Nelder-Mead"``), with SciPy's meaning of options, counts, codes and
        messages; the name of another optimizer (``"SPSA"``), in any spelling; an optimizer or its
        class; or a custom method as SciPy documents it. None is SciPy's choice by bounds and
        constraints, unless residuals, ``noise``, ``workers``, ``maxfun`` without a gradient, or
        the number of variables say otherwise.
    jac, hess, hessp, bounds, constraints
        As in :meth:`Optimizer.minimize`.
    tol : float, optional
        Sets the tolerances of the method that are not given. A method that has none ends when the
        best value has not fallen by more than ``tol`` for ``patience`` iterations.
    callback : callable, optional
        Called after each iteration; see :class:`RunSettings`.
    options : dict, optional
        Options of the method, by name.
    **settings
        Settings of the run; see :class:`RunSettings`. Options may be given here too.

    Returns
    -------
    OptimizerResult
        The result, with the entry ``method``; where it was chosen here, ``method_reason`` says why.

    Raises
    ------
    InvalidInputError, CapabilityError, OptionError, UnknownOptionError
        Before the first evaluation, if an argument cannot be used.
    EvaluationError, BaseException
        As in :meth:`Optimizer.minimize`.

    Examples
    --------
    >>> from optimizers import minimize
    >>> result = minimize(lambda x: (x[0] - 1) ** 2 + x[1] ** 4, [3.0, 3.0], bounds=[(2, 5)] * 2)
    >>> result.x, result.method, result.method_reason
    (array([2., 2.]), 'L-BFGS-B', 'there are bounds')

    Any optimizer, with its options and the settings of a run:

    >>> minimize(lambda x: x @ x, [3.0, 1.0], method="SPSA", options={"maxiter": 5}, seed=1).nit
    5
    """
    __tracebackhide__ = True
    given, reason = as_options("minimize", options), None
    shared: dict[str, Any] = dict(settings)
    if method is None:
        x0 = start_of(x0, shared, bounds)
        problem = Given.of(fun, x0, jac, bounds, constraints, shared)
        optimizer, reason = _chosen(problem, given.keys() | settings.keys())
    else:
        optimizer = _optimizer(method)
    others: dict[str, Any] = {**shared, "tol": tol, "callback": callback}
    for name in given.keys() & settings.keys():
        check_agreement("minimize", name, given[name], others[name])
    given.update(others)
    given = {name: value for name, value in given.items() if value is not None}
    further = {"args": args, "hess": hess, "hessp": hessp, "constraints": constraints}
    result = optimizer(fun, x0, jac, bounds, **further, **given)
    result["method"] = _name(optimizer)
    if reason is not None:
        result["method_reason"] = reason
    return result


def _chosen(given: Given, options: Set[str]) -> tuple[Optimizer, str]:
    """Return the choice, or SciPy's if that alone has all the given options, and the reason."""
    own = options - {*RUN_SETTINGS}
    name, reason = given.best
    optimizer = _optimizer(name)
    if not all(map(optimizer._is_option, own)):
        name, reason = given.scipys
        optimizer = _optimizer(name)
    return optimizer, reason


def _optimizer(method: Any) -> Optimizer:
    """Return the optimizer that ``method`` stands for."""
    if isinstance(method, Optimizer):
        return method
    if isinstance(method, type) and issubclass(method, Optimizer):
        return method()
    if isinstance(method, str):
        name = _SCIPYS.get(plain(method))
        return SciPyOptimizer(name) if name is not None else made(method)
    if not callable(method):
        raise InvalidInputError(
            f"method is {method!r}, expected the name of an optimizer, an optimizer or its class, "
            "or a callable."
        )
    return SciPyOptimizer(method)


def _name(optimizer: Optimizer) -> str:
    """Return the name of the method in a result: SciPy's, or that of the class."""
    method = optimizer.settings.get("method")
    if type(optimizer) is not SciPyOptimizer or isinstance(method, str):
        return optimizer._title
    return getattr(method, "__name__", type(method).__name__)
