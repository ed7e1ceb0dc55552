"""The variables during a run, and the objective along each of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.plots.figure import canvas, color, count_along, picture, spans_decades
from optimizers.plots.traces import Trace, traces_of

#: Up to this many variables have lines, or panels, unless they are named.
_LINES, _PANELS = 12, 9


def parameters(
    run: Any,
    *,
    which: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw each variable at the iterates, or at the best points so far if iterates were not kept.

    Parameters
    ----------
    run : History, OptimizerResult, Recording or path
        The run; see :mod:`optimizers.plots`.
    which : sequence of int, optional
        Which variables; by default the twelve that moved most.
    names : sequence of str, optional
        The names of all variables.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    trace = _single(run)
    counts, rows = _path(trace)
    if not len(rows):
        raise InvalidInputError("No point of this run has a value, expected one that has.")
    figure, ax = canvas(ax)
    called = names or trace.names
    span = rows.max(axis=0) - rows.min(axis=0)
    chosen = sorted(np.argsort(-span)[:_LINES].tolist()) if which is None else list(which)
    for i, j in enumerate(chosen):
        style = "-" if i < 8 else "--"
        ax.plot(
            counts, rows[:, j], style, color=color(i), marker=".", markersize=4, label=called[j]
        )
    ax.set_xlabel("points evaluated")
    count_along(ax)
    ax.set_ylabel("variables")
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if len(chosen) < len(called):
        ax.set_title(f"{len(chosen)} of {len(called)} variables", fontsize="medium")
    return figure


def slices(
    run: Any,
    fun: Callable[[Any], float] | None = None,
    *,
    which: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    points: int = 41,
) -> Any:
    """Draw the values of all points evaluated against each variable.

    Parameters
    ----------
    run : History, OptimizerResult, Recording or path
        The run; see :mod:`optimizers.plots`.
    fun : callable, optional
        The objective; if given, it is also evaluated along each variable through the best point,
        over the visited range. It gets points in the structure of the start, but those of a file
        are vectors.
    which : sequence of int, optional
        Which variables; by default the first nine.
    names : sequence of str, optional
        The names of all variables.
    points : int, default 41
        The number of evaluations of each line of ``fun``.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; earlier points are paler, and the best one is marked.
    """
    trace = _single(run)
    known = np.flatnonzero(np.isfinite(trace.values) & np.isfinite(trace.points).all(axis=1))
    if not len(known):
        raise InvalidInputError("No points of this run were kept, expected one with evaluations.")
    called = names or trace.names
    chosen = list(range(min(len(called), _PANELS))) if which is None else list(which)
    columns = min(3, len(chosen))
    height = 2.6 * -(-len(chosen) // columns)
    figure, axes = picture(-(-len(chosen) // columns), columns, width=3.0 * columns, height=height)
    for ax in axes.flat[1:]:
        ax.sharey(axes[0, 0])
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)
    values, at = trace.values[known], trace.points[known]
    opacity = np.linspace(0.4, 1.0, len(known))  # seen on light and dark pages
    costs = trace.costs[known]
    lowest, best = costs.min(), at[costs.argmin()]
    is_log = trace.sign > 0 and spans_decades(values)
    # The first steps of a search are far above the rest, and would flatten the picture.
    top = np.quantile(costs, 0.9) + 1.5 * np.ptp(np.quantile(costs, [0.1, 0.9]))
    for ax, j in zip(axes.flat, chosen, strict=False):
        ax.scatter(at[:, j], values, color=color(0), alpha=opacity, s=16, linewidths=0)
        if fun is not None:
            grid, rows = _line(best, j, at[:, j], points)
            found = [float(fun(point)) for point in map(trace.point, rows)]
            ax.plot(grid, found, color=color(1), linewidth=1)
        star = trace.sign * lowest
        ax.plot(best[j], star, marker="*", markersize=11, color=color(1), linestyle="")
        ax.set_xlabel(called[j])
        if is_log:
            ax.set_yscale("log")
        elif lowest < top < costs.max():
            ends = lowest - 0.05 * (top - lowest), top
            ax.set_ylim(*sorted(trace.sign * end for end in ends))
    for ax in axes[:, 0]:
        ax.set_ylabel("f(x)")
    for ax in axes.flat[len(chosen) :]:
        ax.set_visible(False)
    return figure


def _line(best: Array, j: int, visited: Array, count: int) -> tuple[Array, Array]:
    """Return the values of a variable over the visited range, and the best point with each."""
    grid = np.linspace(visited.min(), visited.max(), count)
    rows = np.tile(best, (count, 1))
    rows[:, j] = grid
    return grid, rows


def _single(run: Any) -> Trace:
    traces = traces_of(run)
    if len(traces) != 1:
        raise InvalidInputError(f"There are {len(traces)} runs, expected one, such as results[0].")
    return traces[0]


def _path(trace: Trace) -> tuple[Array, Array]:
    """Return the counts of evaluations, and the variables there, from the start on."""
    has_points = len(trace.points) > 0 and bool(np.isfinite(trace.points[0]).all())
    if len(trace.counts):
        start = [trace.points[0]] if has_points else []
        first = [1.0] if has_points else []
        return np.array([*first, *trace.counts]), np.array([*start, *trace.iterates])
    lowest = np.flatnonzero(trace.costs <= trace.sign * trace.best)
    return np.asarray(lowest + 1, np.float64), trace.points[lowest]
