import inspect
import itertools
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import optimizers
from optimizers import (
    COBYLA,
    LBFGSB,
    SPSA,
    UMDA,
    Optimizer,
    OptionError,
    SciPyOptimizer,
    SupportLevel,
    UnknownOptionError,
    available,
)
from optimizers.flow import FlowOptimizer
from optimizers.options.configured import sections_of
from optimizers.options.settings import RUN_SETTINGS, SETTINGS
from optimizers.options.table import (
    FLAG,
    FUNCTION,
    LEVEL,
    SECONDS,
    STEPS,
    TOLERANCE,
    Option,
    anything,
    choice,
    number,
    whole,
)
from optimizers.scipy.methods import METHODS
from optimizers.support import CAPABILITIES

CLASSES = pytest.mark.parametrize("cls", available().values(), ids=lambda cls: cls.__name__)
HUGE = 10**400


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("check", "good", "bad", "expected"),
    [
        (whole(), [0, -3, np.int8(3), np.float64(20), 2.0], [1.5, "a", True, np.nan], "a whole"),
        (whole(1), [1, 10**9], [0, -1, np.inf, HUGE, 1e30, [1], None], "a whole number >= 1"),
        (number(), [0, -1.5, np.float32(2), np.inf], ["a", True, np.nan, HUGE, None, 1j], "a numb"),
        (number(0), [0, 1e300], [-1e-9, np.nan], r"a number in \[0, inf\)"),
        (number(0, 1, "[)"), [0, 0.5], [1, -1], r"a number in \[0, 1\)"),
        (number(0, 1, "()"), [0.5], [0, 1], r"a number in \(0, 1\)"),
        (number(0, 1, "(]"), [0.5, 1], [0], r"a number in \(0, 1\]"),
        (choice("a", "b"), ["a"], ["c", ["a"], np.array(["a", "b"]), None], "'a' or 'b'"),
        (FLAG, [True, np.False_], [1, "yes", None], "True or False"),
        (FUNCTION, [len], [3], "a callable or None"),
        (LEVEL, [None, True, 3, -1, np.int64(2)], ["a", 1.5], "a whole number"),
        (SECONDS, [0.1, np.inf], [0, -1, "a", HUGE], "a number of seconds > 0"),
        (STEPS, [1e-8, [1e-8, 1e-6], np.array([1.0])], [0, [1, 0], np.nan, "a", HUGE], "finite"),
        (TOLERANCE, [0, 1e-3], [-1, "a", np.nan], "a number >= 0"),
        (whole(1).or_none, [None, 1], [0], "a whole number"),
    ],
)
def test_a_check_says_what_was_given_and_what_is_expected(check, good, bad, expected):
    for value in good:
        check("limit", value)
    for value in bad:
        with pytest.raises(OptionError, match=f"^limit is .*, expected {expected}"):
            check("limit", value)


def test_a_value_without_words_is_told_by_its_type():
    for value in (Unprintable(), 10**5000):
        with pytest.raises(OptionError, match=rf"limit is a {type(value).__name__}, expected"):
            whole(1)("limit", value)


def test_none_may_be_given_where_it_is_the_default():
    assert Option("shots", None, whole(1)).checked(None) is None
    with pytest.raises(OptionError, match="shots is None"):
        Option("shots", 3, whole(1)).checked(None)


@pytest.mark.parametrize("given", [3, 3.0, np.float64(3), np.int16(3)])
def test_a_whole_number_reaches_the_algorithm_as_an_int(given):
    assert type(UMDA(size_gen=given).size_gen) is int
    optimizer = LBFGSB()
    optimizer.set_options(maxiter=given)
    assert type(optimizer.settings["maxiter"]) is int
    assert optimizer == LBFGSB(maxiter=3)


def declared(cls):
    return dict(
        itertools.chain(*([(o.name, o) for o in options] for _, options in sections_of(cls)))
    )


@CLASSES
def test_names_and_defaults_of_a_constructor_are_those_declared(cls):
    catch_all = inspect.Parameter.VAR_KEYWORD
    known = declared(cls)
    parameters = inspect.signature(cls).parameters.values()
    assert [p.kind for p in parameters][-1] == catch_all
    for parameter in parameters:
        if parameter.kind != catch_all:
            assert known[parameter.name].default == parameter.default, parameter


@CLASSES
def test_every_option_is_declared_once_and_its_default_can_be_used(cls):
    names = [option.name for option in cls._declared]
    assert len(set(names)) == len(names)
    for option in (*cls._declared, *SETTINGS):
        option.checked(option.default)
        assert option.meaning.endswith((".", ")"))
    settings = cls(**{option.name: option.default for option in cls._declared}).settings
    assert cls(**settings).settings.keys() == settings.keys()


