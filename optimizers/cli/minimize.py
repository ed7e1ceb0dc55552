"""The command ``minimize``: a run of the bundled problem, or of a function in a file."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from optimizers._types import Array
from optimizers.cli.configure import configured
from optimizers.cli.reading import (
    UsageError,
    read_bounds,
    read_function,
    read_jacobian,
    read_vector,
)
from optimizers.cli.running import add_run_arguments, check_picture, run
from optimizers.journal import Journal
from optimizers.optimizer import Optimizer
from optimizers.problems import h2
from optimizers.registry import find, made

#: What of a command line decides about the run.
_COMMAND = ("fun", "x0", "bounds", "jac", "optimizer", "options", "shots")


def add_minimize(commands: Any) -> None:
    """Add the command ``minimize``."""
    command = commands.add_parser(
        "minimize",
        help="minimize the H2 energy, or a function of yours",
        description="Minimize the energy of the H2 molecule (two qubits, 0.735 angstrom), or a "
        "function of yours. Exit code: 0 converged, 3 stopped by a budget or before "
        "convergence, 1 error, 2 nothing could be evaluated, 130 interrupted.",
    )
    command.add_argument("--fun", metavar="FILE.py:NAME", help="the objective; without it: H2")
    command.add_argument("--x0", metavar="1,2,...", help="the start; required with --fun")
    command.add_argument(
        "--bounds",
        metavar="LOW:HIGH,...",
        help="one pair for all variables or one for each; leave a side empty for no bound: 0:,-1:1",
    )
    command.add_argument(
        "--jac",
        metavar="FILE.py:NAME",
        help="the gradient: a function (NAME alone: from the file of --fun), 2-point, 3-point, "
        "cs, or 'true' when the objective returns both",
    )
    command.add_argument(
        "--optimizer", metavar="NAME", help="default: LBFGSB, with --shots NoisyLBFGSB"
    )
    command.add_argument("--shots", type=int, help="measure with so many shots: -o shots=...")
    command.add_argument(
        "--journal", metavar="FILE", help="record each evaluation there; see resume and history"
    )
    add_run_arguments(command, "an option or a setting of the run, such as maxfun=200")
    command.set_defaults(run=minimize, again=(), repeated=())


def minimize(given: argparse.Namespace, out: TextIO) -> int:
    """Minimize what a command line says, and return the exit code."""
    if given.shots is not None and given.shots < 1:
        raise UsageError(f"--shots {given.shots}: expected 1 or more.")
    name = given.optimizer or ("LBFGSB" if given.shots is None else "NoisyLBFGSB")
    kept = made(name).settings if ":" in name else None
    optimizer, settings = configured(find(name), given.options, kept)
    if given.shots is not None:
        settings["shots"] = given.shots
    check_picture(given.plot)
    fun, x0, jac, exact = _problem(given, optimizer, settings)
    bounds = None if given.bounds is None else read_bounds(given.bounds, x0.size)
    path = given.journal or settings.get("journal")
    if path is not None:
        settings["journal"] = Journal(path, notes={"command": _command(given)})
    if exact is not None:
        print(f"{fun!r}, {x0.size} parameters, {type(optimizer).__name__}", file=out)
    return run(given, out, optimizer, (fun, x0, jac, bounds), settings, exact)


def _command(given: argparse.Namespace) -> dict[str, Any]:
    """Return what a journal keeps of the command line, for ``resume`` from any folder."""
    command = {name: getattr(given, name) for name in _COMMAND}
    for name in ("fun", "jac"):
        path, colon, function = (command[name] or "").rpartition(":")
        if colon:
            command[name] = f"{Path(path).resolve()}:{function}"
    return command


def _problem(
    given: argparse.Namespace, optimizer: Optimizer, settings: dict[str, Any]
) -> tuple[Callable[..., Any], Array, Any, float | None]:
    """Return the objective, the start, the gradient, and the exact minimum if it is known."""
    if given.fun is None:
        molecule = h2(shots=settings.get("shots"), noise_seed=settings.get("seed"))
        x0 = molecule.x0 if given.x0 is None else read_vector(given.x0)
        if x0.size != molecule.x0.size:
            raise UsageError(
                f"--x0 {given.x0}: the H2 problem, which is that without --fun, has "
                f"{molecule.x0.size} variables."
            )
        jac = molecule.jac if given.jac is None and optimizer.is_gradient_required else given.jac
        return molecule, x0, read_jacobian(jac, None), molecule.ground_energy
    if given.x0 is None:
        raise UsageError("--fun needs a start: pass --x0 1,2,... with one number each.")
    jac = read_jacobian(given.jac, given.fun.rpartition(":")[0])
    return read_function(given.fun), read_vector(given.x0), jac, None
