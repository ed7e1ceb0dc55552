"""The command ``resume``: a run continues from its journal."""

import argparse
import sys
from pathlib import Path
from typing import Any, TextIO

from optimizers.cli.minimize import minimize
from optimizers.cli.reading import UsageError, read_function, read_jacobian
from optimizers.cli.rebuild import rebuilt
from optimizers.cli.running import add_run_arguments, check_picture, run
from optimizers.evaluation.marks import residuals, shots
from optimizers.journal import Recording, load
from optimizers.journal.header import bounds_of, start_of

#: Options that limit a run.
_LIMITS = ("maxfun", "maxfev", "maxiter", "maxshots", "maxjobs", "timeout")


def add_resume(commands: Any) -> None:
    """Add the command ``resume``."""
    command = commands.add_parser(
        "resume",
        help="continue a run from its journal",
        description="Continue a run from its journal: what is recorded is not evaluated again. "
        "This runs the code of the file that the journal names, and asks first if that file is "
        "not under the current folder. The exit codes are those of minimize.",
    )
    command.add_argument("journal", metavar="JOURNAL")
    command.add_argument("--fun", metavar="FILE.py:NAME", help="the objective, if it has moved")
    command.add_argument("--jac", metavar="FILE.py:NAME", help="the gradient, if it has moved")
    command.add_argument(
        "--yes", action="store_true", help="run the code that the journal names without asking"
    )
    add_run_arguments(command, "another budget, such as maxfun=400")
    command.set_defaults(run=_resume)


def _resume(given: argparse.Namespace, out: TextIO) -> int:
    recording = load(given.journal)
    many, command = (recording.header.get(key, {}) for key in ("many", "notes"))
    if many:
        raise UsageError(
            f"{given.journal} has many runs: to continue them, call {many.get('function')} in "
            "Python again with this journal."
        )
    # What the next resume has to be told again.
    typed = [f"--{name}={getattr(given, name)}" for name in ("fun", "jac") if getattr(given, name)]
    given.again, given.repeated = [*typed, *["--yes"] * given.yes], given.options
    if "command" in command:
        return _resume_command(given, out, recording, command["command"])
    return _resume_call(given, out, recording.header)


def _resume_command(
    given: argparse.Namespace, out: TextIO, recording: Recording, command: dict[str, Any]
) -> int:
    """Continue a run that a command line began."""
    kept = command["options"]
    if recording.is_finished and recording.result.success:
        # It may have gone on with a larger budget than that of its first start.
        kept = [text for text in kept if text.partition("=")[0] not in _LIMITS]
    named = {"fun": given.fun or command["fun"], "jac": given.jac or command["jac"]}
    _consent(given, named)
    options = [*kept, *given.options]
    return minimize(
        argparse.Namespace(**{**command, **vars(given), **named, "options": options}), out
    )


def _resume_call(given: argparse.Namespace, out: TextIO, header: dict[str, Any]) -> int:
    """Continue a run that a call in Python began."""
    optimizer, jac, settings = rebuilt(header, given.options)
    check_picture(given.plot)
    fun = given.fun or header["functions"]["fun"]
    if fun is None:
        raise UsageError(
            "The journal does not name the objective, which is not a function at the top of a "
            "file: name it by --fun file.py:name, or run the same call in Python again."
        )
    named = {"fun": fun}
    if header["problem"]["jac"] == "function":
        named["jac"] = given.jac or header["functions"]["jac"]
    _consent(given, named)
    if "jac" in named:
        jac = read_jacobian(named["jac"], fun.rpartition(":")[0])
        if jac is None:
            raise UsageError("The run had a gradient: name it by --jac file.py:name.")
    objective, loss = read_function(fun), header["problem"].get("residuals")
    if loss is not None and isinstance(loss["rho"], str):
        objective = residuals(objective, loss["rho"], loss["f_scale"])
    if "shots" in header["problem"]:
        objective = shots(objective)
    problem = objective, start_of(header), jac, bounds_of(header)
    return run(given, out, optimizer, problem, {**settings, "journal": given.journal})


def _consent(given: argparse.Namespace, named: dict[str, str | None]) -> None:
    """Say which code runs that a journal names; ask where it is not under this folder."""
    for option, reference in named.items():
        path = (reference or "").rpartition(":")[0]
        if not path or getattr(given, option) is not None:  # none, or it was typed here
            continue
        print(f"Running {reference}, which the journal names.", file=sys.stderr)
        if given.yes or Path(path).resolve().is_relative_to(Path.cwd()):
            continue
        print("It is not under the current folder. Run it? [y/N] ", end="", file=sys.stderr)
        try:
            answer = input()
        except (EOFError, OSError):  # nobody is there to answer
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            raise UsageError(
                f"{path} is not under the current folder, and its code was not run: if you trust "
                f"it, name the function by --{option}, or pass --yes."
            )
