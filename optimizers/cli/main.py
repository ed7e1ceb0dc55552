"""The command line: minimize a problem, go on from a journal, list and show the optimizers."""

import argparse
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from optimizers._types import Array
from optimizers._version import __version__
from optimizers.cli.history import write_csv, write_table
from optimizers.cli.reading import (
    UsageError,
    read_bounds,
    read_function,
    read_jacobian,
    read_option,
    read_vector,
)
from optimizers.cli.resume import rebuilt
from optimizers.cli.seeing import add_seeing
from optimizers.describe import capability_table, option_table
from optimizers.errors import OptimizerError, words_of
from optimizers.evaluation.marks import residuals
from optimizers.journal import Journal, load
from optimizers.journal.header import bounds_of, start_of
from optimizers.optimizer import Optimizer
from optimizers.options.settings import RUN_SETTINGS, check_run_settings
from optimizers.plots import check_matplotlib, plot_convergence
from optimizers.problems import h2
from optimizers.registry import find
from optimizers.result import OptimizerResult, replayed_words
from optimizers.run.observers import History, Table
from optimizers.support import CAPABILITIES, TRAITS, SupportLevel

#: What of a command line decides about the run.
_COMMAND = ("fun", "x0", "bounds", "jac", "optimizer", "options", "shots")
_EXITED = (
    "SystemExit: a function of yours, or its file, called sys.exit, which does not end a run here"
)
#: Options that limit a run.
_LIMITS = ("maxfun", "maxfev", "maxiter", "timeout")
CONVERGED, ERROR, USAGE, STOPPED = 0, 1, 2, 3  # 2 is what argparse itself exits with
INTERRUPTED = 130  # what shells report for Ctrl-C


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
            _report(result, None, out)
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

    run = commands.add_parser(
        "minimize",
        help="minimize the H2 energy, or a function of yours",
        description="Minimize the energy of the H2 molecule (two qubits, 0.735 angstrom), or a "
        "function of yours. Exit code: 0 converged, 3 stopped by a budget or before "
        "convergence, 1 error, 2 nothing could be evaluated, 130 interrupted.",
    )
    run.add_argument("--fun", metavar="FILE.py:NAME", help="the objective; without it: H2")
    run.add_argument("--x0", metavar="1,2,…", help="the start; required with --fun")
    run.add_argument(
        "--bounds",
        metavar="LOW:HIGH,…",
        help="one pair for all variables or one for each; leave a side empty for no bound: 0:,-1:1",
    )
    run.add_argument(
        "--jac",
        metavar="FILE.py:NAME",
        help="the gradient: a function (NAME alone: from the file of --fun), 2-point, 3-point, "
        "cs, or 'true' when the objective returns both",
    )
    run.add_argument(
        "--optimizer", metavar="NAME", help="default: LBFGSB, with --shots NoisyLBFGSB"
    )
    run.add_argument("--shots", type=int, help="H2 only: measure with so many shots")
    run.add_argument(
        "--journal", metavar="FILE", help="record each evaluation there; see resume and history"
    )
    _add_run_arguments(run, "an option or a setting of the run, such as maxfun=200")
    run.set_defaults(run=_minimize)

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
    _add_run_arguments(again, "another budget, such as maxfun=400")
    again.set_defaults(run=_resume)

    past = commands.add_parser("history", help="what a journal has recorded")
    past.add_argument("journal", metavar="JOURNAL")
    past.add_argument("--csv", action="store_true", help="as comma-separated values")
    past.set_defaults(run=_history)

    add_seeing(commands)

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

    show = commands.add_parser("show", help="an optimizer's options")
    show.add_argument("optimizer", metavar="NAME")
    show.set_defaults(run=_show)
    return parser


def _add_run_arguments(command: argparse.ArgumentParser, options: str) -> None:
    """Add what both commands that run an optimizer take."""
    command.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"{options}; may be repeated",
    )
    command.add_argument("--plot", metavar="FILE.png", help="draw the run (extra: plot)")
    command.add_argument("--quiet", action="store_true", help="no table of iterations")


def _glued(arguments: Sequence[str]) -> list[str]:
    """Join ``--x0 -1,2`` to ``--x0=-1,2``: argparse takes such a value for an option."""
    glued: list[str] = []
    for argument in arguments:
        if glued and glued[-1] in ("--x0", "--bounds"):
            glued[-1] += "=" + argument
        else:
            glued.append(argument)
    return glued


def _minimize(given: argparse.Namespace, out: TextIO) -> int:
    try:
        optimizer, settings = _configured(given)
        fun, x0, jac, exact = _problem(given, optimizer, settings)
        bounds = None if given.bounds is None else read_bounds(given.bounds, x0.size)
        _check_picture(given.plot)
        path = given.journal or settings.get("journal")
        if path is not None:
            settings["journal"] = Journal(path, notes={"command": _command(given)})
    except (OptimizerError, ValueError) as error:
        raise UsageError(str(error)) from error
    if exact is not None:
        print(f"{fun!r}, {x0.size} parameters, {type(optimizer).__name__}", file=out)
    return _run(given, out, optimizer, (fun, x0, jac, bounds), settings, exact)


