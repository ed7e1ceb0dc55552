"""What is typed on the command line, read: options, numbers, and functions of a user's files."""

import ast
import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.errors import InvalidInputError, nearest_names
from optimizers.gradients.differences import SCHEMES
from optimizers.gradients.source import GradientSource

# What modules made of a user's files are called.
_OWN = "_optimizers_user_"


class UsageError(InvalidInputError):
    """The command line itself cannot be used."""


def read_option(text: str) -> tuple[str, Any]:
    """Return the name and the value of ``-o name=value``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"-o {text} is not an option: write -o name=value.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value  # a bare word, such as on_failure=reject


def read_vector(text: str) -> Array:
    """Return the vector that is written as numbers with commas."""
    try:
        return np.array([float(number) for number in text.strip("[]() ").split(",")])
    except ValueError:
        raise UsageError(f"{text!r} is not a vector: write numbers with commas, 1,2.5.") from None


def read_bounds(text: str, n: int) -> list[tuple[float | None, float | None]]:
    """Return a pair for each variable; one that is written alone is for all."""
    pairs = []
    for pair in text.split(","):
        low, colon, high = pair.partition(":")
        try:
            if not colon:
                raise ValueError
            pairs.append((float(low) if low else None, float(high) if high else None))
        except ValueError:
            raise UsageError(f"{pair!r} is not a pair of bounds: write low:high.") from None
    return pairs * n if len(pairs) == 1 else pairs


def read_jacobian(given: Any, path: str | None) -> Any:
    """Return the gradient, of which a name alone is in the file at ``path``."""
    if given is None or callable(given) or isinstance(given, GradientSource) or given in SCHEMES:
        return given
    if given.lower() == "true":
        return True
    if ":" not in given and path is None:
        raise UsageError(f"--jac {given} is not a function: write --jac file.py:name.")
    reference = given if ":" in given else f"{path}:{given}"
    return read_function(reference, or_source=True)


def read_function(reference: str, *, or_source: bool = False) -> Any:
    """Return what ``path.py:name`` names: a function, or if that may be, a gradient source."""
    path, colon, name = reference.rpartition(":")
    if not colon:
        raise UsageError(f"{reference!r} is not a function in a file: write path.py:name.")
    if not Path(path).is_file():
        raise UsageError(f"{path} does not exist.")
    module = _module(Path(path).resolve())
    if not hasattr(module, name):
        functions = [key for key, value in vars(module).items() if callable(value)]
        raise UsageError(f"{path} has nothing called {name!r}. {nearest_names(name, functions)}")
    found = getattr(module, name)
    if or_source and isinstance(found, GradientSource):
        return found
    if not callable(found):
        raise UsageError(f"{name} in {path} is {found!r}, expected a function.")
    return _FromFile(path, name) if module.__name__.startswith(_OWN) else found


class _FromFile:
    """A function of a user's file, which other processes look up there."""

    def __init__(self, path: str, name: str) -> None:
        self._function = getattr(_module(Path(path).resolve()), name)
        self._reference = str(Path(path).resolve()), name
        functools.update_wrapper(self, self._function)

    def __call__(self, *given: Any) -> Any:
        return self._function(*given)

    def __reduce__(self) -> tuple[Any, ...]:
        return _FromFile, self._reference


@functools.cache
def _module(path: Path) -> ModuleType:
    """Run a user's file once, however many functions are taken from it."""
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        names, folder = [folder.name, *names], folder.parent
    if len(names) > 1:  # of a package, whose modules import each other
        sys.path.insert(0, str(folder))
        return importlib.import_module(".".join(names))
    # Under a name of its own, so that a file called numpy.py hides nothing.
    name = f"{_OWN}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be read as Python: its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))  # as for a script: its neighbors can be imported
    spec.loader.exec_module(module)
    return module
