"""The optimizer and the settings of a run, from what ``-o`` says."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from optimizers.cli.reading import UsageError, read_option
from optimizers.describe import further_options
from optimizers.errors import UnknownOptionError, nearest_names
from optimizers.optimizer import Optimizer
from optimizers.options.settings import RUN_SETTINGS, check_run_settings

#: What has an argument of its own on the command line.
_ARGUMENTS = ("fun", "x0", "bounds", "jac", "optimizer")


def configured(
    cls: type[Optimizer], texts: Sequence[str], kept: Mapping[str, Any] | None = None
) -> tuple[Optimizer, dict[str, Any]]:
    """Return an optimizer with the options among ``name=value`` texts, and the settings there.

    ``kept`` are arguments of its constructor that hold where nothing is said.
    """
    options = dict(map(read_option, texts))
    misplaced = next((name for name in options if name in _ARGUMENTS), None)
    if misplaced is not None:
        raise UsageError(f"-o {misplaced}=...: write --{misplaced} instead, see --help.")
    settings = {name: options.pop(name) for name in RUN_SETTINGS if name in options}
    check_run_settings(cls.__name__, settings)
    named = {*inspect.signature(cls).parameters, "tol"}
    arguments = {**(kept or {}), **{k: v for k, v in options.items() if k in named}}
    further = {k: v for k, v in options.items() if k not in named}
    if further:
        arguments["options"] = {**(arguments.get("options") or {}), **further}
    try:
        return cls(**arguments), settings
    except UnknownOptionError:
        known = {*named, *cls().settings, *RUN_SETTINGS, *(o.name for o in further_options(cls))}
        known -= {"options", "kwargs", *_ARGUMENTS}
        unknown = next((name for name in further if name not in known), None)
        if unknown is None:
            raise
        raise UsageError(
            f"{cls.__name__} has no option or setting {unknown!r}. {nearest_names(unknown, known)}"
        ) from None
