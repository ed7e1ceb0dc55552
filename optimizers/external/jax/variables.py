"""Arrays of JAX as variables, which they cannot be."""

from collections.abc import Sequence
from typing import Any, NoReturn

from optimizers.errors import InvalidInputError


def refuse(
    loss: Any, var_list: Sequence[Any] | None, constraints: Sequence[Any], second_order: bool
) -> NoReturn:
    """Say what to use instead of the interfaces."""
    raise InvalidInputError(
        "An array of JAX's was given as a variable or a loss, but it cannot be updated: use "
        "optimizers.external.jax.minimize(fun, params), which returns new ones."
    )
