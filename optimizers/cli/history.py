"""A journal to look at: as a table of text, or as comma-separated values."""

import argparse
import csv
from typing import Any, TextIO

import numpy as np

from optimizers.cli.codes import CONVERGED
from optimizers.journal import Recording, load
from optimizers.journal.header import sign_of
from optimizers.journal.records import RUN_BITS, Record

#: More variables than these are not all shown in the table.
_SHOWN = 6


def add_history(commands: Any) -> None:
    """Add the command ``history``."""
    past = commands.add_parser("history", help="what a journal has recorded")
    past.add_argument("journal", metavar="JOURNAL")
    past.add_argument("--csv", action="store_true", help="as comma-separated values")
    past.set_defaults(run=_history)


def _history(given: argparse.Namespace, out: TextIO) -> int:
    (write_csv if given.csv else write_table)(load(given.journal), out)
    return CONVERGED


def write_table(recording: Recording, file: TextIO) -> None:
    """Write a line for each evaluation, between what the run is and how it ended."""
    header, result, sign = recording.header, recording.result, sign_of(recording.header)
    n = header["problem"]["n"]
    named = header.get("many", {}).get("optimizers") or [header["optimizer"]]
    names = ", ".join(named if len(named) == 1 else (f"{i}: {k}" for i, k in enumerate(named)))
    print(f"{names}, {n} variables, begun {header['created']}", file=file)
    workers = any(record.worker for record in recording.records)
    named = f"{'worker':<20} " if workers else ""
    print(f"{'':>6} {'':<5} {'f':>22} {'seconds':>9} {named}x", file=file)
    for record in recording.records:
        seconds = "" if record.seconds is None else f"{record.seconds:.3g}"
        who = f"{record.worker:<20} " if workers else ""
        x = np.array2string(record.x[:n], precision=6, threshold=_SHOWN, edgeitems=2)
        late = " (late)" if record.is_late else ""
        own = record.seq % 2**RUN_BITS
        number = f"{record.run}:{own}" if "many" in header else f"{own}"
        print(
            f"{number:>6} {record.kind:<5} {_value(record, sign):>22} {seconds:>9} {who}"
            f"{' '.join(x.split())}{late}",
            file=file,
        )
        if record.failure is not None:
            print(f"{'':>13}{record.failure}", file=file)
    words = f"Ended: {result.stop.sentence}." if recording.is_finished else "Not ended."
    if recording.error is not None:
        words = f"Ended by an error: {recording.error}"
    print(words, file=file)
    found = "" if result.fun is None else f", f(x) = {result.fun!r}"
    print(f"{result.nfev} points, {result.njev} gradients{found}", file=file)


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
