"""Pictures of runs; needs matplotlib.

Each function takes the record of a run: the :class:`History` that was its callback, the path of its
journal or the output of :func:`load`, or the result of a run that had either. It returns a
matplotlib Figure. Jupyter shows it as the last line of a cell, ``show()`` in a window, and
``savefig`` saves it to a file.
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
