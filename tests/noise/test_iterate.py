"""Algorithms whose values are noisy probes end at their last iterate if they are stopped."""

import itertools

import numpy as np
import pytest

from optimizers import SPSA, StopReason
from optimizers.problems import h2

STEPS = 60
MANY = {"maxiter": 10_000, "seed": 1}


def noisy():
    """Return the energy of a molecule, measured with few shots."""
    return h2(shots=100, noise_seed=1)


X0 = noisy().x0


def after(iterations):
    """Return a callback that ends a run."""
    count = itertools.count(1)
    return lambda xk: next(count) == iterations


@pytest.mark.parametrize(
    ("options", "points"),
    [({}, 50 + 2 * STEPS), ({"last_avg": 5}, 50 + 2 * STEPS), ({"blocking": True}, 76 + 3 * STEPS)],
)
def test_a_stop_from_outside_returns_what_the_algorithm_itself_would(options, points):
    own = SPSA(maxiter=STEPS, **options).minimize(noisy(), X0, seed=1)
    for stop in ({"maxfun": points}, {"callback": after(STEPS)}):
        result = SPSA(**MANY, **options).minimize(noisy(), X0, **stop)
        assert np.array_equal(result.x, own.x)
        assert result.nfev == points  # nothing is evaluated after the stop
        assert result.stop in (StopReason.MAXFUN, StopReason.CALLBACK)
        assert not result.success
        assert result.best.fun < result.fun == pytest.approx(h2()(result.x), abs=0.2)
        is_estimate = not options.get("blocking", False)
        assert result.get("is_estimate", False) == is_estimate
        assert ("estimate" in result.message) == is_estimate


def test_a_time_limit_ends_at_the_iterate_too():
    result = SPSA(**MANY).minimize(noisy(), X0, timeout=0.5)
    assert (result.stop, result.status) == (StopReason.TIMEOUT, -1)
    own = SPSA(maxiter=result.nit, seed=1).minimize(noisy(), X0)
    assert result.nit < 3 or np.array_equal(result.x, own.x)


def test_values_without_noise_end_at_the_best_point():
    result = SPSA(**MANY).minimize(h2(), X0, maxfun=171, noise=0)
    assert result.fun == result.best.fun == h2()(result.x)
    assert "is_estimate" not in result


def test_iterates_without_progress_do_not_replace_the_best_point():
    rates = {"learning_rate": 10.0, "perturbation": 0.1}  # steps that are too long
    result = SPSA(**MANY, **rates).minimize(lambda x: float(x @ x), [1.0, 2.0], maxfun=40)
    assert result.fun == result.best.fun < 6


def test_a_target_that_is_reached_is_the_end():
    result = SPSA(**MANY).minimize(noisy(), X0, f_target=-1.6)
    assert result.success
    assert result.fun == result.best.fun <= -1.6
