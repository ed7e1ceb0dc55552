"""Profiles: the share of problems that each optimizer solves, and how fast."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from optimizers._types import Array
from optimizers.errors import InvalidInputError
from optimizers.plots.figure import canvas, color
from optimizers.plots.traces import Trace, traces_of


def profile(
    runs: Mapping[str, Mapping[str, Any]],
    *,
    kind: Literal["data", "performance"] = "data",
    tolerance: float = 1e-3,
    by: Literal["evaluations", "waves"] = "evaluations",
    ax: Any = None,
) -> Any:
    r"""Draw the share of problems that each optimizer solves within some number of evaluations.

    A problem counts as solved when a value is found with
    :math:`f(x) \le f^* + \tau\,(f(x_0) - f^*)`, where :math:`f^*` is the lowest value that any of
    the optimizers found there [1]_.

    Parameters
    ----------
    runs : dict of dict
        ``runs[optimizer][problem]`` is the record of a run; see :mod:`optimizers.plots`.
    kind : {"data", "performance"}, default "data"
        Whether the horizontal axis has evaluations divided by n + 1, or by those of the fastest.
    tolerance : float, default 1e-3
        The :math:`\tau` above.
    by : {"evaluations", "waves"}, default "evaluations"
        The unit of cost; waves are not divided by n + 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    References
    ----------
    .. [1] J. J. Moré and S. M. Wild, "Benchmarking derivative-free optimization algorithms", SIAM
       Journal on Optimization 20 (2009) 172-191.
    """
    if kind not in ("data", "performance") or by not in ("evaluations", "waves"):
        raise InvalidInputError(
            f"kind is {kind!r} and by is {by!r}, expected 'data' or 'performance', and "
            "'evaluations' or 'waves'."
        )
    if not isinstance(runs, Mapping) or not all(isinstance(own, Mapping) for own in runs.values()):
        raise InvalidInputError("runs is not a dict of dicts, expected runs[optimizer][problem].")
    problems = sorted({str(problem) for own in runs.values() for problem in own})
    costs = {name: np.full(len(problems), np.inf) for name in runs}
    for row, problem in enumerate(problems):
        traces = {name: traces_of(own[problem])[0] for name, own in runs.items() if problem in own}
        lowest = min(np.nanmin(trace.costs) for trace in traces.values())
        for name, trace in traces.items():
            costs[name][row] = _cost(trace, lowest, tolerance, by)
    table = np.array(list(costs.values()))
    if kind == "performance":
        fastest = table.min(axis=0)
        table = np.where(np.isfinite(table), table / np.where(fastest > 0, fastest, 1), np.inf)
    figure, ax = canvas(ax)
    finite = table[np.isfinite(table)]
    end = 1.1 * finite.max() if len(finite) else 1.0
    is_wide = len(finite) > 0 and finite.max() > 30 * finite.min()
    first = 0.8 * finite.min() if is_wide else 0.0
    for i, (name, row) in enumerate(zip(costs, table, strict=True)):
        solved = np.sort(row[np.isfinite(row)])
        share = np.arange(1, len(solved) + 1) / len(problems)
        last = share[-1:] if len(share) else [0.0]
        x, y = [first, *solved, end], [0.0, *share, *last]
        ax.plot(x, y, drawstyle="steps-post", color=color(i), label=str(name))
    ax.set_ylim(-0.02, 1.02)
    if is_wide:
        from matplotlib.ticker import LogLocator

        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
    words = {"evaluations": "points evaluated / (n + 1)", "waves": "waves"}[by]
    ax.set_xlabel(words if kind == "data" else f"{by} / those of the fastest")
    ax.set_ylabel(f"share of {len(problems)} problems solved to {tolerance:g}")
    ax.legend(frameon=False)
    return figure


def _cost(trace: Trace, lowest: float, tolerance: float, by: str) -> float:
    """Return the cost of a run to solve its problem; infinity if it did not."""
    values: Array = trace.costs
    first = values[np.isfinite(values)][:1]
    limit = lowest + tolerance * (float(first[0]) - lowest) if len(first) else -np.inf
    solved = np.flatnonzero(values <= limit)
    if not len(solved):
        return float("inf")
    at = int(solved[0])
    return float(trace.own_waves[at]) if by == "waves" else (at + 1) / (trace.points.shape[1] + 1)
