import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import Bounds, LinearConstraint

from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    POWELL,
    AmbiguousBoundsWarning,
    CapabilityError,
    InvalidInputError,
    OptimizerWarning,
    SupportLevel,
    support,
)
from optimizers.problem.bounds import as_bounds, as_start, inside
from optimizers.problem.problem import Problem
from tests.making import shown

ALL = dict.fromkeys(support.CAPABILITIES, SupportLevel.supported)
INF = np.inf


def sphere(x):
    return float(np.sum(np.square(x)))


def check(x0=(1.0, 2.0), jac=None, bounds=None, *, fun=sphere, levels=ALL, **further):
    return Problem.check("Method", levels, fun, x0, jac, bounds, **further)


# The start.


@pytest.mark.parametrize(
    ("given_start", "start"),
    [
        (2, [2.0]),
        (2.5, [2.5]),
        (np.float32(0.1), [np.float64(np.float32(0.1))]),
        (np.array(3), [3.0]),
        (np.array([1, 2, 3]), [1.0, 2.0, 3.0]),
        ([1, 2.5], [1.0, 2.5]),
        ((1, 2), [1.0, 2.0]),
        (range(3), [0.0, 1.0, 2.0]),
        (np.array([1, 2], dtype=np.uint8), [1.0, 2.0]),
        (np.array([0.1, 0.2], dtype=np.float32), np.array([0.1, 0.2], dtype=np.float32)),
        (np.array([True, False]), [1.0, 0.0]),
        (np.arange(6.0)[::2], [0.0, 2.0, 4.0]),
        (np.arange(3, dtype=">f8"), [0.0, 1.0, 2.0]),
    ],
    ids=shown,
)
def test_a_start_may_have_many_forms_and_is_a_plain_vector_inside(given_start, start):
    for x0 in (as_start(given_start), check(given_start).x0):
        assert x0.dtype == np.dtype(np.float64)
        assert x0.dtype.isnative
        assert x0.flags.c_contiguous
        assert x0.flags.writeable
        np.testing.assert_array_equal(x0, start)


@pytest.mark.parametrize(
    ("given_start", "message"),
    [
        ([1.0, np.nan], r"x0\[1\] is nan"),
        ([-np.inf, 1.0], r"x0\[0\] is -inf"),
        ([1.0, 2j], "complex128"),
        ("12", "expected a number"),
        (["1", "2"], "expected a number"),
        ([1.0, None], "dtype object"),
        (None, "x0 is None"),
    ],
    ids=shown,
)
def test_what_is_no_start_is_an_error_that_says_what_was_given(given_start, message):
    with pytest.raises(InvalidInputError, match=message):
        as_start(given_start)
    with pytest.raises(InvalidInputError, match="x0"):
        LBFGSB().minimize(sphere, given_start)


@pytest.mark.parametrize(
    ("given_start", "message"),
    [
        (np.eye(2), r"shape \(2, 2\).*ravel"),
        ([[1.0]], r"shape \(1, 1\)"),
        ([1.0, [2.0, 3.0]], "expected a number"),
        ({"a": 1}, "expected a number"),
    ],
    ids=shown,
)
def test_a_structure_is_no_vector(given_start, message):
    with pytest.raises(InvalidInputError, match=message):
        as_start(given_start)


def test_a_problem_knows_its_number_of_variables():
    assert check([1.0, 2.0, 3.0]).n == 3
    assert check(1.0).n == 1


# Bounds.


@pytest.mark.parametrize(
    "bounds",
    [
        [(0, None), (None, 5)],
        ((0, None), (None, 5)),
        [[0.0, INF], [-INF, 5.0]],
        np.array([[0.0, INF], [-INF, 5.0]]),
        np.array([[0.0, INF], [-INF, 5.0]], dtype=np.float32),
        np.array([[0, None], [None, 5]], dtype=object),
        Bounds([0.0, -INF], [INF, 5.0]),
        [(0, INF), (None, np.float32(5))],
        [(0, None), [-INF, 5]],
    ],
    ids=["pairs", "tuples", "lists", "array", "float32", "objects", "Bounds", "mixed", "both"],
)
def test_bounds_may_have_many_forms(bounds):
    problem = check([1.0, 2.0], bounds=bounds)
    for side, expected in ((problem.lower, [0.0, -INF]), (problem.upper, [INF, 5.0])):
        assert side.dtype == np.float64
        assert side.flags.c_contiguous
        np.testing.assert_array_equal(side, expected)


