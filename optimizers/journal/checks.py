"""Checks of the lines of a journal: the header, the records, and other lines.

Each check raises one of ERRORS; sizes in a header are compared with its data.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from optimizers.errors import JournalMismatchError
from optimizers.journal.header import FORMAT, bounds_of, seed_of, start_of
from optimizers.journal.iterations import Iteration
from optimizers.journal.records import Record, decoded, whole
from optimizers.result import OptimizerResult

#: The errors that reading an invalid line may raise.
ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)

_HEADER = {
    **dict.fromkeys(("created", "optimizer"), str),
    **dict.fromkeys(("settings", "problem", "functions", "versions", "seed"), dict),
    **dict.fromkeys(("serial", "has_workers"), bool),
}
_PROBLEM = ("n", "x0", "lower", "upper", "jac", "constraints", "hess", "hessp")
_RESULT = ("x", "fun", "nfev", "njev", "nit", "success", "message", "stop")
_COUNTS = ("next", "nfev", "njev", "nhev", "nit", "nrejected")


def check_header(path: str, header: dict[str, Any]) -> None:
    """Raise unless a journal's first line is one of this format."""
    if header["journal"] != FORMAT:
        raise JournalMismatchError(
            f"The journal {path} has the format {header['journal']!r}, expected {FORMAT}: its line "
            "1 was written by another version of optimizers, which can resume it."
        )
    for name, kind in _HEADER.items():
        _require(name, header[name], kind)
    problem = header["problem"]
    for name in _PROBLEM:
        problem[name]
    n, bounds = whole(problem["n"]), bounds_of(header)
    if start_of(header).size != n or (bounds is not None and len(bounds) != n):
        raise ValueError(f"n is {n}, and x0 or bounds have another size")
    _require("options", header["settings"].get("options") or {}, dict)
    _require("title", header.get("title", ""), str)
    _require("notes", header.get("notes", {}), dict)
    _require("rejects", header.get("rejects", False), bool)
    _require("python", header["versions"]["python"], str)
    many = header.get("many", {})
    _require("optimizers", many.get("optimizers", {}), dict)
    if "X0" in many and decoded(many["X0"]).size != whole(many["runs"]) * n:
        raise ValueError("X0 has another size")
    _require("many", many, dict)
    for identity in header.get("identity", {}).values():
        _require("name", identity["name"], str | None)
        _require("parts", identity["parts"], dict)
    seed = seed_of(header["seed"])
    if seed is None:
        raise ValueError("no seed")
    np.random.default_rng(seed)


def check_record(record: Record, n: int, *, has_residuals: bool = False) -> None:
    """Raise unless a record fits a run with ``n`` variables, and has the requested answer."""
    kind = record.kind
    # A flow may ask hessp for k pairs of points, with an answer for each, fidelities; or for a
    # matrix, a metric.
    k = max(1, record.x.size // (2 * n)) if kind == "hessp" and n else 1
    if record.x.size != n * (2 * k if kind == "hessp" else 1):
        raise ValueError(f"x has {record.x.size} components")
    sizes = {"hess": (n * n,), "hessp": (n, k, n * n)}.get(kind, (n,))
    if has_residuals and kind not in ("hess", "hessp"):
        _check_fit(record, n)
    elif record.jac is not None and record.jac.size not in sizes:
        raise ValueError(f"g has {record.jac.size} components")
    if record.failure is None and (
        (record.fun is None and kind in ("fun", "both")) or (record.jac is None and kind != "fun")
    ):
        raise ValueError(f"no answer to {kind}")
    if isinstance(record.fun, complex) and record.x.dtype.kind != "c":
        raise ValueError("f is complex at a real x")


def _check_fit(record: Record, n: int) -> None:
    """Raise unless a record with a value has residuals, and its Jacobian has n columns."""
    if (record.fun is None) != (record.residuals is None):
        raise ValueError("r and f are not together")
    if record.jac is None:
        return
    size, cells = record.jac.size, record.cells
    if cells is None:
        is_whole = n > 0 and size % n == 0
    else:
        is_whole = cells.size == size + 1 and cells.min() >= 0
        is_whole = is_whole and cells[1:].max(initial=-1) < cells[0] * n
    if not is_whole:
        raise ValueError(f"g has {size} components")


def check_entry(entry: Mapping[str, Any], n: int) -> None:
    """Raise unless a line that is not a record is of a known kind."""
    if "retried" in entry:
        whole(entry["retried"])
        whole(entry["times"])
    elif "iteration" in entry:
        Iteration.from_entry(entry)
    elif "left" in entry:
        values, gradients = entry["started"]
        for count in (entry["left"], values, gradients, entry.get("shots", 0)):
            whole(count)
    elif "width" in entry:
        if entry["width"] is not None and not float(entry["width"]) >= 1.0:
            raise ValueError("width is below 1")
    elif "restart" in entry:
        start = entry["restart"]
        for name in _COUNTS:
            whole(start[name])
        for name in ("nshots", "njobs"):  # which earlier versions did not count
            whole(start.get(name, 0))
        if decoded(start["x"]).size != n:
            raise ValueError("x has another size")
        _require("fun", start["fun"], float | int | None)
    elif "end" in entry:
        _require("error", entry.get("error"), str | None)
        _require("changed", entry.get("changed", []), list)
        _require("failed", entry.get("failed", []), list)
        if entry["end"] is not None:
            result = OptimizerResult.from_dict(entry["end"])
            for name in _RESULT:
                result[name]
    elif "rewound" in entry:
        whole(entry["rewound"])
    elif "resumed" in entry:
        _require("rejects", entry["resumed"].get("rejects", False), bool)
    else:
        raise ValueError("an entry of an unknown kind")


def _require(name: str, value: Any, kind: Any) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r:.50}")
