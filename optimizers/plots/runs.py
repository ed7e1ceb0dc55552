"""Many runs and many workers: where starts led, and which worker evaluated what when."""

import operator
import re
from typing import Any

import numpy as np

from optimizers._shown import number
from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.plots.figure import QUIET, canvas, color, picture
from optimizers.plots.traces import Trace, traces_of
from optimizers.run.observers import History
from optimizers.several.minima import Minimum, MultistartResult


def multistart(found: MultistartResult, *, which: tuple[int, int] = (0, 1), ax: Any = None) -> Any:
    """Draw the starts of a multistart in the colors of the minima that they led to.

    Parameters
    ----------
    found : MultistartResult
        What :func:`optimizers.multistart` returned. With ``callback=History()`` the starts are
        known; without, the minima alone are drawn.
    which : (int, int), default (0, 1)
        The two variables; if there is only one, the other axis has the value.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The picture: stars are minima, with the number of runs that ended there; dots are starts.
    """
    if not isinstance(found, MultistartResult):
        raise InvalidInputError(f"found is {found!r:.200}, expected the result of multistart.")
    if not found.minima:
        raise InvalidInputError("This multistart found no minimum: there is nothing to draw.")
    figure, ax = canvas(ax)
    ends = [_end(found, minimum) for minimum in found.minima]
    n = ends[0].size
    i, j = which if n > 1 else (0, -1)
    names = found.runs[0].get("names") or [f"x[{k}]" for k in range(n)]

    def place(x: Any, fun: float) -> tuple[float, float]:
        return float(x[i]), float(x[j]) if n > 1 else fun

    led = {run: k for k, minimum in enumerate(found.minima) for run in minimum.runs}
    starts = _starts(found)
    for run, (x, fun) in starts.items():
        k = led.get(run)
        hue = QUIET if k is None else color(k)
        here = place(x, fun)
        if k is not None:
            there = place(ends[k], found.minima[k].fun)
            ax.plot(*zip(here, there, strict=True), color=hue, alpha=0.25, linewidth=0.8)
        ax.plot(*here, marker="." if k is not None else "x", color=hue, markersize=5, linestyle="")
    for k, minimum in enumerate(found.minima):
        runs = f"{minimum.count} run{'s' * (minimum.count != 1)}"
        label = f"{number(minimum.fun)}, {runs}" if k < 8 else None
        at = place(ends[k], minimum.fun)
        ax.plot(*at, marker="*", markersize=14, color=color(k), linestyle="", label=label,
                markeredgecolor="white")  # fmt: skip
    ax.set_xlabel(names[i])
    ax.set_ylabel(names[j] if n > 1 else "f(x)")
    ax.legend(frameon=False, title="minima", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _end(found: MultistartResult, minimum: Minimum) -> Array:
    """Return a minimum as a vector, for any structure of the variables."""
    ends = [run for run in found.runs if run.get("run") in minimum.runs]
    return min(ends, key=operator.attrgetter("fun")).x_flat


def _starts(found: MultistartResult) -> dict[int, tuple[Any, float]]:
    """Return the start of each run and the value there, if a History knows them."""
    histories = {id(result._record): result._record for result in found.runs}.values()
    starts, waves = dict[int, tuple[Any, float]](), dict[int, int]()
    for history in histories:
        for e in history.evaluations if isinstance(history, History) else ():
            # A run starts from the best point of its first wave.
            is_first = waves.setdefault(e.run, e.wave) == e.wave
            if not (is_first and e.x.size and e.fun == e.fun):
                continue
            sign = -1.0 if e.maximize else 1.0
            if e.run not in starts or sign * e.fun < sign * starts[e.run][1]:
                starts[e.run] = e.x, e.fun
    return starts


def waves(run: Any, *, ax: Any = None) -> Any:
    """Draw a timeline of the evaluations: a row for each worker, a bar for each evaluation.

    Parameters
    ----------
    run : History, OptimizerResult, Recording or path
        The run; see :mod:`optimizers.plots`. A journal has the durations of evaluations, not their
        start times: each wave is drawn from the end of the previous one.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The picture: waves alternate in color, failures are crossed out, gaps are idle workers.
    """
    traces = traces_of(run)
    workers = sorted({worker for trace in traces for worker in trace.workers})
    if not workers:
        raise InvalidInputError("No evaluations of this run were kept: there is nothing to draw.")
    if ax is None:
        figure, axes = picture(height=min(1.6 + 0.4 * len(workers), 9.0), width=8.0)
        ax = axes[0, 0]
    else:
        figure, ax = canvas(ax)
    # Many bars are narrow, and would consist of edges only.
    edge = 0.3 if sum(len(trace.values) for trace in traces) < 100 * len(workers) else 0.0
    for row, worker in enumerate(workers):
        for trace in traces:
            _draw_bars(ax, trace, worker, row, edge)
    ax.set_yticks(range(len(workers)), _called(workers))
    ax.set_ylim(len(workers) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel("seconds")
    busy = sum(float((trace.ended - trace.began).sum()) for trace in traces)
    total = max(float(trace.ended.max()) for trace in traces if len(trace.ended))
    share = busy / (total * len(workers)) if total > 0 else 1.0
    count = len({wave for trace in traces for wave in trace.waves.tolist()})
    ax.set_title(
        f"{count} waves; workers busy {min(share, 1.0):.0%} of the time", fontsize="medium"
    )
    return figure


def _called(workers: list[str]) -> list[str]:
    """Return distinct labels of workers: short ones if they are processes, or threads of one."""
    processes = [worker.partition("/")[0] for worker in workers]
    if len(set(processes)) == len(workers) > 1:
        called = [f"process {process}" if process else "" for process in processes]
    elif len(set(processes)) == 1:
        called = [worker.partition("/")[2] or worker for worker in workers]
    else:
        called = workers
    # What Dask puts between its worker and the number of the thread.
    return [re.sub(r"Dask-Default-Threads-\d+-", "", worker) or "this process" for worker in called]


def _draw_bars(ax: Any, trace: Trace, worker: str, row: int, edge: float) -> None:
    own = np.array([one == worker for one in trace.workers], dtype=bool)
    for k in range(2):
        mine = own & (trace.waves % 2 == k)
        bars = np.stack([trace.began[mine], (trace.ended - trace.began)[mine]], axis=1)
        if len(bars):
            ax.broken_barh(
                bars, (row - 0.38, 0.76), facecolors=color(k), edgecolors="white", linewidth=edge
            )
    failed = own & np.array([failure is not None for failure in trace.failures], dtype=bool)
    middle = (trace.began + trace.ended)[failed] / 2
    ax.plot(middle, np.full(len(middle), row), "x", color=ax.xaxis.label.get_color(), markersize=5)
