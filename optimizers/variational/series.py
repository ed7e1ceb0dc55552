"""Series: numbers that an algorithm takes one of in each iteration, such as learning rates."""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, TypeAlias

import numpy as np

from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.options.table import is_number

#: A number for all iterations, one for each, or a function that returns an iterator of them.
SeriesLike: TypeAlias = float | Sequence[float] | Array | Callable[[], Iterator[float]]


def series(name: str, given: SeriesLike) -> Iterator[float]:
    """Yield the numbers of one run, one an iteration; an OptionError where there is none."""
    numbers: Iterator[Any]
    if callable(given):
        try:
            numbers = iter(given())
        except TypeError as error:
            raise OptionError(
                f"{name} is {given!r:.200}, expected a function without arguments that returns "
                f"an iterator, a number for each iteration ({error})."
            ) from error
    else:
        numbers = iter(given) if isinstance(given, Sequence | np.ndarray) else repeat(given)
    k = 0
    for k, number in enumerate(numbers, 1):
        if not is_number(number) or not np.isfinite(number):
            raise OptionError(f"{name} gave {number!r} in iteration {k}, expected finite numbers.")
        yield float(number)
    raise OptionError(
        f"{name} ended after {k} numbers, expected one for each iteration: let it go on, or lower "
        "maxiter."
    )


def check_pair(options: dict[str, Any]) -> None:
    """Raise an OptionError if one of learning_rate and perturbation is given without the other.

    Not where options are set: there one may be set after the other.
    """
    for one, other in (("learning_rate", "perturbation"), ("perturbation", "learning_rate")):
        if options[one] is not None and options[other] is None:
            raise OptionError(
                f"{one} is given without {other}: give both, or none to have them calibrated."
            )


def check_series(name: str, given: Any, maxiter: int) -> None:
    """Raise an OptionError if an option cannot be ``maxiter`` numbers; a function is not called."""
    if callable(given):
        return
    expected = f"{name} is {given!r:.200}, expected a number, {maxiter} of them (maxiter), or a "
    if isinstance(given, Iterator):
        raise OptionError(
            f"{expected}function that returns an iterator: an iterator itself is used up by the "
            "first run."
        )
    numbers = given if isinstance(given, Sequence | np.ndarray) else [given]
    if isinstance(given, str) or np.ndim(numbers) != 1 or not all(map(is_number, numbers)):
        raise OptionError(f"{expected}function that returns an iterator.")
    if not np.isfinite(numbers).all():
        raise OptionError(f"{expected}function that returns an iterator; all of them finite.")
    if numbers is given and len(numbers) < maxiter:
        raise OptionError(
            f"{name} has {len(numbers)} numbers, expected at least maxiter = {maxiter}."
        )
