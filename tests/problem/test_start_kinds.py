"""The kinds of start that optimagic's pages name, and those of frameworks: each as it is given."""

import collections
import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from optimizers import (
    LBFGSB,
    LM,
    NELDER_MEAD,
    TNC,
    AmbiguousBoundsWarning,
    InvalidInputError,
    Param,
    TellData,
    curve_fit,
    fmin_l_bfgs_b,
    minimize,
    residuals,
    vectorized,
)

Pair = collections.namedtuple("Pair", "rate shift")


@dataclasses.dataclass
class Model:
    rate: float
    weights: np.ndarray


def squares(parts):
    """Return the sum of (x - 2)^2, however the numbers of x are kept."""
    if dataclasses.is_dataclass(parts):
        parts = vars(parts)
    if isinstance(parts, dict):
        return sum(map(squares, parts.values()))
    if isinstance(parts, list | tuple):
        return sum(map(squares, parts))
    parts = getattr(parts, "value", parts)  # a table's column
    return float(((parts - 2.0) ** 2).sum()) if hasattr(parts, "sum") else (parts - 2.0) ** 2


def series(index=("a", "b")):
    pd = pytest.importorskip("pandas")
    return pd.Series([1.0, 0.0], index=index, name="start")


def table(**columns):
    """Return the table of optimagic's page on bounds."""
    pd = pytest.importorskip("pandas")
    places = [("x", 0), ("x", 1), ("intercept", 0)]
    data = {"value": [0.0, 1.0, 3.0], **columns}
    return pd.DataFrame(data, index=pd.MultiIndex.from_tuples(places))


def tensor(numbers, **kwargs):
    return pytest.importorskip("torch").tensor(numbers, **kwargs)


def jaxs(numbers):
    return pytest.importorskip("jax").numpy.asarray(numbers)


