"""Values that are reported with their standard errors, if the objective returns these."""

import numpy as np

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.flow import Flow, Told, ended
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.variational.measuring import told_error


def error_of_mean(told: Told) -> dict[str, float]:
    """Return the entry ``fun_error`` for the mean of the known values of a wave, if it is known."""
    typical = told_error(told)
    if typical is None or told.errors is None:
        return {}
    errors = np.nan_to_num(told.errors, nan=typical)[told.known]
    return {"fun_error": float(np.linalg.norm(errors)) / len(errors)} if len(errors) else {}


def ended_measured(run: Run, x: Array, stop: StopReason) -> Flow:
    """Evaluate the point where a run ends, and end there with the standard error of its value."""
    told = yield AskData(x[np.newaxis])
    if not np.all(told.known):
        return ended(x, stop)
    run.extra.update(error_of_mean(told))
    return ended(x, stop, float(told.fun[0]))
