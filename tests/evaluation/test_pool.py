"""Waves on executors, and what happens when an evaluation fails there."""

import asyncio
import contextlib
import functools
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import (
    BFGS,
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    SPSA,
    TNC,
    BrokenPoolError,
    EvaluationTimeoutError,
    InvalidInputError,
    InvalidValueError,
    MissingExtraError,
    NonFiniteValueError,
    OptionError,
    StopReason,
    WorkerDiedError,
    vectorized,
)
from optimizers.errors import OptimizerWarning
from optimizers.evaluation.choose import evaluator_for
from optimizers.evaluation.task import Unknown, pickled
from optimizers.evaluation.wave import Block, Wave
from tests.waves import answered

cloudpickle = pytest.importorskip("cloudpickle", reason="extra workers")

START = [-1.2, 1.0, 0.5]
#: Takes the same steps on however many workers.
SAME = functools.partial(LBFGSB, values_first=False)


def counted(path, behave=None):
    """Return Rosenbrock's function that notes each call in a file; it can go to a process."""
    name = str(path)

    def fun(x):
        with open(name, "ab") as file:
            file.write(x.tobytes())
        if behave is not None:
            answer = behave(x, os.path.getsize(name) // x.nbytes)
            if answer is not None:
                return answer
        return float(rosen(x))

    return fun


def calls(path, n=3):
    return np.frombuffer(path.read_bytes() if path.exists() else b"").reshape(-1, n)


def assert_all_count(result, path, workers):
    """Check that nfev is the number of calls, once those of a wave that was left have ended.

    A process may be handed a point that it never comes to when the run ends before.
    """
    left = result.nfev - all_calls(path, result.nfev)
    assert 0 <= left <= (2 if isinstance(workers, ProcessPoolExecutor) else 0)


def all_calls(path, count):
    """Return how many calls there were, once those of a wave that was left have ended."""
    deadline = time.monotonic() + 5
    while len(calls(path)) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(calls(path))


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, get_context("forkserver")) as pool:
        yield pool


WORKERS = ["serial", "threads", "thread factory", "processes"]


@pytest.fixture(params=WORKERS)
def workers(request):
    if request.param == "serial":
        yield None
    elif request.param == "threads":
        with ThreadPoolExecutor(4) as pool:
            yield pool
            assert pool.submit(abs, -1).result() == 1  # the user's own still works
    elif request.param == "thread factory":
        yield lambda: ThreadPoolExecutor(4)
    elif request.param == "processes":
        pool = request.getfixturevalue("processes")
        yield pool
        assert pool.submit(abs, -1).result() == 1
    else:
        yield 2


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 20
    while any(t.name.startswith("ThreadPool") for t in set(threading.enumerate()) - before):
        assert time.monotonic() < deadline, "a thread of a pool is left"
        time.sleep(0.01)


# Values.


@pytest.mark.parametrize("cls", [SAME, BFGS, TNC, SLSQP, NELDER_MEAD])
def test_every_evaluator_takes_the_points_of_a_serial_run(cls, workers, tmp_path):
    serial = cls(maxiter=20).minimize(rosen, START)
    result = cls(maxiter=20).minimize(counted(tmp_path / "calls"), START, workers=workers)
    assert np.array_equal(result.x, serial.x)
    assert result.fun == serial.fun
    assert result.nit == serial.nit
    assert all_calls(tmp_path / "calls", result.nfev) == result.nfev


