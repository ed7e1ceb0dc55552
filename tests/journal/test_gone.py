"""A journal that goes away while a run writes it is noticed, and one that is no file is refused."""

import os
import time

import pytest
from scipy.optimize import rosen

from optimizers import LBFGSB, NELDER_MEAD, JournalError, load, multistart

START = [-1.2, 1.0]


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
@pytest.mark.parametrize(("how", "words"), [("delete", "deleted"), ("replace", "replaced or cut")])
def test_a_journal_that_goes_away_ends_the_run_with_its_result(tmp_path, name, how, words):
    path, calls = tmp_path / name, []

    def fun(x):
        calls.append(x)
        if len(calls) == 30:
            path.unlink()
            if how == "replace":
                path.touch()
        if len(calls) == 31:
            time.sleep(1.1)  # it is looked at once a second
        return rosen(x)

    with pytest.raises(JournalError, match=f"was {words} while the run wrote it") as error:
        NELDER_MEAD().minimize(fun, START, journal=path)
    assert 30 < len(calls) < 40
    assert error.value.optimizer_result.nfev == len(calls)
    assert error.value.optimizer_result.best.fun == min(map(rosen, calls))


def test_a_short_run_notices_it_at_its_end(tmp_path):
    path = tmp_path / "run.jsonl"

    def fun(x):
        path.unlink(missing_ok=True)
        return rosen(x)

    with pytest.raises(JournalError, match="was deleted while the run wrote it") as error:
        LBFGSB().minimize(fun, START, journal=path)
    assert error.value.optimizer_result.success
    with pytest.raises(JournalError, match="was deleted while the run wrote it"):
        multistart(fun, [(-2, 2)] * 2, 50, journal=path)


def test_a_file_that_is_cut_is_noticed_also_when_it_grows_again(tmp_path):
    path, calls = tmp_path / "run.jsonl", []

    def fun(x):
        calls.append(x)
        if len(calls) == 9:  # its latest lines
            os.truncate(path, path.read_bytes().index(b'\n{"seq":4') + 1)
        return rosen(x)

    with pytest.raises(JournalError, match="was replaced or cut while the run wrote it") as error:
        NELDER_MEAD().minimize(fun, START, journal=path)
    assert len(calls) > 40
    assert error.value.optimizer_result.success
    with pytest.raises(JournalError, match=r"its line \d+ is .* as line \d+: others are missing"):
        load(path)


def test_what_is_no_file_is_refused(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/null", tmp_path):
        for call in (
            lambda path=path: LBFGSB().minimize(rosen, START, journal=path),
            lambda path=path: LBFGSB().minimize_many(rosen, [START], journal=path),
            lambda path=path: load(path),
        ):
            with pytest.raises(JournalError, match=r"is not a|cannot be"):
                call()
