"""A journal's name that is another file's: looked at before anything in it is changed."""

import os
import sqlite3

import pytest
from scipy.optimize import rosen

from optimizers import LBFGSB, TNC, JournalError, JournalMismatchError, load

START = [-1.2, 1.0, 0.5]


def state(folder):
    """Return what is in a folder: the files' bytes and times."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def attempts(path):
    yield lambda: LBFGSB().minimize(rosen, START, journal=path)
    yield lambda: LBFGSB().stepper(START, journal=path).result()
    yield lambda: load(path)


def assert_left_alone(path, match="is not a journal of a run, and was not changed"):
    before = state(path.parent)
    for attempt in attempts(path):
        with pytest.raises(JournalError, match=match):
            attempt()
        assert state(path.parent) == before


OTHERS = {
    "csv": b"a,b\n1,2\n3,4",
    "script": b"import numpy\nprint(1)",
    "one line": b"no line end",
    "JSON": b'{"a": 1}\n{"b": 2}',
    "JSON with that word": b'{"journal":"Nature","created":"1869-11-04"}',
    "two lines with that word": b'{"journal":"Nature"}\n{"journal":"Science"}',
    "lists": b"[1, 2]\n[3",
    "UTF-16": "a,b\n1,2".encode("utf-16"),
    "bytes": bytes(range(256)) * 9,
    "zeros": bytes(100),
    "SQLite": b"SQLite format 3\0" + bytes(100),
}


@pytest.mark.parametrize("name", ["data.csv", "run.jsonl", "run.db"])
@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_kind_is_not_touched(tmp_path, name, kind):
    path = tmp_path / name
    path.write_bytes(OTHERS[kind])
    os.utime(path, (1e9, 1e9))
    assert_left_alone(path)


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_a_journal_of_another_run_is_not_touched(tmp_path, name):
    path = tmp_path / name
    LBFGSB(maxfun=9).minimize(rosen, START, journal=path)
    if name == "run.jsonl":
        with path.open("ab") as file:
            file.write(b'{"seq":10')  # torn, but not that run's to mend
    before = state(tmp_path)
    with pytest.raises(JournalMismatchError, match="optimizer is 'LBFGSB'"):
        TNC().minimize(rosen, START, journal=path)
    assert state(tmp_path) == before


SCHEMES = {
    "tables": "CREATE TABLE mine (a)",
    "entries of its own": "CREATE TABLE entries (title, body)",
    "the same columns": "CREATE TABLE entries (number INTEGER PRIMARY KEY, entry TEXT NOT NULL);"
    "INSERT INTO entries (entry) VALUES ('Dear diary')",
    "a mark": "PRAGMA application_id = 252006673; CREATE TABLE entries (a)",
    "a mark alone": "PRAGMA application_id = 252006673",
}


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_database_of_another_kind_is_not_touched(tmp_path, scheme, mode):
    path = tmp_path / "mine.db"
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.executescript(SCHEMES[scheme])
    database.close()
    os.utime(path, (1e9, 1e9))
    assert_left_alone(path)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_database_in_use_elsewhere_is_not_touched(tmp_path, mode):
    path = tmp_path / "mine.db"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.execute("CREATE TABLE mine (a)")
    # Who has it open may keep others from looking, in this process: it is refused all the same.
    assert_left_alone(path, "is not a journal of a run|is being written by another run")
    database.execute("BEGIN EXCLUSIVE")
    database.execute("INSERT INTO mine VALUES (1)")
    for attempt in attempts(path):
        with pytest.raises(JournalError):
            attempt()
    database.execute("COMMIT")
    assert database.execute("SELECT a FROM mine").fetchall() == [(1,)]
    assert database.execute("PRAGMA journal_mode").fetchone() == (mode.lower(),)
    database.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["pipe", "pipe.db"])
def test_what_is_not_a_regular_file_is_refused(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    for known in (path, "/dev/null", tmp_path):
        for attempt in attempts(known):
            with pytest.raises(JournalError, match="is not a regular file"):
                attempt()


@pytest.mark.parametrize("name", ["one.db", "one.jsonl"])
def test_a_file_of_one_byte_is_not_an_empty_journal(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"5")
    for attempt in attempts(path):
        with pytest.raises(JournalError, match="is not a journal"):
            attempt()
    assert path.read_bytes() == b"5"
