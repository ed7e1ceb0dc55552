import math
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from optimizers import LBFGSB, InvalidInputError, InvalidValueError, OptionError, vectorized
from optimizers.evaluation import Evaluator
from optimizers.evaluation.choose import evaluator_for
from tests.waves import answered, asked_value

SIZES = given(k=st.integers(1, 12), n=st.integers(1, 4), group=st.integers(1, 14))
FEW = settings(deadline=None, max_examples=60)


def sphere(x):
    return float(x @ x)


def sums(flat, n):
    """An objective in Qiskit's convention: one value for each point of a flat vector."""
    return np.reshape(flat, (-1, n)).sum(axis=1)


def points_of(k, n):
    return np.arange(1.0, k * n + 1).reshape(k, n)


def values_of(evaluator, points):
    values = np.full(len(points), np.nan, dtype=points.dtype)
    for part, answer in answered(evaluator, points):
        if isinstance(answer, Exception):
            raise answer
        values[part] = answer
    return values


class Recorder:
    """Keeps what the objective is called with, and then spoils it."""

    def __init__(self, fun):
        self.fun, self.seen = fun, []

    def __call__(self, x):
        self.seen.append(x.copy())
        answer = self.fun(x)
        x[...] = -1e9
        return answer


def test_one_by_one_by_default():
    fun = Recorder(lambda x: x[0] * 10 + x[1])
    points = points_of(3, 2)
    np.testing.assert_array_equal(values_of(Evaluator(fun), points), [12.0, 34.0, 56.0])
    np.testing.assert_array_equal(fun.seen, [[1, 2], [3, 4], [5, 6]])
    assert values_of(Evaluator(fun, None), points).tolist() == [12.0, 34.0, 56.0]


@SIZES
@FEW
def test_groups_are_flat_vectors_of_so_many_points_at_most(k, n, group):
    fun = Recorder(lambda flat: sums(flat, n))
    points = points_of(k, n)
    values = values_of(Evaluator(fun, group), points)
    np.testing.assert_array_equal(values, points.sum(axis=1))
    assert len(fun.seen) == math.ceil(k / group)
    assert [call.shape for call in fun.seen[:-1]] == [(group * n,)] * (len(fun.seen) - 1)
    np.testing.assert_array_equal(np.concatenate(fun.seen), points.ravel())


@SIZES
@FEW
def test_a_vectorized_objective_gets_stacks(k, n, group):
    fun = Recorder(lambda stack: stack.sum(axis=1))
    points = points_of(k, n)
    values = values_of(evaluator_for(fun, group, "vectorized"), points)
    np.testing.assert_array_equal(values, points.sum(axis=1))
    # Without a limit on the group, the wave is one call.
    assert len(fun.seen) == (1 if group == 1 else math.ceil(k / group))
    assert all(call.ndim == 2 for call in fun.seen)
    np.testing.assert_array_equal(np.concatenate(fun.seen), points)


def test_the_decorator_marks_an_objective():
    @vectorized
    def total(stack):
        """Sum up."""
        assert stack.ndim == 2
        return stack.sum(axis=1)

    assert total.__doc__ == "Sum up."
    evaluator = Evaluator(total)
    assert asked_value(evaluator, np.array([1.0, 2.0])) == 3.0
    np.testing.assert_array_equal(values_of(evaluator, points_of(4, 2)), [3.0, 7.0, 11.0, 15.0])


class Model:
    def energy(self, stack):
        return (stack**2).sum(axis=1)


def test_a_method_can_be_marked():
    energy = vectorized(Model().energy)
    assert LBFGSB().minimize(energy, [1.0, 2.0]).success


def test_a_method_can_be_called_vectorized_without_a_mark():
    assert LBFGSB(workers="vectorized").minimize(Model().energy, [1.0, 2.0]).success


@SIZES
@FEW
def test_a_map_gets_the_objective_and_all_points_of_a_wave(k, n, group):
    calls = []

    def mapping(fun, points):
        points = list(points)
        calls.append(len(points))
        return map(fun, points)

    fun = Recorder(lambda x: [x.sum()])
    points = points_of(k, n)
    values = values_of(evaluator_for(fun, 1, mapping), points)
    np.testing.assert_array_equal(values, points.sum(axis=1))
    assert calls == [k]
    assert [call.shape for call in fun.seen] == [(n,)] * k


def test_a_pool_of_threads_is_a_map():
    with ThreadPoolExecutor(4) as pool:
        evaluator = evaluator_for(lambda x: float(x.sum()), workers=pool.map)
        np.testing.assert_array_equal(values_of(evaluator, points_of(9, 2)), np.arange(3, 38, 4))


