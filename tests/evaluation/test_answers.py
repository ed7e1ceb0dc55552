import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers import EvaluationError, InvalidValueError, NonFiniteValueError
from optimizers.evaluation.answers import as_gradient, as_value, as_values, non_finite
from tests.making import shown

ONE = [
    2.0,
    2,
    np.float64(2),
    np.float32(2),
    np.int64(2),
    np.longdouble(2),
    np.array(2.0),
    np.array([2.0]),
    np.array([[2.0]]),
    np.array([2], dtype=np.float32),
    [2],
    [[2.0]],
    (2.0,),
]
NO_NUMBERS = [None, "2.0", b"2", [None], {}, {"fun": 2}, object(), [2, [3]], [2, "3"], lambda: 2]


@pytest.mark.parametrize("raw", ONE, ids=shown)
def test_one_number_in_any_form_is_a_float(raw):
    value = as_value(raw)
    assert type(value) is float
    assert value == 2.0
    np.testing.assert_array_equal(as_values(raw, 1), [2.0])


@given(st.floats() | st.integers(-(2**53), 2**53) | st.floats(width=32).map(np.float32))
@settings(deadline=None, max_examples=60)
def test_no_number_loses_a_bit(raw):
    value = as_value(raw)
    assert value == raw or (math.isnan(value) and math.isnan(raw))


def test_booleans_are_numbers():
    assert as_value(True) == as_value(np.True_) == 1.0


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf, [math.nan], np.float32("inf")])
def test_values_that_are_not_finite_are_for_the_caller_to_judge(raw):
    assert not math.isfinite(as_value(raw))


@pytest.mark.parametrize("raw", NO_NUMBERS, ids=shown)
def test_what_is_no_number_is_an_error(raw):
    for checked in (as_value, lambda r: as_values(r, 1), lambda r: as_values(r, 2)):
        with pytest.raises(InvalidValueError, match=r"fun returned .*expected"):
            checked(raw)
    with pytest.raises(InvalidValueError, match=r"jac returned .*expected"):
        as_gradient(raw, 2)


@pytest.mark.parametrize("raw", [1j, 1 + 0j, np.complex64(2), [2 + 0j], np.array(1j)], ids=shown)
def test_complex_numbers_are_an_error_that_says_so(raw):
    with pytest.raises(InvalidValueError, match="fun returned complex numbers, expected real"):
        as_value(raw)
    with pytest.raises(InvalidValueError, match="jac returned complex numbers, expected real"):
        as_gradient(raw, 1)


@pytest.mark.parametrize("raw", [1 + 2j, [1 + 2j], np.array([1 + 2j], dtype=np.complex64)])
def test_complex_numbers_are_taken_where_they_are_wanted(raw):
    values = as_values(raw, 1, np.complex128)
    assert values.dtype == np.complex128
    np.testing.assert_array_equal(values, [1 + 2j])


def test_real_numbers_where_complex_ones_are_wanted_are_an_error():
    # Their imaginary part, the gradient, was lost on the way.
    with pytest.raises(InvalidValueError, match="complex"):
        as_values([1, 2.5], 2, np.complex128)


@pytest.mark.parametrize("raw", [[], [1.0, 2.0], np.zeros((1, 2)), np.zeros(0)], ids=shown)
def test_another_number_of_values_than_one_is_an_error(raw):
    with pytest.raises(InvalidValueError, match=r"returned \d values.*expected one number"):
        as_value(raw)


@pytest.mark.parametrize("raw", [1.0, [1.0, 2.0], np.zeros((2, 2))], ids=shown)
def test_another_number_of_values_than_points_is_an_error_that_says_how_many(raw):
    with pytest.raises(InvalidValueError, match=r"expected 3 numbers, one for each point"):
        as_values(raw, 3)


def test_the_values_of_a_group_may_have_any_shape():
    for raw in ([1, 2, 3, 4], np.array([[1, 2], [3, 4]]), np.array([[1.0], [2], [3], [4]])):
        np.testing.assert_array_equal(as_values(raw, 4), [1.0, 2.0, 3.0, 4.0])


def test_values_are_a_copy():
    buffer = np.array([1.0, 2.0])
    values = as_values(buffer, 2)
    buffer[:] = 9.0
    np.testing.assert_array_equal(values, [1.0, 2.0])


@pytest.mark.parametrize(
    "raw",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1, 2, 3], dtype=np.float32),
        np.array([[1, 2, 3]]),
        np.array([[1], [2], [3]]),
        np.arange(6.0).reshape(3, 2)[:, 0] / 2 + 1,
    ],
    ids=shown,
)
def test_a_gradient_may_be_a_row_or_a_column(raw):
    gradient = as_gradient(raw, 3)
    assert gradient.dtype == np.float64
    assert gradient.flags.c_contiguous
    np.testing.assert_array_equal(gradient, [1.0, 2.0, 3.0])


def test_a_gradient_in_one_variable_may_be_a_number():
    np.testing.assert_array_equal(as_gradient(2.5, 1), [2.5])
    np.testing.assert_array_equal(as_gradient(np.float32(2.5), 1), [2.5])


def test_a_gradient_is_a_copy():
    buffer = np.array([1.0, 2.0])
    gradient = as_gradient(buffer, 2)
    buffer[:] = 9.0
    np.testing.assert_array_equal(gradient, [1.0, 2.0])


@pytest.mark.parametrize(
    ("raw", "shape"),
    [([1.0], r"\(1,\)"), (np.eye(3), r"\(3, 3\)"), (1.0, r"\(\)"), (np.ones((1, 1, 3)), "1, 1, 3")],
    ids=shown,
)
def test_a_gradient_of_the_wrong_shape_is_an_error_that_shows_both(raw, shape):
    with pytest.raises(InvalidValueError, match=rf"jac returned shape .*{shape}.*expected \(3,\)"):
        as_gradient(raw, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_component_that_is_not_finite_is_an_error_that_names_it(bad):
    with pytest.raises(NonFiniteValueError, match=r"returned -?(nan|inf) in component 1"):
        as_gradient([1.0, bad, 2.0], 3)


def test_a_finite_gradient_whose_square_overflows_is_fine():
    np.testing.assert_array_equal(as_gradient([1e200, -1e308], 2), [1e200, -1e308])


def test_a_gradient_without_components():
    assert as_gradient([], 0).shape == (0,)


def test_the_error_of_a_value_that_is_not_finite_says_what_to_do():
    error = non_finite(math.nan)
    assert isinstance(error, NonFiniteValueError)
    assert isinstance(error, EvaluationError)
    assert 'on_failure="reject"' in str(error)
    assert "nan" in str(error)
