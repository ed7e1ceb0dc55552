"""The log beside a database, run.db-wal: merged often, read without a change, missed if absent."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from scipy.optimize import rosen

import optimizers
from optimizers import NELDER_MEAD, Journal, JournalError, OptimizerWarning, load
from tests.journal import old_files

ROOT = Path(optimizers.__file__).parent.parent
START = [-1.2, 1.0] * 5
LACKS = "last records .* missing"
KILLED = """
import os, sys
from scipy.optimize import rosen
from optimizers import NELDER_MEAD, Journal

evaluations, end = 0, int(sys.argv[2])

def fun(x):
    global evaluations
    evaluations += 1
    if evaluations > end:
        os._exit(0)  # nothing is closed
    return rosen(x)

NELDER_MEAD(maxfev=1300).minimize(fun, [-1.2, 1.0] * 5, journal=Journal(sys.argv[1], "never"))
"""


def state(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def killed(path, count):
    """Leave the journal of a run that was killed after so many evaluations."""
    subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(count)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return killed(tmp_path_factory.mktemp("short") / "run.db", 40)


def resumed(path):
    calls = []

    def fun(x):
        calls.append(x)
        return rosen(x)

    optimizer = NELDER_MEAD(maxfev=1300, journal_check="off")
    result = optimizer.minimize(fun, START, journal=Journal(path, "never"))
    return result, len(calls)


def test_a_killed_run_is_read_without_a_change_and_resumed(tmp_path, short):
    for file in short.parent.iterdir():
        shutil.copy2(file, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["run.db", "run.db-wal"]
    before = state(tmp_path)
    assert len(load(tmp_path / "run.db").records) == 40
    assert state(tmp_path) == before
    result, calls = resumed(tmp_path / "run.db")
    assert calls == result.nfev - 40
    assert os.listdir(tmp_path) == ["run.db"]
    before = state(tmp_path)
    assert load(tmp_path / "run.db").result.fun == result.fun
    assert state(tmp_path) == before


def test_a_copy_without_the_log_says_so(tmp_path, short):
    path = tmp_path / "copy.db"
    shutil.copy(short, path)
    with pytest.warns(OptimizerWarning, match=r"they were in .*copy.db-wal, which does not exist"):
        kept = len(load(path).records)
    assert kept < 40
    with pytest.warns(OptimizerWarning, match=r"they were in .*copy.db-wal, which does not exist"):
        result, calls = resumed(path)
    assert calls == result.nfev - kept
    assert resumed(path)[1] == 0  # without a word: all is there now


def test_a_link_and_a_name_of_any_letters_find_the_log(tmp_path, short):
    path, link = tmp_path / "a ?#%20;é&=.db", tmp_path / "link.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{short}{suffix}", f"{path}{suffix}")
    link.symlink_to(path)
    for name in (path, link):
        assert len(load(name).records) == 40
    result, calls = resumed(link)
    assert calls == result.nfev - 40
    assert resumed(path)[1] == 0
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, link.name])


def test_the_log_is_merged_often(tmp_path):
    killed(tmp_path / "run.db", 1200)
    (tmp_path / "run.db-wal").unlink()
    with pytest.warns(OptimizerWarning, match=LACKS):
        assert 1000 <= len(load(tmp_path / "run.db").records) < 1200


def test_no_flipped_bit_in_the_log_loses_records_without_a_word(tmp_path, short):
    path, log = tmp_path / "run.db", Path(f"{short}-wal")
    data, rng = log.read_bytes(), random.Random(0)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        shutil.copy(short, path)
        Path(f"{path}-wal").write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                count = len(load(path).records)
            except JournalError:
                continue
        assert count == 40 or "last records" in str(caught[0].message)
    shutil.copy(short, path)
    Path(f"{path}-wal").write_bytes(data[:-100])
    with pytest.warns(OptimizerWarning, match=LACKS):
        assert resumed(path)[0].nfev == 1300


@pytest.mark.parametrize("name", ["jac_whole.db", "jac_cut.db"])
def test_what_earlier_versions_left_is_read_without_a_change_or_a_word(tmp_path, name):
    path = tmp_path / name
    shutil.copy(old_files.FOLDER / name, path)
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()
    before = state(tmp_path)
    assert load(path).records
    assert state(tmp_path) == before
