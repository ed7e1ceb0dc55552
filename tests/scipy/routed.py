"""A plugin of pytest: what SciPy's tests ask of SciPy's minimize, that of the package does."""

import functools
import sys
from typing import Any

import scipy.optimize
import scipy.optimize._minimize

from optimizers import minimize as ours

_theirs = scipy.optimize.minimize


@functools.wraps(_theirs)
def minimize(*args: Any, **kwargs: Any) -> Any:
    """Minimize by the package, but for what the package itself has of SciPy."""
    caller = str(sys._getframe(1).f_globals.get("__name__"))
    return (_theirs if caller.startswith("optimizers.") else ours)(*args, **kwargs)


def pytest_configure() -> None:
    """Put it in the place of SciPy's: as a plugin, and not where this file is only imported."""
    scipy.optimize.minimize = scipy.optimize._minimize.minimize = minimize
