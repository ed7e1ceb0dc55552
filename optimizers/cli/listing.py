"""The commands ``list`` and ``show``: which optimizers there are, and what one can do."""

import argparse
from pathlib import Path
from typing import Any, TextIO

from optimizers.cli.codes import CONVERGED
from optimizers.cli.layout import wrapped
from optimizers.cli.reading import UsageError
from optimizers.describe import capabilities, option_table, traits_in_words
from optimizers.errors import InvalidInputError, nearest_names
from optimizers.optimizer import Optimizer
from optimizers.registry import available, find
from optimizers.support import CAPABILITIES, TRAITS, SupportLevel

_LEVELS = [level.name for level in SupportLevel]
#: What most classes require, so that the list does not say it.
_USUAL = ("initial_point",)


def add_list(commands: Any) -> None:
    """Add the command ``list``."""
    command = commands.add_parser(
        "list",
        help="list the optimizers: what each is for and supports",
        description="List the optimizers: what each is for, and what it supports. Options leave "
        f"only those that fit. A LEVEL is {', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}; supported, "
        "which is meant where no level is named, includes required.",
    )
    for what in CAPABILITIES:
        command.add_argument(
            _flag(what), nargs="?", const=SupportLevel.supported.name, metavar="LEVEL"
        )
    for what in TRAITS:
        command.add_argument(_flag(what), action=argparse.BooleanOptionalAction)
    command.set_defaults(run=_list)


def add_show(commands: Any) -> None:
    """Add the command ``show``."""
    command = commands.add_parser("show", help="show the options of an optimizer")
    command.add_argument("optimizer", metavar="NAME")
    command.set_defaults(run=_show)


def _flag(what: str) -> str:
    return f"--{what.replace('_', '-')}"


def _list(given: argparse.Namespace, out: TextIO) -> int:
    wanted = {what: getattr(given, what) for what in (*CAPABILITIES, *TRAITS)}
    for what in CAPABILITIES:
        if wanted[what] not in (None, *_LEVELS):
            hint = nearest_names(wanted[what], _LEVELS)
            raise UsageError(f"{_flag(what)}: {wanted[what]!r} is not a level. {hint}")
    found = available(**wanted)
    indent = max(map(len, found), default=0) + 2
    for name, cls in found.items():
        print(wrapped(f"{name:<{indent}}{cls.traits.purpose}", indent), file=out)
        print(wrapped(" " * indent + _abilities(cls)), file=out)
    if not found:
        print("No optimizer fits.", file=out)
    return CONVERGED


def _abilities(cls: type[Optimizer]) -> str:
    """Return what a class requires and supports, and its traits."""
    levels = dict(zip(CAPABILITIES, capabilities(cls), strict=True))
    words = []
    for verb, level in (("requires", "required"), ("supports", "supported")):
        names = [what for what in CAPABILITIES if levels[what] == level and what not in _USUAL]
        words += [f"{verb} {', '.join(names)}"] if names else []
    return "; ".join([*words, *traits_in_words(cls)])


def _show(given: argparse.Namespace, out: TextIO) -> int:
    name = given.optimizer
    try:
        cls = find(name)
    except InvalidInputError:
        if Path(name).suffix or Path(name).is_file():
            raise UsageError(
                f"show NAME: {name} is not the name of an optimizer. A journal is shown by "
                "history, report or watch."
            ) from None
        raise
    for line in option_table(cls).splitlines():
        print(wrapped(line), file=out)
    return CONVERGED
