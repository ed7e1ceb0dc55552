"""NFT on sums of sinusoids of several frequencies, and on what is none."""

import math
import warnings

import numpy as np
import pytest

from optimizers import NFT, FrequencyWarning, InvalidInputError, OptionError, StopReason, vectorized
from optimizers.problems import h2
from optimizers.variational.lines import Line, period_of
from tests.gradients.test_frequencies import repeated, ring, with_shots

pytestmark = pytest.mark.filterwarnings("error::optimizers.FrequencyWarning")
FREQUENCIES = [
    (2,),
    (0.5,),
    (1, 2),
    (0.5, 1),
    (1, 3),
    (1, 2, 3),
    (0.5, 2.5),
    (1, 2, 4, 8),
    (1, 2.3),
]


def test_the_minimum_of_two_frequencies_is_found_in_one_step():
    def fun(x):
        return float(np.cos(2 * x[0]) + 0.3 * np.cos(x[0] - 1))

    result = NFT(maxiter=1, frequencies=[(1, 2)]).minimize(fun, [0.3])
    least = min(fun([x]) for x in np.linspace(-np.pi, np.pi, 20001))
    assert result.fun == pytest.approx(least, abs=1e-6)
    assert result.fun <= least
    assert result.nfev == 6  # 2 R + 1, and the end


@pytest.mark.parametrize("frequencies", FREQUENCIES)
@pytest.mark.parametrize("ends", [(-math.inf, math.inf), (-0.2, 0.5), (0, 2 * math.pi), (-9, 0.1)])
def test_the_lowest_minimum_along_a_line(frequencies, ends):
    rng, w = np.random.default_rng(1), np.array(frequencies)
    period = min(period_of(frequencies), 40.0)
    for _ in range(10):
        a, b = rng.normal(size=(2, len(w)))

        def fun(d, a=a, b=b):
            phases = np.multiply.outer(d, w)
            return 3.0 + np.cos(phases) @ a + np.sin(phases) @ b

        line = Line(tuple(map(float, frequencies)))
        at = line.offsets(0.0, *ends)
        assert len(at) == 2 * len(w)
        assert np.all((at >= ends[0]) & (at <= ends[1]))
        found = line.lowest([fun(0.0), *fun(at)], at, *ends)
        low, high = max(ends[0], -period / 2), min(ends[1], period / 2)
        if len(w) > 1 and ends == (-9, 0.1):
            low = max(-9, 0.1 - period)
        assert ends[0] <= found.offset <= ends[1]
        # Short intervals magnify the rounding of the values.
        assert found.value <= fun(np.linspace(low, high, 4001)).min() + 1e-6
        assert found.value == pytest.approx(fun(found.offset), abs=1e-6)


@pytest.mark.parametrize(
    ("frequencies", "turns"), [((1.0, 2.0), 1), ((0.5, 1.0), 2), ((1.0, 2.5), 2), ((2 / 3, 1.0), 3)]
)
def test_the_common_period(frequencies, turns):
    assert period_of(frequencies) == pytest.approx(2 * np.pi * turns)


def test_one_sweep_is_exact_where_variables_are_separate():
    def fun(x):
        return float(np.cos(2 * x[0] + 1) - np.sin(x[0]) + np.cos(x[1] / 2) + np.cos(3 * x[2] - 1))

    optimizer = NFT(maxiter=3, frequencies=[(1, 2), (0.5,), (3,)])
    result = optimizer.minimize(fun, [0.1, 0.2, 0.3])
    grid = np.linspace(-np.pi, np.pi, 200001)
    least = (np.cos(2 * grid + 1) - np.sin(grid)).min() - 2
    assert result.fun == pytest.approx(least, abs=1e-9)
    assert result.nfev == 1 + 4 + 2 + 2 + 1
    assert NFT(**optimizer.settings) == optimizer


