import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from optimizers import LBFGSB, EvaluationError
from optimizers.evaluation import task as tasks
from optimizers.evaluation.task import Unknown, perform, publish, withdraw

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


@pytest.mark.parametrize("form", ["points", "flat", "stack", "raw"])
def test_an_objective_that_ends_its_program_does_not_end_the_worker(form):
    outcome = perform("elsewhere-exits-" + form, pickle.dumps(ends), form, 3 * POINTS)
    assert isinstance(outcome.error, SystemExit)
    assert outcome.error.code == 3
    assert outcome.error.__notes__[0].startswith("In the worker:")


def test_what_came_before_the_end_of_a_program_stays():
    points = np.array([[1.0], [2.0], [3.0], [4.0]])
    outcome = perform("elsewhere-ends", pickle.dumps(ends), "points", points)
    assert outcome.values.tolist() == [1.0, 2.0]


def ends(x):
    if np.ravel(x)[0] > 2.0:
        raise SystemExit(3)
    return x[0]


def raises(x):
    raise OddError("no field", "the sensor")


class OddError(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, what, where):
        super().__init__(f"{what} at {where}")
        self.lock = threading.Lock()


def test_an_error_that_cannot_travel_is_named_with_its_text():
    error = perform("elsewhere-odd", pickle.dumps(raises), "points", POINTS).error
    assert type(error) is EvaluationError
    assert str(error) == "fun raised OddError: no field at the sensor"
    assert "OddError" in error.__notes__[0]
    assert "raise OddError" in error.__notes__[0]


def test_a_run_leaves_no_objective_behind():
    known = dict(tasks._PUBLISHED)
    with ThreadPoolExecutor(2) as pool:
        LBFGSB(workers=pool).minimize(lambda x: float(x @ x), [1.0, 2.0])
    assert known == tasks._PUBLISHED


def test_no_further_point_is_begun_when_time_is_up():
    key = publish(lambda x: float(x.sum()))
    assert perform(key, None, "points", POINTS, -1.0).values.tolist() == [3.0]
    assert perform(key, None, "points", POINTS, 60.0).values.tolist() == [3.0, 3.0]
    withdraw(key)
