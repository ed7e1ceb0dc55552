"""Trial: a run of the optimizer under test, and the helpers of its checks."""

import inspect
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._types import ArrayLike
from optimizers.evaluation import vectorized
from optimizers.optimizer import Optimizer
from optimizers.result import OptimizerResult
from optimizers.support import SupportLevel
from optimizers.testing.bowl import START, Bowl, ResidualBowl

#: The bounds where they are required.
BOX = [(-2.0, 2.0)] * len(START)
#: Makes the optimizer under test from settings of a run: a class, or a function around one.
Factory = Callable[..., Optimizer]


class NotApplicable(unittest.SkipTest):
    """A check does not apply to a class, and why: pytest and unittest report a skipped test."""


def run(
    optimizer: Optimizer,
    fun: Callable[..., Any],
    jac: Any = None,
    *,
    x0: ArrayLike = START,
    **settings: Any,
) -> OptimizerResult:
    """Minimize a bowl in any form, with what the optimizer requires, from a fixed seed.

    Parameters
    ----------
    optimizer, fun, jac, x0, **settings
        The optimizer, and the arguments of its :meth:`~optimizers.Optimizer.minimize`.

    Returns
    -------
    OptimizerResult
        Its result.

    Raises
    ------
    NotApplicable
        If its class overrides ``minimize``, without a parameter for one of the settings.
    """
    if jac is None and optimizer.is_gradient_required:
        jac = fun.jac if isinstance(fun, Bowl) else bowl_for(optimizer)().jac
    settings = {**required(optimizer), **settings}
    if np.ndim(x0) == 1:
        x0 = start_for(optimizer, x0)
    for setting in settings:
        if not takes_setting(optimizer, setting):
            raise NotApplicable(
                f"{type(optimizer).__name__}.minimize has no parameter {setting!r}: override "
                "_solve instead of minimize to inherit it from Optimizer.minimize."
            )
    result = optimizer.minimize(fun, x0, jac, **settings)
    assert isinstance(result, OptimizerResult), (
        f"minimize returned an object of {type(result).__name__}: return an OptimizerResult, or "
        "override _solve instead and return an Outcome."
    )
    return result


def start_for(optimizer: Optimizer, x0: ArrayLike = START) -> Any:
    """Return a start, or None for an optimizer that uses none."""
    is_used = optimizer.initial_point_support_level >= SupportLevel.supported
    return np.array(x0) if is_used else None


def takes_setting(optimizer: Optimizer, name: str) -> bool:
    """Return whether ``minimize`` has a parameter of that name, or accepts any."""
    parameters = inspect.signature(optimizer.minimize).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def replaces_minimize(optimizer: Optimizer) -> bool:
    """Return whether a class only overrides ``minimize``, without a Run in between."""
    cls = type(optimizer)
    return cls.minimize is not Optimizer.minimize and cls._solve is Optimizer._solve


def need_run(optimizer: Optimizer, what: str) -> None:
    """Raise NotApplicable if the class does itself what a Run would handle."""
    if replaces_minimize(optimizer):
        raise NotApplicable(
            f"{type(optimizer).__name__} only overrides minimize, but {what} comes from "
            "Optimizer.minimize: override _solve instead to inherit it."
        )


def stack_for(optimizer: Optimizer) -> Callable[..., Any]:
    """Return an objective of stacks of points, or of one point if the class calls it itself."""
    if replaces_minimize(optimizer):
        return Bowl.exact
    told = bowl_for(optimizer).told
    return vectorized(lambda points: np.array([told(point) for point in points]))


def bowl_for(optimizer: Optimizer) -> type[Bowl]:
    """Return the objective in the form that the optimizer requires."""
    requires = optimizer._level("residuals") == SupportLevel.required
    return ResidualBowl if requires else Bowl


def required(optimizer: Optimizer) -> dict[str, Any]:
    """Return the arguments besides functions that the optimizer requires, and the seed."""
    needed: dict[str, Any] = {"seed": 7} if takes_setting(optimizer, "seed") else {}
    if optimizer._level("hessian") == SupportLevel.required:
        needed["hess"] = Bowl.hess
    if optimizer.is_bounds_required:
        needed["bounds"] = BOX
    return needed


def same(left: Any, right: Any, otherwise: str) -> None:
    """Fail, and say what to do, unless numbers or points are exactly the same."""
    assert np.array_equal(left, right), f"{otherwise}\n{_differing(left, right)}"


def _differing(left: Any, right: Any) -> str:
    if np.shape(left) != np.shape(right):
        return f"Of shape {np.shape(left)} and {np.shape(right)}."
    if not np.ndim(left):
        return f"{left!r} and {right!r}."
    row = [np.array_equal(*pair) for pair in zip(left, right, strict=True)].index(False)
    return f"First at {row}: {left[row]!r} and {right[row]!r}."


def alike(
    result: OptimizerResult, expected: OptimizerResult, names: tuple[str, ...], otherwise: str
) -> None:
    """Fail, and say what to do, unless some entries of two results agree exactly."""
    for name in names:
        same(result[name], expected[name], f"{name} differs. {otherwise}")


def raised(kind: type[BaseException], attempt: Callable[[], Any], otherwise: str) -> Any:
    """Return the exception of a kind that an attempt raises; anything else is a failure."""
    try:
        attempt()
    except kind as error:
        return error
    raise AssertionError(f"Expected {kind.__name__}, but nothing was raised: {otherwise}")
