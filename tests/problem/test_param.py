"""Parameters that are fixed, tied, transformed or scaled, and runs with a scale."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import LinearConstraint, NonlinearConstraint, rosen, rosen_der

from optimizers import (
    COBYQA,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    TNC,
    CapabilityError,
    InvalidInputError,
    OptimizerWarning,
    OptionError,
    Param,
    SciPyOptimizer,
    StopReason,
    TellData,
    TrustConstr,
    load,
    multistart,
    race,
    residuals,
)
from optimizers.problem.parameters import parameters_of

INF = np.inf


def cube(z):
    return z**3


def root(x):
    return math.copysign(abs(x) ** (1 / 3), x)


def turned(x):
    return -x


#: Values with a transform, and what is searched in their place.
TRANSFORMED = {
    "log": (Param(2.0, lower=0, transform="log"), math.log(2)),
    "log of arrays": (Param([1.0, 2.0], transform="log"), [0, math.log(2)]),
    "logit": (Param(0.25, transform="logit"), math.log(1 / 3)),
    "logit between bounds": (Param(3.0, 2.0, 6.0, transform="logit"), math.log(1 / 3)),
    "softplus": (Param(2.0, 0, transform="softplus"), math.log(math.expm1(2))),
    "own": (Param(8.0, transform=(root, cube)), 2.0),
    "own, falling": (Param(8.0, 1.0, 20.0, transform=(turned, turned)), -8.0),
    "of math's": (Param(2.0, lower=0, transform=(math.log, math.exp)), math.log(2)),
    "with a scale": (Param(2.0, lower=0, scale=0.5, transform="log"), 2 * math.log(2)),
}


@pytest.mark.parametrize(("param", "z"), TRANSFORMED.values(), ids=TRANSFORMED)
def test_a_transform_is_searched_and_the_value_is_seen(param, z):
    parameters = parameters_of({"a": param})
    np.testing.assert_allclose(parameters.x0, np.ravel(z), rtol=1e-12)
    np.testing.assert_allclose(parameters.point(parameters.x0)["a"], param.value, rtol=1e-12)
    again = pickle.loads(pickle.dumps(parameters))
    np.testing.assert_allclose(again.point(again.x0)["a"], param.value, rtol=1e-12)


@pytest.mark.parametrize("jac", [None, "given", "both", "3-point"])
@pytest.mark.parametrize(("param", "z"), TRANSFORMED.values(), ids=TRANSFORMED)
def test_the_gradient_follows_the_chain_rule(param, z, jac):
    """The minimum is where it is without transforms, whoever tells the gradient."""

    def value(p):
        return float(np.sum((np.asarray(p["a"]) - 0.7 * np.asarray(param.value)) ** 2))

    def gradient(p):
        return {"a": 2 * (np.asarray(p["a"]) - 0.7 * np.asarray(param.value))}

    fun = (lambda p: (value(p), gradient(p))) if jac == "both" else value
    given_jac = {"given": gradient, "both": True}.get(jac, jac)
    expected = np.clip(0.7 * np.asarray(param.value), param.lower, param.upper)
    result = LBFGSB(ftol=0).minimize(fun, {"a": param}, given_jac)
    np.testing.assert_allclose(result.x["a"], expected, rtol=1e-4)
    if jac == "given":
        np.testing.assert_allclose(result.jac["a"], gradient(result.x)["a"], rtol=1e-8, atol=1e-12)
        parameters = parameters_of({"a": param})
        found, h = parameters.gradient(parameters.x0, gradient({"a": param.value})), 1e-6
        for i, slope in enumerate(np.ravel(found)):
            step = h * np.eye(parameters.n)[i]
            ends = [value(parameters.point(parameters.x0 + sign * step)) for sign in (1, -1)]
            assert slope == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


def test_complex_steps_go_through_a_transform():
    def fun(p):
        return (p["a"] - 1.5) ** 2 + (p["b"] - 0.5) ** 2

    x0 = {"a": Param(2.0, transform="softplus"), "b": Param(0.3, transform="logit")}
    result = LBFGSB().minimize(fun, x0, "cs")
    assert result.x == pytest.approx({"a": 1.5, "b": 0.5}, rel=1e-4)


@pytest.mark.parametrize(
    ("param", "lower", "upper"),
    [
        (Param(2.0, 1.0, 4.0, transform="log"), 0.0, math.log(4)),
        (Param(2.0, 0.0, transform="log"), -INF, INF),
        (Param(2.0, -1.0, 4.0, transform="log"), -INF, math.log(4)),
        (Param(3.0, 2.0, 6.0, transform="logit"), -INF, INF),
        (Param(2.0, 1.0, 4.0, transform=(turned, turned)), -4, -1),
        (Param(2.0, 1.0, None, transform=(turned, turned)), -INF, -1),
        (Param(2.0, 1.0, 4.0, scale=2), 0.5, 2),
        (Param(2.0, 1.0, 4.0), 1, 4),
    ],
    ids=["log", "positive", "log below", "logit", "turned", "half turned", "scale", "plain"],
)
def test_bounds_are_mapped(param, lower, upper):
    bounds = parameters_of({"a": param}).bounds
    low, high = (-INF, INF) if bounds is None else (bounds.lb[0], bounds.ub[0])
    assert (low, high) == pytest.approx((lower, upper), rel=1e-14)


@settings(max_examples=200, deadline=None)
@given(
    lower=st.floats(1e-6, 1e6),
    width=st.floats(1e-6, 1e6),
    scale=st.floats(1e-8, 1e8),
    transform=st.sampled_from([None, "log", "softplus", (root, cube)]),
)
def test_what_is_inside_the_bounds_stays_inside(lower, width, scale, transform):
    upper = lower + width
    value = min(max(lower + 0.4 * width, lower), upper)
    parameters = parameters_of({"a": Param(value, lower, upper, scale=scale, transform=transform)})
    if parameters.n == 0:
        assert lower == upper
        return
    for z in (parameters.bounds.lb, parameters.bounds.ub, parameters.x0):
        assert lower <= parameters.point(z)["a"] <= upper


# Fixed and tied.


def model(p):
    return (p["a"] - 1) ** 2 + (p["b"] - 2) ** 2 + float(np.sum((p["c"] - 3) ** 2))


def slopes(p):
    return {"a": 2 * (p["a"] - 1), "b": 2 * (p["b"] - 2), "c": 2 * (p["c"] - 3)}


@pytest.mark.parametrize("jac", [None, slopes])
def test_a_fixed_parameter_keeps_its_value_and_leaves_the_vector(jac):
    x0 = {"a": 0.0, "b": Param(5.0, fixed=True), "c": Param([0.0, 4.0], fixed=[False, True])}
    result = LBFGSB().minimize(model, x0, jac)
    assert result.x["b"] == 5.0
    assert result.x["c"][1] == 4.0
    np.testing.assert_allclose(result.x_flat, [1, 3], atol=1e-5)
    assert result.jac["b"] == result.jac["c"][1] == 0.0
    assert result.nfev == LBFGSB().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] - 3) ** 2 + 10,
                                            [0.0, 0.0], None if jac is None else
                                            lambda x: 2 * (x - [1, 3])).nfev  # fmt: skip


@pytest.mark.parametrize("jac", [None, slopes])
def test_a_tied_parameter_follows(jac):
    x0 = {"a": 0.0, "b": Param(None, tie="a"), "c": Param([0.0, 0.0], tie="a")}
    result = LBFGSB().minimize(model, x0, jac)
    assert result.x["a"] == pytest.approx((1 + 2 + 3 + 3) / 4, abs=1e-5)
    assert result.x["a"] == result.x["b"] == result.x["c"][0] == result.x["c"][1]
    assert result.x_flat.size == 1
    x0 = {"a": 0.0, "b": Param(0.0, tie="c[1]"), "c": np.zeros(2)}
    result = LBFGSB().minimize(model, x0, jac)
    np.testing.assert_allclose(result.x["c"], [3, 2.5], atol=1e-4)
    assert result.x["b"] == result.x["c"][1]


def test_bounds_of_a_tied_parameter_hold_for_both():
    x0 = {"a": Param(0.0, lower=-1), "b": Param(0.0, upper=0.5, tie="a"), "c": np.zeros(2)}
    result = LBFGSB().minimize(model, x0)
    assert result.x["a"] == result.x["b"] == 0.5
    fixed = {"a": Param(0.3, fixed=True), "b": Param(None, tie="a"), "c": np.zeros(2)}
    result = LBFGSB().minimize(model, fixed)
    assert result.x["a"] == result.x["b"] == 0.3


def test_where_all_is_fixed_nothing_is_searched():
    result = LBFGSB().minimize(lambda p: p["a"] ** 2, {"a": Param(2.0, fixed=True)})
    assert result.stop is StopReason.FIXED
    assert result.x == {"a": 2.0}
    assert result.fun == 4.0


def test_functions_besides_see_the_whole_of_fixed_and_scaled_parameters():
    """Hessians, their products, and constraints of each kind, against the known minimum."""
    weights = np.array([1.0, 2.0, 3.0])

    def flat(p):
        return np.array([p["a"], *p["b"]])

    def fun(p):
        return float(weights @ flat(p) ** 2)

    def jac(p):
        return {"a": 2 * p["a"], "b": 2 * weights[1:] * p["b"]}

    x0 = {"a": Param(0.5, fixed=True), "b": Param([1.0, 1.0], scale=[10.0, 0.1])}
    expected = [0.3, 0.2]  # b[0] + b[1] == 0.5, as a is 0.5
    hessian = np.diag(2 * weights)
    products = {"hessp": lambda p, d: {"a": 2 * d["a"], "b": 2 * weights[1:] * d["b"]}}
    linear = LinearConstraint([[1, 1, 1]], 1, 1)
    for second in ({"hess": lambda p: hessian}, products):
        result = TrustConstr().minimize(fun, x0, jac, constraints=linear, **second)
        np.testing.assert_allclose(result.x["b"], expected, atol=1e-4)
    curved = NonlinearConstraint(
        lambda p: flat(p).sum() ** 2,
        1,
        1,
        lambda p: {"a": 2 * flat(p).sum(), "b": np.full(2, 2 * flat(p).sum())},
        lambda p, v: v[0] * 2 * np.ones((3, 3)),
    )
    result = TrustConstr().minimize(fun, x0, jac, constraints=curved, hess=lambda p: hessian)
    np.testing.assert_allclose(result.x["b"], expected, atol=1e-4)
    dict_like = {"type": "eq", "fun": lambda p: flat(p).sum() - 1}
    for constraint in (linear, dict_like):
        result = SLSQP().minimize(fun, x0, jac, constraints=constraint)
        np.testing.assert_allclose(result.x["b"], expected, atol=1e-4)


def test_residuals_have_their_jacobian_in_the_users_units():
    t = np.linspace(0, 1, 8)
    data = 2 * np.exp(-3 * t)

    def misfit(p):
        return p["size"] * np.exp(-p["rate"] * t) - data

    def jacobian(p):
        decay = np.exp(-p["rate"] * t)
        return {"size": decay, "rate": -p["size"] * t * decay}

    x0 = {"size": Param(1.0, transform="log"), "rate": Param(1.0, lower=0, scale=2.0)}
    for jac in (None, jacobian):
        result = LBFGSB(ftol=1e-14).minimize(residuals(misfit), x0, jac)
        assert result.x == pytest.approx({"size": 2, "rate": 3}, rel=1e-3)
        np.testing.assert_allclose(
            result.jacobian, np.column_stack([*jacobian(result.x).values()]), atol=1e-5
        )


def test_the_inverse_hessian_is_in_the_users_units():
    result = LBFGSB().minimize(lambda p: 50 * (p["a"] - 1) ** 2, {"a": Param(3.0, scale=100.0)})
    assert (result.hess_inv @ [1.0])[0] == pytest.approx(0.01, rel=1e-3)


def test_second_derivatives_under_a_transform_are_named_errors():
    x0 = {"a": Param(1.0, transform="log")}
    with pytest.raises(CapabilityError, match="hess is given, but x0 has transforms"):
        TrustConstr().minimize(lambda p: p["a"], x0, hess=lambda p: 1.0)
    with pytest.raises(CapabilityError, match="not linear"):
        SLSQP().minimize(lambda p: p["a"], x0, constraints=LinearConstraint([[1]], 1, 1))


@pytest.mark.parametrize(
    ("x0", "words"),
    [
        ({"a": Param(-1.0, transform="log")}, "a is -1.0: its transform is not finite there"),
        ({"a": Param(2.0, transform="logit")}, "a is 2.0"),
        (
            {"a": Param(2.0, transform=(math.log, math.sqrt))},
            "inverse transform does not return this value",
        ),
        ({"a": Param(1.0), "b": Param(1.0, tie="c")}, "tie names 'c'"),
        ({"a": Param(1.0), "b": Param(1.0, tie="b")}, "b is tied to itself"),
        ({"a": Param(1.0, tie="b"), "b": Param(1.0, tie="a")}, "a is tied to b, which is tied"),
        ({"a": np.ones(3), "b": Param([1.0, 1.0], tie="a")}, "has 3 numbers, expected 2 or 1"),
        ({"a": Param(1.0, scale=0)}, "scale of a is 0.0"),
        ({"a": Param([1.0, 2.0], scale=[1, 2, 3])}, r"scale of a\[0\] is \[1, 2, 3\]"),
        ({"a": Param("one")}, "a is 'one'"),
        ({"a": Param(None)}, "a is None"),
        ({"a": Param(1.0, lower="no")}, "for a"),
    ],
    ids=str,
)
def test_a_param_that_cannot_be_is_a_named_error(x0, words):
    with pytest.raises(InvalidInputError, match=words):
        LBFGSB().minimize(model, x0)


@pytest.mark.parametrize("tie", [("a", 2.0), lambda p: 2 * p["a"], 0], ids=["pair", "call", "int"])
def test_a_tie_that_is_not_a_name_is_a_named_error(tie):
    with pytest.raises(InvalidInputError, match="expected the name of another parameter"):
        Param(1.0, tie=tie)


def test_bounds_are_given_once():
    with pytest.raises(InvalidInputError, match="bounds of a were given twice"):
        LBFGSB().minimize(model, {"a": Param(1.0, lower=0)}, bounds={"a": (0, 1)})


@pytest.mark.parametrize("transform", ["lgo", ("log", "exp"), 3])
def test_an_unknown_transform_is_refused_where_it_is_named(transform):
    with pytest.raises(InvalidInputError, match="transform is"):
        Param(1.0, transform=transform)


def test_many_starts_are_transformed_each():
    starts = [{"a": Param(value, transform="log")} for value in (1.0, 5.0)]
    results = LBFGSB().minimize_many(lambda p: (p["a"] - 2) ** 2, starts)
    assert [result.x["a"] for result in results] == pytest.approx([2, 2], rel=1e-4)
    starts = [{"a": 1.0, "b": Param(value, fixed=True)} for value in (1.0, 2.0)]
    with pytest.raises(InvalidInputError, match=r"b of a point is 2\.0, expected 1\.0, as"):
        LBFGSB().minimize_many(lambda p: p["a"] ** 2, starts)


def test_a_journal_says_what_is_searched(tmp_path):
    x0 = {"rate": Param(1.0, transform="log"), "size": Param(3.0, scale=100), "c": 1.0}
    result = LBFGSB().minimize(lambda p: sum(v**2 for v in p.values()), x0,
                               journal=tmp_path / "run.jsonl")  # fmt: skip
    recording = load(tmp_path / "run.jsonl")
    assert recording.names == ["log(rate)", "size / 100", "c"]
    np.testing.assert_allclose(recording.points[0], [0, 0.03, 1])
    assert result.x["size"] == pytest.approx(100 * recording.result.x[1])


# The setting.

FACTORS = 10.0 ** np.arange(7)
START = np.array([-1.2, 1.0, -1.2, 1.0, -1.2, 1.0, 1.2])
BOXES = [(-5 * factor, 10 * factor) for factor in FACTORS]
LONG = {
    TNC: {"maxiter": 5000},
    NELDER_MEAD: {"maxfev": 20000},
    LBFGSB: {},
    COBYQA: {"maxiter": 20000},
}


def scaled(y):
    return rosen(y / FACTORS)


def scaled_der(y):
    return rosen_der(y / FACTORS) / FACTORS


@pytest.mark.parametrize("cls", LONG, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("jac", [False, True])
def test_variables_of_different_sizes_cost_no_more_with_a_scale(cls, jac):
    """Rosenbrock's function with variables scaled by 10^0 to 10^6, against the unscaled one."""
    if jac and cls in (NELDER_MEAD, COBYQA):
        return
    optimizer = cls(**LONG[cls])
    # Near (-1, 1, ..., 1) this function has a second minimum, of 3.98: which of them COBYQA finds
    # from START depends on rounding.
    start = np.abs(START) if cls is COBYQA else START
    plain = optimizer.minimize(rosen, start, rosen_der if jac else None)
    kinds = ((FACTORS, None), ("start", None), ("bounds", BOXES))
    for scale, bounds in kinds:
        result = optimizer.minimize(
            scaled, start * FACTORS, scaled_der if jac else None, bounds, scale=scale
        )
        assert result.nfev <= 1.2 * plain.nfev, scale
        assert result.fun <= max(1e-3, 1.001 * plain.fun), scale


