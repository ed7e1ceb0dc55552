"""Descriptions of the optimizers: capabilities, and the options of a class in words."""

import inspect
import re
from typing import NamedTuple

from optimizers.optimizer import Optimizer
from optimizers.options.configured import Configured, sections_of
from optimizers.options.settings import RUN_SETTINGS, SETTINGS
from optimizers.options.table import Option
from optimizers.support import CAPABILITIES, TRAITS, Declaring, SupportLevel


class OptionDescription(NamedTuple):
    """An option in words: its name, its default as text, and what it means."""

    name: str
    default: str
    meaning: str


def describe_options(cls: type) -> list[OptionDescription]:
    """Return the parameters of the constructor of a class, in order."""
    if issubclass(cls, Configured) and cls._declared:
        return [_described(option) for option in sections_of(cls)[0][1]]
    return _documented(cls)


def _described(option: Option) -> OptionDescription:
    return OptionDescription(option.name, repr(option.default), _unfolded(option.meaning))


def _documented(cls: type) -> list[OptionDescription]:
    """Return the parameters in the docstring of a class without declared options."""
    docs = (inspect.getdoc(base) or "" for base in cls.__mro__)
    text = next((doc for doc in docs if "Parameters\n------" in doc), "")
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.S | re.M)
    listed = "" if section is None else section[1]
    entries = re.findall(r"^(\w+) : ([^\n]*)\n((?: +[^\n]*\n?|\n)*)", listed, re.M)
    return [
        OptionDescription(name, _default(kind), _unfolded(rest)) for name, kind, rest in entries
    ]


def capabilities(cls: type[Optimizer]) -> tuple[str, ...]:
    """Return the names of the support levels of a class, in the order of ``CAPABILITIES``."""
    kinds = cls._kinds().values()
    return tuple(_common([kind._level(what) for kind in kinds]).name for what in CAPABILITIES)


def _common(levels: list[SupportLevel]) -> SupportLevel:
    """Return the level of all kinds of a class; supported where it differs, if one supports it."""
    return levels[0] if len(set(levels)) == 1 else min(max(levels), SupportLevel.supported)


def traits_in_words(cls: type[Optimizer]) -> list[str]:
    """Return the traits of a class, and "one point at a time" if it does not ask for several."""
    told = [what.replace("_", " ") for what in TRAITS if getattr(cls.traits, what)]
    is_declared = cls.traits is not Declaring.traits
    return [*(["one point at a time"] if is_declared and not cls.traits.parallel else []), *told]


def option_table(cls: type[Optimizer]) -> str:
    """Return the options of a class with default and meaning, and the settings of every run."""
    head = (inspect.getdoc(cls) or "").split("\n", 1)[0]
    options, purpose = describe_options(cls), cls.traits.purpose
    own = {option.name for option in options}
    settings = [_described(s) for s in (*SETTINGS[-1:], *SETTINGS[:-1]) if s.name not in own]
    levels = map(" ".join, zip(CAPABILITIES, capabilities(cls), strict=True))
    lines = [f"{cls.__name__}: {head}", *([f"For: {purpose}"] if purpose else [])]
    lines += [f"Supports: {', '.join(levels)}"]
    traits = traits_in_words(cls)
    lines += [f"Traits: {', '.join(traits)}"] if traits else []
    for title, entries in (
        ("Options", options),
        ("Settings of a run, in the constructor or in minimize", settings),
        ("Further options, in options={...}", further_options(cls)),
    ):
        if entries:
            lines += ["", f"{title}:", *map(_entry, entries)]
    return "\n".join(lines)


def further_options(cls: type[Optimizer]) -> list[OptionDescription]:
    """Return the options that a class accepts in ``options`` only."""
    named = {option.name for option in describe_options(cls)}
    others = [o for o in cls._declared if o.name not in {*named, *RUN_SETTINGS}]
    return [_described(option) for option in sorted(others, key=lambda option: option.name)]


def _entry(option: OptionDescription) -> str:
    default = f" (default {option.default})" if option.default else ""
    return f"  {option.name}{default}\n      {option.meaning}"


def _default(kind: str) -> str:
    found = re.search(r"default (.*)$", kind)
    return found[1] if found else ("None" if "optional" in kind else "")


def _unfolded(text: str) -> str:
    """Return a docstring's paragraph as one plain line, without reStructuredText markup."""
    return re.sub(r":\w+:`([^`]*)`|``([^`]*)``", r"\1\2", " ".join(text.split()))
