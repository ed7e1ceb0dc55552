"""Docstrings whose lists of parameters come from the declarations."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from optimizers.options.table import Option

#: The sections of a class' docstring: their titles, and the options listed there.
Sections: TypeAlias = list[tuple[str, Sequence[Option]]]

_CATCH_ALL = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


class Docstring:
    """A docstring that is completed when it is read, so that importing a class costs nothing."""

    def __init__(self, text: str, sections: Callable[[type], Sections]) -> None:
        self._text = inspect.cleandoc(text)
        self._sections = sections

    def __get__(self, instance: object, owner: type) -> str:
        made = "\n\n".join(
            f"{title}\n{'-' * len(title)}\n{_entries(options)}"
            for title, options in self._sections(owner)
            if options
        )
        # Before the first section of the text's own, as numpydoc orders them.
        head, *rest = re.split(r"^(?=\w[\w ]*\n-{3,}$)", self._text, maxsplit=1, flags=re.M)
        return "\n\n".join(part.strip("\n") for part in (head, made, *rest)) + "\n"


def complete(cls: type, sections: Callable[[type], Sections]) -> None:
    """Let the parameters of a class' docstring come from declarations, unless it lists them."""
    text = cls.__doc__  # None where Python runs without docstrings
    if text is not None and not re.search(r"^ *Parameters\n", text, re.M):
        cls.__doc__ = Docstring(text, sections)  # type: ignore[assignment]  # as `str` when read


def constructor_defaults(cls: type) -> dict[str, object]:
    """Return the parameters that a class' constructor names, with their defaults."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    return {p.name: p.default for p in parameters if p.kind not in _CATCH_ALL}


def _entries(options: Iterable[Option]) -> str:
    return "\n".join(
        f"{option.name} : {option.type_and_default}\n"
        + textwrap.fill(
            option.meaning,
            width=96,
            initial_indent="    ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for option in options
    )
