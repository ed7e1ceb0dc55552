import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from optimizers import (
    LBFGSB,
    EvaluationTimeoutError,
    MissingExtraError,
    StopReason,
    WorkerDiedError,
)
from optimizers.evaluation.ray import RayExecutor

X0 = np.array([-1.2, 1.0])


def quadratic(x):
    return float(((x - 0.3) ** 2).sum())


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install ray"):
        RayExecutor()


@pytest.fixture(scope="module")
def executor(tmp_path_factory):
    ray = pytest.importorskip("ray", reason="needs the extra: ray")
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        # Nothing is written to the user's home, and nothing is asked of the network: without this
        # file, Ray looks up which cloud the machine is of.
        home = tmp_path_factory.mktemp("home")
        (home / "ray_bootstrap_config.yaml").write_text("{}")
        patch.setenv("HOME", str(home))
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield RayExecutor()
        ray.shutdown()
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(autouse=True)
def goes_on(request):
    yield
    if "executor" in request.fixturenames:
        executor = request.getfixturevalue("executor")
        assert executor.submit(sum, [1, 2]).result(30.0) == 3


def test_the_same_as_serial(executor, tmp_path):
    def objective(x):
        with Path(tmp_path, "starts").open("a") as file:
            file.write("start\n")
        return quadratic(x)

    assert executor.num_workers == 2
    result = LBFGSB(workers=executor).minimize(objective, X0)
    np.testing.assert_array_equal(result.x, LBFGSB().minimize(quadratic, X0).x)
    assert result.nfev == len(Path(tmp_path, "starts").read_text().splitlines())


def test_an_error_of_the_objective_is_raised(executor):
    with pytest.raises(ZeroDivisionError):
        LBFGSB(workers=executor).minimize(lambda x: 1.0 / 0.0, X0)


def test_a_worker_that_dies_is_an_error(executor):
    with pytest.raises(WorkerDiedError, match=r"x = .* Ray worker, which died"):
        LBFGSB(workers=executor).minimize(lambda x: os.kill(os.getpid(), signal.SIGKILL), X0)


def test_what_hangs_is_given_up(executor):
    with pytest.raises(EvaluationTimeoutError):
        LBFGSB(workers=executor, eval_timeout=1.0).minimize(lambda x: time.sleep(600.0), X0)


def test_what_waits_for_resources_is_taken_back_when_the_time_is_up(executor, tmp_path):
    def objective(x):
        Path(tmp_path, "started").touch()
        return quadratic(x)

    nowhere = RayExecutor(resources={"a quantum computer": 1.0})
    result = LBFGSB().minimize(objective, X0, workers=nowhere, timeout=0.5)
    assert (result.stop, result.nfev) == (StopReason.TIMEOUT, 0)
    assert not Path(tmp_path, "started").exists()


def test_what_runs_is_waited_for_when_the_time_is_up(executor):
    def slow(x):
        time.sleep(1.0)
        return quadratic(x)

    LBFGSB().minimize(quadratic, X0, workers=executor, timeout=60.0)  # all is loaded
    result = LBFGSB().minimize(slow, X0, workers=executor, timeout=0.7)
    assert result.stop is StopReason.TIMEOUT
    assert result.nfev == 2
    assert result.fun <= quadratic(X0)
