"""A fit of residuals: what is left of the data, and whether it looks like noise."""

from typing import Any

import numpy as np

from optimizers._types import ArrayLike
from optimizers.errors import InvalidInputError
from optimizers.plots.figure import QUIET, color, count_along, picture
from optimizers.plots.traces import traces_of
from optimizers.result import OptimizerResult


def residuals(run: Any, t: ArrayLike | None = None, y: ArrayLike | None = None) -> Any:
    """Draw the residuals of a fit, with the data and the model where these are told.

    Parameters
    ----------
    run : OptimizerResult, Recording or path
        The run of an objective of residuals, ``model - data``.
    t : array_like of shape (m,), optional
        The horizontal coordinates of the data; their indices by default.
    y : array_like of shape (m,), optional
        The data: then they are drawn with the model, which is data + residuals.

    Returns
    -------
    matplotlib.figure.Figure
        The picture. Beside the residuals is how they are distributed, against a normal
        distribution of the same width.
    """
    left = run.get("residuals") if isinstance(run, OptimizerResult) else traces_of(run)[0].residuals
    if left is None:
        raise InvalidInputError("This run has no residuals: its objective returns a single value.")
    left = np.asarray(left, dtype=np.float64)
    at = np.arange(left.size) if t is None else np.asarray(t, dtype=np.float64).ravel()
    data = None if y is None else np.asarray(y, dtype=np.float64).ravel()
    for name, given in (("t", at), ("y", data)):
        if given is not None and given.size != left.size:
            raise InvalidInputError(f"{name} has {given.size} entries, expected {left.size}.")
    rows = 1 if data is None else 2
    figure, axes = picture(rows, 2, width=7.6, height=2.6 * rows)
    axes[0, 0].get_gridspec().set_width_ratios([3, 1])
    order = np.argsort(at)
    if data is not None:
        ax = axes[0, 0]
        ax.plot(at, data, ".", color=QUIET, label="data")
        ax.plot(at[order], (data + left)[order], color=color(0), label="model")
        ax.set_ylabel("y")
        ax.legend(frameon=False)
        ax.sharex(axes[1, 0])
        axes[0, 1].set_visible(False)
    ax, side = axes[-1]
    ax.vlines(at, 0.0, left, color=color(0), linewidth=1, alpha=0.6)
    ax.plot(at, left, ".", color=color(0), markersize=5)
    ax.axhline(0.0, color=QUIET, linewidth=1)
    ax.set_xlabel("t" if t is not None else "number")
    ax.set_ylabel("residual")
    side.sharey(ax)
    side.tick_params(labelleft=False)
    how: dict[str, Any] = {"orientation": "horizontal", "color": color(0), "alpha": 0.5}
    _, edges, _ = side.hist(left, bins="auto", **how)
    width = float(np.sqrt(np.mean(left**2)))
    if width > 0:
        grid = np.linspace(left.min() - width, left.max() + width, 200)
        density = np.exp(-((grid / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
        side.plot(density * left.size * (edges[1] - edges[0]), grid, color=color(1), label="normal")
        side.legend(frameon=False)
    side.set_xlabel("count")
    count_along(side)
    return figure
