"""Dask, on a real cluster of two worker processes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    TNC,
    EvaluationTimeoutError,
    InvalidValueError,
    NonFiniteValueError,
    OptionError,
    StopReason,
    WorkerDiedError,
)
from optimizers.evaluation.choose import evaluator_for
from tests.waves import answered, measured

distributed = pytest.importorskip("distributed", reason="needs the extra: dask")
import cloudpickle  # noqa: E402  # comes with it
import dask  # noqa: E402

X0 = np.resize([-1.2, 1.0], 4)
#: How long a state of another process is waited for, before a test fails.
PATIENCE = 30.0


def rosenbrock(x):
    return float((100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum())


def quadratic(x):
    return float(((x - 0.3) ** 2).sum())


def gradient(x):
    """Return the gradient of the quadratic."""
    return 2.0 * (x - 0.3)


def until(condition):
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.01)


class Recorded:
    """An objective that notes each start, and each time that it is unpickled, in a folder."""

    def __init__(self, folder, fun=rosenbrock, fault=None):
        self.folder, self.fun, self.fault = Path(folder), fun, fault

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.note("unpickled", os.getpid())

    def __call__(self, x):
        self.note("starts", x.tolist())
        answer = self.fault(self, x) if self.fault else None
        return self.fun(x) if answer is None else answer

    def note(self, name, what):
        with (self.folder / name).open("a") as file:
            file.write(f"{what}\n")

    def noted(self, name):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def first(self, name):
        """Return whether nobody asked for this name before."""
        try:
            (self.folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@contextlib.contextmanager
def two_workers():
    # As few deaths as show what comes of them: to start a process takes seconds.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def cluster():
    # A worker process knows nothing of a test's module.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with two_workers() as cluster:
        yield cluster
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def of_module(cluster):
    with distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def client(of_module):
    """The user's client, which afterwards works, with nothing of ours on the scheduler."""
    yield of_module
    check_left(of_module)


@pytest.fixture
def mortals(cluster):
    """A client of workers that may die: Dask does not replace one that dies while it starts."""
    with two_workers() as own, distributed.Client(own, set_as_default=False) as client:
        yield client
        check_left(client)


def check_left(client):
    until(lambda: not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))
    assert not client.futures
    assert client.submit(sum, [1, 2], pure=False).result(PATIENCE) == 3


def at_start(fault):
    """Return a fault at the start, while the task beside it runs: it ends after the run."""

    def at(objective, x):
        if (x != X0).any():
            until((objective.folder / "released").exists)
            return None
        until(lambda: len(objective.noted("starts")) == 2)
        return fault(objective, x)

    return at


def later(fault):
    """Return a fault that happens at a point that is far from the start."""
    return lambda objective, x: fault(objective, x) if np.abs(x - X0).max() > 0.5 else None


def raise_error(objective, x):
    raise ZeroDivisionError("this is a fault")


def nan(objective, x):
    return float("nan")


def leave(objective, x):
    raise SystemExit(3)


def kill(objective, x):
    objective.note("killed", os.getpid())
    time.sleep(0.5)  # so that one that was just replaced has started, and is replaced again
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    "optimizer", [LBFGSB(values_first=False), TNC(maxiter=30), NELDER_MEAD(maxiter=5)]
)
def test_the_same_as_serial_to_the_last_bit_and_every_evaluation_counts(
    client, tmp_path, optimizer
):
    serial = optimizer.minimize(rosenbrock, X0)
    objective = Recorded(tmp_path)
    result = optimizer.minimize(objective, X0, workers=client)
    np.testing.assert_array_equal(result.x, serial.x)
    assert (result.fun, result.nit, result.stop) == (serial.fun, serial.nit, serial.stop)
    assert result.nfev == len(objective.noted("starts"))


