"""Where a journal's lines are kept: mended, locked, and what becomes of a run on a full disk."""

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import rosen

import optimizers
from optimizers import (
    LBFGSB,
    Journal,
    JournalError,
    JournalLockedError,
    OptimizerWarning,
    OptionError,
)
from optimizers.journal.jsonl import JsonLines, not_written
from optimizers.journal.records import Record
from optimizers.journal.sqlite import SqliteLines

START = [-1.2, 1.0, 0.5]
ROOT = Path(optimizers.__file__).parent.parent
floats = st.floats(width=64)


def in_a_new_process(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@given(
    st.integers(0),
    st.sampled_from(["fun", "jac", "both", "hess", "hessp"]),
    arrays.arrays(st.sampled_from([np.float64, np.complex128]), st.integers(0, 5)),
    st.one_of(st.none(), floats, st.complex_numbers()),
    st.one_of(st.none(), arrays.arrays(np.float64, 3)),
    st.one_of(st.none(), st.text()),
    st.text(),
    st.integers(-1, 5),
    st.booleans(),
)
def test_a_record_comes_back_to_the_last_bit(seq, kind, x, fun, jac, failure, worker, ask, is_late):
    record = Record(seq, kind, x, fun, jac, failure, None, worker, 0.0, ask, ask, is_late)
    text = record.text()
    assert "\n" not in text
    entry = json.loads(text, parse_constant=pytest.fail)  # JSON has no NaN
    again = Record.from_entry(entry)
    assert again.x.dtype == x.dtype
    assert again.x.tobytes() == x.tobytes()
    assert (again.jac is None) == (jac is None)
    if jac is not None:
        assert again.jac.tobytes() == jac.tobytes()
    assert repr(again.fun) == repr(fun)
    names = ("seq", "kind", "failure", "worker", "is_late", "is_failed")
    assert all(getattr(again, name) == getattr(record, name) for name in names)
    assert (again.ask, again.part) == ((ask, ask) if ask >= 0 else (seq, seq))


# A write that was cut short.


def test_a_line_torn_at_any_byte_is_mended(tmp_path):
    path = tmp_path / "run.jsonl"
    expected = LBFGSB(maxfun=9).minimize(rosen, START, journal=path)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 11  # the header and the end besides
    whole, last = b"".join(lines[:9]), lines[9]
    for size in range(1, len(last)):
        path.write_bytes(whole + last[:size])
        assert len(optimizers.load(path).records) == 8
        with pytest.warns(OptimizerWarning, match=f"its last {size} bytes were removed"):
            result = LBFGSB(maxfun=9).minimize(rosen, START, journal=path)
        assert (result.fun, result.nfev) == (expected.fun, 9)
        records = optimizers.load(path).records
        assert [record.seq for record in records] == list(range(9))


def test_a_header_torn_at_any_byte_is_written_again(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=3).minimize(rosen, START, journal=path)
    header = path.read_bytes().splitlines()[0]
    for size in range(len(header)):
        path.write_bytes(header[:size])
        if size:
            with pytest.warns(OptimizerWarning, match="were removed"):
                LBFGSB(maxfun=3).minimize(rosen, START, journal=path)
        else:
            LBFGSB(maxfun=3).minimize(rosen, START, journal=path)
        assert len(optimizers.load(path).records) == 1


def test_zeros_that_a_failed_machine_left_behind_are_cut_off(tmp_path):
    path = tmp_path / "run.jsonl"
    expected = LBFGSB().minimize(rosen, START, journal=path)
    with path.open("ab") as file:
        file.write(bytes(4096))
    with pytest.warns(OptimizerWarning, match="4096 bytes"):
        assert LBFGSB().minimize(rosen, START, journal=path).fun == expected.fun


@pytest.mark.parametrize("name", ["notes.jsonl", "notes.db"])
@pytest.mark.parametrize("text", ["no journal\n", "no line end", '{"a": 1}\n', "\xff\n", "[]\n"])
def test_a_file_that_is_something_else_is_left_alone(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="latin-1")
    for attempt in (lambda: LBFGSB().minimize(rosen, START, journal=path), lambda: load(path)):
        with pytest.raises(JournalError, match="is not a journal of a run, and was not changed"):
            attempt()
        assert path.read_text(encoding="latin-1") == text


load = optimizers.load


def test_another_database_is_left_alone(tmp_path):
    path = tmp_path / "mine.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    with pytest.raises(JournalError, match="is not a journal"):
        LBFGSB().minimize(rosen, START, journal=path)


def test_a_line_in_the_middle_that_is_spoilt_is_named(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB().minimize(rosen, START, journal=path)
    lines = path.read_text().splitlines()
    lines[4] = lines[4][:20]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(JournalError, match="its line 5 is"):
        LBFGSB().minimize(rosen, START, journal=path)


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, name):
    missing = tmp_path / "no folder" / name
    with pytest.raises(JournalError, match="no folder"):
        LBFGSB().minimize(rosen, START, journal=missing)
    with pytest.raises(JournalError, match="cannot be read"):
        optimizers.load(missing)
    empty = tmp_path / name
    empty.touch()
    with pytest.raises(JournalError, match=r"no run has begun|is not a journal"):
        optimizers.load(empty)


@pytest.mark.parametrize("journal", [3, "", b"run", ["run"]])
def test_a_journal_that_is_no_path_is_refused_at_once(journal):
    with pytest.raises(OptionError, match="expected the path of a file"):
        LBFGSB(journal=journal)


@pytest.mark.parametrize("fsync", ["sometimes", -1, None, True, float("nan")])
def test_how_often_to_sync_must_be_known(fsync):
    with pytest.raises(OptionError, match="expected 'always', 'never' or a number"):
        Journal("run.jsonl", fsync=fsync)


# Two that write.

RUN = """
import sys, time
from optimizers import LBFGSB
def fun(x):
    print("evaluating", flush=True)
    time.sleep(float(sys.argv[2]))
    return float(x @ x)
LBFGSB().minimize(fun, [1.0, 2.0], journal=sys.argv[1])
"""


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_two_processes_cannot_write_one_journal(tmp_path, name):
    path = tmp_path / name
    first = in_a_new_process(RUN, path, 600)
    try:
        assert first.stdout.readline() == "evaluating\n"
        second = in_a_new_process(RUN, path, 0)
        out, error = second.communicate()
        assert "JournalLockedError" in error
        assert "is being written by another run" in error
        assert out == ""  # nothing was evaluated
        with pytest.raises(JournalLockedError):
            LBFGSB().minimize(lambda x: x @ x, [1.0, 2.0], journal=path, journal_check="off")
        if name == "run.jsonl":
            assert optimizers.load(path).records == []  # reading is free
        else:
            with pytest.raises(JournalLockedError):
                optimizers.load(path)
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    LBFGSB().minimize(
        lambda x: x @ x, [1.0, 2.0], journal=path, journal_check="off"
    )  # its lock died with it


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_two_threads_cannot_write_one_journal(tmp_path, name):
    path, inside, done = tmp_path / name, threading.Event(), threading.Event()

    def fun(x):
        inside.set()
        done.wait()
        return float(x @ x)

    thread = threading.Thread(target=lambda: LBFGSB().minimize(fun, START, journal=path))
    thread.start()
    inside.wait()
    with pytest.raises(JournalLockedError):
        LBFGSB().minimize(fun, START, journal=path)
    done.set()
    thread.join()
    LBFGSB().minimize(fun, START, journal=path)


FORKED = """
import os, sys, time
from optimizers import LBFGSB
def fun(x):
    if os.fork() == 0:  # the child says so: by then it has let go of the lock
        os.write(1, b"forked\\n")
        os.close(1)
        os.close(2)
    time.sleep(600)
LBFGSB().minimize(fun, [1.0, 2.0], journal=sys.argv[1])
"""


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_a_worker_that_outlives_its_run_holds_no_lock(tmp_path, name):
    path = tmp_path / name
    first = subprocess.Popen(
        [sys.executable, "-c", FORKED, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert first.stdout.readline() == "forked\n"
        first.kill()
        first.wait()
        LBFGSB().minimize(lambda x: x @ x, [1.0, 2.0], journal=path, journal_check="off")
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.stdout.close()


# A full disk.

FULL = """
import resource, sys
from optimizers import LBFGSB, JournalError
from scipy.optimize import rosen
limit = int(sys.argv[2])
kwargs = eval(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
evaluated, lowest = 0, float("inf")
def fun(x):
    global evaluated, lowest
    evaluated, lowest = evaluated + 1, min(lowest, rosen(x))
    return rosen(x)
try:
    LBFGSB().minimize(fun, [-1.2, 1.0, 0.5], journal=sys.argv[1], **kwargs)
except JournalError as error:
    print(type(error).__name__, error)
    result = error.optimizer_result
    print(evaluated, lowest, result.nfev, result.fun, result.stop.name)
"""


@pytest.mark.parametrize("kwargs", ["{}", "{'on_failure': 'reject'}", "{'retries': 1}"])
@pytest.mark.parametrize(("name", "limit"), [("run.jsonl", 6000), ("run.db", 60000)])
def test_a_full_disk_ends_the_run_with_its_result(tmp_path, name, limit, kwargs):
    path = tmp_path / name
    process = in_a_new_process(FULL, path, limit, kwargs)
    out, error = process.communicate()
    assert not error
    words, figures = out.splitlines()
    assert words.startswith(f"JournalError The journal {path} cannot be written")
    evaluated, lowest, nfev, fun, stop = figures.split()
    recording = optimizers.load(path)
    # One that could not be recorded was evaluated, and may be the best; or it was the line of an
    # iteration for which there was no room.
    assert int(evaluated) == int(nfev)
    assert int(nfev) - len(recording.records) in (0, 1)
    assert float(fun) == float(lowest) <= recording.values.min()
    assert stop == "FAILED"
    # With room again, the run goes on.
    calls = []

    def counted(x):
        calls.append(x)
        return rosen(x)

    result = LBFGSB().minimize(counted, START, journal=path, journal_check="off", **eval(kwargs))
    assert result.success
    assert len(calls) == result.nfev - len(recording.records)


@pytest.mark.parametrize("workers", [None, "vectorized"])
@pytest.mark.parametrize("jac", [None, True])
def test_the_best_point_is_returned_though_it_could_not_be_recorded(
    tmp_path, monkeypatch, workers, jac
):
    def refuse(self, text):
        if '"f":-7.0' in text:
            raise not_written(self.path, OSError(28, "No space left on device"))
        append(self, text)

    def best(points):
        counted.append(points)
        values = np.array([rosen(x) for x in np.atleast_2d(points)])
        if len(counted) == 3:
            values[-1] = -7.0
        values = values if workers else float(values[0])
        return values if jac is None else (values, np.ones_like(points))

    append, counted = JsonLines.append, []
    monkeypatch.setattr(JsonLines, "append", refuse)
    with pytest.raises(JournalError, match="No space left on device") as caught:
        LBFGSB(workers=workers).minimize(best, START, jac, journal=tmp_path / "run.jsonl")
    result = caught.value.optimizer_result
    assert result.fun == -7.0
    assert result.nfev == sum(len(np.atleast_2d(points)) for points in counted)
    assert np.array_equal(result.x, np.atleast_2d(counted[-1])[-1])


def test_a_disk_that_is_full_at_the_very_end_does_not_cost_the_result(tmp_path, monkeypatch):
    write = os.write

    def full(file, data):
        if data.startswith(b'{"end"'):
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(JournalError, match="No space left on device") as caught:
        LBFGSB().minimize(rosen, START, journal=tmp_path / "run.jsonl")
    assert caught.value.optimizer_result.success
    monkeypatch.undo()
    assert LBFGSB().minimize(rosen, START, journal=tmp_path / "run.jsonl").success


def test_an_error_of_the_users_is_not_hidden_by_a_full_disk(tmp_path, monkeypatch):
    write = os.write

    def fun(x):
        raise ZeroDivisionError("mine")

    def full(file, data):
        if data.startswith(b'{"end"'):
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ZeroDivisionError) as caught:
        LBFGSB().minimize(fun, START, journal=tmp_path / "run.jsonl")
    assert any("No space left" in note for note in caught.value.__notes__)


def test_a_write_that_the_system_cuts_short_is_made_whole(tmp_path, monkeypatch):
    write, sizes = os.write, []

    def short(file, data):
        if len(data) > 50:
            sizes.append(len(data))
            return write(file, data[:50])
        return write(file, data)

    path = tmp_path / "run.jsonl"
    monkeypatch.setattr(os, "write", short)
    LBFGSB().minimize(rosen, START, journal=path)
    assert sizes
    monkeypatch.undo()
    assert optimizers.load(path).is_finished


# What is forced to the disk.


@pytest.mark.parametrize(("fsync", "least", "most"), [("always", 5, 9), ("never", 0, 0)])
def test_records_are_forced_to_the_disk_as_often_as_said(tmp_path, monkeypatch, fsync, least, most):
    count, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (count.append(file), real(file)))
    journal = Journal(tmp_path / "run.jsonl", fsync=fsync)
    LBFGSB(maxfun=5).minimize(rosen, START, journal=journal)
    assert least <= len(count) <= most


@pytest.mark.parametrize("kind", [JsonLines, SqliteLines])
def test_once_in_so_many_seconds(tmp_path, monkeypatch, kind):
    now, text = [100.0], '{"journal":1}'
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines = kind(str(tmp_path / "lines"), 10.0)
    lines.begin()
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(now[0]), real(file)))
    for now[0] in (101.0, 109.0, 110.0, 111.0, 121.0, 122.0):
        lines.append(text)
        if kind is SqliteLines and lines._synced == now[0]:
            synced.append(now[0])
    lines.close()
    assert synced[:2] == [110.0, 121.0]
    lines = kind(str(tmp_path / "lines"), 10.0)
    assert [json.loads(line)["journal"] for line in lines.lines] == [1] * 6
    lines.close()