def test_bounds_hold():
    points = []

    def fun(x):
        points.append(x)
        return ring(x)

    bounds = [(0.1, 0.5), (-0.3, 0.4)]
    result = NFT(maxiter=20, frequencies="detect").minimize(ring, [0.3, 0.2], bounds=[(-4, 4)] * 2)
    assert result.fun == pytest.approx(-2.0, abs=1e-9)
    NFT(maxiter=8, frequencies=[(4, 8), (4,)]).minimize(fun, [0.3, 0.2], bounds=bounds)
    low, high = np.transpose(bounds)
    assert np.all((np.array(points) >= low) & (np.array(points) <= high))


@pytest.mark.parametrize("fun", [repeated, ring])
def test_frequencies_are_found(fun):
    sizes = []

    @vectorized
    def stacked(points):
        sizes.append(len(points))
        return np.array([fun(x) for x in points])

    result = NFT(maxiter=60, frequencies="detect").minimize(stacked, [0.6, 0.4])
    assert result.fun == pytest.approx({repeated: -0.5, ring: -2.0}[fun], abs=1e-6)
    assert sizes[0] == 38


@pytest.mark.parametrize("maxiter", [4, 40, 200])
@pytest.mark.parametrize(("fun", "names"), [(repeated, r"x\[0\]"), (ring, r"x\[0\], x\[1\]")])
def test_what_is_no_sinusoid_is_told(maxiter, fun, names):
    with pytest.warns(FrequencyWarning, match=rf"Along {names} the .*NFT\(frequencies=\["):
        NFT(maxiter=maxiter).minimize(fun, [0.3, 0.2])


def test_what_is_a_sinusoid_takes_no_further_points():
    energy = h2()
    for shots in (None, 30, 1000):
        for seed in range(5):
            fun = h2(shots=shots, noise_seed=seed, errors=seed > 2)
            assert NFT(maxiter=100).minimize(fun, energy.x0).nfev >= 205
    assert NFT(maxiter=100).minimize(energy, energy.x0).nfev == 205


@pytest.mark.parametrize("shots", [30, 1000, 10**5])
@pytest.mark.parametrize("told", [False, True])
def test_noise_is_no_wrong_frequency(shots, told):
    for seed in range(10):
        fun = with_shots(lambda x: float(np.cos(x).sum() + np.cos(x).prod()), shots, seed, told)
        NFT(maxiter=70).minimize(fun, [1.0, 2.0, 0.5])


@pytest.mark.parametrize("told", [False, True])
def test_what_is_no_sinusoid_is_told_through_noise(told):
    for seed in range(5):
        with pytest.warns(FrequencyWarning, match=r"x\[0\]"):
            NFT(maxiter=70).minimize(with_shots(repeated, 10**5, seed, told), [0.6, 0.4])


def test_a_budget_too_small_for_the_examination_is_not_exceeded():
    for maxfev in range(1, 60):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FrequencyWarning)
            assert NFT(maxfev=maxfev).minimize(repeated, [0.6, 0.4]).nfev <= maxfev


def test_values_come_with_their_errors():
    fun, states = with_shots(repeated, 10000, 1, told=True), []
    given = NFT(maxiter=40, frequencies=[(2,), (1,)])
    result = given.minimize(
        fun, [0.6, 0.4], callback=lambda intermediate_result: states.append(intermediate_result)
    )
    assert result.fun_error == 0.01
    # A predicted value is a mean of measured ones, and its error grows until it is measured.
    errors = [state.fun_error for state in states]
    assert min(errors) > 0
    assert max(errors) < 0.1
    off = [(state.fun - repeated(state.x)) / state.fun_error for state in states]
    assert np.std(off) < 2
    assert "fun_error" not in NFT(maxiter=4).minimize(h2(), h2().x0)
    stopped = given.minimize(fun, [0.6, 0.4], maxfun=9)
    assert stopped.stop is StopReason.MAXFUN


def test_frequencies_that_cannot_be_used_are_errors_at_once():
    with pytest.raises(OptionError, match="different positive numbers"):
        NFT(frequencies=[0, 1])
    with pytest.raises(InvalidInputError, match="NFT has frequencies for 3 variables"):
        NFT(frequencies=[(1,), (2,), (1,)]).minimize(repeated, [0.6, 0.4])
