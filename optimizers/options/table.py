"""Options: each is declared once, with its name, its default, its check and its meaning."""

import functools
import inspect
import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from optimizers._arrays import as_numbers
from optimizers.errors import OptionError

_REAL = (int, float, np.integer, np.floating)
# The largest whole number: compiled code counts in 64 bits.
_MOST = 2**63 - 1
# The longest timeout in seconds that waiting for locks accepts: about 300 years.
_LONGEST = threading.TIMEOUT_MAX


@dataclass(frozen=True, eq=False)
class Check:
    """The values that an option may have.

    Parameters
    ----------
    kind : str
        Their type, for docstrings.
    test : callable
        ``test(name, value)`` raises an :class:`OptionError` for any other value.
    convert : callable, optional
        ``convert(value)`` returns the value in the form for the algorithm.
    shapes : callable, optional
        ``shapes(n)`` returns the shapes that an array may have for n variables.
    """

    kind: str
    test: Callable[[str, Any], None]
    convert: Callable[[Any], Any] = lambda value: value
    shapes: Callable[[int], tuple[tuple[int, ...], ...]] | None = None

    def __call__(self, name: str, value: Any) -> None:
        """Raise an OptionError if an option of that name cannot have a value."""
        self.test(name, value)

    @property
    def or_none(self) -> "Check":
        """The same check, which also accepts None."""
        return Check(
            self.kind,
            lambda name, value: None if value is None else self.test(name, value),
            lambda value: None if value is None else self.convert(value),
            self.shapes,
        )


@dataclass(frozen=True, eq=False)
class Option:
    """An option or a setting, declared once; None is accepted if it is the default.

    Parameters
    ----------
    name : str
        Its name, as users write it.
    default : object
        Its default.
    check : Check
        The values that it may have.
    meaning : str
        What it does, in whole sentences; see :meth:`means`.

    Examples
    --------
    >>> option = Option("rate", 0.1, number(0)).means("How long a step is.")
    >>> option.checked(2)
    2
    """

    name: str
    default: Any
    check: Check
    meaning: str = ""

    def means(self, meaning: str) -> "Option":
        """Return the option with this meaning."""
        return replace(self, meaning=meaning)

    def checked(self, value: Any) -> Any:
        """Return a converted value; raise an OptionError if it cannot be used."""
        if value is None and self.default is None:
            return None
        self.check(self.name, value)
        return self.check.convert(value)

    def check_size(self, value: Any, n: int) -> None:
        """Raise an OptionError if an array does not suit a problem of ``n`` variables."""
        shapes = () if self.check.shapes is None or value is None else self.check.shapes(n)
        if shapes and np.shape(value) not in shapes:
            expected = " or ".join(map(str, shapes))
            raise refused(self.name, value, f"an array of shape {expected} for {n} variables")

    @property
    def type_and_default(self) -> str:
        """What docstrings say of it behind the colon."""
        told = "optional" if self.default is None else f"default {self.default!r}"
        return f"{self.check.kind}, {told}"


def redeclared(options: Iterable[Option], **defaults: Any) -> tuple[Option, ...]:
    """Return options of which some have other defaults."""
    return tuple(
        replace(option, default=defaults.get(option.name, option.default)) for option in options
    )


def refused(name: str, value: Any, expected: str) -> OptionError:
    """Return the error for a value that an option cannot have."""
    return OptionError(f"{name} is {shown(value)}, expected {expected}.")


def shown(value: Any) -> str:
    """Return a value for messages, even if its ``repr`` fails."""
    try:
        return f"{value!r:.200}"
    except Exception:  # the user's repr: only the value matters
        return f"a {type(value).__name__}"


def is_number(value: object) -> bool:
    """Return whether a value is a real number."""
    return isinstance(value, _REAL) and not isinstance(value, bool | np.timedelta64)


def real(value: Any) -> float:
    """Return a real number as a float; NaN for anything else or for huge integers."""
    try:
        return float(value) if is_number(value) else math.nan
    except OverflowError:
        return math.nan


def expecting(kind: str, expected: str, accepts: Callable[[Any], bool]) -> Check:
    """Return the check for the values that a function accepts."""

    def test(name: str, value: Any) -> None:
        if not accepts(value):
            raise refused(name, value, expected)

    return Check(kind, test)


def whole(least: int | None = None) -> Check:
    """Return the check for whole numbers; an algorithm gets each as an int.

    Parameters
    ----------
    least : int, optional
        The smallest accepted number.

    Examples
    --------
    >>> whole(1)("count", 0)
    Traceback (most recent call last):
    optimizers.errors.OptionError: count is 0, expected a whole number >= 1.
    """
    at_least = "" if least is None else f" >= {least}"

    def test(name: str, value: Any) -> None:
        number = real(value)
        if not (math.isfinite(number) and value == int(value) and abs(int(value)) <= _MOST):
            is_huge = is_number(value) and value == value and abs(value) > _MOST
            limits = f"{at_least}, at most {_MOST}" if is_huge else at_least
            raise refused(name, value, f"a whole number{limits}")
        if least is not None and value < least:
            raise refused(name, value, f"a whole number{at_least}")

    return Check("int", test, int)


def limit(least: int) -> Check:
    """Return the check for whole numbers, at least ``least``, or infinity for no limit.

    An algorithm gets the largest whole number for an infinity.
    """
    numbers = whole(least)

    def test(name: str, value: Any) -> None:
        if real(value) != math.inf:
            numbers.test(name, value)

    return Check("int", test, lambda value: _MOST if value == math.inf else int(value))


