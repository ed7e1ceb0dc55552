"""Journals of residuals: a run that is cut off anywhere, or killed, goes on to the last bit."""

import importlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import optimizers
from optimizers import COBYQA, LBFGSB, TRF, JournalMismatchError, load, residuals, vectorized
from optimizers.cli.main import main
from optimizers.errors import JournalError
from tests.fitting.test_form import START, both, decay, decays, jacobian
from tests.journal.test_resume import assert_same, check_cuts, noted


def run(form, counted, journal, iterates):
    settings = {"callback": lambda xk: iterates.append(xk.copy()), "journal": journal}
    jac = {"cs": "cs", "given": noted(jacobian, counted), "joint": True}.get(form)
    fun = noted(both if form == "joint" else decay, counted)
    if form == "sparse":
        jac = noted(lambda x: csr_array(jacobian(x)), counted)
    if form == "threads":
        settings["workers"] = 2
        fun = decay
    return LBFGSB().minimize(residuals(fun, "soft_l1", 0.2), START, jac, **settings)


@pytest.mark.parametrize("form", ["differences", "cs", "given", "joint", "sparse"])
def test_a_run_goes_on_from_each_evaluation(tmp_path, form):
    def minimize(counted, journal, iterates):
        result = run(form, counted, journal, iterates)
        if form == "sparse":
            result.jacobian = result.jacobian.toarray()
        return result

    check_cuts(tmp_path, minimize, every=3)


def test_stacks_and_methods_without_gradients_go_on(tmp_path):
    def stacks(counted, journal, iterates):
        def fun(points):
            counted.extend(points.copy())
            return decays(points)

        return LBFGSB().minimize(residuals(vectorized(fun)), START, journal=journal)

    def values(counted, journal, iterates):
        return COBYQA().minimize(residuals(noted(decay, counted)), START, journal=journal)

    for minimize in (stacks, values):
        folder = tmp_path / minimize.__name__
        folder.mkdir()
        check_cuts(folder, minimize, every=7)


def test_an_operator_is_asked_for_again(tmp_path):
    def minimize():
        calls = []
        fun = residuals(noted(decay, calls))
        jac = lambda x: aslinearoperator(jacobian(x))  # noqa: E731
        return LBFGSB().minimize(fun, START, jac, journal=tmp_path / "run.jsonl"), calls

    first, calls = minimize()
    second, again = minimize()
    assert calls
    assert not again
    np.testing.assert_array_equal(first.x, second.x)


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
def test_what_was_recorded_can_be_read(tmp_path, name):
    path = tmp_path / name
    result = LBFGSB().minimize(residuals(decay), START, journal=path)
    recording = load(path)
    assert recording.residuals.shape == (result.nfev, 20)
    np.testing.assert_array_equal(recording.residuals, [decay(x) for x in recording.points])
    np.testing.assert_array_equal(recording.result.residuals, result.residuals)
    np.testing.assert_allclose(recording.values, 0.5 * (recording.residuals**2).sum(axis=1))
    if name == "run.db":
        with sqlite3.connect(path) as database:
            rows = database.execute("SELECT r_base64 FROM evaluations").fetchall()
        assert len(rows) == result.nfev
        assert all(text for (text,) in rows)
    else:
        lines = path.read_text().splitlines()  # 20 numbers of 8 bytes, as text
        assert max(len(json.loads(line).get("r", "")) for line in lines) == 216


