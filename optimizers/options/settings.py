"""Settings of a run, each declared once, and the names of their types for type checkers."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from optimizers.errors import UnknownOptionError, nearest_names
from optimizers.gradients.source import Jacobian
from optimizers.journal.journal import Journal, as_journal
from optimizers.options.table import (
    FLAG,
    NOISE,
    NUMBER,
    SECONDS,
    SEED,
    TRUTH,
    Check,
    Option,
    anything,
    choice,
    complete,
    limit,
    whole,
)
from optimizers.problem.derivatives import as_derivatives
from optimizers.problem.parameters import check_scale
from optimizers.run.observers import as_observer
from optimizers.run.progress import Progress, check_progress

SCALE = Check("str, float or array_like", check_scale).or_none

#: The settings of a run that every optimizer takes, in its constructor or in ``minimize``.
SETTINGS = (
    Option("callback", None, anything("callable or list of them")).means(
        "``callback(xk)``, ``callback(xk, fun)`` or ``callback(intermediate_result)``, called "
        "once an iteration, or a list of such; raising StopIteration or returning True ends the "
        "run with its result. Methods ``on_evaluation(evaluated)`` and ``on_run_end(result)`` that "
        "one has are called too: with each evaluation of the objective as its answer arrives, and "
        "with the result."
    ),
    Option("progress", False, Check("bool or Progress", check_progress)).means(
        "Whether a bar shows the points evaluated, of the budget, with the best value and the "
        "waves so far; of many runs one for all. Or a :class:`Progress`."
    ),
    Option(
        "workers", None, anything('int, Executor, callable, Dask client or ``"vectorized"``')
    ).means(
        "Who evaluates a wave of points: so many processes (-1: one a core), an executor, a "
        "callable without arguments that makes one, a Dask client, or a map-like callable such as "
        '``pool.map`` (one that needs arguments, or takes any number of them). ``"vectorized"``: '
        "the objective takes a stack of points (k, n)."
    ),
    Option("eval_timeout", None, SECONDS).means(
        "Seconds after which the evaluation of a point has failed. A process is killed; a thread "
        "goes on, and nobody waits for it."
    ),
    Option("retries", 0, whole(0).or_none).means(
        "How often the evaluation of a point that failed is tried again."
    ),
    Option("hedge", False, replace(choice(False, True), kind="bool")).means(
        "Whether the last running points of a wave are started a second time on idle workers, and "
        "the first answer wins."
    ),
    Option("timeout", None, SECONDS).means(
        "Seconds after which no further evaluation starts, not one that waits in a queue either; "
        "what runs is waited for, and counts."
    ),
    Option("on_failure", "raise", choice("raise", "reject")).means(
        'What a failed evaluation does: ``"raise"`` ends the run with its error, ``"reject"`` '
        "treats the point as worse than all others, as one with the value +inf always is, except "
        "at the start. An end that such points may have caused is "
        "confirmed by a fresh start from the best point, a few times at most; ``maxiter`` holds "
        "for each start, ``maxfun`` for all."
    ),
    Option("on_interrupt", "raise", choice("raise", "return")).means(
        'What Ctrl-C does: ``"raise"`` raises KeyboardInterrupt with the result so far, '
        '``"return"`` returns that result.'
    ),
    Option("seed", None, SEED).means(
        "Seeds the run's random numbers, for algorithms that draw any: whatever "
        "``numpy.random.default_rng`` takes."
    ),
    Option("noise", None, NOISE).means(
        "For differences of values with noise: the standard deviation of a value at the start, or "
        '``"estimate"`` to measure it by difference tables. Steps of central differences are then '
        "measured too, in the same wave. Where progress falls below the noise, noise and steps "
        "are measured anew and the algorithm goes on from there; the run is a success only if no "
        "visibly better point is around its end, else its reason is ``StopReason.NOISE``. The "
        "result's ``noise`` is the standard deviation there. Steps that you give stay. 0 declares "
        "that there is no noise: no point is evaluated again to look for any."
    ),
    Option("scale", None, SCALE).means(
        'What the variables are divided by before they are searched: ``"start"``, the size of each '
        'at the start; ``"bounds"``, the distance of its bounds; ``"gradient"``, the inverse of '
        "its derivative at the start, which is evaluated for that; or numbers > 0, one for all or "
        "one for each. Functions and results are in the variables' own units."
    ),
    Option(
        "journal",
        None,
        Check("str, PathLike or Journal", lambda name, value: (as_journal(value), None)[1]),
    ).means(
        "A file in which each evaluation is recorded as it arrives (``.db``: an SQLite database, "
        "else lines of JSON). The same run begun again on it goes on where it ended: what is "
        "recorded is not evaluated again. See :class:`Journal`."
    ),
    Option("journal_check", "warn", choice("warn", "error", "off")).means(
        "What is done where a journal was begun with another objective or derivative: one of "
        "another name is refused, and where the code, or a value that it uses, has changed, "
        'there is a warning; ``"error"`` refuses that too, ``"off"`` compares nothing.'
    ),
    Option("maximize", False, FLAG).means(
        "Whether ``fun`` is maximized: gradients, targets, results and what callbacks see have its "
        "sign. What an algorithm tells besides, such as ``hess_inv``, is of ``-fun``."
    ),
    Option("f_target", None, NUMBER).means(
        "A value that is good enough: the run ends, as a success, at the first evaluation that is "
        "at most this (with ``maximize``, at least), at a point that meets the constraints."
    ),
    Option("patience", None, whole(1)).means(
        "End the run, as a success, where the best value has not fallen for so many iterations."
    ),
    Option("maxfun", None, limit(1)).means(
        "The most points at which the objective may be evaluated, probes of finite differences "
        "included: a hard limit."
    ),
)
RUN_SETTINGS = tuple(setting.name for setting in SETTINGS)
#: The hard limit in points.
MAXFUN = SETTINGS[-1]

#: What constructors take besides: it belongs to no single run.
GROUPED = Option("max_evals_grouped", 1, anything("int")).means(
    "How many points one call of the objective takes: what travels in one wave, a value "
    "and the probes of its gradient for instance, is divided into such groups."
)
#: Likewise: a default of ``minimize``'s own parameter.
JAC = Option(
    "jac",
    None,
    Check(
        "callable, scheme name, GradientSource or True",
        lambda _, value: (as_derivatives(value), None)[1],
    ),
).means("The gradient where ``minimize`` gets none, of what that takes.")
#: Where options go that the constructor does not name; they may be keywords too.
OPTIONS = Option("options", None, anything("dict")).means(
    "Further options, by name; they win over the defaults of the arguments above."
)
#: What every optimizer that has the option does with it.
DISP = Option("disp", False, TRUTH.or_none).means(
    "Print the result's message and counts at the end."
)
#: How many evaluations ``minimize_async`` has under way.
IN_FLIGHT = Option("in_flight", None, whole(1)).means(
    "How many evaluations may be in flight at a time."
)


class CommonSettings(TypedDict, total=False):
    """Settings of a run that every optimizer takes, in its constructor or in ``minimize``.

    What is given to ``minimize`` wins over what was given to the constructor.
    """

    callback: Callable[..., Any] | Sequence[Callable[..., Any]] | None
    progress: bool | Progress | None
    workers: Any
    eval_timeout: float | None
    retries: int
    hedge: bool
    timeout: float | None
    on_failure: str
    on_interrupt: str
    seed: Any
    noise: float | str | None
    scale: Any
    journal: str | os.PathLike[str] | Journal | None
    journal_check: str
    maximize: bool
    f_target: float | None
    patience: int | None


class RunSettings(CommonSettings, total=False):
    """:class:`CommonSettings`, and the budget, where it is not an option of the algorithm's own."""

    maxfun: int | None


