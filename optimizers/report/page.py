"""The page of a report: one self-contained HTML file, light and dark."""

import html
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from optimizers._shown import Reported, number, table
from optimizers._version import __version__
from optimizers._words import adds_to, replayed_words
from optimizers.covariance import errors
from optimizers.errors import InvalidInputError
from optimizers.journal import Recording, load
from optimizers.journal.header import bounds_of, given_of, heading_of, start_of
from optimizers.lockstep.results import best_of, summary
from optimizers.plots.traces import Trace, traces_of
from optimizers.report.pictures import pictures_of
from optimizers.result import OptimizerResult
from optimizers.several.race import RaceResults

#: The maximum number of rows of a table, and of failures.
_LINES, _FAILURES = 200, 30
#: The head of the table of parameters.
_PARAMETER = ("name", "start", "end", "standard error", "best point", "lower", "upper", "")
_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1c2230; --quiet: #5d6675; --line: #d9dde4;
  --card: #f5f7fa; --good: #1d7f4e; --stopped: #a85a00; }
@media (prefers-color-scheme: dark) { :root { --page: #14171d; --ink: #e4e8ee; --quiet: #9aa4b2;
  --line: #333a46; --card: #1d222b; --good: #5fcf97; --stopped: #f0a050; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  margin: 0 auto; max-width: 62rem; padding: 2rem 1.2rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.good { color: var(--good); } .stopped { color: var(--stopped); } .quiet { color: var(--quiet); }
.verdict { font-weight: 600; margin: .3rem 0; }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; margin: 1.2rem 0; }
.tiles div { background: var(--card); border-radius: .5rem; padding: .5rem .9rem; }
.tiles b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .9rem .25rem 0; text-align: left;
  vertical-align: top; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
thead th, th[scope=row] { font-weight: 500; color: var(--quiet); }
figure { margin: 0; } svg { max-width: 100%; height: auto; }
"""
# Nothing is fetched, whatever a name or a message contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write(run: Any, path: str | os.PathLike[str]) -> str:
    """Write a report of a run, or of many.

    Parameters
    ----------
    run : OptimizerResult, collection of results, Recording, or path of a journal
        The record of the run or runs.
    path : str or PathLike
        The file to write.

    Returns
    -------
    str
        The path.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InvalidInputError
        If there is nothing to report.
    """
    if isinstance(run, str | os.PathLike):
        run = load(run)
    if not isinstance(run, Reported):
        raise InvalidInputError(
            f"run is {run!r:.200}, expected a result, a collection of results, what load returns "
            "or the path of a journal."
        )
    name, text = os.fspath(path), page(run)
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def page(run: Any) -> str:
    """Return a report as text."""
    result = run if isinstance(run, OptimizerResult) else getattr(run, "result", None)
    runs = {} if result is not None else _named(run)
    traces = _traces(run, runs)
    header = _header(run, traces)
    title = heading_of(header) if header else "A run"
    if isinstance(run, RaceResults):
        title = f"Race: {', '.join(runs)}"
    elif runs and "many" not in header:
        title = f"{len(runs)} runs of {title}" if header else f"{len(runs)} runs"
    parts = [f"<h1>{html.escape(title)}</h1>", *_verdict(run, result)]
    parts += _tiles(result, runs, traces)
    if result is None:
        rows = [[name, *summary(own)] for name, own in runs.items()]
        parts += _section("Runs", _cut(("run", "f(x)", "points", "iterations", "stop"), rows))
    elif len(traces) < 2:
        parts += _section("Parameters", _parameters(result, header, traces))
    for heading, svg in pictures_of(run, traces):
        parts += _section(heading, f"<figure>{svg}</figure>")
    if not traces:
        words = "This run has no record: run it with callback=History(), or with a journal."
        parts.append(f'<p class="quiet">{html.escape(words)}</p>')
    parts += _noise(run, result)
    parts += _failures(traces)
    settings = {} if isinstance(run, RaceResults) else header.get("settings", {})
    given = [(name, _shown(value)) for name, value in settings.items() if value not in (None, {})]
    parts += _section("Settings", table((), given)) if given else []
    about = {"begun": header.get("created"), "seed": _seed(header), **header.get("versions", {})}
    about["this page"] = f"written by optimizers {__version__}"
    known = [(name, value) for name, value in about.items() if value is not None]
    parts += _section("Where it ran", table((), known))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _named(run: Any) -> dict[str, OptimizerResult]:
    """Return the results of a collection by their names, or numbers."""
    results = run.items() if isinstance(run, RaceResults) else enumerate(getattr(run, "runs", run))
    return {str(name): result for name, result in results}


def _traces(run: Any, runs: dict[str, OptimizerResult]) -> list[Trace]:
    """Return the runs with a record, which are drawn."""
    if isinstance(run, Recording):
        return traces_of(run) if len(run.values) else []
    if isinstance(run, OptimizerResult):
        return [] if run._record is None else traces_of(run)
    known = {name: result for name, result in runs.items() if result._record is not None}
    if isinstance(run, RaceResults):
        return traces_of(known) if known else []
    return traces_of(list(known.values())) if known else []


def _header(run: Any, traces: list[Trace]) -> dict[str, Any]:
    if isinstance(run, Recording):
        return run.header
    header = next((trace.header for trace in traces if trace.header), None)
    return header or getattr(run, "_about", None) or {}


def _section(heading: str, body: str) -> list[str]:
    return [f'<h2>{html.escape(heading)}</h2>\n<div class="scroll">{body}</div>']


def _verdict(run: Any, result: OptimizerResult | None) -> Iterator[str]:
    stop = getattr(run, "stop", None) if result is None else result.get("stop")
    if stop is None:
        return
    words = f"{stop.sentence[0].upper()}{stop.sentence[1:]}."
    is_success = stop.name == "AGREED" if result is None else result.get("success")
    kind, verdict = ("good", "Converged.") if is_success else ("stopped", "Stopped.")
    yield f'<p class="verdict {kind}">{verdict} {html.escape(words)}</p>'
    known: dict[str, Any] = {} if result is None else result
    error = run.error if isinstance(run, Recording) else known.get("error")
    for text in (known.get("message"), error and f"Error: {error}"):
        if text and adds_to(stop.sentence, str(text)):
            yield f'<p class="quiet">{html.escape(str(text))}</p>'


def _tiles(
    result: OptimizerResult | None, runs: dict[str, OptimizerResult], traces: list[Trace]
) -> Iterator[str]:
    tiles: list[tuple[str, Any]] = []
    if result is not None:
        best, elapsed = result.get("best"), result.get("elapsed")
        fun, lowest = number(result.fun), number(best and best.fun)
        tiles += [("f(x)", fun), ("best f(x)", None if lowest == fun else lowest)]
        tiles += [("points", f"{result.nfev}{replayed_words(result)}"), ("iterations", result.nit)]
        tiles += [("gradients", result.njev or None), ("rejected", result.get("nrejected") or None)]
        tiles += [("seconds", None if elapsed is None else f"{elapsed:.3g}")]
        tiles += [("shots", result.get("nshots")), ("jobs", result.get("njobs"))]
    else:
        best = best_of(runs.values())
        tiles += [("best f(x)", number(best and best.fun)), ("runs", len(runs))]
        tiles += [("points", sum(own.nfev for own in runs.values()))]
        tiles += [("shots", sum(own.get("nshots", 0) for own in runs.values()) or None)]
        tiles += [("failed", sum("error" in own for own in runs.values()))]
    evaluated = [trace for trace in traces if len(trace.values)]
    if evaluated:
        count = len(set(evaluated[0].waves.tolist())) if len(evaluated) == 1 else None
        workers = {worker for trace in evaluated for worker in trace.workers if worker}
        tiles += [("waves", count), ("workers", len(workers) or None)]
    shown = [
        f'<div><span class="quiet">{name}</span><b>{html.escape(str(value))}</b></div>'
        for name, value in tiles
        if value is not None
    ]
    yield f'<div class="tiles">{"".join(shown)}</div>'


def _parameters(result: OptimizerResult, header: dict[str, Any], traces: list[Trace]) -> str:
    x, best, is_vector = np.ravel(result.x_flat), result.get("best"), "x_flat" not in result
    best_x = np.ravel(best.x) if best is not None and is_vector else None
    best_x = None if best_x is None or np.array_equal(best_x, x) else best_x
    names = result.get("names") or (
        traces[0].names if traces else [f"x[{k}]" for k in range(x.size)]
    )
    start, bounds = _given(header, None if is_vector else list(result.names))
    rows, spread = [], _errors(result, x.size)
    for i in range(x.size):
        low, high = (None, None) if bounds is None else bounds[i]
        note = "at its lower bound" if x[i] == low else "at its upper bound" if x[i] == high else ""
        from_start = None if start is None else start[i]
        error = "-" if spread[i] is None else f"{spread[i]:.3g}"
        others = map(number, (None if best_x is None else best_x[i], low, high))
        rows.append([names[i], number(from_start), number(x[i]), error, *others, note])
    return _cut(*_told(_PARAMETER, rows))


def _given(header: dict[str, Any], names: list[str] | None) -> tuple[Any, Any]:
    """Return the start and the bounds of variables with names, or of a vector if there are none."""
    problem = header.get("problem", {})
    if "given" in problem and names is not None:
        return given_of(header)
    # What was searched, which may have been transformed and scaled.
    is_same = "x0" in problem and names in (None, problem.get("names"))
    return (start_of(header), bounds_of(header)) if is_same else (None, None)


def _told(head: Sequence[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Return a table without empty columns."""
    kept = [i for i in range(len(head)) if any(row[i] not in ("-", "") for row in rows)]
    return [head[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _errors(result: OptimizerResult, n: int) -> Sequence[Any]:
    """Return the standard errors of a fit's parameters; None where there are none."""
    if result.get("residuals") is None:
        return [None] * n
    found = errors(result, tell=lambda words: None)  # where they are NaN, there is a dash
    return [None if np.isnan(error) else error for error in found]


def _cut(head: Sequence[str], rows: Sequence[Any], limit: int = _LINES) -> str:
    """Return a table with at most ``limit`` rows."""
    more = len(rows) - limit
    words = f'<p class="quiet">And {more} more.</p>' if more > 0 else ""
    return table(head, rows[:limit]) + words


def _shown(value: Any) -> Any:
    return value["object"] if isinstance(value, dict) and [*value] == ["object"] else value


def _noise(run: Any, result: OptimizerResult | None) -> list[str]:
    rows = []
    for name, words in (
        ("noise", "standard deviation of a value at the end"),
        ("fun_error", "standard error of f(x)"),
    ):
        if result is not None and result.get(name) is not None:
            rows.append((words, number(result[name])))
    told = run.errors if isinstance(run, Recording) else np.empty(0)
    if np.isfinite(told).any():
        rows.append(("median standard error of the values", number(float(np.nanmedian(told)))))
    return _section("Noise", table((), rows)) if rows else []


def _failures(traces: list[Trace]) -> list[str]:
    failed = [
        (trace.name, i + 1, np.array2string(trace.points[i], precision=6, threshold=8), failure)
        for trace in traces
        for i, failure in enumerate(trace.failures)
        if failure is not None
    ]
    if not failed:
        return []
    head = ("run", "evaluation", "x", "failure")
    return _section(f"Failures: {len(failed)}", _cut(head, failed, _FAILURES))


def _seed(header: dict[str, Any]) -> Any:
    seed = header.get("seed") or {}
    return seed.get("given", seed.get("drawn"))
