"""A stepper with a journal: each part that is told is recorded when it is told."""

import random

import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import BFGS, LBFGSB, SLSQP, TNC, Journal, JournalError, StopReason, TellData, load
from optimizers.asktell import drivers
from optimizers.journal.jsonl import JsonLines, not_written

START = [-0.8, 1.3, 0.4]


@pytest.fixture(params=["thread", "greenlet"], autouse=True)
def kind(request, monkeypatch):
    """Both ways of putting a solver aside; the second where greenlet is installed."""
    if request.param == "greenlet":
        pytest.importorskip("greenlet", reason="needs the extra: greenlet")
    else:
        monkeypatch.setattr(drivers, "find_spec", lambda name: None)


def tell_parts(stepper, rng, most=None, fun=rosen):
    """Answer row by row in any order, at most so many rows; return how many were."""
    count = 0
    for ask in stepper:
        rows = rng.sample(range(len(ask.x_fun)), len(ask.x_fun))
        for row in rows:
            if count == most:
                return count
            assert stepper.ask() is ask
            stepper.tell(ask, TellData(fun(ask.x_fun[row]), rows=[row]))
            count += 1
    return count


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_a_part_is_recorded_when_it_is_told(tmp_path, name):
    path = tmp_path / name
    stepper = LBFGSB().stepper(START, journal=path)
    ask = stepper.ask()
    for count, row in enumerate([2, 0], 1):
        stepper.tell(ask, TellData(float(row), rows=[row]))
        if name == "run.jsonl":  # a database can be read afterwards
            assert len(load(path).values) == count
    stepper.close()
    recording = load(path)
    np.testing.assert_array_equal(recording.points, ask.x_fun[[2, 0]])
    assert recording.values.tolist() == [2.0, 0.0]
    assert recording.result.nfev == 2
    with LBFGSB().stepper(START, journal=path) as again:
        np.testing.assert_array_equal(again.ask().x_fun, ask.x_fun[[1, 3]])


@pytest.mark.parametrize("cls", [LBFGSB, TNC, SLSQP, BFGS])
@pytest.mark.parametrize("is_closed", [True, False])
def test_a_run_goes_on_from_each_row(tmp_path, cls, is_closed):
    expected = cls(maxfun=60).stepper(START)
    total = tell_parts(expected, random.Random(0))
    for kept in range(0, total, 3):
        path = tmp_path / f"{kept}.jsonl"
        rng = random.Random(kept)
        with cls(maxfun=60).stepper(START, journal=Journal(path, "never")) as stepper:
            assert tell_parts(stepper, rng, kept) == kept
            text = path.read_text() if kept else ""
        if not is_closed:
            path.write_text(text)  # as if it had been killed there
        with cls(maxfun=60).stepper(START, journal=Journal(path, "never")) as stepper:
            assert tell_parts(stepper, rng) == total - kept
            result = stepper.result()
        for name in ("nfev", "fun", "nit", "message", "stop"):
            assert result[name] == expected.result()[name], name
        assert np.array_equal(result.x, expected.result().x)
        seqs = [record.seq for record in load(path).records]
        assert sorted(seqs) == list(range(total))


@pytest.mark.parametrize("is_reversed", [True, False])
@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize("cls", [LBFGSB, TNC, SLSQP])
def test_rejected_rows_are_rejected_again(tmp_path, cls, row, is_reversed):
    def run(path, most):
        with cls(on_failure="reject").stepper(
            START, journal=path and Journal(path, "never")
        ) as stepper:
            asked = 0
            while not stepper.done and stepper.so_far().nfev < most:
                ask = stepper.ask()
                is_bad = stepper.state.nfev in (8, 20)
                values = [rosen(x) for x in ask.x_fun]
                if is_bad and len(values) > row:
                    values[row] = float("nan")
                rows = range(len(values))
                for i in reversed(rows) if is_reversed else rows:
                    stepper.tell(ask, TellData(values[i], rows=[i]))
                asked += len(values)
        return stepper.result(), asked

    expected, total = run(None, np.inf)
    assert expected.nfev == total
    for most in (9, 17, 30):
        path = tmp_path / f"{most}.jsonl"
        _, before = run(path, most)
        result, after = run(path, np.inf)
        assert before + after == total
        assert result.nfev == expected.nfev
        assert result.fun == expected.fun


def test_a_full_disk_ends_the_run_with_all_that_was_told(tmp_path, monkeypatch):
    path = tmp_path / "run.jsonl"
    stepper = LBFGSB().stepper(START, journal=path)
    ask = stepper.ask()
    stepper.tell(ask, TellData(-3.0, rows=[3]))

    def append(self, text):
        raise not_written(self.path, OSError(28, "No space left on device"))

    with monkeypatch.context() as patch:
        patch.setattr(JsonLines, "append", append)
        stepper.tell(ask, TellData(-7.0, rows=[1]))
    assert stepper.done
    with pytest.raises(JournalError, match="No space left") as caught:
        stepper.result()
    result = caught.value.optimizer_result
    assert result.nfev == 2
    assert result.fun == -7.0
    assert np.array_equal(result.x, ask.x_fun[1])
    assert result.stop is StopReason.FAILED
    assert load(path).values.tolist() == [-3.0]


def test_a_failure_is_told_of_what_is_missing(tmp_path):
    path = tmp_path / "run.jsonl"
    stepper = LBFGSB().stepper(START, journal=path)
    ask = stepper.ask()
    stepper.tell(ask, TellData(np.float32(5.0), rows=[2]))
    stepper.tell(ask, ZeroDivisionError("no"))
    with pytest.raises(ZeroDivisionError):
        stepper.result()
    records = load(path).records
    assert [record.seq for record in records] == [2, 0, 1, 3]
    assert [record.failure for record in records[1:]] == ["ZeroDivisionError: no"] * 3
    assert records[0].precision == np.finfo(np.float32).eps
    # Nothing but what failed is asked again.
    with LBFGSB().stepper(START, journal=path) as again:
        np.testing.assert_array_equal(again.ask().x_fun, ask.x_fun[[0, 1, 3]])
