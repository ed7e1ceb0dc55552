"""Backend: the interface through which solvers work on a framework's variables."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidInputError, InvalidValueError, NoValueError
from optimizers.external.bounds import Matched, Packing, as_pairs, form_error

#: The index of a constraint, equalities first, and the weights of its values.
Weighted: TypeAlias = tuple[int, NDArray[Any]]


class Backend(ABC):
    """A loss, its constraints and its variables in one framework, built once.

    It is made of ``(loss, var_list, constraints, second_order)``, equalities first. Vectors given
    to its methods have shape (n,) and are not changed or kept; what they return is the caller's.
    """

    variables: list[Any]
    packing: Packing
    limits: tuple[Array, Array] | None = None
    #: The name of the logger that gets a summary of each run.
    logger = "optimizers.external"
    #: By position, restrictions of variables that no method handles, in words.
    ignored: Mapping[int, str] = {}
    #: The loss as the user gave it, to identify it.
    given: Any = None
    #: Whether the loss is known to have no gradient, once it is evaluated.
    is_unconnected = False
    #: Whether :meth:`hessp` can be called.
    has_hessp = False
    #: Whether, as in TensorFlow 1, the variables keep their values until the end of a run, and then
    #: get the method's final point, whatever it is.
    keeps_values = False

    def bind(
        self,
        session: Any,
        feed_dict: Mapping[Any, Any] | None,
        fetches: Sequence[Any],
        run_kwargs: Mapping[str, Any],
    ) -> Self:
        """Return a copy for one minimization; only ``fetches`` is not specific to graph mode."""
        given = {"session": session, "feed_dict": feed_dict, **run_kwargs}
        for name, value in given.items():
            if value is not None and value != {}:
                raise InvalidInputError(
                    f"{name} was given, but it belongs to TensorFlow's graph mode, and this loss "
                    f"is a function, which is evaluated in eager mode: remove {name}."
                )
        bound = copy.copy(self)
        bound.prepare(list(fetches))
        return bound

    def prepare(self, fetches: list[Any]) -> None:
        """Prepare the bound copy for one minimization, with these fetches."""
        self._fetches = fetches

    @abstractmethod
    def initial(self) -> NDArray[Any]:
        """Return the variables' values as a vector of the packing's type."""

    @abstractmethod
    def loss_grad(self, x: NDArray[Any]) -> tuple[Any, ...]:
        """Return the loss, its gradient in the packing's type, and, one by one, the fetches."""

    def constraint_values(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the values of each constraint at ``x``, of shape (m,)."""
        return []

    def constraint_jacobians(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the Jacobian of each constraint at ``x``, of shape (m, n)."""
        return []

    def hessp(self, x: NDArray[Any], p: NDArray[Any], of: Weighted | None = None) -> NDArray[Any]:
        """Return the Hessian at ``x`` times ``p``, exactly; only where ``has_hessp``.

        It is that of the loss, or of a constraint ``i`` whose values are weighted: ``of=(i, v)``.
        """
        raise NotImplementedError

    def match(self, bounds: Any) -> Matched:
        """Return the bounds of each variable or None, from a dict or pairs of variables to them."""
        matched: list[Any] = [None] * len(self.variables)
        for key, pair in as_pairs(bounds):
            if key is None or isinstance(key, int | float):
                raise form_error(bounds)
            variable = self.resolve(key.deref() if hasattr(key, "deref") else key)
            found = [i for i, known in enumerate(self.variables) if known is variable]
            if not found:
                raise InvalidInputError(
                    f"Bounds were given for {key!r:.200}, which is not one of the "
                    f"{len(self.variables)} optimized variables: list it in var_list."
                )
            if matched[found[0]] is not None:
                raise InvalidInputError(
                    f"Bounds were given twice for {key!r:.200}: give them once."
                )
            matched[found[0]] = pair
        return matched

    def resolve(self, variable: Any) -> Any:
        """Return the framework's own variable for the user's key."""
        return variable

    @abstractmethod
    def commit(self, x: NDArray[Any]) -> None:
        """Write ``x`` to the variables."""

    def rollback(self, x: NDArray[Any]) -> None:
        """Restore the start; this must not fail, since an error is being raised."""
        self.commit(x)


def check_functions(functions: Iterable[Any], expected: str) -> None:
    """Raise an InvalidInputError if a loss or a constraint is not a function."""
    for function in functions:
        if not callable(function):
            raise InvalidInputError(
                f"{function!r:.200} was given as a loss or constraint, expected a function "
                f"{expected}."
            )


def returned(value: Any, what: str) -> Any:
    """Return a user function's result; raise a NoValueError for None."""
    if value is None:
        raise NoValueError(f"{what} returned None: is a return missing?")
    return value


def scalar(loss: Any) -> Any:
    """Return a loss as a NumPy scalar of its own type, which shows solvers its precision."""
    if np.ma.is_masked(loss):
        raise InvalidValueError(
            "The loss is masked, expected a number: return NaN if there is none."
        )
    value = np.asarray(returned(loss, "The loss"))
    if value.size != 1:
        raise shape_error(value.shape)
    return value.reshape(())[()]


def shape_error(shape: Any) -> InvalidInputError:
    """Return the error for a loss that is not a scalar."""
    return InvalidInputError(
        f"The loss has shape {shape}, expected a scalar: sum it or take its mean."
    )
