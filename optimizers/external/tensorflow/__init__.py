"""TensorFlow: losses in graph mode, losses that are functions, and Keras 3 models."""

from collections.abc import Callable, Sequence
from typing import Any

from optimizers.external.backend import Backend, returned
from optimizers.external.frameworks import require
from optimizers.external.solvers import minimized
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult

__all__ = ["minimize"]


def minimize(
    closure: Callable[[], Any],
    variables: Sequence[Any],
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
    """Minimize a function of TensorFlow's variables, which are updated in place.

    Each call compiles the closure once, in its current form.

    Parameters
    ----------
    closure : callable
        ``closure() -> scalar tensor``.
    variables : sequence of tf.Variable or of Keras variables
        The variables; for instance ``model.trainable_variables``.
    bounds : dict or sequence of pairs, optional
        As ``var_to_bounds`` in :class:`ExternalOptimizerInterface`.
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
        If TensorFlow is not installed, and as in the interfaces.
    """
    require("tensorflow")
    given = (closure, variables, equalities, inequalities, bounds)
    watching = dict(fetches=fetches, step_callback=step_callback, loss_callback=loss_callback)
    return minimized(given, optimizer, kwargs, watching)


def make_backend(
    loss: Any, var_list: Sequence[Any] | None, constraints: Sequence[Any], second_order: bool
) -> Backend:
    """Return the backend for a loss that is a tensor of a graph, or a function."""
    tf = require("tensorflow")
    if tf.is_symbolic_tensor(loss) or not tf.executing_eagerly():
        from optimizers.external.tensorflow.graph import GraphBackend

        symbolic = [returned(f(), "A function") if callable(f) else f for f in (loss, *constraints)]
        return GraphBackend(symbolic[0], var_list, symbolic[1:], second_order)
    from optimizers.external.tensorflow.eager import EagerBackend

    return EagerBackend(loss, var_list, constraints, second_order)
