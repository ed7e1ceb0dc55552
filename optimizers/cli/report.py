"""The command ``report``: a page about a run that has a journal."""

import argparse
from typing import Any, TextIO

from optimizers.report import write


def add_report(commands: Any) -> None:
    """Add the command ``report``."""
    page = commands.add_parser("report", help="a page of HTML about a run that has a journal")
    page.add_argument("journal", metavar="JOURNAL")
    page.add_argument("-o", dest="output", metavar="FILE.html", help="default: JOURNAL.html")
    page.set_defaults(run=_report)


def _report(given: argparse.Namespace, out: TextIO) -> int:
    path = write(given.journal, given.output or f"{given.journal}.html")
    print(f"Report: {path}", file=out)
    return 0
