"""What the commands that run an optimizer share: arguments, the run, and its report."""

import argparse
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from optimizers._words import adds_to, replayed_words
from optimizers.cli.codes import CONVERGED, STOPPED, is_closed_pipe, show_error
from optimizers.cli.layout import vector
from optimizers.cli.parser import program
from optimizers.cli.reading import UsageError
from optimizers.journal.journal import as_journal
from optimizers.optimizer import Optimizer
from optimizers.plots import check_matplotlib, convergence
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.observers import History, Table

#: What ends a run that can go on from its journal.
_CONTINUED = (
    *(reason for reason in StopReason if reason.is_budget),
    *(StopReason.INTERRUPTED, StopReason.FAILED),
)


#: The counts of limits that are doubled to continue, if a limit was not named.
_DOUBLED = {StopReason.MAXITER: "nit", StopReason.MAXSHOTS: "nshots", StopReason.MAXJOBS: "njobs"}


def add_run_arguments(command: argparse.ArgumentParser, options: str) -> None:
    """Add what both commands that run an optimizer take."""
    command.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"{options}; may be repeated",
    )
    command.add_argument(
        "--plot",
        metavar="FILE.png",
        help="draw how the values fell, as .png, .pdf or .svg (extra: plot)",
    )
    command.add_argument("--quiet", action="store_true", help="do not print the iterations")


def add_plot(command: argparse.ArgumentParser) -> None:
    """Add the argument for a picture."""
    command.add_argument(
        "--plot",
        metavar="FILE.png",
        help="draw the values, as .png, .pdf or .svg (needs matplotlib)",
    )


def check_picture(path: str | None) -> None:
    """Raise an error now if the picture could not be kept after the run."""
    if path is None:
        return
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--plot {path}: name a file that ends in .png, .pdf or .svg.")
    if not Path(path).resolve().parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {Path(path).parent}.")
    if Path(path).is_dir():
        raise UsageError(f"--plot {path}: it is a folder, name a file.")
    check_matplotlib()


def run(
    given: argparse.Namespace,
    out: TextIO,
    optimizer: Optimizer,
    problem: tuple[Any, ...],
    settings: dict[str, Any],
    exact: float | None = None,
) -> int:
    """Minimize, show the iterations and the result, and return the exit code."""
    history = History()
    shown = [] if given.quiet else [Table(file=out)]
    settings["callback"] = [*shown, history] if given.plot else shown or None
    journal = as_journal(settings.get("journal"))
    try:
        result = optimizer.minimize(*problem, **settings)
        code = CONVERGED if result.success else STOPPED
    except BaseException as error:
        so_far = getattr(error, "optimizer_result", None)
        if so_far is None or is_closed_pipe(error):
            raise
        result, code = so_far, show_error(error)
    report(result, exact, out)
    if given.plot is not None and history.evaluations:
        convergence(history).savefig(given.plot)
    if journal is not None and result.stop in _CONTINUED:
        effective = {**optimizer.settings, **settings}
        print(f"To continue: {_to_continue(journal.path, given, result, effective)}", file=out)
    return code


def _to_continue(
    path: str, given: argparse.Namespace, result: OptimizerResult, settings: Mapping[str, Any]
) -> str:
    """Return the command that continues a run: with twice the budget, if one ended it."""
    options = dict(text.split("=", 1) for text in given.repeated)
    if result.stop is StopReason.MAXFUN:
        limits = {name: settings[name] for name in ("maxfun", "maxfev") if settings.get(name)}
        name = min(limits, key=lambda one: limits[one], default="maxfun")
        options[name] = str(2 * limits.get(name, result.nfev))
    elif result.stop in _DOUBLED:
        name = result.stop.value
        options[name] = str(2 * (settings.get(name) or result[_DOUBLED[result.stop]]))
    further = [word for name in options for word in ("-o", f"{name}={options[name]}")]
    return f"{program(sys.argv[0])} {shlex.join(['resume', path, *given.again, *further])}"


def report(result: OptimizerResult, exact: float | None, out: TextIO) -> None:
    """Print how a run ended, and what it found."""
    verdict = "Converged" if result.success else "Stopped before convergence"
    points = f"{result.nfev} points{replayed_words(result)}"
    facts = {
        "message": result.message if adds_to(result.stop.sentence, result.message) else None,
        "f(x)": None if result.fun is None else repr(result.fun),
        "exact": None,
        "x": vector(result.x, 13),
        "iterations": result.nit,
        "evaluated": f"{points}, {result.njev} gradients",
        "shots": result.get("nshots"),
        "jobs": result.get("njobs"),
        "time": f"{result.elapsed:.3g} s",
    }
    if exact is not None and result.fun is not None:
        facts["exact"] = f"{exact!r} (error {result.fun - exact:.2e})"
    print(f"{verdict}: {result.stop.sentence}.", file=out)
    for name, value in facts.items():
        if value is not None:
            print(f"  {name:<10} {value}", file=out)