def test_a_gradient_and_groups_travel_too(client, tmp_path):
    serial = LBFGSB().minimize(quadratic, X0, gradient)
    result = LBFGSB(workers=client).minimize(quadratic, X0, gradient)
    np.testing.assert_array_equal(result.x, serial.x)

    def grouped(flat):
        return [quadratic(x) for x in flat.reshape(-1, 4)]

    objective = Recorded(tmp_path, grouped)
    LBFGSB(max_evals_grouped=3, workers=client).minimize(objective, X0)
    lengths = [line.count(",") + 1 for line in objective.noted("starts")]
    assert sorted(set(lengths)) == [8, 12]  # a value and four probes: three points and two


def test_the_objective_is_unpickled_once_a_process(client, tmp_path):
    objective = Recorded(tmp_path)
    LBFGSB().minimize(objective, X0, workers=client)
    unpickled = objective.noted("unpickled")
    assert 1 <= len(unpickled) == len(set(unpickled)) <= 2
    assert str(os.getpid()) not in unpickled


def test_workers_are_filled_in_one_round_by_chunks(client, monkeypatch):
    monkeypatch.setattr("optimizers.evaluation.pool_task._SHORT", 60.0)  # a busy machine is slow
    evaluator = evaluator_for(quadratic, 1, client)
    assert evaluator.facts.width == 2
    points = np.arange(36.0).reshape(9, 4)
    list(answered(evaluator, points))  # the objective becomes known
    sent, submit = [], client.submit
    monkeypatch.setattr(client, "submit", lambda *a, **k: sent.append(a[4]) or submit(*a, **k))
    answers = np.empty(9)
    for part, answer in answered(evaluator, points):
        answers[part] = answer
    evaluator.close()
    assert answers.tolist() == [quadratic(x) for x in points]
    # The value and a probe come first; then the rest, in as many chunks as there are workers.
    assert [len(task) for task in sent] in ([1, 1, 4, 3], [1, 1, 1, 3, 3])


@pytest.mark.parametrize("keywords", [{}, {"pure": False}, {"retries": 1}])
def test_an_executor_of_the_clients_is_as_good(client, tmp_path, keywords):
    objective = Recorded(tmp_path, quadratic)
    executor = client.get_executor(**keywords)
    evaluator = evaluator_for(objective, 1, executor)
    same = np.ones((5, 4))
    parts = [answer for _, answer in answered(evaluator, same)]
    evaluator.close()
    np.testing.assert_array_equal(np.concatenate(parts), [quadratic(same[0])] * 5)
    assert evaluator.facts.started == 5
    assert len(objective.noted("starts")) == 5  # not one for all, though Dask calls that pure
    assert executor.submit(sum, [1, 2]).result(PATIENCE) == 3


def test_clients_of_a_factory_are_the_runs_own(client, cluster):
    made = []

    def factory():
        made.append(distributed.Client(cluster, set_as_default=False))
        return made[-1]

    assert LBFGSB(workers=factory).minimize(quadratic, X0).success
    assert [own.status for own in made] == ["closed"]


def test_an_asynchronous_client_is_an_error():
    stub = SimpleNamespace(asynchronous=True, get_executor=print, nthreads=print)
    with pytest.raises(OptionError, match="asynchronous Dask client"):
        LBFGSB().minimize(quadratic, X0, workers=stub)


# Failures.


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (raise_error, ZeroDivisionError, "this is a fault"),
        (leave, SystemExit, "3"),
        (nan, NonFiniteValueError, "fun returned nan"),
        (lambda objective, x: [1.0, 2.0], InvalidValueError, "fun returned 2 values"),
    ],
)
def test_a_fault_is_an_error_with_the_result(client, tmp_path, fault, error, words):
    objective = Recorded(tmp_path, fault=at_start(fault))
    try:
        with pytest.raises(error, match=words) as raised:
            LBFGSB().minimize(objective, X0, workers=client)
    finally:
        (tmp_path / "released").touch()
    assert raised.value.optimizer_result.nfev == len(objective.noted("starts"))
    if error is ZeroDivisionError:
        assert any("in raise_error" in note for note in raised.value.__notes__)


