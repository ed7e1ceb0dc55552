import importlib.metadata
import sys

import numpy as np
import pytest

import optimizers
from optimizers import (
    LBFGSB,
    InvalidInputError,
    Optimizer,
    OptimizerWarning,
    SciPyOptimizer,
    SupportLevel,
    available,
    find,
    registry,
)
from optimizers.cli import main

# The list: every method of scipy.optimize.minimize that it names has a class.
NAMED = [
    "BFGS",
    "CG",
    "COBYLA",
    "COBYQA",
    "Dogleg",
    "LBFGSB",
    "NELDER_MEAD",
    "NewtonCG",
    "POWELL",
    "SLSQP",
    "TNC",
    "TrustConstr",
    "TrustExact",
    "TrustKrylov",
    "TrustNCG",
]


def test_every_algorithm_is_available_sorted_and_under_its_class_name():
    classes = available()
    assert set(NAMED) <= set(classes)
    assert list(classes) == sorted(classes)
    assert all(cls.__name__ == name for name, cls in classes.items())
    assert all(issubclass(cls, Optimizer) for cls in classes.values())
    assert SciPyOptimizer not in classes.values()


def test_every_available_class_is_a_public_name_of_the_package():
    for name, cls in available().items():
        assert getattr(optimizers, name) is cls


def test_changing_the_answer_changes_nothing():
    available().clear()
    assert set(NAMED) <= set(available())


@pytest.mark.parametrize(
    "name", ["LBFGSB", "lbfgsb", "L-BFGS-B", "l_bfgs_b", "L_BFGS_B", "L BFGS B "]
)
def test_a_class_is_found_by_any_spelling(name):
    assert find(name) is LBFGSB


@pytest.mark.parametrize("name", available())
def test_each_class_is_found_by_its_name(name):
    assert find(name) is find(name.lower()) is available()[name]


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("nelder-mead", "NELDER_MEAD"),
        ("Newton-CG", "NewtonCG"),
        ("trust-constr", "TrustConstr"),
        ("trust-ncg", "TrustNCG"),
        ("trust-krylov", "TrustKrylov"),
        ("trust-exact", "TrustExact"),
    ],
)
def test_scipys_names_of_the_methods_find_the_classes(method, name):
    assert find(method) is available()[name]


def test_an_unknown_name_is_an_error_with_the_nearest():
    with pytest.raises(InvalidInputError, match=r"'LBFGS'.*Did you mean 'LBFGSB'\?"):
        find("LBFGS")
    with pytest.raises(InvalidInputError, match=r"Known: .*TNC"):
        find("")


# By what they can.


def bowl(x):
    return float((x - 0.3) @ (x - 0.3)) + 1.0


def test_classes_are_chosen_by_what_they_can():
    assert list(available(constraints="supported", gradient="supported")) == [
        *("NLopt", "SLSQP", "TrustConstr")
    ]
    assert list(available(noise=True, random=False)) == [
        *("ICANS", "ImFil", "LM", "NFT", "NoisyLBFGSB")
    ]
    assert list(available(global_search=True, bounds="required")) == [
        *("DIRECT", "DifferentialEvolution", "DualAnnealing", "NLopt", "SHGO")
    ]
    others = available(global_search=True).keys() - available(bounds="required").keys()
    assert others == {"BasinHopping", "CMAES", "P_BFGS", "UMDA"}
    boxed = available(global_search=True, constraints="supported")
    assert list(boxed) == ["DifferentialEvolution", "NLopt", "SHGO"]
    assert set(available(parallel=False)) == {
        *("COBYLA", "COBYQA", "NELDER_MEAD", "NLopt", "POWELL", "DIRECT", "DualAnnealing")
    }
    assert available(noise=None) == available()


def test_what_cannot_be_asked_is_an_error():
    with pytest.raises(InvalidInputError, match="noise is 'yes', expected True or False"):
        available(noise="yes")
    with pytest.raises(InvalidInputError, match="bounds is 'maybe', expected one of"):
        available(bounds="maybe")
    with pytest.raises(TypeError, match="speed"):
        available(speed=True)


@pytest.mark.parametrize("name", available())
def test_each_class_says_what_it_is_for(name):
    purpose = available()[name].traits.purpose
    assert 10 < len(purpose) < 90
    assert purpose.endswith(".")


def walked(cls, seed):
    """Return the waves of a run."""
    waves = []

    @optimizers.vectorized
    def fun(points):
        waves.append(points.copy())
        return np.array([bowl(x) for x in points])

    start = [1.0, 2.0] if cls().initial_point_support_level >= SupportLevel.supported else None
    box = [(-3.0, 4.0)] * 2 if cls().is_bounds_required else None
    cls().minimize(fun, start, bounds=box, seed=seed, maxfun=60)
    return waves


