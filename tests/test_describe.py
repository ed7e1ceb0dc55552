import ast
import inspect

import pytest

from optimizers import LBFGSB, TNC, NLopt, Optimizer, SupportLevel, available
from optimizers.describe import (
    OptionDescription,
    capabilities,
    describe_options,
    further_options,
    option_table,
)
from optimizers.options.settings import RUN_SETTINGS, CommonSettings, RunSettings
from optimizers.support import CAPABILITIES

CLASSES = pytest.mark.parametrize("cls", available().values(), ids=lambda cls: cls.__name__)


def parameters(cls):
    catch_all = inspect.Parameter.VAR_KEYWORD
    return {p.name: p for p in inspect.signature(cls).parameters.values() if p.kind != catch_all}


@CLASSES
def test_every_argument_of_a_constructor_is_described_and_nothing_else(cls):
    assert [option.name for option in describe_options(cls)] == list(parameters(cls))


@CLASSES
def test_every_default_is_the_real_one(cls):
    for option in describe_options(cls):
        default = parameters(cls)[option.name].default
        try:
            told = ast.literal_eval(option.default)
        except (ValueError, SyntaxError):  # a default in words: "10 times the machine precision"
            assert " " in option.default, option
        else:
            assert told == default, option


@CLASSES
def test_every_meaning_is_words_on_one_line(cls):
    for option in describe_options(cls):
        assert option.meaning.endswith((".", ")"))
        assert "\n" not in option.meaning
        assert "`" not in option.meaning


def test_an_option_is_a_name_a_default_and_a_meaning():
    class Plain:
        """Do nothing.

        Parameters
        ----------
        first : int, default 3
            What it means,
            in ``two`` lines; see :class:`Plain`.

            And a paragraph.
        second : str, optional
            Another.
        third : float
            A last one.
        **kwargs
            No option.

        Returns
        -------
        other : int
            Not a parameter.
        """

    class Heir(Plain):
        """Inherit them."""

    expected = [
        OptionDescription("first", "3", "What it means, in two lines; see Plain. And a paragraph."),
        OptionDescription("second", "None", "Another."),
        OptionDescription("third", "", "A last one."),
    ]
    assert describe_options(Plain) == expected
    assert describe_options(Heir) == expected


def test_what_documents_no_parameters_has_no_options():
    class Bare:
        pass

    assert describe_options(Bare) == []
    assert describe_options(int) == []


def test_every_setting_of_a_run_is_described():
    described = [o.name for group in (CommonSettings, RunSettings) for o in describe_options(group)]
    assert sorted(described) == sorted(RUN_SETTINGS)


@CLASSES
def test_capabilities_are_the_levels_that_the_class_declares(cls):
    levels = cls().get_support_level()
    if cls is NLopt:  # whose methods differ
        varied = ("gradient", "initial_point", "constraints")
        levels.update(dict.fromkeys(varied, SupportLevel.supported))
    told = dict(zip(CAPABILITIES, capabilities(cls), strict=True))
    for what, name in told.items():
        assert SupportLevel[name] == levels.get(what, SupportLevel.not_supported)


@CLASSES
def test_the_option_table_tells_all_that_the_class_takes(cls):
    text = option_table(cls)
    assert text.startswith(f"{cls.__name__}: ")
    lines = text.splitlines()
    for option in describe_options(cls):
        place = next(i for i, line in enumerate(lines) if line.split()[:1] == [option.name])
        assert lines[place + 1].strip() == option.meaning
        assert option.default in lines[place]
    for name in (*RUN_SETTINGS, *CAPABILITIES):
        assert name in text
    # Each name is told once: an option of the class' own is no setting of the run too.
    entries = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert len(set(entries)) == len(entries)


#: Options that cannot be 1.
NOT_ONE = {
    **{"c1": 0.1, "c2": 0.5, "factorization_method": None},
    **{"memory_dtype": None, "solver": "auto"},
}


@CLASSES
def test_every_further_option_can_be_given_and_is_described(cls):
    further = further_options(cls)
    names = [option.name for option in further]
    assert set(names).isdisjoint(option.name for option in describe_options(cls))
    given = {name: NOT_ONE.get(name, 1) for name in names}
    cls(**({"options": given} if names else {}))
    text = option_table(cls)
    for option in further:
        assert f"  {option.name} (default {option.default})\n      {option.meaning}" in text


def test_further_options_are_those_without_a_parameter_of_their_own():
    assert "maxCGit" in [option.name for option in further_options(TNC)]
    assert "maxcor" in [option.name for option in further_options(LBFGSB)]


def test_a_class_of_the_users_own_can_be_described():
    class Mine(Optimizer):
        """Minimize in my way.

        Parameters
        ----------
        rate : float, default 0.1
            The learning rate.
        """

        def __init__(self, rate=0.1):
            super().__init__()
            self._options["rate"] = rate

        def get_support_level(self):
            return {"gradient": SupportLevel.supported}

    text = option_table(Mine)
    assert text.startswith("Mine: Minimize in my way.")
    assert "rate (default 0.1)" in text
    assert "gradient supported, bounds not_supported" in text
