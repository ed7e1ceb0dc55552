"""Settings of a run, each declared once, and the names of their types for type checkers."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from optimizers.errors import UnknownOptionError, nearest_names
from optimizers.gradients.source import Jacobian
from optimizers.journal.journal import Journal, as_journal
from optimizers.journal.known import check_known
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
from optimizers.problem.scales import check_scale
from optimizers.run.observers import as_observer
from optimizers.run.progress import Progress, check_progress

SCALE = Check("str, float or array_like", check_scale).or_none

#: The settings of a run, for the constructor of any optimizer or for ``minimize``.
SETTINGS = (
    Option("callback", None, anything("callable or list of them")).means(
        "``callback(xk)``, ``callback(xk, fun)`` or ``callback(intermediate_result)``, called "
        "after each iteration, or a list of these; raising StopIteration or returning True ends "
        "the run with its result. If a callback has the methods ``on_evaluation(evaluated)`` or "
        "``on_run_end(result)``, they are called with each evaluation of the objective as it "
        "arrives, and with the result."
    ),
    Option("progress", False, Check("bool or Progress", check_progress)).means(
        "Whether to show a progress bar with the points evaluated, the budget, the best value and "
        "the number of waves; many runs share one bar. Or a :class:`Progress`."
    ),
    Option(
        "workers", None, anything('int, Executor, callable, Dask client or ``"vectorized"``')
    ).means(
        "How to evaluate a wave of points: a number of processes (-1: one per core), an executor, "
        "a callable without arguments that makes one, a Dask client, or a map-like callable such "
        "as ``pool.map`` (one that needs arguments, or accepts any number of them). "
        '``"vectorized"`` means that the objective takes a stack of points (k, n).'
    ),
    Option("eval_timeout", None, SECONDS).means(
        "Seconds after which the evaluation of a point counts as failed. A process is killed; a "
        "thread continues, and is ignored."
    ),
    Option("retries", 0, whole(0).or_none).means(
        "How often a failed evaluation of a point is repeated."
    ),
    Option("hedge", False, replace(choice(False, True), kind="bool")).means(
        "Whether the last running points of a wave are also started on idle workers; the first "
        "answer is used."
    ),
    Option("timeout", None, SECONDS).means(
        "Seconds after which no further evaluation starts, including queued ones; those that are "
        "running finish, and count."
    ),
    Option("on_failure", "raise", choice("raise", "reject")).means(
        'What to do about a failed evaluation: ``"raise"`` ends the run with its error, '
        '``"reject"`` treats the point as worse than all others, like one with the value +inf, '
        "except at the start. If such points may have caused the end, it is confirmed by a restart "
        "from the best point, a few times at most; ``maxiter`` limits each start, ``maxfun`` all."
    ),
    Option("on_interrupt", "raise", choice("raise", "return")).means(
        'What to do about Ctrl-C: ``"raise"`` raises KeyboardInterrupt with the result so far, '
        '``"return"`` returns that result.'
    ),
    Option("seed", None, SEED).means(
        "The seed of the run's random numbers, for algorithms that draw any: anything that "
        "``numpy.random.default_rng`` accepts."
    ),
    Option("noise", None, NOISE).means(
        "For differences of values with noise: the standard deviation of a value at the start, or "
        '``"estimate"``. One wave of 2 n + 4 points then tells the noise, the gradient and the '
        "curvatures for the first steps, and where these lead no further, difference tables tell "
        "the noise. With these, or with a noise that is given, the steps of central differences "
        "are measured in the same wave. When progress falls below the noise, noise and steps are "
        "measured again and the algorithm continues from there; the run is a success only if no "
        "visibly better point is near its end, otherwise its reason is ``StopReason.NOISE``. The "
        "result's ``noise`` is the standard deviation there. Steps that you give are kept. 0 "
        "declares that there is no noise: no point is evaluated again to check for it."
    ),
    Option("scale", None, SCALE).means(
        'The divisor of each variable in the search: ``"start"``, its size at the start; '
        '``"bounds"``, a tenth of the distance of its bounds; ``"gradient"``, the inverse of its '
        "derivative at the start, which is evaluated for that; or numbers > 0, one for all or one "
        "for each. Functions and results keep the variables' own units."
    ),
    Option(
        "journal",
        None,
        Check("str, PathLike or Journal", lambda name, value: (as_journal(value), None)[1]),
    ).means(
        "A file in which each evaluation is recorded as it arrives (``.db``: an SQLite database, "
        "otherwise lines of JSON). Starting the same run again resumes it: recorded evaluations "
        "are not repeated. See :class:`Journal`."
    ),
    Option("journal_check", "warn", choice("warn", "error", "off")).means(
        "What to do about a journal that was begun with another objective or derivative. One with "
        "another name is an error; if its code, or a value that it uses, has changed, there is a "
        'warning. ``"error"`` makes that an error too, ``"off"`` compares nothing.'
    ),
    Option(
        "known",
        None,
        Check("journal, Recording, History, result, Known or tuple of arrays", check_known),
    ).means(
        "Points that were evaluated already: a journal or what ``load`` returns, a History, the "
        "result of a run that had one of these, a :class:`Known`, or arrays ``(X, f)``, ``(X, f, "
        "gradients)`` or ``(X, f, gradients, errors)``. Where the algorithm asks for one of them, "
        "it gets that answer, which is not counted. The best is the start if ``x0`` is None."
    ),
    Option("maximize", False, FLAG).means(
        "Whether to maximize ``fun``: gradients, targets, results and the states in callbacks "
        "have its sign. What an algorithm can continue from, such as ``hess_inv``, belongs to "
        "``-fun``."
    ),
    Option("f_target", None, NUMBER).means(
        "A target value: the run ends, as a success, at the first feasible point with a value of "
        "at most this (with ``maximize``, at least)."
    ),
    Option("patience", None, whole(1)).means(
        "End the run, as a success, when the best value has not decreased for this many iterations."
    ),
    Option("shots", None, whole(1)).means(
        "The number of shots of an evaluation: for an objective marked by :func:`shots` the number "
        "that it gets where the algorithm does not choose it, 1000 by default; of any other, or "
        "of the caller of a stepper, what an evaluation takes."
    ),
    Option("maxshots", None, limit(1)).means(
        "The maximum number of shots of all evaluations: a hard limit. Unless the objective is "
        "marked by :func:`shots`, it needs the setting ``shots``."
    ),
    Option("maxjobs", None, limit(1)).means(
        "The maximum number of jobs, the waves in which the objective is called: a hard limit."
    ),
    Option("maxfun", None, limit(1)).means(
        "The maximum number of points at which the objective may be evaluated, including probes "
        "of finite differences: a hard limit."
    ),
)
RUN_SETTINGS = tuple(setting.name for setting in SETTINGS)
#: The hard limit in points.
MAXFUN = SETTINGS[-1]

#: A further parameter of constructors, which does not belong to a single run.
GROUPED = Option("max_evals_grouped", 1, anything("int")).means(
    "How many points one call of the objective takes: a wave, for instance a value and the probes "
    "of its gradient, is divided into groups of this size."
)
#: Likewise: a default of ``minimize``'s own parameter.
JAC = Option(
    "jac",
    None,
    Check(
        "callable, scheme name, GradientSource or True",
        lambda _, value: (as_derivatives(value), None)[1],
    ),
).means("The gradient if ``minimize`` gets none, with the same possible values.")
#: The parameter for options that the constructor does not name; they may be keywords too.
OPTIONS = Option("options", None, anything("dict")).means(
    "Further options, by name; they take precedence over the defaults of the arguments above."
)
#: The same meaning for every optimizer that has the option.
DISP = Option("disp", False, TRUTH.or_none).means(
    "Print the result's message and counts at the end."
)
#: The limit of concurrent evaluations in ``minimize_async``.
IN_FLIGHT = Option("in_flight", None, whole(1)).means(
    "How many evaluations may be in flight at a time."
)


class CommonSettings(TypedDict, total=False):
    """Settings of a run, for the constructor of any optimizer or for ``minimize``.

    Those given to ``minimize`` take precedence over those of the constructor.
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
    known: Any
    maximize: bool
    f_target: float | None
    patience: int | None
    shots: int | None
    maxshots: int | None
    maxjobs: int | None


