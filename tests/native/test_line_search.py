"""The line search of Moré and Thuente: step for step as SciPy's, and without finite values."""

import math

import numpy as np
import pytest
from scipy.optimize._dcsrch import DCSRCH

from optimizers.native.line_search import Trial, search

FUNCTIONS = {
    "parabola": (lambda t: t**2 - 2 * t, lambda t: 2 * t - 2),
    "far": (lambda t: (t - 900) ** 2, lambda t: 2 * (t - 900)),
    "near": (lambda t: (t - 1e-3) ** 2, lambda t: 2 * (t - 1e-3)),
    "quartic": (lambda t: t**4 - 3 * t**3 + t**2 - t, lambda t: 4 * t**3 - 9 * t**2 + 2 * t - 1),
    "wave": (lambda t: math.sin(5 * t) - 6 * t + t**2, lambda t: 5 * math.cos(5 * t) - 6 + 2 * t),
    "wall": (lambda t: -t + math.exp(9 * (t - 1)), lambda t: -1 + 9 * math.exp(9 * (t - 1))),
    "linear": (lambda t: -t, lambda t: -1.0),
    "flat": (lambda t: -t / (t**2 + 2), lambda t: (t**2 - 2) / (t**2 + 2) ** 2),
    "more_thuente_2": (
        lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
        lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3,
    ),
}


def tried_by(steps, both):
    """Return all steps of a search, and whether the last one is good."""
    tried = [next(steps)]
    while True:
        try:
            tried.append(steps.send(both(tried[-1])))
        except StopIteration as end:
            return tried, end.value


def steps_of(name, first, longest):
    value, slope = FUNCTIONS[name]
    start = Trial(0.0, value(0.0), slope(0.0))
    return tried_by(search(start, first, longest, 20), lambda t: (value(t), slope(t)))


def scipys_steps(name, first, longest):
    value, slope = FUNCTIONS[name]
    tried = []

    def noted(step):
        tried.append(step)
        return value(step)

    machine = DCSRCH(noted, slope, 1e-3, 0.9, 0.1, 0.0, longest)
    machine(first, phi0=value(0.0), derphi0=slope(0.0), maxiter=20)
    return tried


@pytest.mark.parametrize("longest", [1.0, 50.0, 1e10])
@pytest.mark.parametrize("first", [1e-4, 0.3, 1.0, 7.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_steps_are_those_of_scipy(name: str, first: float, longest: float) -> None:
    first = min(first, longest)
    tried, is_good = steps_of(name, first, longest)
    expected = scipys_steps(name, first, longest)
    assert is_good or len(tried) == 20
    # Where rounding ends a search, SciPy evaluates the best step once more.
    assert len(tried) <= len(expected) <= len(tried) + 1
    assert tried == pytest.approx(expected[: len(tried)], rel=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_search_comes_back_from_where_values_are_not_finite(bad: float) -> None:
    steps = search(Trial(0.0, 0.0, -1.0), 8.0, 1e10, 20)
    tried, is_good = tried_by(steps, lambda t: (t**2 - t, 2 * t - 1) if t < 1.0 else (bad, bad))
    assert is_good
    assert tried == [8.0, 2.0, 0.5]


def test_a_search_that_finds_nothing_ends_on_its_count() -> None:
    steps = search(Trial(0.0, 0.0, -1.0), 1.0, 1e10, 5)
    tried, is_good = tried_by(steps, lambda t: (math.nan, math.nan))
    assert len(tried) == 5
    assert not is_good


def test_every_random_search_ends_on_a_decrease() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        a, b, c = rng.normal(size=3)

        def both(t, a=a, b=b, c=c):
            value = math.sin(a * t) * b + c * t + t**2 / 100
            return value, a * b * math.cos(a * t) + c + t / 50

        if both(0.0)[1] < 0.0:
            steps = search(Trial(0.0, *both(0.0)), rng.uniform(0.01, 3), 1e10, 20)
            tried, is_good = tried_by(steps, both)
            assert is_good
            assert both(tried[-1])[0] <= both(0.0)[0]
