"""The interfaces to use: SciPy's methods as TensorFlow 1 had them, and any Optimizer."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds
from typing_extensions import Unpack, override

from optimizers.errors import InvalidInputError
from optimizers.external.driving import (
    check_able,
    check_curvature,
    check_serial,
    drive,
    wants_hessian,
)
from optimizers.external.interface import ExternalOptimizerInterface
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult
from optimizers.scipy.scipy_optimizer import AnySettings, SciPyOptimizer

_LOG = logging.getLogger("optimizers.external")
_DEFAULT_METHOD, _CONSTRAINED_METHOD = "L-BFGS-B", "SLSQP"
# What the interface sets itself, and what to use instead.
_OURS = {
    "jac": "the gradient is the framework's own: leave it out",
    "callback": "pass step_callback to minimize",
    "constraints": "pass equalities and inequalities to the constructor",
    "bounds": "pass var_to_bounds to the constructor",
    "args": "the loss reads its data itself: leave it out, or use feed_dict",
}


class ScipyMethod(SciPyOptimizer):
    """A method of SciPy's that does what SciPy's own would, at NaN and by default."""

    # As SciPy's functions, unless the user says what a failure is to do.
    _default_on_failure = "pass"

    def __init__(
        self,
        method: str | Callable[..., Any],
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[AnySettings],
    ) -> None:
        super().__init__(method, options, **kwargs)
        self._set_missing(self._info.scipy_defaults)

    def suit(self, dtype: np.dtype[Any]) -> None:
        """Set what is not given where the default is made for double precision, if this is less."""
        if dtype.itemsize < np.dtype(np.float64).itemsize:
            spacing = float(np.finfo(dtype).eps)
            by_tol = () if self._tol is None else self._info.tol
            suited = {name: suit(spacing) for name, suit in self._info.low_precision.items()}
            self._set_missing({name: suited[name] for name in suited if name not in by_tol})

    def _set_missing(self, options: Mapping[str, Any]) -> None:
        missing = {k: v for k, v in options.items() if self._options.get(k) is None}
        self.set_options(**missing)


@functools.lru_cache(maxsize=64)
def _class_for(method: str) -> type[ScipyMethod]:
    """Return :class:`ScipyMethod` under the name of a method, for messages."""
    return type(method, (ScipyMethod,), {"__module__": __name__})


class _Driving(ExternalOptimizerInterface):
    """What the two interfaces share: the run, its log entry and its result."""

    _keeps_best = True

    def __init__(
        self,
        loss: Any,
        var_list: Sequence[Any] | None = None,
        equalities: Sequence[Any] | None = None,
        inequalities: Sequence[Any] | None = None,
        var_to_bounds: Any = None,
        **optimizer_kwargs: Any,
    ) -> None:
        super().__init__(
            loss, var_list, equalities, inequalities, var_to_bounds, **optimizer_kwargs
        )
        limits = self._backend.limits
        is_bounded = limits is not None and bool(np.isfinite(limits).any())
        optimizer, name, _ = self._chosen(self.optimizer_kwargs)
        check_able(optimizer, name, is_bounded, bool(self._equalities or self._inequalities))

    def _chosen(self, optimizer_kwargs: dict[str, Any]) -> tuple[Optimizer, str, dict[str, Any]]:
        """Return the optimizer, what to call it, and the settings of the run."""
        raise NotImplementedError

    @override
    def _packed_bounds(self) -> Any:
        # A list of pairs takes longer than all else, and only a subclass's own method needs it.
        if self._backend.limits is None or type(self)._minimize is not _Driving._minimize:
            return super()._packed_bounds()
        return Bounds(*self._backend.limits)

    @override
    def _uses_hessp(self) -> bool:
        optimizer, _, settings = self._chosen(self.optimizer_kwargs)
        return wants_hessian(optimizer) and not {"hess", "hessp"} & settings.keys()

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
        optimizer, name, settings = self._chosen(optimizer_kwargs)
        has_products = getattr(loss_grad_func, "hessp", None) is not None
        check_curvature(optimizer, name, has_products, settings)
        if isinstance(optimizer, ScipyMethod):
            optimizer.suit(initial_val.dtype)
        result = drive(
            optimizer,
            initial_val=initial_val,
            loss_grad_func=loss_grad_func,
            equalities=list(zip(equality_funcs, equality_grad_funcs, strict=True)),
            inequalities=list(zip(inequality_funcs, inequality_grad_funcs, strict=True)),
            packed_bounds=packed_bounds,
            step_callback=step_callback,
            settings=settings,
        )
        self.result_ = result
        _LOG.info(
            "Optimization terminated with:\n  Message: %s\n  Objective function value: %s\n"
            "  Number of iterations: %d\n  Number of functions evaluations: %d",
            result.message,
            result.fun,
            result.nit,
            result.nfev,
        )
        return result.x


class ScipyOptimizerInterface(_Driving):
    """Minimize a framework's loss by a method of :func:`scipy.optimize.minimize`.

    The methods run on this package's :class:`SciPyOptimizer`: at the same points, in the same
    order as SciPy's, with budgets and a result besides.

    Parameters
    ----------
    loss, var_list, equalities, inequalities, var_to_bounds
        As in :class:`ExternalOptimizerInterface`.
    **optimizer_kwargs
        ``method``: SciPy's name of one; by default ``"L-BFGS-B"``, with constraints ``"SLSQP"``.
        ``options``: its options. ``tol``, ``hess`` and ``hessp`` as SciPy takes them, and the
        settings of :class:`RunSettings`. Methods that take second derivatives get exact ones.
        On variables in single precision, the default of Nelder-Mead's ``xatol`` is 5e-5, and that
        of Newton-CG's ``eps``, where there are no exact second derivatives, 3.5e-4.

    Raises
    ------
    InvalidInputError
        If an argument cannot be used, such as ``jac``, ``callback``, ``bounds`` or
        ``constraints``, which the interface sets.
    CapabilityError
        If a method that was named cannot honor bounds or constraints.

    Examples
    --------
    >>> w, b = np.array([3.0, 4.0]), np.array(1.0)
    >>> def loss():
    ...     return w @ w + (b - 2) ** 2, [2 * w, 2 * (b - 2)]
    >>> optimizer = ScipyOptimizerInterface(loss, [w, b], var_to_bounds=[(w, (1, None))])
    >>> optimizer.minimize()
    >>> w, b
    (array([1., 1.]), array(2.))
    >>> optimizer.result_.success
    True
    """

    # The callback of a framework's own call, which takes one with any algorithm.
    _observer: Callable[..., Any] | None = None

    @override
    def _chosen(self, optimizer_kwargs: dict[str, Any]) -> tuple[Optimizer, str, dict[str, Any]]:
        for argument, instead in _OURS.items():
            if argument in optimizer_kwargs:
                raise InvalidInputError(
                    f"{argument} was given, but the interface sets it itself: {instead}."
                )
        given = dict(optimizer_kwargs)
        is_constrained = bool(self._equalities or self._inequalities)
        method = given.pop("method", None) or (
            _CONSTRAINED_METHOD if is_constrained else _DEFAULT_METHOD
        )
        options = given.pop("options", None)
        second: dict[str, Any] = {}
        for name in ("hess", "hessp"):
            if given.get(name) is not None:
                second[name] = given.pop(name)
        if self._observer is not None:
            second["callback"] = self._observer
        kind = _class_for(method) if isinstance(method, str) else ScipyMethod
        return kind(method, options, **given), str(method), second


class OptimizerInterface(_Driving):
    """Minimize a framework's loss by any :class:`Optimizer` of this package.

    Parameters
    ----------
    loss, var_list, equalities, inequalities, var_to_bounds
        As in :class:`ExternalOptimizerInterface`.
    optimizer : Optimizer
        The algorithm with its options.
    **settings
        Settings of each run, as for :meth:`~optimizers.Optimizer.minimize`; ``hess`` and
        ``hessp`` too.

    Raises
    ------
    InvalidInputError
        If an argument cannot be used.
    CapabilityError
        If the optimizer cannot honor bounds or constraints.

    Examples
    --------
    >>> from optimizers import TNC
    >>> w = np.array([3.0, 4.0])
    >>> interface = OptimizerInterface(lambda: (w @ w, [2 * w]), [w], optimizer=TNC(), maxfun=100)
    >>> interface.minimize()
    >>> interface.result_.success, bool(abs(w).max() < 1e-6)
    (True, True)
    """

    def __init__(
        self,
        loss: Any,
        var_list: Sequence[Any] | None = None,
        equalities: Sequence[Any] | None = None,
        inequalities: Sequence[Any] | None = None,
        var_to_bounds: Any = None,
        *,
        optimizer: Optimizer,
        **settings: Any,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise InvalidInputError(
                f"optimizer is {optimizer!r}, expected an Optimizer, such as LBFGSB()."
            )
        self._optimizer = optimizer
        super().__init__(loss, var_list, equalities, inequalities, var_to_bounds, **settings)

    @override
    def _chosen(self, optimizer_kwargs: dict[str, Any]) -> tuple[Optimizer, str, dict[str, Any]]:
        check_serial(optimizer_kwargs)
        return self._optimizer, type(self._optimizer).__name__, dict(optimizer_kwargs)


def minimized(
    given: tuple[Any, ...],
    optimizer: Optimizer | None,
    kwargs: dict[str, Any],
    watching: dict[str, Any],
) -> OptimizerResult:
    """Return what an interface ends with: a method of SciPy's, or an optimizer.

    ``given`` are the interface's arguments to the bounds, ``watching`` those of its ``minimize``.
    """
    interface: _Driving
    if optimizer is None:
        kwargs = dict(kwargs)
        observer = kwargs.pop("callback", None)
        interface = ScipyOptimizerInterface(*given, **kwargs)
        interface._observer = observer
    else:
        interface = OptimizerInterface(*given, optimizer=optimizer, **kwargs)
    interface.minimize(**watching)
    assert interface.result_ is not None
    return interface.result_
