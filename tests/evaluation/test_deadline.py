"""What waits when the time of a run is up is taken back; what runs is waited for."""

import asyncio
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest

from optimizers import LBFGSB, NELDER_MEAD, SPSA, StopReason

pytest.importorskip("cloudpickle", reason="extra workers")


def wait_for(name):
    """Occupy a worker until there is a file."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return open(name).close()
        except FileNotFoundError:
            time.sleep(0.01)
    return None


class Noted:
    """Notes in a file each time that it begins."""

    def __init__(self, path, seconds=0.0):
        self.name, self.seconds = str(path), seconds

    def __call__(self, x):
        with open(self.name, "ab") as file:
            file.write(b"x")
        time.sleep(self.seconds)
        return float((x - 1) @ (x - 1))

    def count(self):
        with open(self.name, "ab") as file:
            return file.tell()


POOLS = ["threads", "threads.map", "processes", "processes.map", "multiprocessing", "ThreadPool"]


@pytest.fixture(params=POOLS)
def pool(request):
    """Return workers of which there is one, and what occupies it."""
    kind = request.param.split(".")[0]
    made = {
        "threads": lambda: ThreadPoolExecutor(1),
        "processes": lambda: ProcessPoolExecutor(1, get_context("forkserver")),
        "multiprocessing": lambda: get_context("forkserver").Pool(1),
        "ThreadPool": lambda: ThreadPool(1),
    }[kind]()
    with made:
        if kind in ("multiprocessing", "ThreadPool"):
            yield made.map, lambda *task: made.apply_async(task[0], task[1:])
        else:
            yield made.map if "map" in request.param else made, made.submit


def test_what_waits_in_a_busy_pool_is_taken_back(pool, tmp_path):
    workers, occupy = pool
    fun, release = Noted(tmp_path / "begun"), tmp_path / "release"
    for _ in range(4):  # more than a pool has in its queue
        occupy(wait_for, str(release))
    try:
        result = SPSA(seed=1).minimize(fun, [3.0, 3.0], workers=workers, timeout=0.2)
        many = LBFGSB().minimize_many(fun, [[1.0, 2.0], [3.0, 4.0]], workers=workers, timeout=0.2)
    finally:
        release.touch()
    for one in (result, *many):
        assert (one.stop, one.nfev, one.best) == (StopReason.TIMEOUT, 0, None)
    # Behind those that were taken back, and none of them has begun.
    later = LBFGSB().minimize(fun, [3.0, 3.0], workers=workers, maxfun=60, timeout=60)
    assert later.nfev == fun.count() > 0
    assert later.success


def test_what_runs_is_waited_for(pool, tmp_path):
    workers, _ = pool
    fun = Noted(tmp_path / "begun")
    warm = NELDER_MEAD(maxfun=1).minimize(fun, [3.0, 3.0], workers=workers)
    slow = Noted(tmp_path / "slow", seconds=0.5)
    result = NELDER_MEAD().minimize(slow, [3.0, 3.0], workers=workers, timeout=0.4)
    assert warm.nfev == 1
    assert result.stop is StopReason.TIMEOUT
    assert result.nfev == slow.count() <= 1
    assert result.nfev == 0 or result.fun == 8.0


def test_a_map_in_this_process_begins_nothing_when_the_time_is_up(tmp_path):
    fun = Noted(tmp_path / "begun", seconds=0.05)
    result = LBFGSB().minimize(fun, np.full(40, 3.0), workers=map, timeout=0.2)
    assert result.stop is StopReason.TIMEOUT
    assert result.nfev == fun.count() < 41
    assert result.best.fun <= 160.0


def test_a_coroutine_that_waits_for_its_loop_is_taken_back():
    begun = []

    async def fun(x):
        begun.append(x)
        return float(x @ x)

    async def main():
        task = asyncio.create_task(LBFGSB().minimize_async(fun, [3.0], timeout=0.1))
        await asyncio.sleep(0)
        time.sleep(0.5)  # as a library may do that computes on the loop
        return await task

    result = asyncio.run(main())
    assert result.stop is StopReason.TIMEOUT
    assert result.nfev == len(begun) == 0


def test_a_straggler_is_not_started_again_when_the_time_is_up():
    release, calls = threading.Event(), []

    def fun(x):
        calls.append(1)
        time.sleep(0.2)
        if len(calls) > 2 and x[0] > 3.0:
            release.wait(30)
        return float(x @ x)

    timer = threading.Timer(1.0, release.set)
    timer.start()
    with ThreadPoolExecutor(12) as pool:  # a straggler after 1.5 times what is usual: too late
        settings = {"workers": pool, "hedge": True, "timeout": 0.25}
        result = LBFGSB().minimize(fun, [3.0, 4.0, 5.0], **settings)
    timer.join()
    assert result.stop is StopReason.TIMEOUT
    assert result.nfev == len(calls) == 4
