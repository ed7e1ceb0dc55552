"""The line search that tries several steps at a time: numbers only."""

import math

import pytest

from optimizers.scipy.lbfgsb.line_search import LineSearch


def run(fun, slope_of, count: int, first: float = 1.0, longest: float = 1e10, most: int = 60):
    search = LineSearch(fun(0.0), slope_of(0.0), first, longest)
    tried = []
    while search.acceptable() is None and len(tried) < most:
        steps = search.steps(count)
        if not steps:
            break
        assert len(steps) <= count
        assert all(0.0 < step <= longest for step in steps)
        assert not set(steps) & set(tried)
        tried += steps
        for step in steps:
            search.tell(step, fun(step), slope_of(step))
    return search, tried


def meets_strong_wolfe(fun, slope_of, step: float) -> bool:
    decrease = fun(step) <= fun(0.0) + 1e-3 * step * slope_of(0.0)
    return decrease and abs(slope_of(step)) <= -0.9 * slope_of(0.0)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("minimum", [1e-9, 1e-3, 0.3, 1.0, 7.0, 1e4])
def test_an_acceptable_step_is_found(count: int, minimum: float) -> None:
    def fun(s: float) -> float:
        return (s / minimum - 1) ** 2

    def slope(s: float) -> float:
        return 2 * (s / minimum - 1) / minimum

    search, _ = run(fun, slope, count)
    assert meets_strong_wolfe(fun, slope, search.acceptable().step)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 30.0])
def test_a_curved_valley_is_no_obstacle(count: int, first: float) -> None:
    def fun(s: float) -> float:
        return -s / (s * s + 2.0) + 0.01 * math.sin(5 * s)

    def slope(s: float) -> float:
        return (s * s - 2.0) / (s * s + 2.0) ** 2 + 0.05 * math.cos(5 * s)

    search, _ = run(fun, slope, count, first)
    assert meets_strong_wolfe(fun, slope, search.acceptable().step)


def test_the_lowest_of_the_acceptable_steps_is_taken() -> None:
    search = LineSearch(1.0, -2.0, 1.0, 10.0)
    for step in search.steps(3):
        search.tell(step, (1 - step / 2.5) ** 2, -0.8 * (1 - step / 2.5))
    assert search.acceptable().step == 2.5


def test_at_the_longest_step_falling_on_is_acceptable() -> None:
    search, tried = run(lambda s: -s, lambda s: -1.0, 3, longest=2.0)
    assert search.acceptable().step == 2.0
    assert tried == [1.0, 2.0, 0.4]


def test_steps_that_the_longest_one_cuts_make_room_for_others() -> None:
    assert LineSearch(0.0, -1.0, 1.0, 1.0).steps(3) == [1.0, 0.4, 0.65]


def test_a_function_that_falls_without_end_is_followed_fast() -> None:
    search, tried = run(lambda s: -s, lambda s: -1.0, 3, most=60)
    assert search.acceptable().step == max(tried) == 1e10  # the longest
    assert len(tried) <= 21


@pytest.mark.parametrize("count", [1, 2, 3])
def test_beyond_a_rejected_step_nothing_is_tried(count: int) -> None:
    search = LineSearch(0.0, -1.0, 1.0, 1e10)
    for _ in range(5):
        steps = search.steps(count)
        assert steps
        for step in steps:
            search.reject(step)
        assert max(search.steps(count)) < min(steps)
    search.tell(1e-6, -1e-6, -1.0)
    assert all(1e-6 < step < min(steps) for step in search.steps(count))


def test_a_narrow_interval_ends_the_search() -> None:
    search = LineSearch(0.0, -1.0, 1.0, 1e10)
    search.tell(1.0, -1e-9, -1.0)
    search.tell(1.05, 1.0, 50.0)
    assert search.steps(3) == []
    assert search.acceptable() is None
    assert search.lowest().step == 1.0


def test_a_search_that_finds_nothing_lower_has_nothing_to_take() -> None:
    search, _ = run(lambda s: s, lambda s: -1.0, 3)
    assert search.lowest() is None


def test_numbers_that_overflow_are_survived() -> None:
    search, _ = run(lambda s: 1e300 * s - s, lambda s: 1e300 if s else -1.0, 3, most=9)
    assert search.lowest() is None