@CLASSES
def test_help_shows_every_option_and_setting_with_default_and_meaning(cls):
    text = pydoc.plain(pydoc.render_doc(cls))
    words = " ".join(text.replace("|", " ").split())
    known = declared(cls)
    assert {*RUN_SETTINGS, "max_evals_grouped", *(o.name for o in cls._declared)} <= known.keys()
    for option in known.values():
        told = f" {option.name} : {option.type_and_default} {option.meaning}"
        assert " ".join(told.replace("|", " ").split()) in words
    # So much is above the description: the signature fits on a screen.
    signature = next(line for line in text.splitlines() if line.startswith(f" |  {cls.__name__}("))
    assert len(signature) < 1500


@CLASSES
def test_levels_are_an_attribute_and_complete(cls):
    assert tuple(cls.support_levels) == CAPABILITIES
    told = cls().get_support_level()
    assert told == cls.support_levels
    told["gradient"] = SupportLevel.required  # a copy
    assert cls().get_support_level() == cls.support_levels


def test_a_method_by_its_name_has_the_levels_of_its_class():
    for cls in available().values():
        if issubclass(cls, SciPyOptimizer) and cls.__name__ != "P_BFGS":
            assert SciPyOptimizer(cls._method_name).get_support_level() == cls.support_levels
            names = {option.name for option in cls._declared}
            assert names == METHODS[cls._method_name.lower()].known.keys()


class Bare(Optimizer):
    """Declare nothing."""


class Descent(FlowOptimizer):
    """Go down.

    Notes
    -----
    Slowly.
    """

    _declared = (Option("rate", 0.1, number(0, ends="()")).means("How fast."),)
    support_levels: ClassVar = {"gradient": SupportLevel.supported}

    def __init__(self, rate=0.1, **settings):
        super().__init__(self._gathered(locals()), **settings)

    def _flow(self, problem, run):
        raise NotImplementedError


class Heir(Descent):
    """Go down in steps that nobody can choose."""

    def __init__(self):
        super().__init__(rate=0.5)

    def get_support_level(self):
        return {**super().get_support_level(), "bounds": SupportLevel.supported}


def test_levels_that_are_missing_are_told():
    with pytest.raises(TypeError, match="Bare declares no support_levels"):
        Bare().minimize(np.sum, [1.0])


def test_a_plug_in_may_declare_its_options():
    head, parameters, further, notes = inspect.getdoc(Descent).split("\n\n", 3)
    assert head == "Go down."
    assert parameters == "Parameters\n----------\nrate : float, default 0.1\n    How fast."
    assert further.startswith("Other Parameters\n")
    assert notes.endswith("Notes\n-----\nSlowly.")
    with pytest.raises(OptionError, match=r"rate is 0, expected a number in \(0, inf\)"):
        Descent(rate=0)
    with pytest.raises(UnknownOptionError, match="Did you mean 'rate'"):
        Descent().set_options(rates=1)
    levels = Descent().get_support_level()
    assert (levels["gradient"], levels["hessian"]) == (2, 0)


def test_a_subclass_with_another_constructor_has_its_own_words():
    assert inspect.getdoc(Heir) == "Go down in steps that nobody can choose."
    assert Heir().is_bounds_supported
    assert not Heir().is_bounds_required
    assert Heir().settings["rate"] == 0.5


def test_a_subclass_of_a_scipy_class_keeps_what_it_hands_on():
    class Short(LBFGSB):
        def __init__(self, maxiter=2, **kwargs):
            super().__init__(maxiter=maxiter, **kwargs)

    assert Short().settings["maxiter"] == 2
    assert Short(options={"maxiter": 3}).settings["maxiter"] == 3
    assert Short(**Short(maxiter=5).settings) == Short(maxiter=5)


def test_a_check_of_anything_accepts_anything():
    anything("dict")("moments", Unprintable())


def test_the_classes_work_without_docstrings():
    code = (
        "from optimizers import LBFGSB, SPSA\n"
        "from optimizers.describe import option_table\n"
        "print(SPSA.__doc__, 'maxcor' in option_table(LBFGSB), LBFGSB(gtol=1e-3))"
    )
    root = str(Path(optimizers.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, cwd=root, check=False
    )
    assert done.stdout.startswith("None True LBFGSB("), done.stderr


def test_qiskits_callbacks_are_told():
    assert "``callback(nfev, x, fun, stepsize, accepted)``" in SPSA.__doc__


def test_a_tolerance_that_is_an_option_too_is_kept_once():
    assert COBYLA().settings["options"] == {}
    assert COBYLA(tol=1e-3).settings["tol"] == 1e-3
    assert COBYLA(options={"tol": 1e-3}).settings["options"] == {"tol": 1e-3}
