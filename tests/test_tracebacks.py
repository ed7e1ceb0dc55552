"""An error of a user's function shows the user's frames, after few of the package's own."""

import os
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
import scipy.optimize

import optimizers
from optimizers import (
    LBFGSB,
    NELDER_MEAD,
    SLSQP,
    SPSA,
    InvalidValueError,
    TellData,
    minimize,
    minimize_lbfgsb,
    multistart,
    race,
)

PACKAGE = os.path.dirname(optimizers.__file__) + os.sep
START = [1.0, 2.0]


class MineError(Exception):
    pass


def helper(x):
    raise MineError("here")


def failing(x):
    return helper(x)


def late():
    """Return an objective that fails at its fifth point."""
    count = iter(range(4))
    return lambda x: helper(x) if next(count, None) is None else float((x - 3) @ (x - 3))


def square(x):
    return float(x @ x)


def by_threads(fun):
    with ThreadPoolExecutor(2) as workers:
        LBFGSB().minimize(fun, START, workers=workers)


def asked(fun):
    stepper = LBFGSB().stepper(START, callback=fun)
    for ask in stepper:
        stepper.tell(ask, TellData([square(x) for x in ask.x_fun]))
    stepper.result()


RUNS = {
    "objective": lambda: LBFGSB().minimize(failing, START),
    "later": lambda: LBFGSB().minimize(late(), START),
    "without gradients": lambda: NELDER_MEAD().minimize(late(), START),
    "a library": lambda: SLSQP().minimize(late(), START),
    "a flow": lambda: SPSA(maxiter=5).minimize(late(), START),
    "gradient": lambda: LBFGSB().minimize(square, START, jac=failing),
    "callback": lambda: LBFGSB().minimize(square, START, callback=failing),
    "constraint": lambda: SLSQP().minimize(
        square, START, constraints={"type": "ineq", "fun": failing}
    ),
    "threads": lambda: by_threads(failing),
    "map": lambda: LBFGSB().minimize(failing, START, workers=map),
    "progress": lambda: LBFGSB().minimize(failing, START, progress=True),
    "noise": lambda: LBFGSB(noise=0.1).minimize(late(), START),
    "face": lambda: minimize_lbfgsb(failing, START),
    "the function": lambda: minimize(failing, START),
    "SciPy's minimize": lambda: scipy.optimize.minimize(failing, START, method=LBFGSB()),
    "many": lambda: LBFGSB().minimize_many(late(), [START], on_error="raise"),
    "multistart": lambda: multistart(failing, [(-1, 1)] * 2, budget=50),
    "race": lambda: race([LBFGSB()], failing, START),
    "asked": lambda: asked(failing),
}


def own_of(error):
    frames = traceback.extract_tb(error.__traceback__)
    return frames, [frame for frame in frames if frame.filename.startswith(PACKAGE)]


@pytest.mark.parametrize("name", RUNS)
def test_the_users_frames_come_after_six_of_the_package_at_most(name):
    if name == "progress":
        pytest.importorskip("tqdm", reason="needs the extra: progress")
    with pytest.raises(MineError) as info:
        RUNS[name]()
    frames, own = own_of(info.value)
    assert 1 <= len(own) <= 6
    assert frames[-1].name == "helper"
    first = frames.index(own[-1]) + 1
    assert all(frame.filename == __file__ for frame in frames[first:])


def test_with_a_journal_too(tmp_path):
    with pytest.raises(MineError) as info:
        LBFGSB().minimize(failing, START, journal=tmp_path / "run.jsonl")
    assert len(own_of(info.value)[1]) <= 6


def test_an_error_of_the_packages_own_shows_where_it_was_raised():
    with pytest.raises(InvalidValueError) as info:
        LBFGSB().minimize(lambda x: "text", START)
    frames, own = own_of(info.value)
    assert frames[-1] == own[-1]
    assert len(own) <= 6


def test_pytest_hides_the_packages_frames():
    with pytest.raises(MineError) as info:
        LBFGSB().minimize(failing, START)
    shown = [entry for entry in info.traceback if not entry.ishidden(info)]
    assert all(str(entry.path) == __file__ for entry in shown)
    assert shown[-1].name == "helper"


def test_what_may_be_a_bug_of_the_package_is_shown_whole(monkeypatch):
    def broken(self, run):
        return [][0]

    monkeypatch.setattr(LBFGSB, "_solve", broken)
    with pytest.raises(IndexError) as info:
        LBFGSB().minimize(square, START)
    assert traceback.extract_tb(info.value.__traceback__)[-1].name == "broken"


def test_an_error_from_a_process_has_its_place_there_in_a_note():
    with pytest.raises(ZeroDivisionError) as info:
        LBFGSB().minimize(dividing, START, workers=2)
    assert len(own_of(info.value)[1]) <= 6
    (note,) = [note for note in info.value.__notes__ if note.startswith("In the worker:")]
    assert "in dividing" in note
    assert PACKAGE not in note


def dividing(x):
    return 1 / int(x[0] * 0)
