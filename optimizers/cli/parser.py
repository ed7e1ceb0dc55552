"""The parser of the command line: mistakes are one line, with the nearest known name."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from typing_extensions import override

from optimizers.cli.reading import UsageError
from optimizers.errors import nearest_names

#: Options whose values may begin with a minus sign.
_NUMBERS = ("--x0", "--bounds")


class Parser(argparse.ArgumentParser):
    """Raises a UsageError where argparse would print its usage and exit."""

    @property
    def flags(self) -> list[str]:
        """The names of its options."""
        return self._flags

    @override
    def add_argument(self, *names: Any, **how: Any) -> argparse.Action:
        action = super().add_argument(*names, **how)
        self._flags = [*getattr(self, "_flags", ()), *action.option_strings]
        return action

    @override
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help.")


def program(path: str) -> str:
    """Return how the command line was started, given ``sys.argv[0]``."""
    return "optimizers" if Path(path).stem == "optimizers" else "python -m optimizers"


def parsed(parser: Parser, commands: Any, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the arguments that were given; a UsageError names what is not known."""
    name = arguments[0]
    if name.startswith("-") and not any(flag.startswith(name) for flag in parser.flags):
        raise UsageError(f"Unknown option {name}. {nearest_names(name, parser.flags)}")
    if not name.startswith("-") and name not in commands.choices:
        raise UsageError(f"Unknown command {name!r}. {nearest_names(name, commands.choices)}")
    given, others = parser.parse_known_args(_joined(arguments))
    own: Parser = commands.choices[name]
    unknown = next((other for other in others if other.startswith("-")), None)
    if unknown is not None:
        flag = unknown.partition("=")[0]
        raise UsageError(f"{name} has no option {flag}. {nearest_names(flag, own.flags)}")
    if others:
        own.error(f"{name} does not take the argument {others[0]!r}")
    if [] in [value for key, value in vars(given).items() if key != "options"]:
        own.error("-- is not the value of an option")  # argparse makes an empty list of it
    return given


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join ``--x0 -1,2`` to ``--x0=-1,2``: argparse takes such a value for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in _NUMBERS:
            joined[-1] += "=" + argument
        else:
            joined.append(argument)
    return joined
