"""The configuration of an optimizer: options and settings to inspect, change and compare."""

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from typing_extensions import Unpack, override

from optimizers._shown import shown, table
from optimizers.errors import OptionError, UnknownOptionError, nearest_names
from optimizers.evaluation.choose import check_workers
from optimizers.options.settings import (
    GROUPED,
    JAC,
    RUN_SETTINGS,
    SETTINGS,
    ConstructorSettings,
    check_run_settings,
)
from optimizers.options.table import TOLERANCE, Option, Sections, complete, constructor_defaults

#: The errors of each constructor.
_RAISES = """Raises
------
OptionError, UnknownOptionError
    If an option is not known (the message names the nearest one), or its value cannot be used.
"""


class Configured:
    """The configuration of one algorithm."""

    #: The algorithm's options, each with its default, check and meaning. They are added to the
    #: parameters in the docstring of the class.
    _declared: tuple[Option, ...] = ()
    #: Further parameters of the constructor, besides options and the settings of a run.
    _arguments: tuple[Option, ...] = (GROUPED, JAC)
    #: The arguments of callbacks in Qiskit's class, or SciPy's method, of the same name, as entries
    #: of the intermediate result; "state" is the whole.
    _callback_form: tuple[str, ...] = ()
    #: The options that ``tol`` sets; if there are none, it is the smallest decrease of the best
    #: value that counts as progress; see the setting ``patience``.
    _tolerances: tuple[str, ...] = ()
    _least_fall: float | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A constructor other than that of the declaring class may not accept the options.
        if cls._declared and ("_declared" in vars(cls) or "__init__" not in vars(cls)):
            complete(cls, sections_of(cls), _RAISES)

    def __init__(
        self, max_evals_grouped: int | None = 1, **settings: Unpack[ConstructorSettings]
    ) -> None:
        self._max_evals_grouped = max_evals_grouped
        self._options: dict[str, Any] = {}
        self._run_settings: dict[str, Any] = dict(settings)
        jac = JAC.checked(self._run_settings.pop("jac", None))
        known = self._known_options()
        check_run_settings(self._title, self._run_settings, known, self._callback_form)
        check_workers(max_evals_grouped, settings.get("workers"))
        if jac is not None:
            self._run_settings["jac"] = jac

    @property
    def _title(self) -> str:
        """What messages call it."""
        return type(self).__name__

    @classmethod
    def _gathered(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options among a constructor's arguments; ``options`` replace its defaults.

        The arguments are its ``locals()``. An option that is given twice must have the same value.
        """
        options = as_options(cls.__name__, arguments.get("options"))
        defaults = {option.name: option.default for option in cls._declared}
        defaults.update(constructor_defaults(cls))
        for option in cls._declared:
            if option.name in arguments:
                name, value = option.name, arguments[option.name]
                if name in options and not same(value, defaults[name]):
                    check_agreement(cls.__name__, name, value, options[name])
                options.setdefault(name, value)
        return options

    def _within(self, own: str, maxfun: int | None) -> int | None:
        """Return the maximum number of points; that of a run replaces the default of an option."""
        defaults = {option.name: option.default for option in self._declared}
        given = {name: self._options[name] for name in (own, "maxiter")}
        given = {name: value for name, value in given.items() if value != defaults[name]}
        limit = self._options[own] if own in given or not (given or maxfun) else None
        return min((one for one in (limit, maxfun) if one is not None), default=None)

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor arguments: ``Cls(**optimizer.settings)`` is an equal, independent object.

        Returns
        -------
        dict
            A copy; changing it has no effect.
        """
        settings: dict[str, Any] = {"max_evals_grouped": self._max_evals_grouped}
        settings.update(own(self._options))
        settings.update(self._run_settings)
        return settings

    @property
    def setting(self) -> str:
        """The configuration as text: the class, then one ``-- name: value`` per line."""
        lines = [f"-- {name}: {value}" for name, value in sorted(self.settings.items())]
        return "\n".join([f"Optimizer: {type(self).__name__}", *lines, ""])

    def set_options(self, **kwargs: Any) -> None:
        """Set or update options; they take effect at the next :meth:`minimize`.

        Parameters
        ----------
        **kwargs
            Options, and settings of each run, given as name=value.

        Raises
        ------
        UnknownOptionError
            If the algorithm has no option of that name; then none is set.
        """
        settings = {k: v for k, v in kwargs.items() if self._is_setting(k)}
        options = {k: v for k, v in kwargs.items() if k not in settings}
        check_run_settings(self._title, settings, (), self._callback_form)
        self._check_known(options)
        options = self._checked(options)
        self._check_options({**self._options, **options})
        self._options.update(own(options))
        self._run_settings.update(settings)

    def _check_options(self, options: dict[str, Any]) -> None:
        """Raise an OptionError if options contradict each other; for subclasses to override."""

    def _check_known(self, options: Mapping[str, Any]) -> None:
        """Raise an error that names the nearest option if one is not known."""
        known = self._known_options()
        for name in options:
            if name not in known:
                hint = nearest_names(name, (*known, *RUN_SETTINGS))
                raise UnknownOptionError(f"{self._title} has no option {name!r}. {hint}")

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the converted options, or raise an OptionError if a value cannot be used."""
        declared = {option.name: option for option in self._declared}
        return {
            name: declared[name].checked(value) if name in declared else value
            for name, value in options.items()
        }

    def _check_sizes(self, n: int) -> None:
        """Raise an OptionError if an option does not suit a problem of ``n`` variables."""
        for option in self._declared:
            if option.check.shapes is not None:
                option.check_size(self._options.get(option.name), n)

    def _is_setting(self, name: str) -> bool:
        """Return whether a name is that of a setting, and not of an option of the algorithm."""
        return name in RUN_SETTINGS and name not in self._known_options()

    def _is_option(self, name: str) -> bool:
        """Return whether a name is an option of the algorithm, not a setting."""
        return name in self._known_options() and name not in RUN_SETTINGS

    def _changed(self, options: dict[str, Any]) -> Self:
        """Return a copy with other options."""
        changed = copy.copy(self)
        changed._options, changed._run_settings = dict(self._options), dict(self._run_settings)
        changed.set_options(**options)
        return changed

    def _with_tolerance(self, tol: Any, others: Collection[str]) -> Self:
        """Return a copy with a tolerance, unless an option of the same meaning is given."""
        TOLERANCE("tol", tol)
        defaults = {option.name: option.default for option in self._declared}
        free = [name for name in self._tolerances if same(self._options[name], defaults[name])]
        changed = self._changed({name: tol for name in free if name not in others})
        if not self._tolerances:
            changed._least_fall = float(tol)
        return changed

    def _known_options(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*(option.name for option in self._declared), *self._options)))

    def print_options(self) -> None:
        """Print the algorithm's options to standard output, one ``name = value`` per line."""
        for name, value in sorted({**self._options, **self._run_settings}.items()):
            print(f"{name} = {value}")

    @property
    def callback(self) -> Callable[..., Any] | None:
        """The callback of each run; it can be set, as Qiskit's classifiers and regressors do."""
        callback: Callable[..., Any] | None = self._run_settings.get("callback")
        return callback

    @callback.setter
    def callback(self, callback: Callable[..., Any] | None) -> None:
        check_run_settings(self._title, {"callback": callback}, (), self._callback_form)
        if callback is None:
            self._run_settings.pop("callback", None)  # as if it had never been set
        else:
            self._run_settings["callback"] = callback

    def set_max_evals_grouped(self, limit: int | None) -> None:
        """Set how many points one call of the objective takes.

        Parameters
        ----------
        limit : int or None
            With more than one, the objective gets the points of a group concatenated to one flat
            vector and returns that many values. None means 1.
        """
        check_workers(limit, self._run_settings.get("workers"))
        self._max_evals_grouped = limit

    @override
    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return same(self.settings, other.settings)

    __hash__ = None  # type: ignore[assignment]  # set_options changes what __eq__ compares

    @override
    def __repr__(self) -> str:
        with np.printoptions(threshold=50):
            arguments = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({arguments})"

    def _repr_html_(self) -> str:
        rows = [(name, shown(value)) for name, value in self.settings.items()]
        return f"<p><b>{type(self).__name__}</b></p>{table((), rows)}"


def sections_of(cls: type) -> Sections:
    """Return the parameters of a class' constructor: named ones, and those in ``**settings``."""
    assert issubclass(cls, Configured)
    declared = {option.name: option for option in (*cls._arguments, *SETTINGS)}
    if cls._callback_form:
        called = declared["callback"]
        whose = "SciPy's" if "state" in cls._callback_form else "Qiskit's"
        words = f"{called.meaning} Or {whose}: ``callback({', '.join(cls._callback_form)})``."
        declared["callback"] = replace(called, meaning=words)
    own = {option.name: option for option in sorted(cls._declared, key=lambda o: o.name)}
    left = {**own, **{name: o for name, o in declared.items() if name not in own}}
    named = [left.pop(name) for name in constructor_defaults(cls) if name in left]
    return [("Parameters", named), ("Other Parameters", list(left.values()))]


def as_options(name: str, given: Any) -> dict[str, Any]:
    """Return a dict of the options given to an optimizer of that name; None means no options."""
    if not (given is None or isinstance(given, Mapping)) or not all(
        isinstance(option, str) for option in given or ()
    ):
        raise OptionError(f"options of {name} is {given!r}, expected a dict of options by name.")
    return dict(given or {})


def check_agreement(name: str, option: str, first: Any, second: Any) -> None:
    """Raise an OptionError if an optimizer was given an option twice with different values."""
    if not same(first, second):
        raise OptionError(
            f"{name} was given {option} twice, as {first!r} and as {second!r}: pass it once."
        )


def own(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with copies of lists, dicts and arrays; functions are not copied."""
    return {
        name: copy.deepcopy(value) if isinstance(value, list | dict | np.ndarray) else value
        for name, value in options.items()
    }


def same(left: Any, right: Any) -> bool:
    """Compare settings, which may contain arrays; a list equals an array of its values."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    try:
        if isinstance(left, np.ndarray | list | tuple) or isinstance(right, np.ndarray):
            return np.array_equal(np.asarray(left), np.asarray(right))
        return bool(left == right)
    except (TypeError, ValueError):  # ragged, or without a single answer
        if isinstance(left, list | tuple) and isinstance(right, list | tuple):
            return len(left) == len(right) and all(map(same, left, right))
        return left is right