@pytest.mark.parametrize(
    ("fault", "workers"), [(raise_error, "client"), (nan, "client"), (kill, "mortals")]
)
def test_rejected_points_are_those_of_a_serial_run(request, tmp_path, fault, workers):
    workers = request.getfixturevalue(workers)
    (tmp_path / "whole").mkdir()
    whole = Recorded(tmp_path / "whole", quadratic)
    LBFGSB().minimize(whole, X0)
    second = whole.noted("starts")[5]  # after the start and its four probes

    def at_second(fault):
        return lambda objective, x: fault(objective, x) if str(x.tolist()) == second else None

    (tmp_path / "serial").mkdir()
    alone = Recorded(tmp_path / "serial", quadratic, at_second(nan))
    serial = LBFGSB().minimize(alone, X0, on_failure="reject")
    objective = Recorded(tmp_path, quadratic, at_second(fault))
    result = LBFGSB().minimize(objective, X0, on_failure="reject", workers=workers)
    assert result.nrejected == serial.nrejected == 1
    np.testing.assert_array_equal(result.x, serial.x)
    if fault is not kill:  # Dask does not tell of what it started again, or did not come to
        assert result.nfev == len(objective.noted("starts"))


def test_what_failed_is_tried_again(client, tmp_path):
    def once(objective, x):
        if objective.first("failed"):
            raise_error(objective, x)

    objective = Recorded(tmp_path, quadratic, later(once))
    result = LBFGSB().minimize(objective, X0, workers=client, retries=1)
    np.testing.assert_array_equal(result.x, LBFGSB().minimize(quadratic, X0).x)
    assert result.nfev == len(objective.noted("starts"))


@pytest.mark.parametrize("settings", [{}, {"retries": 1}])
def test_what_hangs_is_given_up(client, tmp_path, settings):
    def hang(objective, x):
        if objective.first("hangs"):
            until((objective.folder / "released").exists)

    objective = Recorded(tmp_path, quadratic, later(hang))
    try:
        if settings:
            result = LBFGSB().minimize(objective, X0, workers=client, eval_timeout=2.0, **settings)
            np.testing.assert_array_equal(result.x, LBFGSB().minimize(quadratic, X0).x)
        else:
            with pytest.raises(EvaluationTimeoutError, match="cannot be killed") as raised:
                LBFGSB().minimize(objective, X0, workers=client, eval_timeout=2.0)
            result = raised.value.optimizer_result
        assert result.nfev == len(objective.noted("starts"))
    finally:
        (tmp_path / "released").touch()


def test_dask_evaluates_again_what_a_killed_worker_left(mortals, tmp_path):
    def once(objective, x):
        if objective.first("died"):
            kill(objective, x)

    objective = Recorded(tmp_path, quadratic, later(once))
    result = LBFGSB().minimize(objective, X0, workers=mortals)
    np.testing.assert_array_equal(result.x, LBFGSB().minimize(quadratic, X0).x)
    # Dask does not tell of the evaluation that died.
    assert result.nfev == len(objective.noted("starts")) - 1


def test_a_point_that_kills_its_workers_is_named(mortals, tmp_path):
    # One at a time: of several tasks, Dask may blame one that was only near.
    objective = Recorded(tmp_path, quadratic, later(kill))
    with pytest.raises(WorkerDiedError, match=r"x = \[.* sent to 2 Dask workers") as raised:
        LBFGSB().minimize(lambda x: (objective(x), gradient(x)), X0, True, workers=mortals)
    deadly = objective.noted("starts")[-1]
    assert objective.noted("starts")[-2:] == [deadly] * 2
    assert len(objective.noted("killed")) == 2
    assert f"x = {deadly} was" in str(raised.value)
    assert isinstance(raised.value.__cause__, distributed.KilledWorker)
    assert raised.value.optimizer_result.fun == quadratic(X0)


@pytest.mark.parametrize("on_interrupt", ["raise", "return"])
def test_ctrl_c_ends_the_run_and_keeps_the_client(client, tmp_path, on_interrupt):
    caller = os.getpid()

    def interrupt(objective, x):
        if objective.first("interrupted"):
            os.kill(caller, signal.SIGINT)
        until((objective.folder / "released").exists)

    objective = Recorded(tmp_path, fault=later(interrupt))
    run = {"workers": client, "on_interrupt": on_interrupt}
    try:
        if on_interrupt == "return":
            result = LBFGSB().minimize(objective, X0, **run)
        else:
            with pytest.raises(KeyboardInterrupt) as raised:
                LBFGSB().minimize(objective, X0, **run)
            result = raised.value.optimizer_result
    finally:
        (tmp_path / "released").touch()
    assert result.stop == StopReason.INTERRUPTED
    assert result.best.fun <= rosenbrock(X0)


