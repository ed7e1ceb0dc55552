"""The commands ``list`` and ``show``: which optimizers there are, and what one can do."""

import argparse
from typing import Any, TextIO

from optimizers.cli.codes import CONVERGED
from optimizers.describe import capability_table, option_table
from optimizers.registry import find
from optimizers.support import CAPABILITIES, TRAITS, SupportLevel


def add_list(commands: Any) -> None:
    """Add the command ``list``."""
    table = commands.add_parser(
        "list",
        help="what each optimizer can take, and what it is for",
        description="The optimizers: what each can take, and what it is for. Options leave only "
        "those that fit.",
    )
    for what in CAPABILITIES:
        table.add_argument(
            f"--{what.replace('_', '-')}",
            nargs="?",
            const=SupportLevel.supported.name,
            choices=[level.name for level in SupportLevel],
            metavar="LEVEL",
            help="only those of that level; supported (the default) is that of required too",
        )
    for what in TRAITS:
        table.add_argument(f"--{what.replace('_', '-')}", action=argparse.BooleanOptionalAction)
    table.set_defaults(run=_list)


def add_show(commands: Any) -> None:
    """Add the command ``show``."""
    show = commands.add_parser("show", help="an optimizer's options")
    show.add_argument("optimizer", metavar="NAME")
    show.set_defaults(run=_show)


def _list(given: argparse.Namespace, out: TextIO) -> int:
    wanted = {what: getattr(given, what) for what in (*CAPABILITIES, *TRAITS)}
    print(capability_table(**wanted), file=out)
    return CONVERGED


def _show(given: argparse.Namespace, out: TextIO) -> int:
    print(option_table(find(given.optimizer)), file=out)
    return CONVERGED