def test_bounds_may_come_from_a_generator():
    problem = check([1.0, 2.0], bounds=((low, low + 5) for low in (0, -1)))
    np.testing.assert_array_equal(problem.lower, [0.0, -1.0])
    np.testing.assert_array_equal(problem.upper, [5.0, 4.0])
    problem = check([1.0, 2.0], bounds=zip([0, None], [None, 4], strict=True))
    np.testing.assert_array_equal(problem.upper, [INF, 4.0])


@pytest.mark.parametrize(
    ("bounds", "lower", "upper"),
    [
        (Bounds(0, 5), [0, 0], [5, 5]),
        (Bounds(-INF, [3, 4]), [-INF, -INF], [3, 4]),
        (Bounds([0], 5), [0, 0], [5, 5]),
        (Bounds(0), [0, 0], [INF, INF]),
    ],
    ids=shown,
)
def test_scipys_bounds_may_hold_one_number_for_all(bounds, lower, upper):
    found = as_bounds(bounds, 2)
    np.testing.assert_array_equal(found, [lower, upper])
    found[0][0] = -7.0  # an array of one's own, not a broadcast view
    assert found[0][1] == lower[1]


@pytest.mark.parametrize(
    "bounds",
    [None, [(None, None)] * 2, [(-INF, INF), (None, None)], Bounds(), np.tile([-INF, INF], (2, 1))],
    ids=shown,
)
def test_bounds_that_bind_nothing_are_none(bounds):
    assert as_bounds(bounds, 2) == (None, None)
    problem = check(bounds=bounds)
    assert problem.lower is None
    assert problem.upper is None


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(0, 1), (np.nan, 1)], "lower bound of variable 1 is NaN"),
        ([(0, 1), (None, np.nan)], "upper bound of variable 1 is NaN"),
        (np.array([[0, np.nan], [0, 1]]), "upper bound of variable 0 is NaN"),
        (Bounds([0, np.nan], 1), "lower bound of variable 1 is NaN"),
        ([(0, 1), (2, 1)], r"bounds\[1\] is \(2.0, 1.0\)"),
        (Bounds([3, 0], 1), r"bounds\[0\] is \(3.0, 1.0\)"),
        ([(0, 1), (INF, INF)], r"bounds\[1\]"),
        ([(-INF, -INF), (0, 1)], r"bounds\[0\]"),
        ([(0, 1)], r"shape \(1, 2\), expected \(2, 2\)"),
        ([(0, 1)] * 3, r"shape \(3, 2\), expected \(2, 2\)"),
        ([0, 1], r"shape \(2,\), expected \(2, 2\)"),
        (([0, 0, 0], [1, 1, 1]), r"shape \(2, 3\), expected \(2, 2\)"),
        ([], r"expected \(2, 2\)"),
        ([(None, 1), (np.nan, 1)], "lower bound of variable 1 is NaN"),
        ([[0, None], [None, np.nan]], "upper bound of variable 1 is NaN"),
        ([(0, 1), (0,)], "expected a list of"),
        ([(0, 1, 2), (3,)], "expected a list of"),
        ([(0, 1), "01"], "expected a list of"),
        ([(0, 1), {0: 0, 1: 1}], "expected a list of"),
        ([(0, [1]), (0, 1)], "expected a list of"),
        ([(0, 1), 5], "expected a list of"),
        ([("a", "b"), (0, 1)], "expected a list of"),
        ([(1j, 2), (0, 1)], "expected a list of"),
        (np.array([[1j, 2], [0, 1]]), "expected a list of"),
        (5, "expected a list of"),
        ("bounds", "expected a list of"),
        (Bounds([0, 0, 0], 1), r"shapes \(3,\)"),
    ],
    ids=shown,
)
def test_what_are_no_bounds_is_an_error_that_names_the_place(bounds, message):
    calls = []
    with pytest.raises(InvalidInputError, match=message):
        as_bounds(bounds, 2)
    with pytest.raises(InvalidInputError, match=message):
        LBFGSB().minimize(calls.append, [0.5, 0.5], bounds=bounds)
    assert calls == []


@pytest.mark.parametrize(
    "bounds",
    [
        ([0, 0], [5, 5]),
        ([0, 1], [5, 6]),
        (np.zeros(2), np.full(2, 5.0)),
        ([0, None], [5, None]),
        [[0, 0], [5, 5]],
        np.array([[0, 0], [5, 5]]),
    ],
    ids=shown,
)
def test_two_pairs_that_look_like_lows_and_highs_are_pairs_with_a_warning(bounds):
    with pytest.warns(AmbiguousBoundsWarning, match=r"write Bounds\(lows, highs\)"):
        lower, upper = as_bounds(bounds, 2)
    rows = np.array(bounds, dtype=np.float64)  # None becomes NaN
    assert np.array_equal(lower, rows[:, 0])
    assert np.array_equal(upper, np.nan_to_num(rows[:, 1], nan=np.inf))


