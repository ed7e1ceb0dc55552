"""How a run ends: by the algorithm's own word, or stopped, and the result either way."""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optimizers._types import Array
from optimizers.ledger import Evaluation, StopRun
from optimizers.result import OptimizerResult, StopReason

if TYPE_CHECKING:
    from optimizers.run import Run


@dataclass
class Ending:
    """How an algorithm ended by itself.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point it ends on.
    success : bool
        Whether its convergence test was met.
    status : int
        Its return code.
    message : str
        Its own words.
    stop : StopReason
        The reason.
    known : Evaluation, optional
        What it knows of that point; looked up in the run if not given.
    """

    x: Array
    success: bool
    status: int
    message: str
    stop: StopReason
    known: Evaluation | None = None


def finish(run: "Run", ending: Ending) -> OptimizerResult:
    """Return the result of an algorithm that ended by itself."""
    x = run.problem.clip(np.asarray(ending.x, dtype=np.float64))
    last = ending.known or run.recall(x)
    if last is None:
        # A solver may end on a point that it computed anew and never evaluated.
        try:
            run.value(x)
        except StopRun as stop:
            return stopped(run, stop.reason)
        last = run.recall(x)
    if last is None:  # the evaluation was rejected
        return stopped(run, StopReason.FAILED)
    result = run.result(last)
    result.update(
        success=ending.success,
        status=ending.status,
        message=ending.message,
        stop=ending.stop,
    )
    return result


def stopped(run: "Run", reason: StopReason, *, is_broken: bool = False) -> OptimizerResult:
    """Return the result of a run that was stopped: its best point.

    With `is_broken`, an error ended it, and no other is raised here; see :meth:`Ledger.result`.
    """
    # SciPy's functions end on the iterate that the callback was shown.
    result = run.result((run.halted if run.passes else None) or run.best, is_broken=is_broken)
    result.update(success=False, status=-1, message=f"Stopped: {reason.sentence}.", stop=reason)
    return result


def attach(run: "Run", error: BaseException, reason: StopReason) -> None:
    """Give the result so far to an error that ends the run, as an attribute and in a note."""
    result = stopped(run, reason, is_broken=True)
    found = "none with a value" if result.best is None else f"best f(x) = {result.fun!r}"
    note = (
        f"The run ended after {run.nfev} evaluations, {found}; "
        "the result so far is in this exception's attribute 'optimizer_result'."
    )
    # A class of the user's may refuse both; that must not hide the error itself.
    with contextlib.suppress(Exception):
        error.optimizer_result = result  # type: ignore[attr-defined]  # documented attribute
    with contextlib.suppress(Exception):
        error.add_note(note)
