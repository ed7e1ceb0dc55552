import pytest

import optimizers
from optimizers import LBFGSB, InvalidInputError, Optimizer, SciPyOptimizer, available, find

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