@pytest.mark.parametrize("scale", ["start", "bounds", FACTORS], ids=["start", "bounds", "numbers"])
def test_differences_are_as_accurate_with_a_scale(scale):
    """Their steps are lengths in the search, which a box of width 1 would make too long."""
    box, moves = np.array([[-5.0, 5.0]] * 7), np.random.default_rng(0).uniform(-0.05, 0.05, (6, 7))
    counts, ends = [], []
    for start in np.array([-1.2, 1.0, -1.2, 1.0, -1.2, 1.0, -1.2]) * (1 + moves):
        plain = LBFGSB().minimize(rosen, start, bounds=box)
        bounds = box * FACTORS[:, np.newaxis]
        result = LBFGSB().minimize(scaled, start * FACTORS, bounds=bounds, scale=scale)
        counts.append(result.nfev / plain.nfev)
        ends.append(result.fun)
    assert np.median(counts) <= 1.2
    assert max(ends) < 1e-10


@pytest.mark.parametrize("cls", LONG, ids=lambda cls: cls.__name__)
def test_a_scale_by_the_gradient_makes_the_run_the_same_whatever_the_sizes(cls):
    counts, calls = [], [0]
    for factors in (np.ones(7), FACTORS):

        def fun(y, factors=factors):
            calls[0] += 1
            return rosen(y / factors)

        calls[0] = 0
        result = cls(**LONG[cls]).minimize(fun, START * factors, scale="gradient")
        assert result.nfev == calls[0]
        counts.append(result.nfev)
    assert counts[1] <= 1.2 * counts[0]


