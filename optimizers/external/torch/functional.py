"""minimize: a function of PyTorch's tensors."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from optimizers.external.frameworks import as_list, as_variables, require
from optimizers.external.solvers import minimized
from optimizers.external.torch.backend import TorchBackend, unfrozen
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult


def minimize(
    closure: Callable[[], Any],
    params: Iterable[Any],
    bounds: Any = None,
    *,
    optimizer: Optimizer | None = None,
    equalities: Sequence[Callable[[], Any]] | None = None,
    inequalities: Sequence[Callable[[], Any]] | None = None,
    fetches: Sequence[Any] | None = None,
    step_callback: Callable[..., Any] | None = None,
    loss_callback: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> OptimizerResult:
    """Minimize a function of PyTorch's tensors, which are updated in place.

    Their ``.grad`` is not changed. After an exception they are restored.

    Parameters
    ----------
    closure : callable
        ``closure() -> scalar tensor``. It must not call ``backward``.
    params : tensor or iterable of tensors
        The variables: leaf tensors of floats, such as ``model.parameters()``. Those that do not
        require gradients are not changed; at least one must require them.
    bounds : dict or sequence, optional
        As ``var_to_bounds`` in :class:`ExternalOptimizerInterface`; or one ``(low, high)`` or None
        for each parameter, in order; or one ``(low, high)`` of numbers for all.
    optimizer : Optimizer, optional
        The algorithm; by default, that of :class:`ScipyOptimizerInterface`.
    equalities, inequalities, fetches, step_callback, loss_callback
        As in :class:`ExternalOptimizerInterface` and its ``minimize``.
    **kwargs
        As in :class:`ScipyOptimizerInterface`, or with an optimizer :class:`OptimizerInterface`.

    Returns
    -------
    OptimizerResult
        The result, with the packed vector as ``x``.

    Raises
    ------
    MissingExtraError, OptimizerError
        If PyTorch is not installed, and as in the interfaces.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> result = minimize(lambda: (w - 1).square().sum(), [w], bounds={w: (2, None)})
    >>> w
    tensor([2., 2.], requires_grad=True)
    >>> result.success, result.fun
    (True, 2.0)
    """
    torch = require("torch")
    given_params = [params] if torch.is_tensor(params) else as_variables(params)
    variables, bounds = unfrozen(given_params, bounds)
    equalities, inequalities = as_list(equalities), as_list(inequalities)
    backend = TorchBackend(closure, variables, [*equalities, *inequalities])
    backend.given = closure
    given = (backend, variables, equalities, inequalities, bounds)
    watching = dict(fetches=fetches, step_callback=step_callback, loss_callback=loss_callback)
    return minimized(given, optimizer, kwargs, watching)
