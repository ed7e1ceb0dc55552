"""Convergence: values by evaluations, waves, shots or seconds."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.plots.figure import QUIET, canvas, color, picture, spans_decades
from optimizers.plots.traces import Trace, traces_of
from optimizers.run.observers import History

By = Literal["evaluations", "waves", "shots", "seconds"]
_LABELS = {
    "evaluations": "points evaluated",
    "waves": "waves",
    "shots": "shots",
    "seconds": "seconds",
}
#: Up to this many runs are lines with names; more are a band.
_LINES = 8
#: So many iterates at most are dots that stand out; more would hide the lines.
_DOTS = 100


def convergence(
    *runs: Any,
    by: By = "evaluations",
    names: Iterable[str] | None = None,
    minimum: float | None = None,
    shots: int | None = None,
    band: bool | None = None,
    ax: Any = None,
) -> Any:
    """Draw the best value so far, from the start on, and the values of iterates where known.

    Parameters
    ----------
    *runs : History, OptimizerResult, Recording, path, or a collection of them
        The runs; see :mod:`optimizers.plots`. A dict, or the results of a race, has their names.
    by : {"evaluations", "waves", "shots", "seconds"}, default "evaluations"
        The horizontal axis.
    names : iterable of str, optional
        The names of the runs.
    minimum : float, optional
        The known minimum, or of runs that maximize the maximum: then the distance to it is drawn,
        on a logarithmic axis.
    shots : int, optional
        The number of shots of each evaluation; required to draw by shots.
    band : bool, optional
        Whether the median of all runs and the band of their middle half is drawn instead of a line
        for each; by default for more than eight.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The picture. Estimates of an algorithm, which were not evaluated, are hollow.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InvalidInputError
        If there is no record of a run, or an argument cannot be used.

    Examples
    --------
    >>> from optimizers import LBFGSB, History, plots
    >>> history = History()
    >>> result = LBFGSB().minimize(lambda x: x @ x, [3.0, 4.0], callback=history)
    >>> plots.convergence(history).savefig("run.png")  # doctest: +SKIP
    """
    if by not in _LABELS:
        raise InvalidInputError(f"by is {by!r}, expected one of {tuple(_LABELS)}.")
    if by == "shots" and shots is None:
        raise InvalidInputError(
            "by is 'shots': pass shots=..., the number of shots of an evaluation."
        )
    traces = traces_of(*runs, names=names)
    figure, ax = canvas(ax)
    each = shots if by == "shots" and shots is not None else 1
    drawn = [_curve(trace, by, each, minimum) for trace in traces]
    if band if band is not None else len(drawn) > _LINES:
        _draw_band(ax, drawn, is_rising=minimum is None and traces[0].sign < 0)
    else:
        for i, (trace, (x, best)) in enumerate(zip(traces, drawn, strict=True)):
            few = "." if len(x) == 1 else None
            label = trace.name if len(traces) > 1 else "best so far"
            ax.plot(x, best, color=color(i), drawstyle="steps-post", marker=few, label=label)
            _draw_iterates(ax, trace, x, minimum, color(i), has_label=len(traces) == 1)
        ax.legend(frameon=False)
    shown, sign = np.concatenate([best for _, best in drawn]), traces[0].sign
    if minimum is not None or (sign > 0 and spans_decades(shown)):
        ax.set_yscale("log")
    ax.set_xlabel(_LABELS[by])
    ax.set_ylabel(_label(minimum, sign))
    return figure


def _label(minimum: float | None, sign: float) -> str:
    if minimum is None:
        return "f(x)"
    return "f(x) - minimum" if sign > 0 else "maximum - f(x)"


def _curve(trace: Trace, by: By, shots: int, minimum: float | None) -> tuple[Array, Array]:
    """Return the horizontal coordinates of a run, and its best values so far or their distances."""
    if not len(trace.values):  # only its iterations are known
        best = _above(trace.best_of(trace.iterate_values), minimum, trace.sign)
        return trace.counts.astype(np.float64) * shots, best
    best = _above(trace.best, minimum, trace.sign)
    if by == "waves":
        return trace.waves.astype(np.float64), best
    if by == "seconds":
        return np.maximum.accumulate(trace.ended), best
    return np.arange(1.0, len(trace.values) + 1) * shots, best


def _above(values: Array, minimum: float | None, sign: float) -> Array:
    """Return the distances of values from a known minimum, or the values if there is none."""
    return values if minimum is None else sign * (values - minimum)


def _draw_iterates(
    ax: Any, trace: Trace, x: Array, minimum: float | None, hue: str, *, has_label: bool
) -> None:
    if not (len(trace.counts) and len(trace.values)):
        return
    counts = trace.counts - (trace.counts[0] - min(trace.counts[0], len(x)))
    at = x[np.clip(counts, 1, len(x)) - 1]
    for is_estimate, words in ((False, "iterates"), (True, "iterates, estimated")):
        chosen = trace.estimates == is_estimate
        is_crowded = chosen.sum() > _DOTS
        if chosen.any():
            ax.plot(
                at[chosen],
                _above(trace.iterate_values[chosen], minimum, trace.sign),
                linestyle="",
                marker="o",
                markersize=2 if is_crowded else 3.5,
                alpha=0.35 if is_crowded else 0.7,
                color=hue,
                markerfacecolor="none" if is_estimate else hue,
                label=words if has_label else None,
            )


def _draw_band(ax: Any, curves: list[tuple[Array, Array]], *, is_rising: bool) -> None:
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    rows = np.array([_held(x, best, grid) for x, best in curves])
    low, middle, high = np.nanquantile(rows, [0.25, 0.5, 0.75], axis=0)
    ax.fill_between(grid, low, high, step="post", color=color(0), alpha=0.25, linewidth=0)
    ax.plot(grid, middle, drawstyle="steps-post", color=color(0), label=f"median of {len(rows)}")
    best = (np.nanmax if is_rising else np.nanmin)(rows, axis=0)
    ax.plot(grid, best, drawstyle="steps-post", color=QUIET, linewidth=1, label="best of all")
    ax.legend(frameon=False)


def _held(x: Array, best: Array, grid: Array) -> Array:
    """Return the best value at each place of a grid; the first value before there is any."""
    rows = np.searchsorted(x, grid, side="right") - 1
    return best[np.clip(rows, 0, len(best) - 1)]


def plot_convergence(history: History, ax: Any = None, *, minimum: float | None = None) -> Any:
    """Draw the value of each iterate against the points evaluated so far.

    Parameters
    ----------
    history : History
        The record of a run: the callback that was given to it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    minimum : float, optional
        The known minimum, or of a run that maximizes the maximum: then the distance to it is
        drawn, on a logarithmic scale.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; ``ax.figure.savefig(path)`` writes the figure.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InvalidInputError
        If the history is empty.

    See Also
    --------
    optimizers.plots.convergence : Draws several runs, from any record.
    """
    if not isinstance(history, History):
        raise InvalidInputError(
            f"history is {history!r:.200}, expected a History: the callback of a run."
        )
    if ax is None:
        _, axes = picture()
        ax = axes[0, 0]
    if not len(history.fun):
        raise InvalidInputError(
            "The history is empty: pass it to minimize as callback, and plot it after the run."
        )
    draw = ax.plot if minimum is None else ax.semilogy
    sign = -1.0 if history.states[0].get("maximize") else 1.0
    draw(history.nfev, _above(history.fun, minimum, sign), marker=".", color=color(0))
    ax.set_ylabel(_label(minimum, sign))
    ax.set_xlabel(_LABELS["evaluations"])
    ax.grid(alpha=0.3)
    return ax
