"""Runs that are killed, as real processes by SIGKILL at any moment, lose what was in flight."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import optimizers
from optimizers import UMDA

ROOT = Path(optimizers.__file__).parent.parent

#: Each evaluation is noted in a file of its own before it begins, whatever becomes of it.
RUN = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from optimizers import COBYLA, LBFGSB, NELDER_MEAD
from optimizers.problems import h2

journal, log, case = sys.argv[1:]
energy = h2(shots=200, noise_seed=os.getpid())

def fun(x):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, b"x")
    os.close(file)
    time.sleep(1e-3)
    return energy(x)

def jac(x):
    return energy.jac(x)

optimizer, gradient, workers = {
    "serial": (LBFGSB(maxfun=120, eps=0.1), None, None),
    "gradient": (LBFGSB(maxfun=60), jac, None),
    "values": (NELDER_MEAD(maxfun=120), None, None),
    "threads": (LBFGSB(maxfun=120, eps=0.1), None, lambda: ThreadPoolExecutor(3)),
    "processes": (LBFGSB(maxfun=120, eps=0.1), None, 2),
}[case]
if __name__ == "__main__":
    result = optimizer.minimize(fun, energy.x0, gradient, workers=workers, journal=journal)
    print(result.nfev, repr(result.fun), result.x.tolist())
"""

#: A task has several points once the first of a wave of seven has come, so that the rest is done in
#: one round: four more for three threads, five for two processes. Its answers arrive together.
IN_FLIGHT = {"serial": 1, "gradient": 1, "values": 1, "threads": 3 * 2, "processes": 2 * 3}
#: Each start costs a second: three kills of the runs that differ most, one of the others.
CASES = [
    ("serial", "run.jsonl", 3),
    ("gradient", "run.jsonl", 1),
    ("values", "run.jsonl", 1),
    ("threads", "run.jsonl", 1),
    ("processes", "run.jsonl", 3),
    ("serial", "run.db", 1),
    ("threads", "run.db", 3),
]


def start(script, path, log, case):
    return subprocess.Popen(
        [sys.executable, script, path, log, case],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(("case", "name", "kills"), CASES)
def test_kills_cost_at_most_what_was_in_flight(tmp_path, case, name, kills):
    script, log, path = tmp_path / "run.py", tmp_path / "log", tmp_path / name
    script.write_text(RUN)
    log.touch()
    rng = random.Random(f"{case} {name}")
    for _ in range(kills):
        target = log.stat().st_size + rng.randint(1, 15)
        process = start(script, path, log, case)
        try:
            while log.stat().st_size < target and process.poll() is None:
                time.sleep(1e-3)
            time.sleep(rng.uniform(0, 3e-3))
        finally:
            process.kill()
            process.wait()
            _end_workers(process)  # which hold its standard output open
            process.stdout.close()
    process = start(script, path, log, case)
    out, _ = process.communicate()
    _end_workers(process)
    nfev, fun, x = out.split(maxsplit=2)
    evaluated = log.stat().st_size
    assert int(nfev) <= evaluated <= int(nfev) + kills * IN_FLIGHT[case]
    recording = optimizers.load(path)
    # Each question has one answer, which is what the run went on with to its end.
    seqs = [record.seq for record in recording.records if not record.is_late]
    assert len(set(seqs)) == len(seqs)
    assert recording.is_finished
    assert recording.result.fun == float(fun)
    assert recording.result.x.tolist() == eval(x)
    there = np.flatnonzero((recording.points == recording.result.x).all(axis=1))
    assert recording.result.fun in recording.values[there]


def _end_workers(process):
    """End what a killed process left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [20, 58])
@pytest.mark.parametrize("is_many", [False, True])
def test_a_kill_inside_a_wave_forgets_no_retry(tmp_path, is_many, kill):
    path, killed = tmp_path / "run.jsonl", tmp_path / "killed.jsonl"
    calls = 0

    def fails_half(x):
        nonlocal calls
        calls += 1
        if calls == kill and not killed.exists():
            shutil.copy(path, killed)  # what a kill leaves
        if int(abs(x[0]) * 1e4) % 2 == 1:
            raise ValueError("bad")
        return float(x @ x)

    def run(path):
        how = {"retries": 2, "on_failure": "reject", "seed": 3, "journal": path, "maxfun": 100}
        if is_many:
            starts = [[1.0, -1.0], [0.5, 2.0]]
            return sum(r.nfev for r in UMDA(size_gen=60).minimize_many(fails_half, starts, **how))
        return UMDA(size_gen=60).minimize(fails_half, [1.0, -1.0], **how).nfev

    nfev = run(path)
    assert nfev == calls
    assert run(path) == nfev == calls  # all is replayed
    calls = 0
    assert run(killed) == nfev
    # All but the one in flight, if it was not a retry: these are noted before.
    assert kill - 1 <= nfev - calls <= kill
    before = calls
    assert run(killed) == nfev
    assert calls == before
