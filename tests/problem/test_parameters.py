"""What the user calls the variables: each kind of start, by each way into the package."""

import asyncio
import collections
import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

from optimizers import (
    ADAM,
    LBFGSB,
    NELDER_MEAD,
    NFT,
    SLSQP,
    TNC,
    TRF,
    CapabilityError,
    CrossedBoundsError,
    History,
    InvalidInputError,
    InvalidValueError,
    OptimizerResult,
    OptimizerWarning,
    Param,
    ParameterShift,
    SteppableOptimizer,
    TellData,
    TrustConstr,
    check_gradient,
    error_bars,
    load,
    minimize,
    multistart,
    race,
    residuals,
    vectorized,
)
from optimizers.problem.parameters import parameters_of
from optimizers.problem.structure import Structure

pytest.importorskip("optree")
pd = pytest.importorskip("pandas")
Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass(frozen=True)
class Model:
    rate: float
    weights: np.ndarray


def table(lower=False):
    data = {"value": [0.0, 0.5, 0.2]}
    if lower:
        data |= {"lower": [0.1, -np.inf, 0.0], "upper": [5.0, 5.0, 0.4]}
    return pd.DataFrame(data, index=["a", "b", "c"])


#: Each kind of start, and what its variables are called.
STARTS = {
    "matrix": (np.zeros((2, 2)), ["x[0,0]", "x[0,1]", "x[1,0]", "x[1,1]"]),
    "weights": (np.zeros((1, 2, 2)), ["x[0,0,0]", "x[0,0,1]", "x[0,1,0]", "x[0,1,1]"]),
    "flat dict": ({"b": 0.5, "a": 0.0}, ["b", "a"]),
    "dict of arrays": ({"b": np.zeros(2), "a": 1}, ["b[0]", "b[1]", "a"]),
    "dict of other keys": ({0: 0.5, (1, 2): 0.0}, ["x[0]", "x[1,2]"]),
    "nested dict": ({"b": {"d": 0.0, "c": [1.0, 2.0]}, "a": 0}, ["b.d", "b.c[0]", "b.c[1]", "a"]),
    "list": ([0.0, np.zeros((1, 2))], ["x[0]", "x[1][0,0]", "x[1][0,1]"]),
    "tuple": ((np.zeros(2), {"a": 0.0}), ["x[0][0]", "x[0][1]", "x[1].a"]),
    "named tuple": (Pair(0.0, Pair(1.0, 2.0)), ["first", "second.first", "second.second"]),
    "dataclass": (Model(0.5, np.zeros(2)), ["rate", "weights[0]", "weights[1]"]),
    "dataclass inside": ({"m": Model(0.5, np.zeros(1))}, ["m.rate", "m.weights[0]"]),
    "table": (table(), ["a", "b", "c"]),
    "series inside": (
        {"s": pd.Series([0.0, 1.0], index=["u", "v"]), "r": pd.Series([2.0])},
        ["s.u", "s.v", "r[0]"],
    ),
    "table inside": ({"t": table(), "u": 0.0}, ["t.a", "t.b", "t.c", "u"]),
    "float32": (np.zeros((2, 1), dtype=np.float32), ["x[0,0]", "x[1,0]"]),
    "nothing": ({}, []),
}
each = pytest.mark.parametrize("x0", [x0 for x0, _ in STARTS.values()], ids=STARTS)


def flat(tree):
    """Return the numbers in a structure, by means of its own."""
    if isinstance(tree, pd.DataFrame):
        return tree["value"].to_numpy()
    if dataclasses.is_dataclass(tree):
        return flat(list(vars(tree).values()))
    if isinstance(tree, dict):
        return flat(list(tree.values()))
    if isinstance(tree, list | tuple):
        return np.concatenate([np.zeros(0), *map(flat, tree)])
    return np.ravel(tree)


def target(n):
    return np.arange(1.0, n + 1) / 10


def fun(tree):
    x = flat(tree)
    return float(np.sum((x - target(x.size)) ** 2))


def gradient(tree):
    """Return the gradient in the structure of the point."""
    x = flat(tree)
    return Structure(tree).point(2 * (x - target(x.size)))


