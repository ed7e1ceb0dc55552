"""The pictures of a report, as SVG that uses the page's text color: light or dark."""

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers.plots import convergence, multistart, parameters, residuals, slices, waves
from optimizers.plots.figure import check_matplotlib
from optimizers.plots.traces import Trace
from optimizers.several.minima import MultistartResult

#: A placeholder for the page's own color while a picture is drawn.
_INK = "#123457"
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
#: The maximum number of variables with slices.
_SLICED = 9


def pictures_of(source: Any, traces: list[Trace]) -> list[tuple[str, str]]:
    """Return titles and SVG of all pictures that can be drawn."""
    check_matplotlib()
    drawn: list[tuple[str, str]] = []

    def add(title: str, draw: Callable[..., Any], *arguments: Any) -> None:
        drawn.append((title, _svg(draw, arguments)))

    if traces:
        add("Convergence", convergence, traces)
    if isinstance(source, MultistartResult) and source.minima:
        add("Starts and minima", multistart, source)
    if len(traces) == 1:
        (trace,) = traces
        has_points = len(trace.points) > 1 and bool(np.isfinite(trace.points).all())
        if has_points or len(trace.counts) > 1:
            add("Parameters over the run", parameters, trace)
        known = np.isfinite(trace.values).any()
        if has_points and known and trace.points.shape[1] <= _SLICED:
            add("Values along each parameter", slices, trace)
        result = trace.result
        if trace.residuals is not None or (result is not None and "residuals" in result):
            add("Residuals", residuals, trace if trace.residuals is not None else result)
    if any(worker for trace in traces for worker in trace.workers):
        add("Timeline of the workers", waves, traces)
    return drawn


def _svg(draw: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    import matplotlib

    # Text as text: it is small, can be searched, and uses the reader's fonts.
    ink: Any = {"svg.fonttype": "none", **dict.fromkeys(_INKED, _INK)}
    stream = io.StringIO()
    with matplotlib.rc_context(ink):
        draw(*arguments).savefig(stream, format="svg", transparent=True)
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    return text.replace(_INK, "currentColor")