def number(low: float = -math.inf, high: float = math.inf, ends: str = "[]") -> Check:
    """Return the check for the numbers in an interval, without NaN.

    Parameters
    ----------
    low, high : float, optional
        The interval; all numbers by default.
    ends : {"[]", "[)", "(]", "()"}
        Which ends the interval includes.
    """
    left, right = ends[0], ends[1]
    until = ")" if high == math.inf else right
    limits = (
        "" if -low == high == math.inf and ends == "[]" else f" in {left}{low:g}, {high:g}{until}"
    )

    def accepts(value: Any) -> bool:
        x = real(value)
        above = low <= x if left == "[" else low < x
        return above and (x <= high if right == "]" else x < high)

    return expecting("float", f"a number{limits}", accepts)


def choice(*values: Any) -> Check:
    """Return the check for one of a few values, which are strings, whole numbers or bools."""
    names = ", ".join(f'"{v}"' if isinstance(v, str) else repr(v) for v in values)
    plain = str | bool | int | np.bool_
    expected = " or ".join(map(repr, values))
    return expecting(f"{{{names}}}", expected, lambda v: isinstance(v, plain) and v in values)


def array(kind: str, shapes: Callable[[int], tuple[tuple[int, ...], ...]] | None = None) -> Check:
    """Return the check for an array of finite numbers, whose shape may follow from n."""

    def accepts(value: Any) -> bool:
        return bool(np.isfinite(as_numbers(value)).all())

    plain = expecting(f"array_like of shape {kind}", "an array of finite numbers", accepts)
    return replace(plain, shapes=shapes)


def anything(kind: str) -> Check:
    """Return a check that accepts anything; ``kind`` is for docstrings."""
    return Check(kind, lambda name, value: None)


def _are_steps(value: Any) -> bool:
    if type(value) is float:
        return value != 0.0 and math.isfinite(value)
    steps = as_numbers(value)
    return bool(np.isfinite(steps).all() and steps.all())


def _test_level(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        WHOLE(name, value)


def _test_seed(name: str, seed: Any) -> None:
    try:
        if any(isinstance(part, np.matrix) for part in (seed, *_parts(seed))):
            raise TypeError("a matrix")  # NumPy crashes on it
        np.random.default_rng(seed)
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(
            f"{name} is {shown(seed)}, expected a seed for numpy.random.default_rng, such as a "
            f"whole number >= 0 or a Generator ({error})."
        ) from error


def _parts(given: Any) -> Any:
    return given if isinstance(given, list | tuple) else ()


def _at_most(seconds: Any) -> float:
    return min(float(seconds), _LONGEST)


FLAG = expecting("bool", "True or False", lambda value: isinstance(value, bool | np.bool_))
FUNCTION = expecting("callable", "a callable or None", callable)
NOISE = expecting(
    'float or ``"estimate"``',
    "a standard deviation >= 0 or 'estimate'",
    lambda noise: 0 <= real(noise) < math.inf or (isinstance(noise, str) and noise == "estimate"),
)
NUMBER = number()
SEED = Check("int, numpy.random.Generator or other", _test_seed)
WHOLE = whole()
#: The level of printed output; None if not given.
LEVEL = Check("int", _test_level).or_none
#: Values that are equivalent to a bool.
TRUTH = Check("bool", _test_level)
SECONDS = replace(
    expecting("float", "a number of seconds > 0", lambda value: real(value) > 0), convert=_at_most
)
STEPS = expecting("float or array_like of shape (n,)", "finite numbers other than zero", _are_steps)
TOLERANCE = expecting("float", "a number >= 0", lambda value: real(value) >= 0)


#: The sections of a class' docstring: their titles, and the options listed there.
Sections: TypeAlias = list[tuple[str, list[Option]]]

_CATCH_ALL = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
# The part of a text that fits in a line; textwrap would take ten times as long, at every import.
_LINE = re.compile(r"(\S.{0,91})(?:\s+|$)")


def complete(cls: type, sections: Sections, *others: str) -> None:
    """Insert sections into a class' docstring, before the first one that it has."""
    text = cls.__doc__
    if text is None or re.search(r"^ *Parameters\n", text, re.M):
        return  # Python runs without docstrings, or this one lists them itself
    listed = [
        f"{title}\n{'-' * len(title)}\n{''.join(map(_entry, options))}"
        for title, options in sections
        if options
    ]
    parts = re.split(r"^(?=\w[\w ]*\n-{3,}$)", inspect.cleandoc(text), maxsplit=1, flags=re.M)
    parts.insert(1, "\n".join([*listed, *others]))
    cls.__doc__ = "\n\n".join(part.strip("\n") for part in parts) + "\n"


def constructor_defaults(cls: type) -> Mapping[str, object]:
    """Return the parameters that a class' constructor names, with their defaults."""
    return _defaults(cls.__init__)  # type: ignore[misc]  # of this class, whatever others have


@functools.lru_cache(maxsize=256)  # needed in each run, and reading a signature is slow
def _defaults(constructor: Callable[..., None]) -> Mapping[str, object]:
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    named = {p.name: p.default for p in parameters if p.kind not in _CATCH_ALL}
    return MappingProxyType(named)


@functools.cache  # most options are in many classes
def _entry(option: Option) -> str:
    lines = _LINE.sub(r"    \1\n", option.meaning)
    return f"{option.name} : {option.type_and_default}\n{lines}"
