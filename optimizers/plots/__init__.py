"""Pictures of runs; needs the extra ``plot`` (matplotlib).

Each function takes what has a record of a run: the :class:`History` that was its callback, the
path of its journal or what :func:`load` made of that, or a result of a run that had either. What it
returns is a matplotlib Figure. Jupyter shows it as the last line of a cell, ``show()`` in a window,
and ``savefig`` saves it to a file.
"""

from optimizers.plots.curves import convergence, plot_convergence
from optimizers.plots.figure import check_matplotlib
from optimizers.plots.fits import residuals
from optimizers.plots.profiles import profile
from optimizers.plots.runs import multistart, waves
from optimizers.plots.variables import parameters, slices

__all__ = [
    "check_matplotlib",
    "convergence",
    "multistart",
    "parameters",
    "plot_convergence",
    "profile",
    "residuals",
    "slices",
    "waves",
]
