"""Settings of a run and the values that they and the common options may have."""

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

import numpy as np

from optimizers.errors import OptionError, UnknownOptionError, nearest_names
from optimizers.observers import as_observer


class CommonSettings(TypedDict, total=False):
    """Settings of a run that every optimizer takes, in its constructor or in ``minimize``.

    What is given to ``minimize`` wins over what was given to the constructor.

    Parameters
    ----------
    callback : callable
        ``callback(xk)`` or ``callback(intermediate_result)``, called once an iteration; raising
        StopIteration or returning True ends the run with its result.
    workers : ``"vectorized"`` or a map-like callable
        How a wave of points is evaluated; see :class:`Evaluator`.
    timeout : float
        Seconds after which no further evaluation starts.
    on_failure : {"raise", "reject"}
        What a failed evaluation does: ``"raise"`` (default) ends the run with its error,
        ``"reject"`` treats the point as worse than all others. An end that such points may have
        caused is confirmed by a fresh start from the best point, a few times at most; ``maxiter``
        holds for each start, ``maxfun`` for all.
    seed : int or numpy.random.Generator
        Seeds the run's random numbers, for algorithms that draw any.
    noise : float or ``"estimate"``
        For differences of values with noise: the standard deviation of a value at the start, or
        ``"estimate"`` to measure it by difference tables. Steps of central differences are then
        measured too, in the same wave. Where progress falls below the noise, noise and steps are
        measured anew and the algorithm goes on from there; the run is a success only if no
        visibly better point is around its end, else its reason is ``StopReason.NOISE``. The
        result's ``noise`` is the standard deviation there. Steps that you give stay.
    """

    callback: Callable[..., Any] | None
    workers: Any
    timeout: float | None
    on_failure: str
    seed: Any
    noise: float | str | None


class RunSettings(CommonSettings, total=False):
    """:class:`CommonSettings`, and the budget, where it is no option of the algorithm's own.

    Parameters
    ----------
    maxfun : int
        The most points at which the objective may be evaluated, probes of finite differences
        included: a hard limit.
    """

    maxfun: int | None


RUN_SETTINGS = (*CommonSettings.__annotations__, "maxfun")

# The least value of options that are whole numbers; None stands for the default.
_WHOLE = {"maxfun": 1, "maxfev": 1, "maxiter": 0, "maxcor": 1, "maxls": 1}
_NUMBERS = frozenset(
    ("ftol", "xtol", "gtol", "xatol", "fatol", "accuracy", "barrier_tol", "rhobeg", "catol")
)


def check_option(name: str, value: Any) -> None:
    """Raise an error if an option that many algorithms share has a value that cannot be used.

    Parameters
    ----------
    name : str
        The option's name; one that is not shared may have any value.
    value : object
        What was given.

    Raises
    ------
    OptionError
        If it is no whole number where that is meant, too small, or no number at all.
    """
    if name in _WHOLE and value is not None:
        least = _WHOLE[name]
        if not (is_number(value) and value >= least and value == int(value)):
            raise OptionError(f"{name} is {value!r}, expected a whole number >= {least}.")
    if name in _NUMBERS and not (is_number(value) and not np.isnan(value)):
        raise OptionError(f"{name} is {value!r}, expected a number.")
    if name == "tol" and value is not None and not (is_number(value) and value >= 0):
        raise OptionError(f"tol is {value!r}, expected a number >= 0.")
    if name in ("eps", "finite_diff_rel_step") and value is not None and not _are_steps(value):
        raise OptionError(f"{name} is {value!r}, expected finite numbers other than zero.")


def _are_steps(value: Any) -> bool:
    try:
        steps = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return bool(np.isfinite(steps).all() and steps.all())


def check_run_settings(name: str, settings: dict[str, Any], options: Iterable[str] = ()) -> None:
    """Raise an error if a setting of a run is unknown or has a value that cannot be used.

    Parameters
    ----------
    name : str
        The optimizer's name, for messages.
    settings : dict
        What was given.
    options : iterable of str
        The optimizer's options: one of them among the settings belongs to the constructor.
    """
    for setting in settings:
        if setting in RUN_SETTINGS:
            continue
        if setting in options:
            raise UnknownOptionError(
                f"{setting} is an option of {name}: give it to the constructor or to set_options, "
                "not to minimize."
            )
        raise UnknownOptionError(
            f"{name} has no setting {setting!r}. {nearest_names(setting, RUN_SETTINGS)}"
        )
    timeout = settings.get("timeout")
    check_option("maxfun", settings.get("maxfun"))
    if timeout is not None and not (is_number(timeout) and timeout > 0):
        raise OptionError(f"timeout is {timeout!r}, expected a number of seconds > 0.")
    if settings.get("on_failure", "raise") not in ("raise", "reject"):
        raise OptionError(
            f"on_failure is {settings['on_failure']!r}, expected 'raise' or 'reject'."
        )
    noise = settings.get("noise")
    is_deviation = is_number(noise) and 0 < float(str(noise)) < np.inf
    if not (noise is None or is_deviation or (isinstance(noise, str) and noise == "estimate")):
        raise OptionError(f"noise is {noise!r}, expected a standard deviation > 0 or 'estimate'.")
    if settings.get("callback") is not None:
        as_observer(settings["callback"])


def is_number(value: object) -> bool:
    """Return whether a value is a real number."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
