"""Other forms of a user's function: with further arguments, and without the gradient."""

from collections.abc import Callable
from typing import Any

from optimizers._types import Array, Objective
from optimizers.errors import InvalidInputError
from optimizers.evaluation.answers import unpack
from optimizers.evaluation.evaluator import is_vectorized, marked


class WithArguments:
    """A function to which further arguments are passed at each call.

    An object and no closure: it can be pickled whenever the function and the arguments can.
    """

    def __init__(self, function: Callable[..., Any], args: Any) -> None:
        self.function = function
        self.args = as_arguments(args)
        if is_vectorized(function):
            marked(self)

    def __call__(self, *given: Any) -> Any:
        """Return the function of the given arguments and the further ones."""
        return self.function(*given, *self.args)


def as_arguments(args: Any) -> tuple[Any, ...]:
    """Return further arguments as a tuple."""
    try:
        return tuple(args)
    except TypeError:
        raise InvalidInputError(
            f"args is {args!r}, expected a sequence of arguments; for a single one, (argument,)."
        ) from None


def value_alone(fun: Objective) -> Objective:
    """Return an objective without the gradient that comes with its value and is of no use."""

    def alone(x: Array) -> Any:
        return unpack(fun(x))[0]

    return marked(alone) if is_vectorized(fun) else alone