def test_a_scale_by_the_gradient_counts_and_obeys_the_budget():
    calls = []

    def fun(x):
        calls.append(x)
        return float(x @ x)

    result = LBFGSB().minimize(fun, [1.0, 100.0], scale="gradient", maxfun=2)
    assert result.stop is StopReason.MAXFUN
    assert result.nfev == len(calls) == 2
    calls.clear()
    slopes_seen = []

    def jac(x):
        slopes_seen.append(x)
        return 2 * x

    result = LBFGSB().minimize(fun, [1.0, 100.0], jac, scale="gradient")
    assert (result.nfev, result.njev) == (len(calls), len(slopes_seen))
    again = LBFGSB().minimize(fun, [1.0, 100.0], jac, scale=result.scale)
    np.testing.assert_array_equal(again.x, result.x)


@pytest.mark.parametrize(
    "call",
    [
        lambda f: LBFGSB().minimize_many(f, [[1.0, 2.0]], scale="gradient"),
        lambda f: LBFGSB().stepper([1.0, 2.0], scale="gradient"),
        lambda f: race([LBFGSB()], f, [1.0, 2.0], scale="gradient"),
        lambda f: multistart(f, [(0, 1)], 100, scale="gradient"),
        lambda f: LBFGSB().minimize(f, [1.0], scale="gradient", journal="never.jsonl"),
    ],
)
def test_a_scale_by_the_gradient_is_for_a_single_run_without_a_journal(call):
    with pytest.raises(OptionError, match="Pass numbers"):
        call(lambda x: float(x @ x))


