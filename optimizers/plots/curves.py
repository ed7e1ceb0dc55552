"""Convergence: values by evaluations, waves, shots or seconds."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.plots.figure import QUIET, canvas, color, count_along, picture, spans_decades
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
#: The label of hollow dots.
_ESTIMATES = "iterates, estimated"
#: So many iterates at most are dots that stand out; more would hide the lines.
_DOTS = 100


def convergence(
    *runs: Any,
    by: By = "evaluations",
    names: Iterable[str] | None = None,
    minimum: float | None = None,
    shots: int | None = None,
    fun: Callable[[Any], float] | None = None,
    band: bool | None = None,
    ax: Any = None,
) -> Any:
    """Draw the best value so far, from the start on, and the values of iterates where known.

    The best of values that have noise is the luckiest of them, and may lie below the minimum: give
    the objective without its noise as ``fun`` where there is one.

    Parameters
    ----------
    *runs : History, OptimizerResult, Recording, path, or a collection of them
        The runs; see :mod:`optimizers.plots`. A dict, or the results of a race, has their names;
        an entry of a dict that is several runs, such as of ``minimize_many``, is a band.
    by : {"evaluations", "waves", "shots", "seconds"}, default "evaluations"
        The horizontal axis.
    names : iterable of str, optional
        The names of the runs.
    minimum : float, optional
        The known minimum, or of runs that maximize the maximum: then the distance to it is drawn,
        on a logarithmic axis.
    shots : int, optional
        The number of shots of each evaluation, to draw by shots; required if the record of a run
        does not have their number.
    fun : callable, optional
        The objective without noise, ``fun(x) -> float``. It is called at each iterate, and its
        values are drawn instead of those that the run saw.
    band : bool, optional
        Whether the median of runs and the band of their middle half is drawn instead of a line for
        each; by default for more than eight, and for several runs in one entry of a dict.
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
    traces = traces_of(*runs, names=names)
    figure, ax = canvas(ax)
    drawn = [_curve(trace, by, shots, fun, minimum) for trace in traces]
    groups, sign = _groups(traces, band), traces[0].sign
    if groups is not None:
        is_rising = minimum is None and sign < 0
        for i, (name, members) in enumerate(groups.items()):
            label = name if len(groups) > 1 else ""
            _draw_band(ax, [drawn[k] for k in members], color(i), label, is_rising=is_rising)
    else:
        for i, (trace, (x, best)) in enumerate(zip(traces, drawn, strict=True)):
            few = "." if len(x) == 1 else None
            single = "best so far" if fun is None else "iterates, without noise"
            label = trace.name if len(traces) > 1 or names is not None else single
            ax.plot(x, best, color=color(i), drawstyle="steps-post", marker=few, label=label)
            if fun is None:
                _draw_iterates(ax, trace, x, minimum, color(i), has_label=len(traces) == 1)
        if fun is None and len(traces) > 1 and any(trace.estimates.any() for trace in traces):
            hollow = {"markersize": 3.5, "markerfacecolor": "none"}
            ax.plot([], [], "o", color=QUIET, label=_ESTIMATES, **hollow)
    ax.legend(frameon=False)
    shown = np.concatenate([best for _, best in drawn])
    if minimum is not None or (sign > 0 and spans_decades(shown)):
        ax.set_yscale("log")
    ax.set_xlabel(_LABELS[by])
    if by != "seconds":
        count_along(ax)
    ax.set_ylabel(_label(minimum, sign))
    return figure


def _label(minimum: float | None, sign: float) -> str:
    if minimum is None:
        return "f(x)"
    return "f(x) - minimum" if sign > 0 else "maximum - f(x)"


def _groups(traces: list[Trace], band: bool | None) -> dict[str, list[int]] | None:
    """Return which runs make up each band, by name; None if each run is a line."""
    found: dict[str, list[int]] = {}
    for i, trace in enumerate(traces):
        found.setdefault(trace.family or f"{trace.name} {i}", []).append(i)
    has_families = len(found) < len(traces)
    if band is False or (band is None and not has_families and len(traces) <= _LINES):
        return None
    return found if has_families else {"": list(range(len(traces)))}


def _curve(
    trace: Trace,
    by: By,
    shots: int | None,
    fun: Callable[[Any], float] | None,
    minimum: float | None,
) -> tuple[Array, Array]:
    """Return the horizontal coordinates of a run, and its best values so far or those of fun."""
    if not len(trace.values):  # only its iterations are known
        each = _given(shots) if by == "shots" else 1
        x, values = trace.counts.astype(np.float64) * each, trace.best_of(trace.iterate_values)
    else:
        x, values = _axis(trace, by, shots), trace.best
    if fun is not None:
        if not trace.seen:
            raise InvalidInputError(
                f"The record of {trace.name} has no iterates, at which fun is called: run it with "
                "callback=History()."
            )
        x, values = _at(trace, x), np.array([float(fun(point)) for point in trace.seen])
    return x, _above(values, minimum, trace.sign)


def _given(shots: int | None) -> int:
    if shots is None:
        raise InvalidInputError(
            "by is 'shots', but the record of a run does not have their number: pass shots=..., "
            "the number of shots of an evaluation."
        )
    return shots


def _axis(trace: Trace, by: By, shots: int | None) -> Array:
    if by == "waves":
        return trace.own_waves.astype(np.float64)
    if by == "seconds":
        return np.maximum.accumulate(trace.ended)
    if by == "shots":
        unknown = np.isnan(trace.shots)
        each = np.where(unknown, _given(shots), trace.shots) if unknown.any() else trace.shots
        return np.cumsum(each)
    return np.arange(1.0, len(trace.values) + 1)


def _at(trace: Trace, x: Array) -> Array:
    """Return where the iterates are, by what each evaluation is drawn against."""
    counts = trace.counts - (trace.counts[0] - min(trace.counts[0], len(x)))
    return np.asarray(x[np.clip(counts, 1, len(x)) - 1])


def _above(values: Array, minimum: float | None, sign: float) -> Array:
    """Return the distances of values from a known minimum, or the values if there is none."""
    return values if minimum is None else sign * (values - minimum)


def _draw_iterates(
    ax: Any, trace: Trace, x: Array, minimum: float | None, hue: str, *, has_label: bool
) -> None:
    if not (len(trace.counts) and len(trace.values)):
        return
    at = _at(trace, x)
    for is_estimate, words in ((False, "iterates"), (True, _ESTIMATES)):
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


def _draw_band(
    ax: Any, curves: list[tuple[Array, Array]], hue: str, name: str, *, is_rising: bool
) -> None:
    """Draw the median of runs and their middle half; of unnamed ones also the best of all."""
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    rows = np.array([_held(x, best, grid) for x, best in curves])
    low, middle, high = np.nanquantile(rows, [0.25, 0.5, 0.75], axis=0)
    median = f"median of {len(rows)}"
    words = f"{name}: {median}" if name else median
    if len(rows) > 1:
        ax.fill_between(grid, low, high, step="post", color=hue, alpha=0.25, linewidth=0)
    ax.plot(grid, middle, drawstyle="steps-post", color=hue, label=words if len(rows) > 1 else name)
    if not name:
        best = (np.nanmax if is_rising else np.nanmin)(rows, axis=0)
        ax.plot(grid, best, drawstyle="steps-post", color=QUIET, linewidth=1, label="best of all")


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