@pytest.fixture
def no_process_is_left():
    before = set(multiprocessing.active_children())
    yield
    deadline = time.monotonic() + 20
    while set(multiprocessing.active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(multiprocessing.active_children()) - before


def test_a_number_of_processes_is_a_pool_for_the_run(no_process_is_left, tmp_path):
    result = SAME().minimize(counted(tmp_path / "calls"), START, workers=2)
    assert np.array_equal(result.x, LBFGSB().minimize(rosen, START).x)
    assert all_calls(tmp_path / "calls", result.nfev) == result.nfev


@pytest.mark.parametrize("jac", [rosen_der, True])
def test_the_users_gradient_is_computed_by_the_workers_too(jac, workers, tmp_path):
    count = counted(tmp_path / "calls")
    fun = (lambda x: (count(x), rosen_der(x))) if jac is True else count
    result = SAME().minimize(fun, START, jac, workers=workers)
    serial = LBFGSB().minimize(rosen, START, rosen_der)
    assert np.array_equal(result.x, serial.x)
    assert (result.nfev, result.njev) == (serial.nfev, serial.njev)
    assert all_calls(tmp_path / "calls", result.nfev) == result.nfev


def test_complex_steps_travel_too(workers):
    def fun(x):
        return (x[0] - 1) ** 2 + np.exp(x[1]) - x[1]

    result = BFGS().minimize(fun, [0.0, 1.0], "cs", workers=workers)
    assert np.allclose(result.x, [1, 0], atol=1e-4)


@pytest.mark.parametrize("group", [2, 3])
def test_groups_go_to_workers_as_flat_vectors(group, workers):
    def fun(flat):
        values = [float(rosen(x)) for x in flat.reshape(-1, 3)]
        assert len(values) <= group
        return values

    result = SAME(max_evals_grouped=group).minimize(fun, START, workers=workers)
    serial = LBFGSB().minimize(rosen, START)
    assert np.array_equal(result.x, serial.x)
    assert result.nfev == serial.nfev


def test_a_vectorized_objective_gets_a_share_of_each_wave(workers):
    sizes = []

    @vectorized
    def fun(points):
        sizes.append(len(points))
        return [float(rosen(x)) for x in points]

    result = SAME().minimize(fun, START, workers=workers)
    assert np.array_equal(result.x, LBFGSB().minimize(rosen, START).x)
    if isinstance(workers, ThreadPoolExecutor):
        assert set(sizes) == {1}  # four points on four threads


# Waves.


class Together:
    """An objective whose evaluations wait for each other: all of a wave, or none."""

    def __init__(self, parties):
        self.waves = 0
        self.barrier = threading.Barrier(parties, self.wave, timeout=30)

    def wave(self):
        self.waves += 1

    def __call__(self, x):
        self.barrier.wait()
        return float(rosen(x))


@pytest.mark.parametrize("n", [8, 16, 32])
def test_the_value_and_its_probes_are_one_wave(n):
    start = np.resize([-1.2, 1.0], n)
    fun = Together(n + 1)
    with ThreadPoolExecutor(n + 1) as pool:
        result = LBFGSB().minimize(fun, start, workers=pool)
    assert result.success
    assert result.nfev == fun.waves * (n + 1)


@pytest.mark.parametrize("group", [1, 4])
def test_the_value_and_its_complex_probes_are_one_wave(group):
    n, kinds = 8, []
    start = np.resize([-1.2, 1.0], n)
    barrier = threading.Barrier(1 + n // group, timeout=30)

    def fun(flat):
        kinds.append(flat.dtype.char)
        barrier.wait()
        values = [rosen(x) for x in flat.reshape(-1, n)]
        return values if group > 1 else values[0]

    with ThreadPoolExecutor(n + 1) as pool:
        optimizer = LBFGSB(max_evals_grouped=group, maxiter=5)
        result = optimizer.minimize(fun, start, "cs", workers=pool)
    waves = kinds.count("d")  # the point itself is real
    assert len(kinds) == waves * (1 + n // group)
    assert result.nfev == waves * (n + 1)
    serial = LBFGSB(maxiter=5).minimize(rosen, start, "cs")
    assert np.array_equal(result.x, serial.x)


def test_the_value_of_a_complex_step_goes_first_where_points_wait():
    parts = []
    evaluator = evaluator_for(lambda x: x.sum(), 1, RecordingExecutor(2, parts))
    points = np.ones((1, 3))
    blocks = [Block(points), Block(points + 1j * np.eye(3))]
    found = [(blocks.index(block), part) for block, part, _ in evaluator.answers(Wave(blocks))]
    assert sorted(found, key=str) == [(0, slice(0, 1)), *((1, slice(i, i + 1)) for i in range(3))]
    assert [part.dtype.char for part in parts] == ["d", "D", "D", "D"]


def test_a_gradient_of_the_users_travels_with_its_value():
    barrier = threading.Barrier(2, timeout=30)
    with ThreadPoolExecutor(2) as pool:
        result = LBFGSB().minimize(
            lambda x: (barrier.wait(), float(rosen(x)))[1],
            START,
            lambda x: (barrier.wait(), rosen_der(x))[1],
            workers=pool,
        )
    serial = LBFGSB().minimize(rosen, START, rosen_der)
    assert np.array_equal(result.x, serial.x)
    assert (result.nfev, result.njev) == (serial.nfev, serial.njev)


def test_the_gradients_of_speculative_steps_travel_with_their_values():
    both = threading.Barrier(2, timeout=30), threading.Barrier(6, timeout=30)

    def wait(x):
        both[0 if np.array_equal(x, START) else 1].wait()

    with ThreadPoolExecutor(6) as pool:
        optimizer = LBFGSB(speculate=3, maxiter=3)
        result = optimizer.minimize(
            lambda x: (wait(x), float(rosen(x)))[1],
            START,
            lambda x: (wait(x), rosen_der(x))[1],
            workers=pool,
        )
    serial = LBFGSB(speculate=3, maxiter=3).minimize(rosen, START, rosen_der)
    assert np.array_equal(result.x, serial.x)
    assert (result.nfev, result.njev) == (serial.nfev, serial.njev)


@pytest.mark.parametrize("speculate", [1, 3])
def test_a_gradient_that_fails_on_a_worker_rejects_its_point(workers, speculate):
    def jac(x):
        if x[0] > -0.7:
            raise LookupError("mine")
        return rosen_der(x)

    settings = {"speculate": speculate, "maxiter": 15, "on_failure": "reject"}
    result = LBFGSB(**settings).minimize(rosen, START, jac, workers=workers)
    assert result.nrejected > 0
    assert result.x[0] <= -0.7
    assert result.best.x[0] <= -0.7
    with pytest.raises(LookupError, match="mine") as caught:
        LBFGSB(speculate=speculate).minimize(rosen, START, jac, workers=workers)
    assert caught.value.optimizer_result.njev > 0


def test_with_fewer_workers_than_points_the_value_goes_first_and_the_rest_in_one_round():
    parts = []
    pool = RecordingExecutor(4, parts)
    evaluator = evaluator_for(rosen, 1, pool)
    points = np.arange(22.0).reshape(11, 2)
    values = np.empty(11)
    for part, answer in answered(evaluator, points):
        values[part] = answer
    assert np.array_equal(values, [rosen(x) for x in points])
    assert [len(part) for part in parts[:4]] == [1, 1, 1, 1]
    assert np.array_equal(parts[0], points[:1])
    assert sum(map(len, parts)) == 11
    assert max(map(len, parts)) <= 2  # seven points, or some fewer, on four workers
    assert evaluator.facts.started == 11


class RecordingExecutor(Executor):
    """Runs tasks at once, and keeps the points of each."""

    def __init__(self, count, parts):
        self._max_workers = count
        self.parts = parts

    def submit(self, fn, /, *args):
        self.parts.append(args[3])
        future = Future()
        future.set_result(fn(*args))
        return future


def test_no_more_is_submitted_than_there_are_workers():
    now, most, lock = [0], [0], threading.Lock()

    def fun(x):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= 1
        return float(rosen(x))

    with ThreadPoolExecutor(8) as pool:
        pool._max_workers, told = 3, pool._max_workers  # it says that it has three
        LBFGSB(maxiter=3).minimize(fun, np.resize([-1.2, 1.0], 12), workers=pool)
        pool._max_workers = told
    assert most[0] <= 3


def test_a_wave_that_is_left_takes_back_what_has_not_started(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        evaluator = evaluator_for(counted(tmp_path / "calls", None), 1, pool)
        answers = answered(evaluator, np.ones((5, 3)))
        next(answers)
        answers.close()
    assert evaluator.facts.started == len(calls(tmp_path / "calls")) <= 2


# The objective on its way.


def test_the_objective_is_unpickled_once_in_each_process(processes, tmp_path):
    name = str(tmp_path / "loads")

    class Heavy:
        def __init__(self):
            self.load = "heavy"

        def __setstate__(self, state):
            self.__dict__.update(state)
            with open(name, "a") as file:
                print(os.getpid(), file=file)

        def __call__(self, x):
            return float(rosen(x))

    result = LBFGSB(maxiter=10).minimize(Heavy(), START, workers=processes)
    loads = (tmp_path / "loads").read_text().split()
    assert result.nfev > 20
    assert len(loads) == len(set(loads)) <= 2


def test_what_cannot_be_sent_is_an_error_before_the_first_evaluation(processes, tmp_path):
    lock, count = threading.Lock(), counted(tmp_path / "calls")
    with pytest.raises(InvalidInputError, match="cannot be sent to another process"):
        LBFGSB().minimize(lambda x: (lock, count(x))[1], START, workers=processes)
    assert len(calls(tmp_path / "calls")) == 0


def test_without_cloudpickle_a_closure_is_an_error_that_names_the_extra(monkeypatch, processes):
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    with pytest.raises(MissingExtraError, match=r"pip install cloudpickle"):
        LBFGSB().minimize(lambda x: float(rosen(x)), START, workers=processes)
    result = LBFGSB(maxiter=2).minimize(rosen, START, workers=processes)  # a module's own
    assert result.nit == 2


# Failures: the table in the docs, row by row.


def test_what_fun_raises_is_raised_with_the_result_so_far(workers, tmp_path):
    def behave(x, call):
        if call >= 9:  # two threads may both see the tenth
            raise LookupError("the ninth")
        return None

    path = tmp_path / "calls"
    with pytest.raises(LookupError, match="the ninth") as caught:
        LBFGSB().minimize(counted(path, behave), START, workers=workers)
    result = caught.value.optimizer_result
    assert result.stop is StopReason.FAILED
    assert result.best.fun <= rosen(START)
    assert result.best.fun == rosen(result.best.x)
    assert_all_count(result, path, workers)
    assert result.nfev >= 9


@pytest.mark.parametrize("kind", ["raises", "nan", "inf"])
def test_a_rejected_point_is_stepped_back_from(kind, workers, tmp_path):
    def behave(x, call):
        if x[0] > 0.3 and call < 60:
            if kind == "raises":
                raise ArithmeticError
            return float(kind)
        return None

    path = tmp_path / "calls"
    result = LBFGSB().minimize(counted(path, behave), START, workers=workers, on_failure="reject")
    assert result.success
    assert np.allclose(result.x, 1, atol=1e-3)
    assert_all_count(result, path, workers)


def test_a_value_that_is_not_finite_is_a_named_error(workers, tmp_path):
    def behave(x, call):
        return float("nan") if call >= 7 else None

    with pytest.raises(NonFiniteValueError) as caught:
        LBFGSB().minimize(counted(tmp_path / "calls", behave), START, workers=workers)
    assert np.isfinite(caught.value.optimizer_result.fun)


@pytest.mark.parametrize("on_failure", ["raise", "reject"])
@pytest.mark.parametrize("answer", [1j, None, [1.0, 2.0], "one"], ids=repr)
def test_a_bug_is_a_named_error_also_when_points_are_rejected(answer, on_failure, workers):
    def fun(x):
        return answer if x[0] > -1.19 else float(rosen(x))

    with pytest.raises(InvalidValueError, match="fun returned"):
        LBFGSB().minimize(fun, START, workers=workers, on_failure=on_failure)


@pytest.mark.parametrize("retries", [1, 3])
def test_a_point_that_failed_is_tried_again(retries, workers, tmp_path):
    path = tmp_path / "calls"
    name = str(path)

    def behave(x, call):
        with open(name, "rb") as file:
            times = file.read().count(x.tobytes())
        if int(1e6 * x[0]) % 5 == 0 and times <= retries:
            raise ConnectionError(call)
        return None

    result = SAME().minimize(counted(path, behave), START, workers=workers, retries=retries)
    serial = LBFGSB().minimize(rosen, START)
    assert np.array_equal(result.x, serial.x)
    assert_all_count(result, path, workers)
    assert result.nfev > serial.nfev


def test_what_fails_as_often_as_it_may_is_raised(workers, tmp_path):
    path = tmp_path / "calls"

    def behave(x, call):
        raise ConnectionError(call)

    with pytest.raises(ConnectionError) as caught:
        LBFGSB().minimize(counted(path, behave), START, workers=workers, retries=2)
    result = caught.value.optimizer_result
    assert result.best is None
    assert result.nfev >= 3


def test_retries_keep_to_the_budget(workers, tmp_path):
    path = tmp_path / "calls"

    def behave(x, call):
        if call % 2:
            raise ConnectionError(call)
        return None

    with contextlib.suppress(ConnectionError):  # the last retry does not fit
        LBFGSB(maxfun=17).minimize(counted(path, behave), START, workers=workers, retries=9)
    time.sleep(0.05)
    assert 10 < len(calls(path)) <= 17


@pytest.mark.parametrize("workers", [*WORKERS[:-1], "a number"], indirect=True)
def test_an_evaluation_that_hangs_is_given_up(workers, tmp_path):
    release = tmp_path / "release"
    name = str(release)

    def fun(x):
        if x[0] > -1.19:
            for _ in range(4000):
                if os.path.exists(name):
                    break
                time.sleep(0.005)
        return float(rosen(x))

    with pytest.raises(EvaluationTimeoutError, match=r"eval_timeout = 2\.0 s at x = \[") as caught:
        LBFGSB().minimize(fun, START, workers=workers, eval_timeout=2.0)
    release.touch()
    words = "its process was killed" if workers == 2 else "it was abandoned"
    assert words in str(caught.value)
    assert caught.value.optimizer_result.best.fun <= rosen(START)


@pytest.mark.parametrize("workers", ["serial", "threads", "processes", "a number"], indirect=True)
def test_of_short_points_the_one_that_hangs_is_named_and_the_others_count(workers, tmp_path):
    path, release = tmp_path / "calls", str(tmp_path / "release")
    start = np.full(40, 2.0)

    def behave(x, call):
        if x[30] != 2.0:
            for _ in range(4000):
                if os.path.exists(release):
                    break
                time.sleep(0.005)
        return float(x @ x)

    with pytest.raises(EvaluationTimeoutError) as caught:
        LBFGSB().minimize(counted(path, behave), start, workers=workers, eval_timeout=1.0)
    open(release, "w").close()
    hangs = start + np.eye(40)[30] * (np.array(1e-8))
    assert str(hangs.tolist()) in str(caught.value)
    result = caught.value.optimizer_result
    assert result.fun <= 160.0
    assert result.nfev - len(calls(path, 40)) in (0, 1)  # one may be handed over, and not begun


@pytest.mark.parametrize("workers", [*WORKERS[:-1], "a number"], indirect=True)
def test_an_evaluation_that_hangs_once_is_tried_again(workers, tmp_path):
    once, release = str(tmp_path / "once"), str(tmp_path / "release")

    def fun(x):
        is_first = False
        if x[0] > -1.19:
            with contextlib.suppress(FileExistsError):
                open(once, "x").close()
                is_first = True
        while is_first and not os.path.exists(release):
            time.sleep(0.005)
        return float(rosen(x))

    result = SAME().minimize(fun, START, workers=workers, eval_timeout=2.0, retries=1)
    open(release, "w").close()
    assert np.array_equal(result.x, LBFGSB().minimize(rosen, START).x)


@pytest.mark.parametrize("make", [lambda: 2, lambda: lambda: ProcessPoolExecutor(2)])
def test_a_killed_workers_points_go_to_a_new_pool(make, tmp_path):
    once = str(tmp_path / "once")

    def fun(x):
        if x[0] > -1.19 and not os.path.exists(once):
            open(once, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return float(rosen(x))

    result = SAME().minimize(fun, START, workers=make())
    assert os.path.exists(once)
    assert np.array_equal(result.x, LBFGSB().minimize(rosen, START).x)


def test_a_point_that_kills_twice_is_named(no_process_is_left, tmp_path):
    def fun(x):
        if x[0] > -1.19:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(rosen(x))

    with pytest.raises(WorkerDiedError, match=r"x = \[.*died twice") as caught:
        LBFGSB().minimize(fun, START, workers=2)
    assert caught.value.optimizer_result.best.fun <= rosen(START)


def test_a_point_that_kills_twice_can_be_rejected(tmp_path):
    def fun(x):
        if x[0] > 0.5 and x[1] < 0.4:
            os.kill(os.getpid(), signal.SIGKILL)
        return float((x[0] - 0.3) ** 2 + (x[1] - 0.5) ** 2)

    result = LBFGSB().minimize(fun, [-3.0, 0.2], workers=2, on_failure="reject")
    assert np.allclose(result.x, [0.3, 0.5], atol=1e-4)


def test_a_users_pool_that_breaks_is_an_error_that_says_what_to_pass():
    with (
        ProcessPoolExecutor(2, get_context("forkserver")) as pool,
        pytest.raises(WorkerDiedError, match="pass a callable that makes one"),
    ):
        LBFGSB().minimize(lambda x: os.kill(os.getpid(), signal.SIGKILL), START, workers=pool)


class Deadly:
    """Ends its process at a point that is not the start."""

    def __init__(self, end):
        self.end = end

    def __call__(self, x):
        if x[1] != START[1]:
            self.end()
        return float(rosen(x))


def kill_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


def exit_at_once():
    os._exit(0)


@pytest.mark.parametrize(
    ("method", "end", "on_failure"),
    [("map", kill_this_process, "raise"), ("imap_unordered", exit_at_once, "reject")],
)
def test_a_pool_of_multiprocessing_that_loses_a_worker_is_an_error(method, end, on_failure):
    with get_context("forkserver").Pool(2) as pool:
        workers = functools.partial(getattr(pool, method), chunksize=2)
        with pytest.raises(BrokenPoolError, match="or a number of workers") as caught:
            LBFGSB().minimize(Deadly(end), START, workers=workers, on_failure=on_failure)
        assert caught.value.optimizer_result.best.fun <= rosen(START)
        with pytest.raises(BrokenPoolError):  # in the midst of many runs, too
            LBFGSB().minimize_many(Deadly(end), [START, START], workers=workers)


@pytest.mark.parametrize(("cls", "limit"), [(LBFGSB, None), (SPSA, None), (BFGS, 12)])
def test_a_pool_of_multiprocessing_takes_the_points_of_a_serial_run(cls, limit, tmp_path):
    path, optimizer = tmp_path / "calls", cls(maxiter=3, seed=1)
    with get_context("forkserver").Pool(2, maxtasksperchild=limit) as pool:
        result = optimizer.minimize(counted(path), START, workers=pool.map)
    expected = optimizer.minimize(rosen, START)
    assert np.array_equal(result.x, expected.x)
    assert result.nfev == expected.nfev == len(calls(path))


@pytest.mark.parametrize("workers", [*WORKERS, "a number"], indirect=True)
@pytest.mark.parametrize("on_interrupt", ["raise", "return"])
def test_ctrl_c_ends_the_run_with_its_result(on_interrupt, workers, tmp_path):
    path, once = tmp_path / "calls", str(tmp_path / "once")
    main = os.getpid()

    def behave(x, call):
        if call >= 12:
            with contextlib.suppress(FileExistsError):
                open(once, "x").close()
                os.kill(main, signal.SIGINT)
                time.sleep(0.05)
        return None

    def minimize():
        return LBFGSB().minimize(
            counted(path, behave), START, workers=workers, on_interrupt=on_interrupt
        )

    if on_interrupt == "return":
        result = minimize()
    else:
        with pytest.raises(KeyboardInterrupt) as caught:
            minimize()
        result = caught.value.optimizer_result
    assert result.stop is StopReason.INTERRUPTED
    assert not result.success
    assert result.best.fun == rosen(result.best.x) <= rosen(START)


def test_when_time_is_up_nothing_more_is_started(workers, tmp_path):
    path = tmp_path / "calls"

    def behave(x, call):
        time.sleep(0.02)

    result = LBFGSB().minimize(counted(path, behave), START, workers=workers, timeout=0.3)
    assert result.stop is StopReason.TIMEOUT
    assert not result.success
    assert result.fun == rosen(result.x)
    assert_all_count(result, path, workers)


@pytest.mark.parametrize("on_failure", ["raise", "reject"])
def test_an_objective_that_ends_the_program_ends_the_run(workers, on_failure):
    def fun(x):
        if x[0] > -1.0:
            raise SystemExit(3)
        return float(rosen(x))

    with pytest.raises(SystemExit) as caught:
        LBFGSB(on_failure=on_failure, retries=2).minimize(fun, START, workers=workers)
    assert caught.value.code == 3
    assert caught.value.optimizer_result.best.fun <= rosen(START)


def test_a_coroutine_that_ends_the_program_ends_the_run():
    async def fun(x):
        await asyncio.sleep(0)
        if x[0] > -1.0:
            raise SystemExit(3)
        return float(rosen(x))

    with pytest.raises(SystemExit) as caught:
        asyncio.run(LBFGSB().minimize_async(fun, START))
    assert caught.value.code == 3
    assert caught.value.optimizer_result.best.fun <= rosen(START)


def test_one_failed_probe_of_a_group_fails_its_call(tmp_path):
    def fun(flat):
        if (flat.reshape(-1, 3)[:, 2] > 0.5).any():
            raise ValueError("a probe")
        return [float(rosen(x)) for x in flat.reshape(-1, 3)]

    with pytest.raises(ValueError, match="a probe"), ThreadPoolExecutor(2) as pool:
        LBFGSB(max_evals_grouped=2).minimize(fun, START, workers=pool)


def test_an_error_that_cannot_be_pickled_says_what_it_was(processes):
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__("odd one out")

    def fun(x):
        raise OddError(1, 2)

    with pytest.raises(Exception, match="odd one out"):
        LBFGSB().minimize(fun, START, workers=processes)


def test_an_error_in_a_process_brings_its_traceback(processes):
    def deep_inside(x):
        raise LookupError("here")

    with pytest.raises(LookupError) as caught:
        LBFGSB().minimize(lambda x: deep_inside(x), START, workers=processes)
    assert any("deep_inside" in note for note in caught.value.__notes__)


# Stragglers.


def test_a_straggler_is_started_again_and_the_first_answer_wins():
    release, lock, seen = threading.Event(), threading.Lock(), {}

    def fun(x):
        with lock:
            seen[x.tobytes()] = seen.get(x.tobytes(), 0) + 1
            first = seen[x.tobytes()] == 1
        if first and x[0] == -1.2 and x[2] != 0.5:  # the last probe of the first wave
            release.wait(30)
        return float(rosen(x))

    try:
        with ThreadPoolExecutor(12) as pool:
            result = LBFGSB(maxiter=1).minimize(fun, START, workers=pool, hedge=True)
            release.set()
    finally:
        release.set()
    assert result.nit == 1
    assert result.nfev == sum(seen.values())
    assert sorted(seen.values())[-2:] == [1, 2]


# Settings.


@pytest.mark.parametrize(
    ("name", "value"),
    [("retries", -1), ("retries", 1.5), ("eval_timeout", 0), ("eval_timeout", "1"),
     ("hedge", "yes"), ("on_interrupt", "stop"), ("workers", 0), ("workers", -2),
     ("workers", "threads")],
)  # fmt: skip
def test_a_wrong_setting_is_an_error_before_the_first_evaluation(name, value):
    with pytest.raises(OptionError, match=name):
        LBFGSB(**{name: value})
    with pytest.raises(OptionError, match=name):
        LBFGSB().minimize(rosen, START, **{name: value})


@pytest.mark.parametrize("setting", [{"eval_timeout": 1.0}, {"hedge": True}])
def test_what_a_map_cannot_do_is_an_error(setting):
    with pytest.raises(OptionError, match="map-like"):
        LBFGSB().minimize(rosen, START, workers=map, **setting)


def test_a_factory_that_makes_no_executor_is_an_error():
    with pytest.raises(OptionError, match="expected an executor"):
        LBFGSB().minimize(rosen, START, workers=lambda: 3)


def test_pickled_is_what_a_worker_loads():
    fun = pickled(lambda x: 2 * x)
    assert cloudpickle.loads(fun)(3) == 6


# What a check of all this found.


def test_a_bug_is_not_tried_again(workers, tmp_path):
    path = tmp_path / "calls"
    fun = counted(path, lambda x, call: [1.0, 2.0])
    with pytest.raises(InvalidValueError):
        LBFGSB(max_evals_grouped=None).minimize(fun, [1.0, 2.0, 3.0], workers=workers, retries=3)
    assert len(calls(path)) <= 4  # the points of the first wave, each once


def test_on_few_workers_time_is_up_after_one_more_evaluation(tmp_path):
    path = tmp_path / "calls"

    def behave(x, call):
        time.sleep(0.1)

    with ThreadPoolExecutor(2) as pool:
        result = LBFGSB().minimize(counted(path, behave), np.ones(20), workers=pool, timeout=0.25)
    assert result.stop is StopReason.TIMEOUT
    assert len(calls(path, 20)) == result.nfev <= 8  # two at a time, and one round too late


def test_a_time_limit_that_is_never_reached_changes_nothing():
    assert np.array_equal(
        LBFGSB().minimize(rosen, START, eval_timeout=1e3).x, LBFGSB().minimize(rosen, START).x
    )


def test_a_broken_pool_is_an_error_also_when_points_are_rejected():
    def fun(x):
        if x[0] > -1.19:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(rosen(x))

    with ProcessPoolExecutor(2, get_context("forkserver")) as pool:
        for _ in range(2):  # a later run says so too
            with pytest.raises(BrokenPoolError, match="pass a callable that makes one"):
                LBFGSB().minimize(fun, START, workers=pool, on_failure="reject")


def test_a_point_that_hangs_does_no_harm_to_those_beside_it(tmp_path):
    once = str(tmp_path / "once")

    def fun(x):
        if x[0] > -1.19:
            with contextlib.suppress(FileExistsError):
                open(once, "x").close()
                time.sleep(600)
        return float(rosen(x))

    result = SAME().minimize(fun, START, workers=2, eval_timeout=1.0, retries=1)
    assert np.array_equal(result.x, LBFGSB().minimize(rosen, START).x)


KILLED = """
import os, sys, time
from optimizers import LBFGSB

def fun(x):
    with open(sys.argv[1], "a") as file:
        print(os.getpid(), file=file)
    time.sleep(0.2)
    return float(x @ x)

if __name__ == "__main__":
    LBFGSB().minimize(fun, [1.0, 2.0], workers=2)
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_processes_end_with_a_run_that_is_killed(tmp_path):
    script, pids = tmp_path / "script.py", tmp_path / "pids"
    script.write_text(KILLED)
    run = subprocess.Popen([sys.executable, str(script), str(pids)])
    deadline = time.monotonic() + 60
    while not pids.exists() or len(set(pids.read_text().split())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    run.kill()
    run.wait()
    workers = {int(pid) for pid in pids.read_text().split()}
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline, "a worker outlives its run"
        time.sleep(0.01)


@pytest.mark.parametrize("in_flight", [None, 4, 1])
def test_no_more_coroutines_are_in_flight_than_may_be(in_flight):
    now, most, calls = 0, 0, 0

    async def fun(x):
        nonlocal now, most, calls
        now, calls = now + 1, calls + 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return float(rosen(x))

    start = np.resize([-1.2, 1.0], 8)
    result = asyncio.run(SAME(maxiter=5).minimize_async(fun, start, in_flight=in_flight))
    assert most == (in_flight or 9)
    assert result.nfev == calls
    assert np.array_equal(result.x, LBFGSB(maxiter=5).minimize(rosen, start).x)


class Loading(Executor):
    """Two threads in the place of processes: each must be sent the objective, and may load it."""

    def __init__(self, load):
        self._max_workers = 2
        self._threads = ThreadPoolExecutor(2)
        self._load, self._local = load, threading.local()
        both = threading.Barrier(2, timeout=30)
        list(self._threads.map(lambda _: both.wait(), range(2)))  # both threads are there

    def submit(self, fn, /, *args):
        return self._threads.submit(self._call, fn, *args)

    def _call(self, fn, key, payload, form, points, seconds):
        if not getattr(self._local, "has_begun", False):
            self._local.has_begun = True
            self._load()
        if not getattr(self._local, "knows", False):
            if payload is None:
                return Unknown()
            self._local.knows = True
        return fn(key, payload, form, points, seconds)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._threads.shutdown(wait)


def slow_rosen(x):
    time.sleep(0.05)  # so that no thread takes all
    return float(rosen(x))


def test_a_worker_that_is_still_starting_does_not_hang():
    starts = iter([0.0, 1.0])
    with Loading(lambda: time.sleep(next(starts))) as pool:
        evaluator = evaluator_for(slow_rosen, 1, pool, eval_timeout=0.5)
        values = np.empty(4)
        for part, answer in answered(evaluator, np.ones((4, 3))):
            values[part] = answer
    assert not values.any()


def test_a_wave_that_is_left_while_a_worker_loads_leaves_the_limit_as_it_is():
    starts, loads = iter([0, 1]), threading.Event()
    both, ends = threading.Barrier(2, timeout=30), threading.Event()

    def load():
        if next(starts):
            loads.wait(30)

    class Sent:
        def __call__(self, x):
            if x[0] == 1.0:
                both.wait()
            elif x[0] == 2.0:
                ends.wait(5.0)
            return slow_rosen(x)

        def __reduce__(self):
            return int, ()  # is never unpickled: the threads find it by its key

    with Loading(load) as pool:
        evaluator = evaluator_for(Sent(), 1, pool, eval_timeout=0.5)
        left = answered(evaluator, np.zeros((4, 3)))
        next(left)
        left.close()
        loads.set()
        stale = evaluator._pool.stale
        while stale and not all(future.done() for future in stale):
            time.sleep(0.001)
        for _, answer in answered(evaluator, np.ones((2, 3))):
            assert answer == 0.0
        found = [answer for _, answer in answered(evaluator, np.full((1, 3), 2.0))]
        ends.set()
    assert isinstance(found[0], EvaluationTimeoutError)


class Interrupted:
    """A coroutine function that does something once, after which it has no answer."""

    def __init__(self, act):
        self._act, self.calls, self.ended = act, 0, 0

    async def __call__(self, x):
        self.calls += 1
        if x[0] > -1.0:
            act, self._act = self._act, lambda: None
            act()
            try:
                await asyncio.sleep(60)
            finally:
                self.ended += 1
        return float(rosen(x))


def assert_is_result_so_far(result, fun):
    assert result.stop is StopReason.INTERRUPTED
    assert result.nfev == fun.calls
    assert result.best.fun <= rosen(START)
    assert fun.ended > 0  # what was in flight is canceled


def test_a_task_that_is_canceled_has_the_result():
    async def main():
        task = asyncio.current_task()
        fun = Interrupted(lambda: task.cancel())
        with pytest.raises(asyncio.CancelledError) as error:
            await LBFGSB().minimize_async(fun, START)
        assert_is_result_so_far(error.value.optimizer_result, fun)

    asyncio.run(main())


@pytest.mark.parametrize("count", [1, 2])
def test_a_gathered_task_that_is_canceled_has_the_result(count):
    async def main():
        def cancel():
            for _ in range(count):  # as by a timeout and by a group, for instance
                tasks[0].cancel()

        fun = Interrupted(cancel)
        tasks = [asyncio.create_task(LBFGSB().minimize_async(fun, START))]
        (error,) = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(error, asyncio.CancelledError)
        assert tasks[0].cancelled()
        assert_is_result_so_far(tasks[0].optimizer_result, fun)

    asyncio.run(main())


def test_a_task_that_is_canceled_twice_waits_for_its_end_and_has_the_result():
    async def main():
        async def fun(x):
            try:
                tasks[0].cancel()
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                tasks[0].cancel()
                raise

        tasks = [asyncio.create_task(LBFGSB().minimize_async(fun, START, in_flight=1))]
        await asyncio.wait(tasks)
        assert tasks[0].optimizer_result.stop is StopReason.INTERRUPTED
        assert tasks[0].optimizer_result.nfev == 1

    asyncio.run(main())


def test_a_run_whose_objective_is_canceled_has_the_result():
    async def main():
        async def fun(x):
            raise asyncio.CancelledError

        task = asyncio.create_task(LBFGSB().minimize_async(fun, START, in_flight=1))
        await asyncio.gather(task, return_exceptions=True)
        assert task.optimizer_result.nfev == 1

    asyncio.run(main())


def test_an_iterator_that_ends_in_a_run_that_is_awaited_ends_the_run():
    async def fun(x):
        return float(rosen(x))

    cut = {"type": "ineq", "fun": lambda x: next(iter(()))}
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        asyncio.run(SLSQP().minimize_async(fun, START, constraints=cut))
    assert isinstance(caught.value.__cause__, StopIteration)


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_is_awaited_leaves_nothing(fails):
    class Data:
        pass

    async def main():
        data = Data()

        async def fun(x, data=data):
            if fails:
                raise ZeroDivisionError
            return float(rosen(x))

        with contextlib.suppress(ZeroDivisionError):
            await LBFGSB().minimize_async(fun, START, in_flight=1)
        return weakref.ref(data)

    gc.collect()
    gc.disable()
    try:
        left = asyncio.run(main())
        for thread in threading.enumerate():
            if thread.name == "optimizers-evaluation":
                thread.join(30)
        assert left() is None
    finally:
        gc.enable()


def in_loop(main):
    """Run a coroutine on a loop whose threads are few: one."""

    async def limited():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        return await asyncio.wait_for(main, 60)

    return asyncio.run(limited())


@pytest.mark.parametrize("cls", [LBFGSB, NELDER_MEAD, SPSA])
def test_runs_leave_the_threads_of_the_loop_to_the_objective(cls):
    async def fun(x):
        return await asyncio.to_thread(rosen, x)

    async def main():
        run = cls(seed=1).minimize_async
        return await asyncio.gather(*(run(fun, START, maxfun=20) for _ in range(4)))

    alone = cls(seed=1).minimize(rosen, START, maxfun=20)
    for result in in_loop(main()):
        assert np.array_equal(result.x, alone.x)


def test_an_objective_may_await_a_run():
    async def inner(y):
        await asyncio.sleep(0)
        return float((y[0] - 1.0) ** 2)

    async def fun(x):
        found = await LBFGSB().minimize_async(inner, x[:1])
        return found.fun + float((x[0] - 2.0) ** 2)

    result = in_loop(LBFGSB().minimize_async(fun, [0.5]))
    assert result.x == pytest.approx([2.0], abs=1e-4)


def test_a_thousand_runs_are_under_way_together():
    begun = set()

    async def fun(x):
        begun.add(x[0])
        while len(begun) < 1000:
            await asyncio.sleep(0.01)
        return float(x[0])

    async def main():
        runs = (NELDER_MEAD().minimize_async(fun, [i + 1.0], maxfun=1) for i in range(1000))
        return await asyncio.gather(*runs)

    assert [result.fun for result in in_loop(main())] == [i + 1.0 for i in range(1000)]


def test_ctrl_c_under_asyncio_has_the_result_in_the_cancellation():
    fun = Interrupted(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt) as error:
        asyncio.run(LBFGSB().minimize_async(fun, START))
    assert_is_result_so_far(error.value.__context__.optimizer_result, fun)


def test_ctrl_c_under_asyncio_can_be_caught_by_the_task():
    fun = Interrupted(lambda: signal.raise_signal(signal.SIGINT))

    async def main():
        try:
            return await LBFGSB().minimize_async(fun, START)
        except asyncio.CancelledError as error:
            return error.optimizer_result

    assert_is_result_so_far(asyncio.run(main()), fun)


def test_a_result_cannot_be_returned_from_a_canceled_task():
    async def fun(x):
        return float(rosen(x))

    with pytest.warns(OptimizerWarning, match="on_interrupt='return' has no effect"):
        asyncio.run(LBFGSB(on_interrupt="return").minimize_async(fun, START))


def test_coroutines_take_no_workers():
    async def fun(x):
        return float(rosen(x))

    with pytest.raises(OptionError, match="in_flight"):
        asyncio.run(LBFGSB().minimize_async(fun, START, workers=2))


def test_noise_on_a_small_budget_evaluates_the_start():
    result = LBFGSB(noise="estimate", maxfun=9).minimize(rosen, START)
    assert result.fun == rosen(START)
    assert result.nfev == 1
    assert result.stop is StopReason.MAXFUN


def test_a_chunk_ends_when_the_runs_time_is_up():
    # How late it may be, test_tasks tells; here, that what was not begun is not counted.
    began = []

    def fun(x):
        began.append(1)
        time.sleep(0.002)
        return float(x @ x)

    with ThreadPoolExecutor(2) as pool:
        result = LBFGSB().minimize(fun, np.ones(400), workers=pool, timeout=0.4)
    assert result.stop is StopReason.TIMEOUT
    assert result.nfev == len(began)
