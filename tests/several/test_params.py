"""Multistart where the bounds are those of Params."""

import numpy as np
import pytest

from optimizers import InvalidInputError, OptionError, Param, multistart


def two_wells(p):
    return (p["a"] ** 2 - 1) ** 2 + (p["b"] - 0.9) ** 2


@pytest.mark.parametrize(
    "b",
    [
        Param(0.5, 0, 1),
        Param(0.5, 0, 1, transform="logit"),
        Param(0.5, 0, 1, transform="softplus", scale=0.1),
        Param(0.5, 0, 1, transform=(lambda x: -x, lambda z: -z)),
    ],
    ids=["none", "logit", "softplus", "falling"],
)
def test_the_bounds_may_be_those_of_params(b):
    found = multistart(two_wells, budget=3000, x0={"a": Param(0.3, -2, 2), "b": b}, seed=1)
    at = np.array([[minimum.x["a"], minimum.x["b"]] for minimum in found.minima])
    np.testing.assert_allclose(sorted(at.tolist()), [[-1, 0.9], [1, 0.9]], atol=1e-2)


@pytest.mark.parametrize("transform", [None, "log"])
def test_a_missing_bound_is_named_in_the_users_units(transform):
    x0 = {"a": Param(0.3, -2, 2), "b": Param(0.5, 0.1, transform=transform)}
    with pytest.raises(InvalidInputError, match=r"bounds of b are \(0.1, inf\), expected finite"):
        multistart(two_wells, budget=600, x0=x0)


@pytest.mark.parametrize(
    "b", [[(0, 3), (-1, 1)], np.array([[0.0, 3.0], [-1.0, 1.0]]), {"c": (0, 3), "d": (-1, 1)}]
)
def test_a_dict_of_bounds_may_have_arrays_and_dicts(b):
    def fun(p):
        c, d = p["b"].values() if isinstance(b, dict) else p["b"]
        return (p["a"] - 1) ** 2 + (c - 2) ** 2 + d**2

    found = multistart(fun, {"a": (-1, 2), "b": b}, budget=300, seed=1)
    (minimum,) = found.minima
    assert minimum.x["a"] == pytest.approx(1, abs=1e-4)
    inner = minimum.x["b"]
    at = [*inner.values()] if isinstance(b, dict) else inner
    np.testing.assert_allclose(at, [2, 0], atol=1e-4)


@pytest.mark.parametrize("pair", [(None, 2), (0, np.inf), "ab", 3, [(0, 1, 2)]])
def test_bounds_of_a_name_that_cannot_be_used_are_named(pair):
    with pytest.raises(InvalidInputError, match=r"bounds of a (is|are) "):
        multistart(two_wells, {"a": pair, "b": (0, 1)}, budget=300)


def test_a_budget_is_required():
    with pytest.raises(OptionError, match="budget is None, expected a whole number"):
        multistart(two_wells, x0={"a": Param(0.3, -2, 2), "b": Param(0.5, 0, 1)})
