"""What is printed at the end of a run that can continue from its journal."""

import importlib
import io
import shlex
import signal
import sys

import pytest

from optimizers import LBFGSB, SPSA, load, shots
from optimizers.cli import main
from optimizers.cli.codes import CONVERGED, ERROR, INTERRUPTED, STOPPED

BOWL = """
import signal
calls = []

def bowl(x):
    return (x[0] - 1) ** 2 + 10 * (x[1] + x[0] ** 2) ** 2

def interrupted(x):
    calls.append(x)
    if len(calls) == 12:
        signal.raise_signal(signal.SIGINT)
    return bowl(x)

def failing(x):
    calls.append(x)
    if len(calls) == 12:
        raise OSError("the device is gone")
    return bowl(x)
"""
MEASURED = """
from optimizers import shots

@shots
def energy(x, shots):
    return float(x @ x), shots**-0.5
"""
BEGIN = "To continue: "


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "bowl.py").write_text(BOWL)
    return tmp_path


def ran(*arguments):
    """Return the exit code, and what is said about continuing."""
    out = io.StringIO()
    code = main([str(argument) for argument in arguments], out)
    lines = [line for line in out.getvalue().splitlines() if line.startswith(BEGIN)]
    assert lines == out.getvalue().splitlines()[-1:] or not lines
    return code, lines[0].removeprefix(BEGIN) if lines else None


def minimized(function, *further):
    return ran("minimize", "--fun", f"bowl.py:{function}", "--x0=-1,1", "--quiet", *further)


def continued(line):
    words = shlex.split(line)
    assert words[:4] == ["python", "-m", "optimizers", "resume"]
    return ran(*words[3:], "--quiet")


@pytest.mark.parametrize(
    "journal",
    [
        ("--journal", "run.jsonl"),
        ("-o", "journal=run.jsonl"),
        ("--journal", "a folder/it's one.db"),
    ],
)
def test_ctrl_c_prints_the_line_that_resumes(folder, journal, capsys):
    (folder / "a folder").mkdir()
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code, line = minimized("interrupted", *journal)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert code == INTERRUPTED
    path = journal[1].removeprefix("journal=")
    assert line == f"python -m optimizers resume {shlex.quote(path)}"
    assert capsys.readouterr().err == ""
    recorded = len(load(path).records)
    assert continued(line) == (CONVERGED, None)
    assert load(path).result.nfev > recorded >= 11


def test_without_a_journal_nothing_can_continue(capsys):
    code, line = minimized("bowl", "-o", "maxfun=12")
    assert (code, line) == (STOPPED, None)


def test_the_line_names_the_program_that_was_started(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/optimizers"])
    code, line = minimized("bowl", "--journal", "run.jsonl", "-o", "maxfun=12")
    assert (code, line) == (STOPPED, "optimizers resume run.jsonl -o maxfun=24")


@pytest.mark.parametrize(
    ("options", "larger"),
    [
        (("-o", "maxfun=12"), " -o maxfun=24"),
        (("-o", "maxiter=2"), " -o maxiter=4"),
        (("-o", "maxjobs=3"), " -o maxjobs=6"),
        (("-o", "shots=10", "-o", "maxshots=75"), " -o maxshots=150"),
        (("--optimizer", "NELDER_MEAD", "-o", "maxfev=12"), " -o maxfev=24"),
        (("-o", "timeout=1e-9"), ""),
    ],
)
def test_a_budget_that_stopped_it_is_doubled(options, larger):
    code, line = minimized("bowl", "--journal", "run.jsonl", *options)
    assert (code, line) == (STOPPED, f"python -m optimizers resume run.jsonl{larger}")


def test_the_line_leads_to_the_end_in_several_steps():
    code, line = minimized("bowl", "--journal", "run.jsonl", "-o", "maxfun=5")
    budgets = []
    while line is not None:
        assert code == STOPPED
        budgets.append(int(line.rpartition("=")[2]))
        assert line == f"python -m optimizers resume run.jsonl -o maxfun={budgets[-1]}"
        code, line = continued(line)
    assert code == CONVERGED
    assert budgets == [10 * 2**i for i in range(len(budgets))]


def test_the_shots_that_an_objective_takes_are_limited_and_continued(folder):
    (folder / "energy.py").write_text(MEASURED)
    limits = ("--shots", "50", "-o", "maxshots=2000", "-o", "seed=1")
    code, line = ran(
        *("minimize", "--fun", "energy.py:energy", "--x0=-1,1", "--quiet"),
        *("--optimizer", "SPSA", "--journal", "run.jsonl", *limits),
    )
    assert (code, line) == (STOPPED, "python -m optimizers resume run.jsonl -o maxshots=4000")
    assert load("run.jsonl").shots.tolist() == [50.0] * 40
    code, line = continued(line)
    assert load("run.jsonl").result.nshots == 4000


def test_a_call_with_shots_is_resumed_with_its_mark(folder, monkeypatch):
    (folder / "unmarked.py").write_text(MEASURED.replace("@shots", ""))
    monkeypatch.syspath_prepend(folder)
    unmarked = importlib.import_module("unmarked")
    SPSA(seed=1).minimize(
        shots(unmarked.energy), [1.0, 2.0], shots=10, maxshots=100, journal="run.jsonl"
    )
    code, _ = ran("resume", "run.jsonl", "-o", "maxshots=200", "--quiet")
    assert code == STOPPED
    assert load("run.jsonl").result.nshots == 200


def test_what_resume_was_told_is_told_again():
    LBFGSB(maxfun=5).minimize(lambda x: float(x @ x), [-1.0, 1.0], journal="run.jsonl")
    given = ("--fun", "bowl.py:bowl", "--yes", "-o", "maxfun=9", "-o", "journal_check=off")
    code, line = ran("resume", "run.jsonl", *given, "--quiet")
    assert code == STOPPED
    assert line == (
        "python -m optimizers resume run.jsonl --fun=bowl.py:bowl --yes -o maxfun=18 "
        "-o journal_check=off"
    )


def test_an_error_can_be_mended_and_the_run_continues(capsys):
    code, line = minimized("failing", "--journal", "run.jsonl")
    assert (code, line) == (ERROR, "python -m optimizers resume run.jsonl")
    assert "error: OSError: the device is gone" in capsys.readouterr().err
    assert continued(line) == (CONVERGED, None)


def test_a_run_of_python_takes_options_of_the_algorithm_too():
    namespace = {}
    exec(BOWL, namespace)
    LBFGSB(maxiter=2).minimize(namespace["bowl"], [-1.0, 1.0], journal="run.jsonl")
    code, line = ran("resume", "run.jsonl", "--fun", "bowl.py:bowl", "--quiet", "-o", "maxiter=4")
    assert code == STOPPED
    assert line == "python -m optimizers resume run.jsonl --fun=bowl.py:bowl -o maxiter=8"
    assert load("run.jsonl").result.nit == 4
    assert continued(line)[0] == STOPPED
    assert load("run.jsonl").result.nit == 8


def test_the_run_is_drawn_though_it_ended_in_its_first_iteration(folder):
    pytest.importorskip("matplotlib", reason="needs the extra: plot")
    code, _ = minimized("bowl", "-o", "maxfun=1", "--plot", "run.png")
    assert code == STOPPED
    assert (folder / "run.png").read_bytes().startswith(b"\x89PNG")
