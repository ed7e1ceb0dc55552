"""Driving: an interface that runs one of this package's optimizers."""

import functools
import itertools
import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, NonlinearConstraint
from scipy.sparse.linalg import LinearOperator
from typing_extensions import override

from optimizers._types import Array
from optimizers.errors import (
    CapabilityError,
    InvalidInputError,
    NonFiniteValueError,
    OptionError,
    warn_user,
)
from optimizers.external.interface import CallbackStop, ExternalOptimizerInterface, no_step
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.observers import Observer, as_observer, in_one
from optimizers.scipy.methods import QuietBFGS
from optimizers.scipy.scipy_optimizer import SciPyOptimizer
from optimizers.support import SupportLevel

#: The type of variables that have several.
DOUBLE = np.dtype(np.float64)
# There is one set of variables, so two points cannot be evaluated at the same time.
_PARALLEL = ("workers", "eval_timeout", "hedge")


class Driving(ExternalOptimizerInterface):
    """What the two interfaces share: the run, its log entry and its result."""

    _keeps_best = True

    def _chosen(
        self, optimizer_kwargs: dict[str, Any], dtype: np.dtype[Any] = DOUBLE
    ) -> tuple[Optimizer, dict[str, Any]]:
        """Return the optimizer, for variables of a type, and the settings of the run."""
        raise NotImplementedError

    @override
    def _check(self) -> None:
        optimizer, _ = self._chosen(self.optimizer_kwargs)
        limits = self._backend.limits
        for what, is_given, argument in (
            ("bounds", limits is not None and np.isfinite(limits).any(), "bounds (var_to_bounds)"),
            ("constraints", self._equalities or self._inequalities, "equalities or inequalities"),
        ):
            if is_given and optimizer._level(what) < SupportLevel.supported:
                raise CapabilityError(
                    f"{optimizer._title} cannot honor {what}, but {argument} were given: "
                    "remove them, or use a method that does, such as L-BFGS-B for bounds and "
                    "SLSQP for both."
                )
        check_serial(optimizer.settings)

    @override
    def _packed_bounds(self) -> Any:
        # Building a list of pairs is slow, and only a subclass's own method needs it.
        if self._backend.limits is None or type(self)._minimize is not Driving._minimize:
            return super()._packed_bounds()
        return Bounds(*self._backend.limits)

    @override
    def _uses_hessp(self) -> bool:
        optimizer, settings = self._chosen(self.optimizer_kwargs)
        is_given = bool({"hess", "hessp"} & settings.keys())  # for the loss, not for constraints
        is_constrained = bool(self._equalities or self._inequalities)
        return _wants_hessian(optimizer) and (is_constrained or not is_given)

    @override
    def _minimize(
        self,
        initial_val: NDArray[Any],
        loss_grad_func: Callable[..., Any],
        equality_funcs: list[Callable[..., Any]],
        equality_grad_funcs: list[Callable[..., Any]],
        inequality_funcs: list[Callable[..., Any]],
        inequality_grad_funcs: list[Callable[..., Any]],
        packed_bounds: list[tuple[float, float]] | None,
        step_callback: Callable[..., Any],
        optimizer_kwargs: dict[str, Any],
    ) -> NDArray[Any]:
        optimizer, settings = self._chosen(optimizer_kwargs, initial_val.dtype)
        hessp = getattr(loss_grad_func, "hessp", None)
        _check_curvature(optimizer, hessp, {**optimizer.settings, **settings})
        takes_gradient = optimizer._level("gradient") >= SupportLevel.supported
        both = _Deferring(loss_grad_func, step_callback, takes_gradient)
        if hessp is not None and _wants_hessian(optimizer):
            settings = {**_second_derivatives(optimizer, hessp, initial_val.size), **settings}
        given = settings.pop("callback", None) or optimizer.settings.get("callback")
        if given is not None:
            given = as_observer(given, optimizer._callback_form)
        callback = _callback(given, both, getattr(loss_grad_func, "show", no_step))
        if callback is not None:
            settings["callback"] = callback
        constraints = [
            ("eq", *pair) for pair in zip(equality_funcs, equality_grad_funcs, strict=True)
        ]
        constraints += [
            ("ineq", *pair) for pair in zip(inequality_funcs, inequality_grad_funcs, strict=True)
        ]
        if constraints:
            settings["constraints"] = _constraints(optimizer, constraints, hessp)
        bounds = _bounds(packed_bounds, initial_val.size)
        fun: Any = functools.partial(both.evaluate if takes_gradient else both.value)
        fun.__wrapped__ = self._backend.given  # as functools.wraps does, for journals
        try:
            result = optimizer.minimize(
                fun,
                _start(initial_val, bounds),
                True if takes_gradient else None,
                bounds,
                **settings,
            )
        except NonFiniteValueError as error:
            if str(error).startswith("jac"):
                error.add_note(
                    "This is the gradient of the loss that the framework computed, for the "
                    "variables as one vector; sqrt or a norm at zero, for instance, has none."
                )
            raise
        if both.refused:  # requested, and so counted, but not evaluated
            result.nfev -= both.refused
            result.njev -= both.refused * takes_gradient
        if result.stop is StopReason.CALLBACK and result.best is not None:
            _move(result, *result.best)
        elif not self._backend.keeps_values:
            _mend(result, initial_val, type(optimizer).__name__)
        self.result_ = result
        logging.getLogger(self._backend.logger).info(
            "Optimization terminated with:\n  Message: %s\n  Objective function value: %s\n"
            "  Number of iterations: %d\n  Number of functions evaluations: %d",
            *(result.message, result.fun, result.nit, result.nfev),
        )
        x: NDArray[Any] = result.x
        return x


