"""Values that do not resolve the steps of differences: counts of a seeded sampler."""

import numpy as np
import pytest

import optimizers
from optimizers import NoisyLBFGSB

BITS = (np.arange(16)[:, np.newaxis] >> np.arange(4)) & 1
COST = (1 - 2 * (np.roll(BITS, 1, axis=1) != BITS)).sum(axis=1) + BITS @ [0.1, 0.2, 0.3, 0.15]
STARTS = [[0.1, -0.2], [1.3, 0.4], [0.5, 0.5], [1.09, 0.12], [1.33, -0.4]]
CLASSES = ["LBFGSB", "BFGS", "CG", "TNC", "SLSQP", "ADAM", "GradientDescent", "P_BFGS", "SPSA"]


def exact(x):
    """Return the cost of QAOA of depth 1, by its state vector."""
    state = np.exp(-1j * x[0] * COST) / 4
    for qubit in range(4):
        state = np.cos(x[1]) * state - 1j * np.sin(x[1]) * state[np.arange(16) ^ (1 << qubit)]
    return np.abs(state) ** 2


def sampled(shots, seed=7):
    """Return the mean cost of samples from the same random numbers at each point."""
    drawn = np.random.default_rng(seed).random(shots)

    def fun(x):
        found = np.searchsorted(np.cumsum(exact(x)), drawn)
        return float(COST[np.minimum(found, 15)].mean())

    return fun


def slope(x):
    moves = 0.05 * np.eye(2)
    return max(abs((exact(x + move) - exact(x - move)) @ COST) / 0.1 for move in moves)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("settings", [{}, {"noise": 0}])
def test_no_success_on_a_slope_that_the_differences_do_not_see(cls, settings):
    for x0 in STARTS:
        for shots in (1024, 4096):
            optimizer = getattr(optimizers, cls)(seed=1, **settings)
            result = optimizer.minimize(sampled(shots), x0, maxfun=600)
            assert not result.success or slope(result.x) < 0.5


@pytest.mark.parametrize("shots", [1024, 4096])
def test_their_noise_is_estimated_over_wider_steps(shots):
    for x0 in STARTS:
        result = NoisyLBFGSB(noise="estimate", seed=1).minimize(sampled(shots), x0, maxfun=2000)
        assert 0 < result.noise < 10 / np.sqrt(shots)
        assert exact(result.x) @ COST < min(exact(np.array(x0)) @ COST, -0.9)
