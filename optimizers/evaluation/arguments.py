"""Other forms of a user's function: with further arguments, and without the gradient."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from optimizers._types import Array, Objective
from optimizers.errors import InvalidInputError
from optimizers.evaluation.answers import unpack
from optimizers.evaluation.marks import marked_like
from optimizers.gradients.pennylane import trainable


class WithArguments:
    """A function to which further arguments are passed at each call.

    An object, not a closure: it can be pickled if the function and the arguments can.
    """

    def __init__(self, function: Callable[..., Any], args: Any) -> None:
        self.function = trainable(function)
        self.args = as_arguments(args)
        marked_like(self, function)

    def __call__(self, *given: Any) -> Any:
        """Return the function of the given arguments and the further ones."""
        return self.function(*given, *self.args)


def as_arguments(args: Any) -> tuple[Any, ...]:
    """Return a sequence of further arguments as a tuple: the rule of SciPy's ``fmin_*``."""
    try:
        if isinstance(args, str | bytes | Mapping):
            raise TypeError
        return tuple(args)
    except TypeError:
        raise InvalidInputError(
            f"args is {args!r}, expected a sequence of arguments; for a single one, (argument,)."
        ) from None


def with_arguments(functions: Iterable[Any], args: Any) -> tuple[Any, ...]:
    """Return functions with the ``args`` of SciPy's ``minimize``; other objects as they are.

    Anything but a tuple is a single argument, as in all of SciPy but ``fmin_*`` and constraints;
    None stands for no arguments.
    """
    if not isinstance(args, tuple):
        args = () if args is None else (args,)
    if not args:
        return tuple(functions)
    return tuple(WithArguments(f, args) if callable(f) else f for f in functions)


def value_alone(fun: Objective) -> Objective:
    """Return an objective without the gradient that it returns with its value."""

    @functools.wraps(fun)
    def alone(x: Array) -> Any:
        return unpack(fun(x))[0]

    return marked_like(alone, fun)