def _check_curvature(optimizer: Optimizer, hessp: Any, settings: dict[str, Any]) -> None:
    """Raise a CapabilityError if an optimizer requires second derivatives and there are none."""
    known = (hessp, settings.get("hess"), settings.get("hessp"))
    is_required = optimizer._level("hessian") == SupportLevel.required
    if is_required and all(derivative is None for derivative in known):
        raise CapabilityError(
            f"{optimizer._title} requires second derivatives, but this loss has no exact ones: "
            "pass hess or hessp to the interface, or use a method that does not require them, "
            "such as trust-constr."
        )


def check_serial(settings: dict[str, Any]) -> None:
    """Raise an OptionError if settings ask for several evaluations at the same time."""
    given = [name for name in _PARALLEL if settings.get(name)]
    if (settings.get("max_evals_grouped") or 1) > 1:
        given.append("max_evals_grouped")
    if given:
        raise OptionError(
            f"{given[0]} was given, but the loss is a function of one set of variables, which hold "
            f"one point at a time: remove {given[0]}. The framework's own threads are used."
        )


def _wants_hessian(optimizer: Optimizer) -> bool:
    """Return whether an optimizer uses second derivatives."""
    return optimizer._level("hessian") >= SupportLevel.supported


class _Deferring:
    """The loss and the step callback, which stop one call after a request to stop."""

    def __init__(
        self, loss_grad: Callable[..., Any], step: Callable[..., Any], takes_gradient: bool
    ) -> None:
        self._loss_grad = loss_grad
        self._is_first = True
        self._takes_gradient = takes_gradient
        _check_connected(loss_grad, takes_gradient)
        self._step = step
        self._is_stopping = False
        #: The number of evaluations requested after the request to stop.
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
        if self._is_first:
            self._is_first = False
            if np.isposinf(answer[0]):
                raise NonFiniteValueError(
                    "The loss is inf at the start, expected a finite number, since there is no "
                    "point to step back to: start from another point."
                )
            # A loss that is NaN whatever the variables are says "not here".
            _check_connected(self._loss_grad, self._takes_gradient and np.isfinite(answer[0]))
        return answer

    def value(self, x: Array) -> Any:
        return self.evaluate(x)[0]

    def step(self, xk: Array) -> Any:
        if self._is_stopping:
            raise StopIteration
        return self._step(xk)