@pytest.mark.parametrize(
    ("scale", "bounds", "error", "words"),
    [
        ("strat", None, OptionError, "scale is 'strat', expected one of"),
        (True, None, OptionError, "scale is True, expected one of"),
        ("bounds", None, InvalidInputError, r"scale of x\[0\] is inf, expected finite bounds"),
        ("bounds", [(0, 1), (0, None)], InvalidInputError, r"scale of x\[1\]"),
        ([1.0, 0.0], None, InvalidInputError, r"scale of x\[1\] is 0.0, expected finite"),
        ([1.0, np.nan], None, InvalidInputError, r"x\[1\]"),
        ([1.0, 2.0, 3.0], None, InvalidInputError, "scale"),
        (-1, None, InvalidInputError, "> 0"),
        ({"a": 1.0}, None, InvalidInputError, "scale"),
    ],
)
def test_a_scale_that_cannot_be_used_is_a_named_error(scale, bounds, error, words):
    calls = []
    with pytest.raises(error, match=words):
        LBFGSB().minimize(calls.append, [0.5, 0.5], bounds=bounds, scale=scale)
    assert calls == []


def test_a_scale_in_the_structure_or_one_for_all():
    def fun(p):
        return (p["a"] - 1) ** 2 + float(np.sum((p["b"] - 2) ** 2))

    x0 = {"a": 0.5, "b": np.ones(2)}
    for scale in (2.0, {"a": 1.0, "b": np.array([2.0, 3.0])}, [1.0, 2.0, 3.0]):
        result = LBFGSB().minimize(fun, x0, scale=scale)
        np.testing.assert_allclose(result.x_flat, [1, 2, 2], atol=1e-4)
    assert result.scale["b"].tolist() == [2.0, 3.0]
    many = LBFGSB(scale=2.0).minimize_many(lambda x: float(x @ x), [[1.0, 2.0], [3.0, 4.0]])
    assert many[1].scale.tolist() == [2.0, 2.0]
    np.testing.assert_allclose(many[1].x, [0, 0], atol=1e-5)