def _run(
    given: argparse.Namespace,
    out: TextIO,
    optimizer: Optimizer,
    problem: tuple[Any, ...],
    settings: dict[str, Any],
    exact: float | None = None,
) -> int:
    """Minimize, show the iterations and the result, and return the exit code."""
    history, table = History(), None if given.quiet else Table(file=out)

    def callback(intermediate_result: OptimizerResult) -> None:
        history(intermediate_result)
        if table is not None:
            table(intermediate_result)

    if table is not None or given.plot is not None:
        settings["callback"] = callback
    result = optimizer.minimize(*problem, **settings)
    _report(result, exact, out)
    if given.plot is not None:
        plot_convergence(history).figure.savefig(given.plot)
    return CONVERGED if result.success else STOPPED


def _command(given: argparse.Namespace) -> dict[str, Any]:
    """Return what a journal keeps of the command line, for ``resume`` from any folder."""
    command = {name: getattr(given, name) for name in _COMMAND}
    for name in ("fun", "jac"):
        path, colon, function = (command[name] or "").rpartition(":")
        if colon:
            command[name] = f"{Path(path).resolve()}:{function}"
    return command


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
        return _minimize(
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
        _check_picture(given.plot)
    except (OptimizerError, ValueError) as error:
        raise UsageError(str(error)) from error
    return _run(given, out, optimizer, problem, settings)


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


def _history(given: argparse.Namespace, out: TextIO) -> int:
    (write_csv if given.csv else write_table)(load(given.journal), out)
    return CONVERGED


def _check_picture(path: str | None) -> None:
    """Raise an error now if the picture could not be kept after the run."""
    if path is None:
        return
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--plot {path}: name a file that ends in .png, .pdf or .svg.")
    if not Path(path).resolve().parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {Path(path).parent}.")
    check_matplotlib()


def _configured(given: argparse.Namespace) -> tuple[Optimizer, dict[str, Any]]:
    """Return the optimizer, and the settings of the run among the options."""
    cls = find(given.optimizer or ("LBFGSB" if given.shots is None else "NoisyLBFGSB"))
    options = dict(read_option(text) for text in given.options)
    settings = {name: options.pop(name) for name in RUN_SETTINGS if name in options}
    check_run_settings(cls.__name__, settings)
    named = (*inspect.signature(cls).parameters, "tol")
    arguments = {name: options.pop(name) for name in list(options) if name in named}
    if options:
        arguments["options"] = options
    return cls(**arguments), settings


def _problem(
    given: argparse.Namespace, optimizer: Optimizer, settings: dict[str, Any]
) -> tuple[Callable[..., Any], Array, Any, float | None]:
    """Return the objective, the start, the gradient, and the exact minimum if it is known."""
    if given.fun is None:
        molecule = h2(shots=given.shots, noise_seed=settings.get("seed"))
        x0 = molecule.x0 if given.x0 is None else read_vector(given.x0)
        if x0.size != molecule.x0.size:
            raise UsageError(
                f"--x0 {given.x0}: the H2 problem, which is that without --fun, has "
                f"{molecule.x0.size} variables."
            )
        jac = molecule.jac if given.jac is None and optimizer.is_gradient_required else given.jac
        return molecule, x0, read_jacobian(jac, None), molecule.ground_energy
    if given.x0 is None:
        raise UsageError("--fun needs a start: pass --x0 1,2,… with one number each.")
    if given.shots is not None:
        raise UsageError("--shots goes with the bundled H2 problem, not with --fun.")
    jac = read_jacobian(given.jac, given.fun.rpartition(":")[0])
    return read_function(given.fun), read_vector(given.x0), jac, None


def _report(result: OptimizerResult, exact: float | None, out: TextIO) -> None:
    verdict = "Converged" if result.success else "Stopped before convergence"
    print(f"{verdict}: {result.stop.sentence}.", file=out)
    print(f"  message    {result.message}", file=out)
    if result.fun is not None:
        print(f"  f(x)       {result.fun!r}", file=out)
    if exact is not None and result.fun is not None:
        print(f"  exact      {exact!r} (error {result.fun - exact:.2e})", file=out)
    print(f"  x          {np.array2string(result.x, precision=8, threshold=20)}", file=out)
    print(f"  iterations {result.nit}", file=out)
    points = f"{result.nfev} points{replayed_words(result)}"
    print(f"  evaluated  {points}, {result.njev} gradients", file=out)
    print(f"  time       {result.elapsed:.3g} s", file=out)


def _list(given: argparse.Namespace, out: TextIO) -> int:
    wanted = {what: getattr(given, what) for what in (*CAPABILITIES, *TRAITS)}
    print(capability_table(**wanted), file=out)
    return CONVERGED


def _show(given: argparse.Namespace, out: TextIO) -> int:
    print(option_table(find(given.optimizer)), file=out)
    return CONVERGED
