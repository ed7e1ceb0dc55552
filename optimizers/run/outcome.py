"""The outcome of an algorithm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizers._shown import short
from optimizers._types import Array
from optimizers.errors import InvalidValueError
from optimizers.result import StopReason
from optimizers.run.memory import Evaluation


@dataclass
class Outcome:
    """How an algorithm ended by itself.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point where it ended.
    success : bool
        Whether its convergence test was met.
    status : int
        Its return code.
    message : str
        Its message.
    stop : StopReason
        The reason.
    known : Evaluation, optional
        The evaluation of that point; looked up in the run if not given.
    nit : int, optional
        The number of iterations, if the run did not count them.
    """

    x: Array
    success: bool
    status: int
    message: str
    stop: StopReason
    known: Evaluation | None = None
    nit: int | None = None

    __repr__ = short


def outcome_of(raw: Any, n: int) -> Outcome:
    """Return the outcome of a user's minimizer, whose result needs no more than ``x``."""

    def told(name: str) -> Any:
        return raw.get(name) if isinstance(raw, Mapping) else getattr(raw, name, None)

    try:
        x, success = np.array(told("x"), dtype=np.float64, ndmin=1), bool(told("success"))
        status, nit, words = told("status"), int(told("nit") or 0), str(told("message") or "")
        status = int(not success if status is None else status)
        is_named = not isinstance(raw, Mapping) or all(isinstance(name, str) for name in raw)
        is_result = is_named and x.size == n and bool(np.isfinite(x).all())
    except (TypeError, ValueError, OverflowError):
        is_result = False
    if not is_result:
        raise InvalidValueError(
            f"The minimizer returned {raw!r:.200}, expected a result such as scipy.optimize."
            f"OptimizeResult(x=..., success=...), with {n} finite numbers as x; status and nit, if "
            "given, are whole numbers, and all keys are strings."
        )
    stop = told("stop")
    if not isinstance(stop, StopReason):
        stop = StopReason.CONVERGED if success else StopReason.OTHER
    message = words or f"{stop.sentence[0].upper()}{stop.sentence[1:]}."
    return Outcome(x.reshape(n), success, status, message, stop, nit=nit)
