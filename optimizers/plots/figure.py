"""Figures as this package draws them, and as Jupyter shows them."""

import io
from typing import Any

from optimizers.errors import MissingExtraError

#: The cycle of colors: distinguishable for color-blind readers, on light and dark backgrounds.
COLORS = ("#3b78c2", "#d9730d", "#2f9e6e", "#b5549c", "#8a6d3b", "#5b5bd6", "#c94a4a", "#4a9aa8")
#: The color of what belongs to no run, such as a known minimum.
QUIET = "#8a8a8a"


def color(i: int) -> str:
    """Return the color of the i-th curve."""
    return COLORS[i % len(COLORS)]


def check_matplotlib() -> None:
    """Raise a MissingExtraError if matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401  # whether it is there
    except ImportError as error:
        raise MissingExtraError("Pictures need matplotlib: pip install matplotlib.") from error


def picture(rows: int = 1, columns: int = 1, *, width: float = 6.4, height: float = 4.0) -> Any:
    """Return a new Figure and its axes, an array of shape (rows, columns).

    It belongs to no window system until it is shown, and Jupyter shows it whether or not pyplot was
    imported.
    """
    check_matplotlib()
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            return _as_png(self)

        def show(self, warn: bool = True) -> None:
            """Open a window, as pyplot does, and wait until it is closed."""
            _show(self)

    class PictureAxes(Axes):
        def _repr_png_(self) -> bytes:
            return _as_png(self.figure)

    Picture.__name__, PictureAxes.__name__ = "Figure", "Axes"  # their names for readers
    figure = Picture(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, subplot_kw={"axes_class": PictureAxes})
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
        ax.ticklabel_format(useOffset=False)  # whole values, however little they differ
    return figure, axes


def count_along(ax: Any) -> None:
    """Let automatic ticks along x be whole numbers only, for an axis of counts."""
    from matplotlib.ticker import MaxNLocator

    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        locator.set_params(integer=True)


def _as_png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _show(figure: Any) -> None:
    from matplotlib import pyplot

    try:
        pyplot.figure(figure)
    except ValueError as error:
        raise MissingExtraError(
            "Figures can be shown with matplotlib 3.11 or newer: pip install -U matplotlib. "
            "With an older one, keep them by savefig."
        ) from error
    pyplot.show()


def canvas(ax: Any) -> tuple[Any, Any]:
    """Return the figure and the axes to draw on: the given ones, or new ones."""
    if ax is not None:
        check_matplotlib()
        return ax.figure, ax
    figure, axes = picture()
    return figure, axes[0, 0]


def spans_decades(values: Any) -> bool:
    """Return whether positive numbers need a logarithmic axis."""
    import numpy as np

    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 100 * finite.min())