def assert_solved(result, x0, atol=1e-4):
    assert type(result.x) is type(x0)
    n = flat(x0).size
    np.testing.assert_allclose(flat(result.x), target(n), atol=atol)
    np.testing.assert_array_equal(result.x_flat, flat(result.x))
    np.testing.assert_allclose(flat(result.best.x), target(n), atol=atol)


@pytest.mark.parametrize(("x0", "names"), STARTS.values(), ids=STARTS)
def test_variables_have_names(x0, names):
    parameters = parameters_of(x0)
    assert list(parameters.names) == parameters.searched == names


@each
@pytest.mark.parametrize(
    "jac", [None, gradient, True, "3-point"], ids=["default", "given", "joint", "3-point"]
)
def test_function_gradient_and_result_are_in_the_structure(x0, jac):
    before = flat(x0).copy()
    seen = []

    def objective(tree):
        seen.append(tree)
        return (fun(tree), gradient(tree)) if jac is True else fun(tree)

    history = History()
    result = LBFGSB().minimize(objective, x0, jac, callback=history)
    assert result.success
    assert_solved(result, x0)
    assert type(seen[0]) is type(x0)
    if flat(x0).size:
        assert type(result.jac) is type(x0)
        assert flat(result.jac).size == flat(x0).size
        assert type(history.x[0]) is type(x0)
        assert history.x_flat.shape == (result.nit, flat(x0).size)
        assert len(history.names) == len(result.names) == flat(x0).size
    np.testing.assert_array_equal(flat(x0), before)


@pytest.mark.parametrize(
    "x0", [1.0, [1.0, 2.0], (1, 2), np.ones(2), np.float32(2.0), range(3), np.array(1.0)], ids=repr
)
def test_a_number_or_a_vector_is_searched_itself(x0):
    assert parameters_of(x0) is None
    result = LBFGSB().minimize(lambda x: float(x @ x), x0)
    assert isinstance(result.x, np.ndarray)
    assert result.x_flat is result.x
    assert "x_flat" not in result


@each
def test_probes_and_values_are_those_of_the_vector(x0):
    """The algorithm sees the same numbers, so the runs are the same to the last bit."""
    n = flat(x0).size
    ours = LBFGSB().minimize(fun, x0)
    plain = LBFGSB().minimize(fun, flat(x0))
    assert ours.nfev == plain.nfev
    np.testing.assert_array_equal(ours.x_flat, plain.x)
    assert n == plain.x.size


# Each way into the package.


def by_race(x0):
    return race([LBFGSB(), NELDER_MEAD()], fun, x0, gradient, budget=500)["LBFGSB"]


def by_many(x0):
    results = LBFGSB().minimize_many(fun, [x0, x0])
    assert_solved(results[1], x0)
    return results.best


def by_stepper(x0, **how):
    stepper, count = LBFGSB().stepper(x0, **how), 0
    while not stepper.done:
        count += 1
        if count == 2:
            stepper = pickle.loads(pickle.dumps(stepper))
        ask = stepper.ask()
        assert type(ask.x_fun[0]) is type(x0)
        told = None if ask.x_jac is None else [gradient(x) for x in ask.x_jac]
        stepper.tell(ask, TellData([fun(x) for x in ask.x_fun], told))
    assert type(stepper.state.x) is type(stepper.state.jac) is type(stepper.best.x) is type(x0)
    assert type(stepper.so_far().x) is type(x0)
    return stepper.result()


def by_steppable(x0, jac=None):
    steppable = SteppableOptimizer(LBFGSB())
    steppable.start(fun, x0, jac)
    while steppable.continue_condition():
        steppable.step()
    return steppable.create_result()


def by_coroutines(x0, jac=None):
    async def awaited(tree):
        return (fun(tree), gradient(tree)) if jac is True else fun(tree)

    async def slope(tree):
        return gradient(tree)

    jac = slope if jac is gradient else jac
    return asyncio.run(LBFGSB().minimize_async(awaited, x0, jac))


def by_threads(x0):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        return LBFGSB().minimize(fun, x0, workers=pool)