# Those that need neither a gradient, a Hessian nor residuals to run.
NEEDY = [available(**{what: "required"}) for what in ("gradient", "hessian", "residuals")]
PLAIN = sorted(available().keys() - {"QNG", "QNSPSA"}.union(*NEEDY))


@pytest.mark.parametrize("name", PLAIN)
def test_the_traits_are_those_of_the_runs(name):
    cls = available()[name]
    one, other, traits = walked(cls, 1), walked(cls, 2), cls().traits
    assert (max(map(len, one)) > 1) == traits.parallel
    is_same = len(one) == len(other) and all(map(np.array_equal, one, other))
    assert is_same == (not traits.random)


def test_completion_has_the_classes_and_nothing_else():
    assert dir(optimizers.algorithms) == sorted(available())
    for name, cls in available().items():
        assert getattr(optimizers.algorithms, name) is cls


# Of other packages.


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Return a function that installs a package with entry points, of a module of some lines."""
    monkeypatch.setattr(registry, "entry_points", importlib.metadata.entry_points)
    monkeypatch.syspath_prepend(tmp_path)

    def forget():
        registry._plugins.cache_clear()
        registry._imported.cache_clear()
        registry._loaded.cache_clear()

    def install(name, lines, **points):
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        written = [f"{point} = {name}:{cls}\n" for point, cls in points.items()]
        (about / "entry_points.txt").write_text(f"[optimizers.algorithms]\n{''.join(written)}")
        (tmp_path / f"{name}.py").write_text(lines)
        monkeypatch.delitem(sys.modules, name, raising=False)
        forget()

    yield install
    forget()


OWN = "from optimizers import LBFGSB\nclass Mine(LBFGSB):\n    pass\n"


def test_a_class_of_an_installed_package_is_found_and_listed(install):
    install("mine_package", OWN, my_own="Mine")
    assert find("MY-OWN") is find("Mine") is available()["my_own"]
    assert "my_own" in available(bounds="supported", parallel=True)
    assert "my_own" not in available(residuals="required")
    assert optimizers.minimize(bowl, [1.0, 2.0], method="my-own").method == "Mine"


def test_it_races(install):
    install("mine_package", OWN, my_own="Mine")
    results = optimizers.race([LBFGSB(), find("my_own")()], bowl, [1.0, 2.0])
    assert results["Mine"].fun == results["LBFGSB"].fun


def test_the_command_line_knows_it(install, tmp_path, capsys):
    install("mine_package", OWN, my_own="Mine")
    assert main(["list"]) == 0
    assert "\nmy_own " in capsys.readouterr().out
    assert main(["show", "my_own"]) == 0
    assert capsys.readouterr().out.startswith("Mine: ")
    journal = str(tmp_path / "run.jsonl")
    assert main(["minimize", "--optimizer", "my_own", "--journal", journal, "-o", "maxfun=9"]) == 3
    assert main(["resume", journal, "-o", "maxfun=500"]) == 0


def test_a_package_is_imported_when_it_is_used_and_no_sooner(install):
    install("mine_package", OWN, my_own="Mine")
    install("another_package", OWN, another="Mine")
    assert find("LBFGSB") is LBFGSB
    with pytest.raises(InvalidInputError, match="Did you mean 'my_own'"):
        find("my_owl")
    assert not sys.modules.keys() & {"mine_package", "another_package"}
    find("my_own")
    assert "mine_package" in sys.modules
    assert "another_package" not in sys.modules


BROKEN = "import no_such_library"
IN_NEED = "from optimizers import Optimizer\nclass Mine(Optimizer):\n    pass\n"


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ("Mine = dict", "it is <class 'dict'>, expected a class of optimizers"),
        (BROKEN, "ModuleNotFoundError: No module named 'no_such_library'"),
        (IN_NEED, "TypeError: Mine declares no support_levels"),
    ],
)
def test_a_broken_entry_point_is_named_and_spoils_nothing_else(install, lines, wrong):
    install("mine_package", lines, broken="Mine")
    assert find("LBFGSB") is LBFGSB
    with pytest.warns(OptimizerWarning, match=f"'broken' .*'optimizers.algorithms'.*{wrong}"):
        assert "broken" not in available()
    available()  # it is named once
    with pytest.raises(InvalidInputError, match=f"'broken' .* cannot be used: {wrong}"):
        find("broken")


def test_a_name_that_is_taken_is_said_and_not_replaced(install):
    install("mine_package", OWN, lbfgsb="Mine", my_own="Mine")
    with pytest.warns(OptimizerWarning, match="'lbfgsb' .* skipped: another optimizer has that"):
        assert available()["LBFGSB"] is find("lbfgsb") is LBFGSB
    assert "my_own" in available()
