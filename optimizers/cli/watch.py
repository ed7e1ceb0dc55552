"""The command ``watch``: a view of a run that is under way in another process."""

import argparse
import math
import time
from typing import Any, TextIO

import numpy as np

from optimizers._shown import number
from optimizers.cli.codes import CONVERGED
from optimizers.errors import MissingExtraError
from optimizers.journal import Recording, load
from optimizers.journal.header import heading_of, sign_of

#: How many of the latest evaluations are shown.
_SHOWN = 8
#: So many variables with names have a column each.
_VARIABLES = 6
#: The curve is at most so wide, and drawn by these; the latter where there is only ASCII.
_WIDTH = 60
_LEVELS, _ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"
#: On narrower terminals, only what matters most is shown.
_NARROW = 70


def add_watch(commands: Any) -> None:
    """Add the command ``watch``."""
    command = commands.add_parser(
        "watch",
        help="watch a run that is under way, by its journal",
        description="Watch a run that another process makes, until it ends. Ctrl-C ends the view "
        "and leaves the run alone.",
    )
    command.add_argument("journal", metavar="JOURNAL")
    command.add_argument("--once", action="store_true", help="show how far the run is, and exit")
    command.set_defaults(run=_watch)


def _watch(given: argparse.Namespace, out: TextIO) -> int:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError as error:
        raise MissingExtraError("watch needs rich: pip install rich.") from error
    console = Console(file=out)
    recording = load(given.journal)
    if given.once or _has_ended(recording):
        console.print(_view(recording, console.options))
        return CONVERGED
    try:
        with Live(_view(recording, console.options), console=console, auto_refresh=False) as live:
            while not _has_ended(recording):
                began = time.monotonic()
                recording = load(given.journal)
                live.update(_view(recording, console.options), refresh=True)
                # A long journal takes long to read: most of the time is the run's.
                time.sleep(max(0.5, 4 * (time.monotonic() - began)))
    except KeyboardInterrupt:
        console.print("The run goes on.")
    return CONVERGED


def _has_ended(recording: Recording) -> bool:
    return recording.is_finished or recording.error is not None


def _view(recording: Recording, options: Any) -> Any:
    """Return how far a run is, as rich shows it under these options of a console."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(recording).items():
        if value is not None:
            facts.add_row(Text(name, style="dim"), Text(value))
    header = recording.header
    levels = _ASCII if options.ascii_only else _LEVELS
    curve = _curve(recording.values, sign_of(header), levels, min(_WIDTH, options.max_width - 4))
    latest = _latest(recording, is_narrow=options.max_width < _NARROW)
    return Panel(Group(facts, Text(curve, style="cyan"), latest), title=Text(heading_of(header)))


def _facts(recording: Recording) -> dict[str, str | None]:
    """Return what is known of a run as a whole."""
    header, result, values = recording.header, recording.result, recording.values
    # The limit that many runs have together is not in the journal.
    maxfun = None if "many" in header else header["settings"].get("maxfun")
    is_under = maxfun is not None and len(values) <= maxfun  # or it was resumed with another one
    points = f"{len(values)} of {maxfun}" if is_under else str(len(values))
    shots = result.get("nshots")
    failed = sum(failure is not None for failure in recording.failures)
    workers = sorted({worker for worker in recording.workers if worker})
    state = "under way, or killed"
    if recording.error is not None:
        state = f"ended by an error: {recording.error}"
    elif recording.is_finished:
        state = f"ended: {result.stop.sentence}"
    seconds = _mean(recording.seconds)
    return {
        "state": state,
        "begun": header["created"],
        "points": points + (f", {failed} failed" if failed else ""),
        "shots": None if shots is None else f"{shots:.0f}",
        "iterations": str(len(recording.iterations)) if recording.iterations else None,
        "best f(x)": number(None if result.best is None else result.best.fun),
        "workers": ", ".join(workers) or None,
        "seconds a point": None if seconds is None else f"{seconds:.3g}",
    }


def _latest(recording: Recording, *, is_narrow: bool) -> Any:
    """Return a table of the latest evaluations."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    values, first = recording.values, max(0, len(recording.values) - _SHOWN)
    columns = {"eval": [str(i) for i in range(first + 1, len(values) + 1)]}
    columns["f(x)"] = [number(value) for value in values[first:]]
    if not is_narrow:
        columns["seconds"] = [f"{seconds:.3g}" for seconds in recording.seconds[first:]]
        if any(recording.workers):
            columns["worker"] = recording.workers[first:]
    points = _points(recording, first)
    latest = Table(box=box.SIMPLE, pad_edge=False)
    for name in columns | points:
        latest.add_column(name, no_wrap=name in columns)  # the others are cut first
    for row in zip(*columns.values(), *points.values(), strict=True):
        latest.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
    return latest


def _points(recording: Recording, first: int) -> dict[str, list[str]]:
    """Return columns with the points from a row on: one for each variable that has a name.

    Of many variables, the first and the last are shown.
    """
    points, names = recording.points[first:], recording.header["problem"].get("names")
    if names is None:
        rows = (np.array2string(x, precision=4, threshold=6, edgeitems=2) for x in points)
        return {"x": [row.replace("\n", "") for row in rows]}
    shown = range(len(names)) if len(names) <= _VARIABLES else (0, 1, None, -2, -1)
    return {
        "..." if i is None else names[i]: [
            "..." if i is None else f"{value:.5g}" for value in points[:, i or 0]
        ]
        for i in shown
    }


def _mean(seconds: Any) -> float | None:
    known = seconds[np.isfinite(seconds)]
    return float(known.mean()) if len(known) else None


def _curve(values: Any, sign: float, levels: str, width: int) -> str:
    """Return the best values so far as a line of bars, logarithmic where that suits."""
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    best = sign * np.minimum.accumulate(sign * known)
    best = best[np.linspace(0, len(best) - 1, min(width, len(best))).astype(int)]
    if sign > 0 and best.min() > 0 and best.max() > 100 * best.min():
        best = np.log(best)
    span = float(best.max() - best.min()) or math.inf
    ranks = ((best - best.min()) / span * (len(levels) - 1)).round().astype(int)
    return "".join(levels[rank] for rank in ranks)