WAYS = {
    "race": by_race,
    "minimize_many": by_many,
    "stepper": by_stepper,
    "stepper with gradients": lambda x0: by_stepper(x0, jac=True),
    "steppable": by_steppable,
    "steppable with gradient": lambda x0: by_steppable(x0, gradient),
    "minimize_async": by_coroutines,
    "minimize_async with gradient": lambda x0: by_coroutines(x0, gradient),
    "minimize_async with both": lambda x0: by_coroutines(x0, True),
    "called": lambda x0: LBFGSB()(fun, x0),
    "threads": by_threads,
    "without gradient": lambda x0: NELDER_MEAD(xatol=1e-6).minimize(fun, x0),
    "constructor's callback": lambda x0: LBFGSB(callback=lambda xk: flat(xk)[0]).minimize(fun, x0),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("kind", ["weights", "flat dict", "nested dict", "dataclass", "table"])
def test_every_way_in_speaks_in_the_structure(way, kind):
    x0 = STARTS[kind][0]
    assert_solved(way(x0), x0)


def test_processes_unflatten_where_they_evaluate():
    x0 = {"m": Model(0.5, np.zeros(1))}
    assert_solved(LBFGSB().minimize(fun, x0, workers=2), x0)


@pytest.mark.parametrize("structure", [x0 for x0, _ in STARTS.values()], ids=STARTS)
def test_what_maps_pickles(structure):
    parameters = pickle.loads(pickle.dumps(parameters_of(structure)))
    z = np.arange(1.0, parameters.n + 1)
    np.testing.assert_array_equal(flat(parameters.point(z)), z)


def test_many_starts_may_be_one_array_of_more_dimensions():
    results = LBFGSB().minimize_many(fun, np.zeros((3, 2, 2)))
    assert [result.x.shape for result in results] == [(2, 2)] * 3


def test_multistart_draws_between_bounds_in_a_structure():
    def wells(p):
        return (p["a"] ** 2 - 1) ** 2 + float(np.sum((p["b"] - 0.5) ** 2))

    x0 = {"a": 0.0, "b": np.zeros(2)}
    found = multistart(wells, {"a": (-2, 2), "b": (0, 1)}, 600, x0=x0, seed=1)
    assert sorted(round(minimum.x["a"]) for minimum in found.minima) == [-1, 1]
    assert found.best.x["b"].shape == (2,)
    assert "'a'" in repr(found)
    plain = multistart(lambda p: p["a"] ** 2 + p["b"] ** 2, {"a": (-2, 2), "b": (0, 1)}, 200)
    assert plain.best.x["a"] == pytest.approx(0, abs=1e-4)
    with pytest.raises(InvalidInputError, match="finite"):
        multistart(wells, {"a": (-2, 2)}, 600, x0=x0)
    with pytest.raises(InvalidInputError, match="bounds of b"):
        multistart(wells, {"a": (-2, 2), "b": 3}, 600)


@pytest.mark.parametrize("jac", [None, True])
def test_a_vectorized_objective_gets_leaves_with_an_axis_in_front(jac):
    shapes = []

    @vectorized
    def stacked(p):
        shapes.append((p["a"].shape, p["b"].shape))
        values = (p["a"] - 0.1) ** 2 + ((p["b"] - 0.2) ** 2).sum(axis=(1, 2))
        slopes = {"a": 2 * (p["a"] - 0.1), "b": 2 * (p["b"] - 0.2)}
        return (values, slopes) if jac else values

    x0 = {"a": 1.0, "b": np.zeros((2, 1))}
    result = LBFGSB().minimize(stacked, x0, jac)
    np.testing.assert_allclose(result.x_flat, [0.1, 0.2, 0.2], atol=1e-4)
    assert shapes[0] == ((1,), (1, 2, 1)) if jac else shapes[0] == ((4,), (4, 2, 1))
    results = NELDER_MEAD().minimize_many(stacked if not jac else lambda p: p["a"] ** 2, [x0, x0])
    assert results[1].x["b"].shape == (2, 1)


def test_a_stack_of_tables_is_a_named_error():
    with pytest.raises(CapabilityError, match="tables"):
        LBFGSB().minimize(vectorized(fun), table())


def test_groups_in_one_flat_vector_are_a_named_error_before_any_evaluation():
    calls = []
    with pytest.raises(CapabilityError, match="max_evals_grouped"):
        LBFGSB(max_evals_grouped=4).minimize(calls.append, {"a": 1.0})
    assert calls == []


@pytest.mark.parametrize("cls", [LBFGSB, TrustConstr, ADAM], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("how", ["matrix", "structure", "both", None])
def test_residuals_in_a_structure(cls, how):
    def misfit(p):
        return np.array([p["a"] - 1.0, *(10 * (p["b"] - 0.5)), p["a"] * p["b"][0]])

    def jacobian(p):
        a, b = p["a"], p["b"]
        by_a, by_b = np.array([1.0, 0, 0, b[0]]), np.array([[0, 0], [10.0, 0], [0, 10], [a, 0]])
        return np.column_stack([by_a, by_b]) if how == "matrix" else {"a": by_a, "b": by_b}

    jac = {None: None, "both": True}.get(how, jacobian)
    both = residuals(lambda p: (misfit(p), jacobian(p)) if how == "both" else misfit(p))
    x0 = {"a": 0.0, "b": np.zeros(2)}
    ours = cls(maxiter=50).minimize(both, x0, jac)
    vector = residuals(
        lambda x: (lambda p: (misfit(p), np.column_stack([*jacobian(p).values()]))
                   if how == "both" else misfit(p))({"a": x[0], "b": x[1:]})
    )  # fmt: skip
    plain_jac = {None: None, "both": True}.get(
        how, lambda x: misfit and np.column_stack([
            np.array([1.0, 0, 0, x[1]]), np.array([[0, 0], [10.0, 0], [0, 10], [x[0], 0]])])
    )  # fmt: skip
    plain = cls(maxiter=50).minimize(vector, np.zeros(3), plain_jac)
    np.testing.assert_allclose(ours.x_flat, plain.x, rtol=1e-12)
    assert ours.nfev == plain.nfev


def test_second_derivatives_and_constraints_are_those_of_the_vector():
    def fun(p):
        return p["a"] ** 2 + 2 * p["b"][0] ** 2 + 3 * p["b"][1] ** 2

    def jac(p):
        return {"a": 2 * p["a"], "b": np.array([4.0, 6.0]) * p["b"]}

    def hessp(p, direction):
        return {"a": 2 * direction["a"], "b": np.array([4.0, 6.0]) * direction["b"]}

    def total(p):
        return p["a"] + p["b"].sum()

    x0 = {"a": 1.0, "b": np.ones(2)}
    hess = np.diag([2.0, 4.0, 6.0])
    nested = {"a": {"a": 2.0, "b": np.zeros(2)}, "b": {"a": np.zeros(2), "b": hess[1:, 1:]}}
    curvatures = ({"hess": lambda p: hess}, {"hess": lambda p: nested}, {"hessp": hessp})
    constraints = (
        LinearConstraint([[1, 1, 1]], 1, 1),
        NonlinearConstraint(total, 1, 1, hess=lambda p, v: np.zeros((3, 3))),
        NonlinearConstraint(
            total, 1, 1, lambda p: {"a": 1.0, "b": np.ones(2)}, lambda p, v: np.zeros((3, 3))
        ),
        {"type": "eq", "fun": lambda p: total(p) - 1},
    )
    expected = np.array([6, 3, 2]) / 11
    for constraint in constraints[:3]:
        for curvature in curvatures if constraint is constraints[0] else curvatures[:1]:
            result = TrustConstr().minimize(fun, x0, jac, constraints=constraint, **curvature)
            np.testing.assert_allclose(result.x_flat, expected, atol=1e-4)
    for constraint in (constraints[0], constraints[3]):
        result = SLSQP().minimize(fun, x0, jac, constraints=[constraint])
        np.testing.assert_allclose(result.x_flat, expected, atol=1e-4)
        assert result.maxcv < 1e-6


# Bounds.


@pytest.mark.parametrize(
    ("x0", "bounds", "lower"),
    [
        ({"a": 0.5, "b": 0.5}, {"a": (0, 1)}, [0, -np.inf]),
        ({"a": 0.5, "b": 0.5}, {"a": (0, 1), "b": (None, 1)}, [0, -np.inf]),
        ({"a": 0.5, "b": 0.5}, [(0, 1), (0.1, 1)], None),
        ({"a": 0.5, "b": 0.5}, np.array([(0, 1), (0.1, 1)]), [0, 0.1]),
        ({"a": 0.5, "b": np.full(2, 0.5)}, {"b": (0, 1)}, [-np.inf, 0, 0]),
        ({"a": 0.5, "b": np.full(2, 0.5)}, {"b": ([0, 0.1], 1)}, [-np.inf, 0, 0.1]),
        ({"a": 0.5, "b": np.full(2, 0.5)}, {"b": [(0, 1), (0.1, None)]}, [-np.inf, 0, 0.1]),
        ({"a": 0.5, "b": np.full(2, 0.5)}, {"b[1]": (0, 1)}, [-np.inf, -np.inf, 0]),
        ({"a": {"b": [0.5, 0.5]}}, {"a.b[1]": (0, 1)}, [-np.inf, 0]),
        ({"a": {"b": [0.5, 0.5]}}, {"a": {"b": [None, (0, 1)]}}, [-np.inf, 0]),
        ({"a": {"b": [0.5, 0.5]}}, {"a": (0, 1)}, [0, 0]),
        ({"a": {"b": [0.5, 0.5]}}, {"a.b": Bounds(0, 1)}, None),
        ({"a": np.full(2, 0.5)}, {"a": Bounds([0, 0.1], 1)}, [0, 0.1]),
        (Pair(0.5, 0.5), Pair((0, 1), None), [0, -np.inf]),
        (Model(0.5, np.full(2, 0.5)), Model(None, (0, 1)), [-np.inf, 0, 0]),
        (np.full((1, 2), 0.5), [(0, 1), (0.1, 1)], [0, 0.1]),
        (np.full((1, 2), 0.5), [[(0, 1), (0.1, 1)]], [0, 0.1]),
        (np.full((1, 2), 0.5), (0, 1), [0, 0]),
        (np.full((1, 2), 0.5), Bounds([[0, 0.1]], 1), [0, 0.1]),
        (np.full((1, 2), 0.5), {"x[0,1]": (0.1, 1)}, [-np.inf, 0.1]),
        ({"a": 0.5, "b": 0.5}, None, [-np.inf, -np.inf]),
        ({"a": 0.5, "b": 0.5}, Bounds(0, 1), [0, 0]),
        (table(lower=True), None, [0.1, -np.inf, 0]),
    ],
    ids=lambda value: str(value).replace("\n", " ")[:60],
)
def test_bounds_in_the_structure_or_by_names(x0, bounds, lower):
    if lower is None:
        with pytest.raises(InvalidInputError, match="bounds"):
            parameters_of(x0, bounds)
        return
    with pytest.warns(OptimizerWarning) if isinstance(x0, pd.DataFrame) else _nothing():
        found = parameters_of(x0, bounds).bounds
    np.testing.assert_array_equal(lower if found is None else found.lb, lower)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_bounds_of_optimagics_kind():
    @dataclasses.dataclass
    class Both:
        lower: object = None
        upper: object = None

    given = Both({"a": 0.0, "b": np.array([-np.inf, 0.1])}, None)
    found = parameters_of({"a": 0.5, "b": np.ones(2)}, given).bounds
    np.testing.assert_array_equal(found.lb, [0, -np.inf, 0.1])


@pytest.mark.parametrize(
    ("x0", "bounds", "error", "words"),
    [
        ({"rate": 1.0}, {"rtae": (0, 1)}, InvalidInputError, "'rtae'.*rate"),
        ({"a": {"b": [1.0, 2.0]}}, {"a.b[2]": (0, 1)}, InvalidInputError, r"a\.b\[2\]"),
        ({"a": 1.0}, {"a": (2, 1)}, CrossedBoundsError, r"bounds of a are \(2.0, 1.0\)"),
        ({"a": np.ones(2)}, {"a": (0, [1, np.nan])}, InvalidInputError, r"a\[1\] is NaN"),
        ({"a": 1.0}, {"a": "zero"}, InvalidInputError, "for a"),
        ({"a": 1.0}, {"a": (0, "one")}, InvalidInputError, "for a"),
        ({"a": np.ones(2)}, {"a": ([0, 0, 0], 1)}, InvalidInputError, "for a"),
        (np.ones((2, 2)), 3, InvalidInputError, "bounds is 3"),
    ],
    ids=str,
)
def test_bounds_that_fit_nothing_are_named_errors(x0, bounds, error, words):
    with pytest.raises(error, match=words):
        LBFGSB().minimize(fun, x0, bounds=bounds)


def test_a_start_outside_is_clipped_with_a_warning_that_names_it():
    with pytest.warns(OptimizerWarning, match="first b = 3.0; .* b = 1.0"):
        result = LBFGSB().minimize(fun, {"a": 0.0, "b": 3.0}, bounds={"b": (0, 1)})
    assert result.success


# What fits nothing.


@pytest.mark.parametrize(
    ("x0", "words"),
    [
        ({"a": [1.0, None]}, r"a\[1\]"),
        ({"a": "one"}, "a is 'one'"),
        ({"a": 1.0, "b": np.array([1.0, np.nan])}, r"b\[1\] is nan"),
        ({"a": np.array([1.0, 2j])}, "a is .*complex"),
        (np.array([[1.0, np.inf]]), r"x\[0,1\] is inf"),
        (pd.DataFrame({"start": [1.0]}), "columns.*start.*value"),
    ],
    ids=str,
)
def test_a_start_that_cannot_be_used_is_a_named_error(x0, words):
    with pytest.raises(InvalidInputError, match=words):
        LBFGSB().minimize(fun, x0)


@pytest.mark.parametrize(
    ("jac", "words"),
    [
        (lambda p: {"a": 1.0}, "jac is {'a': 1.0}, expected the structure of x0"),
        (lambda p: {"a": 1.0, "c": 1.0}, "expected the structure"),
        (lambda p: {"a": 1.0, "b": np.ones(3)}, r"jac has shape \(3,\) for b, expected \(2,\)"),
        (lambda p: 1.0, "expected the structure"),
        (lambda p: None, "jac returned None"),
    ],
)
def test_a_gradient_of_another_structure_is_a_named_error(jac, words):
    with pytest.raises(InvalidValueError, match=words):
        LBFGSB().minimize(fun, {"a": 1.0, "b": np.ones(2)}, jac)


def test_an_error_carries_its_results_in_the_structure():
    def fails(p):
        if p["a"] < 0.5:
            raise KeyError("lost")
        return p["a"] ** 2

    with pytest.raises(KeyError) as caught:
        LBFGSB().minimize(fails, {"a": 1.0})
    assert caught.value.optimizer_result.x == {"a": 1.0}
    with pytest.raises(KeyError) as caught:
        LBFGSB().minimize_many(fails, [{"a": 1.0}, {"a": 2.0}])
    assert caught.value.optimizer_results[1].x["a"] > 0.5
    with pytest.raises(KeyError) as caught:
        race([LBFGSB()], fails, {"a": 1.0})
    assert caught.value.optimizer_result.x == {"a": 1.0}


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_a_journal_carries_the_names_and_resumes(tmp_path, name):
    x0, path = {"a": {"b": [1.0, 2.0]}, "c": np.zeros((1, 2))}, tmp_path / name
    first = LBFGSB(maxiter=1).minimize(fun, x0, journal=path)
    second = LBFGSB(maxiter=50).minimize(fun, x0, journal=path)
    assert second.nreplayed == first.nfev
    assert_solved(second, x0)
    recording = load(path)
    assert recording.names == ["a.b[0]", "a.b[1]", "c[0,0]", "c[0,1]"]
    np.testing.assert_array_equal(recording.points[0], flat(x0))
    np.testing.assert_array_equal(recording.result.x, second.x_flat)
    from optimizers import JournalMismatchError

    with pytest.raises(JournalMismatchError, match="names"):
        LBFGSB().minimize(fun, flat(x0), journal=path)


def test_a_journal_of_many_runs_carries_the_names(tmp_path):
    x0, path = {"a": 1.0, "b": np.zeros(2)}, tmp_path / "many.jsonl"
    LBFGSB().minimize_many(fun, [x0, x0], journal=path)
    again = LBFGSB().minimize_many(fun, [x0, x0], journal=path)
    assert again.nreplayed == again.nfev
    assert_solved(again[1], x0)
    assert load(path).names == ["a", "b[0]", "b[1]"]


def test_a_result_in_a_structure_survives_json():
    import json

    result = LBFGSB().minimize(fun, {"a": 1.0, "b": np.zeros((1, 2))})
    again = OptimizerResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again.x["a"] == result.x["a"]
    np.testing.assert_array_equal(again.x["b"], result.x["b"])
    np.testing.assert_array_equal(again.best.x["b"], result.best.x["b"])
    np.testing.assert_array_equal(again.x_flat, result.x_flat)
    assert list(again.names) == list(result.names) == ["a", "b[0,0]", "b[0,1]"]
    assert "names: [a, b[0,0], b[0,1]]" in repr(result)
    many = LBFGSB().minimize(fun, np.zeros((5, 5)))
    assert "x[1,0], ...]" in repr(many)


def test_nested_structures_without_optree_are_a_named_error(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optree", None)
    from optimizers import MissingExtraError

    for x0 in ({"a": [1.0, 2.0]}, [1.0, [2.0, 3.0]]):
        for call in (LBFGSB().minimize, minimize):
            with pytest.raises(MissingExtraError, match="pip install optree"):
                call(fun, x0)
    assert LBFGSB().minimize(fun, {"a": 1.0, "b": np.zeros(2)}).success
    assert LBFGSB().minimize(fun, np.zeros((2, 2))).success


def test_a_method_is_chosen_for_lists_of_unequal_depth():
    def bowl(x):
        return (x[0] - 1.0) ** 2 + (x[1][0] - 2.0) ** 2 + (x[1][1] - 3.0) ** 2

    found = minimize(bowl, [0.0, [0.0, 0.0]])
    assert found.method == "BFGS"
    np.testing.assert_allclose(found.x_flat, [1.0, 2.0, 3.0], atol=1e-5)


numbers = st.floats(-1e6, 1e6, allow_nan=False)
trees = st.recursive(
    numbers | st.integers(-5, 5) | st.sampled_from([(2,), (1, 2), (2, 2, 1)]).map(np.ones),
    lambda inner: (
        st.dictionaries(st.sampled_from(["a", "b", 3, "c d"]), inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Pair, inner, inner)
        | st.builds(Model, inner, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(tree=trees, seed=st.integers(0, 9))
def test_a_structure_is_taken_apart_and_put_together_again(tree, seed):
    structure = Structure(tree)
    x = np.random.default_rng(seed).normal(size=structure.size)
    point = structure.point(x)
    assert type(point) is (float if isinstance(tree, int) else type(tree))
    np.testing.assert_array_equal(structure.vector(point, "x"), x)
    np.testing.assert_array_equal(flat(point), x)
    if structure.size:
        stack = np.stack([x, 2 * x])
        np.testing.assert_array_equal(structure.vector(structure.point(stack), "x"), stack)
    assert len({structure.name_of(at) for at in range(structure.size)}) == structure.size


def test_a_sinusoid_in_a_structure_is_searched_by_angles():
    x0 = {"a": np.zeros((2, 1))}
    for optimizer, jac in ((NFT(maxiter=4), None), (LBFGSB(), ParameterShift())):
        result = optimizer.minimize(lambda p: float(np.sum(np.sin(p["a"]))), x0, jac)
        assert result.fun == pytest.approx(-2)
        with pytest.raises(CapabilityError, match="angles"):
            optimizer.minimize(lambda p: float(np.sum(np.sin(p["a"]))), x0, jac, scale=2.0)


def test_the_start_of_a_tnc_run_is_in_the_structure_too():
    assert_solved(TNC().minimize(fun, {"a": 0.0, "b": 1.0}), {"a": 0.0, "b": 1.0})


def test_errors_of_a_fit_are_those_of_the_vector():
    """Covariance, intervals and profiles are in the order of x_flat, and in the users' units."""
    t = np.linspace(0, 1, 12)
    data = 2 * np.exp(-3 * t) + 0.01 * np.sin(40 * t)

    def misfit(p):
        return p["size"] * np.exp(-p["rate"] * t) - data

    marked, vector = residuals(misfit), residuals(lambda x: misfit({"size": x[0], "rate": x[1]}))
    plain = TRF().minimize(vector, [1.0, 1.0])
    profiles = TRF().profile(vector, plain)
    for size, scale in (
        (1.0, None),
        (1.0, {"size": 10.0, "rate": 0.1}),
        (Param(1.0, transform="log"), None),
        (Param(1.0, lower=0, scale=3), None),
    ):
        fit = TRF().minimize(marked, {"size": size, "rate": 1.0}, scale=scale)
        np.testing.assert_allclose(fit.x_flat, plain.x, rtol=1e-6)
        np.testing.assert_allclose(fit.covariance, plain.covariance, rtol=1e-4)
        np.testing.assert_allclose(fit.confidence(), plain.confidence(), rtol=1e-5)
        assert fit.dof == plain.dof
        np.testing.assert_allclose(
            TRF().profile(marked, fit).interval, profiles.interval, rtol=1e-4
        )
    fixed = TRF().minimize(marked, {"size": 1.0, "rate": Param(3.0, fixed=True)})
    assert fixed.errors.shape == (1,)
    assert TRF().profile(marked, fixed).interval.shape == (1, 2)


def test_error_bars_of_a_structure_are_those_of_the_vector():
    def fun(p):
        return (p["a"] - 1) ** 2 + 2 * float(np.sum((p["b"] - p["a"]) ** 2))

    nested = LBFGSB().minimize(fun, {"a": 0.0, "b": np.zeros(2)})
    bars = error_bars(nested, fun)
    plain = error_bars(nested.x_flat, lambda x: fun({"a": x[0], "b": x[1:]}))
    np.testing.assert_allclose(bars.covariance, plain.covariance, rtol=1e-4)
    np.testing.assert_array_equal(bars.x, nested.x_flat)


def test_minimize_and_check_gradient_take_structures():
    result = minimize(fun, {"a": Param(0.0, lower=0), "b": np.zeros(2)})
    assert (result.method, result.method_reason) == ("L-BFGS-B", "there are bounds")
    np.testing.assert_allclose(result.x_flat, target(3), atol=1e-4)
    assert minimize(fun, {"a": np.zeros((2, 2))}).method == "BFGS"
    assert minimize(fun, np.zeros((40, 40)), jac=gradient).method == "L-BFGS-B"
    wrong = lambda p: {**gradient(p), "a": 3.0}  # noqa: E731
    x0 = {"a": Param(1.0, transform="log"), "b": np.zeros(2)}
    assert check_gradient(fun, gradient, x0).ok
    found = check_gradient(fun, wrong, x0)
    assert not found.ok
    assert found.names == ["log(a)", "b[0]", "b[1]"]
    assert repr(found).splitlines()[2].split()[0] == "log(a)"


# Other libraries' arrays.


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize("jac", [None, True])
def test_tensors_of_torch_come_back_as_such(name, jac):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, name)

    def fun(p):
        assert {tensor.dtype for tensor in p.values()} == {dtype}
        free = {key: tensor.clone().requires_grad_() for key, tensor in p.items()}
        value = ((free["w"] - 1) ** 2).sum() + (free["b"] - 2) ** 2
        if not jac:
            return value
        value.backward()
        return value, {key: tensor.grad for key, tensor in free.items()}

    x0 = {"w": torch.zeros((2, 1), dtype=dtype), "b": torch.tensor(0.5, dtype=dtype)}
    result = LBFGSB().minimize(fun, x0, jac)
    assert result.success
    assert isinstance(result.x["w"], torch.Tensor)
    assert result.x["w"].shape == (2, 1)
    np.testing.assert_allclose(result.x_flat, [1, 1, 2], atol=1e-3)


def test_arrays_of_jax_and_their_derivatives_come_back_as_such():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def fun(p):
        return jnp.sum((p["w"] - 1) ** 2) + (p["b"][0] - 2) ** 2

    x0 = {"w": jnp.zeros((2, 1)), "b": [jnp.array(0.5)]}
    both = jax.jit(jax.value_and_grad(fun))
    for arguments in ((fun, x0, jax.grad(fun)), (both, x0, True), (fun, x0)):
        result = LBFGSB().minimize(*arguments)
        assert isinstance(result.x["w"], jax.Array)
        np.testing.assert_allclose(result.x_flat, [1, 1, 2], atol=1e-3)
    result = TrustConstr().minimize(fun, x0, jax.grad(fun), hess=jax.hessian(fun))
    np.testing.assert_allclose(result.x_flat, [1, 1, 2], atol=1e-3)


def test_weights_of_pennylane_just_work():
    qml = pytest.importorskip("pennylane")

    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(weights):
        qml.StronglyEntanglingLayers(weights, wires=[0, 1])
        return qml.expval(qml.PauliZ(0) @ qml.PauliZ(1))

    start = np.random.default_rng(3).uniform(size=(2, 2, 3))
    for jac in (None, qml.grad(circuit), ParameterShift()):
        result = LBFGSB().minimize(circuit, qml.numpy.array(start, requires_grad=True), jac)
        assert result.fun == pytest.approx(-1, abs=1e-6)
        assert result.x.shape == (2, 2, 3)
