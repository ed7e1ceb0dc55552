"""What the commands that run an optimizer share: arguments, the run, and its report."""

import argparse
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from optimizers.cli.codes import CONVERGED, STOPPED
from optimizers.cli.reading import UsageError
from optimizers.optimizer import Optimizer
from optimizers.plots import check_matplotlib, plot_convergence
from optimizers.result import OptimizerResult, replayed_words
from optimizers.run.observers import History, Table


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
    command.add_argument("--plot", metavar="FILE.png", help="draw the run (extra: plot)")
    command.add_argument("--quiet", action="store_true", help="no table of iterations")


def check_picture(path: str | None) -> None:
    """Raise an error now if the picture could not be kept after the run."""
    if path is None:
        return
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--plot {path}: name a file that ends in .png, .pdf or .svg.")
    if not Path(path).resolve().parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {Path(path).parent}.")
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
    history, table = History(), None if given.quiet else Table(file=out)

    def callback(intermediate_result: OptimizerResult) -> None:
        history(intermediate_result)
        if table is not None:
            table(intermediate_result)

    if table is not None or given.plot is not None:
        settings["callback"] = callback
    result = optimizer.minimize(*problem, **settings)
    report(result, exact, out)
    if given.plot is not None:
        plot_convergence(history).figure.savefig(given.plot)
    return CONVERGED if result.success else STOPPED


def report(result: OptimizerResult, exact: float | None, out: TextIO) -> None:
    """Print how a run ended, and what it found."""
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
