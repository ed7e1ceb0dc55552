"""The command ``history``: what is in a journal, as text, as values for a spreadsheet, drawn."""

import argparse
import csv
import textwrap
from collections import deque
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np

from optimizers.cli.codes import CONVERGED
from optimizers.cli.layout import width, wrapped
from optimizers.cli.reading import UsageError
from optimizers.cli.running import add_plot, check_picture
from optimizers.journal import Recording, load
from optimizers.journal.header import heading_of, sign_of, title_of
from optimizers.journal.records import RUN_BITS, Record
from optimizers.plots import convergence

#: The least width of a point in a table.
_POINT = 20


def add_history(commands: Any) -> None:
    """Add the command ``history``."""
    command = commands.add_parser(
        "history",
        help="show what a journal has recorded",
        description="Show what a journal has recorded: a line for each iteration, or for each of "
        "many runs.",
    )
    command.add_argument("journal", metavar="JOURNAL")
    command.add_argument(
        "--all", action="store_true", help="a line for every evaluation, probes of gradients too"
    )
    command.add_argument(
        "--csv", action="store_true", help="every evaluation, as comma-separated values"
    )
    add_plot(command)
    command.set_defaults(run=_history)


def _history(given: argparse.Namespace, out: TextIO) -> int:
    check_picture(given.plot)
    recording = load(given.journal)
    if given.plot is not None:
        if not len(recording.values):
            raise UsageError(f"--plot: {given.journal} has no evaluations to draw.")
        convergence(recording).savefig(given.plot)
    if given.csv:
        write_csv(recording, out)
    else:
        write_table(recording, out, with_all=given.all)
    return CONVERGED


def write_table(recording: Recording, file: TextIO, *, with_all: bool = False) -> None:
    """Write what the run is, a line for each iteration, run or evaluation, and how it ended."""
    header = recording.header
    n = header["problem"]["n"]
    many, words = header.get("many"), f"{n} variable{'s' * (n != 1)}, begun {header['created']}"
    print(wrapped(f"{heading_of(header)}, {words}", 2), file=file)
    if with_all:
        rows = _evaluations(recording)
    elif many:
        rows = _runs(recording, list(many.get("optimizers") or [title_of(header)]))
    elif recording.iterations or not recording.records:
        rows = _iterations(recording)
    else:
        print("No iterations are recorded: these are all evaluations.", file=file)
        rows = _evaluations(recording)
    for row in rows:
        print(row, file=file)
    print(_end(recording), file=file)


def _end(recording: Recording) -> str:
    """Return how a run ended, and what it found, in words."""
    result = recording.result
    words = f"Ended: {result.stop.sentence}." if recording.is_finished else "Not ended."
    if recording.error is not None:
        words = f"Ended by an error: {recording.error}"
    best = "" if result.best is None else f", best f(x) = {result.best.fun!r}"
    count = sum(failure is not None for failure in recording.failures)
    failed = f", {count} failed" if count else ""
    return f"{words}\n{result.nfev} points{failed}, {result.njev} gradients{best}"


def _iterations(recording: Recording) -> Iterator[str]:
    """Yield the lines that were printed while the run was made, but for the gradients."""
    yield f"{'iter':>5} {'evals':>8} {'f(x)':>15} {'best f(x)':>15}"
    for one in recording.iterations:
        value = _digits(one.fun, "~" if one.is_estimate else "")
        yield f"{one.number:>5} {one.nfev:>8} {value:>15} {_digits(one.best):>15}"


def _digits(value: float | None, mark: str = "") -> str:
    return "-" if value is None else f"{mark}{value:.10g}"


