"""Driving: one of this package's optimizers on the functions that an interface hands out."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, NonlinearConstraint

from optimizers._types import Array
from optimizers.errors import CapabilityError, InvalidInputError, NonFiniteValueError, OptionError
from optimizers.external.calls import CallbackStop, no_step
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.observers import as_observer
from optimizers.scipy.methods import QuietBFGS
from optimizers.scipy.scipy_optimizer import SciPyOptimizer
from optimizers.support import SupportLevel

# There is one set of variables: no two points can be evaluated at the same time.
_PARALLEL = ("workers", "eval_timeout", "hedge")


def check_able(optimizer: Optimizer, name: str, is_bounded: bool, is_constrained: bool) -> None:
    """Raise an error if an optimizer cannot honor what is given, or evaluates in parallel."""
    for what, given, argument in (
        ("bounds", is_bounded, "bounds (var_to_bounds)"),
        ("constraints", is_constrained, "equalities or inequalities"),
    ):
        if given and _level(optimizer, what) < SupportLevel.supported:
            raise CapabilityError(
                f"{name} cannot honor {what}, and {argument} were given: leave them out, or take "
                "a method that does, such as L-BFGS-B for bounds and SLSQP for both."
            )
    settings = optimizer.settings
    check_serial({key: settings.get(key) for key in (*_PARALLEL, "max_evals_grouped")})


def check_curvature(
    optimizer: Optimizer, name: str, has_products: bool, settings: dict[str, Any]
) -> None:
    """Raise a CapabilityError if an optimizer requires second derivatives and there are none."""
    given = {**optimizer.settings, **settings}
    has_any = has_products or given.get("hess") is not None or given.get("hessp") is not None
    if _level(optimizer, "hessian") == SupportLevel.required and not has_any:
        raise CapabilityError(
            f"{name} requires second derivatives, and of this loss there are none that are exact: "
            "give the interface hess or hessp, or take a method that does without, such as "
            "trust-constr."
        )


def check_serial(settings: dict[str, Any]) -> None:
    """Raise an OptionError if settings ask for several evaluations at the same time."""
    given = [name for name in _PARALLEL if settings.get(name)]
    if (settings.get("max_evals_grouped") or 1) > 1:
        given.append("max_evals_grouped")
    if given:
        raise OptionError(
            f"{given[0]} was given, but the loss is a function of one set of variables, which "
            "hold one point at a time: leave it out. The framework's own threads are used."
        )


def wants_hessian(optimizer: Optimizer) -> bool:
    """Return whether an optimizer makes use of second derivatives."""
    return _level(optimizer, "hessian") >= SupportLevel.supported


def _level(optimizer: Optimizer, what: str) -> SupportLevel:
    return optimizer.get_support_level().get(what, SupportLevel.not_supported)


def drive(
    optimizer: Optimizer,
    *,
    initial_val: NDArray[Any],
    loss_grad_func: Callable[..., Any],
    equalities: list[tuple[Callable[..., Any], Callable[..., Any]]],
    inequalities: list[tuple[Callable[..., Any], Callable[..., Any]]],
    packed_bounds: Any,
    step_callback: Callable[..., Any],
    settings: dict[str, Any],
) -> OptimizerResult:
    """Run an optimizer on what :meth:`ExternalOptimizerInterface._minimize` is given.

    Constraints are pairs (function, jacobian). Where a callback asked to stop, the best point is
    returned.
    """
    takes_gradient = _level(optimizer, "gradient") >= SupportLevel.supported
    both = _Deferring(loss_grad_func, step_callback, takes_gradient)
    settings = {**_second_derivatives(optimizer, loss_grad_func, initial_val.size), **settings}
    callback = _callback(settings.pop("callback", None) or optimizer.settings.get("callback"), both)
    if callback is not None:
        settings["callback"] = callback
    constraints = _constraints(optimizer, equalities, inequalities)
    if constraints:
        settings["constraints"] = constraints
    bounds = _bounds(packed_bounds, initial_val.size)
    try:
        result = optimizer.minimize(
            both.evaluate if takes_gradient else (lambda x: both.evaluate(x)[0]),
            _start(initial_val, bounds),
            True if takes_gradient else None,
            bounds,
            **settings,
        )
    except NonFiniteValueError as error:
        if str(error).startswith("jac"):
            error.add_note(
                "That is the gradient that the framework computed of the loss, by the variables as "
                "one vector; sqrt or a norm at zero, for instance, has none."
            )
        raise
    if both.refused:  # asked, and so counted, but not evaluated
        result.nfev -= both.refused
        result.njev -= both.refused * takes_gradient
    if result.stop is StopReason.CALLBACK and result.best is not None:
        if not np.array_equal(result.x, result.best.x):
            result.jac = None
        result.x, result.fun = result.best.x.copy(), result.best.fun
    return result


class _Deferring:
    """The loss and the step callback, either of which may ask to stop.

    ``loss_callback``'s wish waits for the next call, so that the run gets the value just computed.
    """

    def __init__(
        self, loss_grad: Callable[..., Any], step: Callable[..., Any], takes_gradient: bool
    ) -> None:
        self._loss_grad = loss_grad
        self._is_unchecked = takes_gradient
        _check_connected(loss_grad, takes_gradient)
        self._step = step
        self._is_stopping = False
        #: How many evaluations were asked for after the wish to stop.
        self.refused = 0
        self.has_step = step is not no_step

    def evaluate(self, x: Array) -> tuple[Any, NDArray[Any]]:
        if self._is_stopping:
            self.refused += 1
            raise StopIteration
        try:
            answer: tuple[Any, NDArray[Any]] = self._loss_grad(x)
        except CallbackStop as stop:
            self._is_stopping = True
            answer = stop.answer
        if self._is_unchecked:
            # A loss that is infinite or NaN whatever the variables are says "not here".
            self._is_unchecked = False
            _check_connected(self._loss_grad, np.isfinite(answer[0]))
        return answer

    def step(self, xk: Array) -> Any:
        if self._is_stopping:
            raise StopIteration
        return self._step(xk)


def _check_connected(loss_grad: Callable[..., Any], is_needed: bool) -> None:
    """Raise an InvalidInputError if a gradient is needed and the loss has none."""
    if is_needed and getattr(loss_grad, "is_unconnected", False):
        raise InvalidInputError(
            "The loss depends on none of the variables, or only through what has no gradient, such "
            "as rounding, integers or values taken out of the framework: compute it from the "
            "variables, or take a method without gradients, such as Nelder-Mead."
        )


def _callback(given: Callable[..., Any] | None, both: _Deferring) -> Callable[..., Any] | None:
    """Return one callback for the optimizer's own and the user's ``step_callback``."""
    if not both.has_step:
        return given
    if given is None:
        return both.step
    observers = as_observer(given), as_observer(both.step)

    def callback(intermediate_result: OptimizerResult) -> bool:
        return any([observe(intermediate_result) for observe in observers])

    return callback


def _second_derivatives(
    optimizer: Optimizer, loss_grad_func: Callable[..., Any], n: int
) -> dict[str, Any]:
    """Return what the optimizer takes of exact second derivatives, if there are any."""
    hessp = getattr(loss_grad_func, "hessp", None)
    if hessp is None or not wants_hessian(optimizer):
        return {}
    if isinstance(optimizer, SciPyOptimizer) and optimizer.needs_matrix:
        return {"hess": lambda x: np.stack([hessp(x, row) for row in np.eye(n)])}
    return {"hessp": hessp}


def _constraints(
    optimizer: Optimizer,
    equalities: list[tuple[Callable[..., Any], Callable[..., Any]]],
    inequalities: list[tuple[Callable[..., Any], Callable[..., Any]]],
) -> list[Any]:
    """Return constraints in the form that suits the optimizer."""
    if wants_hessian(optimizer):
        # SciPy's own choice warns of every constraint that is linear.
        return [
            NonlinearConstraint(function, 0.0, upper, jac=jacobian, hess=QuietBFGS())
            for given, upper in ((equalities, 0.0), (inequalities, np.inf))
            for function, jacobian in given
        ]
    return [
        {"type": kind, "fun": function, "jac": jacobian}
        for kind, given in (("eq", equalities), ("ineq", inequalities))
        for function, jacobian in given
    ]


def _bounds(packed: Any, n: int) -> Bounds | None:
    """Return bounds as two vectors, or None where there are none: an algorithm may take none."""
    if packed is None:
        return None
    if isinstance(packed, Bounds):
        lower, upper = packed.lb, packed.ub
    else:
        flat = np.fromiter(itertools.chain.from_iterable(packed), np.float64, count=2 * n)
        lower, upper = flat.reshape(n, 2).T
    if not np.isfinite(lower).any() and not np.isfinite(upper).any():
        return None
    return Bounds(lower, upper)


def _start(initial: NDArray[Any], bounds: Bounds | None) -> NDArray[Any]:
    """Return the start; on its bound where it is outside by no more than its type's rounding."""
    if bounds is None:
        return initial
    clipped = np.clip(initial, bounds.lb, bounds.ub, dtype=np.float64)
    away = np.abs(clipped - initial)
    return (
        np.where(away <= np.spacing(np.abs(initial)), clipped, initial) if away.any() else initial
    )