class RunSettings(CommonSettings, total=False):
    """:class:`CommonSettings`, and the budget, if it is not an option of the algorithm."""

    maxfun: int | None


class ConstructorSettings(RunSettings, total=False):
    """:class:`RunSettings`, and the gradient if ``minimize`` gets none."""

    jac: Jacobian


complete(CommonSettings, [("Parameters", list(SETTINGS[:-1]))])
complete(ConstructorSettings, [("Parameters", [JAC])])
complete(RunSettings, [("Parameters", [MAXFUN])])

#: What ``minimize`` takes besides settings.
_PARAMETERS = ("jac", "bounds", "constraints", "hess", "hessp")
# Parameters of SciPy's minimize, and their equivalents here.
_ELSEWHERE = {
    "args": "wrap the function, Optimizer.wrap_function(fun, args), or call the optimizer itself, "
    "optimizer(fun, x0, args=args). As method= of scipy.optimize.minimize, give an object, not a "
    "class.",
    "options": "options belong to the constructor.",
    "method": "the class is the method.",
    "tol": "tol is an option of some algorithms: pass it to their constructors.",
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
    """Return the normalized settings of a run.

    Raise an error if one is not known, is an option of the optimizer ``name``, or cannot be used.
    """
    for setting in settings:
        if setting in RUN_SETTINGS:
            continue
        if setting in options:
            raise UnknownOptionError(
                f"{setting} is an option of {name}: pass it to the constructor or to set_options, "
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