def _runs(recording: Recording, named: list[str]) -> Iterator[str]:
    """Yield a line for each of many runs."""
    sign, runs = sign_of(recording.header), dict[int, list[Record]]()
    for record in recording.records:
        runs.setdefault(record.run, []).append(record)
    names = {run: named[run if len(named) > 1 else 0] for run in runs}
    size = max([9, *map(len, names.values())])
    yield f"{'run':>5} {'optimizer':<{size}} {'evals':>8} {'failed':>8} {'best f(x)':>15}"
    for run, records in sorted(runs.items()):
        values = [r.fun for r in records if isinstance(r.fun, float) and np.isfinite(r.fun)]
        best = _digits(sign * min(values) if values else None)
        count = sum(record.kind in ("fun", "both") for record in records)
        failed = sum(record.failure is not None for record in records)
        yield f"{run:>5} {names[run]:<{size}} {count:>8} {failed:>8} {best:>15}"


def _evaluations(recording: Recording) -> Iterator[str]:
    """Yield a line for each evaluation as it arrived; an iterate has its iteration's number."""
    header, sign = recording.header, sign_of(recording.header)
    iterations, n = _iterates(recording), header["problem"]["n"]
    has_workers = any(record.worker for record in recording.records)
    worker = f" {'worker':<20}" if has_workers else ""
    head = f"{'':>6} {'iter':>5} {'kind':<5} {'f(x)':>22} {'seconds':>9}{worker} "
    yield head + _cut(" ".join(header["problem"].get("names") or ["x"]), head)
    for i, record in enumerate(recording.records):
        own = record.seq % 2**RUN_BITS
        number = f"{record.run}:{own}" if "many" in header else f"{own}"
        kind = "late" if record.is_late else "probe" if record.is_probe else record.kind
        seconds = "" if record.seconds is None else f"{record.seconds:.3g}"
        worker = f" {record.worker:<20}" if has_workers else ""
        line = f"{number:>6} {iterations.get(i, ''):>5} {kind:<5} "
        line += f"{_value(record, sign):>22} {seconds:>9}{worker} "
        yield line + _cut(" ".join(f"{value:.6g}" for value in record.x[:n]), line)
        if record.failure is not None:
            yield f"{'':>13}{record.failure}"


def _cut(words: str, line: str) -> str:
    """Return as many words as fit behind a line."""
    return textwrap.shorten(words, max(_POINT, width() - len(line)), placeholder=" ...")


def _iterates(recording: Recording) -> dict[int, int]:
    """Return the numbers of iterations by the places of their iterates among the records.

    That is the last record with the value; an estimate has none.
    """
    sign, count = sign_of(recording.header), 0
    places, found = dict[Any, int](), dict[int, int]()
    left = deque(one for one in recording.iterations if not one.is_estimate)
    for i, record in enumerate(recording.records):
        count += record.kind in ("fun", "both")
        places[record.fun] = i
        while left and (left[0].nfev <= count or i == len(recording.records) - 1):
            one = left.popleft()
            if one.fun is not None and sign * one.fun in places:
                found[places[sign * one.fun]] = one.number
    return found


def write_csv(recording: Recording, file: TextIO) -> None:
    """Write a row for each evaluation; of ``hess`` and ``hessp`` only the point."""
    n, sign = recording.header["problem"]["n"], sign_of(recording.header)
    has_gradients = any(record.kind in ("jac", "both") for record in recording.records)
    columns = ["seq", "kind", "f", "seconds", "worker", "failure"]
    names = recording.header["problem"].get("names")
    columns += names or [f"x{i}" for i in range(n)]
    gradients = [f"d/d {name}" for name in names or ()] or [f"g{i}" for i in range(n)]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns + gradients * has_gradients)
    for record in recording.records:
        fun = None if record.fun is None else sign * record.fun
        known = [record.seq, record.kind, fun, record.seconds, record.worker, record.failure]
        row = [*known, *record.x[:n].tolist()]
        if has_gradients:
            jac = record.jac if record.kind in ("jac", "both") else None
            row += [None] * n if jac is None else (sign * jac).tolist()
        writer.writerow(row)


def _value(record: Record, sign: float) -> str:
    if record.failure is not None:
        return "failed"
    return "" if record.fun is None else repr(sign * record.fun)
