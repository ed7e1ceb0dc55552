"""The state of a SciPy method that is stopped from inside, without a result.

It has no public interface: callbacks get points and values, and only those of trust-constr get the
state. So it is read from the method's local variables, with a warning if these have other names.
"""

from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import scipy

from optimizers._types import Array
from optimizers.errors import warn_user


class Unfinished(NamedTuple):
    """An entry of a result, and the local variables of the method that it comes from."""

    entry: str
    names: tuple[str, ...]
    make: Callable[..., Any] = lambda value: value
    since: str = "0.0.0"

    def found(self, error: BaseException) -> dict[str, Any]:
        """Return the entry, if there is one, of the method that an exception passed through."""
        if np.lib.NumpyVersion(scipy.__version__) < self.since:
            return {}
        frame = _frame_of(error)
        if frame is None:  # it had not begun
            return {}
        code = frame.f_code
        if not set(self.names) <= {*code.co_varnames, *code.co_cellvars}:
            warn_user(
                f"The result of a stopped run has no {self.entry}: {code.co_name} in SciPy "
                f"{scipy.__version__} has no variables {', '.join(self.names)} to read it from."
            )
            return {}
        variables = frame.f_locals
        if not all(name in variables for name in self.names):  # not there yet
            return {}
        value = self.make(*(variables[name] for name in self.names))
        return {} if value is None else {self.entry: value}


def _sorted(simplex: Array, values: Array) -> tuple[Array, Array]:
    order = np.argsort(values)
    return simplex[order], values[order]


hess_inv = Unfinished("hess_inv", ("Hk",))
direc = Unfinished("direc", ("direc",))
#: Nelder and Mead's simplex and its values, the best point first.
final_simplex = Unfinished("final_simplex", ("sim", "fsim"), _sorted)
#: The Hessian of a trust-region method, if it was evaluated at the iterate.
hess = Unfinished("hess", ("m",), lambda model: model._h)
multipliers = Unfinished("multipliers", ("mult", "m"), lambda mult, m: mult[:m], since="1.16.0")


def _frame_of(error: BaseException) -> FrameType | None:
    """Return the frame of the SciPy method that an exception passed through."""
    traceback, found = error.__traceback__, None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_name.startswith("_minimize_") and "scipy" in code.co_filename:
            found = traceback.tb_frame  # one may call another, which does the work
        elif found is not None:
            break
        traceback = traceback.tb_next
    return found
