"""The command ``check``: the conformance suite on one optimizer, or on all those of a package."""

import argparse
import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, TextIO

from optimizers.cli.codes import CONVERGED, ERROR
from optimizers.cli.layout import wrapped
from optimizers.cli.reading import UsageError
from optimizers.errors import InvalidInputError, nearest_names, words_of
from optimizers.optimizer import Optimizer
from optimizers.registry import find, plugins_of


def add_check(commands: Any) -> None:
    """Add the command ``check``."""
    command = commands.add_parser(
        "check",
        help="check that an optimizer of yours keeps what users rely on",
        description="Run the conformance suite of optimizers.testing on an optimizer, and say of "
        "each check whether it passed. Exit code: 0 all passed or do not apply, 1 one failed, 2 "
        "nothing could be checked.",
    )
    command.add_argument(
        "target",
        metavar="TARGET",
        help="package.module:Class; a package, for its entry points and public classes; or the "
        "name of an optimizer",
    )
    command.set_defaults(run=_check)


def _check(given: argparse.Namespace, out: TextIO) -> int:
    # Imports pytest if it is installed, for which no other command should wait.
    from optimizers.testing import CHECKS

    if not __debug__:
        raise UsageError("The checks are assertions, which python -O removes: run without -O.")
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    names = [check.__name__.removeprefix("check_") for check in CHECKS]
    for cls in _classes(given.target):
        print(f"{cls.__name__} ({cls.__module__})", file=out)
        wrong = _unmade(cls)
        if wrong:
            counts["failed"] += 1
            print(wrapped(f"  {wrong}", 4), file=out, flush=True)
            continue
        for name, check in zip(names, CHECKS, strict=True):
            result, why = _outcome(check, cls)
            counts[result] += 1
            line = f"  {name:<{max(map(len, names))}}  {result:<8}{why}"
            print(wrapped(line.rstrip(), max(map(len, names)) + 10), file=out, flush=True)
    print(", ".join(f"{count} {result}" for result, count in counts.items() if count), file=out)
    return ERROR if counts["failed"] else CONVERGED


def _unmade(cls: type[Optimizer]) -> str:
    """Return why the checks cannot make an object of a class; empty if they can."""
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        return f"No object can be made: the class does not define {missing}."
    try:
        cls()
    except Exception as error:  # whatever the class under test raises
        return f"{cls.__name__}() failed, expected a default for each option: {words_of(error)}"
    return ""


def _outcome(check: Callable[[type[Optimizer]], None], cls: type[Optimizer]) -> tuple[str, str]:
    """Run one check on a class; return how it went and, in one line, why."""
    from optimizers.testing import NotApplicable

    try:
        check(cls)
    except NotApplicable as reason:
        return "skipped", str(reason)
    except Exception as error:  # whatever the class under test raises
        words = str(error) if isinstance(error, AssertionError) else words_of(error)
        return "failed", (words.splitlines() or ["an assertion without words"])[0]
    return "passed", ""


def _classes(target: str) -> list[type[Optimizer]]:
    """Return the optimizers that the command line names."""
    path, colon, name = target.partition(":")
    if colon:
        module = _imported(path)
        if not hasattr(module, name):
            hint = nearest_names(name, [cls.__name__ for cls in _public(module)])
            raise UsageError(f"{path} has nothing called {name!r}. {hint}")
        cls = getattr(module, name)
        if not _is_optimizer(cls):
            raise UsageError(f"{target} is {cls!r}, expected a class of optimizers.")
        return [cls]
    try:
        return [find(target)]
    except InvalidInputError as error:
        try:
            module = _imported(target)
        except UsageError:
            raise UsageError(f"{error} There is no package {target} either.") from None
    classes = [*map(find, plugins_of(target)), *_public(module)]
    if not classes:
        raise UsageError(
            f"The package {target} has no optimizers: neither entry points nor public classes."
        )
    return list(dict.fromkeys(classes))


def _imported(name: str) -> ModuleType:
    """Import and return a module; what it raises itself is passed on."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is not the name of a package or module.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"There is no package or module {name}.") from None


def _public(module: ModuleType) -> list[type[Optimizer]]:
    """Return the optimizers that a module offers and that are its own, or of a module in it."""
    return [
        cls
        for name, cls in vars(module).items()
        if name[0] != "_"
        and _is_optimizer(cls)
        and not inspect.isabstract(cls)
        and f"{cls.__module__}.".startswith(f"{module.__name__}.")
    ]


def _is_optimizer(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Optimizer)
