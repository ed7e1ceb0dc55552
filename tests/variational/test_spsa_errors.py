"""SPSA with an objective that returns standard errors."""

import numpy as np
import pytest

from optimizers import SPSA, StopReason, load

X0 = [1.0, -0.5, 0.3]


def noisy(error, seed=0):
    rng = np.random.default_rng(seed)

    def fun(x):
        return float(1 - np.cos(x).mean()) + error * rng.normal(), error

    return fun


@pytest.mark.parametrize("options", [{}, {"blocking": True}, {"last_avg": 5}, {"resamplings": 3}])
def test_the_result_is_a_measured_value_with_its_error(options, tmp_path):
    path, fun = str(tmp_path / "run.jsonl"), noisy(0.01)
    result = SPSA(maxiter=30, seed=1, **options).minimize(fun, X0, journal=path)
    assert result.fun_error == 0.01
    assert "is_estimate" not in result
    recording = load(path)
    (measured,) = np.flatnonzero((recording.points == result.x).all(axis=1))
    assert recording.values[measured] == result.fun


def test_a_run_without_errors_does_not_invent_one():
    result = SPSA(maxiter=5, seed=1).minimize(lambda x: noisy(0.01)(x)[0], X0)
    assert "fun_error" not in result


def test_estimates_have_the_error_of_their_mean():
    states = []
    optimizer = SPSA(maxiter=9, seed=1, resamplings=2)
    optimizer.minimize(
        noisy(0.01), X0, callback=lambda intermediate_result: states.append(intermediate_result)
    )
    # With a callback each iterate is evaluated, or it is the mean of four probes.
    for state in states:
        assert state.fun_error == pytest.approx(0.005 if state.is_estimate else 0.01)
    stopped = optimizer.minimize(noisy(0.01), X0, maxfun=80)
    assert stopped.stop is StopReason.MAXFUN
    assert stopped.fun_error == pytest.approx(0.005)
    assert stopped.is_estimate
