"""What a method of SciPy's has found when it is stopped from inside: its result is never made."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

#: Makes entries of a result from a method's local variables, of which some may not be there yet.
Unfinished: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]


def _variable(entry: str, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {entry: found[name]} if name in found else {}


hess_inv = functools.partial(_variable, "hess_inv", "Hk")
direc = functools.partial(_variable, "direc", "direc")


def final_simplex(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return Nelder and Mead's simplex and its values, the best point first."""
    if "fsim" not in found:
        return {}
    order = np.argsort(found["fsim"])
    return {"final_simplex": (found["sim"][order], found["fsim"][order])}


def hess(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Hessian of a trust-region method, if it was evaluated at the iterate."""
    hessian = getattr(found.get("m"), "_h", None)
    return {} if hessian is None else {"hess": hessian}


def state(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what trust-constr had after its last iteration."""
    return dict(found.get("state", ()))


def multipliers(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of SLSQP, since SciPy 1.16."""
    return {"multipliers": found["mult"][: found["m"]]} if "mult" in found else {}


def variables_of(error: BaseException) -> Mapping[str, Any]:
    """Return the local variables of the method of SciPy's that an exception came through."""
    traceback, found = error.__traceback__, None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_name.startswith("_minimize_") and "scipy" in code.co_filename:
            found = traceback.tb_frame  # one may call another, which does the work
        elif found is not None:
            break
        traceback = traceback.tb_next
    return {} if found is None else found.f_locals
