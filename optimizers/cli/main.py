"""The command line: minimize a problem, go on from a journal, list and show the optimizers."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from optimizers._version import __version__
from optimizers.cli.codes import ERROR, INTERRUPTED, USAGE
from optimizers.cli.history import add_history
from optimizers.cli.listing import add_list, add_show
from optimizers.cli.minimize import add_minimize
from optimizers.cli.reading import UsageError
from optimizers.cli.report import add_report
from optimizers.cli.resume import add_resume
from optimizers.cli.running import report
from optimizers.cli.watch import add_watch
from optimizers.errors import OptimizerError, words_of

_EXITED = (
    "SystemExit: a function of yours, or its file, called sys.exit, which does not end a run here"
)


def main(arguments: Sequence[str] | None = None, out: TextIO | None = None) -> int:
    """Run the command line; return its exit code.

    0: converged, 3: stopped before, 1: error, 2: cannot be done, 130: Ctrl-C.
    """
    out = out or sys.stdout
    parser = _parser()
    given = parser.parse_args(_glued(sys.argv[1:] if arguments is None else arguments))
    if [] in [value for name, value in vars(given).items() if name != "options"]:
        parser.error("-- is not the value of an option")  # argparse takes it for an empty list
    try:
        code: int = given.run(given, out)
        out.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        _show_error(error)
        result = getattr(error, "optimizer_result", None)
        if isinstance(error, OptimizerError) and result is None:
            return USAGE  # nothing was evaluated: what was asked for cannot be done
        if result is not None:
            report(result, None, out)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else ERROR
    return code


def _show_error(error: BaseException) -> None:
    """Print an error, with the lines of the user's own that led to it."""
    package = str(Path(__file__).parents[1]) + os.sep
    frames = traceback.extract_tb(error.__traceback__)
    user = [f for f in frames if not f.filename.startswith((package, "<"))]
    if user and not isinstance(error, OptimizerError):
        print("".join(traceback.format_list(user)), end="", file=sys.stderr)
    said = {KeyboardInterrupt: "KeyboardInterrupt: interrupted", SystemExit: _EXITED}
    said[UsageError] = str(error)
    print(f"error: {said.get(type(error)) or words_of(error)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m optimizers",
        description="Interchangeable minimizers: run one, go on with a run, list them, show what "
        "one can do.",
    )
    version = f"optimizers {__version__}"
    parser.add_argument("--version", action="version", version=version)
    shown = "{minimize,resume,history,report,watch,list,show}"
    commands = parser.add_subparsers(required=True, metavar=shown)

    for add in (add_minimize, add_resume, add_history, add_report, add_watch, add_list, add_show):
        add(commands)
    return parser


def _glued(arguments: Sequence[str]) -> list[str]:
    """Join ``--x0 -1,2`` to ``--x0=-1,2``: argparse takes such a value for an option."""
    glued: list[str] = []
    for argument in arguments:
        if glued and glued[-1] in ("--x0", "--bounds"):
            glued[-1] += "=" + argument
        else:
            glued.append(argument)
    return glued