def test_equal_bounds_keep_their_last_bit_under_a_scale():
    seen = []

    def fun(x):
        seen.append(x[1])
        return float(x @ x)

    LBFGSB().minimize(fun, [1.0, 0.1], bounds=[(None, None), (0.1, 0.1)], scale=3.0)
    assert set(seen) == {0.1}


def test_the_method_s_own_scale_stays_an_option():
    """TNC has an option of that name in SciPy, for numbers."""
    assert TNC(scale=[1.0, 2.0]).settings["options"]["scale"] == [1.0, 2.0]
    assert TNC(scale="start").settings["scale"] == "start"
    assert TNC(options={"scale": [1.0, 2.0]}).settings["options"]["scale"] == [1.0, 2.0]
    both = TNC(options={"scale": [1.0, 2.0]})
    result = both.minimize(lambda x: float(x @ x), [3.0, 400.0], scale="start")
    np.testing.assert_allclose(result.x, [0, 0], atol=1e-2)
    result = SciPyOptimizer("TNC", scale="start").minimize(rosen, [3.0, 4.0])
    np.testing.assert_allclose(result.x, [1, 1], atol=1e-2)


def test_a_stepper_asks_in_the_users_units():
    stepper = LBFGSB().stepper([3.0, 400.0], scale="start", jac=True)
    for ask in stepper:
        x = ask.x_fun[0]
        stepper.tell(ask, TellData([float(x @ x)], [2 * x]))
    np.testing.assert_allclose(stepper.result().x, [0, 0], atol=1e-3)
    np.testing.assert_allclose(stepper.result().jac, 2 * stepper.result().x, rtol=1e-10)


def test_what_ignores_bounds_ignores_them_under_a_scale_too():
    from optimizers import BFGS

    with pytest.warns(OptimizerWarning, match="ignores bounds"):
        result = BFGS().minimize(lambda x: float(x @ x), [3.0], bounds=[(1, 5)], scale=2.0)
    assert result.x[0] == pytest.approx(0, abs=1e-5)
