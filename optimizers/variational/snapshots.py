"""The moments of ADAM: what they are made of, and the file that they are saved in."""

import csv
import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from optimizers._types import Array
from optimizers.errors import OptionError
from optimizers.options.table import whole
from optimizers.result import OptimizerResult

#: Averages of gradients ``m``, of their squares ``v`` and the largest of these ``v_eff``, each of
#: shape (n,), after ``t`` steps.
Moments: TypeAlias = dict[str, Any]

#: The name of the file, and the order of its columns, as in Qiskit.
_FILE = "adam_params.csv"
_COLUMNS = ("v", "v_eff", "m", "t")


def check_moments(given: Any, names: tuple[str, ...]) -> None:
    """Raise an OptionError if an option is no moments, with at least the vectors of these names."""
    expected = f"expected a dict with {', '.join(names)}, of shape (n,), and t"
    if not (isinstance(given, Mapping) and {*names, "t"} <= given.keys()):
        raise OptionError(f"moments is {given!r:.200}, {expected}.")
    whole(0)("t of the moments", given["t"])
    try:
        vectors = [np.asarray(given[name], dtype=np.float64) for name in names]
    except (TypeError, ValueError):
        raise OptionError(f"moments is {given!r:.200}, {expected}.") from None
    shapes = {vector.shape for vector in vectors}
    if len(shapes) > 1 or vectors[0].ndim != 1 or not np.isfinite(vectors).all():
        raise OptionError(f"moments is {given!r:.200}, {expected}: all of one size, and finite.")
    if any(np.any(given[name] < np.zeros(1)) for name in names if name != "m"):
        raise OptionError(f"moments is {given!r:.200}: averages of squares are not negative.")


class Snapshots:
    """An observer that begins the file anew, and appends a run's moments after every step."""

    def __init__(self, folder: str | os.PathLike[str], amsgrad: bool) -> None:
        self._folder = folder
        with (Path(folder) / _FILE).open("w", newline="") as file:
            csv.writer(file).writerow(_columns_of((*vectors_of(amsgrad), "t")))

    def __call__(self, state: OptimizerResult) -> bool:
        """Append the moments of an iteration."""
        append(self._folder, state["moments"])
        return False


def vectors_of(amsgrad: bool) -> tuple[str, ...]:
    """Return the names of the vectors that moments have."""
    return ("m", "v", "v_eff") if amsgrad else ("m", "v")


def _columns_of(names: Container[str]) -> list[str]:
    return [name for name in _COLUMNS if name in names]


def append(folder: str | os.PathLike[str], moments: Moments) -> None:
    """Append moments to the file in a folder, which gets its head if it is new."""
    path, columns = Path(folder) / _FILE, _columns_of(moments)
    is_new = not path.exists()
    row = [moments["t"] if name == "t" else _text(moments[name]) for name in columns]
    with path.open("a", newline="") as file:
        csv.writer(file).writerows([columns, row] if is_new else [row])


def read(folder: str | os.PathLike[str]) -> Moments:
    """Return the last moments in the file of a folder, or raise an OptionError."""
    path = Path(folder) / _FILE
    try:
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["t"] != "t"]
        last = rows[-1]
        vectors = {name: _numbers(last[name]) for name in _COLUMNS[:-1] if last.get(name)}
        return {**vectors, "t": int(last["t"])}
    except OSError as error:
        raise OptionError(f"The moments cannot be read: {error}.") from error
    except (LookupError, TypeError, ValueError) as error:
        raise OptionError(
            f"{path} has no moments, expected the columns v, m and t, and a row for each step."
        ) from error


def _text(vector: Array) -> str:
    """Return a vector as text that Qiskit reads too, to the last digit."""
    return f"[{' '.join(map(repr, np.asarray(vector, dtype=np.float64).tolist()))}]"


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.strip("[] \n").split()]