def test_the_time_is_up(client, tmp_path):
    def slow(objective, x):
        time.sleep(0.05)

    objective = Recorded(tmp_path, fault=slow)
    result = LBFGSB().minimize(objective, X0, workers=client, timeout=0.5)
    assert result.stop == StopReason.TIMEOUT
    assert result.nfev == len(objective.noted("starts"))


def test_what_waits_for_busy_workers_is_taken_back_when_the_time_is_up(client, tmp_path):
    release = tmp_path / "released"
    busy = [client.submit(lambda _: until(release.exists), i, pure=False) for i in range(4)]
    objective = Recorded(tmp_path)
    try:
        result = LBFGSB().minimize(objective, X0, workers=client, timeout=0.3)
    finally:
        release.touch()
    client.gather(busy)
    assert (result.stop, result.nfev, result.best) == (StopReason.TIMEOUT, 0, None)
    assert not objective.noted("starts")


def test_a_cluster_without_workers_is_not_waited_for_when_the_time_is_up(tmp_path):
    objective = Recorded(tmp_path)
    with (
        distributed.LocalCluster(1, processes=False, dashboard_address=":0") as empty,
        distributed.Client(empty, set_as_default=False) as other,
    ):
        empty.scale(0)
        until(lambda: not other.nthreads())
        result = LBFGSB().minimize(objective, X0, workers=other, timeout=0.3)
        many = LBFGSB().minimize_many(objective, [X0, X0], workers=other, timeout=0.3)
        assert not other.futures
    assert {one.stop for one in (result, *many)} == {StopReason.TIMEOUT}
    assert not objective.noted("starts")


def test_what_dask_cancels_is_named(client, tmp_path):
    def wait(objective, x):
        until((objective.folder / "released").exists)

    objective = Recorded(tmp_path, fault=wait)
    evaluator = evaluator_for(objective, 1, client)
    answers = answered(evaluator, X0[np.newaxis])
    caller = threading.Thread(
        target=lambda: [until(lambda: objective.noted("starts")), client.cancel(ours(client))]
    )
    caller.start()
    try:
        (_, answer), *_ = answers
    finally:
        (tmp_path / "released").touch()
        caller.join()
        evaluator.close()
    assert isinstance(answer, WorkerDiedError)
    assert "Dask canceled it" in str(answer)


def ours(client):
    return [distributed.Future(key, client) for key in client.futures]


def test_a_client_that_is_closed_ends_the_run(client, cluster, tmp_path):
    objective = Recorded(tmp_path)
    with distributed.Client(cluster, set_as_default=False) as other:
        with pytest.raises(distributed.client.ClosedClientError) as raised:
            LBFGSB().minimize(objective, X0, workers=other, callback=lambda x: other.close())
        assert raised.value.optimizer_result.nfev == len(objective.noted("starts"))


def test_the_example_prints_what_the_docs_show():
    examples = Path(__file__).parents[2] / "examples"
    run = [sys.executable, str(examples / "dask_cluster.py")]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert printed == (examples / "dask_cluster.txt").read_text()


def test_standard_errors_come_back_with_the_values(client):
    def pair(x):
        return quadratic(x), abs(float(x[0]))

    points = np.array([[1.0, 2.0], [-3.0, 0.5], [0.0, 1.0]])
    evaluator = evaluator_for(pair, workers=client)
    found = np.full((3, 2), np.nan)
    try:
        for part, answer in answered(evaluator, points):
            found[part] = answer
        assert measured(evaluator, points[1]) == (quadratic(points[1]), 3.0)
    finally:
        evaluator.close()
    np.testing.assert_array_equal(found, [pair(x) for x in points])