# File systems that cannot lock, or cannot force what is written to the disk.


def refusing(number):
    def refuse(*given):
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    "number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO, errno.EINVAL]
)
def test_a_file_system_without_locks_is_no_other_run(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", refusing(number))
    path = tmp_path / "run.jsonl"
    for maxfun in (9, 15000):
        with pytest.warns(OptimizerWarning) as caught:
            result = LBFGSB(maxfun=maxfun).minimize(rosen, START, journal=path)
        (words,) = [str(warning.message) for warning in caught]
        assert "is not locked" in words
        assert os.strerror(number) in words
    assert result.success


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_a_lock_that_another_has_is_one(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", refusing(number))
    with pytest.raises(JournalLockedError, match="is being written by another run"):
        LBFGSB().minimize(rosen, START, journal=tmp_path / "run.jsonl")


def test_a_database_where_no_file_can_be_locked_is_refused_with_the_systems_words(
    tmp_path, monkeypatch
):
    fcntl, path = pytest.importorskip("fcntl"), tmp_path / "run.db"
    with sqlite3.connect(path, isolation_level="EXCLUSIVE") as database:
        database.execute("CREATE TABLE a (b)")
        database.execute("INSERT INTO a VALUES (1)")  # SQLite takes no lock for a lock of another
        with pytest.raises(JournalLockedError):
            optimizers.load(path)
        monkeypatch.setattr(fcntl, "lockf", refusing(errno.ENOLCK))
        for attempt in (lambda: LBFGSB().minimize(rosen, START, journal=path), lambda: load(path)):
            with pytest.raises(JournalError, match=r"not support \(No locks available") as caught:
                attempt()
            assert not isinstance(caught.value, JournalLockedError)
    database.close()


@pytest.mark.parametrize("fsync", ["always", 0.0, 1.0])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_sync_is_one_warning(tmp_path, monkeypatch, fsync, number):
    monkeypatch.setattr(os, "fsync", refusing(number))
    path = tmp_path / "run.jsonl"
    with pytest.warns(OptimizerWarning) as caught:
        result = LBFGSB().minimize(rosen, START, journal=Journal(path, fsync))
    (words,) = [str(warning.message) for warning in caught]
    assert "cannot be forced to the disk" in words
    assert os.strerror(number) in words
    assert result.success
    assert optimizers.load(path).is_finished


def test_a_disk_that_fails_is_not_one_without_room(tmp_path, monkeypatch):
    path = tmp_path / "run.jsonl"
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    with pytest.raises(
        JournalError, match=r"Input/output error.* fix the cause, and run"
    ) as caught:
        LBFGSB().minimize(rosen, START, journal=Journal(path, "always"))
    assert "make room" not in str(caught.value)
    # At the end, when all is written, it costs nothing of the result.
    path.unlink()
    with pytest.warns(OptimizerWarning, match="may not be on the disk: Input/output error"):
        result = LBFGSB().minimize(rosen, START, journal=Journal(path, 600.0))
    assert result.success


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_without_room_asks_for_room(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "write", refusing(number))
    with pytest.raises(JournalError, match="free some space, and run the same again"):
        LBFGSB().minimize(rosen, START, journal=tmp_path / "run.jsonl")
