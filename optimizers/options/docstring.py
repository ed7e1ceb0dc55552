"""Docstrings whose lists of parameters come from the declarations."""

import functools
import inspect
import re
from typing import TypeAlias

from optimizers.options.table import Option

#: The sections of a class' docstring: their titles, and the options listed there.
Sections: TypeAlias = list[tuple[str, list[Option]]]

_CATCH_ALL = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
# As much of a text as fits on a line; textwrap takes ten times as long, at every import.
_LINE = re.compile(r"(\S.{0,91})(?:\s+|$)")


def complete(cls: type, sections: Sections, *others: str) -> None:
    """Put sections into a class' docstring, before the first that it has itself."""
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


def constructor_defaults(cls: type) -> dict[str, object]:
    """Return the parameters that a class' constructor names, with their defaults."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    return {p.name: p.default for p in parameters if p.kind not in _CATCH_ALL}


@functools.cache  # most are in many classes
def _entry(option: Option) -> str:
    lines = _LINE.sub(r"    \1\n", option.meaning)
    return f"{option.name} : {option.type_and_default}\n{lines}"
