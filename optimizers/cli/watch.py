"""The command ``watch``: a view of a run that is under way in another process."""

import argparse
import math
import time
from typing import Any, TextIO

import numpy as np

from optimizers._shown import number
from optimizers.errors import MissingExtraError
from optimizers.journal import Recording, load
from optimizers.journal.header import sign_of

#: How many of the latest evaluations are shown, and how wide the curve is.
_SHOWN, _WIDTH = 8, 60
_LEVELS = "▁▂▃▄▅▆▇█"


def add_watch(commands: Any) -> None:
    """Add the command ``watch``."""
    view = commands.add_parser(
        "watch",
        help="a view of a run under way, by its journal",
        description="Show a run that another process is making, until it ends; Ctrl-C leaves it "
        "alone.",
    )
    view.add_argument("journal", metavar="JOURNAL")
    view.add_argument("--once", action="store_true", help="show how far it is, and end")
    view.set_defaults(run=_watch)


def _watch(given: argparse.Namespace, out: TextIO) -> int:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError as error:
        raise MissingExtraError("watch needs rich: pip install rich.") from error
    console = Console(file=out)
    recording = load(given.journal)
    if given.once or _has_ended(recording):
        console.print(_view(recording))
        return 0
    try:
        with Live(_view(recording), console=console, auto_refresh=False) as live:
            while not _has_ended(recording):
                began = time.monotonic()
                recording = load(given.journal)
                live.update(_view(recording), refresh=True)
                # A long journal takes long to read: most of the time is the run's.
                time.sleep(max(0.5, 4 * (time.monotonic() - began)))
    except KeyboardInterrupt:
        console.print("The run goes on.")
    return 0


def _has_ended(recording: Recording) -> bool:
    return recording.is_finished or recording.error is not None


def _view(recording: Recording) -> Any:
    """Return how far a run is, as rich shows it."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    header, result, values = recording.header, recording.result, recording.values
    facts = Table.grid(padding=(0, 2))
    maxfun = header["settings"].get("maxfun")
    points = f"{len(values)} of {maxfun}" if maxfun else str(len(values))
    failed = sum(failure is not None for failure in recording.failures)
    workers = sorted({worker for worker in recording.workers if worker})
    state = "under way, or killed"
    if recording.error is not None:
        state = f"ended by an error: {recording.error}"
    elif recording.is_finished:
        state = f"ended: {result.stop.sentence}"
    best = None if result.best is None else result.best.fun
    for name, value in (
        ("state", state),
        ("begun", header["created"]),
        ("points", points + (f", {failed} failed" if failed else "")),
        ("best f(x)", number(best)),
        ("workers", ", ".join(workers) or None),
        ("seconds a point", number(_mean(recording.seconds))),
    ):
        if value is not None:
            facts.add_row(Text(name, style="dim"), Text(str(value)))
    latest = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("evaluation", "f(x)", "seconds", "worker", "x"):
        latest.add_column(column, no_wrap=True)
    first = max(0, len(values) - _SHOWN)
    rows = zip(values, recording.seconds, recording.workers, recording.points, strict=True)
    for i, (value, seconds, worker, x) in enumerate(list(rows)[first:], first + 1):
        shown = np.array2string(x, precision=4, threshold=6, edgeitems=2).replace("\n", "")
        latest.add_row(*map(Text, (str(i), number(value), f"{seconds:.3g}", worker, shown)))
    many = header.get("many", {}).get("function")
    title = f"{many}: {header['optimizer']}" if many else header["optimizer"]
    return Panel(
        Group(facts, Text(_curve(values, sign_of(header)), style="cyan"), latest), title=Text(title)
    )


def _mean(seconds: Any) -> float | None:
    known = seconds[np.isfinite(seconds)]
    return float(known.mean()) if len(known) else None


def _curve(values: Any, sign: float) -> str:
    """Return the best values so far as a line of bars, logarithmic where that suits."""
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    best = sign * np.minimum.accumulate(sign * known)
    best = best[np.linspace(0, len(best) - 1, min(_WIDTH, len(best))).astype(int)]
    if sign > 0 and best.min() > 0 and best.max() > 100 * best.min():
        best = np.log(best)
    span = float(best.max() - best.min()) or math.inf
    levels = ((best - best.min()) / span * (len(_LEVELS) - 1)).round().astype(int)
    return "".join(_LEVELS[level] for level in levels)
