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


@pytest.mark.parametrize("name", ["LBFGSB", "lbfgsb", "L-BFGS-B", "l_bfgs_b", "L_BFGS_B"])
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
        "SLSQP",
        "TrustConstr",
    ]
    assert list(available(noise=True, random=False)) == ["ImFil", "LM", "NFT", "NoisyLBFGSB"]
    assert list(available(global_search=True, bounds="required")) == [
        *("DIRECT", "DifferentialEvolution", "DualAnnealing", "SHGO")
    ]
    others = available(global_search=True).keys() - available(bounds="required").keys()
    assert others == {"BasinHopping", "CMAES", "P_BFGS", "UMDA"}
    boxed = available(global_search=True, constraints="supported")
    assert list(boxed) == ["DifferentialEvolution", "SHGO"]
    assert set(available(parallel=False)) == {
        *("COBYLA", "COBYQA", "NELDER_MEAD", "POWELL", "DIRECT", "DualAnnealing")
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
PLAIN = sorted(available().keys() - {"QNSPSA"}.union(*NEEDY))


@pytest.mark.parametrize("name", PLAIN)
def test_the_traits_are_those_of_the_runs(name):
    cls = available()[name]
    one, other = walked(cls, 1), walked(cls, 2)
    assert (max(map(len, one)) > 1) == cls.traits.parallel
    is_same = len(one) == len(other) and all(map(np.array_equal, one, other))
    assert is_same == (not cls.traits.random)


def test_completion_has_the_classes_and_nothing_else():
    assert dir(optimizers.algorithms) == sorted(available())
    for name, cls in available().items():
        assert getattr(optimizers.algorithms, name) is cls


# Of other packages.


class Point:
    """An entry point."""

    def __init__(self, name, found):
        self.name, self.load = name, lambda: found


@pytest.fixture
def installed(monkeypatch):
    points = []
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._plugins.cache_clear()
    yield points
    registry._plugins.cache_clear()


def test_a_class_of_an_installed_package_is_found_and_listed(installed):
    class Mine(LBFGSB):
        pass

    installed.append(Point("my-own", Mine))
    assert find("MY_OWN") is Mine
    assert available()["Mine"] is Mine
    assert optimizers.minimize(bowl, [1.0, 2.0], method="my-own").method == "Mine"


def fails():
    raise ImportError("no such library")


@pytest.mark.parametrize(
    ("load", "wrong"),
    [(lambda: dict, "expected a class of optimizers"), (fails, "no such library")],
)
def test_a_broken_entry_point_is_named_and_spoils_nothing_else(installed, load, wrong):
    broken = Point("broken", None)
    broken.load = load
    installed.append(broken)
    with pytest.warns(OptimizerWarning, match=f"'broken' .*'optimizers.algorithms'.*{wrong}"):
        assert find("LBFGSB") is LBFGSB
    assert "broken" not in available()
    with pytest.raises(InvalidInputError, match="No optimizer is called 'broken'"):
        find("broken")