@pytest.mark.parametrize(
    "bounds",
    [
        [(0, 0), (5, 5)],
        ((0, 0), (5, 5)),
        ((0, 1), (5, 6)),
        [(0, 5), (0, 5)],
        ([0, 5], [0, 5]),  # as lows and highs they would leave nothing free
        ([0, 3], [3, 5]),  # either way the same
        ([0, None], [None, 5]),
        [[0, 1], [5, 6]],
        Bounds([0, 0], [5, 5]),
    ],
    ids=shown,
)
def test_pairs_as_scipys_minimize_has_them_are_taken_without_a_word(bounds):
    as_bounds(bounds, 2)  # warnings are errors


def test_crossed_pairs_may_be_lows_and_highs():
    with pytest.raises(InvalidInputError, match=r"All lows and all highs are Bounds"):
        as_bounds(([0, -5], [5, 5]), 2)
    with pytest.raises(InvalidInputError, match=r"\(1.0, 0.0\)\.$"):
        as_bounds([(1, 0), (0, 2)], 2)
    with pytest.raises(InvalidInputError, match=r"\(inf, inf\)\.$"):
        as_bounds([(np.inf, np.inf)] * 2, 2)


def test_the_error_of_many_wrong_bounds_is_short():
    with pytest.raises(InvalidInputError) as error:
        as_bounds([("low", "high")] * 10**4, 10**4)
    assert len(str(error.value)) < 500


def test_very_many_bounds_of_each_form_are_read_right():
    n = 10**5
    lower = np.linspace(-5.0, 5.0, n)
    upper = lower + 1.0
    forms = [
        list(zip(lower.tolist(), upper.tolist(), strict=True)),
        np.column_stack([lower, upper]).tolist(),
        tuple(zip(lower, upper, strict=True)),
        np.column_stack([lower, upper]),
        Bounds(lower, upper),
    ]
    for bounds in forms:
        np.testing.assert_array_equal(as_bounds(bounds, n), [lower, upper])
    holes = [(None if i % 3 == 0 else i, None if i % 3 == 1 else i + 1) for i in range(n)]
    low, high = as_bounds(holes, n)
    index = np.arange(n)
    np.testing.assert_array_equal(low, np.where(index % 3 == 0, -INF, index))
    np.testing.assert_array_equal(high, np.where(index % 3 == 1, INF, index + 1))


def test_no_variables_need_no_bounds():
    assert as_bounds([], 0) == (None, None)


# What is outside, and what is shared.


def test_a_start_outside_is_clipped_with_one_warning_at_the_callers_line():
    with pytest.warns(OptimizerWarning, match=r"2 variable.*x0\[1\] = 7.0.*x0\[1\] = 5.0") as seen:
        result = LBFGSB().minimize(sphere, [1.0, 7.0, -3.0], bounds=[(0, 5), (0, 5), (-1, 1)])
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert result.success


def test_an_object_that_is_called_warns_at_the_callers_line_too():
    with pytest.warns(OptimizerWarning, match="clipped") as seen:
        LBFGSB()(sphere, [7.0], None, [(0, 5)])
    assert seen[0].filename == __file__


def test_a_start_on_the_bound_is_inside():
    problem = check([0.0, 5.0], bounds=[(0, 5), (0, 5)])
    np.testing.assert_array_equal(problem.x0, [0.0, 5.0])


def test_the_clipped_start_is_where_the_run_starts():
    seen = []
    with pytest.warns(OptimizerWarning, match="clipped"):
        POWELL(maxfun=1).minimize(lambda x: seen.append(x) or sphere(x), [9.0, -9.0], None, BOX)
    np.testing.assert_array_equal(seen[0], [2.0, -1.0])


BOX = [(-1.0, 2.0), (-1.0, 2.0)]


def test_nothing_that_was_given_is_changed_or_shared():
    x0, array = np.array([0.5, 1.0]), np.array(BOX)
    lb, ub = array[:, 0].copy(), array[:, 1].copy()
    for bounds in (array, Bounds(lb, ub)):
        problem = check(x0, bounds=bounds)
        for inner in (problem.x0, problem.lower, problem.upper):
            assert not any(np.shares_memory(inner, outer) for outer in (x0, array, lb, ub))
            inner[:] = 77.0
    np.testing.assert_array_equal(x0, [0.5, 1.0])
    np.testing.assert_array_equal(array, BOX)
    np.testing.assert_array_equal([lb, ub], np.transpose(BOX))