class ConstructorSettings(RunSettings, total=False):
    """:class:`RunSettings`, and the gradient where ``minimize`` gets none."""

    jac: Jacobian


complete(CommonSettings, [("Parameters", list(SETTINGS[:-1]))])
complete(ConstructorSettings, [("Parameters", [JAC])])
complete(RunSettings, [("Parameters", [MAXFUN])])

#: What ``minimize`` takes besides settings.
_PARAMETERS = ("jac", "bounds", "constraints", "hess", "hessp")
# What SciPy's minimize takes, and where it goes here.
_ELSEWHERE = {
    "args": "wrap the function, Optimizer.wrap_function(fun, args), or call the optimizer itself, "
    "optimizer(fun, x0, args=args).",
    "options": "options belong to the constructor.",
    "method": "the class is the method.",
    "tol": "tol is an option of some algorithms: their constructors take it.",
    **dict.fromkeys(
        ("fun", "x0", "jac", "hess", "hessp"), "it belongs to the problem, minimize(fun, x0, jac)."
    ),
}


def check_run_settings(
    name: str,
    settings: dict[str, Any],
    options: Iterable[str] = (),
    callback_form: tuple[str, ...] = (),
) -> None:
    """Make settings what a run gets.

    Raise an error if one is unknown, an option of the optimizer ``name``, or unusable.
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
        hint = nearest_names(setting, (*RUN_SETTINGS, *options, *_PARAMETERS))
        raise UnknownOptionError(f"{name} has no setting {setting!r}. {hint}")
    for declared in SETTINGS:
        if declared.name in settings:
            settings[declared.name] = declared.checked(settings[declared.name])
    if settings.get("callback") is not None:
        as_observer(settings["callback"], callback_form)
