"""SciPy's kernel of TNC, called directly if a trial shows that it works, otherwise publicly."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import scipy.optimize

from optimizers._types import Array
from optimizers.scipy.options import TNC_OPTIONS
from optimizers.scipy.stationary import Evaluate
from optimizers.scipy.trial import PROBLEM, is_end, trial

_ORDER = (
    *("scale", "offset", "maxCGit", "maxfun", "eta", "stepmx"),
    *("accuracy", "minfev", "ftol", "xtol", "gtol", "rescale"),
)
#: SciPy's defaults of TNC's options, in the order in which the kernel takes them.
TNC_DEFAULTS = {
    **dict.fromkeys(_ORDER, 100),  # maxfun, which has another meaning here
    **{option.name: option.default for option in TNC_OPTIONS if option.name in _ORDER},
}


#: The objective, start, bounds (infinite for none, never equal), all options, observer of iterates.
Arguments: TypeAlias = tuple[Evaluate, Array, Array, Array, dict[str, Any], Callable[[Array], None]]


def tnc(*arguments: *Arguments) -> tuple[int, Array]:
    """Run TNC in the fastest way that works; return its code and the final point."""
    return (compiled_tnc if tnc_works() else public_tnc)(*arguments)


def compiled_tnc(*arguments: *Arguments) -> tuple[int, Array]:
    """Run TNC on the kernel."""
    evaluate, x0, lower, upper, options, on_iteration = arguments
    scale, offset, *others = (options[name] for name in TNC_DEFAULTS)
    scaling = [np.array([]) if given is None else given for given in (scale, offset)]
    messages = 0  # it would print to standard error; the driver reports instead
    code, _, _, x, _, _ = scipy.optimize._moduleTNC.tnc_minimize(
        evaluate, x0, lower, upper, *scaling, messages, *others, on_iteration
    )
    return int(code), x


def public_tnc(*arguments: *Arguments) -> tuple[int, Array]:
    """Run TNC through SciPy's public function."""
    evaluate, x0, lower, upper, options, on_iteration = arguments
    # SciPy evaluates the last point again: the end of an iteration is known.
    known: dict[bytes, tuple[float, Array]] = {}

    def cached(x: Array) -> tuple[float, Array]:
        key = x.tobytes()
        if key not in known:
            known[key] = evaluate(x)
        return known[key]

    def iteration(x: Array) -> None:
        answer = known.get(x.tobytes())
        known.clear()
        if answer is not None:
            known[x.tobytes()] = answer
        on_iteration(x)

    raw = scipy.optimize.minimize(
        cached,
        x0,
        jac=True,
        bounds=scipy.optimize.Bounds(lower, upper),
        method="TNC",
        callback=iteration,
        options=options,
    )
    return int(raw.status), raw.x


@functools.cache
def tnc_works() -> bool:
    """Return whether the TNC kernel behaves as expected."""
    try:
        code, x = compiled_tnc(trial, *PROBLEM, TNC_DEFAULTS, lambda x: None)
    except Exception:  # a changed private interface may raise anything
        return False
    return code in (0, 1, 2) and is_end(x)
