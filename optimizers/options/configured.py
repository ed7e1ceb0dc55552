"""How an optimizer is configured: its options and settings, to look at, change and compare."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.errors import UnknownOptionError, nearest_names
from optimizers.evaluation.choose import check_workers
from optimizers.options.settings import RunSettings, check_option, check_run_settings


class Configured:
    """The configuration of one algorithm.

    Parameters
    ----------
    max_evals_grouped : int, optional
        How many points one call of the objective takes.
    **settings
        Settings of each run.
    """

    #: What callbacks of Qiskit's class of the same name get, as entries of the intermediate result.
    _callback_form: tuple[str, ...] = ()

    def __init__(self, max_evals_grouped: int | None = 1, **settings: Unpack[RunSettings]) -> None:
        self._max_evals_grouped = max_evals_grouped
        self._options: dict[str, Any] = {}
        self._run_settings: dict[str, Any] = dict(settings)
        check_run_settings(type(self).__name__, self._run_settings, (), self._callback_form)
        check_workers(max_evals_grouped, settings.get("workers"))

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor arguments: ``Cls(**optimizer.settings)`` is an equal, independent object.

        Returns
        -------
        dict
            A copy; changing it changes nothing.
        """
        settings: dict[str, Any] = {"max_evals_grouped": self._max_evals_grouped}
        settings.update(own(self._options))
        settings.update(self._run_settings)
        return settings

    @property
    def setting(self) -> str:
        """The configuration as text: the class, then one ``-- name: value`` a line."""
        lines = [f"-- {name}: {value}" for name, value in sorted(self.settings.items())]
        return "\n".join([f"Optimizer: {type(self).__name__}", *lines, ""])

    def set_options(self, **kwargs: Any) -> None:
        """Set or update options; they take effect at the next :meth:`minimize`.

        Parameters
        ----------
        **kwargs
            Options, given as name=value.

        Raises
        ------
        UnknownOptionError
            If the algorithm has no option of that name; then nothing is set.
        """
        unknown = [name for name in kwargs if name not in self._known_options()]
        if unknown:
            raise UnknownOptionError(
                f"{type(self).__name__} has no option {unknown[0]!r}. "
                f"{nearest_names(unknown[0], self._known_options())}"
            )
        for name, value in kwargs.items():
            self._check_option(name, value)
        self._options.update(copy.deepcopy(kwargs))

    def _check_option(self, name: str, value: Any) -> None:
        """Raise an OptionError if an option has a value that none of that name can have."""
        check_option(name, value)

    def _known_options(self) -> tuple[str, ...]:
        return tuple(self._options)

    def print_options(self) -> None:
        """Print the algorithm's options to standard output, sorted, one ``name = value`` a line."""
        for name, value in sorted({**self._options, **self._run_settings}.items()):
            print(f"{name} = {value}")

    @property
    def callback(self) -> Callable[..., Any] | None:
        """The callback of each run; it can be set, as Qiskit's classifiers and regressors do."""
        callback: Callable[..., Any] | None = self._run_settings.get("callback")
        return callback

    @callback.setter
    def callback(self, callback: Callable[..., Any] | None) -> None:
        check_run_settings(type(self).__name__, {"callback": callback}, (), self._callback_form)
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
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({arguments})"


def own(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose lists, dicts and arrays are copies; functions are themselves."""
    return {
        name: copy.deepcopy(value) if isinstance(value, list | dict | np.ndarray) else value
        for name, value in options.items()
    }


def same(left: Any, right: Any) -> bool:
    """Compare settings, arrays among them included; a list equals an array of its values."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, np.ndarray | list | tuple) or isinstance(right, np.ndarray):
        return np.array_equal(np.asarray(left), np.asarray(right))
    return bool(left == right)
