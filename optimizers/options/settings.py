"""Settings of a run and the values that they and the common options may have."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

import numpy as np

from optimizers.errors import OptionError, UnknownOptionError, nearest_names
from optimizers.journal.journal import Journal, as_journal
from optimizers.run.observers import as_observer


class CommonSettings(TypedDict, total=False):
    """Settings of a run that every optimizer takes, in its constructor or in ``minimize``.

    What is given to ``minimize`` wins over what was given to the constructor.

    Parameters
    ----------
    callback : callable
        ``callback(xk)``, ``callback(xk, fun)`` or ``callback(intermediate_result)``, called once an
        iteration; raising StopIteration or returning True ends the run with its result.
    workers : int, Executor, callable, Dask client or ``"vectorized"``
        Who evaluates a wave of points: so many processes (-1: one a core), an executor, a callable
        without arguments that makes one, a Dask client, or a map-like callable such as
        ``pool.map`` (one that needs arguments, or takes any number of them). ``"vectorized"``: the
        objective takes a stack of points (k, n).
    eval_timeout : float
        Seconds after which the evaluation of a point has failed. A process is killed; a thread
        goes on, and nobody waits for it.
    retries : int
        How often the evaluation of a point that failed is tried again, default 0.
    hedge : bool
        Whether the last running points of a wave are started a second time on idle workers, and
        the first answer wins; default False.
    timeout : float
        Seconds after which no further evaluation starts.
    on_failure : {"raise", "reject"}
        What a failed evaluation does: ``"raise"`` (default) ends the run with its error,
        ``"reject"`` treats the point as worse than all others. An end that such points may have
        caused is confirmed by a fresh start from the best point, a few times at most; ``maxiter``
        holds for each start, ``maxfun`` for all.
    on_interrupt : {"raise", "return"}
        What Ctrl-C does: ``"raise"`` (default) raises KeyboardInterrupt with the result so far,
        ``"return"`` returns that result.
    seed : int, numpy.random.Generator or other
        Seeds the run's random numbers, for algorithms that draw any: whatever
        ``numpy.random.default_rng`` takes.
    noise : float or ``"estimate"``
        For differences of values with noise: the standard deviation of a value at the start, or
        ``"estimate"`` to measure it by difference tables. Steps of central differences are then
        measured too, in the same wave. Where progress falls below the noise, noise and steps are
        measured anew and the algorithm goes on from there; the run is a success only if no
        visibly better point is around its end, else its reason is ``StopReason.NOISE``. The
        result's ``noise`` is the standard deviation there. Steps that you give stay.
    journal : str, PathLike or Journal
        A file in which each evaluation is recorded as it arrives (``.db``: an SQLite database,
        else lines of JSON). The same run begun again on it goes on where it ended: what is
        recorded is not evaluated again. See :class:`Journal`.
    """

    callback: Callable[..., Any] | None
    workers: Any
    eval_timeout: float | None
    retries: int
    hedge: bool
    timeout: float | None
    on_failure: str
    on_interrupt: str
    seed: Any
    noise: float | str | None
    journal: str | os.PathLike[str] | Journal | None


class RunSettings(CommonSettings, total=False):
    """:class:`CommonSettings`, and the budget, where it is no option of the algorithm's own.

    Parameters
    ----------
    maxfun : int
        The most points at which the objective may be evaluated, probes of finite differences
        included: a hard limit.
    """

    maxfun: int | None


# What SciPy's minimize takes, and where it goes here.
_ELSEWHERE = {
    "args": "wrap the function, Optimizer.wrap_function(fun, args), or call the optimizer itself, "
    "optimizer(fun, x0, args=args).",
    "options": "options belong to the constructor.",
    "method": "the class is the method.",
    **dict.fromkeys(
        ("fun", "x0", "jac", "hess", "hessp"), "it belongs to the problem, minimize(fun, x0, jac)."
    ),
}

RUN_SETTINGS = (*CommonSettings.__annotations__, "maxfun")

# The least value of options that are whole numbers; None stands for the default.
_WHOLE = {
    "maxfun": 1,
    "maxfev": 1,
    "maxiter": 0,
    "maxcor": 1,
    "maxls": 1,
    "retries": 0,
    "in_flight": 1,
    "speculate": 1,
}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "on_failure": ("raise", "reject"),
    "on_interrupt": ("raise", "return"),
    "hedge": (False, True),
}
_NUMBERS = (
    *("ftol", "xtol", "gtol", "xatol", "fatol", "accuracy", "barrier_tol", "rhobeg", "catol"),
    *("eta", "stepmx", "minfev", "rescale"),
)
_LEVELS = ("iprint", "mesg_num")
_REAL = (int, float, np.integer, np.floating)


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
    check = _CHECKS.get(name)
    # None stands for the default, but not for a number.
    if check is not None and (value is not None or check is check_number):
        check(name, value)


def as_options(name: str, given: Any) -> dict[str, Any]:
    """Return a dict of the options given to an optimizer of that name; None stands for none."""
    if not (given is None or isinstance(given, Mapping)):
        raise OptionError(f"options of {name} is {given!r}, expected a dict of options by name.")
    return dict(given or {})


def check_number(name: str, value: Any) -> None:
    """Raise an OptionError if an option is no number."""
    # NaN is the number that is not equal to itself.
    if not (is_number(value) and value == value):
        raise OptionError(f"{name} is {value!r}, expected a number.")


def check_whole(name: str, value: Any, least: float = -math.inf) -> None:
    """Raise an OptionError if an option is no whole number, or less than ``least``."""
    if type(value) is int and value >= least:
        return
    if not (is_number(value) and value >= least and math.isfinite(value) and value == int(value)):
        at_least = f" >= {least}" if least > -math.inf else ""
        raise OptionError(f"{name} is {value!r}, expected a whole number{at_least}.")


def check_level(name: str, value: Any) -> None:
    """Raise an OptionError if an option does not say how much to print."""
    if not (value is None or isinstance(value, bool | np.bool_)):
        check_whole(name, value)


def check_steps(name: str, value: Any) -> None:
    """Raise an OptionError if an option cannot be the steps of differences."""
    if not _are_steps(value):
        raise OptionError(f"{name} is {value!r}, expected finite numbers other than zero.")


def _check_least(name: str, value: Any) -> None:
    check_whole(name, value, _WHOLE[name])


def _check_tolerance(name: str, value: Any) -> None:
    if not (is_number(value) and value >= 0):
        raise OptionError(f"{name} is {value!r}, expected a number >= 0.")


# A call of a functional face checks a dozen options: one look-up each.
_CHECKS: dict[str, Callable[[str, Any], None]] = {
    **dict.fromkeys(_WHOLE, _check_least),
    **dict.fromkeys(_NUMBERS, check_number),
    **dict.fromkeys(_LEVELS, check_level),
    **dict.fromkeys(("eps", "finite_diff_rel_step"), check_steps),
    "maxCGit": check_whole,
    "tol": _check_tolerance,
}


def check_seed(seed: Any) -> None:
    """Raise an OptionError if NumPy makes no generator of a seed."""
    try:
        np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"seed is {seed!r}, expected what numpy.random.default_rng takes, such as a whole "
            f"number >= 0 or a Generator ({error})."
        ) from error


def _are_steps(value: Any) -> bool:
    if type(value) is float:
        return value != 0.0 and math.isfinite(value)
    try:
        steps = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return bool(np.isfinite(steps).all() and steps.all())


def check_run_settings(
    name: str,
    settings: dict[str, Any],
    options: Iterable[str] = (),
    callback_form: tuple[str, ...] = (),
) -> None:
    """Raise an error if a setting of a run is unknown or has a value that cannot be used.

    Parameters
    ----------
    name : str
        The optimizer's name, for messages.
    settings : dict
        What was given.
    options : iterable of str
        The optimizer's options: one of them among the settings belongs to the constructor.
    callback_form : tuple of str
        What Qiskit's callbacks get, as in :func:`as_observer`.
    """
    for setting in settings:
        if setting in RUN_SETTINGS:
            continue
        if setting in options:
            raise UnknownOptionError(
                f"{setting} is an option of {name}: give it to the constructor or to set_options, "
                "not to minimize."
            )
        if setting in _ELSEWHERE:
            raise UnknownOptionError(f"{name} has no setting {setting!r}: {_ELSEWHERE[setting]}")
        raise UnknownOptionError(
            f"{name} has no setting {setting!r}. {nearest_names(setting, RUN_SETTINGS)}"
        )
    check_option("maxfun", settings.get("maxfun"))
    check_option("retries", settings.get("retries"))
    for name in ("timeout", "eval_timeout"):
        seconds = settings.get(name)
        if seconds is not None and not (is_number(seconds) and seconds > 0):
            raise OptionError(f"{name} is {seconds!r}, expected a number of seconds > 0.")
    for name, choices in _CHOICES.items():
        if settings.get(name, choices[0]) not in choices:
            raise OptionError(f"{name} is {settings[name]!r}, expected {choices}.")
    check_seed(settings.get("seed"))
    noise: Any = settings.get("noise")
    is_deviation = is_number(noise) and 0 < noise < np.inf
    if not (noise is None or is_deviation or (isinstance(noise, str) and noise == "estimate")):
        raise OptionError(f"noise is {noise!r}, expected a standard deviation > 0 or 'estimate'.")
    as_journal(settings.get("journal"))
    if settings.get("callback") is not None:
        as_observer(settings["callback"], callback_form)


def is_number(value: object) -> bool:
    """Return whether a value is a real number."""
    return isinstance(value, _REAL) and not isinstance(value, bool)
