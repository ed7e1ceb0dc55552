import asyncio
import math
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import optimizers
from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    InvalidValueError,
    OptimizerWarning,
    ParameterShift,
    find,
    load,
    vectorized,
    with_errors,
)
from optimizers.evaluation.answers import (
    as_answer,
    as_measure,
    element,
    errors_of,
    joined_answer,
    values_of,
)
from optimizers.evaluation.choose import evaluator_for
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.wave import Block, Wave
from tests.making import make, of_values
from tests.waves import asked_value, measured

NAN = math.nan
START = np.array([1.0, -2.0, 0.5])


def value_at(x):
    return float(((x - 0.25) ** 2).sum())


def error_at(x):
    # Not known at some points.
    return NAN if x[0] == 3.0 else 0.01 + abs(float(x[1]))


def pair(x):
    return value_at(x), error_at(x)


def of_stack(points):
    return [value_at(x) for x in points], [error_at(x) for x in points]


# One answer.


@pytest.mark.parametrize(
    "raw",
    [
        (2, 0.5),
        (np.float32(2), np.float64(0.5)),
        (np.array(2.0), 0.5),
        (np.array([2.0]), np.array([0.5])),
        [[2, 0.5]],
        np.array([[2, 0.5]]),
    ],
    ids=repr,
)
def test_one_point_takes_any_form_of_two_numbers(raw):
    assert as_measure(raw, 3) == (2.0, 0.5)
    np.testing.assert_array_equal(as_answer(raw, 1, 3), [[2.0, 0.5]])


@pytest.mark.parametrize(
    "raw", [2, 2.0, np.float32(2), [2], np.array([[2.0]]), (2.0, NAN)], ids=repr
)
def test_no_error_is_an_error_of_nan(raw):
    value, error = as_measure(raw, 3)
    assert (value, type(value)) == (2.0, float)
    assert math.isnan(error)
    assert as_answer(raw, 1, 3).tolist() == [2.0]


@pytest.mark.parametrize(
    "raw",
    [
        ([1, 2], [0.5, NAN]),
        (np.array([1, 2]), [0.5, NAN]),
        [(1, 0.5), (2, NAN)],
        [np.array([1, 0.5]), np.array([2, NAN])],
        np.array([[1, 0.5], [2, NAN]]),
    ],
    ids=repr,
)
def test_several_points_take_two_sequences_or_pairs(raw):
    answer = as_answer(raw, 2, 3)
    np.testing.assert_array_equal(answer, [[1, 0.5], [2, NAN]])
    np.testing.assert_array_equal(values_of(answer), [1, 2])
    np.testing.assert_array_equal(errors_of(answer), [0.5, NAN])


@pytest.mark.parametrize("raw", [(2, 0.5), (2.0, 0.5), (np.array([2.0]), np.array([0.5]))])
@pytest.mark.parametrize("workers", [None, 2])
def test_two_numbers_of_one_variable_are_a_measurement_only_if_that_is_told(raw, workers):
    if workers is not None:
        workers = ThreadPoolExecutor(2)
    with pytest.raises(InvalidValueError, match=r"jac=True.*with_errors\(fun\)"):
        LBFGSB().minimize(lambda x: raw, [1.0], workers=workers)
    marked = with_errors(lambda x: raw)
    result = NELDER_MEAD(maxfun=4).minimize(marked, [1.0], workers=workers)
    assert result.fun == 2.0
    with pytest.raises(InvalidValueError, match="pass jac=True"):
        LBFGSB().minimize(lambda x: [2.0, 0.5], [1.0])


def test_the_mark_reaches_what_is_recorded_and_what_is_negated(tmp_path):
    @with_errors
    def once(x):
        return value_at(x), 0.1

    for further in ({"journal": tmp_path / "run"}, {"maximize": True, "maxfun": 3}):
        for _ in range(2):
            optimizer = NELDER_MEAD(**({} if "maxfun" in further else {"maxfun": 6}))
            optimizer.minimize(once, [1.0], **further)
    assert set(load(tmp_path / "run").errors) == {0.1}