def test_the_start_is_ones_own_also_without_bounds_and_with_the_right_type():
    x0 = np.array([0.5, 1.0])
    assert not np.shares_memory(check(x0).x0, x0)
    assert not np.shares_memory(as_start(x0), x0)


def test_lists_and_generators_are_left_as_they_are():
    x0, bounds = [0.5, 7.0], [(0, None), (None, 5)]
    with pytest.warns(OptimizerWarning, match="clipped"):
        check(x0, bounds=bounds)
    assert x0 == [0.5, 7.0]
    assert bounds == [(0, None), (None, 5)]


def test_read_only_input_is_fine():
    x0, bounds = np.array([0.5, 1.0]), np.array(BOX)
    x0.flags.writeable = bounds.flags.writeable = False
    result = LBFGSB().minimize(sphere, x0, bounds=bounds)
    assert result.success


@given(
    st.lists(
        st.tuples(*[st.floats(-1e300, 1e300)] * 3).map(lambda t: (t[0], *sorted(t[1:]))),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None, max_examples=100)
def test_clip_gives_the_nearest_point_of_the_box(rows):
    x, lower, upper = np.array(rows).T
    problem = Problem(sphere, lower, lower=lower, upper=upper)
    found = problem.clip(x)
    # The nearest point of an interval is the median of the point and the two ends.
    np.testing.assert_array_equal(found, np.median([x, lower, upper], axis=0))
    assert not np.shares_memory(found, x)


def test_clip_without_bounds_gives_a_copy():
    x = np.array([1.0, -2.0])
    found = check(x).clip(x)
    np.testing.assert_array_equal(found, x)
    assert not np.shares_memory(found, x)


def test_inside_leaves_a_start_alone_that_has_no_bounds():
    np.testing.assert_array_equal(inside(np.array([1e300]), None, None), [1e300])


@pytest.mark.parametrize(
    ("bounds", "fixed"),
    [(None, False), ([(1, 1), (2, 3)], False), ([(1, 1), (2, 2)], True), ([(1, 1)] * 2, True)],
)
def test_a_problem_knows_whether_anything_is_free(bounds, fixed):
    assert check([1.0, 2.0] if bounds != [(1, 1)] * 2 else [1, 1], bounds=bounds).is_fixed is fixed


def test_the_box_is_infinite_where_there_are_no_bounds():
    np.testing.assert_array_equal(check([1.0, 2.0]).box, [[-np.inf] * 2, [np.inf] * 2])
    np.testing.assert_array_equal(check([1.0], bounds=[(0, None)]).box, [[0.0], [np.inf]])


# What an algorithm can take.

GIVEN = {
    "gradient": {"jac": lambda x: 2 * np.asarray(x)},
    "bounds": {"bounds": [(0, 5)] * 2},
    "constraints": {"constraints": [{"type": "ineq", "fun": lambda x: x[0]}]},
    "hessian": {"hess": lambda x: 2 * np.eye(len(x))},
}


def kept(problem, what):
    return {
        "gradient": problem.derivatives.jac is not None,
        "bounds": problem.lower is not None,
        "constraints": len(problem.constraints) > 0,
        "hessian": problem.hess is not None or problem.hessp is not None,
    }[what]


@pytest.mark.parametrize("what", GIVEN)
def test_what_is_supported_or_required_is_kept_without_a_word(what):
    for level in (SupportLevel.supported, SupportLevel.required):
        problem = check(levels={**ALL, what: level}, **GIVEN[what])
        assert kept(problem, what)
    assert not kept(check(), what)


@pytest.mark.parametrize("what", GIVEN)
def test_what_is_ignored_is_dropped_with_one_warning_that_names_it(what):
    levels = {**ALL, what: SupportLevel.ignored}
    with pytest.warns(OptimizerWarning, match=r"Method ignores (jac|bounds|constr|hess)") as seen:
        problem = check(levels=levels, **GIVEN[what])
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert not kept(problem, what)
    assert not kept(check(levels=levels), what)


@pytest.mark.parametrize("what", GIVEN)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "left out"])
def test_what_is_not_supported_is_an_error(what, declared):
    levels = {name: level for name, level in ALL.items() if name != what}
    if declared:
        levels[what] = SupportLevel.not_supported
    with pytest.raises(CapabilityError, match=r"Method cannot honor (jac|bounds|constr|hess)"):
        check(levels=levels, **GIVEN[what])
    assert not kept(check(levels=levels), what)