KINDS = {
    "scalar": lambda: 3,
    "array": lambda: np.arange(3),
    "list": lambda: [1.0, 2.5],
    "dict": lambda: {"a": 0, "b": 1.0},
    "dict of a series": lambda: {"a": 0, "b": 1, "c": series()},
    "nested dict": lambda: {"a": 0, "b": {"c": np.zeros(2)}},
    "named tuple": lambda: Pair(0.0, 1.0),
    "nested list": lambda: [0.0, [1.0, np.zeros(2)]],
    "named tuple with an array": lambda: Pair(0.0, np.zeros(2)),
    "dataclass": lambda: Model(0.0, np.zeros(2)),
    "series": series,
    "series of numbers": lambda: series(None),
    "table": table,
    "torch": lambda: tensor([0.0, 1.0]),
    "torch, one number": lambda: tensor(0.5),
    "torch, with a gradient": lambda: tensor([0.0, 1.0], requires_grad=True),
    "dict of torch, with a gradient": lambda: {"a": tensor([0.0], requires_grad=True)},
    "jax": lambda: jaxs([0.0, 1.0]),
    "jax, one number": lambda: jaxs(0.5),
}
#: What SciPy's callers get for what they give.
VECTORS = {"scalar", "list"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_start_comes_to_fun_and_back_as_it_was_given(kind):
    pytest.importorskip("optree")
    x0, seen = KINDS[kind](), set()

    def fun(x):
        seen.add(type(x))
        return squares(x)

    result = minimize(fun, x0)
    expected = np.ndarray if kind in VECTORS else type(x0)
    assert seen == {expected}
    assert type(result.x) is expected
    assert squares(result.x) == pytest.approx(0.0, abs=1e-5)
    if expected.__name__ in ("Series", "DataFrame"):
        assert result.x.index.equals(x0.index)
    plain = json.loads(json.dumps(result.to_dict()))
    assert np.isfinite(plain["best"]["fun"])
    assert squares(plain["x"]) == pytest.approx(squares(result.x))


def test_a_series_has_names_bounds_and_a_gradient():
    x0 = series()
    result = minimize(squares, x0, jac=lambda x: 2 * (x - 2.0), bounds={"b": (None, 1)})
    assert result.x.name == "start"
    assert result.x.to_dict() == pytest.approx({"a": 2.0, "b": 1.0})
    assert list(result.names) == ["a", "b"]


def test_a_series_is_read_by_its_labels_where_they_come_in_another_order():
    pd = pytest.importorskip("pandas", reason="needs the extra: tables")

    def slope(x):
        return (2 * (x - target))[["b", "a"]]

    def fun(x):
        return float(((x - target) ** 2).sum())

    x0, target = series(), pd.Series({"a": 2.0, "b": -1.0})
    result = minimize(fun, x0, jac=slope)
    assert result.success
    assert result.x.to_dict() == pytest.approx(target.to_dict())
    found = LBFGSB().minimize_many(fun, [x0, x0[["b", "a"]]], jac=slope, maxfun=1)
    assert found[0].x.equals(found[1].x)
    assert LBFGSB().minimize(fun, x0, known=([x0[["b", "a"]]], [fun(x0)])).nknown == 1
    unlabeled = minimize(fun, x0, jac=lambda x: pd.Series(2 * (x - target).to_numpy()))
    assert unlabeled.x.to_dict() == pytest.approx(target.to_dict())


def test_whole_numbers_of_torch_are_searched_between_them():
    result = minimize(lambda x: float(((x - 2.5) ** 2).sum()), tensor([0, 1]))
    assert result.x.tolist() == pytest.approx([2.5, 2.5], abs=1e-3)


@pytest.mark.parametrize("optimizer", [LBFGSB(), TNC(), NELDER_MEAD()])
@pytest.mark.parametrize("workers", [None, "threads"])
def test_steps_suit_the_precision_in_which_fun_gets_its_points(optimizer, workers):
    with ThreadPoolExecutor(1) as pool:
        x0, by = {"a": tensor([0.0, 1.0])}, pool if workers else None
        result = optimizer.minimize(squares, x0, workers=by)  # which returns Python's floats
    assert result.success
    assert result.x["a"].tolist() == pytest.approx([2.0, 2.0], abs=1e-3)
    stepper = optimizer.stepper(x0)
    for ask in stepper:
        stepper.tell(ask, TellData([squares(x) for x in ask.x_fun]))
    assert stepper.result().fun == result.fun


def test_scipys_functions_take_a_series_for_a_vector():
    x, _, _ = fmin_l_bfgs_b(lambda x: ((x[1:] - x[:-1]) ** 2).sum(), series(), approx_grad=True)
    assert isinstance(x, np.ndarray)
    p, _ = curve_fit(lambda t, a, b: a * t + b, [0.0, 1.0, 2.0], [1.0, 3.0, 5.0], p0=series())
    assert p == pytest.approx([2.0, 1.0])


def test_a_table_has_its_bounds_by_optimagics_names_too():
    x0 = table(lower_bound=[0.0, 3.0, -2.0], upper_bound=[1.0, 5.0, np.inf])
    with pytest.warns(match=r"first x\[1\] = 1.0; it was clipped to x\[1\] = 3.0"):
        result = minimize(squares, x0)
    assert result.x["value"].to_numpy() == pytest.approx([1.0, 3.0, 2.0])
    with pytest.raises(InvalidInputError, match="lower and lower_bound"):
        minimize(squares, table(lower=[0.0] * 3, lower_bound=[0.0] * 3))


@pytest.mark.parametrize(
    ("x0", "lower", "upper", "expected"),
    [
        (np.zeros(3), np.full(3, 3.0), None, [3.0, 3.0, 3.0]),
        (np.zeros(2), None, np.array([1.0, np.inf]), [1.0, 2.0]),
        ({"x": np.zeros(2), "y": 3.0}, {"y": 2.5}, None, [2.0, 2.0, 2.5]),
        ({"x": np.zeros(2), "y": 3.0}, {"x": 3.0}, {"x": [3.5, 4.0], "y": 1.0}, [3.0, 3.0, 1.0]),
        ({"m": {"x": 0.0}, "y": 3.0}, {"m": {"x": 3.0}}, None, [3.0, 2.0]),
    ],
)
@pytest.mark.filterwarnings("ignore:x0 is outside the bounds")
def test_lower_and_upper_bounds_may_be_two_structures(x0, lower, upper, expected):
    result = LBFGSB().minimize(squares, x0, bounds=SimpleNamespace(lower=lower, upper=upper))
    assert np.ravel(result.get("x_flat", result.x)) == pytest.approx(expected)


def test_one_side_of_bounds_names_parts_of_the_start():
    with pytest.raises(InvalidInputError, match="Did you mean 'shift'"):
        minimize(squares, {"shift": 1.0}, bounds=SimpleNamespace(lower={"shft": 0}, upper=None))
    with pytest.raises(InvalidInputError, match=r"lower bounds is .* for shift"):
        minimize(squares, {"shift": 1.0}, bounds=SimpleNamespace(lower={"shift": "a"}, upper=None))


@pytest.mark.parametrize("x0", [5, [5.0], np.array(5.0)])
@pytest.mark.parametrize("bounds", [(0, 1), [None, 1], np.array([0.0, 1.0])])
def test_the_bounds_of_a_single_variable_may_be_one_pair(x0, bounds):
    with pytest.warns(match="outside the bounds"):
        assert minimize(squares, x0, bounds=bounds).x == pytest.approx([1.0])


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_of_numbers_stays_a_vector_where_one_is_fixed(kind):
    x0 = kind([Param(0.5, fixed=True), 0.0, Param(1.0, upper=1.5), Param(None, tie="x[2]")])
    result = minimize(lambda x: (x - 2.0) @ (x - 2.0), x0, bounds={"x[1]": (None, 1)})
    assert isinstance(result.x, np.ndarray)
    assert result.x == pytest.approx([0.5, 1.0, 1.5, 1.5])
    assert list(result.names) == ["x[1]", "x[2]"]
    assert result.jac[0] == 0.0


def test_a_list_with_a_param_of_several_numbers_is_a_nest():
    pytest.importorskip("optree")
    result = minimize(squares, [Param([0.5, 1.0]), 0.0])
    assert isinstance(result.x, list)
    assert result.x[0] == pytest.approx([2.0, 2.0])


def test_a_vector_of_params_takes_residuals_stacks_and_scales():
    x0 = [Param(0.5, fixed=True), 0.0, Param(1.0, lower=0, transform="log")]
    bowl = vectorized(lambda points: ((points - 2.0) ** 2).sum(axis=1))
    for found in (
        LBFGSB().minimize(bowl, x0),
        LBFGSB().minimize(squares, x0, jac=lambda x: 2 * (x - 2.0), scale=2.0),
        LM().minimize(residuals(lambda x: x - 2.0), x0, jac=lambda x: np.eye(3)),
    ):
        assert found.x == pytest.approx([0.5, 2.0, 2.0], abs=1e-4)


def test_two_series_as_bounds_of_two_variables_are_called_ambiguous():
    pd = pytest.importorskip("pandas", reason="needs the extra: tables")
    low, high = (pd.Series([end, end], index=["a", "b"]) for end in (0.0, 5.0))
    for start in ([0.0, 5.0], pd.Series([0.0, 5.0], index=["a", "b"])):
        with pytest.warns(AmbiguousBoundsWarning, match=r"Bounds\(lows, highs\)") as caught:
            minimize(lambda x: float((x**2).sum()), start, bounds=(low, high))
        assert len(caught) == 1


def test_a_bound_in_a_table_that_is_nan_is_named():
    pd = pytest.importorskip("pandas", reason="needs the extra: tables")
    start = pd.DataFrame({"value": [1.0, 2.0], "lower": [0.0, np.nan]}, index=["a", "b"])
    with pytest.raises(InvalidInputError, match="The lower bound of b is NaN: use an infinity"):
        minimize(lambda table: table["value"].sum(), start)
