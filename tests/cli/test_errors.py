"""What cannot be done is said in one line that names what is meant, and nothing of internals."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import optimizers
from optimizers import LBFGSB
from optimizers.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("minimise", "Unknown command 'minimise'. Did you mean 'minimize'?"),
        ("optimize", "Did you mean 'minimize'?"),
        ("resume-all", "Unknown command 'resume-all'. Did you mean 'resume'?"),
        ("--verbose", "Unknown option --verbose. Did you mean '--version'?"),
        ("minimize --optimiser TNC", "minimize has no option --optimiser. Did you mean "),
        ("minimize --optimiser=TNC", "Did you mean '--optimizer'?"),
        ("minimize --method TNC", "minimize has no option --method. Did you mean '--optimizer'?"),
        ("minimize --nonsense", "minimize has no option --nonsense. Known: --bounds, --fun, "),
        ("resume --jax=a.py:f run.jsonl", "resume has no option --jax. Did you mean '--jac'?"),
        ("history run.jsonl --cvs", "history has no option --cvs. Did you mean '--csv'?"),
        ("watch run.jsonl --onse", "Did you mean '--once'?"),
        ("report run.jsonl --output run.html", "report has no option --output. Known: "),
        ("list --constraint-s", "Did you mean '--constraints'?"),
        ("list --gradient requird", "'requird' is not a level. Did you mean 'required'?"),
        ("list --bounds=maybe", "--bounds: 'maybe' is not a level. Known: ignored, "),
        ("list all", "list does not take the argument 'all'; see "),
        ("show", "required: NAME; see python -m optimizers show --help."),
        ("show NTF", "No optimizer is called 'NTF'. Did you mean 'NFT'?"),
        ("show run.jsonl", "run.jsonl is not the name of an optimizer. A journal is "),
        ("show TNT", "No optimizer is called 'TNT'. Did you mean 'TNC'?"),
        ("minimize --shots few", "invalid int value: 'few'"),
        ("minimize --shots 0", "--shots 0: expected 1 or more."),
        ("minimize --b 0:1 --s", "argument --shots: expected one argument"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_the_nearest_name(run, arguments, message):
    done = run(*arguments.split())
    assert (done.code, done.out, done.std) == (2, "", "")
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == done.err.count("rror") == 1


def test_without_a_command_the_help_is_printed(run):
    done = run()
    assert (done.code, done.out, done.std) == (2, "", "")
    assert done.err.startswith("usage: ")
    for command in ("minimize", "resume", "history", "report", "watch", "list", "show", "check"):
        assert f"    {command} " in done.err


def test_a_journal_whatever_its_name_is_not_an_optimizer_to_show(run, tmp_path):
    path = tmp_path / "run"
    LBFGSB().minimize(lambda x: float(x @ x), [1.0], journal=path)
    done = run("show", path)
    assert done.code == 2
    assert "by history, report or watch" in done.err


def test_what_a_command_line_lacks_is_said_once(capsys):
    assert main(["minimize", "--x0", "1,2"], out=io.StringIO()) == 2
    assert capsys.readouterr().err.startswith("error: --x0 1,2: the H2 problem")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--x0", "1,b"], "'1,b' is not a vector"),
        (["--x0", "1", "--bounds", "1"], "'1' is not a pair of bounds"),
        (["--x0", "1", "--bounds", "a:b"], "'a:b' is not a pair of bounds"),
        (["--x0", "1", "--bounds", "2:1"], "bounds[0]"),
        (["--x0", "1,2,3", "--bounds", "0:1,0:1"], "expected (3, 2)"),
        ([], "--fun needs a start"),
        (["--x0", "1", "--optimizer", "LBFGS"], "Did you mean 'LBFGSB'?"),
        (["--x0", "1", "-o", "maxitr=5"], "Did you mean 'maxiter'?"),
        (["--x0", "1", "-o", "maxiter"], "-o maxiter is not an option"),
        (["--x0", "1", "-o", "=5"], "-o =5 is not an option"),
        (["--x0", "1", "-o", "maxfun=none"], "maxfun is 'none'"),
        (["--x0", "1", "-o", "bounds=[(0,1)]"], "write --bounds instead"),
        (["--x0", "1", "-o", "timout=5"], "LBFGSB has no option or setting 'timout'. Did you mean"),
        (["--x0", "1", "-o", "qwertz=5"], "Known: callback, disp, eps, eval_timeout, f_target, "),
        (["--x0", "1", "-o", "f_scale=5"], "residuals(fun, f_scale=...)"),
        (["--x0", "1", "--jac", "nothing"], "nothing called 'nothing'"),
        (["--x0", "1", "--jac", "nothing.py:f"], "does not exist"),
        (["--x0", "1", "--optimizer", "Dogleg", "--jac", "gradient"], "requires hess"),
        (["--x0", "1", "--optimizer", "NewtonCG"], "requires jac"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_used_is_a_usage_error_without_traceback(run, user, arguments, message):
    done = run("minimize", "--fun", f"{user}:sphere", *arguments)
    assert done.code == 2
    assert message in done.err
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{}:nothing", "has nothing called 'nothing'"),
        ("{}:number", "is 3, expected a function"),
        ("{}", "write path.py:name"),
        ("missing.py:f", "does not exist"),
        ("{}/..:f", "does not exist"),
    ],
)
def test_a_function_that_cannot_be_found_is_a_usage_error(run, user, reference, message):
    done = run("minimize", "--fun", reference.replace("{}", str(user)), "--x0", "1")
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_file_that_is_no_python_is_one(run, tmp_path):
    text = tmp_path / "mine.txt"
    text.write_text("def f(x): return 1.0")
    done = run("minimize", "--fun", f"{text}:f", "--x0", "1")
    assert done.code == 2
    assert "must end in .py" in done.err


def test_an_error_in_loading_the_users_file_is_one_with_traceback(run, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    done = run("minimize", "--fun", f"{path}:f", "--x0", "1")
    assert done.code == 1
    assert "broken.py" in done.err
    assert "error: ZeroDivisionError" in done.err


def test_a_gradient_by_name_needs_a_file(run):
    done = run("minimize", "--jac", "gradient")
    assert done.code == 2
    assert "file.py:name" in done.err


@pytest.mark.parametrize(
    "arguments", [["list"], ["--help"], ["minimize"], ["show", "TNC"]], ids=" ".join
)
def test_a_reader_that_has_seen_enough_ends_it_in_silence(process, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = process(*arguments, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0 if arguments == ["--help"] else 1, "")


def test_output_may_be_closed(tmp_path):
    command = "python -m optimizers minimize --quiet >&-".replace("python", sys.executable)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_pipe_of_the_users_function_is_an_error(run, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("def f(x):\n    raise BrokenPipeError(32, 'the simulator is gone')\n")
    done = run("minimize", "--fun", f"{path}:f", "--x0", "1")
    assert done.code == 1
    assert "error: BrokenPipeError: [Errno 32] the simulator is gone" in done.err


def test_a_warning_is_a_line(process, tmp_path):
    path = tmp_path / "flat.py"
    path.write_text("import warnings\ndef f(x):\n    warnings.warn('mine')\n    return 1.0\n")
    given = ("minimize", "--fun", f"{path}:f", "--x0", "1", "--quiet")
    done = process(*given, "-o", "noise=0.1", "--optimizer", "COBYLA")
    lines = done.stderr.splitlines()
    assert "warning: COBYLA uses no finite differences here: noise has no effect." in lines
    assert f"{path}:3: UserWarning: mine" in lines
    assert str(Path(optimizers.__file__).parent) not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("history missing.jsonl", "The journal missing.jsonl cannot be read: No such file"),
        ("history .", "The journal . is not a regular file"),
        ("report empty.jsonl", "The journal empty.jsonl is empty: no run has begun"),
        ("watch mine.py", "mine.py is not a journal of a run"),
        ("resume .", "The journal . is not a regular file"),
        ("report run.jsonl -o missing/run.html", "missing/run.html: No such file or directory."),
        ("report run.jsonl -o .", ".: Is a directory."),
        ("minimize --journal missing/run.jsonl", "cannot be opened: No such file or directory."),
        ("minimize --journal .", "The journal . is not a regular file"),
        ("minimize --plot missing/run.png", "there is no folder missing."),
        ("minimize --fun mine.py:spere --x0 1", "Did you mean 'sphere'?"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_in_a_line(run, user, monkeypatch, arguments, message):
    for extra in ("matplotlib", "rich"):
        pytest.importorskip(extra, reason="needs the extras: plot, watch")
    monkeypatch.chdir(user.parent)
    Path("empty.jsonl").touch()
    LBFGSB(maxfun=5).minimize(lambda x: float(x @ x), [1.0], journal="run.jsonl")
    done = run(*arguments.split())
    assert done.code == 2
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
