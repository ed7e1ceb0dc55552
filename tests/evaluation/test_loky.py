"""loky's executors: real processes, whose interface differs from the standard library's."""

import os
import signal
import sys
import time

import numpy as np
import pytest

from optimizers import LBFGSB, EvaluationTimeoutError, WorkerDiedError

loky = pytest.importorskip("loky", reason="needs the extra: loky")

X0 = np.array([-1.2, 1.0])


def quadratic(x):
    return float(((x - 0.3) ** 2).sum())


def faulty(path, fault):
    """Return an objective with a fault at the first point that is far from the start."""

    def objective(x):
        if np.abs(x - X0).max() > 0.5 and not path.exists():
            path.touch()
            fault()
        return quadratic(x)

    return objective


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def hang():
    time.sleep(600.0)


@pytest.fixture(scope="module", autouse=True)
def pickled_by_value():
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    loky.get_reusable_executor().shutdown(kill_workers=True)


def pool():
    return loky.ProcessPoolExecutor(2)


def reusable():
    return loky.get_reusable_executor(max_workers=2)


def test_an_executor_of_the_users_goes_on():
    executor = reusable()
    result = LBFGSB(workers=executor).minimize(lambda x: quadratic(x), X0)
    np.testing.assert_array_equal(result.x, LBFGSB().minimize(quadratic, X0).x)
    assert executor.submit(sum, [1, 2]).result() == 3


@pytest.mark.parametrize("factory", [pool, reusable])
def test_a_pool_of_a_factory_is_made_again_when_a_process_dies(tmp_path, factory):
    objective = faulty(tmp_path / "killed", kill)
    result = LBFGSB(workers=factory).minimize(objective, X0)
    np.testing.assert_array_equal(result.x, LBFGSB().minimize(quadratic, X0).x)


@pytest.mark.parametrize("factory", [pool, reusable])
def test_a_process_of_a_factorys_that_hangs_is_killed(tmp_path, factory):
    objective = faulty(tmp_path / "hung", hang)
    with pytest.raises(EvaluationTimeoutError, match="its process was killed"):
        LBFGSB(workers=factory, eval_timeout=3.0).minimize(objective, X0)


def test_a_broken_executor_of_the_users_is_an_error(tmp_path):
    objective = faulty(tmp_path / "killed", kill)
    with pytest.raises(WorkerDiedError, match="the pool is the caller's"):
        LBFGSB(workers=reusable()).minimize(objective, X0)