@pytest.mark.parametrize(
    ("what", "argument"),
    [
        ("gradient", "jac"),
        ("bounds", "bounds"),
        ("constraints", "constraints"),
        ("hessian", "hess or hessp"),
    ],
)
def test_what_is_required_and_missing_is_an_error(what, argument):
    with pytest.raises(CapabilityError, match=f"Method requires {argument}"):
        check(levels={**ALL, what: SupportLevel.required})


@pytest.mark.parametrize("bounds", [[(None, None)] * 2, Bounds(), [(-INF, INF)] * 2], ids=shown)
def test_bounds_that_bind_nothing_are_none_given(bounds):
    for level in (SupportLevel.not_supported, SupportLevel.ignored):
        assert check(levels={**ALL, "bounds": level}, bounds=bounds).lower is None
    with pytest.raises(CapabilityError, match="Method requires bounds"):
        check(levels={**ALL, "bounds": SupportLevel.required}, bounds=bounds)


def test_the_start_has_levels_too():
    with pytest.raises(CapabilityError, match="requires x0"):
        check(None, levels={**ALL, "initial_point": SupportLevel.required})
    with pytest.raises(CapabilityError, match="cannot honor x0"):
        check(levels={**ALL, "initial_point": SupportLevel.not_supported})
    with pytest.warns(OptimizerWarning, match="ignores x0"):
        check(levels={**ALL, "initial_point": SupportLevel.ignored})
    assert check(levels={**ALL, "initial_point": SupportLevel.required}).n == 2


def test_a_hessian_product_alone_is_a_hessian():
    levels = {**ALL, "hessian": SupportLevel.required}
    problem = check(levels=levels, hessp=lambda x, p: 2 * p)
    assert problem.hess is None
    np.testing.assert_array_equal(problem.hessp(np.zeros(2), np.ones(2)), [2, 2])


@pytest.mark.parametrize("constraints", [(), [], None], ids=shown)
def test_no_constraints_are_nothing_given(constraints):
    levels = {**ALL, "constraints": SupportLevel.not_supported}
    assert check(levels=levels, constraints=constraints).constraints == ()


def test_one_constraint_needs_no_list():
    assert len(check(constraints=LinearConstraint(np.eye(2), 0, 1)).constraints) == 1


@pytest.mark.parametrize("jac", ["2-point", "3-point", "cs", True, lambda x: x], ids=shown)
def test_a_gradient_may_be_a_function_a_scheme_or_true(jac):
    assert check(jac=jac).derivatives.jac is jac


@pytest.mark.parametrize("jac", [None, False], ids=shown)
def test_no_gradient_is_none(jac):
    assert check(jac=jac).derivatives.jac is None
    with pytest.raises(CapabilityError, match="requires jac"):
        check(jac=jac, levels={**ALL, "gradient": SupportLevel.required})


@pytest.mark.parametrize(
    "jac", ["4-point", 1, [1.0, 2.0], np.zeros(2), np.zeros((2, 2)), {}], ids=shown
)
def test_what_is_no_gradient_is_an_error(jac):
    with pytest.raises(
        InvalidInputError, match="expected a callable, True, a GradientSource such as"
    ):
        check(jac=jac)


@pytest.mark.parametrize("fun", [None, 3.0, "fun", np.zeros(2)], ids=shown)
def test_what_is_no_objective_is_an_error(fun):
    with pytest.raises(InvalidInputError, match="expected a callable"):
        check(fun=fun)


def test_a_function_that_returns_both_is_unpacked_where_the_gradient_is_of_no_use():
    calls = []

    def both(x):
        calls.append(x)
        return sphere(x), 2 * x

    with pytest.warns(OptimizerWarning, match="ignores jac") as caught:
        result = NELDER_MEAD().minimize(both, [1.0, 2.0], jac=True)
    assert len(caught) == 1
    assert result.success
    assert result.nfev == len(calls)
    assert result.fun == sphere(result.x)


def test_the_worst_violation_of_all_constraints_counts():
    constraints = [{"type": "eq", "fun": lambda x: x[0]}, LinearConstraint([[0, 1]], 3, 4)]
    problem = check(constraints=constraints)
    assert problem.violation(np.array([0.0, 3.5])) == 0.0
    assert problem.violation(np.array([0.5, 6.0])) == 2.0
    assert problem.violation(np.array([-5.0, 6.0])) == 5.0
    assert check().violation(np.zeros(2)) == 0.0