def test_many_runs_on_one_journal_go_on(tmp_path):
    starts, path = [START, [2.0, 0.5], [1.5, 2.0]], tmp_path / "run.jsonl"

    def minimize(counted):
        fun = residuals(noted(decay, counted))
        return LBFGSB().minimize_many(fun, starts, jacobian, journal=path)

    expected = minimize(counted := [])
    lines = path.read_text().splitlines(keepends=True)
    for kept in (5, len(lines) // 2, len(lines)):
        path.write_text("".join(lines[:kept]))
        for one, other in zip(minimize(again := []), expected, strict=True):
            assert_same(one, other)
        assert len(again) < len(counted)
    assert not again


def test_another_loss_and_a_damaged_record_are_named_errors(tmp_path):
    path = tmp_path / "run.jsonl"
    LBFGSB(maxfun=9).minimize(residuals(decay), START, journal=path)
    for fun in (residuals(decay, "huber"), lambda x: float(decay(x) @ decay(x))):
        with pytest.raises(JournalMismatchError, match="residuals"):
            LBFGSB(maxfun=9).minimize(fun, START, journal=path)
    text = path.read_text()
    entry = json.loads(text.splitlines()[2])
    del entry["r"], entry["crc"]
    path.write_text("\n".join([text.splitlines()[0], json.dumps(entry, separators=(",", ":")), ""]))
    with pytest.raises(JournalError, match="damaged"):
        load(path)


RUN = """
import os, sys, time
import numpy as np
from optimizers import LBFGSB, SLSQP, residuals
path, log, case = sys.argv[1:]
T = np.linspace(0.0, 4.0, 20)
DATA = 2.0 * np.exp(-0.7 * T) + 0.1 * np.cos(7.0 * T)

def fun(x):
    with open(log, "a") as file:
        file.write("x")
    time.sleep(2e-3)
    return x[0] * np.exp(-x[1] * T) - DATA

def jac(x):
    slope = np.exp(-x[1] * T)
    return np.array([slope, -T * x[0] * slope]).T

if __name__ == "__main__":
    given = {"serial": {}, "given": {"jac": jac}, "workers": {"workers": 2}}[case]
    result = LBFGSB().minimize(residuals(fun, "cauchy", 0.3), [1.0, 1.0], journal=path, **given)
    print(result.x.tobytes().hex(), result.residuals.tobytes().hex(), result.nfev)
"""


@pytest.mark.parametrize(
    ("case", "name"), [("serial", "a.jsonl"), ("given", "a.db"), ("workers", "a.jsonl")]
)
def test_a_killed_run_goes_on_to_the_last_bit(tmp_path, case, name):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    environment = {
        **os.environ,
        "PYTHONPATH": os.path.dirname(os.path.dirname(optimizers.__file__)),
    }

    def start(path, log):
        command = [sys.executable, str(script), str(path), str(log), case]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    expected, _ = start(tmp_path / f"whole{name}", tmp_path / "whole").communicate()
    log = tmp_path / "log"
    log.touch()
    for more in (4, 7):
        target = log.stat().st_size + more
        process = start(tmp_path / name, log)
        while log.stat().st_size < target and process.poll() is None:
            time.sleep(1e-3)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    found, _ = start(tmp_path / name, log).communicate()
    # On workers, how many probes a step costs that is too long depends on when its value comes.
    known = slice(2 if case == "workers" else 3)
    assert found.split()[known] == expected.split()[known]
    assert log.stat().st_size <= int(found.split()[2]) + 2 * 4


def test_the_command_line_goes_on_with_a_loss_that_was_given_inline(tmp_path, monkeypatch):
    (tmp_path / "decay_model.py").write_text(
        "import numpy as np\n"
        "T = np.linspace(0.0, 4.0, 20)\n"
        "DATA = 2.0 * np.exp(-0.7 * T) + 0.1 * np.cos(7.0 * T)\n"
        "def decay(x):\n"
        "    return x[0] * np.exp(-x[1] * T) - DATA\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    model = importlib.import_module("decay_model")
    whole = LBFGSB().minimize(residuals(model.decay, "cauchy", 0.3), START)
    LBFGSB().minimize(residuals(model.decay, "cauchy", 0.3), START, maxfun=9, journal="a.jsonl")
    TRF(loss="huber").minimize(model.decay, START, maxfun=9, journal="b.jsonl")
    out = io.StringIO()
    assert main(["resume", "a.jsonl", "--yes", "-o", "maxfun=200"], out) == 0
    assert repr(whole.fun) in out.getvalue()
    assert "9 of" in out.getvalue()
    assert main(["resume", "b.jsonl", "--yes", "-o", "maxfun=200"], out) == 0
