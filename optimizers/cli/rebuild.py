"""The call that a journal was begun with, rebuilt from its header."""

from collections.abc import Sequence
from typing import Any

from optimizers.cli.configure import configured
from optimizers.errors import InvalidInputError
from optimizers.gradients.differences import SCHEMES, Differences
from optimizers.gradients.parameter_shift import ParameterShift
from optimizers.gradients.source import GradientSource
from optimizers.gradients.spsa import SPSAGradient
from optimizers.optimizer import Optimizer
from optimizers.registry import find

#: Settings that are functions, executors and the like: a header only knows that there were some,
#: and has the gradient beside.
_LIVING = ("callback", "workers", "journal", "jac")
#: What a header names by its class and fields.
_SOURCES: dict[str, type[GradientSource]] = {
    source.__name__: source for source in (Differences, ParameterShift, SPSAGradient)
}


def rebuilt(
    header: dict[str, Any], options: Sequence[str] = ()
) -> tuple[Optimizer, Any, dict[str, Any]]:
    """Return the optimizer that a header describes, the gradient, and the settings of a run.

    ``options`` are texts, name=value, that win over the header. There is no gradient if that was
    a function.
    """
    problem = header["problem"]
    missing = [name for name in ("constraints", "hess", "hessp") if problem[name]]
    missing += ["the structure of x0"] if "names" in problem else []
    arguments = {k: v for k, v in header["settings"].items() if k not in _LIVING}
    missing += [name for name, value in arguments.items() if _has_object(value)]
    if missing:
        raise InvalidInputError(
            f"{', '.join(missing)} cannot be read from a journal: run the same call in Python "
            "again."
        )
    cls = find(header["optimizer"])
    seed = header["seed"]
    if "state" in seed:
        raise InvalidInputError(
            "The seed of the run is a generator: run the same call in Python again."
        )
    arguments["seed"] = seed.get("given")
    jac = _jac(problem["jac"])
    optimizer, settings = configured(cls, options, arguments)
    return optimizer, jac, settings


def _jac(kept: Any) -> Any:
    if isinstance(kept, dict):
        cls = _SOURCES.get(kept["object"])
        if cls is None:
            raise InvalidInputError(
                f"The gradient source {kept['object']} cannot be read from a journal: run the same "
                "call in Python again."
            )
        return cls(**{name: value for name, value in kept.items() if name != "object"})
    return kept if kept is None or kept is True or kept in SCHEMES else None


def _has_object(value: Any) -> bool:
    if isinstance(value, dict):
        return "object" in value or any(map(_has_object, value.values()))
    return isinstance(value, list) and any(map(_has_object, value))
