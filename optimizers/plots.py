"""Pictures of runs; needs the extra ``plot`` (matplotlib)."""

from typing import Any

from optimizers.errors import InvalidInputError, MissingExtraError
from optimizers.run.observers import History


def check_matplotlib() -> None:
    """Raise a MissingExtraError if nothing can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401  # whether it is there
    except ImportError as error:
        raise MissingExtraError("Pictures need matplotlib: pip install matplotlib.") from error


def plot_convergence(history: History, ax: Any = None, *, minimum: float | None = None) -> Any:
    """Draw the value of each iterate against the points evaluated so far.

    Parameters
    ----------
    history : History
        The record of a run: the callback that was given to it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    minimum : float, optional
        The known minimum: then the distance to it is drawn, on a logarithmic scale.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on; ``ax.figure.savefig(path)`` keeps it.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InvalidInputError
        If the history is empty.
    """
    if not isinstance(history, History):
        raise InvalidInputError(
            f"history is {history!r:.200}, expected a History: the callback of a run."
        )
    check_matplotlib()
    from matplotlib.figure import Figure

    if not len(history.fun):
        raise InvalidInputError(
            "The history is empty: pass it to minimize as callback, and plot it after the run."
        )
    if ax is None:
        ax = Figure(figsize=(6.4, 4.0), layout="constrained").subplots()
    if minimum is None:
        ax.plot(history.nfev, history.fun, marker=".")
        ax.set_ylabel("f(x)")
    else:
        ax.semilogy(history.nfev, history.fun - minimum, marker=".")
        ax.set_ylabel("f(x) - minimum")
    ax.set_xlabel("points evaluated")
    ax.grid(alpha=0.3)
    return ax
