"""What this SciPy's kernel of L-BFGS-B can be used for, as trials show; and the form that works."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.scipy.lbfgsb import trials
from optimizers.scipy.lbfgsb.kernel import LbfgsbKernel
from optimizers.scipy.lbfgsb.public import PublicLbfgsb
from optimizers.scipy.options import LbfgsbOptions
from optimizers.scipy.trial import PROBLEM

#: Either way to run L-BFGS-B.
Kernel = LbfgsbKernel | PublicLbfgsb


def lbfgsb(x0: Array, lower: Array | None, upper: Array | None, options: LbfgsbOptions) -> Kernel:
    """Return L-BFGS-B's quickest form that works with this SciPy; see :class:`LbfgsbKernel`."""
    integer = lbfgsb_integer()
    if integer is None:
        return PublicLbfgsb(x0, lower, upper, options)
    return LbfgsbKernel(x0, lower, upper, options, integer)


@functools.cache
def lbfgsb_integer() -> type[np.signedinteger[Any]] | None:
    """Return the kernel's integer type, whose width SciPy 1.18 changes; None if it is unusable."""
    for integer in (np.int32, np.int64):
        if _passes(trials.solves, integer):
            return integer
    return None


@functools.cache
def line_search_is_replaceable() -> bool:
    """Return whether the L-BFGS-B kernel takes the steps of another line search."""
    return _passes(trials.takes_steps, lbfgsb_integer()) and _passes(
        trials.takes_no_step, lbfgsb_integer()
    )


@functools.cache
def steps_back_by_value() -> bool:
    """Return whether the L-BFGS-B kernel steps back as expected where it has no gradient."""
    return _passes(trials.steps_back, lbfgsb_integer())


def _passes(
    trial: Callable[[LbfgsbKernel], bool], integer: type[np.signedinteger[Any]] | None
) -> bool:
    if integer is None:
        return False
    options = LbfgsbOptions(maxcor=2, ftol=1e-12, gtol=1e-8)
    kernel = LbfgsbKernel(*PROBLEM, options, integer)
    try:
        return trial(kernel)
    except Exception:  # whatever a changed private interface raises, the public one remains
        return False