@pytest.mark.parametrize("retries", [0, 2])
def test_a_point_that_fails_in_a_map_takes_no_other_with_it(retries):
    calls = []

    def fun(x):
        calls.append(x[0])
        if x[0] == 3.0:
            raise LookupError("mine")
        return x[0]

    evaluator = evaluator_for(fun, workers=map, retries=retries)
    answers = dict.fromkeys(range(4))
    for part, answer in answered(evaluator, np.arange(1.0, 5.0)[:, np.newaxis]):
        answers.update(dict.fromkeys(range(4)[part], answer))
    assert [answers[i] for i in (0, 1, 3)] == [1.0, 2.0, 4.0]
    assert isinstance(answers[2], LookupError)
    assert evaluator.facts.started == len(calls) == 4 + retries


def test_a_pool_of_processes_is_a_map_that_says_what_went_wrong_there():
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:
        evaluator = evaluator_for(math.sqrt, workers=pool.map)
        (found,) = [answer for _, answer in answered(evaluator, np.ones((1, 2)))]
    assert isinstance(found, TypeError)
    assert found.__notes__[0].startswith("In the worker:")


def test_a_map_that_evaluates_by_itself_returns_values():
    evaluator = evaluator_for(np.sum, workers=lambda fun, points: [np.sum(x) for x in points])
    np.testing.assert_array_equal(values_of(evaluator, points_of(3, 1)), [1.0, 2.0, 3.0])


def test_a_map_in_a_wrapper_is_no_factory():
    with ThreadPoolExecutor(2) as pool:
        result = LBFGSB().minimize(sphere, [1.0, 2.0], workers=lambda *args: pool.map(*args))
    assert result.success


def test_a_factory_in_a_wrapper_is_told_what_it_was_taken_for():
    with pytest.raises(InvalidInputError, match="returned an executor: pass a callable without"):
        LBFGSB(on_failure="reject").minimize(
            sphere, [1.0, 2.0], workers=lambda *args: ThreadPoolExecutor(2)
        )


def test_a_factory_may_have_options_of_its_own():
    made = []

    def make(count=2, *, name=""):
        made.append(count)
        return ThreadPoolExecutor(count, name)

    assert LBFGSB().minimize(sphere, [1.0, 2.0], workers=make).success
    assert made == [2]


def test_a_map_that_answers_too_little_is_an_error():
    evaluator = evaluator_for(lambda x: 1.0, workers=lambda fun, points: [1.0])
    with pytest.raises(InvalidValueError, match="expected 3 numbers"):
        values_of(evaluator, points_of(3, 2))


@pytest.mark.parametrize("workers", [None, "vectorized", map], ids=str)
def test_the_objective_gets_copies_that_it_may_spoil_and_keep(workers):
    kept = []

    def spoil(x):
        answer = np.sum(x, axis=-1)
        kept.append(x)
        x[...] = np.nan
        return answer

    points = points_of(4, 3)
    before = points.copy()
    evaluator = evaluator_for(spoil, 1, workers)
    values_of(evaluator, points)
    asked_value(evaluator, points[0])
    np.testing.assert_array_equal(points, before)
    assert not any(np.shares_memory(x, points) for x in kept)
    assert not any(np.shares_memory(a, b) for a in kept for b in kept if a is not b)


def test_the_objective_gets_contiguous_writeable_float64():
    def look(x):
        assert x.dtype == np.float64
        assert x.flags.c_contiguous
        assert x.flags.writeable
        return np.zeros(3)

    points = np.asfortranarray(points_of(3, 2))
    points.flags.writeable = False
    for workers in (None, "vectorized"):
        values_of(evaluator_for(look, 3, workers), points)


ANSWERS = [
    lambda v: v,
    int,
    np.float32,
    np.int64,
    np.array,
    lambda v: [v],
    lambda v: (v,),
    lambda v: np.array([v]),
    lambda v: np.array([[v]]),
]


@pytest.mark.parametrize("kind", ANSWERS)
def test_one_point_may_be_answered_in_any_form(kind):
    evaluator = Evaluator(lambda x: kind(float(x.sum())))
    value = asked_value(evaluator, np.array([1.0, 2.0]))
    assert type(value) is float
    assert value == 3.0
    np.testing.assert_array_equal(values_of(evaluator, points_of(3, 2)), [3.0, 7.0, 11.0])


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, np.float32, lambda v: v.reshape(-1, 1), lambda v: v.astype(int)]
)
def test_a_group_may_be_answered_in_any_form(kind):
    evaluator = Evaluator(lambda flat: kind(sums(flat, 2)), 3)
    np.testing.assert_array_equal(values_of(evaluator, points_of(5, 2)), [3, 7, 11, 15, 19])


