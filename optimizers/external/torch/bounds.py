"""Bounds as PyTorch's users write them: by parameter, or in the order of the parameters."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from optimizers.errors import InvalidInputError


def as_keyed(variables: Sequence[Any], bounds: Any) -> Any:
    """Return bounds by variable, where they are in order, or one (low, high) of numbers for all."""
    if isinstance(bounds, Mapping) or not isinstance(bounds, Sequence):
        return bounds
    if any(_names(entry, variables) for entry in bounds):
        return bounds
    if len(bounds) == 2 and all(side is None or isinstance(side, Real) for side in bounds):
        return [(variable, tuple(bounds)) for variable in variables]
    if len(bounds) != len(variables):
        raise InvalidInputError(
            f"There are {len(bounds)} bounds for {len(variables)} parameters, expected one "
            "(low, high) or None for each, one (low, high) of numbers for all, or a dict of "
            "parameter to (low, high)."
        )
    return [(v, pair) for v, pair in zip(variables, bounds, strict=True) if pair is not None]


def unfrozen(variables: Sequence[Any], bounds: Any) -> tuple[list[Any], Any]:
    """Return the tensors that require gradients, or all if none does, and bounds for those."""
    free = [v for v in variables if getattr(v, "requires_grad", True)]
    if not free or len(free) == len(variables):
        return list(variables), bounds
    keyed = as_keyed(variables, bounds)
    pairs = list(keyed.items() if isinstance(keyed, Mapping) else keyed or ())
    frozen = [v for v in variables if not getattr(v, "requires_grad", True)]
    return free, [pair for pair in pairs if not _names(pair, frozen)] or None


def _names(entry: Any, variables: Sequence[Any]) -> bool:
    """Return whether an entry is one of a variable and its bounds."""
    return (
        isinstance(entry, Sequence)
        and len(entry) == 2
        and any(entry[0] is variable for variable in variables)
    )
