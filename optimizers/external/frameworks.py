"""The framework of a loss and its variables. Nothing is imported before it is used."""

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from optimizers.errors import InvalidInputError, MissingExtraError
from optimizers.external.backend import Backend

#: The module of a framework's backend, and the name of the function that makes it.
BACKENDS = {
    "jax": ("optimizers.external.jax.backend", "refuse"),
    "numpy": ("optimizers.external.numpy", "NumpyBackend"),
    "tensorflow": ("optimizers.external.tensorflow", "make_backend"),
    "torch": ("optimizers.external.torch.backend", "TorchBackend"),
}


def backend_for(
    loss: Any, var_list: Sequence[Any] | None, constraints: Sequence[Any], second_order: bool
) -> Backend:
    """Return the backend for a loss and its variables; the loss itself if it is a backend."""
    if isinstance(loss, Backend):
        return loss
    name = framework_of([loss, *(var_list or ())])
    if name is None and callable(loss) and var_list is None:
        # The type of a function says nothing. Only TensorFlow knows which variables it reads.
        name = "tensorflow" if "tensorflow" in sys.modules else None
    if name is None:
        raise InvalidInputError(
            f"loss is {loss!r:.100} and var_list {var_list!r:.100}: expected a tensor, or a "
            f"function and its variables in var_list, of one of {', '.join(sorted(BACKENDS))}."
        )
    module, attribute = BACKENDS[name]
    make: Callable[..., Backend] = getattr(importlib.import_module(module), attribute)
    backend = make(loss, var_list, list(constraints), second_order)
    backend.given = loss
    return backend


def framework_of(objects: Iterable[Any]) -> str | None:
    """Return the framework of the first object that has one, NumPy only if there is no other."""
    found = [name for name in map(_framework, objects) if name is not None]
    return next((name for name in found if name != "numpy"), found[0] if found else None)


def _framework(thing: Any) -> str | None:
    if is_keras(thing):  # its variables belong to its backend
        return _framework(thing.value)
    roots = [_root(cls).replace("jaxlib", "jax") for cls in type(thing).__mro__]
    return next((root for root in roots if root in BACKENDS), None)


def _root(cls: type) -> str:
    """Return the top-level module that a class belongs to."""
    return cls.__module__.partition(".")[0]


def as_list(given: Any) -> list[Any]:
    """Return constraints or fetches as a list, also a single one, or None."""
    if given is None:
        return []
    return [given] if callable(given) or _is_one(given) else list(given)


def as_variables(given: Any) -> list[Any]:
    """Return a list of variables; raise an error for a single one or a model."""
    if hasattr(given, "trainable_variables"):
        raise InvalidInputError(
            f"A model, {given!r:.100}, was given as variables: pass model.trainable_variables."
        )
    if callable(getattr(given, "parameters", None)) and not hasattr(given, "__iter__"):
        raise InvalidInputError(
            f"A model, {given!r:.100}, was given as variables: pass model.parameters()."
        )
    if _is_one(given):
        raise InvalidInputError(
            f"A single variable, {given!r:.100}, was given instead of a list: pass [variable]."
        )
    return list(given)


def _is_one(given: Any) -> bool:
    """Return whether something is a single object of a framework, not a container."""
    is_container = isinstance(given, list | tuple | dict) or hasattr(given, "parameters")
    return not is_container and framework_of([given]) is not None


def is_keras(thing: Any) -> bool:
    """Return whether something is a variable of Keras 3."""
    return hasattr(thing, "value") and any(_root(cls) == "keras" for cls in type(thing).__mro__)


def require(framework: str) -> Any:
    """Return a framework's module, or raise a MissingExtraError that says what to install."""
    try:
        return importlib.import_module(framework)
    except ImportError as error:
        raise MissingExtraError(f"This needs {framework}: pip install {framework}.") from error