@pytest.mark.parametrize(
    ("group", "workers", "answer", "expected"),
    [
        (1, None, [1.0, 2.0], "returned 2 values .*expected one number"),
        (1, None, [], "returned 0 values .*expected one number"),
        (2, None, 1.0, "returned 1 values .*expected 2 numbers, one for each point"),
        (2, None, [1.0, 2.0, 3.0], "returned 3 values .*expected 2 numbers"),
        (1, "vectorized", 1.0, "returned 1 values .*expected 4 numbers"),
        (1, "vectorized", np.ones((4, 2)), "returned 8 values .*expected 4 numbers"),
        (1, map, [1.0, 2.0], "returned 2 values .*expected one number"),
    ],
)
def test_a_wrong_number_of_values_is_an_error_that_says_how_many(group, workers, answer, expected):
    with pytest.raises(InvalidValueError, match=expected):
        values_of(evaluator_for(lambda x: answer, group, workers), points_of(4, 2))


def test_the_last_group_may_be_smaller_and_so_must_be_its_answer():
    with pytest.raises(InvalidValueError, match=r"returned 3 values .*expected one number"):
        values_of(Evaluator(lambda flat: np.ones(3), 3), points_of(4, 2))


@pytest.mark.parametrize("workers", [None, "vectorized", map], ids=str)
@pytest.mark.parametrize("answer", [None, 1j, "1", [1, [2]], {}], ids=repr)
def test_what_is_no_number_is_an_error_on_every_way(workers, answer):
    evaluator = evaluator_for(lambda x: answer, 1, workers)
    with pytest.raises(InvalidValueError, match="fun returned"):
        asked_value(evaluator, np.zeros(2))
    with pytest.raises(InvalidValueError, match="fun returned"):
        values_of(evaluator, points_of(2, 2))


@pytest.mark.parametrize(("group", "workers"), [(1, None), (2, None), (1, "vectorized"), (1, map)])
def test_complex_points_get_complex_values(group, workers):
    def fun(x):
        return np.reshape(x, (-1, 2)).sum(axis=1)

    points = points_of(3, 2) + 1j
    values = values_of(evaluator_for(fun, group, workers), points)
    np.testing.assert_array_equal(values, points.sum(axis=1))


def test_values_that_are_not_finite_are_passed_on():
    evaluator = Evaluator(lambda x: math.nan if x[0] > 1 else math.inf)
    np.testing.assert_array_equal(values_of(evaluator, points_of(2, 1)), [math.inf, math.nan])


def test_values_come_as_they_arrive():
    calls = []
    answers = answered(Evaluator(lambda x: calls.append(1) or 1.0), points_of(3, 1))
    assert calls == []
    next(answers)
    assert len(calls) == 1
    next(answers)
    assert len(calls) == 2


@pytest.mark.parametrize(("group", "workers"), [(1, None), (3, None), (1, "vectorized"), (1, map)])
def test_a_wave_of_no_points_calls_nothing(group, workers):
    fun = Recorder(lambda x: np.zeros(len(x)))
    evaluator = evaluator_for(fun, group, workers)
    assert values_of(evaluator, np.empty((0, 2))).shape == (0,)
    assert fun.seen == []


@pytest.mark.parametrize(("group", "workers"), [(1, None), (3, None), (4, "vectorized"), (1, map)])
def test_parts_are_as_large_as_the_groups(group, workers):
    evaluator = evaluator_for(lambda x: np.ones(np.size(x)), group, workers)
    parts = [part for part, _ in answered(evaluator, points_of(8, 1))]
    assert parts == [slice(i, min(i + group, 8)) for i in range(0, 8, group)]


@pytest.mark.parametrize(("group", "workers"), [(1, None), (2, None), (1, "vectorized"), (1, map)])
def test_what_the_objective_raises_is_raised(group, workers):
    def fail(x):
        raise LookupError("mine")

    evaluator = evaluator_for(fail, group, workers)
    with pytest.raises(LookupError, match="mine"):
        asked_value(evaluator, np.zeros(2))
    with pytest.raises(LookupError, match="mine"):
        values_of(evaluator, points_of(2, 2))


@pytest.mark.parametrize("group", [0, -1, 1.5, "2", True, [2], math.nan], ids=repr)
def test_a_wrong_group_is_an_error(group):
    with pytest.raises(OptionError, match=r"max_evals_grouped is .*expected a whole number"):
        evaluator_for(abs, group)


@pytest.mark.parametrize("workers", ["threads", 0, -2, 1.5, [map], True], ids=repr)
def test_wrong_workers_are_an_error(workers):
    with pytest.raises(OptionError, match=r"workers is .*expected None, a number of processes"):
        evaluator_for(abs, workers=workers)


def test_a_map_does_not_go_together_with_groups_or_stacks():
    with pytest.raises(OptionError, match="one point per task"):
        evaluator_for(abs, 2, map)
    with pytest.raises(OptionError, match="one point per task"):
        evaluator_for(vectorized(lambda stack: stack), 1, map)


def test_what_cannot_be_called_is_an_error():
    with pytest.raises(InvalidInputError, match="expected a callable"):
        Evaluator(3.0)


def test_a_whole_number_of_numpys_is_a_group():
    evaluator = Evaluator(lambda flat: np.ones(len(flat)), np.int64(2))
    assert len(list(answered(evaluator, points_of(5, 1)))) == 3
