"""The command ``report``: a page about a recorded run."""

import argparse
from typing import Any, TextIO

from optimizers.cli.codes import CONVERGED
from optimizers.report import write


def add_report(commands: Any) -> None:
    """Add the command ``report``."""
    command = commands.add_parser(
        "report",
        help="write a page of HTML about a recorded run",
        description="Write a page of HTML about a recorded run: its numbers and pictures, in one "
        "file that needs no network.",
    )
    command.add_argument("journal", metavar="JOURNAL")
    command.add_argument("-o", dest="output", metavar="FILE.html", help="default: JOURNAL.html")
    command.set_defaults(run=_report)


def _report(given: argparse.Namespace, out: TextIO) -> int:
    path = write(given.journal, given.output or f"{given.journal}.html")
    print(f"Report: {path}", file=out)
    return CONVERGED
