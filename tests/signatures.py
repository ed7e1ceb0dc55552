"""Signatures of all public callables, as test data.

``python -m tests.signatures --write`` writes it.
The file is what callers may rely on. It is written anew only when a name is added, or when a change
of a signature is intended: then its difference shows what users will notice.
"""

import enum
import importlib
import inspect
import json
import re
import sys
import types
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "data" / "public_signatures.json"
#: The public modules, and the extra that each needs.
MODULES = {
    "optimizers": None,
    "optimizers.external": None,
    "optimizers.external.jax": "jax",
    "optimizers.external.tensorflow": "tensorflow",
    "optimizers.external.torch": "torch",
    "optimizers.flow": None,
    "optimizers.plots": None,
    "optimizers.problems": None,
    "optimizers.report": None,
    "optimizers.testing": None,
}
#: What an algorithm needs of ``optimizers.flow``, some of which is defined elsewhere.
_OF_FLOW = (
    *(
        "AskData",
        "ConfiguredOptimizer",
        "Flow",
        "FlowOptimizer",
        "FlowSettings",
        "Products",
        "Step",
        "StopReason",
    ),
    *("Step", "StopReason", "Told", "check_range", "ended"),
)
#: What has no underscore, and is used within the package alone.
_INTERNAL = ("TYPE_CHECKING", "check_matplotlib", "needs_matrix")
#: Private names that subclasses override.
_OVERRIDDEN = ("_flow", "_minimize", "_solve")


def signatures(module: str) -> dict[str, list[str] | None]:
    """Return the parameters of each public name of a module; None for what cannot be called."""
    found: dict[str, list[str] | None] = {}
    place = importlib.import_module(module)
    for name in _names(place):
        value = getattr(place, name)
        found[name] = _parameters(value)
        if isinstance(value, type):
            found |= {f"{name}.{key}": told for key, told in _members(value).items()}
    return dict(sorted(found.items()))


def look_up(module: str, name: str) -> list[str] | None:
    """Return the parameters of one name of the file as it is now; AttributeError without it."""
    head, *rest = name.split(".")
    owner = getattr(importlib.import_module(module), head)
    if not rest:
        return _parameters(owner)
    return _member(owner, rest[0])


def _names(place: types.ModuleType) -> list[str]:
    """Return the public names of a module: what it exports, or what is defined in it."""
    if place.__name__ == "optimizers.flow":
        return list(_OF_FLOW)
    if hasattr(place, "__all__"):
        return list(place.__all__)
    return [
        name
        for name, value in vars(place).items()
        if not name.startswith("_")
        and name not in _INTERNAL
        and (getattr(value, "__module__", None) == place.__name__ or name.isupper())
    ]


def _members(cls: type) -> dict[str, list[str] | None]:
    """Return the public methods and attributes of a class, those of the package's own bases too."""
    names = [
        name
        for base in cls.__mro__
        if base.__module__.startswith("optimizers")
        for name in (*vars(base), *inspect.get_annotations(base))
        if (not name.startswith("_") and name not in _INTERNAL) or name in _OVERRIDDEN
    ]
    return {name: _member(cls, name) for name in names}


def _member(cls: type, name: str) -> list[str] | None:
    if any(name in inspect.get_annotations(base) for base in cls.__mro__):
        return None  # a field, which may have no value in the class
    return _parameters(getattr(cls, name))


def _parameters(value: Any) -> list[str] | None:
    """Return how the parameters are written, without annotations, with "/" and "*" between them."""
    if not callable(value) or isinstance(value, enum.EnumType):
        return None
    if getattr(value, "__name__", "") == "Stepper":  # made by Optimizer.stepper
        return None
    try:
        signature = inspect.signature(value)
    except ValueError:  # of a class that is written in C
        return None
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    text: list[str] = []
    for before, parameter in zip([None, *bare], bare, strict=False):
        if before is not None and before.kind == before.POSITIONAL_ONLY != parameter.kind:
            text.append("/")
        if parameter.kind == parameter.KEYWORD_ONLY and (
            before is None or before.kind not in (before.KEYWORD_ONLY, before.VAR_POSITIONAL)
        ):
            text.append("*")
        text.append(re.sub(r" at 0x[0-9a-f]+", "", str(parameter)))
    if bare and bare[-1].kind == bare[-1].POSITIONAL_ONLY:
        text.append("/")
    return text


def write() -> None:
    """Write the file, a line a name."""
    blocks = []
    for module in MODULES:
        lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in signatures(module).items()]
        blocks.append(f" {json.dumps(module)}: {{\n" + ",\n".join(lines) + "\n }")
    FILE.write_text("{\n" + ",\n".join(blocks) + "\n}\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.signatures --write")
    write()
