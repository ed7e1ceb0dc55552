"""Checks of declarations: support levels, settings, and messages about unsupported ones."""

import json
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from optimizers.errors import (
    CapabilityError,
    FrequencyWarning,
    OptimizerWarning,
    UnknownOptionError,
)
from optimizers.support import SupportLevel
from optimizers.testing.trial import (
    Factory,
    bowl_for,
    raised,
    replaces_minimize,
    run,
    start_for,
    takes_setting,
)


def check_support_levels(make: Factory) -> None:
    """Check that the levels are declared, and that the properties say the same."""
    optimizer = make()
    levels = optimizer.get_support_level()
    for what in ("gradient", "bounds", "initial_point"):
        level = levels.get(what)
        assert isinstance(level, SupportLevel), (
            f"get_support_level returns {level!r} for {what!r}: declare a SupportLevel for it."
        )
        properties = {
            f"{what}_support_level": level,
            f"is_{what}_ignored": level == SupportLevel.ignored,
            f"is_{what}_required": level == SupportLevel.required,
            f"is_{what}_supported": level != SupportLevel.not_supported,
        }
        override = "differs from get_support_level: override only get_support_level."
        for name, value in properties.items():
            assert getattr(optimizer, name) == value, f"{name} {override}"


def check_settings_round_trip(make: Factory) -> None:
    """Check that the settings rebuild an equal, independent object, also through JSON."""
    try:
        optimizer = make(maxfun=500, timeout=60.0, on_failure="reject")
    except TypeError as error:
        if not replaces_minimize(make()):
            raise AssertionError(
                f"The constructor accepts no settings of a run ({error}): add **settings, and pass "
                "them to super().__init__(**settings)."
            ) from error
        optimizer = make()  # settings would have no effect there
    cls, forms = type(optimizer), [optimizer.settings]
    if not any(map(callable, optimizer.settings.values())):  # JSON has no functions
        forms.append(json.loads(json.dumps(optimizer.settings)))
    for settings in forms:
        twin = cls(**settings)
        hold = "is not equal: settings must hold each argument of the constructor by its name"
        assert twin == optimizer, f"{cls.__name__}(**optimizer.settings) {hold}."
        twin.set_max_evals_grouped(5)
        assert twin != optimizer, "Objects with different settings are equal: compare settings."
    assert cls.__name__ in optimizer.setting, "setting, the text, must name the class."


def check_unknown_setting(make: Factory) -> None:
    """Check that a setting that does not exist is an error that names the nearest one."""
    kind = bowl_for(make())
    attempts: list[Callable[[], Any]] = [lambda: make().set_options(no_such_option=1)]
    if not replaces_minimize(make()):
        attempts.append(lambda: make(timeuot=3.0))
    if takes_setting(make(), "timeuot"):
        attempts.append(lambda: run(make(), kind(), timeuot=3.0))
    say = "list the known names, as Optimizer and FlowOptimizer do for settings passed to them."
    for attempt in attempts:
        told = str(raised(UnknownOptionError, attempt, say))
        is_named = "timeout" in told or "no_such_option" in told
        assert is_named, f"The message names neither the given nor the nearest setting: {told}"


def check_nothing_in_silence(make: Factory) -> None:
    """Check that an ignored argument gives one warning, and a missing one an error at once."""
    kind = bowl_for(make())
    optimizer = make()
    levels = optimizer.get_support_level()
    given: dict[str, Any] = {"gradient": ("jac", kind().jac), "bounds": ("bounds", [(-3, 3)] * 3)}
    for what, (name, value) in given.items():
        if levels[what] == SupportLevel.ignored:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                run(optimizer, kind(), **{name: value})
            warn = "warn once, with an OptimizerWarning, or declare that it is not supported."
            # One about the objective is about something else.
            kinds = [w.category for w in caught if w.category is not FrequencyWarning]
            assert kinds == [OptimizerWarning], f"{name} was given and is ignored: {warn}"
        if levels[what] == SupportLevel.required:
            bowl = kind()
            attempt = partial(optimizer.minimize, bowl, start_for(optimizer))
            error = raised(CapabilityError, attempt, f"{name} is required but was not given.")
            assert name in str(error), f"The message does not name {name}: {error}"
            assert not bowl.points, f"Raise the error about {name} before the first evaluation."