def test_stacks_of_one_variable_tell_errors_by_their_shape():
    stacked = vectorized(lambda points: (points[:, 0] ** 2, np.full(len(points), 0.1)))
    assert NELDER_MEAD(maxfun=6).minimize(stacked, [1.0]).fun < 1


def test_two_numbers_for_two_points_are_values():
    assert as_answer((1.0, 2.0), 2, 3).tolist() == [1.0, 2.0]


def test_rows_of_two_variables_are_no_pairs():
    # What an objective returns that has forgotten to sum over the variables.
    with pytest.raises(InvalidValueError, match="returned 8 values"):
        as_answer(np.ones((4, 2)), 4, 2)
    assert as_answer([(1.0, 0.5)] * 4, 4, 2).shape == (4, 2)


@pytest.mark.parametrize("error", [-1e-9, -math.inf, math.inf])
@pytest.mark.parametrize("form", [lambda e: (1.0, e), lambda e: ([1.0], [e]), lambda e: [[1.0, e]]])
def test_what_is_no_error_is_named(error, form):
    with pytest.raises(
        InvalidValueError, match=rf"standard error {error}, expected .* >= 0, or NaN"
    ):
        as_measure(form(error), 3)


@pytest.mark.parametrize(
    "raw",
    [
        (1.0, None),
        (1.0, "a"),
        (1.0, 1j),
        (1.0, 0.1, 0.2),
        (1.0, np.ones(3)),
        [1.0, 0.1],
        np.ones(2),
    ],
    ids=repr,
)
def test_what_is_no_pair_is_an_error(raw):
    with pytest.raises(InvalidValueError, match="fun returned"):
        as_measure(raw, 3)


def test_complex_points_take_no_errors():
    with pytest.raises(InvalidValueError, match="returned 2 values"):
        as_answer((1j, 0.1), 1, 3, np.complex128)
    with pytest.raises(InvalidValueError):
        LBFGSB().minimize(lambda x: (x @ x, 0.1), START, "cs")


@given(
    st.lists(st.tuples(st.floats(allow_nan=True), st.floats(0, 1e300) | st.just(NAN)), min_size=1)
)
@settings(deadline=None)
def test_joining_is_the_opposite_of_splitting(pairs):
    values, errors = zip(*pairs, strict=True)
    answer = joined_answer(values, errors)
    np.testing.assert_array_equal(values_of(answer), values)
    np.testing.assert_array_equal(errors_of(answer), errors)
    for row, expected in zip(answer, pairs, strict=True):
        np.testing.assert_array_equal(element(row), expected)


# All evaluators.

POINTS = np.array(
    [[1.0, 2.0, 3.0], [3.0, 0.0, 1.0], [0.5, -4.0, 2.0], [2.0, 2.0, 2.0], [0.0, 1.0, 0.0]]
)


def flat(points):
    return of_stack(points.reshape(-1, 3))


def pairs_of_flat(points):
    return [pair(x) for x in points.reshape(-1, 3)]


@vectorized
def stack(points):
    return of_stack(points)


def evaluators():
    yield "serial", Evaluator(pair)
    yield "retries", Evaluator(pair, retries=2)
    yield "groups", Evaluator(flat, 2)
    yield "groups of pairs", Evaluator(pairs_of_flat, 3)
    yield "stack", Evaluator(stack)
    yield "stack in parts", Evaluator(stack, 2)
    yield "map", evaluator_for(pair, 1, map)
    yield "map of its own", evaluator_for(pair, 1, lambda fun, points: [pair(x) for x in points])
    yield "threads", evaluator_for(pair, workers=ThreadPoolExecutor(2))
    yield "threads and groups", evaluator_for(flat, 2, ThreadPoolExecutor(2))
    yield "threads and stacks", evaluator_for(stack, 1, ThreadPoolExecutor(2))
    yield "processes", evaluator_for(pair, workers=ProcessPoolExecutor)


def noted(evaluator, points):
    block = Block(points)
    for _, part, answer in evaluator.answers(Wave([block])):
        block.values[part], block.errors[part] = values_of(answer), errors_of(answer)
    return block


