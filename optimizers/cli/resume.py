"""The command ``resume``: a run goes on from its journal."""

import argparse
import sys
from pathlib import Path
from typing import Any, TextIO

from optimizers.cli.minimize import minimize
from optimizers.cli.reading import UsageError, read_function, read_jacobian, read_option
from optimizers.cli.rebuild import rebuilt
from optimizers.cli.running import add_run_arguments, check_picture, run
from optimizers.errors import OptimizerError
from optimizers.evaluation.marks import residuals
from optimizers.journal import load
from optimizers.journal.header import bounds_of, start_of

#: Options that limit a run.
_LIMITS = ("maxfun", "maxfev", "maxiter", "timeout")


def add_resume(commands: Any) -> None:
    """Add the command ``resume``."""
    again = commands.add_parser(
        "resume",
        help="go on with a run that has a journal",
        description="Go on with a run from its journal: what is recorded is not evaluated again. "
        "It runs the code of the file that the journal names, and asks before that if the file is "
        "not under the current folder. Exit codes are those of minimize.",
    )
    again.add_argument("journal", metavar="JOURNAL")
    again.add_argument("--fun", metavar="FILE.py:NAME", help="the objective, if it moved")
    again.add_argument("--jac", metavar="FILE.py:NAME", help="the gradient, if it moved")
    again.add_argument(
        "--yes", action="store_true", help="run what the journal names, wherever it is"
    )
    add_run_arguments(again, "another budget, such as maxfun=400")
    again.set_defaults(run=_resume)


def _resume(given: argparse.Namespace, out: TextIO) -> int:
    recording = load(given.journal)
    header = recording.header
    if "many" in header:
        called = header["many"].get("function")
        raise UsageError(
            f"{given.journal} has many runs: call {called} in Python again, with it as journal, "
            "and they go on."
        )
    command = header.get("notes", {}).get("command")
    if command is not None:
        kept = command["options"]
        if recording.is_finished and recording.result.success:
            # It may have gone on with a larger budget than that of its first start.
            kept = [text for text in kept if text.partition("=")[0] not in _LIMITS]
        options = [*kept, *given.options]
        named = {"fun": given.fun or command["fun"], "jac": given.jac or command["jac"]}
        _consent(given, named)
        return minimize(
            argparse.Namespace(**{**command, **vars(given), **named, "options": options}), out
        )
    try:
        optimizer, jac = rebuilt(header)
        fun = given.fun or header["functions"]["fun"]
        if fun is None:
            raise UsageError(
                "The journal does not know the objective, which is not a function at the top of a "
                "file: name one by --fun file.py:name, or run the same call in Python again."
            )
        named = {"fun": fun}
        if header["problem"]["jac"] == "function":
            named["jac"] = given.jac or header["functions"]["jac"]
        _consent(given, named)
        if "jac" in named:
            jac = read_jacobian(named["jac"], fun.rpartition(":")[0])
            if jac is None:
                raise UsageError("The run had a gradient: name it by --jac file.py:name.")
        settings = dict(read_option(text) for text in given.options)
        settings["journal"] = given.journal
        objective, loss = read_function(fun), header["problem"].get("residuals")
        if loss is not None and isinstance(loss["rho"], str):
            objective = residuals(objective, loss["rho"], loss["f_scale"])
        problem = objective, start_of(header), jac, bounds_of(header)
        check_picture(given.plot)
    except (OptimizerError, ValueError) as error:
        raise UsageError(str(error)) from error
    return run(given, out, optimizer, problem, settings)


def _consent(given: argparse.Namespace, named: dict[str, str | None]) -> None:
    """Say which code runs that a journal names; ask where it is not under this folder."""
    for option, reference in named.items():
        path = (reference or "").rpartition(":")[0]
        if not path or getattr(given, option) is not None:  # none, or it was typed here
            continue
        print(f"running {reference}, which the journal names", file=sys.stderr)
        if given.yes or Path(path).resolve().is_relative_to(Path.cwd()):
            continue
        print("it is not under the current folder: run it? [y/N] ", end="", file=sys.stderr)
        try:
            answer = input()
        except (EOFError, OSError):  # nobody is there to answer
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            raise UsageError(
                f"{path} is not under the current folder, and its code was not run: name the "
                f"function by --{option} if you trust it, or pass --yes."
            )
