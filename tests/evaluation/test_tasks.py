import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from optimizers import LBFGSB
from optimizers.evaluation import tasks
from optimizers.evaluation.tasks import Unknown, perform, publish, withdraw

POINTS = np.ones((2, 3))
_LOADED = []


class Loaded:
    """An objective that notes when it is unpickled, and has a length of zero."""

    def __setstate__(self, state):
        time.sleep(0.01)  # another thread's turn
        _LOADED.append(threading.get_ident())

    def __getstate__(self):
        return {"some": "state"}

    def __len__(self):
        return 0

    def __call__(self, x):
        return float(x.sum())


def test_a_key_is_not_used_again_by_a_process_of_the_same_number(monkeypatch):
    # In a container, the second run of a program has the number that the first one had.
    key = publish(len)
    monkeypatch.setattr(tasks, "_NUMBERS", iter([int(key.rsplit("-", 1)[1])]))
    monkeypatch.setattr(tasks, "_TOKEN", "of-another")
    assert publish(len) != key


def test_threads_of_a_worker_unpickle_the_objective_once():
    _LOADED.clear()
    payload = pickle.dumps(Loaded())
    with ThreadPoolExecutor(4) as pool:
        futures = [
            pool.submit(perform, "elsewhere-once", payload, "points", POINTS) for _ in range(8)
        ]
        outcomes = [future.result() for future in futures]
    assert [outcome.values.tolist() for outcome in outcomes] == [[3.0, 3.0]] * 8
    assert len(_LOADED) == 1


def test_a_worker_forgets_the_oldest_but_never_what_this_process_gives():
    key = publish(Loaded())
    payload = pickle.dumps(Loaded())
    for i in range(20):
        perform(f"elsewhere-{i}", payload, "points", POINTS)
    assert isinstance(perform("elsewhere-0", None, "points", POINTS), Unknown)
    assert perform("elsewhere-19", None, "points", POINTS).values.tolist() == [3.0, 3.0]
    assert perform(key, None, "points", POINTS).values.tolist() == [3.0, 3.0]
    withdraw(key)


def test_a_run_leaves_no_objective_behind():
    known = dict(tasks._PUBLISHED)
    with ThreadPoolExecutor(2) as pool:
        LBFGSB(workers=pool).minimize(lambda x: float(x @ x), [1.0, 2.0])
    assert known == tasks._PUBLISHED