@pytest.mark.parametrize("name", [name for name, _ in evaluators()])
def test_every_evaluator_hands_on_the_same_errors(name):
    evaluator = dict(evaluators())[name]
    try:
        block = noted(evaluator, POINTS)
        np.testing.assert_array_equal(block.values, [value_at(x) for x in POINTS])
        np.testing.assert_array_equal(block.errors, [error_at(x) for x in POINTS])
        for x in POINTS:
            np.testing.assert_array_equal(measured(evaluator, x), pair(x))
            assert asked_value(evaluator, x) == value_at(x)
        # Python's own numbers, which print as such.
        assert [type(part) for part in measured(evaluator, POINTS[0])] == [float, float]
        assert evaluator.facts.started == 3 * len(POINTS) + 1
    finally:
        evaluator.close()


@pytest.mark.parametrize("workers", [None, map, ThreadPoolExecutor])
def test_a_value_alone_is_a_number_of_pythons(workers):
    evaluator = evaluator_for(value_at, workers=workers)
    try:
        value, error = measured(evaluator, START)
    finally:
        evaluator.close()
    assert (type(value), type(error)) == (float, float)
    assert math.isnan(error)


def test_single_precision_shows_in_any_form():
    for raw in ((np.float32(1), 0.5), [(np.float32(1), 0.5)]):
        evaluator = Evaluator(lambda x, raw=raw: raw)
        measured(evaluator, START)
        assert evaluator.facts.precision == np.finfo(np.float32).eps


# All optimizers.


# Those that account for the error have tests of their own.
ACCOUNTING = ("CMAES", "DFOTR", "ICANS", "ImFil", "NFT", "NoisyLBFGSB")


@pytest.mark.parametrize("name", [name for name in of_values() if name not in ACCOUNTING])
def test_every_optimizer_uses_the_value(name):
    cls = find(name)
    arguments = {"jac": "3-point"} if make(cls).is_gradient_required else {}
    if name in ("Dogleg", "TrustExact", "TrustKrylov", "TrustNCG"):
        arguments["hess"] = lambda x: 2 * np.eye(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizerWarning)
        plain = make(cls).minimize(value_at, START, **arguments)
        told = make(cls).minimize(pair, START, **arguments)
    np.testing.assert_array_equal(told.x, plain.x)
    assert told.fun == plain.fun
    assert told.nfev == plain.nfev


@pytest.mark.parametrize("jac", [None, np.sin, "3-point", ParameterShift(0.5)])
@pytest.mark.parametrize("workers", [None, ThreadPoolExecutor])
def test_every_source_of_gradients_uses_the_value(jac, workers):
    def wave(x):
        return float(-np.cos(x).sum())

    def measured_wave(x):
        return wave(x), error_at(x)

    plain = LBFGSB().minimize(wave, START, jac, workers=workers, maxfun=60)
    told = LBFGSB().minimize(measured_wave, START, jac, workers=workers, maxfun=60)
    np.testing.assert_array_equal(told.x, plain.x)


def test_a_pair_with_jac_true_is_value_and_gradient():
    with pytest.raises(InvalidValueError, match="returned"):
        LBFGSB().minimize(lambda x: ((x @ x, 0.1), 2 * x), START, True)
    assert LBFGSB().minimize(lambda x: (x @ x, 2 * x), START, True).success


def test_no_value_is_rejected_whatever_its_error():
    def fun(x):
        return (NAN, 0.1) if x[0] < 0.5 else pair(x)

    result = NELDER_MEAD().minimize(fun, START, on_failure="reject")
    assert result.nrejected > 0
    assert np.isfinite(result.fun)


@pytest.mark.parametrize("group", [1, 2])
def test_coroutines_may_tell_them_too(tmp_path, group):
    async def fun(points):
        await asyncio.sleep(0)
        return pair(points) if group == 1 else flat(points)

    path = str(tmp_path / "run.jsonl")
    optimizer = LBFGSB(max_evals_grouped=group, maxfun=30)
    asyncio.run(optimizer.minimize_async(fun, START, journal=path))
    recording = load(path)
    np.testing.assert_array_equal(recording.errors, [error_at(x) for x in recording.points])


def test_the_static_helper_takes_them_too():
    found = optimizers.Optimizer.gradient_num_diff(START, pair, 1e-6)
    np.testing.assert_allclose(found, 2 * (START - 0.25), atol=1e-5)