def _check_connected(loss_grad: Callable[..., Any], is_needed: bool) -> None:
    """Raise an InvalidInputError if a gradient is needed and the loss has none."""
    if is_needed and getattr(loss_grad, "is_unconnected", False):
        raise InvalidInputError(
            "The loss does not depend on the variables, or only through operations without a "
            "gradient, such as rounding, integers or values taken out of the framework: compute "
            "it from the variables, or use a method without gradients, such as Nelder-Mead."
        )


def _callback(
    given: Observer | None, both: _Deferring, show: Callable[..., None]
) -> Callable[..., Any] | None:
    """Return one callback for the optimizer's own and the user's ``step_callback``."""
    if given is None:
        return both.step if both.has_step else None

    def shown(state: OptimizerResult) -> bool:
        show(state.x)
        return False

    return in_one([shown, given, *([as_observer(both.step)] if both.has_step else [])])


def _mend(result: OptimizerResult, start: NDArray[Any], name: str) -> None:
    """Let a run that ended at NaN end at its best point, or at its start if there is none."""
    best, end = result.best, math.nan if result.fun is None else result.fun
    if best is None or math.isnan(best.fun):
        if math.isnan(end) and not np.array_equal(result.x, start):
            warn_user(
                f"{name} found no point with a finite loss, and the variables were restored: start "
                "from a point with a finite loss."
            )
            _move(result, start, end)
    elif math.isnan(end):
        warn_user(
            f"{name} ended where the loss is nan ({result.message}), so the variables were set to "
            f"the best point found, where it is {best.fun:.6g}."
        )
        _move(result, *best)


def _move(result: OptimizerResult, x: NDArray[Any], fun: float) -> None:
    """Move a result to another point."""
    if not np.array_equal(result.x, x):
        result.jac = None
    result.x, result.fun = x.astype(np.float64), fun


def _second_derivatives(optimizer: Optimizer, hessp: Callable[..., Any], n: int) -> dict[str, Any]:
    """Return exact second derivatives in the form for the optimizer."""
    if isinstance(optimizer, SciPyOptimizer) and optimizer.needs_matrix:
        return {"hess": lambda x: np.stack([hessp(x, row) for row in np.eye(n)])}
    return {"hessp": hessp}


def _constraints(
    optimizer: Optimizer,
    given: list[tuple[str, Callable[..., Any], Callable[..., Any]]],
    hessp: Callable[..., Any] | None,
) -> list[Any]:
    """Return constraints (kind, function, jacobian) in the form for the optimizer."""
    if not _wants_hessian(optimizer):
        return [{"type": kind, "fun": fun, "jac": jac} for kind, fun, jac in given]
    # SciPy's default Hessian warns about every linear constraint.
    return [
        NonlinearConstraint(
            fun,
            0.0,
            0.0 if kind == "eq" else np.inf,
            jac=jac,
            hess=QuietBFGS() if hessp is None else partial(_curvature, hessp, i),
        )
        for i, (kind, fun, jac) in enumerate(given)
    ]


def _curvature(hessp: Callable[..., Any], i: int, x: Array, v: Array) -> LinearOperator:
    """Return the Hessian at ``x`` of constraint ``i`` weighted with ``v``, as a product."""
    return LinearOperator(
        (x.size, x.size),
        matvec=lambda p: hessp(x, np.ravel(p), (i, v)).astype(np.float64),
        dtype=np.float64,
    )


def _bounds(packed: Any, n: int) -> Bounds | None:
    """Return bounds as two vectors, or None if there are none, for algorithms without bounds."""
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
    """Return the start, moved to its bound if it is outside by rounding of its type only."""
    if bounds is None:
        return initial
    clipped = np.clip(initial, bounds.lb, bounds.ub, dtype=np.float64)
    away = np.abs(clipped - initial)
    is_rounding = away <= np.spacing(np.abs(initial))
    return np.where(is_rounding, clipped, initial) if away.any() else initial
