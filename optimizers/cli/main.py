"""The command line: what is typed goes to its command, and errors are said in one line."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from optimizers._version import __version__
from optimizers.cli.check import add_check
from optimizers.cli.codes import ERROR, USAGE, is_closed_pipe, show_error
from optimizers.cli.history import add_history
from optimizers.cli.listing import add_list, add_show
from optimizers.cli.minimize import add_minimize
from optimizers.cli.parser import Parser, parsed, program
from optimizers.cli.report import add_report
from optimizers.cli.resume import add_resume
from optimizers.cli.watch import add_watch
from optimizers.errors import OptimizerError, OptimizerWarning

#: The commands, in the order of the help. Each has a module, with a function that adds it.
_COMMANDS = (
    *(add_minimize, add_resume, add_history, add_report, add_watch),
    *(add_list, add_show, add_check),
)


def main(arguments: Sequence[str] | None = None, out: TextIO | None = None) -> int:
    """Run the command line; return its exit code.

    0: converged, or done; 1: an error; 2: what was asked for cannot be done; 3: stopped before
    convergence; 130: Ctrl-C.
    """
    if out is None and sys.stdout is None:  # it was closed
        with open(os.devnull, "w") as nowhere:
            return main(arguments, nowhere)
    out = out or sys.stdout
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = _ran(sys.argv[1:] if arguments is None else arguments, out)
        out.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    return code


def _ran(arguments: Sequence[str], out: TextIO) -> int:
    """Run a command, and return its exit code; print what went wrong."""
    parser, commands = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        given = parsed(parser, commands, arguments)
    except SystemExit:  # of --help and --version
        return 0
    except OptimizerError as error:
        return show_error(error)
    try:
        code: int = given.run(given, out)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if is_closed_pipe(error):
            raise
        return show_error(error)
    return code


def _parser() -> tuple[Parser, Any]:
    """Return the parser, and what has the parsers of the commands by name."""
    parser = Parser(
        prog=program(sys.argv[0]),
        description="Minimize a function by any of the optimizers, continue a recorded run, look "
        "at it, and look up what each optimizer can do.",
    )
    parser.add_argument("--version", action="version", version=f"optimizers {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return parser, commands


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning: one of this package without the line of its code that it comes from."""
    text = f"warning: {message}\n"
    if not issubclass(category, OptimizerWarning):
        text = warnings.formatwarning(message, category, filename, lineno, line)
    print(text, end="", file=file or sys.stderr)
