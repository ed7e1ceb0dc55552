"""TorchOptimizer: the package's algorithms as a replacement for ``torch.optim``."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from typing_extensions import override

from optimizers.errors import InvalidInputError
from optimizers.external.frameworks import require
from optimizers.external.solvers import OptimizerInterface, ScipyOptimizerInterface
from optimizers.external.torch.backend import TorchBackend, unfrozen
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult

_Base: Any = object
try:
    import torch

    _Base = torch.optim.Optimizer
except ImportError:  # raised when the class is used
    pass


class TorchOptimizer(_Base):  # type: ignore[misc]  # untyped, as it may be absent
    """An optimizer for PyTorch's own loop, as a replacement for ``torch.optim.LBFGS``.

    Each :meth:`step` is a whole run from where the parameters are, unless options limit it.

    Parameters
    ----------
    params : iterable
        Parameters, or groups as in ``torch.optim``, which may have their own ``bounds``, but no
        other options. Parameters that do not require gradients are not changed.
    optimizer : Optimizer, optional
        The algorithm; by default, that of :class:`ScipyOptimizerInterface`.
    bounds : dict or sequence, optional
        As for :func:`minimize`; for each group that does not have its own.
    **kwargs
        As in :class:`ScipyOptimizerInterface`, or with an optimizer :class:`OptimizerInterface`.

    Attributes
    ----------
    result_ : OptimizerResult or None
        The result of the last step.

    Raises
    ------
    OptimizerError
        As in the interfaces.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1, dtype=torch.float64)
    >>> data = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    >>> wanted = data @ torch.tensor([[2.0], [3.0]], dtype=torch.float64) + 1
    >>> optimizer = TorchOptimizer(model.parameters(), bounds={model.weight: (None, 2.5)})
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = torch.nn.functional.mse_loss(model(data), wanted)
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)
    >>> optimizer.result_.success, round(model.weight.max().item(), 6)
    (True, 2.5)
    """

    def __init__(
        self,
        params: Iterable[Any],
        optimizer: Optimizer | None = None,
        *,
        bounds: Any = None,
        **kwargs: Any,
    ) -> None:
        require("torch")
        if {**getattr(optimizer, "settings", {}), **kwargs}.get("journal"):
            raise InvalidInputError(
                "journal was given, but each step is a separate run, and a journal holds a single "
                "run: remove journal, or use minimize."
            )
        self._optimizer, self._kwargs = optimizer, kwargs
        self.result_: OptimizerResult | None = None
        super().__init__(params, {"bounds": bounds})
        self._interface(_unset)  # raises errors early

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters; see :meth:`torch.optim.Optimizer.add_param_group`."""
        unknown = param_group.keys() - {"params", "bounds", "param_names"}
        if unknown:
            raise InvalidInputError(
                f"A group of parameters has {sorted(unknown)}, expected params and bounds only, "
                "since there is one algorithm for all groups."
            )
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        # Stored by position, so that a checkpoint contains no parameters.
        if group["bounds"] is not None:
            free, bounds = unfrozen(group["params"], group["bounds"])
            matched = ClosureBackend(_unset, free, []).match(bounds or {})
            found = {id(p): pair for p, pair in zip(free, matched, strict=True)}
            group["bounds"] = [found.get(id(p)) for p in group["params"]]

    @override
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run the algorithm; the parameters are updated in place at the end.

        After an exception they are restored; ``.grad`` is from the closure's last call.

        Parameters
        ----------
        closure : callable
            ``closure() -> loss``, which sets gradients to zero and then calls ``backward``.

        Returns
        -------
        tensor
            The loss at the first evaluation, as in ``torch.optim.LBFGS``.
        """
        if not callable(closure):
            raise InvalidInputError(
                f"closure is {closure!r:.100}, expected a function that evaluates the model again, "
                "calls backward and returns the loss."
            )
        losses: list[Any] = []
        interface = self._interface(lambda: _first(losses, closure()))
        interface.minimize()
        self.result_ = interface.result_
        return losses[0]

    def _interface(self, closure: Callable[[], Any]) -> Any:
        parameters = [p for group in self.param_groups for p in group["params"]]
        bounds = [
            (p, pair)
            for group in self.param_groups
            for p, pair in zip(group["params"], group["bounds"] or (), strict=False)
            if pair is not None
        ]
        parameters, bounds = unfrozen(parameters, bounds or None)
        backend = ClosureBackend(closure, parameters, [])
        given: Sequence[Any] = (backend, parameters, None, None, bounds or None)
        if self._optimizer is None:
            return ScipyOptimizerInterface(*given, **self._kwargs)
        return OptimizerInterface(*given, optimizer=self._optimizer, **self._kwargs)


class ClosureBackend(TorchBackend):
    """A loss that leaves its gradient in the parameters' ``.grad``."""

    has_hessp = False  # backward() frees the graph

    @override
    def _evaluate(self) -> tuple[Any, list[Any]]:
        for variable in self.variables:
            variable.grad = None
        loss = self._scalar(self._loss()).detach()
        slopes = [variable.grad for variable in self.variables]
        if all(slope is None for slope in slopes) and loss.isfinite().all():
            raise InvalidInputError(
                "No parameter has a gradient after closure(): it must call loss.backward()."
            )
        return loss, [
            torch.zeros_like(variable)
            if slope is None
            else slope.detach().to_dense()
            if slope.is_sparse
            else slope.detach()
            for variable, slope in zip(self.variables, slopes, strict=True)
        ]


def _unset() -> Any:
    raise AssertionError("this closure is never called")


def _first(losses: list[Any], loss: Any) -> Any:
    if not losses:
        losses.append(loss.detach() if torch.is_tensor(loss) else loss)
    return loss
