"""The public interfaces: SciPy's methods as in TensorFlow 1, and any Optimizer."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.errors import InvalidInputError
from optimizers.external.driving import DOUBLE, Driving, check_serial
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult
from optimizers.scipy.scipy_optimizer import AnySettings, SciPyOptimizer

# Arguments that the interface sets itself, and alternatives.
_OURS = {
    "jac": "the gradient comes from the framework, so remove jac",
    "callback": "pass step_callback to minimize",
    "constraints": "pass equalities and inequalities to the constructor",
    "bounds": "pass var_to_bounds to the constructor",
    "args": "the loss reads its data itself, so remove args, or use feed_dict",
}


class ScipyMethod(SciPyOptimizer):
    """A SciPy method that behaves like SciPy at NaN and by default."""

    # As SciPy's functions, unless the user sets on_failure.
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
        """Adapt defaults that are made for double precision, if the type is less precise."""
        if dtype.itemsize < DOUBLE.itemsize:
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


class ScipyOptimizerInterface(Driving):
    """Minimize a framework's loss with a method of :func:`scipy.optimize.minimize`.

    It runs on :class:`SciPyOptimizer`, with the same points in the same order as SciPy.

    Parameters
    ----------
    loss, var_list, equalities, inequalities, var_to_bounds
        As in :class:`ExternalOptimizerInterface`.
    **optimizer_kwargs
        ``method``, by default ``"L-BFGS-B"``, with constraints ``"SLSQP"``; its ``options``;
        ``tol``, ``hess`` and ``hessp`` as in SciPy, with exact second derivatives by default;
        the settings of :class:`RunSettings`. In single precision the default of Nelder-Mead's
        ``xatol`` is 5e-5, and of Newton-CG's ``eps``, without exact second derivatives, 3.5e-4.

    Raises
    ------
    InvalidInputError
        If an argument cannot be used, such as ``jac`` or ``bounds``, which the interface sets.
    CapabilityError
        If the named method does not support bounds or constraints.

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

    # The callback of a framework's own call, which accepts one with any algorithm.
    _observer: Callable[..., Any] | None = None

    @override
    def _chosen(
        self, optimizer_kwargs: dict[str, Any], dtype: np.dtype[Any] = DOUBLE
    ) -> tuple[Optimizer, dict[str, Any]]:
        for argument, instead in _OURS.items():
            if argument in optimizer_kwargs:
                raise InvalidInputError(
                    f"{argument} was given, but the interface sets it itself: {instead}."
                )
        given = dict(optimizer_kwargs)
        is_constrained = bool(self._equalities or self._inequalities)
        method = given.pop("method", None) or ("SLSQP" if is_constrained else "L-BFGS-B")
        options = given.pop("options", None)
        settings = {k: given.pop(k) for k in ("hess", "hessp") if given.get(k) is not None}
        if self._observer is not None:
            settings["callback"] = self._observer
        kind = _class_for(method) if isinstance(method, str) else ScipyMethod
        optimizer = kind(method, options, **given)
        optimizer.suit(dtype)
        return optimizer, settings


class OptimizerInterface(Driving):
    """Minimize a framework's loss with any :class:`Optimizer` of this package.

    Parameters
    ----------
    loss, var_list, equalities, inequalities, var_to_bounds
        As in :class:`ExternalOptimizerInterface`.
    optimizer : Optimizer
        The algorithm with its options.
    **settings
        Settings of each run, as for :meth:`~optimizers.Optimizer.minimize`; ``hess``, ``hessp``.

    Raises
    ------
    InvalidInputError, CapabilityError
        If an argument cannot be used, or the optimizer does not support bounds or constraints.

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
    def _chosen(
        self, optimizer_kwargs: dict[str, Any], dtype: np.dtype[Any] = DOUBLE
    ) -> tuple[Optimizer, dict[str, Any]]:
        check_serial(optimizer_kwargs)
        return self._optimizer, dict(optimizer_kwargs)


def minimized(
    given: tuple[Any, ...],
    optimizer: Optimizer | None,
    kwargs: dict[str, Any],
    watching: dict[str, Any],
) -> OptimizerResult:
    """Return the result of an interface, from its arguments and those of its ``minimize``."""
    interface: Driving
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
