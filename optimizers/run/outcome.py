"""How an algorithm ends, in its own words."""

from dataclasses import dataclass

from optimizers._types import Array
from optimizers.result import StopReason
from optimizers.run.memory import Evaluation


@dataclass
class Outcome:
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
    nit : int, optional
        The iterations that it counted, where the run saw none.
    """

    x: Array
    success: bool
    status: int
    message: str
    stop: StopReason
    known: Evaluation | None = None
    nit: int | None = None
