"""How the gradient is obtained: given, together with the value, or from values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from optimizers.errors import InvalidInputError
from optimizers.gradients.differences import SCHEMES, Differences
from optimizers.gradients.pennylane import trainable
from optimizers.gradients.source import GradientSource, Jacobian

Scheme: TypeAlias = Literal["2-point", "3-point", "cs"]


@dataclass(frozen=True)
class Given:
    """By a function of the user."""

    function: Callable[..., Any]
    is_given: ClassVar[bool] = True
    is_default: ClassVar[bool] = False

    @property
    def jac(self) -> Jacobian:
        """What the user gave."""
        return self.function


@dataclass(frozen=True)
class Joint:
    """With the value: the objective returns both (``jac=True``)."""

    is_given: ClassVar[bool] = True
    is_default: ClassVar[bool] = False
    jac: ClassVar[bool] = True


@dataclass(frozen=True)
class By:
    """From values: by a source, by a scheme of that name, or as the algorithm prefers."""

    source: GradientSource | None = None
    scheme: Scheme | None = None
    is_given: ClassVar[bool] = False

    @property
    def jac(self) -> Jacobian:
        """What the user gave; None if nothing."""
        return self.scheme if self.source is None else self.source

    @property
    def is_default(self) -> bool:
        """Whether the user left the choice to the algorithm."""
        return self.source is None and self.scheme is None


Derivatives: TypeAlias = Given | Joint | By


def as_derivatives(jac: Jacobian) -> Derivatives:
    """Return what a user's ``jac`` means; an InvalidInputError says what it may be."""
    if isinstance(jac, type) and issubclass(jac, GradientSource):
        raise InvalidInputError(f"jac is a class, expected an instance: {jac.__name__}().")
    if isinstance(jac, GradientSource):
        return By(source=jac)
    if isinstance(jac, str) and jac in SCHEMES:
        return By(scheme=jac)
    if jac is None or jac is False:
        return By()
    if jac is True:
        return Joint()
    if callable(jac):
        return Given(trainable(jac))
    raise InvalidInputError(
        f"jac is {jac!r}, expected a callable, True, a GradientSource such as Differences, "
        f"or one of {SCHEMES}."
    )


def source_of(derivatives: Derivatives, default: Scheme = "2-point") -> GradientSource:
    """Return the source that is meant; differences of the default scheme if none is named."""
    if isinstance(derivatives, By):
        return derivatives.source or Differences(derivatives.scheme or default)
    return Differences(default)
